//! The memory of a pair of nodes: made, sealed, mapped.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::BytesMut;

use crate::{CURSORS_BYTES, Cursors, FILE_BYTES, RING_BYTES, Reader, RingMemory, Writer};

/// Memory of one ring of a pair, mapped into this process.
#[derive(Clone, Debug)]
pub struct Memory {
    pair: Arc<Mapping>,
    cursors_offset: usize,
    bytes_offset: usize,
}

/// Which of a pair's nodes this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// With the lower rank.
    Lower,
    /// With the higher rank.
    Higher,
}

impl Memory {
    /// New memory for a pair: a file without a name that is gone with its last user. Closed on exec.
    pub fn create() -> io::Result<OwnedFd> {
        // SAFETY: the name is a C string; the flags are those of memfd_create(2).
        let raw = unsafe {
            libc::memfd_create(
                c"umbel link".as_ptr(),
                libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
            )
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor and nobody else knows it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(raw) });
        file.set_len(FILE_BYTES as u64)?;
        // SAFETY: an open descriptor and a set of seals by value.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(file.into())
    }

    /// Maps what [`Memory::create`] made: what this side writes, and what it reads.
    pub fn open(file: OwnedFd, side: Side) -> io::Result<(Writer<Self>, Reader<Self>)> {
        let file = File::from(file);
        // SAFETY: an open descriptor; no further argument.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        let is_ours = seals >= 0 && seals & SEALS == SEALS;
        if !is_ours || file.metadata()?.len() != FILE_BYTES as u64 {
            return Err(io::Error::other("it is no memory for a link"));
        }
        let pair = Arc::new(Mapping::new(&file)?);
        let ring = |index: usize| Self {
            pair: pair.clone(),
            cursors_offset: index * CURSORS_BYTES / 2,
            bytes_offset: CURSORS_BYTES + index * RING_BYTES,
        };
        let (writes, reads) = match side {
            Side::Lower => (0, 1),
            Side::Higher => (1, 0),
        };
        Ok((Writer::new(ring(writes)), Reader::new(ring(reads))))
    }

    fn bytes_at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= RING_BYTES && len <= RING_BYTES - offset);
        // SAFETY: within the mapping, by the check and the layout.
        unsafe { self.pair.start.as_ptr().add(self.bytes_offset + offset) }
    }
}

impl RingMemory for Memory {
    type Word = AtomicU64;

    #[inline]
    fn cursors(&self) -> &Cursors<AtomicU64> {
        // SAFETY: within the mapping, at a multiple of the alignment.
        let place = unsafe { self.pair.start.as_ptr().add(self.cursors_offset) };
        // SAFETY: all zero is valid, only atomic accesses are made by either process, and the mapping lives as long
        // as `self`.
        unsafe { &*place.cast::<Cursors<AtomicU64>>() }
    }

    #[inline]
    fn capacity(&self) -> usize {
        RING_BYTES
    }

    #[inline]
    fn put(&self, offset: usize, bytes: &[u8]) {
        let target = self.bytes_at(offset, bytes.len());
        // SAFETY: `bytes_at` checked the range. The reader leaves it alone until the head has moved; one that does
        // not keep to that is another process, and reads nonsense.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    #[inline]
    fn get(&self, offset: usize, len: usize, target: &mut BytesMut) {
        let source = self.bytes_at(offset, len);
        target.reserve(len);
        let end = target.len();
        // SAFETY: there is room for `len` bytes behind the vector's end.
        let place = unsafe { target.as_mut_ptr().add(end) };
        // SAFETY: `bytes_at` checked the source's range, the target was reserved. The writer leaves the range alone
        // until the tail has moved; one that does not is another process, and what is copied is some bytes all the same.
        unsafe { ptr::copy_nonoverlapping(source, place, len) };
        // SAFETY: the bytes up to there were written.
        unsafe { target.set_len(end + len) };
    }
}

/// The whole of a pair's memory; unmapped with its last ring.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
}

// SAFETY: it only names an address range; what is done there is ordered by the rings' cursors.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                FILE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at zero");
        Ok(Self { start })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no ring of it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), FILE_BYTES) };
    }
}

/// Nobody may change the size: an access behind the end would kill the process.
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

const _: () = assert!(size_of::<Cursors<AtomicU64>>() <= CURSORS_BYTES / 2);
