//! What the compiler calls by itself. Hidden: the program's functions of these names may be traced, and never see ours.

use core::arch::global_asm;

macro_rules! hidden {
    ($name:literal, $($line:literal),+ $(,)?) => {
        global_asm!(
            concat!(".pushsection .text.umbel.", $name, ",\"ax\",@progbits"),
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            $($line,)+
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
        );
    };
}

hidden!("memcpy", "mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret");
hidden!(
    "memset",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret"
);
hidden!(
    "memmove",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    // The target begins inside the source: from the end.
    "jb 2f",
    "rep movsb",
    "ret",
    "2:",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
);
hidden!(
    "memcmp",
    "xor ecx, ecx",
    "2:",
    "cmp rcx, rdx",
    "je 4f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "jz 2b",
    "ret",
    "4:",
    "xor eax, eax",
    "ret",
);
hidden!("bcmp", "jmp memcmp");
hidden!(
    "strlen",
    "xor eax, eax",
    "2:",
    "cmp byte ptr [rdi + rax], 0",
    "je 4f",
    "inc rax",
    "jmp 2b",
    "4:",
    "ret",
);
// Nothing unwinds through this library.
hidden!("rust_eh_personality", "ud2");
