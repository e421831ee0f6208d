//! The hooks that the compiler puts into every function.
//!
//! A call or return is one word at the cursor (`umbel_trace_ring::append` has the protocol), by two dozen instructions of which
//! one, rdtsc, takes most of the time. Only registers that a call may change are used, no stack, no flags to keep. The
//! compare-and-swap is without lock prefix: only signal handlers of the same thread are in the way.
//!
//! | mode | gate | |
//! |---|---|---|
//! | Off | any | return |
//! | Record | Tsc | the fast path |
//! | Record | Coarse | the same with the time from memory |
//! | Record | Closed, Monotonic, others | [`crate::slow`], with all argument registers and callee-saved registers as at the call |
//! | Filter | any | a bitmap decides, then as Record |
//!
//! A variant that records values is another gate: at its label nothing but the flags has changed since the call, so it finds the
//! function in rdi, the call site in rsi, the return address at rsp and the caller's registers where the debug information has them.

use core::arch::naked_asm;

use super::global::{COARSE_TICKS, FILTER_BASE, FILTER_COUNT, FILTERS, GATE, MODE, PAGES};
use crate::slow::{on_call, on_return};

macro_rules! hook {
    ($(#[$doc:meta])* $name:ident, $bit:literal, $slow:ident) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub extern "C" fn $name(function: usize, call_site: usize) {
            naked_asm!(
                "cmp dword ptr [rip + {pages} + {mode}], 1",
                "jne 70f",
                "20:",
                "cmp dword ptr [rip + {pages} + {gate}], 1",
                "jne 50f",
                "mov r8, qword ptr [rip + umbel_trace_thread@GOTTPOFF]",
                "mov r9, qword ptr fs:[r8 + 8]",
                "mov rcx, qword ptr fs:[r8]",
                "test cx, cx",
                "jz 90f",
                "rdtsc",
                "shl rdx, 32",
                "or rdx, rax",
                "mov rsi, rdx",
                "shr rsi, 16",
                "cmp rsi, qword ptr fs:[r8 + 16]",
                "jne 90f",
                "shl rdx, 48",
                concat!("lea rdx, [rdx + 2*rdi + ", $bit, "]"),
                "40:",
                "mov rax, r9",
                "cmpxchg qword ptr [rcx], rdx",
                "jnz 90f",
                // A handler may have moved it further: then the next event finds its place taken, and the slow path walks.
                "add rcx, 8",
                "mov qword ptr fs:[r8], rcx",
                "ret",
                // The coarse clock, or none that can be read here.
                "50:",
                "cmp dword ptr [rip + {pages} + {gate}], 2",
                "jne 90f",
                "mov r8, qword ptr [rip + umbel_trace_thread@GOTTPOFF]",
                "mov r9, qword ptr fs:[r8 + 8]",
                "mov rcx, qword ptr fs:[r8]",
                "test cx, cx",
                "jz 90f",
                "mov rdx, qword ptr [rip + {pages} + {coarse}]",
                "mov rsi, rdx",
                "shr rsi, 16",
                "cmp rsi, qword ptr fs:[r8 + 16]",
                "jne 90f",
                "shl rdx, 48",
                concat!("lea rdx, [rdx + 2*rdi + ", $bit, "]"),
                "jmp 40b",
                // Off, or a bitmap decides.
                "70:",
                "ja 71f",
                "ret",
                "71:",
                "mov ecx, dword ptr [rip + {pages} + {filter_count}]",
                "lea r9, [rip + {pages} + {filters}]",
                "72:",
                "sub ecx, 1",
                "jb 20b",
                "mov rax, rdi",
                "sub rax, qword ptr [r9]",
                "cmp rax, qword ptr [r9 + 8]",
                "jb 73f",
                "add r9, 24",
                "jmp 72b",
                "73:",
                "mov rdx, qword ptr [rip + {filter_base}]",
                "test rdx, rdx",
                "jz 20b",
                "add rdx, qword ptr [r9 + 16]",
                "mov ecx, eax",
                "shr rax, 3",
                "movzx edx, byte ptr [rdx + rax]",
                "and ecx, 7",
                "bt edx, ecx",
                "jnc 20b",
                "ret",
                "90:",
                "jmp {slow}",
                pages = sym PAGES,
                mode = const MODE,
                gate = const GATE,
                coarse = const COARSE_TICKS,
                filter_count = const FILTER_COUNT,
                filters = const FILTERS,
                filter_base = sym FILTER_BASE,
                slow = sym $slow,
            );
        }
    };
}

hook!(
    /// A function begins.
    __cyg_profile_func_enter,
    "0",
    on_call
);

hook!(
    /// A function returns, or an exception leaves it.
    __cyg_profile_func_exit,
    "1",
    on_return
);
