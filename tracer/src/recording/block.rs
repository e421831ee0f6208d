//! The frame around everything in a recording.
//!
//! The file's head, [`FILE_HEADER_BYTES`] long; everything is little-endian:
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 8 | `UMBLTRC\n` |
//! | 8 | 2 | major version: readers refuse a newer one |
//! | 10 | 2 | minor version: readers skip what they don't know |
//! | 12 | 4 | bytes of this head: where the first block begins |
//! | 16 | 12 | 0 |
//! | 28 | 4 | CRC-32 of the bytes before |
//!
//! Then blocks, each with a head of [`HEADER_BYTES`]. A block is written by one call of the system, so that a recording that was
//! killed ends with a whole block or within one.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 4 | f5 `U` `B` 0a: where a reader goes on behind damaged bytes |
//! | 4 | 1 | [`BlockKind`]; readers skip unknown kinds |
//! | 5 | 1 | 0: body as it is; 1: body is a zstd frame |
//! | 6 | 2 | 0 |
//! | 8 | 4 | bytes of the body in the file |
//! | 12 | 4 | bytes of the body unpacked |
//! | 16 | 8 | process |
//! | 24 | 8 | thread |
//! | 32 | 8 | position: words that the thread wrote before |
//! | 40 | 4 | words that the block stands for |
//! | 44 | 4 | events in it |
//! | 48 | 8 | time of the first |
//! | 56 | 8 | time of the last |
//! | 64 | 4 | CRC-32 of the body as it is in the file |
//! | 68 | 4 | CRC-32 of this head before |
//!
//! The fields from 16 to 63 are 0 where a block has no such thing.

/// First bytes of a recording.
pub const FILE_MAGIC: [u8; 8] = *b"UMBLTRC\n";
/// Readers refuse a newer one.
pub const MAJOR: u16 = 1;
/// Only to be shown.
pub const MINOR: u16 = 0;
/// Bytes before the first block.
pub const FILE_HEADER_BYTES: usize = 32;
/// First bytes of a block.
pub const MAGIC: [u8; 4] = [0xf5, b'U', b'B', 0x0a];
/// Bytes of a block's head.
pub const HEADER_BYTES: usize = 72;
/// Bytes of a body, in the file and unpacked: what a reader is ready to hold in memory for the word of a damaged file.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Events of a block.
pub const EVENTS_MAX: usize = 64 << 10;

/// What is in a block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockKind {
    /// [`super::SessionInfo`].
    Session = 1,
    /// [`super::ProcessInfo`].
    Process = 2,
    /// [`super::ThreadInfo`].
    Thread = 3,
    /// [`super::ModuleInfo`].
    Module = 4,
    /// [`super::ModuleGone`].
    ModuleGone = 5,
    /// [`super::ClockPoint`].
    Clock = 6,
    /// [`super::ProcessEnd`].
    Ended = 7,
    /// [`super::LostInfo`].
    Lost = 8,
    /// [`super::Names`].
    Names = 9,
    /// [`super::Finish`].
    Finish = 10,
    /// [`super::TypesPart`].
    Types = 11,
    /// [`super::PlanInfo`].
    Plan = 12,
    /// Events of one thread: see [`super::codec`].
    Events = 16,
}

/// A block's head, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// A [`BlockKind`], if it is known.
    pub kind: u8,
    /// 1: the body is a zstd frame.
    pub packing: u8,
    /// Bytes of the body in the file.
    pub stored_bytes: u32,
    /// Bytes of the body unpacked.
    pub raw_bytes: u32,
    /// Serial of the process.
    pub process: u64,
    /// Serial of the thread.
    pub thread: u64,
    /// Words that the thread wrote before.
    pub position: u64,
    /// Words that the block stands for.
    pub words: u32,
    /// Events in it.
    pub events: u32,
    /// Time of the first.
    pub first_ticks: u64,
    /// Time of the last.
    pub last_ticks: u64,
    /// Checksum of the body.
    pub body_crc: u32,
}

