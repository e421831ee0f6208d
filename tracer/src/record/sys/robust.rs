//! Where a thread of another process has its own block, told without stopping it.

/// The head of a thread's list of robust mutexes: the C library has it in the thread's own block. `None`: we may not ask, or it has none.
pub fn list(tid: i32) -> Option<u64> {
    let mut head: u64 = 0;
    let mut bytes: usize = 0;
    // SAFETY: the kernel writes an address and a length, into a u64 and a usize.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_robust_list,
            libc::c_long::from(tid),
            &raw mut head,
            &raw mut bytes,
        )
    };
    (result == 0 && head != 0).then_some(head)
}
