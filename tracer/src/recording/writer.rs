//! Writes recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use umbel_values::{Kept, Type};

use super::block::{self, BODY_BYTES_MAX, BlockKind, Header};
use super::codec::Encoder;
use super::error::{Error, Result};
use super::event::{Event, Hear, Parser};
use super::metadata::{
    ClockPoint, Ended, Finish, Image, LostInfo, ModuleGone, ModuleInfo, Name, Names, PlanInfo,
    ProcessEnd, ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, TypesPart,
};

/// Writes one recording. Everything given to it is in the file when the call returns, whole blocks of it only: a write that
/// fails (a full disk) leaves nothing behind, and may be tried again.
pub struct Writer {
    file: File,
    path: PathBuf,
    /// Where the next block goes.
    end: u64,
    encoder: Encoder,
    /// For descriptions. Made once: that asks the processor what it is, which takes a virtual one longer than a description.
    packer: zstd::bulk::Compressor<'static>,
    threads: BTreeMap<ThreadSerial, ThreadState>,
    named: BTreeMap<Image, BTreeSet<u64>>,
    body: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Default)]
struct ThreadState {
    parser: Parser,
    end_position: u64,
}

/// Bodies of metadata are packed from here on.
const PACKED_FROM: usize = 256;

/// zstd's level for descriptions: there are many plans, each made while a thread waits for it.
const DESCRIPTIONS_LEVEL: i32 = 1;

impl Writer {
    /// Makes the file, or empties the one that is there, and describes the session in it.
    pub fn create(path: &Path, session: &SessionInfo) -> Result<Self> {
        let file = File::options()
            .write(true)
            .read(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|error| Error::io("create", path, error))?;
        let encoder = Encoder::new().map_err(|error| Error::io("compress for", path, error))?;
        let packer = zstd::bulk::Compressor::new(DESCRIPTIONS_LEVEL)
            .map_err(|error| Error::io("compress for", path, error))?;
        let mut writer = Self {
            file,
            path: path.to_owned(),
            end: 0,
            encoder,
            packer,
            threads: BTreeMap::new(),
            named: BTreeMap::new(),
            body: Vec::new(),
            out: Vec::new(),
        };
        writer.out.extend_from_slice(&block::file_header());
        writer.write_out()?;
        writer.describe(BlockKind::Session, session)?;
        Ok(writer)
    }

    /// A process is there.
    pub fn process(&mut self, process: &ProcessInfo) -> Result<()> {
        self.describe(BlockKind::Process, process)
    }

    /// A thread is there; once more when its name changes.
    pub fn thread(&mut self, thread: &ThreadInfo) -> Result<()> {
        self.describe(BlockKind::Thread, thread)
    }

    /// A module is there.
    pub fn module(&mut self, module: &ModuleInfo) -> Result<()> {
        self.describe(BlockKind::Module, module)
    }

    /// A module went.
    pub fn module_gone(&mut self, module: &ModuleGone) -> Result<()> {
        self.describe(BlockKind::ModuleGone, module)
    }

    /// One moment on all clocks: at the beginning, each second, at the end.
    pub fn clock(&mut self, point: ClockPoint) -> Result<()> {
        self.describe(BlockKind::Clock, &point)
    }

    /// A process ended.
    pub fn ended(&mut self, process: ProcessSerial, ticks: u64, ended: Ended) -> Result<()> {
        let end = ProcessEnd {
            process,
            ticks,
            ended,
        };
        self.describe(BlockKind::Ended, &end)
    }

    /// Events are lost that no `Lost` word tells of.
    pub fn lost(&mut self, lost: &LostInfo) -> Result<()> {
        self.describe(BlockKind::Lost, lost)
    }

