//! The machine that keeps the frames of one thread.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What is told about frames. `T` is whatever the sink wants to keep with a frame: a node of a tree, for example.
pub trait Sink<T> {
    /// `function` was called at `ticks`; `parent` is the frame that it was called from, and `depth` the number of frames
    /// below it.
    fn began(
        &mut self,
        parent: Option<&mut Frame<T>>,
        function: u32,
        ticks: u64,
        depth: usize,
    ) -> T;

    /// A frame ended; `parent` is the one below it, if any.
    fn ended(&mut self, ended: FrameEnded<T>, parent: Option<&mut Frame<T>>);
}

/// A frame that has not ended.
#[derive(Clone, Debug)]
pub struct Frame<T> {
    /// The function.
    pub function: u32,
    /// When it was called, in ticks.
    pub begin: u64,
    /// Ticks in frames above it that have ended.
    pub children_ticks: u64,
    /// The sink's.
    pub tag: T,
    /// Index + 1 of the next frame of the same function further out; 0: none.
    outer: usize,
}

/// A frame that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameEnded<T> {
    /// The function.
    pub function: u32,
    /// Frames below it.
    pub depth: usize,
    /// When it was called, in ticks; of a frame with [`Cut::BeganUnseen`] the earliest that is known.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
    /// Ticks from begin to end that no frame above it accounts for.
    pub self_ticks: u64,
    /// No other frame of this function is further out: whoever adds up total times adds only those, or a recursion
    /// would count one moment many times.
    pub outermost: bool,
    /// Why it is no ordinary call and return.
    pub cut: Option<Cut>,
    /// The sink's.
    pub tag: T,
}

impl<T> FrameEnded<T> {
    /// Ticks from begin to end.
    pub fn total_ticks(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }
}

/// Why a frame is not an ordinary call with its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// longjmp left it.
    Jumped,
    /// A function further out returned first: an exception, or the return was lost.
    Unwound,
    /// It had not ended when the events did.
    Open,
    /// Its call was not seen: it began before the recording, or in a gap.
    BeganUnseen,
}

/// The frames of one thread.
#[derive(Clone, Debug)]
pub struct Chains<T> {
    frames: Vec<Frame<T>>,
    /// By function: index + 1 of its innermost frame; 0: none.
    innermost: Vec<usize>,
    /// By the buffer's address: frames at setjmp.
    buffers: BTreeMap<u64, usize>,
    /// Frames from this index on began after the last gap, and at what time the gap began; `None`: there was none.
    gap: Option<(usize, u64)>,
    /// Time of the first event.
    first: Option<u64>,
}

/// Remembered buffers after which those of ended frames are looked for and forgotten.
const BUFFERS_KEPT: usize = 64;

impl<T> Default for Chains<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Chains<T> {
    /// For a thread whose first event is known.
    pub fn new() -> Self {
        Self {
            frames: Vec::new(),
            innermost: Vec::new(),
            buffers: BTreeMap::new(),
            gap: None,
            first: None,
        }
    }

    /// For a thread of which the recording has not the beginning: what it was in will return.
    pub fn from_the_middle(ticks: u64) -> Self {
        Self {
            gap: Some((0, ticks)),
            first: Some(ticks),
            ..Self::new()
        }
    }

    /// The frames that have not ended, the outermost first.
    pub fn frames(&self) -> &[Frame<T>] {
        &self.frames
    }

    /// `function` is called.
    #[inline]
    pub fn call(&mut self, ticks: u64, function: u32, sink: &mut impl Sink<T>) {
        self.first.get_or_insert(ticks);
        let depth = self.frames.len();
        let tag = sink.began(self.frames.last_mut(), function, ticks, depth);
        let index = function as usize;
        if index >= self.innermost.len() {
            self.innermost.resize(index + 1, 0);
        }
        let outer = core::mem::replace(&mut self.innermost[index], depth + 1);
        self.frames.push(Frame {
            function,
            begin: ticks,
            children_ticks: 0,
            tag,
            outer,
        });
    }

