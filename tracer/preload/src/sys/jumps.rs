//! setjmp, longjmp, swapcontext, dlopen and their kin as the program finds them: something is noted, then the real one runs as if it had been called
//! itself. setjmp and dlopen must not be called from here: the one keeps the stack it is called on, the other looks for
//! libraries where its caller's module says.

use core::arch::naked_asm;

use crate::interposed::{on_jump, on_kernel_call, real};

/// Functions that tell `note` their first two arguments and which of [`real`] they are, and go on where it says, with their
/// arguments.
macro_rules! noted {
    ($note:ident: $($(#[$doc:meta])* $name:ident => $function:expr,)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub extern "C" fn $name() {
                naked_asm!(
                    "endbr64",
                    "push rdi",
                    "push rsi",
                    "push rdx",
                    "push rcx",
                    "push r8",
                    "push r9",
                    "sub rsp, 8",
                    "mov edx, {function}",
                    "call {note}",
                    "add rsp, 8",
                    "pop r9",
                    "pop r8",
                    "pop rcx",
                    "pop rdx",
                    "pop rsi",
                    "pop rdi",
                    "jmp rax",
                    function = const $function,
                    note = sym $note,
                );
            }
        )*
    };
}

noted! {
    on_jump:
    /// setjmp(3), where it is a function.
    setjmp => real::SETJMP,
    /// setjmp(3) without the signal mask, what the macro calls.
    _setjmp => real::UNDERSCORE_SETJMP,
    /// sigsetjmp(3).
    __sigsetjmp => real::SIGSETJMP,
    /// longjmp(3).
    longjmp => real::LONGJMP,
    /// _longjmp(3).
    _longjmp => real::UNDERSCORE_LONGJMP,
    /// siglongjmp(3).
    siglongjmp => real::SIGLONGJMP,
    /// longjmp(3) of programs built with _FORTIFY_SOURCE.
    __longjmp_chk => real::LONGJMP_CHK,
    /// getcontext(3).
    getcontext => real::GETCONTEXT,
    /// setcontext(3).
    setcontext => real::SETCONTEXT,
    /// makecontext(3).
    makecontext => real::MAKECONTEXT,
    /// swapcontext(3).
    swapcontext => real::SWAPCONTEXT,
    /// dlopen(3).
    dlopen => real::DLOPEN,
}

noted! {
    on_kernel_call:
    /// prctl(2): it may forbid system calls.
    prctl => real::PRCTL,
    /// syscall(2): so may this.
    syscall => real::SYSCALL,
}

/// dlclose(3).
#[unsafe(no_mangle)]
pub extern "C" fn dlclose(handle: *mut core::ffi::c_void) -> core::ffi::c_int {
    let real = crate::interposed::address(real::DLCLOSE);
    // SAFETY: the C library's own, and the program's argument.
    let result = unsafe { super::libc_calls::close(real, handle) };
    crate::interposed::on_closed();
    result
}
