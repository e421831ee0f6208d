//! The file in memory.

use core::sync::atomic::{AtomicU64, Ordering};

use super::kernel::{File, call};
use super::own::Own;
use crate::append::Memory;
use crate::layout::{ChunkHeader, Header, ProcessPage, WORDS_OFFSET};
use crate::{
    CHUNK_BYTES, CHUNK_WORDS, CHUNKS_MAX, CHUNKS_OFFSET, FILTERS_BYTES, FILTERS_OFFSET, PAGE_BYTES,
    PROCESSES_MAX, TABLE_OFFSET,
};

/// A mapping of header, pages, table and `chunk_max` chunks, at an address aligned to [`CHUNK_BYTES`]. The file may be shorter:
/// who asks for a chunk knows that it is there ([`crate::Live`] checks).
#[derive(Debug)]
pub struct Mapping {
    base: *const u8,
    chunk_max: usize,
}

// SAFETY: everything in the mapping is accessed through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

pub(super) fn map(
    address: usize,
    bytes: usize,
    rights: i32,
    flags: i32,
    file: usize,
    offset: usize,
) -> Result<usize, i32> {
    let arguments = [
        address,
        bytes,
        rights as usize,
        flags as usize,
        file,
        offset,
    ];
    // SAFETY: either the kernel chooses the address, or it is inside of what these modules mapped before.
    unsafe { call(libc::SYS_mmap, arguments) }
}

pub(super) fn unmap(address: usize, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the range was mapped by these modules, and nobody refers to it.
        let _ = unsafe { call(libc::SYS_munmap, [address, bytes, 0, 0, 0, 0]) };
    }
}

/// Has the kernel bring in pages of a mapping one by one: a disk may be set to read megabytes around the first one, which are zeroed then, at the
/// price of milliseconds.
pub(super) fn bring_in_singly(address: usize, bytes: usize) {
    let advice = libc::MADV_RANDOM as usize;
    // SAFETY: advice on a mapping of these modules.
    let _ = unsafe { call(libc::SYS_madvise, [address, bytes, advice, 0, 0, 0]) };
}

/// Chunks that a short session needs: those used last are used first.
const FEW_CHUNKS: usize = 16;

impl Mapping {
    /// Maps `file` with room for `chunk_max` chunks.
    pub fn new(file: &File, chunk_max: usize) -> Result<Self, i32> {
        assert!(
            chunk_max <= CHUNKS_MAX,
            "the caller checks what the file says"
        );
        let bytes = Self::bytes_for(chunk_max);
        let nothing = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let reserved = map(
            0,
            bytes + CHUNK_BYTES,
            libc::PROT_NONE,
            nothing,
            usize::MAX,
            0,
        )?;
        let base = reserved.next_multiple_of(CHUNK_BYTES);
        let shared = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        if let Err(errno) = map(base, bytes, rights, shared, file.number(), 0) {
            unmap(reserved, bytes + CHUNK_BYTES);
            return Err(errno);
        }
        unmap(reserved, base - reserved);
        unmap(base + bytes, reserved + CHUNK_BYTES - base);
        // A core dump of the program needs none of it.
        // SAFETY: advice on our own mapping.
        let _ = unsafe {
            call(
                libc::SYS_madvise,
                [base, bytes, libc::MADV_DONTDUMP as usize, 0, 0, 0],
            )
        };
        // Behind them is what bursts need, which is written from one end to the other.
        bring_in_singly(base, Self::bytes_for(chunk_max.min(FEW_CHUNKS)));
        Ok(Self {
            base: base as *const u8,
            chunk_max,
        })
    }

    fn bytes_for(chunk_max: usize) -> usize {
        CHUNKS_OFFSET + chunk_max * CHUNK_BYTES
    }

    /// Chunks that the mapping has room for.
    pub fn chunk_max(&self) -> usize {
        self.chunk_max
    }

    /// Where the mapping begins.
    pub fn base(&self) -> usize {
        self.base as usize
    }

    fn at<T>(&self, offset: usize) -> &T {
        assert!(offset + size_of::<T>() <= Self::bytes_for(self.chunk_max));
        // SAFETY: inside the mapping, by the line above.
        let place = unsafe { self.base.add(offset) };
        // SAFETY: aligned, as all offsets of the layout are; every value of atomics and integers is one; the mapping lives as
        // long as `self`, and the file is as long as the caller knows.
        unsafe { &*place.cast() }
    }