    /// `function` returns.
    #[inline]
    pub fn ret(&mut self, ticks: u64, function: u32, sink: &mut impl Sink<T>) {
        if self
            .frames
            .last()
            .is_some_and(|top| top.function == function)
        {
            self.end(ticks, None, sink);
        } else {
            self.unmatched(ticks, function, sink);
        }
    }

    /// setjmp is called with the buffer at this address.
    pub fn set_jump(&mut self, buffer: u64) {
        if self.buffers.len() >= BUFFERS_KEPT {
            let depth = self.frames.len();
            self.buffers.retain(|_, frames| *frames <= depth);
        }
        self.buffers.insert(buffer, self.frames.len());
    }

    /// longjmp is called with the buffer at this address.
    pub fn long_jump(&mut self, ticks: u64, buffer: u64, sink: &mut impl Sink<T>) {
        if let Some(&depth) = self.buffers.get(&buffer) {
            self.cut_to(depth, ticks, Cut::Jumped, sink);
        }
    }

    /// Events are missing from here on, the first of them at `ticks` or later.
    pub fn gap(&mut self, ticks: u64) {
        self.first.get_or_insert(ticks);
        self.gap = Some((self.frames.len(), ticks));
    }

    /// There are no more events: ends what is open.
    pub fn finish(&mut self, ticks: u64, sink: &mut impl Sink<T>) {
        self.cut_to(0, ticks, Cut::Open, sink);
        self.buffers.clear();
        self.gap = None;
    }

    #[cold]
    fn unmatched(&mut self, ticks: u64, function: u32, sink: &mut impl Sink<T>) {
        let place = self.innermost.get(function as usize).copied().unwrap_or(0);
        if place > 0 {
            self.cut_to(place, ticks, Cut::Unwound, sink);
            self.end(ticks, None, sink);
            return;
        }
        // It was called in the last gap, or before: whatever was called since then was above it.
        let begin = match self.gap {
            Some((survivors, begin)) => {
                self.cut_to(survivors, ticks, Cut::Unwound, sink);
                begin
            }
            None => self.first.unwrap_or(ticks),
        };
        self.first.get_or_insert(ticks);
        let depth = self.frames.len();
        let tag = sink.began(self.frames.last_mut(), function, begin, depth);
        let ended = FrameEnded {
            function,
            depth,
            begin,
            end: ticks,
            // What lay above it before it was seen is not known, so neither is its own time.
            self_ticks: 0,
            outermost: true,
            cut: Some(Cut::BeganUnseen),
            tag,
        };
        sink.ended(ended, self.frames.last_mut());
    }

    fn cut_to(&mut self, depth: usize, ticks: u64, cut: Cut, sink: &mut impl Sink<T>) {
        while self.frames.len() > depth {
            self.end(ticks, Some(cut), sink);
        }
    }

    #[inline]
    fn end(&mut self, ticks: u64, cut: Option<Cut>, sink: &mut impl Sink<T>) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let depth = self.frames.len();
        self.innermost[frame.function as usize] = frame.outer;
        if let Some((survivors, _)) = &mut self.gap {
            *survivors = depth.min(*survivors);
        }
        let total_ticks = ticks.saturating_sub(frame.begin);
        let parent = self.frames.last_mut();
        let ended = FrameEnded {
            function: frame.function,
            depth,
            begin: frame.begin,
            end: ticks.max(frame.begin),
            self_ticks: total_ticks.saturating_sub(frame.children_ticks),
            outermost: frame.outer == 0,
            cut,
            tag: frame.tag,
        };
        match parent {
            Some(parent) => {
                parent.children_ticks = parent.children_ticks.saturating_add(total_ticks);
                sink.ended(ended, Some(parent));
            }
            None => sink.ended(ended, None),
        }
    }
}
