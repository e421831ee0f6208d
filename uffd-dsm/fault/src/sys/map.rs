//! Mappings: the memory file, its views, and plain zeroed tables.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

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
                libc::PROT_READ | libc::PROT_WRITE,
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

    /// Copies bytes out. Other threads may write them at the same time only in violation of the
    /// protocol (rights are revoked before a copy is taken).
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
