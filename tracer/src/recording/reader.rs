//! Reads recordings.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::block::{BODY_BYTES_MAX, BlockKind, Header};
use super::clock::Clock;
use super::codec::{Decoder, Visit};
use super::damage::Damage;
use super::error::{Error, Result};
use super::event::{Event, Kind};
use super::metadata::{
    ClockPoint, Finish, Image, LostInfo, ModuleGone, ModuleInfo, Name, Names, ProcessEnd,
    ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial,
};
use super::scan::{self, Found};

/// A recording, opened: what it describes, and where the events of each thread are. Those are read when asked for.
pub struct Recording {
    path: PathBuf,
    file: File,
    session: SessionInfo,
    processes: Vec<ProcessInfo>,
    ends: Vec<ProcessEnd>,
    threads: Vec<ThreadInfo>,
    modules: Vec<ModuleInfo>,
    modules_gone: Vec<ModuleGone>,
    clock: Clock,
    lost: Vec<LostInfo>,
    names: BTreeMap<Image, BTreeMap<u64, Name>>,
    segments: BTreeMap<ThreadSerial, Vec<Segment>>,
    damage: Vec<Damage>,
    unknown_blocks: u64,
    is_finished: bool,
}

/// A part of a thread's events.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// In a block.
    Block { body: u64, header: Header },
    /// Missing.
    Missing { count: u64, from: u64, until: u64 },
}

