//! A thread's events as steps: nested, named, in nanoseconds. Every frame that begins ends, in every recording.

use std::collections::VecDeque;

use umbel_chains::{Chains, Cut, Frame, FrameEnded, Sink};

use super::names::{NameId, Names};
use super::values::RawValues;
use crate::recording::{Clock, Event, Kind, Message};
use crate::symbols::Symbols;

/// One step of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When: CLOCK_MONOTONIC, in nanoseconds. Never before the step before.
    pub ns: u64,
    /// Frames that this one lies in.
    pub depth: u32,
    /// What happens.
    pub kind: StepKind,
    /// Values that a call or return brought along.
    pub values: Option<Box<RawValues>>,
}

/// What happens in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A function is called, or a span begins.
    Begin {
        /// Which.
        name: NameId,
        /// A span's arguments.
        arguments: Option<[u64; 2]>,
        /// It was called before: its thread was on another stack meanwhile.
        resumed: bool,
    },
    /// The innermost frame ends.
    End {
        /// Which.
        name: NameId,
        /// When it began.
        begin_ns: u64,
        /// Time in it and in no frame within it.
        self_ns: u64,
        /// Why it is no ordinary return.
        cut: Option<Cut>,
    },
    /// A function returns whose call was not recorded.
    Unseen {
        /// Which.
        name: NameId,
        /// When it began at the latest.
        begin_ns: u64,
    },
    /// A text.
    Mark(Box<str>),
    /// A message left or came.
    Message(Box<Message>),
    /// Events are missing.
    Lost {
        /// How many; 0: not known.
        count: u64,
        /// Until when.
        until_ns: u64,
    },
}

/// In words, what a cut frame is marked with.
pub fn cut_text(cut: Cut) -> &'static str {
    match cut {
        Cut::Jumped => "left by longjmp",
        Cut::Unwound => "left without return",
        Cut::Open => "still open",
        Cut::BeganUnseen => "call not recorded",
        Cut::Suspended => "left for another stack",
    }
}

/// The mark of a frame that goes on.
pub const RESUMED: &str = " [goes on]";

/// Makes steps of one thread's events.
pub struct Steps {
    process: u64,
    chains: Chains<()>,
    made: Made,
    cache: Cache,
    /// When modules of the process came or went, ascending: names of addresses may change then.
    module_changes: Vec<u64>,
    stretch: Stretch,
    last_ticks: u64,
    last_ns: u64,
    /// Calls and returns may bring values along: each waits for what comes next.
    expects_values: bool,
    /// The call or return before, if nothing came since.
    waiting: Option<Waiting>,
}

/// A call or return whose values may follow.
struct Waiting {
    ticks: u64,
    function: u64,
    is_return: bool,
}

/// What the chains told, in ticks.
#[derive(Default)]
struct Made {
    queue: VecDeque<Raw>,
    arguments: Option<[u64; 2]>,
}

struct Raw {
    ticks: u64,
    depth: u32,
    kind: RawKind,
    values: Option<Box<RawValues>>,
}

enum RawKind {
    Begin(u32, Option<[u64; 2]>),
    Resumed(u32),
    End(FrameEnded<()>),
    Mark(Box<str>),
    Message(Box<Message>),
    Lost { count: u64, until: u64 },
}

impl Sink<()> for Made {
    fn began(&mut self, _: Option<&mut Frame<()>>, function: u32, ticks: u64, depth: usize) {
        let kind = RawKind::Begin(function, self.arguments.take());
        self.push(ticks, depth, kind);
    }

    fn resumed(&mut self, _: Option<&mut Frame<()>>, function: u32, ticks: u64, depth: usize) {
        self.push(ticks, depth, RawKind::Resumed(function));
    }

    fn ended(&mut self, ended: FrameEnded<()>, _: Option<&mut Frame<()>>) {
        if ended.cut == Some(Cut::BeganUnseen) {
            // It was told as begun just now: to the reader it never begins.
            self.queue.pop_back();
        }
        self.push(ended.end, ended.depth, RawKind::End(ended));
    }
}

impl Made {
    fn push(&mut self, ticks: u64, depth: usize, kind: RawKind) {
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        self.queue.push_back(Raw {
            ticks,
            depth,
            kind,
            values: None,
        });
    }
}

