//! One thread's part of a profile.

use std::io;

use umbel_chains::{Chains, Cut, Frame, FrameEnded, Sink};

use super::ids::{Ids, Met};
use super::profile::Statistics;
use super::tree::{ROOT, Tree};
use crate::recording::codec::{Decoder, Visit};
use crate::recording::{Event, Kind, Recording, Segment, ThreadInfo};

/// What one thread did.
pub struct ThreadProfile {
    /// Its functions.
    pub functions: Vec<Met>,
    /// Their numbers' statistics.
    pub statistics: Vec<Statistics>,
    /// Its tree, if wanted.
    pub tree: Option<Tree>,
    /// Calls and returns.
    pub events: u64,
    /// Events that the program dropped.
    pub lost: u64,
    /// Frames at most.
    pub depth_max: usize,
    /// Time of the first event and of the end, in ticks.
    pub times: Option<(u64, u64)>,
}

/// Reads a thread's events.
pub fn profile(
    recording: &Recording,
    thread: &ThreadInfo,
    wants_tree: bool,
) -> io::Result<ThreadProfile> {
    let mut chains = Chains::new();
    if let Some(ticks) = recording.middle(thread.serial) {
        chains = Chains::from_the_middle(ticks);
    }
    let mut gather = Gather {
        chains,
        ids: Ids::new(recording, thread.process),
        block: Vec::new(),
        counts: Counts {
            statistics: Vec::new(),
            tree: wants_tree.then(Tree::default),
            depth_max: 0,
        },
        events: 0,
        lost: 0,
        is_damaged: false,
        has_ended: false,
        times: None,
    };
    let mut decoder = Decoder::new()?;
    let mut buffer = Vec::new();
    for segment in recording.segments(thread.serial) {
        gather.block.clear();
        gather.is_damaged = matches!(segment, Segment::Missing { .. });
        recording.visit(segment, &mut decoder, &mut buffer, &mut gather);
    }
    let Gather {
        mut chains,
        ids,
        mut counts,
        events,
        lost,
        times,
        has_ended,
        ..
    } = gather;
    // A frame that was open when its process ended lasted as long; one of a thread that goes on lasts until now.
    let end = recording
        .process_ends()
        .iter()
        .find(|end| end.process == thread.process);
    let mut last = times.map_or(0, |times| times.1);
    if !has_ended && !chains.frames().is_empty() {
        last = last.max(end.map_or(0, |end| end.ticks));
    }
    let times = times.map(|times| (times.0, last));
    chains.finish(last, &mut counts);
    Ok(ThreadProfile {
        functions: ids.into_functions(),
        statistics: counts.statistics,
        tree: counts.tree,
        events,
        lost,
        depth_max: counts.depth_max,
        times,
    })
}

struct Gather {
    chains: Chains<u32>,
    ids: Ids,
    /// By its number in the block: the function's number in the thread.
    block: Vec<u32>,
    counts: Counts,
    events: u64,
    lost: u64,
    /// What is told as lost is what the recording lost, not the program.
    is_damaged: bool,
    /// The thread has said that it ends.
    has_ended: bool,
    times: Option<(u64, u64)>,
}

impl Gather {
    #[inline]
    fn time(&mut self, ticks: u64) {
        self.events += 1;
        match &mut self.times {
            Some(times) => times.1 = times.1.max(ticks),
            None => self.times = Some((ticks, ticks)),
        }
    }
}

impl Visit for Gather {
    fn function(&mut self, address: u64, ticks: u64) {
        let number = self.ids.number(address, ticks);
        self.counts.make_room(number);
        self.block.push(number);
    }

    #[inline]
    fn call(&mut self, ticks: u64, function: u32) {
        self.time(ticks);
        let function = self.block[function as usize];
        self.chains.call(ticks, function, &mut self.counts);
    }

    #[inline]
    fn ret(&mut self, ticks: u64, function: u32) {
        self.time(ticks);
        let function = self.block[function as usize];
        self.chains.ret(ticks, function, &mut self.counts);
    }

    fn special(&mut self, event: Event) {
        match event.kind {
            Kind::SetJump(buffer) => self.chains.set_jump(buffer),
            Kind::LongJump(buffer) => self.chains.long_jump(event.ticks, buffer, &mut self.counts),
            Kind::Context(context) => {
                context.follow(&mut self.chains, event.ticks, &mut self.counts);
            }
            Kind::Lost { count, .. } => {
                self.chains.gap(event.ticks);
                if !self.is_damaged {
                    self.lost = self.lost.saturating_add(count);
                }
            }
            Kind::ThreadEnd => self.has_ended = true,
            _ => {}
        }
    }
}

struct Counts {
    statistics: Vec<Statistics>,
    tree: Option<Tree>,
    depth_max: usize,
}

impl Counts {
    fn make_room(&mut self, number: u32) {
        let needed = number as usize + 1;
        if self.statistics.len() < needed {
            self.statistics.resize_with(needed, Statistics::default);
        }
    }
}

impl Sink<u32> for Counts {
    #[inline]
    fn began(
        &mut self,
        parent: Option<&mut Frame<u32>>,
        function: u32,
        _: u64,
        depth: usize,
    ) -> u32 {
        self.depth_max = self.depth_max.max(depth + 1);
        match &mut self.tree {
            Some(tree) => tree.child(parent.map_or(ROOT, |frame| frame.tag), function),
            None => ROOT,
        }
    }

    #[inline]
    fn ended(&mut self, ended: FrameEnded<u32>, _: Option<&mut Frame<u32>>) {
        let total = ended.total_ticks();
        let statistics = &mut self.statistics[ended.function as usize];
        if ended.outermost {
            statistics.total = statistics.total.saturating_add(total);
        }
        statistics.own = statistics.own.saturating_add(ended.self_ticks);
        match ended.cut {
            Some(Cut::BeganUnseen) => statistics.unseen += 1,
            // It is counted when it is over.
            Some(Cut::Suspended) => {}
            cut => {
                statistics.add(ended.whole_ticks());
                if let Some(cut) = cut {
                    statistics.cut(cut);
                }
            }
        }
        if let Some(tree) = &mut self.tree {
            tree.ended(&ended);
        }
    }
}