impl Header {
    /// As it stands in the file.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&MAGIC);
        put(&[self.kind, self.packing, 0, 0]);
        put(&self.stored_bytes.to_le_bytes());
        put(&self.raw_bytes.to_le_bytes());
        put(&self.process.to_le_bytes());
        put(&self.thread.to_le_bytes());
        put(&self.position.to_le_bytes());
        put(&self.words.to_le_bytes());
        put(&self.events.to_le_bytes());
        put(&self.first_ticks.to_le_bytes());
        put(&self.last_ticks.to_le_bytes());
        put(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None`: these bytes are no block's head, or a damaged one.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || u32_at(bytes, 68) != crc32fast::hash(&bytes[..68]) {
            return None;
        }
        let header = Self {
            kind: bytes[4],
            packing: bytes[5],
            stored_bytes: u32_at(bytes, 8),
            raw_bytes: u32_at(bytes, 12),
            process: u64_at(bytes, 16),
            thread: u64_at(bytes, 24),
            position: u64_at(bytes, 32),
            words: u32_at(bytes, 40),
            events: u32_at(bytes, 44),
            first_ticks: u64_at(bytes, 48),
            last_ticks: u64_at(bytes, 56),
            body_crc: u32_at(bytes, 64),
        };
        let is_possible = header.stored_bytes as usize <= BODY_BYTES_MAX
            && header.raw_bytes as usize <= BODY_BYTES_MAX
            && header.events as usize <= EVENTS_MAX
            && header.position.checked_add(header.words.into()).is_some();
        is_possible.then_some(header)
    }

    /// Position of the first word behind the block.
    pub fn end_position(&self) -> u64 {
        self.position + u64::from(self.words)
    }
}

/// The file's head.
pub fn file_header() -> [u8; FILE_HEADER_BYTES] {
    let mut bytes = [0; FILE_HEADER_BYTES];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..10].copy_from_slice(&MAJOR.to_le_bytes());
    bytes[10..12].copy_from_slice(&MINOR.to_le_bytes());
    bytes[12..16].copy_from_slice(&(FILE_HEADER_BYTES as u32).to_le_bytes());
    let crc = crc32fast::hash(&bytes[..FILE_HEADER_BYTES - 4]);
    bytes[FILE_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileHeader {
    /// A recording that we can read; its first block is at `blocks`.
    Readable {
        /// Offset of the first block.
        blocks: u64,
    },
    /// A recording of a later, incompatible version.
    Newer {
        /// Its major version.
        major: u16,
    },
    /// The file ends within its head, which is right so far.
    Cut,
    /// Something else, or a recording with a damaged head.
    Unknown,
}

impl FileHeader {
    /// Looks at a file's first [`FILE_HEADER_BYTES`], or all if it has fewer.
    pub fn parse(bytes: &[u8]) -> Self {
        let Some(bytes) = bytes.first_chunk::<FILE_HEADER_BYTES>() else {
            return match file_header().starts_with(bytes) {
                true => Self::Cut,
                false => Self::Unknown,
            };
        };
        let crc = crc32fast::hash(&bytes[..FILE_HEADER_BYTES - 4]);
        if bytes[..8] != FILE_MAGIC || u32_at(bytes, FILE_HEADER_BYTES - 4) != crc {
            return Self::Unknown;
        }
        let major = u16::from_le_bytes([bytes[8], bytes[9]]);
        if major > MAJOR {
            return Self::Newer { major };
        }
        Self::Readable {
            blocks: u64::from(u32_at(bytes, 12)),
        }
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: BlockKind::Events as u8,
        packing: 0,
        stored_bytes: 0x0102,
        raw_bytes: 0x0304,
        process: 5,
        thread: 6,
        position: 7,
        words: 8,
        events: 9,
        first_ticks: 10,
        last_ticks: 11,
        body_crc: 0x0c0d_0e0f,
    };

    #[test]
    fn heads_are_these_bytes() {
        let text = HEADER.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            text,
            "f555420a10000000020100000403000005000000000000000600000000000000\
             07000000000000000800000009000000\
             0a000000000000000b000000000000000f0e0d0c361abf9c"
        );
        let text = file_header().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            text,
            "554d424c5452430a0100000020000000000000000000000000000000871a12ba"
        );
    }

    #[test]
    fn a_head_with_any_bit_flipped_is_refused() {
        let good = HEADER.to_bytes();
        assert_eq!(Header::parse(&good), Some(HEADER));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_major_version_is_refused_and_a_newer_minor_is_not() {
        let with = |at: usize, version: u16| {
            let mut bytes = file_header();
            bytes[at..at + 2].copy_from_slice(&version.to_le_bytes());
            let crc = crc32fast::hash(&bytes[..28]);
            bytes[28..].copy_from_slice(&crc.to_le_bytes());
            FileHeader::parse(&bytes)
        };
        assert_eq!(with(8, MAJOR + 1), FileHeader::Newer { major: MAJOR + 1 });
        assert_eq!(with(10, 9), FileHeader::Readable { blocks: 32 });
    }

    #[test]
    fn every_beginning_of_a_head_is_a_cut_recording() {
        for bytes in 0..FILE_HEADER_BYTES {
            assert_eq!(FileHeader::parse(&file_header()[..bytes]), FileHeader::Cut);
        }
        assert_eq!(FileHeader::parse(b"#!/bin/sh"), FileHeader::Unknown);
    }
}
