//! Calls of the program's code with a static chain, and the way out of them.

use std::arch::global_asm;

/// Where [`unwind`] goes back to: a stack pointer saved by [`call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(usize);

global_asm!(
    // rdi: code, rsi: argument, rdx: chain, rcx: where to save the stack pointer.
    ".hidden umbel_call_asm",
    ".globl umbel_call_asm",
    "umbel_call_asm:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov [rcx], rsp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov r10, rdx",
    "call rax",
    "umbel_call_back:",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // rdi: a saved stack pointer.
    ".hidden umbel_unwind_asm",
    ".globl umbel_unwind_asm",
    "umbel_unwind_asm:",
    "mov rsp, rdi",
    "jmp umbel_call_back",
);

unsafe extern "C" {
    fn umbel_call_asm(code: usize, argument: u64, chain: usize, saved: *mut usize);
    fn umbel_unwind_asm(saved: usize) -> !;
}

/// Calls `code(argument)` with the static chain register set, telling `entered` the way back before that.
pub fn call(code: usize, argument: u64, chain: usize, saved: &std::cell::Cell<usize>) {
    // SAFETY: the code belongs to a function record of this very program and takes one word; `saved`
    // outlives the call. Callee-saved registers are restored on both ways out.
    unsafe { umbel_call_asm(code, argument, chain, saved.as_ptr()) };
}

/// Leaves the innermost [`call`] of this thread as if the called function had returned.
pub fn unwind(saved: Frame) -> ! {
    // SAFETY: `saved` was written by `call` on this thread, whose frame is still live below us: the
    // program's frames above it are abandoned, as C code without cleanups may be.
    unsafe { umbel_unwind_asm(saved.0) }
}

impl Frame {
    /// The way out that `call` saved, if a call is under way.
    pub fn saved(cell: &std::cell::Cell<usize>) -> Option<Self> {
        (cell.get() != 0).then(|| Self(cell.get()))
    }
}