impl Steps {
    /// For a thread of this process. `from_the_middle`: when its recording begins, if not at its beginning.
    pub fn new(process: u64, from_the_middle: Option<u64>, module_changes: Vec<u64>) -> Self {
        Self {
            process,
            chains: from_the_middle.map_or_else(Chains::new, Chains::from_the_middle),
            made: Made::default(),
            cache: Cache::default(),
            module_changes,
            stretch: Stretch::default(),
            last_ticks: from_the_middle.unwrap_or(0),
            last_ns: 0,
            expects_values: false,
            waiting: None,
        }
    }

    /// From now on calls and returns may bring values along: the last one is held back until the next event.
    pub fn expect_values(&mut self) {
        self.expects_values = true;
    }

    /// Nothing is held back that came so far: nobody knows when more comes.
    pub fn release(&mut self) {
        self.waiting = None;
    }

    /// Frames that are open now.
    pub fn depth(&self) -> usize {
        self.chains.frames().len()
    }

    /// Modules came or went: names are looked up anew from now on.
    pub fn forget_names(&mut self) {
        self.cache = Cache::default();
    }

    /// Events are left out here: what returns afterwards tells which frames are still open.
    pub fn gap(&mut self) {
        self.chains.gap(self.last_ticks);
    }

    /// Takes the next event.
    #[inline]
    pub fn event(&mut self, event: Event, symbols: &Symbols, names: &mut Names) {
        let ticks = event.ticks.max(self.last_ticks);
        self.last_ticks = ticks;
        if self.expects_values {
            let Some(event) = self.values(event) else {
                return;
            };
            return self.plain(event, ticks, symbols, names);
        }
        self.plain(event, ticks, symbols, names);
    }

    #[inline]
    fn plain(&mut self, event: Event, ticks: u64, symbols: &Symbols, names: &mut Names) {
        match event.kind {
            Kind::Call(address) => {
                let name = self.name(address, ticks, symbols, names);
                self.chains.call(ticks, name, &mut self.made);
            }
            Kind::Return(address) => {
                let name = self.name(address, ticks, symbols, names);
                self.chains.ret(ticks, name, &mut self.made);
            }
            kind => self.rare(ticks, kind, names),
        }
    }

