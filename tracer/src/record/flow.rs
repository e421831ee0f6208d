//! A thread's words on their way from its chunks to the recording: all, some or none of them go on, and that may change between two
//! slices. What goes on is dated right whatever was left out before: a call's word has only the low bits of its time, the rest
//! is in a word before it, which may have been left out.

use umbel_trace_ring::word::{Code, TIME_BITS, Word};

use super::trim::{Limits, Trim};

/// The way of one thread's words.
#[derive(Debug, Default)]
pub struct Flow {
    /// Upper bits of the time behind the last word that came, if they are known.
    upper: Option<u64>,
    /// The same behind the last word that went on.
    written: Option<u64>,
    trim: Option<Trim>,
    /// Whether the last event was left out: numbers right behind it, which may come with the next words, are too.
    last_left_out: bool,
}

/// Where words go: it tells the last time that was among them, if there was one.
pub trait Onward: FnMut(&[u64]) -> Option<u64> {}

impl<F: FnMut(&[u64]) -> Option<u64>> Onward for F {}

impl Flow {
    /// Lets all `words` on.
    pub fn pass(&mut self, words: &[u64], onward: &mut impl Onward) {
        if self.trim.take().is_some_and(|trim| !trim.is_empty()) {
            debug_assert!(false, "what is held goes on first");
        }
        let words = self.without_leftover(words);
        if words.is_empty() {
            return;
        }
        let begins_with_time = is_time(words[0]);
        if !begins_with_time && let Some(upper) = self.upper.filter(|_| self.written != self.upper)
        {
            onward(&time(upper));
        }
        if let Some(ticks) = onward(words) {
            self.upper = Some(upper_of(ticks));
        }
        self.written = self.upper;
    }

    /// Leaves all `words` out.
    pub fn drop(&mut self, words: &[u64]) {
        self.upper = last_time(words).map(upper_of).or(self.upper);
        if let Some(trim) = &mut self.trim {
            trim.passed_over(self.upper);
        }
        self.last_left_out |= !words.is_empty();
    }

    /// `words` without numbers at the beginning whose event was left out before.
    fn without_leftover<'a>(&mut self, words: &'a [u64]) -> &'a [u64] {
        let Some(&first) = words.first() else {
            return words;
        };
        let is_left_out = std::mem::take(&mut self.last_left_out);
        match Word::parse(first) {
            Word::Special {
                code,
                payload_words,
            } if is_left_out && code == Code::Numbers as u16 => words
                .get(1 + usize::from(payload_words)..)
                .unwrap_or_default(),
            _ => words,
        }
    }

    /// Lets `words` on but for what `limits` and `excludes` leave out, or hold back at `now`.
    pub fn trim(
        &mut self,
        words: &[u64],
        limits: &Limits,
        excludes: impl Fn(u64) -> bool,
        now: u64,
        onward: &mut impl Onward,
    ) {
        let words = self.without_leftover(words);
        let trim = match &mut self.trim {
            Some(trim) => trim,
            none => none.insert(Trim::from(self.upper, self.written)),
        };
        trim.add(words, limits, excludes);
        if !words.is_empty() {
            self.last_left_out = trim.has_left_out_last();
        }
        trim.decided(now, limits, |kept| {
            onward(kept);
        });
        self.take_uppers();
    }

    /// Lets on what has been held back long enough.
    pub fn release(&mut self, limits: &Limits, now: u64, onward: &mut impl Onward) {
        let Some(trim) = self.trim.as_mut().filter(|trim| !trim.is_empty()) else {
            return;
        };
        trim.decided(now, limits, |kept| {
            if !kept.is_empty() {
                onward(kept);
            }
        });
        self.take_uppers();
    }

    /// Lets on all that is held back.
    pub fn finish(&mut self, onward: &mut impl Onward) {
        let Some(trim) = self.trim.as_mut().filter(|trim| !trim.is_empty()) else {
            return;
        };
        trim.finish(|kept| {
            onward(kept);
        });
        self.take_uppers();
    }

    /// Whether anything is held back.
    pub fn holds(&self) -> bool {
        self.trim.as_ref().is_some_and(|trim| !trim.is_empty())
    }

    fn take_uppers(&mut self) {
        if let Some(trim) = &self.trim {
            (self.upper, self.written) = trim.uppers();
        }
    }
}

fn upper_of(ticks: u64) -> u64 {
    ticks >> TIME_BITS << TIME_BITS
}

