//! Gathers what a recording's blocks tell, and brings each thread's events in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::block::{BODY_BYTES_MAX, BlockKind, HEADER_BYTES};
use super::clock::Clock;
use super::damage::Damage;
use super::event::Parser;
use super::live::{Beside, Words};
use super::metadata::{
    ClockPoint, Finish, Image, LostInfo, ModuleGone, ModuleInfo, Name, Names, PlanInfo, ProcessEnd,
    ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, TypesPart,
};
use super::reader::{Recording, Segment};
use super::scan::Found;

/// Gathers a recording block by block.
#[derive(Default)]
pub struct Gather {
    session: Option<SessionInfo>,
    processes: BTreeMap<ProcessSerial, ProcessInfo>,
    ends: Vec<ProcessEnd>,
    threads: BTreeMap<ThreadSerial, ThreadInfo>,
    modules: Vec<ModuleInfo>,
    modules_gone: Vec<ModuleGone>,
    points: Vec<ClockPoint>,
    lost: Vec<LostInfo>,
    names: BTreeMap<Image, BTreeMap<u64, Name>>,
    types: Vec<TypesPart>,
    plans: Vec<PlanInfo>,
    blocks: BTreeMap<ThreadSerial, Vec<Found>>,
    finish: Option<Finish>,
    /// What is wrong so far.
    pub damage: Vec<Damage>,
    unknown_blocks: u64,
    /// What lies beside.
    pub beside: Beside,
}

impl Gather {
    /// Takes a block in, in the order of the file.
    pub fn block(&mut self, file: &File, found: &Found) {
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
        const TYPES: u8 = BlockKind::Types as u8;
        const PLAN: u8 = BlockKind::Plan as u8;
        const EVENTS: u8 = BlockKind::Events as u8;
        let kind = found.header.kind;
        if kind == EVENTS {
            let thread = ThreadSerial(found.header.thread);
            self.blocks.entry(thread).or_default().push(*found);
            return;
        }
        if !matches!(kind, SESSION..=PLAN) {
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
            TYPES => parse(&body).map(|types| self.types.push(types)),
            PLAN => parse(&body).map(|plan| self.plans.push(plan)),
            _ => Some(()),
        };
        if understood.is_none() {
            let offset = found.offset;
            self.damage.push(Damage::Description { offset, kind });
        }
    }

    /// All that was found.
    pub fn finish(mut self, path: &Path, file: Option<File>) -> Recording {
        let session = self.take_session();
        self.merge_journals();
        let mut threads: BTreeMap<ThreadSerial, Vec<Piece>> = BTreeMap::new();
        for (thread, blocks) in std::mem::take(&mut self.blocks) {
            let pieces = threads.entry(thread).or_default();
            pieces.extend(blocks.into_iter().map(Piece::Block));
        }
        for (index, words) in self.beside.words.iter().enumerate() {
            let pieces = threads.entry(words.thread).or_default();
            pieces.push(Piece::beside(index, words));
        }
        let first_ticks = threads.values().flatten().filter_map(Piece::first_ticks);
        let first_ticks = first_ticks.min();
        let ends: BTreeMap<ThreadSerial, u64> = match &self.finish {
            Some(finish) => finish.threads.iter().copied().collect(),
            None => BTreeMap::new(),
        };
        let mut segments = BTreeMap::new();
        for (thread, pieces) in threads {
            self.introduce(thread, &pieces);
            let end = ends.get(&thread).copied().unwrap_or(0);
            let ordered = self.order(thread, pieces, end, session.flight);
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
            session: self.with_command(session),
            processes: self.processes.into_values().collect(),
            ends: self.ends,
            threads: self.threads.into_values().collect(),
            modules: self.modules,
            modules_gone: self.modules_gone,
            lost: self.lost,
            names: self.names,
            types: self.types,
            plans: self.plans,
            segments,
            damage: self.damage,
            unknown_blocks: self.unknown_blocks,
            is_finished: self.finish.is_some(),
            beside: self.beside,
        }
    }

    /// A recorder that a program's preloaded library started knows no command: the first process tells it.
    fn with_command(&self, mut session: SessionInfo) -> SessionInfo {
        if session.command.is_empty()
            && let Some(first) = self.processes.values().next()
        {
            session.command.clone_from(&first.arguments);
        }
        session
    }

    /// The session; what lies beside is forgotten if it is another's.
    fn take_session(&mut self) -> SessionInfo {
        if let Some(error) = self.beside.error.take() {
            self.damage.push(Damage::Beside(error));
        }
        let Some(mut session) = self.session.take() else {
            return SessionInfo {
                session: self.beside.session,
                ticks_per_second: self.beside.ticks_per_second,
                ..SessionInfo::default()
            };
        };
        if session.session != self.beside.session {
            self.beside = Beside::default();
        }
        if session.ticks_per_second == 0 {
            session.ticks_per_second = self.beside.ticks_per_second;
        }
        session
    }

