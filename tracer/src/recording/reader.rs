//! Reads recordings.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::block::Header;
use super::clock::Clock;
use super::codec::{Decoder, Visit};
use super::damage::Damage;
use super::error::{Error, Result};
use super::event::{Event, Kind, Parser};
use super::gather::Gather;
use super::live::{self, Beside};
use super::metadata::{
    Began, Image, LostInfo, ModuleGone, ModuleInfo, Name, PlanInfo, ProcessEnd, ProcessInfo,
    ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, TypesPart,
};
use super::scan;

/// A recording, opened: what it describes, and where the events of each thread are. Those are read when asked for.
pub struct Recording {
    pub(super) path: PathBuf,
    /// `None`: the recorder was killed before it made one; all there is lies beside.
    pub(super) file: Option<File>,
    pub(super) session: SessionInfo,
    pub(super) processes: Vec<ProcessInfo>,
    pub(super) ends: Vec<ProcessEnd>,
    pub(super) threads: Vec<ThreadInfo>,
    pub(super) modules: Vec<ModuleInfo>,
    pub(super) modules_gone: Vec<ModuleGone>,
    pub(super) clock: Clock,
    pub(super) lost: Vec<LostInfo>,
    pub(super) names: BTreeMap<Image, BTreeMap<u64, Name>>,
    pub(super) types: Vec<TypesPart>,
    pub(super) plans: Vec<PlanInfo>,
    pub(super) segments: BTreeMap<ThreadSerial, Vec<Segment>>,
    pub(super) damage: Vec<Damage>,
    pub(super) unknown_blocks: u64,
    pub(super) is_finished: bool,
    pub(super) beside: Beside,
}

/// A part of a thread's events.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// In a block.
    Block { body: u64, header: Header },
    /// Words `from` on of those beside the recording with index `index`.
    Beside { index: usize, from: usize },
    /// Missing.
    Missing { count: u64, from: u64, until: u64 },
}

impl Recording {
    /// Opens the recording at `path`, with what lies beside it. Damage is no reason to fail.
    pub fn open(path: &Path) -> Result<Self> {
        // First what lies beside: what the recorder takes from there meanwhile is found in the file a moment later.
        let beside = live::read(path);
        let mut reader = Gather::default();
        let file = match File::open(path) {
            Ok(file) => Some(file),
            Err(_) if beside.is_some() => None,
            Err(error) => return Err(Error::io("open", path, error)),
        };
        if let Some(file) = &file {
            let found = scan::scan(file, path)?;
            reader.damage = found.damage;
            for block in &found.blocks {
                reader.block(file, block);
            }
        }
        reader.beside = beside.unwrap_or_default();
        Ok(reader.finish(path, file))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The session.
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }

    /// The processes, in the order of their serials.
    pub fn processes(&self) -> &[ProcessInfo] {
        &self.processes
    }

    /// One of them.
    pub fn process(&self, serial: ProcessSerial) -> Option<&ProcessInfo> {
        let place = self
            .processes
            .binary_search_by_key(&serial, |info| info.serial);
        Some(&self.processes[place.ok()?])
    }

    /// One of the threads.
    pub fn thread(&self, serial: ThreadSerial) -> Option<&ThreadInfo> {
        let place = self
            .threads
            .binary_search_by_key(&serial, |info| info.serial);
        Some(&self.threads[place.ok()?])
    }

    /// How processes ended.
    pub fn process_ends(&self) -> &[ProcessEnd] {
        &self.ends
    }

    /// The threads, in the order of their serials: all that have events or were announced.
    pub fn threads(&self) -> &[ThreadInfo] {
        &self.threads
    }

    /// The modules, in the order of their coming.
    pub fn modules(&self) -> &[ModuleInfo] {
        &self.modules
    }

