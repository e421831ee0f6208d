//! Registers of a frame that waits for a call, by DWARF's numbers.

use umbel_trace_ring::plan::THREAD;

use crate::unwind::KEPT;

/// Whether a call keeps this register, or it is the stack pointer, or the thread's own address.
pub(super) fn is_kept(number: u16) -> bool {
    number == 7 || number == u16::from(THREAD) || KEPT.contains(&number)
}

/// DWARF's number of xmm0.
const XMM0: u16 = 17;

/// Whether it is one of xmm0 to xmm15.
pub(super) fn is_vector(number: u16) -> bool {
    (XMM0..XMM0 + 16).contains(&number)
}

/// Whether the program's hook finds this register as it was at its call, though calls may change it: rax, rdx, rcx, r8, r9, xmm0-7. So
/// the linker's stubs have it, as they may be arguments.
pub(super) fn is_at_hook(number: u16) -> bool {
    matches!(number, 0 | 1 | 2 | 8 | 9 | XMM0..=24)
}