fn is_time(word: u64) -> bool {
    matches!(Word::parse(word), Word::Special { code, .. } if code == Code::Time as u16)
}

fn time(ticks: u64) -> [u64; 2] {
    let word = Word::Special {
        code: Code::Time as u16,
        payload_words: 1,
    };
    [word.pack(), ticks]
}

/// The last time in `words`.
fn last_time(words: &[u64]) -> Option<u64> {
    let mut last = None;
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        at += 1;
        if let Word::Special {
            code,
            payload_words,
        } = Word::parse(word)
        {
            if code == Code::Time as u16 {
                last = words.get(at).copied().or(last);
            }
            at += usize::from(payload_words);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::{Event, Kind, Parser};
    use umbel_trace_ring::word::numbers;

    /// What becomes of one slice.
    #[derive(Clone, Copy, Debug)]
    enum Way {
        Pass,
        Drop,
        Exclude(u64),
    }

    fn events(words: &[u64]) -> Vec<Event> {
        let mut events = Vec::new();
        Parser::new().parse(words, |_, event| events.push(event));
        events
    }

    /// Events as a thread writes them: gaps between their times; function; whether it is called; whether its time comes as a number behind it.
    fn written(events: &[(u64, u64, bool, bool)]) -> Vec<u64> {
        let mut words = Vec::new();
        let (mut ticks, mut upper) = (1 << 40, None);
        for &(gap, function, is_call, has_number) in events {
            ticks += gap;
            if upper != Some(upper_of(ticks)) {
                upper = Some(upper_of(ticks));
                words.extend(time(ticks));
            }
            let (function, low) = (0x1000 * (function + 1), ticks as u16);
            let word = match is_call {
                true => Word::Call {
                    function,
                    time: low,
                },
                false => Word::Return {
                    function,
                    time: low,
                },
            };
            words.push(word.pack());
            if has_number {
                words.extend([numbers(PLAN, 1).expect("both are small"), ticks]);
            }
        }
        words
    }

    const PLAN: u32 = 5;

    /// Ends of events in `words`, so that no slice cuts one.
    fn ends(words: &[u64]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while let Some(&word) = words.get(at) {
            at += 1;
            if let Word::Special { payload_words, .. } = Word::parse(word) {
                at += usize::from(payload_words);
            }
            ends.push(at);
        }
        ends
    }

    proptest! {
        #[test]
        fn what_goes_on_keeps_its_time(
            thread in prop::collection::vec((0_u64..100_000, 0_u64..3, any::<bool>(), any::<bool>()), 1..60),
            slices in prop::collection::vec((1_usize..8, prop_oneof![
                Just(Way::Pass), Just(Way::Drop), (0_u64..3).prop_map(Way::Exclude)
            ]), 1..20),
        ) {
            let words = written(&thread);
            let all = events(&words);
            let ends = ends(&words);
            let mut flow = Flow::default();
            let mut out: Vec<u64> = Vec::new();
            let mut expected = Vec::new();
            let (mut from, mut piece) = (0, 0);
            let mut slices = slices.iter().cycle();
            let mut is_last_kept = false;
            while piece < ends.len() {
                let &(count, way) = slices.next().expect("it goes round");
                piece = (piece + count).min(ends.len());
                let slice = &words[from..ends[piece - 1]];
                // The events of the slice, with their times as the thread meant them.
                let before = events(&words[..from]).len();
                let with = events(&words[..ends[piece - 1]]).len();
                let own = &all[before..with];
                from = ends[piece - 1];
                let onward = &mut |words: &[u64]| {
                    out.extend(words);
                    last_time(words)
                };
                let mut excluded = 0;
                match way {
                    Way::Pass => flow.pass(slice, onward),
                    Way::Drop => flow.drop(slice),
                    Way::Exclude(number) => {
                        excluded = 0x1000 * (number + 1);
                        flow.trim(slice, &Limits::default(), |function| function == excluded, 0, onward);
                    }
                }
                for event in own {
                    let is_here = !matches!(way, Way::Drop);
                    // Numbers go with their event.
                    is_last_kept = is_here && match event.kind {
                        Kind::Call(function) | Kind::Return(function) => function != excluded,
                        _ => is_last_kept,
                    };
                    if is_last_kept {
                        expected.push(event.clone());
                    }
                }
            }
            prop_assert_eq!(events(&out), expected);
        }
    }
}
