//! Mappings: the memory file, its views, and plain zeroed tables.

use std::ffi::CStr;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use super::lines::{self, LINE_BYTES};
use crate::space::Rights;

/// Sparse memory file of `bytes` bytes, closed on exec.
pub fn memory_file(name: &CStr, bytes: u64) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a C string; the flags ask for nothing shared with other processes.
    let raw = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: changes the size of a file that only we have.
    if unsafe { libc::ftruncate(file.as_raw_fd(), bytes as libc::off_t) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// A mapping that lasts until the process ends: objects' addresses are for life.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    start: usize,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of `file` from `offset`, at `address` exactly or (0) where the kernel likes.
    /// Without a file the memory is private and zero.
    pub fn new(address: usize, len: usize, file: Option<(&OwnedFd, u64)>) -> io::Result<Self> {
        Self::with_rights(address, len, file, Rights::Write)
    }

    /// The same, with these rights on it.
    pub fn with_rights(
        address: usize,
        len: usize,
        file: Option<(&OwnedFd, u64)>,
        rights: Rights,
    ) -> io::Result<Self> {
        let placement = if address == 0 {
            0
        } else {
            libc::MAP_FIXED_NOREPLACE
        };
        let (kind, descriptor, offset) = match file {
            Some((file, offset)) => (libc::MAP_SHARED, file.as_raw_fd(), offset as libc::off_t),
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
        };
        // SAFETY: MAP_FIXED_NOREPLACE never replaces a mapping; otherwise the kernel chooses a free place.
        let start = unsafe {
            libc::mmap(
                address as *mut libc::c_void,
                len,
                protection(rights),
                kind | placement | libc::MAP_NORESERVE,
                descriptor,
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if address != 0 && start as usize != address {
            // A kernel before 4.17 takes the address as a hint.
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        Ok(Self {
            start: start as usize,
            len,
        })
    }

    /// Ends it: only for one that nobody was told of.
    pub fn unmap(self) {
        // SAFETY: exactly this mapping, whose address its maker has told nobody.
        unsafe { libc::munmap(self.start as *mut libc::c_void, self.len) };
    }

    /// First address.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Gives `advice` on the whole mapping.
    pub fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        self.advise_range(0, self.len, advice)
    }

    /// Gives `advice` on `len` bytes from `offset`.
    pub fn advise_range(&self, offset: usize, len: usize, advice: libc::c_int) -> io::Result<()> {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range outside the mapping"
        );
        // SAFETY: the range is inside this mapping. Advice that drops contents (DONTNEED) is given only on
        // views, whose bytes stay in the file.
        let result =
            unsafe { libc::madvise((self.start + offset) as *mut libc::c_void, len, advice) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Allows what `rights` say on `len` bytes from `offset`. When it returns no thread can do what they don't say.
    pub fn protect(&self, offset: usize, len: usize, rights: Rights) -> io::Result<()> {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range outside the mapping"
        );
        let start = (self.start + offset) as *mut libc::c_void;
        // SAFETY: the range is inside this mapping, a view: who may not use it faults, and waits.
        let result = unsafe { libc::mprotect(start, len, protection(rights)) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Copies bytes out. Where threads may store at the same time (a weak copy is compared with its twin while
    /// they go on) each byte is one that was there: x86-64 tears no byte, and what they store after the copy
    /// differs from the twin the next time.
    pub fn read(&self, offset: usize, target: &mut [u8]) {
        assert!(
            offset <= self.len && target.len() <= self.len - offset,
            "range outside the mapping"
        );
        // SAFETY: the source range is inside this mapping, which lasts for ever; the target is borrowed mutably.
        unsafe {
            ptr::copy_nonoverlapping(
                (self.start + offset) as *const u8,
                target.as_mut_ptr(),
                target.len(),
            )
        };
    }

    /// Reads the byte at `offset` for nothing but its page fault.
    pub fn touch(&self, offset: usize) {
        assert!(offset < self.len, "byte outside the mapping");
        // SAFETY: the byte is inside this mapping, which lasts for ever.
        unsafe { ptr::read_volatile((self.start + offset) as *const u8) };
    }

    /// As `read`, to the end of `out`.
    pub fn append(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range outside the mapping"
        );
        out.reserve(len);
        let spare = out.spare_capacity_mut();
        // SAFETY: the source range is inside this mapping, which lasts for ever; `reserve` made room for the target.
        unsafe {
            ptr::copy_nonoverlapping(
                (self.start + offset) as *const u8,
                spare.as_mut_ptr().cast(),
                len,
            )
        };
        // SAFETY: these bytes were just written.
        unsafe { out.set_len(out.len() + len) };
    }

    /// `len` bytes from `offset`, for many short accesses.
    pub fn part(&self, offset: usize, len: usize) -> Part<'_> {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range outside the mapping"
        );
        Part {
            start: self.start + offset,
            len,
            mapping: PhantomData,
        }
    }

    /// The word of `width` bytes at `offset`, if it is inside and aligned.
    pub fn word(&self, offset: usize, width: usize) -> Option<Word<'_>> {
        if width == 0 || !offset.is_multiple_of(width) || offset.checked_add(width)? > self.len {
            return None;
        }
        let address = self.start + offset;
        // The mapping starts at a page, so the address is aligned as the offset is.
        match width {
            // SAFETY: inside this mapping, which lasts for ever; every value is valid.
            1 => Some(Word::W1(unsafe { AtomicU8::from_ptr(address as *mut u8) })),
            // SAFETY: as above, and aligned (checked).
            2 => Some(Word::W2(unsafe {
                AtomicU16::from_ptr(address as *mut u16)
            })),
            // SAFETY: as above.
            4 => Some(Word::W4(unsafe {
                AtomicU32::from_ptr(address as *mut u32)
            })),
            // SAFETY: as above.
            8 => Some(Word::W8(unsafe {
                AtomicU64::from_ptr(address as *mut u64)
            })),
            _ => None,
        }
    }

    /// Copies bytes in; the same condition holds.
    pub fn write(&self, offset: usize, source: &[u8]) {
        assert!(
            offset <= self.len && source.len() <= self.len - offset,
            "range outside the mapping"
        );
        // SAFETY: the target range is inside this mapping, which lasts for ever.
        unsafe {
            ptr::copy_nonoverlapping(
                source.as_ptr(),
                (self.start + offset) as *mut u8,
                source.len(),
            )
        };
    }
}

/// A part of a mapping that was checked once: comparing and merging take hundreds of runs of a few bytes each from a
/// page, and a call for each of them would cost more than the bytes. What [`Mapping::read`] says of other threads holds.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    start: usize,
    len: usize,
    mapping: PhantomData<&'a Mapping>,
}

