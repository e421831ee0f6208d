//! The machine that keeps the frames of one thread.

use alloc::vec::Vec;

use crate::stacks::{Saved, Stacks};

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

    /// A frame that ended because its thread left the stack goes on, as a frame of its own; otherwise as [`Sink::began`].
    fn resumed(
        &mut self,
        parent: Option<&mut Frame<T>>,
        function: u32,
        ticks: u64,
        depth: usize,
    ) -> T {
        self.began(parent, function, ticks, depth)
    }

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
    /// Ticks that it lasted before its thread left the stack and came back.
    pub earlier_ticks: u64,
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
    /// Ticks that it lasted before `begin`, in pieces that ended with [`Cut::Suspended`].
    pub earlier_ticks: u64,
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

    /// Ticks from its call to its end, without those in which its thread was on another stack.
    pub fn whole_ticks(&self) -> u64 {
        self.total_ticks().saturating_add(self.earlier_ticks)
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
    /// Its thread left the stack; it goes on when the thread comes back.
    Suspended,
}

/// The frames of one thread.
#[derive(Clone, Debug)]
pub struct Chains<T> {
    frames: Vec<Frame<T>>,
    /// By function: index + 1 of its innermost frame; 0: none.
    innermost: Vec<usize>,
    stacks: Stacks<Left>,
    /// The present stack has had a frame.
    is_begun: bool,
    /// Frames from this index on began after the last gap, and at what time the gap began; `None`: there was none.
    gap: Option<(usize, u64)>,
    /// Time of the first event.
    first: Option<u64>,
}

/// What is kept of a stack that its thread has left.
#[derive(Clone, Debug, Default)]
struct Left {
    /// Of each frame the function, and how long it has lasted.
    frames: Vec<(u32, u64)>,
    gap: Option<(usize, u64)>,
}

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
            stacks: Stacks::default(),
            is_begun: false,
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
        if self.frames.is_empty() {
            self.begin_stack(ticks, sink);
        }
        let depth = self.frames.len();
        let tag = sink.began(self.frames.last_mut(), function, ticks, depth);
        self.push(function, ticks, tag, 0);
    }

    #[inline]
    fn push(&mut self, function: u32, begin: u64, tag: T, earlier_ticks: u64) {
        let index = function as usize;
        if index >= self.innermost.len() {
            self.innermost.resize(index + 1, 0);
        }
        let outer = core::mem::replace(&mut self.innermost[index], self.frames.len() + 1);
        self.frames.push(Frame {
            function,
            begin,
            children_ticks: 0,
            earlier_ticks,
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

    /// setjmp is called with the buffer, or getcontext with the context, at this address.
    pub fn set_jump(&mut self, buffer: u64) {
        self.stacks.save(buffer, self.frames.len());
    }

    /// longjmp is called with the buffer, or setcontext with the context, at this address.
    pub fn long_jump(&mut self, ticks: u64, buffer: u64, sink: &mut impl Sink<T>) {
        if let Some(saved) = self.stacks.find(buffer) {
            self.go(ticks, saved, sink);
        }
    }

    /// makecontext is called: the context at this address has a stack of its own, and `successor` goes on after it unless it is 0.
    pub fn make_context(&mut self, context: u64, successor: u64) {
        self.stacks.make(context, successor);
    }

    /// swapcontext is called: the thread leaves this stack, to which `saved` leads from now on, for that of `context`.
    pub fn swap_context(&mut self, ticks: u64, saved: u64, context: u64, sink: &mut impl Sink<T>) {
        self.set_jump(saved);
        let target = self.stacks.find_or_make(context);
        self.go(ticks, target, sink);
    }

    /// Events are missing from here on, the first of them at `ticks` or later.
    pub fn gap(&mut self, ticks: u64) {
        self.first.get_or_insert(ticks);
        self.gap = Some((self.frames.len(), ticks));
        for left in self.stacks.left_mut() {
            left.gap = Some((left.frames.len(), ticks));
        }
    }

    /// There are no more events: ends what is open.
    pub fn finish(&mut self, ticks: u64, sink: &mut impl Sink<T>) {
        self.cut_to(0, ticks, Cut::Open, sink);
        while let Some(stack) = self.stacks.any_left() {
            let depth = usize::MAX;
            self.go(ticks, Saved { stack, depth }, sink);
            self.cut_to(0, ticks, Cut::Open, sink);
        }
        self.stacks = Stacks::default();
        self.gap = None;
    }

    /// The first frame of a stack comes, or what follows its last.
    #[cold]
    fn begin_stack(&mut self, ticks: u64, sink: &mut impl Sink<T>) {
        if core::mem::replace(&mut self.is_begun, true) {
            self.follow(ticks, sink);
        }
    }

    /// Goes to the successor of a stack whose outermost function has returned; whether it has one.
    fn follow(&mut self, ticks: u64, sink: &mut impl Sink<T>) -> bool {
        let successor = self.stacks.successor();
        let target = successor.and_then(|context| self.stacks.find(context));
        match target {
            Some(target) if target.stack != self.stacks.current() => {
                self.go(ticks, target, sink);
                true
            }
            _ => false,
        }
    }

    /// The thread goes on where `target` leads to.
    #[cold]
    fn go(&mut self, ticks: u64, target: Saved, sink: &mut impl Sink<T>) {
        let Saved { stack, depth } = target;
        if stack == self.stacks.current() {
            self.cut_to(depth, ticks, Cut::Jumped, sink);
            return;
        }
        let frames = self.frames.iter();
        let lasted = |frame: &Frame<T>| {
            let piece = ticks.saturating_sub(frame.begin);
            (frame.function, frame.earlier_ticks.saturating_add(piece))
        };
        let left = Left {
            frames: frames.map(lasted).collect(),
            gap: self.gap,
        };
        self.cut_to(0, ticks, Cut::Suspended, sink);
        let next = self
            .stacks
            .go(stack, (!left.frames.is_empty()).then_some(left));
        let next = next.unwrap_or_default();
        self.is_begun = !next.frames.is_empty();
        self.gap = None;
        for (function, earlier_ticks) in next.frames {
            let depth = self.frames.len();
            let tag = sink.resumed(self.frames.last_mut(), function, ticks, depth);
            self.push(function, ticks, tag, earlier_ticks);
        }
        self.gap = next.gap;
        // As by longjmp: the context was saved further out than the thread left from.
        self.cut_to(depth, ticks, Cut::Jumped, sink);
    }

    #[cold]
    fn unmatched(&mut self, ticks: u64, function: u32, sink: &mut impl Sink<T>) {
        if self.frames.is_empty() && self.is_begun && self.follow(ticks, sink) {
            return self.ret(ticks, function, sink);
        }
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
            earlier_ticks: 0,
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
            earlier_ticks: frame.earlier_ticks,
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