    /// Names of functions that occurred, so that the recording can be read where the program isn't. Those that were given
    /// before are left out.
    pub fn names(&mut self, image: &Image, names: &[Name]) -> Result<()> {
        let known = self.named.get(image);
        let is_new = |name: &&Name| known.is_none_or(|known| !known.contains(&name.offset));
        let new: Vec<Name> = names.iter().filter(is_new).cloned().collect();
        for part in new.chunks(NAMES_MAX) {
            let block = Names {
                image: image.clone(),
                names: part.to_vec(),
            };
            self.describe(BlockKind::Names, &block)?;
            let known = self.named.entry(image.clone()).or_default();
            known.extend(part.iter().map(|name| name.offset));
        }
        Ok(())
    }

    /// Types of a module's values: those from number `first` on.
    pub fn types(&mut self, image: &Image, first: u32, types: &[Type]) -> Result<()> {
        for (index, part) in types.chunks(TYPES_MAX).enumerate() {
            let part = TypesPart {
                image: image.clone(),
                first: first + (index * TYPES_MAX) as u32,
                list: part.to_vec(),
            };
            self.describe(BlockKind::Types, &part)?;
        }
        Ok(())
    }

    /// A capture plan, before any event that brought along what it captured.
    pub fn plan(&mut self, image: &Image, kept: &Kept) -> Result<()> {
        let plan = PlanInfo {
            image: image.clone(),
            kept: kept.clone(),
        };
        self.describe(BlockKind::Plan, &plan)
    }

    /// What is kept of the words that the thread wrote at `positions`: all of them, or fewer. The first needn't be a `Time`.
    /// Also an empty `words` says that the positions were looked at.
    pub fn words(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        words: &[u64],
    ) -> Result<()> {
        let mut parser = self.threads.entry(thread).or_default().parser.clone();
        self.pack(thread, process, positions, |packing| {
            parser.hear(words, packing);
        })?;
        // Only now: a call that failed is made again with the same words.
        self.threads.entry(thread).or_default().parser = parser;
        Ok(())
    }

    /// As [`Writer::words`], with events.
    pub fn events(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        events: &[Event],
    ) -> Result<()> {
        self.pack(thread, process, positions, |packing| {
            for (at, event) in events.iter().enumerate() {
                packing.event(at, event);
            }
        })
    }

    /// Writes the blocks of what `fill` packs.
    fn pack(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        fill: impl FnOnce(&mut Packing<'_>),
    ) -> Result<()> {
        let state = self.threads.entry(thread).or_default();
        state.end_position = state.end_position.max(positions.end);
        let mut packing = Packing {
            made: BlockMaker::new(&mut self.encoder, thread, process, positions),
            out: &mut self.out,
            body: &mut self.body,
            result: Ok(()),
        };
        fill(&mut packing);
        packing
            .finish()
            .map_err(|error| Error::io("compress for", &self.path, error))?;
        self.write_out()
    }

    /// The recording ends in good order at `ticks`.
    pub fn finish(mut self, ticks: u64) -> Result<()> {
        let threads = self.threads.iter();
        let finish = Finish {
            ticks,
            threads: threads
                .map(|(serial, state)| (*serial, state.end_position))
                .collect(),
        };
        self.describe(BlockKind::Finish, &finish)
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    fn describe(&mut self, kind: BlockKind, what: &impl Serialize) -> Result<()> {
        let refuse = |error| Error::io("describe the session in", &self.path, error);
        self.body.clear();
        serde_json::to_writer(&mut self.body, what).map_err(|error| refuse(error.into()))?;
        let mut header = Header {
            kind: kind as u8,
            raw_bytes: self.body.len() as u32,
            ..Header::default()
        };
        if self.body.len() >= PACKED_FROM {
            self.body = self.packer.compress(&self.body).map_err(refuse)?;
            header.packing = 1;
        }
        if self.body.len().max(header.raw_bytes as usize) > BODY_BYTES_MAX {
            return Err(refuse(std::io::ErrorKind::FileTooLarge.into()));
        }
        frame(header, &self.body, &mut self.out);
        self.write_out()
    }

    /// Writes `out` behind what is there, whole or not at all.
    fn write_out(&mut self) -> Result<()> {
        let result = self.file.write_all_at(&self.out, self.end);
        let bytes = self.out.len() as u64;
        self.out.clear();
        match result {
            Ok(()) => {
                self.end += bytes;
                Ok(())
            }
            Err(error) => {
                // Half a block would be taken for damage. If this fails too, the next block overwrites it.
                let _ = self.file.set_len(self.end);
                Err(Error::io("write", &self.path, error))
            }
        }
    }
}

/// Names in a block: some 100 bytes each, far below what a reader is ready to unpack.
const NAMES_MAX: usize = 4096;

/// Types in a block: those with the most members have some 100 KiB.
const TYPES_MAX: usize = 128;

fn frame(mut header: Header, body: &[u8], out: &mut Vec<u8>) {
    header.stored_bytes = body.len() as u32;
    header.body_crc = crc32fast::hash(body);
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(body);
}

/// Cuts one thread's events into blocks, whose positions follow one another.
struct BlockMaker<'a> {
    encoder: &'a mut Encoder,
    thread: ThreadSerial,
    process: ProcessSerial,
    begin: u64,
    positions: Range<u64>,
}

impl<'a> BlockMaker<'a> {
    fn new(
        encoder: &'a mut Encoder,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
    ) -> Self {
        Self {
            encoder,
            thread,
            process,
            begin: positions.start,
            positions,
        }
    }

