//! A part of the shared file beyond the chunks: first page, second page, words.

use core::sync::atomic::AtomicU64;

use super::kernel::{File, call};
use super::mapping::{bring_in_singly, map, unmap};
use crate::PAGE_BYTES;

/// A mapping that stays for as long as the process runs, or until its owner unmaps it.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    base: *const u8,
    bytes: usize,
}

// SAFETY: everything in the mapping is accessed through atomics.
unsafe impl Send for Area {}
// SAFETY: as above.
unsafe impl Sync for Area {}

/// Structures of atomics alone, no larger than a page: what pages of an area hold.
///
/// # Safety
/// Only for such.
pub unsafe trait InPage {}

// SAFETY: plan.rs has its fields, and their size.
unsafe impl InPage for crate::plan::Desk {}
// SAFETY: as above.
unsafe impl InPage for crate::plan::Index {}

const SHARED: i32 = libc::MAP_SHARED | libc::MAP_NORESERVE;
const WRITABLE: i32 = libc::PROT_READ | libc::PROT_WRITE;

impl Area {
    /// Maps `bytes` bytes of `file` from `offset` on, which it may not all have yet: for the recorder.
    pub fn for_writing(file: &File, offset: u64, bytes: usize) -> Result<Self, i32> {
        let base = map(0, bytes, WRITABLE, SHARED, file.number(), offset as usize)?;
        bring_in_singly(base, bytes);
        Ok(Self {
            base: base as *const u8,
            bytes,
        })
    }

    /// The same for a program: it may write to the first page alone. No core dump has it.
    pub fn for_reading(file: &File, offset: u64, bytes: usize) -> Result<Self, i32> {
        let rights = libc::PROT_READ;
        let base = map(0, bytes, rights, SHARED, file.number(), offset as usize)?;
        let first = SHARED | libc::MAP_FIXED;
        if let Err(errno) = map(
            base,
            PAGE_BYTES,
            WRITABLE,
            first,
            file.number(),
            offset as usize,
        ) {
            unmap(base, bytes);
            return Err(errno);
        }
        bring_in_singly(base, bytes);
        let advice = libc::MADV_DONTDUMP as usize;
        // SAFETY: advice on our own mapping.
        let _ = unsafe { call(libc::SYS_madvise, [base, bytes, advice, 0, 0, 0]) };
        Ok(Self {
            base: base as *const u8,
            bytes,
        })
    }

    /// One that is mapped at `address`.
    ///
    /// # Safety
    /// It is, and has `bytes` bytes.
    #[inline]
    pub unsafe fn at(address: usize, bytes: usize) -> Self {
        Self {
            base: address as *const u8,
            bytes,
        }
    }

    /// Where it is mapped.
    pub fn address(&self) -> usize {
        self.base as usize
    }

    /// Unmaps it: nobody looks at it any more.
    pub fn unmap(&self) {
        unmap(self.address(), self.bytes);
    }

    /// Its first page.
    pub fn first_page<T: InPage>(&self) -> &T {
        // SAFETY: mapped and aligned to pages; atomics take any bytes (InPage); it stays mapped while somebody has `self`.
        unsafe { &*self.base.cast() }
    }

    /// Its second page.
    #[inline]
    pub fn second_page<T: InPage>(&self) -> &T {
        // SAFETY: an area has more than two pages.
        let page = unsafe { self.base.add(PAGE_BYTES) };
        // SAFETY: as in `first_page`.
        unsafe { &*page.cast() }
    }

    /// Its first `count` words, at most all: the caller knows that the file has those which are looked at.
    #[inline]
    pub fn words(&self, count: usize) -> &[AtomicU64] {
        let count = count.min(self.bytes / 8);
        // SAFETY: mapped, aligned, and all of them words that are accessed as atomics.
        unsafe { core::slice::from_raw_parts(self.base.cast(), count) }
    }
}
