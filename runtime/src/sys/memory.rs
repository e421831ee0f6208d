//! Bytes of heap objects, where the allocator itself touches them.

use std::ptr;

/// Copies `bytes` bytes from one live object to another that nobody else knows yet.
pub fn copy(source: usize, target: usize, bytes: usize) {
    // SAFETY: the heap said that both are live objects of at least this size, at different places; that the
    // source lives until this is done is the program's promise when it calls realloc.
    unsafe { ptr::copy_nonoverlapping(source as *const u8, target as *mut u8, bytes) };
}

/// Clears a freed slot of a program alone.
pub fn zero(address: usize, bytes: usize) {
    // SAFETY: the heap said that the slot is this long and nobody's, in private memory that stays mapped.
    unsafe { ptr::write_bytes(address as *mut u8, 0, bytes) };
}

/// Whether an object that was just made, in a program alone, is all zero.
pub fn is_zero(address: usize, bytes: usize) -> bool {
    // SAFETY: the heap said that the object is at least this long; its maker has not got its address yet.
    let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, bytes) };
    bytes.iter().all(|byte| *byte == 0)
}

/// Gives whole pages of freed objects back: they read as zero if they are ever used again.
pub fn discard(address: usize, bytes: usize) {
    // A failure leaves old bytes in memory that nobody may read.
    advise(address, bytes, libc::MADV_DONTNEED);
}

/// Makes whole pages of a freed object inaccessible, if the kernel can (Linux 6.13).
pub fn guard(address: usize, bytes: usize) {
    advise(address, bytes, MADV_GUARD_INSTALL);
}

/// Makes them accessible again.
pub fn unguard(address: usize, bytes: usize) {
    advise(address, bytes, MADV_GUARD_REMOVE);
}

fn advise(address: usize, bytes: usize, advice: libc::c_int) {
    // SAFETY: the range is private memory of the heap, and no live object is in it, or only one that was just
    // made and is not known yet.
    unsafe { libc::madvise(address as *mut libc::c_void, bytes, advice) };
}

const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;