    /// The head of the file.
    pub fn header(&self) -> &Header {
        self.at(0)
    }

    /// A process page.
    pub fn page(&self, index: usize) -> &ProcessPage {
        assert!(index < PROCESSES_MAX);
        self.at(PAGE_BYTES * (1 + index))
    }

    /// The table's entries of the first `count` chunks.
    pub fn table(&self, count: usize) -> &[AtomicU64] {
        let all: &[AtomicU64; CHUNKS_MAX] = self.at(TABLE_OFFSET);
        &all[..count]
    }

    /// The head of a chunk that the file has.
    pub fn chunk(&self, index: usize) -> &ChunkHeader {
        assert!(index < self.chunk_max);
        self.at(CHUNKS_OFFSET + index * CHUNK_BYTES)
    }

    /// Its words.
    #[inline]
    pub fn words(&self, index: usize) -> &[AtomicU64; CHUNK_WORDS] {
        assert!(index < self.chunk_max);
        self.at(CHUNKS_OFFSET + index * CHUNK_BYTES + WORDS_OFFSET)
    }

    /// The index of the chunk in which an address lies.
    #[inline]
    pub fn chunk_of(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.base() + CHUNKS_OFFSET)?;
        Some(offset / CHUNK_BYTES).filter(|&index| index < self.chunk_max)
    }

    /// Makes all words of a chunk `word`. Only for who has it [`crate::layout::ChunkState::Claimed`].
    pub fn fill(&self, index: usize, word: u64) {
        let words = self.words(index);
        // SAFETY: `words` is CHUNK_WORDS words of a shared mapping that is written as atomics everywhere: plain stores by one
        // instruction, which the compiler can't reorder with the atomics around it.
        unsafe {
            core::arch::asm!(
                "rep stosq",
                inout("rcx") CHUNK_WORDS => _, inout("rdi") words.as_ptr() => _, in("rax") word,
                options(nostack, preserves_flags)
            );
        }
    }

    /// Has the kernel make the pages of a chunk present at once: 16 faults less.
    pub fn populate(&self, index: usize) {
        let start = core::ptr::from_ref(self.chunk(index)) as usize;
        let arguments = [
            start,
            CHUNK_BYTES,
            libc::MADV_POPULATE_WRITE as usize,
            0,
            0,
            0,
        ];
        // SAFETY: advice on our own mapping; an old kernel refuses, then pages come by faults.
        let _ = unsafe { call(libc::SYS_madvise, arguments) };
    }

    /// Maps the bitmaps of excluded functions, for reading; they stay mapped.
    pub fn map_filters(file: &File) -> Result<usize, i32> {
        let rights = libc::PROT_READ;
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let base = map(
            0,
            FILTERS_BYTES,
            rights,
            flags,
            file.number(),
            FILTERS_OFFSET,
        )?;
        bring_in_singly(base, FILTERS_BYTES);
        Ok(base)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.base(), Self::bytes_for(self.chunk_max));
    }
}

/// What a cursor that a wild store has damaged leads to: nothing is written here, and nothing is read.
static NOWHERE: AtomicU64 = AtomicU64::new(2);

impl Memory for Mapping {
    type Cell = Own;

    #[inline]
    fn slot(&self, address: u64) -> &Own {
        let address = address as usize;
        let word = (address % CHUNK_BYTES)
            .checked_sub(WORDS_OFFSET)
            .map(|offset| offset / 8);
        match (self.chunk_of(address), word) {
            (Some(index), Some(word)) if address.is_multiple_of(8) => {
                Own::of(&self.words(index)[word])
            }
            _ => Own::of(&NOWHERE),
        }
    }

    #[inline]
    fn row(&self, address: u64, count: usize) -> Option<&[Own]> {
        let address = address as usize;
        if !address.is_multiple_of(8) {
            return None;
        }
        let begin = (address % CHUNK_BYTES).checked_sub(WORDS_OFFSET)? / 8;
        let index = self.chunk_of(address)?;
        self.words(index).get(begin..begin + count).map(Own::of_all)
    }

    #[inline]
    fn store_all(&self, address: u64, values: impl Iterator<Item = u64>) {
        let address = address as usize;
        let word = (address % CHUNK_BYTES).checked_sub(WORDS_OFFSET);
        if let (Some(index), Some(offset)) = (self.chunk_of(address), word) {
            let words = self.words(index).iter().skip(offset / 8);
            for (place, value) in words.zip(values) {
                place.store(value, Ordering::Release);
            }
        }
    }
}