impl Part<'_> {
    /// Copies bytes out.
    #[inline]
    pub fn read(&self, offset: usize, target: &mut [u8]) {
        self.check(offset, target.len());
        let len = target.len();
        if len > 16 {
            // SAFETY: the source range was just checked; the mapping lasts for ever; the target is borrowed mutably.
            unsafe {
                ptr::copy_nonoverlapping(
                    (self.start + offset) as *const u8,
                    target.as_mut_ptr(),
                    len,
                )
            };
        } else if len >= 8 {
            self.read_ends::<8>(offset, target);
        } else if len >= 4 {
            self.read_ends::<4>(offset, target);
        } else if len >= 2 {
            self.read_ends::<2>(offset, target);
        } else if len == 1 {
            self.read_ends::<1>(offset, target);
        }
    }

    /// A bit for each line from `offset` on that differs from `clean`, the first one lowest. Bytes behind the last whole line
    /// are left out.
    ///
    /// Panics if there are more than 64 lines.
    #[inline]
    pub fn changed_lines(&self, offset: usize, clean: &[u8]) -> u64 {
        self.check(offset, clean.len());
        let (lines, _) = clean.as_chunks::<LINE_BYTES>();
        assert!(lines.len() <= 64, "a bit for each line");
        // SAFETY: the range was just checked; the mapping lasts for ever.
        unsafe { lines::changed_lines(lines, (self.start + offset) as *const u8) }
    }

    /// Copies bytes in, and touches no others.
    #[inline]
    pub fn write(&self, offset: usize, source: &[u8]) {
        self.check(offset, source.len());
        let len = source.len();
        if len > 16 {
            // SAFETY: the target range was just checked; the mapping lasts for ever.
            unsafe {
                ptr::copy_nonoverlapping(source.as_ptr(), (self.start + offset) as *mut u8, len)
            };
        } else if len >= 8 {
            self.write_ends::<8>(offset, source);
        } else if len >= 4 {
            self.write_ends::<4>(offset, source);
        } else if len >= 2 {
            self.write_ends::<2>(offset, source);
        } else if len == 1 {
            self.write_ends::<1>(offset, source);
        }
    }

    #[inline]
    fn check(&self, offset: usize, len: usize) {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "range outside the part"
        );
    }

    /// N to 2 N bytes, by two accesses that may overlap.
    #[inline]
    fn read_ends<const N: usize>(&self, offset: usize, target: &mut [u8]) {
        let last = offset + target.len() - N;
        if let Some(first_bytes) = target.first_chunk_mut::<N>() {
            *first_bytes = self.load(offset);
        }
        if let Some(last_bytes) = target.last_chunk_mut::<N>() {
            *last_bytes = self.load(last);
        }
    }

    #[inline]
    fn write_ends<const N: usize>(&self, offset: usize, source: &[u8]) {
        if let (Some(first), Some(last)) = (source.first_chunk::<N>(), source.last_chunk::<N>()) {
            self.store(offset, *first);
            self.store(offset + source.len() - N, *last);
        }
    }

    /// `offset..offset + N` was checked.
    #[inline]
    fn load<const N: usize>(&self, offset: usize) -> [u8; N] {
        // SAFETY: callers have checked the range; the mapping lasts for ever; any bytes are an array of bytes.
        unsafe { ptr::read((self.start + offset) as *const [u8; N]) }
    }

    /// `offset..offset + N` was checked.
    #[inline]
    fn store<const N: usize>(&self, offset: usize, bytes: [u8; N]) {
        // SAFETY: callers have checked the range; the mapping lasts for ever; an array of bytes needs no alignment.
        unsafe { ptr::write((self.start + offset) as *mut [u8; N], bytes) }
    }
}

