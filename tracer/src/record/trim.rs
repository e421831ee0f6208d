//! What is left out of a thread's words when they are taken: calls of excluded functions whose sites could not be patched, calls
//! too deep, calls too short. It costs the traced thread nothing.
//!
//! A call that may still turn out too short is **held**: it goes on with the next words, or when it has lasted long enough. So
//! of a recorder that is killed only calls younger than that are missing.

use umbel_chains::{Saved, Stacks};
use umbel_trace_ring::word::{Code, TIME_BITS, Word};

use crate::recording::{Context, Kind, special_event};

/// What is left out.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Calls with as many callers.
    pub depth_max: Option<u32>,
    /// Calls that took fewer ticks.
    pub ticks_min: Option<u64>,
}

/// The chain of one thread, as far as it decides what is left out.
#[derive(Debug, Default)]
pub struct Trim {
    /// Time of the last word without its low bits, as read; not known in the middle of a thread.
    time_upper: Option<u64>,
    /// The same, as whoever reads `out` has it.
    written_upper: Option<u64>,
    open: Vec<Open>,
    /// Open calls of the other stacks, all of which have gone on.
    stacks: Stacks<Vec<Open>>,
    /// Words that go on, with those that are held at the end.
    out: Vec<u64>,
    /// Time of the last call or return if it was left out: values that it brought along are too.
    left_out: Option<u64>,
}

/// A call that has not returned.
#[derive(Debug)]
struct Open {
    function: u64,
    begin: u64,
    place: Place,
}

/// Where an open call's word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Left out: its return is too.
    Nowhere,
    /// Gone on.
    Written,
    /// In `out` at this index; before it, the time was written as this.
    Out(usize, Option<u64>),
}

const LOW: u64 = (1 << TIME_BITS) - 1;

const VALUES: u16 = Code::Values as u16;
const NUMBERS: u16 = Code::Numbers as u16;

/// Most open calls that are remembered: beyond, nothing is left out for being short.
const OPEN_MAX: usize = 1 << 20;

impl Trim {
    /// In the middle of a thread: what is known of the time behind the last word that came, and behind the last that went on.
    pub fn from(time_upper: Option<u64>, written_upper: Option<u64>) -> Self {
        Self {
            time_upper,
            written_upper,
            ..Self::default()
        }
    }

    /// The same now.
    pub fn uppers(&self) -> (Option<u64>, Option<u64>) {
        (self.time_upper, self.written_upper)
    }

    /// Whether the last call or return was left out.
    pub fn has_left_out_last(&self) -> bool {
        self.left_out.is_some()
    }

    /// Words went by; so much is known of the time behind them.
    pub fn passed_over(&mut self, time_upper: Option<u64>) {
        self.time_upper = time_upper;
    }

    fn ticks(&self, low: u16) -> u64 {
        self.time_upper.unwrap_or_default() | u64::from(low)
    }