    /// Hands values to the call or return before, if they are its own; notes what may have values. Gives back any other event.
    fn values(&mut self, event: Event) -> Option<Event> {
        let before = self.waiting.take();
        let note = |function, is_return| Waiting {
            ticks: event.ticks,
            function,
            is_return,
        };
        match event.kind {
            Kind::Call(function) => self.waiting = Some(note(function, false)),
            Kind::Return(function) => self.waiting = Some(note(function, true)),
            Kind::Values(payload) => {
                // Another time: a signal handler's events lie between, or those of what was left out.
                if let Some(before) = before.filter(|before| before.ticks == event.ticks)
                    && let Some(made) = self.made.queue.back_mut()
                {
                    made.values = Some(Box::new(RawValues {
                        process: self.process,
                        ticks: event.ticks,
                        function: before.function,
                        is_return: before.is_return,
                        payload,
                    }));
                }
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    /// There are no more events: what is open ends now, or at `ticks` if that is later.
    pub fn finish(&mut self, ticks: u64) {
        self.release();
        self.chains
            .finish(ticks.max(self.last_ticks), &mut self.made);
    }

    /// The next step made of the events so far.
    #[inline]
    pub fn pop(&mut self, clock: &Clock) -> Option<Step> {
        if self.waiting.is_some() && self.made.queue.len() == 1 {
            return None;
        }
        let Raw {
            ticks,
            depth,
            kind,
            values,
        } = self.made.queue.pop_front()?;
        let ns = self.stretch.ns(ticks, clock).max(self.last_ns);
        self.last_ns = ns;
        let kind = match kind {
            RawKind::Begin(name, arguments) => StepKind::Begin {
                name: NameId(name),
                arguments,
                resumed: false,
            },
            RawKind::Resumed(name) => StepKind::Begin {
                name: NameId(name),
                arguments: None,
                resumed: true,
            },
            RawKind::End(ended) => {
                let name = NameId(ended.function);
                let begin_ns = self.stretch.ns(ended.begin, clock).min(ns);
                match ended.cut {
                    Some(Cut::BeganUnseen) => StepKind::Unseen { name, begin_ns },
                    cut => {
                        let self_ns = self.stretch.duration_ns(ended.self_ticks);
                        StepKind::End {
                            name,
                            begin_ns,
                            self_ns: self_ns.min(ns - begin_ns),
                            cut,
                        }
                    }
                }
            }
            RawKind::Mark(text) => StepKind::Mark(text),
            RawKind::Message(message) => StepKind::Message(message),
            RawKind::Lost { count, until } => {
                let until_ns = self.stretch.ns(until, clock).max(ns);
                StepKind::Lost { count, until_ns }
            }
        };
        Some(Step {
            ns,
            depth,
            kind,
            values,
        })
    }

    #[cold]
    fn rare(&mut self, ticks: u64, kind: Kind, names: &mut Names) {
        let depth = self.depth();
        match kind {
            Kind::SetJump(buffer) => self.chains.set_jump(buffer),
            Kind::LongJump(buffer) => self.chains.long_jump(ticks, buffer, &mut self.made),
            Kind::Context(context) => context.follow(&mut self.chains, ticks, &mut self.made),
            Kind::Lost { count, until } => {
                self.made.push(ticks, depth, RawKind::Lost { count, until });
                self.chains.gap(ticks);
            }
            Kind::Mark(text) => self.made.push(ticks, depth, RawKind::Mark(text)),
            Kind::Message(message) => self.made.push(ticks, depth, RawKind::Message(message)),
            Kind::SpanBegin {
                span,
                first,
                second,
            } => {
                self.made.arguments = Some([first, second]);
                let name = names.span(span).0;
                self.chains.call(ticks, name, &mut self.made);
            }
            Kind::SpanEnd { span, .. } => {
                let name = names.span(span).0;
                self.chains.ret(ticks, name, &mut self.made);
            }
            // What this reader does not know it cannot show.
            Kind::Call(_)
            | Kind::Return(_)
            | Kind::ThreadEnd
            | Kind::Values(_)
            | Kind::Other { .. } => {}
        }
    }

    #[inline]
    fn name(&mut self, address: u64, ticks: u64, symbols: &Symbols, names: &mut Names) -> u32 {
        if self
            .module_changes
            .first()
            .is_some_and(|change| *change <= ticks)
        {
            self.module_changes.retain(|change| *change > ticks);
            self.forget_names();
        }
        let process = self.process;
        self.cache.get(address, || {
            names.function(symbols, process, address, ticks).0
        })
    }
}

/// Names of the addresses used last.
struct Cache {
    slots: Vec<(u64, u32)>,
}

/// Slots of the cache, a power of two: a program's hot functions, in the processor's second cache.
const CACHE_SLOTS: usize = 4096;

impl Default for Cache {
    fn default() -> Self {
        Self {
            slots: vec![(0, 0); CACHE_SLOTS],
        }
    }
}

impl Cache {
    #[inline]
    fn get(&mut self, address: u64, find: impl FnOnce() -> u32) -> u32 {
        // Functions lie at multiples of 16, mostly; the multiplication spreads the rest of the bits.
        let hash = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let slot = &mut self.slots[hash as usize % CACHE_SLOTS];
        if slot.0 != address {
            *slot = (address, find());
        }
        slot.1
    }
}

/// The clock as one line over a stretch of time: the division by which a recording's clock is exact is too dear for each event.
#[derive(Default)]
struct Stretch {
    /// Ticks >> [`STRETCH_BITS`], plus 1; 0: none yet.
    number: u64,
    begin_ns: u64,
    length_ns: u64,
}

/// Ticks of a stretch, as a power of two: less than a millisecond, where no clock bends.
const STRETCH_BITS: u32 = 20;

impl Stretch {
    #[inline]
    fn ns(&mut self, ticks: u64, clock: &Clock) -> u64 {
        let number = (ticks >> STRETCH_BITS) + 1;
        if number != self.number {
            self.number = number;
            let begin = ticks >> STRETCH_BITS << STRETCH_BITS;
            self.begin_ns = clock.monotonic_ns(begin);
            let end_ns = clock.monotonic_ns(begin.saturating_add(1 << STRETCH_BITS));
            self.length_ns = end_ns.saturating_sub(self.begin_ns);
        }
        self.begin_ns + self.duration_ns(ticks & ((1 << STRETCH_BITS) - 1))
    }

    #[inline]
    fn duration_ns(&self, ticks: u64) -> u64 {
        let scaled = (u128::from(ticks) * u128::from(self.length_ns)) >> STRETCH_BITS;
        scaled as u64
    }
}
