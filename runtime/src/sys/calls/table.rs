//! The macro that makes functions from rows.

/// Defines functions of the C library that bounce. A row is a prototype whose types are [kinds](super::kinds);
/// a kind's size, where it needs one, stands behind it in brackets: bytes of a buffer, elements of an array, the
/// address of a length. Results are numbers that say how much was done, negative for a failure, or pointers.
macro_rules! calls {
    ($(
        fn $name:ident($($argument:ident: $kind:ty $([$size:expr])?),* $(,)?) -> $result:ty;
    )*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
                type Function = unsafe extern "C" fn($($kind),*) -> $result;

                #[cold]
                #[inline(never)]
                #[allow(clippy::too_many_arguments)]
                unsafe fn bounced(next: Function, $($argument: $kind),*) -> $result {
                    let mut shared = false;
                    $(
                        let size = 0 $(+ $size)?;
                        // SAFETY: the program has passed it.
                        shared |= unsafe { $crate::sys::calls::kinds::Argument::is_shared($argument, size) };
                    )*
                    if !shared {
                        // SAFETY: the program's own call.
                        return unsafe { next($($argument),*) };
                    }
                    let mut frame = $crate::sys::calls::frame::Frame::new();
                    $(
                        let size = 0 $(+ $size)?;
                        // SAFETY: the program has passed it.
                        let $argument = unsafe {
                            $crate::sys::calls::kinds::Argument::enter($argument, &mut frame, size)
                        };
                    )*
                    // SAFETY: the program's own call, with copies of what it has passed.
                    let result = unsafe { next($($argument),*) };
                    let count = $crate::sys::calls::kinds::Outcome::count(result);
                    // SAFETY: the call has returned.
                    unsafe { frame.leave(count) };
                    result
                }

                // SAFETY: the function of this name has this type.
                let next: Function = unsafe { std::mem::transmute($name::NEXT.get()) };
                if $crate::sys::calls::bouncing() {
                    // SAFETY: the program's own call.
                    unsafe { bounced(next, $($argument),*) }
                } else {
                    // SAFETY: as above.
                    unsafe { next($($argument),*) }
                }
            }

            pub mod $name {
                use crate::sys::calls::next::Next;
                pub(in crate::sys::calls) static NEXT: Next = Next::new(concat!(stringify!($name), "\0"));
            }
        )*

        /// What these functions stand before.
        pub static ALL: &[&$crate::sys::calls::next::Next] = &[$(&$name::NEXT),*];
    };
}

/// Defines functions of the C library whose bouncing no [kind](super::kinds) describes. A row is a prototype with the
/// types of Rust, the condition under which it bounces, and what it does then; `next` is the one that it stands before.
macro_rules! own_calls {
    ($(
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty
            where $shared:expr => |$next:ident| $body:expr;
    )*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                type Function = unsafe extern "C" fn($($type),*) -> $result;

                #[cold]
                #[inline(never)]
                #[allow(unused_variables, clippy::too_many_arguments)]
                unsafe fn bounced($next: Function, $($argument: $type),*) -> $result {
                    $body
                }

                // SAFETY: the function of this name has this type.
                let next: Function = unsafe { std::mem::transmute($name::NEXT.get()) };
                if $crate::sys::calls::bouncing() && $shared {
                    // SAFETY: the program's own call.
                    unsafe { bounced(next, $($argument),*) }
                } else {
                    // SAFETY: as above.
                    unsafe { next($($argument),*) }
                }
            }

            pub mod $name {
                use crate::sys::calls::next::Next;
                pub(in crate::sys::calls) static NEXT: Next = Next::new(concat!(stringify!($name), "\0"));
            }
        )*

        /// What these functions stand before.
        pub static OWN: &[&$crate::sys::calls::next::Next] = &[$(&$name::NEXT),*];
    };
}

/// Defines a function with variable arguments. While nothing bounces it jumps to the one that it stands before;
/// otherwise it calls `$inner` with its first arguments and, in `$register`, a `va_list` of the others. Registers that
/// hold the first ones take `$first` bytes.
macro_rules! variadic {
    ($($name:ident, $first:literal, $register:literal, $inner:path;)*) => {
        $(
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() {
                std::arch::naked_asm!(
                    ".cfi_startproc",
                    "endbr64",
                    "cmp byte ptr [rip + {bounce}], 0",
                    "jne 2f",
                    // al counts the vector registers in use: it stays.
                    "mov r11, qword ptr [rip + {next} + {address}]",
                    "test r11, r11",
                    "jz 2f",
                    "jmp r11",
                    "2:",
                    "sub rsp, 216",
                    ".cfi_adjust_cfa_offset 216",
                    "mov [rsp + 32], rdi",
                    "mov [rsp + 40], rsi",
                    "mov [rsp + 48], rdx",
                    "mov [rsp + 56], rcx",
                    "mov [rsp + 64], r8",
                    "mov [rsp + 72], r9",
                    "test al, al",
                    "je 3f",
                    "movaps [rsp + 80], xmm0",
                    "movaps [rsp + 96], xmm1",
                    "movaps [rsp + 112], xmm2",
                    "movaps [rsp + 128], xmm3",
                    "movaps [rsp + 144], xmm4",
                    "movaps [rsp + 160], xmm5",
                    "movaps [rsp + 176], xmm6",
                    "movaps [rsp + 192], xmm7",
                    "3:",
                    concat!("mov dword ptr [rsp], ", $first),
                    "mov dword ptr [rsp + 4], 48",
                    "lea r11, [rsp + 224]",
                    "mov [rsp + 8], r11",
                    "lea r11, [rsp + 32]",
                    "mov [rsp + 16], r11",
                    concat!("mov ", $register, ", rsp"),
                    "call {inner}",
                    "add rsp, 216",
                    ".cfi_adjust_cfa_offset -216",
                    "ret",
                    ".cfi_endproc",
                    bounce = sym $crate::sys::calls::BOUNCE,
                    next = sym $name::NEXT,
                    address = const $crate::sys::calls::next::Next::ADDRESS_OFFSET,
                    inner = sym $inner,
                )
            }

            pub mod $name {
                use crate::sys::calls::next::Next;
                pub(in crate::sys::calls) static NEXT: Next = Next::new(concat!(stringify!($name), "\0"));
            }
        )*

        /// What these functions stand before.
        pub static VARIADIC: &[&$crate::sys::calls::next::Next] = &[$(&$name::NEXT),*];
    };
}