    /// Adds what only the journals beside tell of.
    fn merge_journals(&mut self) {
        for process in std::mem::take(&mut self.beside.processes) {
            self.processes.entry(process.serial).or_insert(process);
        }
        for (process, rank) in std::mem::take(&mut self.beside.ranks) {
            if let Some(process) = self.processes.get_mut(&process) {
                process.rank = Some(rank);
            }
        }
        for thread in std::mem::take(&mut self.beside.threads) {
            self.threads.entry(thread.serial).or_insert(thread);
        }
        for module in std::mem::take(&mut self.beside.modules) {
            if !self.modules.contains(&module) {
                self.modules.push(module);
            }
        }
        for module in std::mem::take(&mut self.beside.modules_gone) {
            if !self.modules_gone.contains(&module) {
                self.modules_gone.push(module);
            }
        }
    }

    /// A thread that has events but that nothing else tells of.
    fn introduce(&mut self, thread: ThreadSerial, pieces: &[Piece]) {
        let Some(first) = pieces.first() else { return };
        let (process, tid) = match first {
            Piece::Block(block) => (ProcessSerial(block.header.process), 0),
            Piece::Beside { index, .. } => {
                let words = &self.beside.words[*index];
                (words.process, words.tid)
            }
        };
        self.threads.entry(thread).or_insert_with(|| ThreadInfo {
            serial: thread,
            process,
            tid,
            ticks: first.first_ticks().unwrap_or(0),
            name: String::new(),
        });
    }

    /// A thread's pieces by position, no event twice, and what is missing between them. `end`: the thread's words, as far
    /// as known.
    fn order(
        &mut self,
        thread: ThreadSerial,
        mut pieces: Vec<Piece>,
        end: u64,
        flight: bool,
    ) -> Vec<Segment> {
        pieces.sort_by_key(Piece::order);
        let mut segments = Vec::new();
        let mut expected = 0;
        let mut last = None;
        for piece in pieces {
            let positions = piece.positions();
            if positions.start > expected && !(flight && expected == 0) {
                let missing = positions.start - expected;
                self.missing(thread, missing, last, piece.first_ticks(), &mut segments);
            }
            if positions.end <= expected && !positions.is_empty() {
                continue;
            }
            let begin = expected;
            expected = positions.end.max(expected);
            last = piece.last_ticks().or(last);
            match piece {
                Piece::Beside { index, .. } => {
                    let from = begin.saturating_sub(positions.start) as usize;
                    segments.push(Segment::Beside { index, from });
                }
                Piece::Block(block) if block.header.events == 0 => {}
                Piece::Block(block) => segments.push(self.block_segment(thread, block)),
            }
        }
        let missing = end.saturating_sub(expected);
        if missing > 0 {
            self.missing(thread, missing, last, None, &mut segments);
        }
        segments
    }

    fn block_segment(&mut self, thread: ThreadSerial, block: Found) -> Segment {
        let header = block.header;
        if block.body_is_whole {
            let body = block.offset + HEADER_BYTES as u64;
            return Segment::Block { body, header };
        }
        self.damage.push(Damage::Events {
            thread,
            count: header.events.into(),
            is_exact: true,
            from: Some(header.first_ticks),
            until: Some(header.last_ticks),
        });
        Segment::Missing {
            count: header.events.into(),
            from: header.first_ticks,
            until: header.last_ticks,
        }
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

/// A part of a thread's words, in the recording or beside it.
enum Piece {
    Block(Found),
    Beside {
        index: usize,
        positions: Range<u64>,
        times: Option<(u64, u64)>,
    },
}

impl Piece {
    fn beside(index: usize, words: &Words) -> Self {
        let mut times: Option<(u64, u64)> = None;
        Parser::new().parse(&words.words, |_, event| {
            let first = times.map_or(event.ticks, |times| times.0);
            times = Some((first, event.ticks));
        });
        let end = words.position.saturating_add(words.words.len() as u64);
        Self::Beside {
            index,
            positions: words.position..end,
            times,
        }
    }

    fn positions(&self) -> Range<u64> {
        match self {
            Self::Block(block) => block.header.position..block.header.end_position(),
            Self::Beside { positions, .. } => positions.clone(),
        }
    }

    /// By position; of two with the same the block, which is cheaper; then by place in the file.
    fn order(&self) -> (u64, bool, u64) {
        match self {
            Self::Block(block) => (block.header.position, false, block.offset),
            Self::Beside {
                positions, index, ..
            } => (positions.start, true, *index as u64),
        }
    }

    fn first_ticks(&self) -> Option<u64> {
        match self {
            Self::Block(block) => (block.header.events > 0).then_some(block.header.first_ticks),
            Self::Beside { times, .. } => times.map(|times| times.0),
        }
    }

    fn last_ticks(&self) -> Option<u64> {
        match self {
            Self::Block(block) => (block.header.events > 0).then_some(block.header.last_ticks),
            Self::Beside { times, .. } => times.map(|times| times.1),
        }
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
    let offset = found.offset + HEADER_BYTES as u64;
    file.read_exact_at(&mut body, offset).ok()?;
    match header.packing {
        0 => Some(body),
        1 if header.raw_bytes as usize <= BODY_BYTES_MAX => {
            zstd::bulk::decompress(&body, header.raw_bytes as usize).ok()
        }
        _ => None,
    }
}
