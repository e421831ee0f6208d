//! Reading in the thread itself. All instructions that may fault lie between two labels, in functions that use no stack: the handler
//! sends a thread that faulted there to the landing, from where it returns with 1 in rdx.

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .text.umbel_probe,\"ax\",@progbits",
    ".balign 64",
    ".globl umbel_probe_begin",
    ".hidden umbel_probe_begin",
    ".globl umbel_probe_end",
    ".hidden umbel_probe_end",
    ".globl umbel_probe_landing",
    ".hidden umbel_probe_landing",
    ".globl umbel_probe_copy",
    ".hidden umbel_probe_copy",
    ".globl umbel_probe_load8",
    ".hidden umbel_probe_load8",
    "umbel_probe_begin:",
    // rdi: to, rsi: from, rcx: bytes. 1 in rdx if it faulted.
    "umbel_probe_copy:",
    "xor edx, edx",
    "cmp rcx, 32",
    "jb 2f",
    "1:",
    "movups xmm0, xmmword ptr [rsi]",
    "movups xmm1, xmmword ptr [rsi + 16]",
    "movups xmmword ptr [rdi], xmm0",
    "movups xmmword ptr [rdi + 16], xmm1",
    "add rsi, 32",
    "add rdi, 32",
    "sub rcx, 32",
    "cmp rcx, 32",
    "jae 1b",
    "2:",
    "test cl, 16",
    "jz 3f",
    "movups xmm0, xmmword ptr [rsi]",
    "movups xmmword ptr [rdi], xmm0",
    "add rsi, 16",
    "add rdi, 16",
    "3:",
    "test cl, 8",
    "jz 4f",
    "mov rax, qword ptr [rsi]",
    "mov qword ptr [rdi], rax",
    "add rsi, 8",
    "add rdi, 8",
    "4:",
    "test cl, 4",
    "jz 5f",
    "mov eax, dword ptr [rsi]",
    "mov dword ptr [rdi], eax",
    "add rsi, 4",
    "add rdi, 4",
    "5:",
    "test cl, 2",
    "jz 6f",
    "movzx eax, word ptr [rsi]",
    "mov word ptr [rdi], ax",
    "add rsi, 2",
    "add rdi, 2",
    "6:",
    "test cl, 1",
    "jz 7f",
    "movzx eax, byte ptr [rsi]",
    "mov byte ptr [rdi], al",
    "7:",
    "ret",
    // rsi: from. 8 bytes in rax.
    "umbel_probe_load8:",
    "xor edx, edx",
    "mov rax, qword ptr [rsi]",
    "ret",
    "umbel_probe_end:",
    "umbel_probe_landing:",
    "mov edx, 1",
    "ret",
    ".popsection",
);

/// Copies `bytes` bytes; whether they could be read.
///
/// # Safety
/// `to` has room for them. The thread can take SIGSEGV and SIGBUS, and their handler asks [`landing`]; or all can be read.
#[inline]
pub unsafe fn copy(from: usize, to: *mut u8, bytes: usize) -> bool {
    let faulted: u32;
    // SAFETY: writes to `to` alone (the caller's); the routine uses the registers named here, and the stack for its return address.
    unsafe {
        asm!(
            "call umbel_probe_copy",
            inout("rdi") to => _, inout("rsi") from => _, inout("rcx") bytes => _,
            out("rax") _, out("xmm0") _, out("xmm1") _, out("edx") faulted,
        );
    }
    faulted == 0
}

/// 8 bytes.
///
/// # Safety
/// The thread can take SIGSEGV and SIGBUS, and their handler asks [`landing`]; or they can be read.
#[inline]
pub unsafe fn load(from: usize) -> Option<u64> {
    let faulted: u32;
    let value: u64;
    // SAFETY: reads alone; see `copy`.
    unsafe {
        asm!(
            "call umbel_probe_load8",
            in("rsi") from, out("rax") value, out("edx") faulted,
            options(readonly)
        );
    }
    (faulted == 0).then_some(value)
}

unsafe extern "C" {
    static umbel_probe_begin: u8;
    static umbel_probe_end: u8;
    static umbel_probe_landing: u8;
}

/// Where a thread goes on that faulted at `instruction`; `None`: the fault isn't ours.
pub fn landing(instruction: usize) -> Option<usize> {
    let begin = &raw const umbel_probe_begin as usize;
    let end = &raw const umbel_probe_end as usize;
    (begin..end)
        .contains(&instruction)
        .then_some(&raw const umbel_probe_landing as usize)
}
