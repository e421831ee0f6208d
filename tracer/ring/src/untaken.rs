//! What lies in a shared file, for whoever reads a recording: nothing is changed, and the file may be damaged, shortened
//! meanwhile, or still in use.

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::sync::atomic::Ordering;

use crate::append::whole_words;
use crate::layout::{ChunkHeader, ChunkState, Header, WORDS_OFFSET};
use crate::live::check;
use crate::pool::Entry;
use crate::sys::{File, Plain};
use crate::take::Found;
use crate::{CHUNK_BYTES, CHUNKS_OFFSET, ChunkInfo, Error, PAGE_BYTES, Result, TABLE_OFFSET};

/// A shared file that is read: by read calls, so that it may be cut off at any time.
#[derive(Debug)]
pub struct Untaken {
    file: File,
    header: Plain<Header>,
    chunk_count: usize,
}

impl Untaken {
    /// Opens the file of a session that runs, or ended without order.
    ///
    /// # Errors
    /// No such file, not one of ours, or of another version. A file that is shorter than it says is read as far as it goes.
    pub fn open(path: &CStr) -> Result<Self> {
        let file =
            File::open(path, libc::O_RDONLY).map_err(Error::system("open the shared file"))?;
        let mut bytes = vec![0; PAGE_BYTES];
        let count = file
            .read_at(&mut bytes, 0)
            .map_err(Error::system("read the shared file"))?;
        if count < PAGE_BYTES {
            return Err(Error::NotLive);
        }
        let header = Plain::new(&bytes);
        let length = file
            .bytes()
            .map_err(Error::system("ask for the shared file's length"))?;
        let chunk_count = match check(&header, || Ok(length)) {
            Ok((count, _)) => count as usize,
            Err(Error::Damaged) => (length.saturating_sub(CHUNKS_OFFSET as u64) as usize
                / CHUNK_BYTES)
                .min(crate::CHUNKS_MAX),
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            header,
            chunk_count,
        })
    }

    /// The head of the file, as it was when it was opened.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Name of the session.
    pub fn session(&self) -> [u8; 16] {
        let [low, high] = &self.header.session;
        let both = u128::from(low.load(Ordering::Relaxed))
            | u128::from(high.load(Ordering::Relaxed)) << 64;
        both.to_le_bytes()
    }

    /// Hands what lies in chunks that are not free to `sink`, each from its first word, so also what the recorder has taken but
    /// not freed, or had claimed when it was killed, and perhaps not written down.
    ///
    /// # Errors
    /// The file can't be read; what was handed on until then is sound.
    pub fn read(&self, sink: &mut impl FnMut(&ChunkInfo, u64, &[u64])) -> Result<()> {
        let read_error = || Error::system("read the shared file");
        let mut table = vec![0; 8 * self.chunk_count];
        self.file
            .read_at(&mut table, TABLE_OFFSET as u64)
            .map_err(read_error())?;
        let mut found = Vec::new();
        let mut head = vec![0; WORDS_OFFSET];
        for (index, entry) in table.chunks_exact(8).enumerate() {
            let entry = Entry(u64::from_le_bytes(entry.try_into().unwrap_or_default()));
            if matches!(entry.state(), None | Some(ChunkState::Free)) {
                continue;
            }
            self.file
                .read_at(&mut head, place(index))
                .map_err(read_error())?;
            found.extend(Found::read(index, entry, &Plain::<ChunkHeader>::new(&head)));
        }
        found.sort_unstable_by_key(Found::order);
        let mut bytes = vec![0; CHUNK_BYTES];
        let mut words = Vec::new();
        for chunk in &found {
            bytes.fill(0);
            self.file
                .read_at(&mut bytes, place(chunk.index))
                .map_err(read_error())?;
            let word = |index: usize| {
                let at = WORDS_OFFSET + 8 * index;
                u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
            };
            words.clear();
            // Not taken from the one who writes it, so what is pending is skipped.
            let now = Plain::<ChunkHeader>::new(&bytes[..WORDS_OFFSET]);
            let again = Found::read(chunk.index, chunk.entry, &now);
            let Some(again) = again.filter(|again| again.info == chunk.info) else {
                continue;
            };
            // From the chunk's first word, which is a time; what was taken, the reader finds by its position in the recording.
            if whole_words(0, false, word, |word| words.push(word)) > 0 {
                sink(&again.info, again.words_before, &words);
            }
        }
        Ok(())
    }
}

fn place(index: usize) -> u64 {
    (CHUNKS_OFFSET + index * CHUNK_BYTES) as u64
}