impl Recording {
    /// Opens the recording at `path`. Damage is no reason to fail.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let found = scan::scan(&file, path)?;
        let mut reader = Reader {
            damage: found.damage,
            ..Reader::default()
        };
        for block in &found.blocks {
            reader.block(&file, block);
        }
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
        let is_read = self.file.read_exact_at(buffer, body).is_ok();
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
    fn function(&mut self, address: u64) {
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

/// Gathers a recording block by block.
#[derive(Default)]
struct Reader {
    session: Option<SessionInfo>,
    processes: BTreeMap<ProcessSerial, ProcessInfo>,
    ends: Vec<ProcessEnd>,
    threads: BTreeMap<ThreadSerial, ThreadInfo>,
    modules: Vec<ModuleInfo>,
    modules_gone: Vec<ModuleGone>,
    points: Vec<ClockPoint>,
    lost: Vec<LostInfo>,
    names: BTreeMap<Image, BTreeMap<u64, Name>>,
    blocks: BTreeMap<ThreadSerial, Vec<Found>>,
    finish: Option<Finish>,
    damage: Vec<Damage>,
    unknown_blocks: u64,
}

impl Reader {
    fn block(&mut self, file: &File, found: &Found) {
        const SESSION: u8 = BlockKind::Session as u8;
        const PROCESS: u8 = BlockKind::Process as u8;
        const THREAD: u8 = BlockKind::Thread as u8;
        const MODULE: u8 = BlockKind::Module as u8;
        const MODULE_GONE: u8 = BlockKind::ModuleGone as u8;
        const CLOCK: u8 = BlockKind::Clock as u8;
        const ENDED: u8 = BlockKind::Ended as u8;
        const LOST: u8 = BlockKind::Lost as u8;
        const NAMES: u8 = BlockKind::Names as u8;
        const FINISH: u8 = BlockKind::Finish as u8;
        const EVENTS: u8 = BlockKind::Events as u8;
        let kind = found.header.kind;
        if kind == EVENTS {
            let thread = ThreadSerial(found.header.thread);
            self.blocks.entry(thread).or_default().push(*found);
            return;
        }
        if !matches!(kind, SESSION..=FINISH) {
            self.unknown_blocks += 1;
            return;
        }
        let body = read_body(file, found).unwrap_or_default();
        let understood = match kind {
            SESSION => parse(&body).map(|session| self.session = Some(session)),
            PROCESS => parse(&body).map(|process: ProcessInfo| {
                self.processes.insert(process.serial, process);
            }),
            THREAD => parse(&body).map(|thread: ThreadInfo| {
                self.threads.insert(thread.serial, thread);
            }),
            MODULE => parse(&body).map(|module| self.modules.push(module)),
            MODULE_GONE => parse(&body).map(|module| self.modules_gone.push(module)),
            CLOCK => parse(&body).map(|point| self.points.push(point)),
            ENDED => parse(&body).map(|end| self.ends.push(end)),
            LOST => parse(&body).map(|lost| self.lost.push(lost)),
            NAMES => parse(&body).map(|names: Names| {
                let named = self.names.entry(names.image).or_default();
                named.extend(names.names.into_iter().map(|name| (name.offset, name)));
            }),
            FINISH => parse(&body).map(|finish| self.finish = Some(finish)),
            _ => Some(()),
        };
        if understood.is_none() {
            let offset = found.offset;
            self.damage.push(Damage::Description { offset, kind });
        }
    }

    fn finish(mut self, path: &Path, file: File) -> Recording {
        let session = self.session.take().unwrap_or_default();
        let blocks = std::mem::take(&mut self.blocks);
        let first_ticks = blocks
            .values()
            .flatten()
            .filter(|block| block.header.events > 0)
            .map(|block| block.header.first_ticks)
            .min();
        let words: BTreeMap<ThreadSerial, u64> = match &self.finish {
            Some(finish) => finish.threads.iter().copied().collect(),
            None => BTreeMap::new(),
        };
        let mut segments = BTreeMap::new();
        for (thread, blocks) in blocks {
            let process = blocks.first().map_or(0, |block| block.header.process);
            let ticks = blocks.first().map_or(0, |block| block.header.first_ticks);
            self.threads.entry(thread).or_insert_with(|| ThreadInfo {
                serial: thread,
                process: ProcessSerial(process),
                ticks,
                ..ThreadInfo::default()
            });
            let end = words.get(&thread).copied();
            let ordered = self.order(thread, blocks, end, session.flight);
            segments.insert(thread, ordered);
        }
        if self.finish.is_none() {
            self.damage.push(Damage::Unfinished);
        }
        self.modules.sort_by_key(|module| module.ticks);
        self.modules_gone.sort_by_key(|module| module.ticks);
        Recording {
            path: path.to_owned(),
            file,
            clock: Clock::new(&session, &self.points, first_ticks),
            session,
            processes: self.processes.into_values().collect(),
            ends: self.ends,
            threads: self.threads.into_values().collect(),
            modules: self.modules,
            modules_gone: self.modules_gone,
            lost: self.lost,
            names: self.names,
            segments,
            damage: self.damage,
            unknown_blocks: self.unknown_blocks,
            is_finished: self.finish.is_some(),
        }
    }

    /// A thread's blocks by position, no event twice, and what is missing between them. `end`: the thread's words, if known.
    fn order(
        &mut self,
        thread: ThreadSerial,
        mut blocks: Vec<Found>,
        end: Option<u64>,
        flight: bool,
    ) -> Vec<Segment> {
        blocks.sort_by_key(|block| (block.header.position, block.offset));
        let mut segments = Vec::new();
        let mut expected = 0;
        let mut last = None;
        for block in blocks {
            let Found {
                header,
                body_is_whole,
                offset,
            } = block;
            if header.position > expected && !(flight && expected == 0) {
                let until = Some(header.first_ticks);
                self.missing(
                    thread,
                    header.position - expected,
                    last,
                    until,
                    &mut segments,
                );
            }
            if header.end_position() <= expected && header.words > 0 {
                continue;
            }
            expected = header.end_position().max(expected);
            if header.events == 0 {
                continue;
            }
            last = Some(header.last_ticks);
            if body_is_whole {
                let body = offset + super::block::HEADER_BYTES as u64;
                segments.push(Segment::Block { body, header });
                continue;
            }
            self.damage.push(Damage::Events {
                thread,
                count: header.events.into(),
                is_exact: true,
                from: Some(header.first_ticks),
                until: last,
            });
            segments.push(Segment::Missing {
                count: header.events.into(),
                from: header.first_ticks,
                until: header.last_ticks,
            });
        }
        let missing = end.unwrap_or(0).saturating_sub(expected);
        if missing > 0 {
            self.missing(thread, missing, last, None, &mut segments);
        }
        segments
    }

    fn missing(
        &mut self,
        thread: ThreadSerial,
        words: u64,
        from: Option<u64>,
        until: Option<u64>,
        segments: &mut Vec<Segment>,
    ) {
        self.damage.push(Damage::Events {
            thread,
            count: words,
            is_exact: false,
            from,
            until,
        });
        segments.push(Segment::Missing {
            count: words,
            from: from.or(until).unwrap_or(0),
            until: until.or(from).unwrap_or(0),
        });
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// The body of a small block, unpacked.
fn read_body(file: &File, found: &Found) -> Option<Vec<u8>> {
    if !found.body_is_whole {
        return None;
    }
    let header = &found.header;
    let mut body = vec![0; header.stored_bytes as usize];
    let offset = found.offset + super::block::HEADER_BYTES as u64;
    file.read_exact_at(&mut body, offset).ok()?;
    match header.packing {
        0 => Some(body),
        1 if header.raw_bytes as usize <= BODY_BYTES_MAX => {
            zstd::bulk::decompress(&body, header.raw_bytes as usize).ok()
        }
        _ => None,
    }
}
