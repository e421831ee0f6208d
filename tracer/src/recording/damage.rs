//! What a reader could not read, in numbers; [`super::Recording::damage_lines`] puts it into words.

use super::metadata::ThreadSerial;

/// One thing that is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file's head is damaged; the blocks behind it are read all the same.
    Head,
    /// These bytes are no blocks.
    Bytes {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The file ends within a block, or within its head.
    Cut {
        /// Where the block begins.
        offset: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// A description (of a process, a module, ...) is damaged.
    Description {
        /// Where its block begins.
        offset: u64,
        /// A [`super::block::BlockKind`].
        kind: u8,
    },
    /// Events of a thread are missing.
    Events {
        /// The thread.
        thread: ThreadSerial,
        /// How many: exactly, if a damaged block says so; otherwise the words that are missing, of which an event takes at
        /// least one.
        count: u64,
        /// `count` is exact.
        is_exact: bool,
        /// Time of the event before, if there is one.
        from: Option<u64>,
        /// Time of the event behind, if there is one.
        until: Option<u64>,
    },
    /// The .live file beside the recording could not be read: why.
    Beside(String),
    /// The recording did not end in good order: the recorder was killed, or is still writing.
    Unfinished,
}
