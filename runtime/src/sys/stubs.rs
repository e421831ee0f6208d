//! Addresses of nested functions without executable stacks: a pool of constant stubs.
//!
//! Stub *i* loads its chain and code from word pair *i* of a table and jumps. The table is written
//! before the stub's address is given out.

use std::arch::global_asm;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nested-function pointers alive at a time, over all threads.
pub const STUBS_MAX: usize = 65_536;

const STUB_BYTES: usize = 32;

global_asm!(
    ".section .bss.umbel_stub_table,\"aw\",@nobits",
    ".balign 64",
    ".hidden umbel_stub_table",
    ".globl umbel_stub_table",
    "umbel_stub_table:",
    ".zero {max} * 16",
    ".section .text.umbel_stubs,\"ax\",@progbits",
    ".balign 64",
    ".hidden umbel_stubs",
    ".globl umbel_stubs",
    "umbel_stubs:",
    ".set umbel_stub_index, 0",
    ".rept {max}",
    ".balign {bytes}",
    "endbr64",
    "mov r10, [rip + umbel_stub_table + umbel_stub_index * 16]",
    "jmp qword ptr [rip + umbel_stub_table + umbel_stub_index * 16 + 8]",
    ".set umbel_stub_index, umbel_stub_index + 1",
    ".endr",
    ".balign {bytes}",
    ".text",
    max = const STUBS_MAX,
    bytes = const STUB_BYTES,
);

unsafe extern "C" {
    static umbel_stub_table: [[AtomicU64; 2]; STUBS_MAX];
    static umbel_stubs: u8;
}

/// Stubs not in use: those given back, and the first never used.
struct Free {
    returned: Vec<u32>,
    next: u32,
}

static FREE: Mutex<Free> = Mutex::new(Free {
    returned: Vec::new(),
    next: 0,
});

/// Takes a stub that calls `code` with `chain`; its index, or nothing when all are in use.
pub fn take(code: usize, chain: usize) -> Option<u32> {
    let mut free = FREE.lock().expect("no code under this lock panics");
    let index = free.returned.pop().or_else(|| {
        let next = free.next;
        ((next as usize) < STUBS_MAX).then(|| {
            free.next += 1;
            next
        })
    })?;
    drop(free);
    // SAFETY: the table is a static of this library, made of atomics.
    let [chain_word, code_word] = unsafe { &umbel_stub_table[index as usize] };
    chain_word.store(chain as u64, Ordering::Relaxed);
    // Release: whoever gets the stub's address got it after this store; x86 keeps stores in order.
    code_word.store(code as u64, Ordering::Release);
    Some(index)
}

/// Gives stubs back.
pub fn put(indices: impl Iterator<Item = u32>) {
    FREE.lock()
        .expect("no code under this lock panics")
        .returned
        .extend(indices);
}

/// Address of a stub.
pub fn address(index: u32) -> usize {
    base() + index as usize * STUB_BYTES
}

/// What the stub at `address` calls, as (code, chain), if it is a stub.
pub fn find(address: usize) -> Option<(usize, usize)> {
    let offset = address
        .checked_sub(base())
        .filter(|offset| *offset < STUBS_MAX * STUB_BYTES)?;
    if offset % STUB_BYTES != 0 {
        return None;
    }
    // SAFETY: the table is a static of this library, made of atomics.
    let [chain, code] = unsafe { &umbel_stub_table[offset / STUB_BYTES] };
    Some((
        code.load(Ordering::Acquire) as usize,
        chain.load(Ordering::Relaxed) as usize,
    ))
}

fn base() -> usize {
    &raw const umbel_stubs as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_names_its_function_and_is_used_again() {
        let index = take(0x1234, 0x5678).unwrap();
        assert_eq!(find(address(index)), Some((0x1234, 0x5678)));
        assert_eq!(find(address(index) + 1), None);
        put([index].into_iter());
        assert_eq!(take(1, 2), Some(index));
        put([index].into_iter());
    }

    #[test]
    fn other_addresses_are_no_stubs() {
        assert_eq!(find(0), None);
        assert_eq!(find(address(STUBS_MAX as u32)), None);
    }
}
