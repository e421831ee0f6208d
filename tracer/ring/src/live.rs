//! The shared file as one who made it or maps it sees it.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::layout::{Clock, Full, Header, MAGIC, Mode, ProcessPage, VERSION};
use crate::sys::{self, File, Mapping};
use crate::{CHUNK_BYTES, CHUNKS_MAX, CHUNKS_OFFSET, Error, Result};

/// Chunks that a session begins with: 16 MiB.
const FIRST_CHUNKS: u32 = 256;

/// How a session is made.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Bytes of chunks at most; rounded to whole chunks, at least 4.
    pub buffer_bytes: u64,
    /// What a thread does without a free chunk. With [`Full::Overwrite`] the whole buffer is reserved at once.
    pub when_full: Full,
    /// Where the time comes from.
    pub clock: Clock,
    /// Ticks per second of that clock; 0 if it isn't known yet.
    pub ticks_per_second: u64,
    /// What a new process begins with, unless UMBEL_TRACE=off is in its environment.
    pub first_mode: Mode,
    /// Name of the session.
    pub session: [u8; 16],
}

/// The shared file, mapped for reading and writing.
///
/// The file is as long as this side believes: the recorder believes only what it has itself reserved, so that a wild or hostile
/// program can't make it read beyond the end (which would be a SIGBUS); it must not be shortened by others.
#[derive(Debug)]
pub struct Live {
    pub(crate) mapping: Mapping,
    /// Open in the recorder alone: a program may close descriptors that it doesn't know.
    pub(crate) file: Option<File>,
    /// What the recorder has reserved; a program reads the header instead.
    chunk_count: AtomicU32,
    /// Plan regions that were made.
    regions: AtomicU32,
}

impl Live {
    /// Makes the file, for the recorder: it must not be there yet, and is its owner's alone. Nobody removes it but the caller.
    ///
    /// # Errors
    /// The kernel refuses; no space.
    pub fn create(path: &CStr, setup: &Setup) -> Result<Self> {
        let chunk_max =
            (setup.buffer_bytes / CHUNK_BYTES as u64).clamp(4, CHUNKS_MAX as u64) as u32;
        let first = match setup.when_full {
            Full::Overwrite => chunk_max,
            Full::Drop | Full::Wait => FIRST_CHUNKS.min(chunk_max),
        };
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let file = File::open(path, flags).map_err(Error::system("make the shared file"))?;
        file.reserve(0, chunk_end(first))
            .map_err(Error::system("reserve the shared file's blocks"))?;
        let mapping = Mapping::new(&file, chunk_max as usize)
            .map_err(Error::system("map the shared file"))?;
        let header = mapping.header();
        let relaxed = Ordering::Relaxed;
        header.version.store(VERSION, relaxed);
        header.chunk_bytes.store(CHUNK_BYTES as u32, relaxed);
        header.chunk_max.store(chunk_max, relaxed);
        header.chunk_count.store(first, relaxed);
        header.when_full.store(setup.when_full as u32, relaxed);
        header.clock.store(setup.clock as u32, relaxed);
        header.first_mode.store(setup.first_mode as u32, relaxed);
        header
            .ticks_per_second
            .store(setup.ticks_per_second, relaxed);
        header.recorder_pid.store(sys::pid(), relaxed);
        header.next_process.store(1, relaxed);
        header.next_thread.store(1, relaxed);
        let (low, high) = setup.session.split_at(8);
        for (cell, half) in header.session.iter().zip([low, high]) {
            cell.store(
                u64::from_le_bytes(half.try_into().unwrap_or_default()),
                relaxed,
            );
        }
        // Release: whoever sees the magic sees all the rest.
        header.magic.store(MAGIC, Ordering::Release);
        Ok(Self {
            mapping,
            file: Some(file),
            chunk_count: AtomicU32::new(first),
            regions: AtomicU32::new(0),
        })
    }