fn protection(rights: Rights) -> libc::c_int {
    match rights {
        Rights::None => libc::PROT_NONE,
        Rights::Read => libc::PROT_READ,
        Rights::Write => libc::PROT_READ | libc::PROT_WRITE,
    }
}

/// A word of memory that threads may use at the same time.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// Of one byte.
    W1(&'a AtomicU8),
    /// Of two bytes.
    W2(&'a AtomicU16),
    /// Of four bytes.
    W4(&'a AtomicU32),
    /// Of eight bytes.
    W8(&'a AtomicU64),
}

/// Gives the memory of `len` bytes of `file` from `offset` back; the file keeps its size.
pub fn punch_hole(file: &OwnedFd, offset: u64, len: u64) -> io::Result<()> {
    // SAFETY: changes the contents of a file that only we have; mappings of it stay valid and read zero.
    let result = unsafe {
        libc::fallocate(
            file.as_raw_fd(),
            libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
            offset as libc::off_t,
            len as libc::off_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// `count` words of zero that last until the process ends; untouched pages cost nothing.
pub fn zeroed_words(count: usize) -> io::Result<&'static [AtomicU64]> {
    let mapping = Mapping::new(0, count * size_of::<AtomicU64>(), None)?;
    // SAFETY: the mapping is `count` words long, aligned to a page, zero (a valid AtomicU64), and never unmapped.
    Ok(unsafe { std::slice::from_raw_parts(mapping.start as *const AtomicU64, count) })
}

/// Private zeroed memory at exactly this address, until the process ends.
pub fn private_memory(address: usize, len: usize) -> io::Result<()> {
    Mapping::new(address, len, None).map(|_| ())
}
