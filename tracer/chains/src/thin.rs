//! Filters that need the call chain: at most so deep, at least so long. For a recorder, which sees events as they come.

use alloc::vec::Vec;

/// An event that passed, for the caller to write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinEvent {
    /// A call of `function`, at `ticks`.
    Call {
        /// When, in ticks.
        ticks: u64,
        /// Whatever number the caller uses for functions.
        function: u64,
    },
    /// A return.
    Return {
        /// When, in ticks.
        ticks: u64,
        /// As in the call.
        function: u64,
    },
}

/// Lets through what is not deeper than `depth_max` frames and lasts at least `ticks_min`.
///
/// A call is held back until it has lasted long enough; those that it lies in come first, since they began earlier. So
/// the order of what passes is that of the events, but a call may come out behind its time: when something returns, when
/// [`Thin::tick`] is called, or when [`Thin::flush`] is.
#[derive(Clone, Debug)]
pub struct Thin {
    depth_max: usize,
    ticks_min: u64,
    /// (function, begin) of the frames.
    frames: Vec<(u64, u64)>,
    /// Frames whose calls were let through; those above are held back, or are too deep.
    passed: usize,
}

impl Thin {
    /// `depth_max` frames at most (`usize::MAX`: all); frames of at least `ticks_min` ticks (0: all).
    pub fn new(depth_max: usize, ticks_min: u64) -> Self {
        Self {
            depth_max,
            ticks_min,
            frames: Vec::new(),
            passed: 0,
        }
    }

    /// `function` is called.
    pub fn call(&mut self, ticks: u64, function: u64, out: &mut impl FnMut(ThinEvent)) {
        self.tick(ticks, out);
        self.frames.push((function, ticks));
        if self.ticks_min == 0 {
            self.flush(out);
        }
    }

    /// `function` returns. One that is not innermost ends those above it, whose returns don't pass: as for the reader of
    /// an unfiltered recording. One that isn't there passes: only a reader of the whole knows what it means.
    pub fn ret(&mut self, ticks: u64, function: u64, out: &mut impl FnMut(ThinEvent)) {
        self.tick(ticks, out);
        let place = self.frames.iter().rposition(|frame| frame.0 == function);
        let Some(place) = place else {
            if self.frames.is_empty() {
                out(ThinEvent::Return { ticks, function });
            }
            return;
        };
        self.frames.truncate(place);
        if self.passed > place {
            self.passed = place;
            out(ThinEvent::Return { ticks, function });
        }
    }

    /// It is `ticks` now: lets the calls through that have lasted long enough by now.
    #[inline]
    pub fn tick(&mut self, ticks: u64, out: &mut impl FnMut(ThinEvent)) {
        while let Some(&(function, begin)) = self.frames.get(self.passed) {
            if self.passed >= self.depth_max || ticks.saturating_sub(begin) < self.ticks_min {
                return;
            }
            self.passed += 1;
            out(ThinEvent::Call {
                ticks: begin,
                function,
            });
        }
    }

    /// Lets through all calls that are held back, however short: before something that is no call, so that it is seen where
    /// it happened, and at the end.
    pub fn flush(&mut self, out: &mut impl FnMut(ThinEvent)) {
        self.tick(u64::MAX, out);
    }

    /// longjmp: `frames` frames are left.
    pub fn cut_to(&mut self, frames: usize) {
        self.frames.truncate(frames);
        self.passed = self.passed.min(frames);
    }

    /// Frames there are now, passed or not.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }
}
