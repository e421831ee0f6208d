//! Journal entries: which processes, threads and modules there are.

use alloc::string::String;
use alloc::vec::Vec;

use crate::word::{Code, Word, text_words};

/// How a process came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Origin {
    /// It was started with the tracer, or by a program that isn't traced.
    Start = 0,
    /// By exec: the same process had another serial before.
    Exec = 1,
    /// By fork of a traced one.
    Fork = 2,
}

/// An entry, as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A process begins.
    Process {
        /// When.
        ticks: u64,
        /// How.
        origin: Origin,
        /// Its parent.
        parent_pid: u32,
        /// Path of the executable.
        executable: Vec<u8>,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// A thread has its first event.
    Thread {
        /// When.
        ticks: u64,
        /// Its serial.
        thread: u64,
        /// Its tid.
        tid: u32,
        /// Its name then.
        name: String,
    },
    /// A module is there: events before this may be in it too, if nothing else was.
    Module {
        /// When it was noticed.
        ticks: u64,
        /// Add it to the addresses of its file.
        bias: u64,
        /// First address of its executable segments.
        begin: u64,
        /// Behind the last.
        end: u64,
        /// Behind all of its memory.
        memory_end: u64,
        /// Empty if it has none.
        build_id: Vec<u8>,
        /// Its path, as the program's loader has it.
        path: Vec<u8>,
    },
    /// A module is gone.
    ModuleGone {
        /// When it was noticed.
        ticks: u64,
        /// Which.
        bias: u64,
    },
    /// The process is a node of a distributed program.
    Rank {
        /// When it said so.
        ticks: u64,
        /// Its rank.
        rank: u32,
    },
}

/// The entries in a journal's words; what is none is skipped.
pub fn entries(mut words: &[u64]) -> impl Iterator<Item = Entry> + '_ {
    core::iter::from_fn(move || {
        loop {
            let (&first, rest) = words.split_first()?;
            let Word::Special {
                code,
                payload_words,
            } = Word::parse(first)
            else {
                words = rest;
                continue;
            };
            let count = usize::from(payload_words).min(rest.len());
            let (payload, rest) = rest.split_at(count);
            words = rest;
            if let Some(entry) = parse(code, payload) {
                return Some(entry);
            }
        }
    })
}

/// One entry, if `code` is a journal's.
pub fn parse(code: u16, payload: &[u64]) -> Option<Entry> {
    let mut words = Words(payload);
    let ticks = words.word()?;
    match code {
        code if code == Code::Process as u16 => Some(Entry::Process {
            ticks,
            origin: match words.word()? {
                1 => Origin::Exec,
                2 => Origin::Fork,
                _ => Origin::Start,
            },
            parent_pid: words.word()? as u32,
            executable: words.bytes()?,
            arguments: arguments(&words.bytes()?),
        }),
        code if code == Code::Thread as u16 => Some(Entry::Thread {
            ticks,
            thread: words.word()?,
            tid: words.word()? as u32,
            name: String::from_utf8_lossy(&words.bytes()?).into_owned(),
        }),
        code if code == Code::Module as u16 => Some(Entry::Module {
            ticks,
            bias: words.word()?,
            begin: words.word()?,
            end: words.word()?,
            memory_end: words.word()?,
            build_id: words.bytes()?,
            path: words.bytes()?,
        }),
        code if code == Code::ModuleGone as u16 => Some(Entry::ModuleGone {
            ticks,
            bias: words.word()?,
        }),
        code if code == Code::Rank as u16 => Some(Entry::Rank {
            ticks,
            rank: u32::try_from(words.word()?).ok()?,
        }),
        _ => None,
    }
}

fn arguments(joined: &[u8]) -> Vec<Vec<u8>> {
    if joined.is_empty() {
        return Vec::new();
    }
    joined
        .split(|&byte| byte == 0)
        .map(<[u8]>::to_vec)
        .collect()
}

/// A payload that is read.
struct Words<'a>(&'a [u64]);

impl Words<'_> {
    fn word(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.word()?).ok()?;
        let words = length.div_ceil(8);
        let text = self.0.get(..words)?;
        self.0 = &self.0[words..];
        let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// A payload that is written, in a buffer of the caller's: what doesn't fit is cut off.
#[derive(Debug)]
pub struct Payload<'a> {
    words: &'a mut [u64],
    used: usize,
}

impl<'a> Payload<'a> {
    /// An empty one.
    pub fn new(words: &'a mut [u64]) -> Self {
        Self { words, used: 0 }
    }

    /// Adds a number.
    pub fn word(&mut self, word: u64) -> &mut Self {
        if let Some(place) = self.words.get_mut(self.used) {
            *place = word;
            self.used += 1;
        }
        self
    }

    /// Adds bytes, as many as there is room for.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let room = self.words.len().saturating_sub(self.used + 1) * 8;
        let bytes = &bytes[..bytes.len().min(room)];
        self.word(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
        self
    }

    /// What was written.
    pub fn words(&self) -> &[u64] {
        &self.words[..self.used]
    }
}

/// Words that `Payload` needs for numbers and texts.
pub fn payload_words(numbers: usize, texts: &[usize]) -> usize {
    numbers + texts.iter().map(|&bytes| text_words(bytes)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_what_was_written() {
        let mut buffer = [0; 64];
        let mut payload = Payload::new(&mut buffer);
        payload
            .word(9)
            .word(1)
            .word(77)
            .bytes(b"/bin/prog")
            .bytes(b"prog\0-x\0");
        let mut words = std::vec![
            Word::Special {
                code: Code::Process as u16,
                payload_words: payload.words().len() as u16,
            }
            .pack()
        ];
        words.extend(payload.words());
        let found: Vec<_> = entries(&words).collect();
        assert_eq!(
            found,
            [Entry::Process {
                ticks: 9,
                origin: Origin::Exec,
                parent_pid: 77,
                executable: b"/bin/prog".to_vec(),
                arguments: std::vec![b"prog".to_vec(), b"-x".to_vec(), Vec::new()],
            }]
        );
    }

    #[test]
    fn lengths_that_lie_give_no_entry() {
        for lie in [u64::MAX, 9, 1 << 40] {
            let payload = [5, 1, 7, lie, 0];
            assert_eq!(parse(Code::Thread as u16, &payload), None);
            assert_eq!(parse(Code::Process as u16, &payload), None);
        }
        assert_eq!(parse(Code::Module as u16, &[]), None);
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut buffer = [0; 3];
        let mut payload = Payload::new(&mut buffer);
        payload.word(1).bytes(b"twelve bytes").word(2);
        assert_eq!(payload.words().len(), 3);
        assert_eq!(payload.words()[1], 8);
    }
}
