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
//! | Record | with values, nothing captured here | the fast path |
//! | Record | with values | [`crate::values`], with all registers as at the call but r10, r11 and rsi |
//! | Record | Closed, Monotonic | [`crate::slow`], with all argument registers and callee-saved registers as at the call |
//! | Filter | any | a bitmap decides, then as Record |
//!
//! Where values are captured, the variables of the caller are in its registers, as the debug information says: also in those that a
//! call may change, for nothing has changed them yet.

use core::arch::naked_asm;
use core::mem::offset_of;

use umbel_trace_ring::PAGE_BYTES;
use umbel_trace_ring::plan::{Desk, HASH, Index, Registers, UNKNOWN_AT_HOOK, VECTORS_WANTED};

use super::global::{COARSE_TICKS, FILTER_BASE, FILTER_COUNT, FILTERS, GATE, MODE, PAGES};
use super::values::PLANS;
use crate::slow::{on_call, on_return};
use crate::values::{on_call_with_values, on_return_with_values};

// As the hooks below make one.
const _: () =
    assert!(offset_of!(Registers, unknown) == 104 && offset_of!(Registers, vectors) == 112);
const _: () = assert!(size_of::<Registers>() == 240);

/// Offset of the word that says whether anybody shall stop.
const WANTED: usize = offset_of!(Desk, wanted);

/// Offset of the word that says where the table of plans is.
const TABLE: usize = PAGE_BYTES + offset_of!(Index, table);

// The hooks look at the sign of an entry.
const _: () = assert!(VECTORS_WANTED == 1 << 31);