    /// Maps the file of a running session, for a traced program: allocates nothing, keeps no descriptor.
    ///
    /// # Errors
    /// No such file, not one of ours, or of another version.
    pub fn open_for_tracing(path: &CStr) -> Result<Self> {
        let file = File::open(path, libc::O_RDWR | libc::O_NOFOLLOW)
            .map_err(Error::system("open the shared file"))?;
        let length = || {
            file.bytes()
                .map_err(Error::system("ask for the shared file's length"))
        };
        if length()? < CHUNKS_OFFSET as u64 {
            return Err(Error::NotLive);
        }
        let few = Mapping::new(&file, 0).map_err(Error::system("map the shared file"))?;
        let (chunk_count, chunk_max) = check(few.header(), length)?;
        // A limit of address space may allow no more than what is there now.
        let mapping = Mapping::new(&file, chunk_max as usize)
            .or_else(|_| Mapping::new(&file, chunk_count as usize))
            .map_err(Error::system("map the shared file"))?;
        Ok(Self {
            mapping,
            file: None,
            chunk_count: AtomicU32::new(chunk_count),
            regions: AtomicU32::new(0),
        })
    }

    /// Makes the file longer by `chunks`, if it may grow so far, or as far as it may; how many it has now. For the recorder.
    ///
    /// # Errors
    /// It has them all; no space.
    pub fn grow(&self, chunks: u32) -> Result<u32> {
        let file = self.file.as_ref().ok_or(Error::NotLive)?;
        let count = self.chunk_count.load(Ordering::Relaxed);
        let wanted = count
            .saturating_add(chunks)
            .min(self.mapping.chunk_max() as u32);
        if wanted <= count {
            return Err(Error::NoMoreChunks);
        }
        file.reserve(chunk_end(count), chunk_end(wanted))
            .map_err(Error::system("reserve more of the shared file"))?;
        self.chunk_count.store(wanted, Ordering::Relaxed);
        // Release: the blocks are there before anybody believes it.
        let header = self.header();
        header.chunk_count.store(wanted, Ordering::Release);
        header.freed.fetch_add(1, Ordering::SeqCst);
        sys::futex_wake(sys::low_half(&header.freed));
        Ok(wanted)
    }

    /// The index of a plan region that nobody has yet, for the recorder.
    pub(crate) fn next_region(&self) -> usize {
        self.regions.fetch_add(1, Ordering::Relaxed) as usize
    }

    /// The head of the file.
    pub fn header(&self) -> &Header {
        self.mapping.header()
    }

    /// A process page: `index` below [`crate::PROCESSES_MAX`].
    pub fn page(&self, index: usize) -> &ProcessPage {
        self.mapping.page(index)
    }

    /// Chunks there are, as far as this side knows: a program looks into the header.
    pub fn chunk_count(&self) -> usize {
        let known = match self.file {
            Some(_) => self.chunk_count.load(Ordering::Relaxed),
            None => self.header().chunk_count.load(Ordering::Acquire),
        };
        (known as usize).min(self.mapping.chunk_max())
    }

    /// The table's entries.
    pub fn table(&self) -> &[AtomicU64] {
        self.mapping.table(self.chunk_count())
    }

    /// Where the file is mapped.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// Where the chunks end in the file.
fn chunk_end(count: u32) -> u64 {
    CHUNKS_OFFSET as u64 + u64::from(count) * CHUNK_BYTES as u64
}

/// Is it such a file, of our version, as long as it says? Its chunks now and at most. `length` is asked for its bytes after
/// the count is read: the recorder may make it longer at this moment, the file first and then the count.
pub(crate) fn check(header: &Header, length: impl FnOnce() -> Result<u64>) -> Result<(u32, u32)> {
    // Acquire: pairs with the store in `create`.
    if header.magic.load(Ordering::Acquire) != MAGIC {
        return Err(Error::NotLive);
    }
    let found = header.version.load(Ordering::Relaxed);
    if found != VERSION {
        return Err(Error::Version { found });
    }
    let count = header.chunk_count.load(Ordering::Acquire);
    let most = header.chunk_max.load(Ordering::Relaxed);
    let sound = header.chunk_bytes.load(Ordering::Relaxed) == CHUNK_BYTES as u32
        && count <= most
        && most <= CHUNKS_MAX as u32
        && chunk_end(count) <= length()?;
    if sound {
        Ok((count, most))
    } else {
        Err(Error::Damaged)
    }
}