    /// Ends a block before the word with this index, or with all that is left. Which of the positions a word that was kept
    /// had is not known, so those of the blocks before the last are only sure to be in order and not to overlap.
    fn finish(
        &mut self,
        words: Option<u64>,
        out: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let end = match words {
            Some(words) => self.positions.end.min(self.positions.start + words),
            None => self.positions.end,
        };
        body.clear();
        let made = self.encoder.finish(body)?;
        let header = Header {
            kind: BlockKind::Events as u8,
            raw_bytes: body.len() as u32,
            process: self.process.0,
            thread: self.thread.0,
            position: self.begin,
            words: (end - self.begin) as u32,
            events: made.events,
            first_ticks: made.first_ticks,
            last_ticks: made.last_ticks,
            ..Header::default()
        };
        frame(header, body, out);
        self.begin = end;
        Ok(())
    }
}

/// Packs what it hears into blocks.
struct Packing<'a> {
    made: BlockMaker<'a>,
    out: &'a mut Vec<u8>,
    body: &'a mut Vec<u8>,
    result: std::io::Result<()>,
}

impl Packing<'_> {
    /// Before each event: begins another block if this one is full.
    #[inline]
    fn make_room(&mut self, at: usize) {
        if self.made.encoder.is_full() {
            self.next_block(at);
        }
    }

    #[cold]
    fn next_block(&mut self, at: usize) {
        if self.result.is_ok() {
            self.result = self.made.finish(Some(at as u64), self.out, self.body);
        }
    }

    fn event(&mut self, at: usize, event: &Event) {
        self.make_room(at);
        self.made.encoder.event(event);
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.result?;
        self.made.finish(None, self.out, self.body)
    }
}

impl Hear for Packing<'_> {
    #[inline]
    fn call(&mut self, at: usize, ticks: u64, function: u64) {
        self.make_room(at);
        self.made.encoder.call(ticks, function);
    }

    #[inline]
    fn ret(&mut self, at: usize, ticks: u64, function: u64) {
        self.make_room(at);
        self.made.encoder.ret(ticks, function);
    }

    #[inline]
    fn values(&mut self, at: usize, ticks: u64, values: &[u64]) {
        self.make_room(at);
        self.made.encoder.values(ticks, values);
    }

    #[inline]
    fn numbers(&mut self, at: usize, ticks: u64, plan: u32, numbers: &[u64]) {
        self.make_room(at);
        self.made.encoder.numbers(ticks, plan, numbers);
    }

    #[cold]
    fn other(&mut self, at: usize, event: Event) {
        self.event(at, &event);
    }
}