    /// The modules that went, in the order of their going.
    pub fn modules_gone(&self) -> &[ModuleGone] {
        &self.modules_gone
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the recorder says is lost; threads' events tell of more, as [`Kind::Lost`].
    pub fn lost(&self) -> &[LostInfo] {
        &self.lost
    }

    /// Names of functions that the recording keeps, by their addresses without bias.
    pub fn names(&self, image: &Image) -> Option<&BTreeMap<u64, Name>> {
        self.names.get(image)
    }

    /// Types of values, in the order in which they were told.
    pub fn types(&self) -> &[TypesPart] {
        &self.types
    }

    /// Capture plans of values.
    pub fn plans(&self) -> &[PlanInfo] {
        &self.plans
    }

    /// Time of a thread's first event, if the recording has not what was before: a forked child's, a flight recorder's.
    pub fn middle(&self, thread: ThreadSerial) -> Option<u64> {
        let info = self.thread(thread)?;
        let process = self.process(info.process);
        let is_forked = process.is_some_and(|process| process.began == Began::Fork);
        let first = self.segments(thread).first()?;
        let (position, ticks) = match first {
            Segment::Block { header, .. } => (header.position, header.first_ticks),
            Segment::Beside { index, .. } => (self.beside.words[*index].position, info.ticks),
            Segment::Missing { from, .. } => (1, *from),
        };
        (is_forked || position > 0).then_some(ticks)
    }

    /// What could not be read.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Blocks of a kind that this reader doesn't know.
    pub fn unknown_blocks(&self) -> u64 {
        self.unknown_blocks
    }

    /// It ended in good order: nobody writes to it any more.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// The events of a thread, in their order. Where some are missing there is a [`Kind::Lost`].
    pub fn events(&self, thread: ThreadSerial) -> Events<'_> {
        Events {
            recording: self,
            segments: self.segments(thread).iter(),
            decoder: None,
            events: Vec::new().into_iter(),
        }
    }

    pub(crate) fn segments(&self, thread: ThreadSerial) -> &[Segment] {
        self.segments.get(&thread).map_or(&[], Vec::as_slice)
    }

    /// Tells `visit` what is in a segment.
    pub(crate) fn visit(
        &self,
        segment: &Segment,
        decoder: &mut Decoder,
        buffer: &mut Vec<u8>,
        visit: &mut impl Visit,
    ) {
        let (body, header) = match segment {
            Segment::Beside { index, from } => {
                let words = &self.beside.words[*index].words;
                visit_words(words, *from, visit);
                return;
            }
            Segment::Missing { count, from, until } => {
                let kind = Kind::Lost {
                    count: *count,
                    until: *until,
                };
                visit.special(Event { ticks: *from, kind });
                return;
            }
            Segment::Block { body, header } => (*body, header),
        };
        buffer.resize(header.stored_bytes as usize, 0);
        let file = self.file.as_ref();
        let is_read = file.is_some_and(|file| file.read_exact_at(buffer, body).is_ok());
        let decoded = match is_read && crc32fast::hash(buffer) == header.body_crc {
            true => decoder.decode(buffer, header.events, header.first_ticks, visit),
            false => None,
        };
        if decoded.is_none() {
            let kind = Kind::Lost {
                count: header.events.into(),
                until: header.last_ticks,
            };
            visit.special(Event {
                ticks: header.first_ticks,
                kind,
            });
        }
    }
}

fn visit_words(words: &[u64], from: usize, visit: &mut impl Visit) {
    let mut numbers = HashMap::new();
    let mut number = |visit: &mut dyn FnMut(u64), address| {
        let next = numbers.len() as u32;
        *numbers.entry(address).or_insert_with(|| {
            visit(address);
            next
        })
    };
    Parser::new().parse(words, |at, event| match event.kind {
        _ if at < from => {}
        Kind::Call(address) => {
            let function = number(&mut |address| visit.function(address, event.ticks), address);
            visit.call(event.ticks, function);
        }
        Kind::Return(address) => {
            let function = number(&mut |address| visit.function(address, event.ticks), address);
            visit.ret(event.ticks, function);
        }
        _ => visit.special(event),
    });
}

/// The events of one thread.
pub struct Events<'a> {
    recording: &'a Recording,
    segments: std::slice::Iter<'a, Segment>,
    decoder: Option<(Decoder, Vec<u8>)>,
    events: std::vec::IntoIter<Event>,
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(event);
            }
            let segment = self.segments.next()?;
            if self.decoder.is_none() {
                self.decoder = Some((Decoder::new().ok()?, Vec::new()));
            }
            let (decoder, buffer) = self.decoder.as_mut()?;
            let mut collect = Collect::default();
            self.recording.visit(segment, decoder, buffer, &mut collect);
            self.events = collect.events.into_iter();
        }
    }
}

#[derive(Default)]
struct Collect {
    addresses: Vec<u64>,
    events: Vec<Event>,
}

impl Visit for Collect {
    fn function(&mut self, address: u64, _: u64) {
        self.addresses.push(address);
    }

    fn call(&mut self, ticks: u64, function: u32) {
        let kind = Kind::Call(self.addresses[function as usize]);
        self.events.push(Event { ticks, kind });
    }

    fn ret(&mut self, ticks: u64, function: u32) {
        let kind = Kind::Return(self.addresses[function as usize]);
        self.events.push(Event { ticks, kind });
    }

    fn special(&mut self, event: Event) {
        self.events.push(event);
    }
}
