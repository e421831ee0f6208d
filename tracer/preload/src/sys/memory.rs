//! Mappings, signals, and the end.

use umbel_trace_ring::PAGE_BYTES;
use umbel_trace_ring::sys::call;

/// Maps the page at `from`, of a shared mapping, at `at` too: a page of ours.
pub fn alias(from: usize, at: usize) -> bool {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: an old size of 0 makes a second mapping of the same shared page (mremap(2)); what was at `at` is a page
    // that only the hooks and this crate read, as atomics: zeroes, or another such mapping.
    unsafe {
        call(
            libc::SYS_mremap,
            [from, 0, PAGE_BYTES, flags as usize, at, 0],
        )
    }
    .is_ok()
}

/// Makes the page at `at`, one of ours, private and zero; `wiped`: also zero in each child of fork.
pub fn zero_page(at: usize, wiped: bool) -> bool {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let arguments = [
        at,
        PAGE_BYTES,
        rights as usize,
        flags as usize,
        usize::MAX,
        0,
    ];
    // SAFETY: replaces a page of ours, see `alias`.
    let mapped = unsafe { call(libc::SYS_mmap, arguments) }.is_ok();
    if mapped && wiped {
        // SAFETY: advice on that page. An old kernel refuses: then only fork by the C library is seen.
        let _ = unsafe {
            call(
                libc::SYS_madvise,
                [at, PAGE_BYTES, libc::MADV_WIPEONFORK as usize, 0, 0, 0],
            )
        };
    }
    mapped
}

/// All signals are blocked until this is dropped.
pub struct Blocked(u64);

/// Blocks all signals: the C library's own too, so that no thread is cancelled in here.
pub fn block_signals() -> Blocked {
    let all = u64::MAX;
    let mut before = 0u64;
    let arguments = [
        libc::SIG_SETMASK as usize,
        &raw const all as usize,
        &raw mut before as usize,
        8,
        0,
        0,
    ];
    // SAFETY: both sets live here and have the kernel's size.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    Blocked(before)
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let arguments = [
            libc::SIG_SETMASK as usize,
            &raw const self.0 as usize,
            0,
            8,
            0,
            0,
        ];
        // SAFETY: the set lives here.
        let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    }
}

/// Writes to standard error, as far as it goes.
pub fn write_error(text: &[u8]) {
    // SAFETY: write(2) only reads `text`.
    let _ = unsafe {
        call(
            libc::SYS_write,
            [2, text.as_ptr() as usize, text.len(), 0, 0, 0],
        )
    };
}

/// The name of the calling thread.
pub fn thread_name(name: &mut [u8; 16]) -> &[u8] {
    // SAFETY: PR_GET_NAME writes 16 bytes.
    let _ = unsafe {
        call(
            libc::SYS_prctl,
            [
                libc::PR_GET_NAME as usize,
                name.as_mut_ptr() as usize,
                0,
                0,
                0,
                0,
            ],
        )
    };
    let length = name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(name.len());
    &name[..length]
}

/// What a symbolic link of /proc says.
pub fn read_link<'a>(path: &core::ffi::CStr, bytes: &'a mut [u8]) -> &'a [u8] {
    let arguments = [
        libc::AT_FDCWD as usize,
        path.as_ptr() as usize,
        bytes.as_mut_ptr() as usize,
        bytes.len(),
        0,
        0,
    ];
    // SAFETY: the path ends with 0, and the kernel writes into `bytes`.
    let length = unsafe { call(libc::SYS_readlinkat, arguments) }.unwrap_or(0);
    &bytes[..length.min(bytes.len())]
}

/// The folder that relative paths begin in, without the 0 at its end.
pub fn current_folder(bytes: &mut [u8]) -> &[u8] {
    // SAFETY: the kernel writes into `bytes`.
    let length = unsafe {
        call(
            libc::SYS_getcwd,
            [bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0, 0],
        )
    };
    &bytes[..length.unwrap_or(1).saturating_sub(1).min(bytes.len())]
}

/// The parent.
pub fn parent_pid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_getppid, [0; 6]) }.unwrap_or(0) as u32
}

/// Sleeps.
pub fn sleep_ms(milliseconds: u32) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(milliseconds) * 1_000_000,
    };
    // SAFETY: the kernel reads `time`.
    let _ = unsafe {
        call(
            libc::SYS_nanosleep,
            [&raw const time as usize, 0, 0, 0, 0, 0],
        )
    };
}

/// Ticks of the time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: x86-64 has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