macro_rules! hook {
    ($(#[$doc:meta])* $name:ident, $bit:literal, $slow:ident, $values:ident) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub extern "C" fn $name(function: usize, call_site: usize) {
            naked_asm!(
                // Whoever looks at a thread that waits in here finds its caller.
                ".cfi_startproc",
                "cmp dword ptr [rip + {pages} + {mode}], 1",
                "jne 70f",
                "20:",
                "cmp dword ptr [rip + {pages} + {gate}], 1",
                "jne 50f",
                "30:",
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
                "ja 60f",
                "jne 90f",
                "51:",
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
                // Values are wanted: what does the table say, in its first place? rsi, r10 and r11 are free, all others may hold values.
                "60:",
                "cmp dword ptr [rip + {pages} + {gate}], 4",
                "jb 90f",
                "mov r10, qword ptr [rip + {plans}]",
                "test r10, r10",
                "jz 61f",
                // Somebody shall stop: whoever it is, not here.
                "cmp dword ptr [r10 + {wanted}], 0",
                "jne 64f",
                "movabs r11, {hash}",
                "imul r11, qword ptr [rsp]",
                "shr r11, 32",
                "and r11d, dword ptr [r10 + {table} + 4]",
                "shl r11, 4",
                "mov esi, dword ptr [r10 + {table}]",
                "lea r10, [r10 + 8*rsi]",
                "add r11, r10",
                "mov rsi, qword ptr [rsp]",
                "xor r10d, r10d",
                "cmp rsi, qword ptr [r11]",
                "jne 61f",
                "mov r10, qword ptr [r11 + 8]",
                "test r10, r10",
                "jz 68f",
                // General registers go into a `Registers` on the stack; vectors, where there is no quick form, or it wants them.
                "61:",
                "sub rsp, 248",
                ".cfi_adjust_cfa_offset 248",
                "mov qword ptr [rsp], rbx",
                "mov qword ptr [rsp + 8], rbp",
                "mov qword ptr [rsp + 16], r12",
                "mov qword ptr [rsp + 24], r13",
                "mov qword ptr [rsp + 32], r14",
                "mov qword ptr [rsp + 40], r15",
                "lea r11, [rsp + 256]",
                "mov qword ptr [rsp + 48], r11",
                "mov qword ptr [rsp + 56], 0",
                "mov qword ptr [rsp + 64], rax",
                "mov qword ptr [rsp + 72], rdx",
                "mov qword ptr [rsp + 80], rcx",
                "mov qword ptr [rsp + 88], r8",
                "mov qword ptr [rsp + 96], r9",
                "mov qword ptr [rsp + 104], {unknown}",
                "mov rcx, r10",
                "shr r10, 32",
                "jz 62f",
                "test rcx, rcx",
                "jns 63f",
                "62:",
                "movups xmmword ptr [rsp + 112], xmm0",
                "movups xmmword ptr [rsp + 128], xmm1",
                "movups xmmword ptr [rsp + 144], xmm2",
                "movups xmmword ptr [rsp + 160], xmm3",
                "movups xmmword ptr [rsp + 176], xmm4",
                "movups xmmword ptr [rsp + 192], xmm5",
                "movups xmmword ptr [rsp + 208], xmm6",
                "movups xmmword ptr [rsp + 224], xmm7",
                "63:",
                "mov rsi, rsp",
                "mov rdx, qword ptr [rsp + 248]",
                "call {values}",
                "add rsp, 248",
                ".cfi_adjust_cfa_offset -248",
                "ret",
                // Nothing is captured here: the event alone.
                "68:",
                "cmp dword ptr [rip + {pages} + {gate}], 5",
                "je 30b",
                "cmp dword ptr [rip + {pages} + {gate}], 6",
                "je 51b",
                "jmp 90f",
                "64:",
                "xor r10d, r10d",
                "jmp 61b",
                // Off, or a bitmap decides, mostly the first, of the program itself: registers that may hold values stay.
                "70:",
                "jb 79f",
                "mov rsi, rdi",
                "sub rsi, qword ptr [rip + {pages} + {filters}]",
                "cmp rsi, qword ptr [rip + {pages} + {filters} + 8]",
                "jae 71f",
                "mov r10, qword ptr [rip + {filter_base}]",
                "test r10, r10",
                "jz 20b",
                "add r10, qword ptr [rip + {pages} + {filters} + 16]",
                "mov r11, rsi",
                "shr r11, 5",
                "mov r10d, dword ptr [r10 + 4*r11]",
                "bt r10d, esi",
                "jnc 20b",
                "79:",
                "ret",
                "71:",
                "mov r10d, dword ptr [rip + {pages} + {filter_count}]",
                "lea r11, [rip + {pages} + {filters}]",
                "72:",
                "sub r10d, 1",
                "jb 20b",
                "mov rsi, rdi",
                "sub rsi, qword ptr [r11]",
                "cmp rsi, qword ptr [r11 + 8]",
                "jb 73f",
                "add r11, 24",
                "jmp 72b",
                "73:",
                "mov r10, qword ptr [rip + {filter_base}]",
                "test r10, r10",
                "jz 20b",
                "add r10, qword ptr [r11 + 16]",
                "mov r11, rsi",
                "shr r11, 3",
                "movzx r10d, byte ptr [r10 + r11]",
                "and esi, 7",
                "bt r10d, esi",
                "jnc 20b",
                "ret",
                "90:",
                "jmp {slow}",
                ".cfi_endproc",
                pages = sym PAGES,
                mode = const MODE,
                gate = const GATE,
                coarse = const COARSE_TICKS,
                filter_count = const FILTER_COUNT,
                filters = const FILTERS,
                filter_base = sym FILTER_BASE,
                slow = sym $slow,
                values = sym $values,
                unknown = const UNKNOWN_AT_HOOK,
                plans = sym PLANS,
                hash = const HASH,
                table = const TABLE,
                wanted = const WANTED,
            );
        }
    };
}

hook!(
    /// A function begins.
    __cyg_profile_func_enter,
    "0",
    on_call,
    on_call_with_values
);

hook!(
    /// A function returns, or an exception leaves it.
    __cyg_profile_func_exit,
    "1",
    on_return,
    on_return_with_values
);