    /// Takes `words` in; `excludes` says of a function whether its calls are left out.
    pub fn add(&mut self, words: &[u64], limits: &Limits, excludes: impl Fn(u64) -> bool) {
        let mut rest = words;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match Word::parse(first) {
                Word::Call { function, time } => {
                    let ticks = self.ticks(time);
                    self.left_out = Some(ticks);
                    if !excludes(function) {
                        self.call(first, function, ticks, limits);
                    }
                }
                Word::Return { function, time } => {
                    let ticks = self.ticks(time);
                    self.left_out = Some(ticks);
                    if !excludes(function) {
                        self.ret(first, function, ticks, limits);
                    }
                }
                Word::Special {
                    code,
                    payload_words,
                } => {
                    let (payload, after) =
                        rest.split_at(rest.len().min(usize::from(payload_words)));
                    rest = after;
                    self.special(first, code, payload);
                }
            }
        }
    }

    /// Hands on what is decided at `now`.
    pub fn decided(&mut self, now: u64, limits: &Limits, sink: impl FnOnce(&[u64])) {
        let ticks_min = limits.ticks_min.unwrap_or(0);
        let is_held = |open: &&Open| {
            matches!(open.place, Place::Out(..)) && now.saturating_sub(open.begin) < ticks_min
        };
        let held_from = match self.open.iter().find(is_held).map(|open| open.place) {
            Some(Place::Out(index, _)) => index,
            _ => self.out.len(),
        };
        sink(&self.out[..held_from]);
        self.out.drain(..held_from);
        for open in &mut self.open {
            if let Place::Out(index, upper) = open.place {
                open.place = match index.checked_sub(held_from) {
                    Some(index) => Place::Out(index, upper),
                    None => Place::Written,
                };
            }
        }
    }

    /// Hands on everything: the thread's words end here.
    pub fn finish(&mut self, sink: impl FnOnce(&[u64])) {
        sink(&self.out);
        self.out.clear();
        for open in &mut self.open {
            if let Place::Out(..) = open.place {
                open.place = Place::Written;
            }
        }
    }

    /// Whether anything is held.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    fn call(&mut self, word: u64, function: u64, ticks: u64, limits: &Limits) {
        let is_too_deep = limits
            .depth_max
            .is_some_and(|depth| self.open.len() >= depth as usize);
        let place = match is_too_deep {
            true => Place::Nowhere,
            false => {
                let upper = self.written_upper;
                let index = self.out.len();
                self.write(word, ticks);
                Place::Out(index, upper)
            }
        };
        if self.open.len() < OPEN_MAX {
            self.open.push(Open {
                function,
                begin: ticks,
                place,
            });
        }
    }

    fn ret(&mut self, word: u64, function: u64, ticks: u64, limits: &Limits) {
        self.follow_stack();
        let Some(index) = self.open.iter().rposition(|open| open.function == function) else {
            // It began before the words did.
            self.write(word, ticks);
            return;
        };
        let open = &self.open[index];
        match open.place {
            Place::Nowhere => {}
            Place::Out(at, upper)
                if limits
                    .ticks_min
                    .is_some_and(|least| ticks.saturating_sub(open.begin) < least)
                    && self.is_last(at) =>
            {
                self.out.truncate(at);
                self.written_upper = upper;
            }
            _ => self.write(word, ticks),
        }
        self.open.truncate(index);
    }

    /// Whether the call at `at` is the last thing in `out`, but for a time before it.
    fn is_last(&self, at: usize) -> bool {
        let word_at = |at: usize| self.out.get(at).map(|&word| Word::parse(word));
        let after_time = match word_at(at) {
            Some(Word::Special { .. }) => at + 2,
            _ => at,
        };
        let after_values = match word_at(after_time + 1) {
            Some(Word::Special {
                code,
                payload_words,
            }) if code == VALUES || code == NUMBERS => after_time + 2 + usize::from(payload_words),
            _ => after_time + 1,
        };
        after_values == self.out.len()
    }

    fn special(&mut self, word: u64, code: u16, payload: &[u64]) {
        if code == Code::Time as u16 {
            // Written anew where it is needed.
            self.time_upper = Some(payload.first().copied().unwrap_or_default() & !LOW);
            return;
        }
        let is_left_out = match code {
            VALUES => payload.first().copied() == self.left_out,
            // Right behind their event.
            NUMBERS => self.left_out.is_some(),
            _ => false,
        };
        if is_left_out {
            return;
        }
        self.out.push(word);
        self.out.extend_from_slice(payload);
        let moves = [Code::SetJump, Code::LongJump, Code::Context];
        if moves.iter().all(|&one| code != one as u16) {
            return;
        }
        match special_event(code, payload).kind {
            Kind::SetJump(context) | Kind::Context(Context::Get(context)) => {
                self.stacks.save(context, self.open.len());
            }
            Kind::LongJump(context) | Kind::Context(Context::Set(context)) => {
                if let Some(saved) = self.stacks.find(context) {
                    self.go(saved);
                }
            }
            Kind::Context(Context::Make { context, successor }) => {
                self.stacks.make(context, successor);
            }
            Kind::Context(Context::Swap { saved, context }) => {
                self.stacks.save(saved, self.open.len());
                let target = self.stacks.find_or_make(context);
                self.go(target);
            }
            _ => {}
        }
    }

    /// The thread goes on where `target` leads to.
    fn go(&mut self, target: Saved) {
        if target.stack != self.stacks.current() {
            for open in &mut self.open {
                // Nobody knows when it will return: it is not short.
                if let Place::Out(..) = open.place {
                    open.place = Place::Written;
                }
            }
            let left = std::mem::take(&mut self.open);
            let next = self
                .stacks
                .go(target.stack, (!left.is_empty()).then_some(left));
            self.open = next.unwrap_or_default();
        }
        self.open.truncate(target.depth);
    }

    /// Behind the last call of a stack comes what follows it.
    fn follow_stack(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        let successor = self.stacks.successor();
        if let Some(target) = successor.and_then(|context| self.stacks.find(context)) {
            self.go(target);
        }
    }

    fn write(&mut self, word: u64, ticks: u64) {
        let upper = ticks & !LOW;
        if self.written_upper != Some(upper) {
            let time = Word::Special {
                code: Code::Time as u16,
                payload_words: 1,
            };
            self.out.extend([time.pack(), ticks]);
            self.written_upper = Some(upper);
        }
        self.out.push(word);
        self.left_out = None;
    }
}

#[cfg(test)]
mod tests;
