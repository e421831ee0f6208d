//! System calls by their instruction: the program's `errno` is not touched, and none of its functions is run.

use core::arch::asm;

/// Calls the kernel; an error is the positive errno.
///
/// # Safety
/// What the call does to memory must be allowed: the caller knows what call it is.
#[inline]
pub unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, i32> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let result: isize;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first, in("rsi") second, in("rdx") third, in("r10") fourth, in("r8") fifth, in("r9") sixth,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    if (-4095..0).contains(&result) {
        Err(-result as i32)
    } else {
        Ok(result as usize)
    }
}

/// This process.
pub fn pid() -> usize {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.unwrap_or(0)
}
