//! Finds a recording's blocks, also behind damaged bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::block::{FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Header, MAGIC};
use super::damage::Damage;
use super::error::{Error, Result};

/// A block.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Where its head begins.
    pub offset: u64,
    /// Its head.
    pub header: Header,
    /// The body is as it was written.
    pub body_is_whole: bool,
}

/// All blocks, in the order of the file, and what lies between them.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The blocks.
    pub blocks: Vec<Found>,
    /// What is no block.
    pub damage: Vec<Damage>,
}

/// Looks through the file from its beginning to its present end.
pub fn scan(file: &File, path: &Path) -> Result<Scanned> {
    let refuse = |error| Error::io("read", path, error);
    let length = file.metadata().map_err(refuse)?.len();
    let mut window = Window::new(file, length);
    let head = window.at(0, FILE_HEADER_BYTES.min(length as usize));
    let mut scanned = Scanned::default();
    let mut offset = match FileHeader::parse(head.map_err(refuse)?) {
        FileHeader::Readable { blocks } => blocks.min(length),
        FileHeader::Newer { major } => {
            let path = path.to_owned();
            return Err(Error::Newer { path, major });
        }
        FileHeader::Cut => {
            let cut = Damage::Cut {
                offset: 0,
                bytes: length,
            };
            scanned.damage.push(cut);
            return Ok(scanned);
        }
        FileHeader::Unknown => {
            scanned.damage.push(Damage::Head);
            next_block(&mut window, 0).map_err(refuse)?
        }
    };
    while offset < length {
        match window.header(offset).map_err(refuse)? {
            Some(header) => {
                let body = offset + HEADER_BYTES as u64;
                let end = body + u64::from(header.stored_bytes);
                if end > length {
                    // The head is whole, so its numbers are right: who cut the file, cut it here.
                    scanned.damage.push(Damage::Cut {
                        offset,
                        bytes: length - offset,
                    });
                    scanned.blocks.push(Found {
                        offset,
                        header,
                        body_is_whole: false,
                    });
                    break;
                }
                let bytes = window.at(body, header.stored_bytes as usize);
                let crc = crc32fast::hash(bytes.map_err(refuse)?);
                scanned.blocks.push(Found {
                    offset,
                    header,
                    body_is_whole: crc == header.body_crc,
                });
                offset = end;
            }
            None => {
                let next = next_block(&mut window, offset + 1).map_err(refuse)?;
                let bytes = next - offset;
                let is_cut = next == length && window.is_cut_head(offset).map_err(refuse)?;
                scanned.damage.push(match is_cut {
                    true => Damage::Cut { offset, bytes },
                    false => Damage::Bytes { offset, bytes },
                });
                offset = next;
            }
        }
    }
    if scanned.blocks.is_empty() && scanned.damage.contains(&Damage::Head) {
        return Err(Error::NoRecording(path.to_owned()));
    }
    Ok(scanned)
}

/// Offset of the next whole head at `offset` or behind; the file's length if there is none.
fn next_block(window: &mut Window, mut offset: u64) -> std::io::Result<u64> {
    while offset < window.length {
        let bytes = window.at(offset, WINDOW_BYTES.min((window.length - offset) as usize))?;
        let end = bytes.len();
        let found = bytes
            .windows(MAGIC.len())
            .position(|bytes| bytes == MAGIC.as_slice());
        match found {
            Some(at) => {
                offset += at as u64;
                if window.header(offset)?.is_some() {
                    return Ok(offset);
                }
                offset += 1;
            }
            // The magic may begin in the last bytes of this window.
            None if offset + (end as u64) < window.length => {
                offset += (end - (MAGIC.len() - 1)) as u64;
            }
            None => return Ok(window.length),
        }
    }
    Ok(window.length)
}

/// Bytes read at once: some blocks.
const WINDOW_BYTES: usize = 1 << 20;

/// A part of the file in memory.
struct Window<'a> {
    file: &'a File,
    /// Of the file when the scan began: what is added later is left to the next reader.
    length: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, length: u64) -> Self {
        Self {
            file,
            length,
            begin: 0,
            bytes: Vec::new(),
        }
    }

    /// `bytes` bytes at `offset`, which are within the file.
    fn at(&mut self, offset: u64, bytes: usize) -> std::io::Result<&[u8]> {
        let end = offset + bytes as u64;
        if offset < self.begin || end > self.begin + self.bytes.len() as u64 {
            let wanted = bytes.max(WINDOW_BYTES) as u64;
            let wanted = wanted.min(self.length.saturating_sub(offset)) as usize;
            self.begin = offset;
            self.bytes.resize(wanted, 0);
            if let Err(error) = self.file.read_exact_at(&mut self.bytes, offset) {
                self.bytes.clear();
                return Err(error);
            }
        }
        let at = (offset - self.begin) as usize;
        self.bytes
            .get(at..at + bytes)
            .ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn header(&mut self, offset: u64) -> std::io::Result<Option<Header>> {
        if offset + HEADER_BYTES as u64 > self.length {
            return Ok(None);
        }
        let bytes = self.at(offset, HEADER_BYTES)?;
        Ok(bytes.first_chunk().and_then(Header::parse))
    }

    /// The file ends within a head that begins at `offset`.
    fn is_cut_head(&mut self, offset: u64) -> std::io::Result<bool> {
        let bytes = (self.length - offset) as usize;
        if bytes >= HEADER_BYTES {
            return Ok(false);
        }
        let bytes = self.at(offset, bytes)?;
        let common = bytes.len().min(MAGIC.len());
        Ok(bytes[..common] == MAGIC[..common])
    }
}
