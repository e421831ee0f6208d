//! What changed in an object's bytes since its twin was made.
//!
//! A diff names exactly the bytes that changed, so that writers of neighbouring bytes never disturb one
//! another: equal bytes between two changed ones are left out even where sending them would be shorter.
//! It is a sequence of runs, in ascending order:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 1 | head | upper 4 bits: gap, lower 4 bits: length - 1; 15 in either: more follows |
//! | 0, 1 or 3 | gap | if the head's is 15: gap - 15, as below |
//! | 0, 1 or 3 | length | if the head's is 15: length - 16, as below |
//! | length | bytes | the new bytes |
//!
//! *gap* counts the bytes since the end of the run before, or since the unit's first byte. Numbers up to 254 are
//! one byte; larger ones are 255 and two bytes, little-endian. One changed word of a 64-byte object is 1 byte
//! and the word.

use std::fmt;
use std::ops::Range;

use umbel_fault::{LINE_BYTES, changed_bytes};

/// Longest diff of a unit of `unit_bytes`: runs of 16 changed bytes with one unchanged in between.
pub const fn bytes_max(unit_bytes: usize) -> usize {
    unit_bytes + unit_bytes / 16 + 8
}

/// Puts the bytes in which an object differs from its twin into `diff`, and makes the twin equal to it; false if they are
/// equal.
///
/// `first_byte`: where in the unit the two begin. `lines`: a bit for each whole line that may differ, the first one lowest.
/// `read` copies the object's bytes from an offset on; each is read once, so that what is stored meanwhile is either
/// in this diff or differs from the twin afterwards.
pub fn take(
    twin: &mut [u8],
    first_byte: usize,
    lines: u64,
    read: impl Fn(usize, &mut [u8]),
    diff: &mut Vec<u8>,
) -> bool {
    let (twin_lines, tail) = twin.as_chunks_mut::<LINE_BYTES>();
    assert!(twin_lines.len() <= LINES_MAX, "a twin is of a unit");
    if lines == 0 && tail.is_empty() {
        return false;
    }
    let mut changed = Changed::default();
    let mut left = lines;
    while left != 0 {
        let index = left.trailing_zeros() as usize;
        left &= left - 1;
        let Some(twin_line) = twin_lines.get_mut(index) else {
            break;
        };
        let mut line = [0; LINE_BYTES];
        read(index * LINE_BYTES, &mut line);
        let bits = changed_bytes(&line, twin_line);
        if bits != 0 {
            changed.note(index, bits);
            *twin_line = line;
        }
    }
    if !tail.is_empty() {
        let mut line = [0; LINE_BYTES];
        let mut twin_line = line;
        read(twin_lines.len() * LINE_BYTES, &mut line[..tail.len()]);
        twin_line[..tail.len()].copy_from_slice(tail);
        tail.copy_from_slice(&line[..tail.len()]);
        changed.note(twin_lines.len(), changed_bytes(&line, &twin_line));
    }
    changed.write(twin, first_byte, diff)
}

/// The bytes in which `current` differs from `twin`, which are equally long; `None` if they are equal.
/// `first_byte`: as for [`take`].
pub fn between(current: &[u8], twin: &[u8], first_byte: usize) -> Option<Vec<u8>> {
    assert_eq!(current.len(), twin.len(), "a twin is as long as its object");
    let mut diff = Vec::new();
    let read = |offset: usize, line: &mut [u8]| {
        line.copy_from_slice(&current[offset..][..line.len()]);
    };
    take(&mut twin.to_vec(), first_byte, ALL_LINES, read, &mut diff).then_some(diff)
}

/// The runs of `diff`; the last item is an error if the bytes are no diff of a unit of `unit_bytes`.
pub fn runs(diff: &[u8], unit_bytes: usize) -> Runs<'_> {
    Runs {
        rest: diff,
        offset: 0,
        unit_bytes,
    }
}

/// Consecutive bytes that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// First of them, from the start of the unit.
    pub offset: usize,
    /// What they are now; at least one.
    pub bytes: &'a [u8],
}

/// The bytes are no diff of this unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a run is cut off or ends outside the unit")
    }
}

impl std::error::Error for Malformed {}

/// See [`runs`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    rest: &'a [u8],
    offset: usize,
    unit_bytes: usize,
}

impl<'a> Iterator for Runs<'a> {
    type Item = Result<Run<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let run = self.take_run();
        if run.is_none() {
            self.rest = &[];
        }
        Some(run.ok_or(Malformed))
    }
}

impl<'a> Runs<'a> {
    #[inline]
    fn take_run(&mut self) -> Option<Run<'a>> {
        let head = self.take_byte()?;
        let gap = self.take_number(usize::from(head >> 4))?;
        let len = self.take_number(usize::from(head & 15))? + 1;
        let offset = self.offset + gap;
        if offset + len > self.unit_bytes {
            return None;
        }
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.offset = offset + len;
        Some(Run { offset, bytes })
    }

    /// The number whose part in the head is `short`.
    #[inline]
    fn take_number(&mut self, short: usize) -> Option<usize> {
        if short < IN_HEAD {
            return Some(short);
        }
        match self.take_byte()? {
            IS_LONG => {
                let low = self.take_byte()?;
                let high = self.take_byte()?;
                Some(IN_HEAD + usize::from(u16::from_le_bytes([low, high])))
            }
            byte => Some(IN_HEAD + usize::from(byte)),
        }
    }

    #[inline]
    fn take_byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

/// Which bytes of an object changed.
struct Changed {
    /// A bit for each byte, the first one lowest; one element a line.
    lines: [u64; LINES_MAX],
    /// Lines from here to `end` may have changes.
    first: usize,
    end: usize,
    bytes: usize,
    /// Runs, counted anew in each line.
    runs: usize,
}

impl Default for Changed {
    fn default() -> Self {
        Self {
            lines: [0; LINES_MAX],
            first: LINES_MAX,
            end: 0,
            bytes: 0,
            runs: 0,
        }
    }
}

impl Changed {
    fn note(&mut self, index: usize, changed: u64) {
        self.lines[index] = changed;
        self.first = self.first.min(index);
        self.end = index + 1;
        self.bytes += changed.count_ones() as usize;
        self.runs += (changed & !(changed << 1)).count_ones() as usize;
    }

    /// The diff, if there is one; `current` are all bytes as they are now.
    fn write(&self, current: &[u8], first_byte: usize, diff: &mut Vec<u8>) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let len_max = (self.bytes + self.runs * RUN_HEAD_BYTES_MAX)
            .min(bytes_max(first_byte + current.len()));
        diff.clear();
        diff.resize(len_max + SPARE_BYTES, 0);
        let mut writer = Writer {
            current,
            end: 0,
            gap: first_byte,
            out: diff,
            written: 0,
        };
        let mut run = 0..0;
        for (index, line) in self.lines[..self.end].iter().enumerate().skip(self.first) {
            let mut line = *line;
            let mut at = index * LINE_BYTES;
            while line != 0 {
                let unchanged = line.trailing_zeros();
                line >>= unchanged;
                let changed = line.trailing_ones();
                // In two steps: it may be all 64.
                line = line >> (changed - 1) >> 1;
                at += unchanged as usize;
                if at != run.end {
                    writer.write(run);
                    run = at..at;
                }
                at += changed as usize;
                run.end = at;
            }
        }
        writer.write(run);
        let written = writer.written;
        diff.truncate(written);
        true
    }
}

struct Writer<'a> {
    current: &'a [u8],
    /// Of the last run; 0 before the first one.
    end: usize,
    /// Unchanged bytes of the unit before `current`, until there is a run.
    gap: usize,
    /// Longer than what will be written.
    out: &'a mut [u8],
    written: usize,
}

impl Writer<'_> {
    fn write(&mut self, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        let gap = run.start - self.end + self.gap;
        let more = run.len() - 1;
        (self.gap, self.end) = (0, run.end);
        self.push((gap.min(IN_HEAD) << 4 | more.min(IN_HEAD)) as u8);
        if gap >= IN_HEAD {
            self.push_rest(gap - IN_HEAD);
        }
        if more >= IN_HEAD {
            self.push_rest(more - IN_HEAD);
        }
        // Most runs are short: copying as many bytes as fit a register, whatever the length, needs no call.
        let source = self.current[run.start..].first_chunk::<SHORT_BYTES>();
        let target = self.out[self.written..].first_chunk_mut::<SHORT_BYTES>();
        match (source, target) {
            (Some(source), Some(target)) if more < SHORT_BYTES => *target = *source,
            _ => self.out[self.written..][..run.len()].copy_from_slice(&self.current[run.clone()]),
        }
        self.written += run.len();
    }

    fn push_rest(&mut self, number: usize) {
        if number < usize::from(IS_LONG) {
            self.push(number as u8);
        } else {
            self.push(IS_LONG);
            let [low, high] = (number as u16).to_le_bytes();
            self.push(low);
            self.push(high);
        }
    }

    fn push(&mut self, byte: u8) {
        self.out[self.written] = byte;
        self.written += 1;
    }
}

/// Each line may differ.
pub const ALL_LINES: u64 = u64::MAX;
/// Of the largest unit, a page.
const LINES_MAX: usize = 4096 / LINE_BYTES;
/// Numbers below this fit the head.
const IN_HEAD: usize = 15;
/// Announces two bytes more.
const IS_LONG: u8 = 255;
/// Before a run's bytes.
const RUN_HEAD_BYTES_MAX: usize = 7;
/// Copied at once, whatever a run's length.
const SHORT_BYTES: usize = 16;
/// Room behind a diff for that.
const SPARE_BYTES: usize = SHORT_BYTES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_valid(diff: &[u8], unit_bytes: usize) -> bool {
        !diff.is_empty() && runs(diff, unit_bytes).all(|run| run.is_ok())
    }

    fn merged(mut bytes: Vec<u8>, diff: &[u8]) -> Vec<u8> {
        for run in runs(diff, bytes.len()) {
            let run = run.unwrap();
            bytes[run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
        }
        bytes
    }

    /// Two versions of a unit: `changes` of the second's bytes are new, in places of any pattern.
    fn versions() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let unit = prop_oneof![Just(64usize), Just(100), Just(512), Just(4096), 1..300usize];
        unit.prop_flat_map(|len| {
            let change = (0..len, 1..40usize, any::<u8>());
            (
                proptest::collection::vec(any::<u8>(), len),
                proptest::collection::vec(change, 0..60),
            )
        })
        .prop_map(|(old, changes)| {
            let mut new = old.clone();
            for (start, len, value) in changes {
                let end = (start + len).min(new.len());
                new[start..end].fill(value);
            }
            (old, new)
        })
    }

    proptest! {
        #[test]
        fn the_old_bytes_and_the_diff_make_the_new_ones((old, new) in versions()) {
            match between(&new, &old, 0) {
                None => prop_assert_eq!(old, new),
                Some(diff) => {
                    prop_assert!(is_valid(&diff, new.len()));
                    prop_assert!(diff.len() <= bytes_max(new.len()));
                    prop_assert_eq!(merged(old, &diff), new);
                }
            }
        }

        #[test]
        fn no_unchanged_byte_is_named((old, new) in versions()) {
            for run in between(&new, &old, 0).iter().flat_map(|diff| runs(diff, new.len())) {
                let run = run.unwrap();
                let before = &old[run.offset..][..run.bytes.len()];
                prop_assert!(run.bytes.iter().zip(before).all(|(new, old)| new != old));
            }
        }

        #[test]
        fn writers_of_different_bytes_keep_both_changes((old, new) in versions(), owners in proptest::collection::vec(any::<bool>(), 4096)) {
            let part = |mine: bool| -> Vec<u8> {
                (0..old.len()).map(|i| if owners[i] == mine { new[i] } else { old[i] }).collect()
            };
            let mut home = old.clone();
            for mine in [false, true] {
                if let Some(diff) = between(&part(mine), &old, 0) {
                    home = merged(home, &diff);
                }
            }
            prop_assert_eq!(home, new);
        }

        #[test]
        fn any_bytes_are_refused_or_stay_inside(bytes in proptest::collection::vec(any::<u8>(), 0..200), unit in 1..5000usize) {
            let mut end = 0;
            for run in runs(&bytes, unit).flatten() {
                prop_assert!(run.offset >= end && !run.bytes.is_empty());
                end = run.offset + run.bytes.len();
                prop_assert!(end <= unit);
            }
        }

        #[test]
        fn a_damaged_diff_is_refused_or_stays_inside((old, new) in versions(), at in any::<prop::sample::Index>(), value: u8) {
            if let Some(mut diff) = between(&new, &old, 0) {
                let at = at.index(diff.len());
                diff[at] = value;
                prop_assert!(runs(&diff, new.len()).flatten().all(|run| run.offset + run.bytes.len() <= new.len()));
                diff.truncate(at);
                prop_assert!(runs(&diff, new.len()).flatten().all(|run| run.offset + run.bytes.len() <= new.len()));
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let old = vec![0; 4096];
        let mut new = old.clone();
        new[3] = 7;
        new[4] = 8;
        new[20..36].fill(9);
        new[400] = 1;
        let mut golden = vec![0x31, 7, 8, 0xff, 0, 0];
        golden.extend([9; 16]);
        golden.extend([0xf0, 255, 0x5d, 0x01, 1]);
        assert_eq!(between(&new, &old, 0).unwrap(), golden);
        assert_eq!(between(&new[3..5], &old[3..5], 3).unwrap(), [0x31, 7, 8]);
    }

    #[test]
    fn a_word_of_a_small_object_costs_one_byte_more_than_itself() {
        let mut new = [0; 64];
        new[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(between(&new, &[0; 64], 0).unwrap().len(), 9);
    }

    #[test]
    fn a_page_that_changed_everywhere_is_hardly_longer_than_a_page() {
        assert_eq!(between(&[1; 4096], &[0; 4096], 0).unwrap().len(), 4096 + 4);
    }

    #[test]
    fn the_longest_diff_fits_its_bound() {
        let old = vec![0; 4096];
        for run in 1..300 {
            let new: Vec<u8> = (0..4096).map(|i| u8::from(i % (run + 1) != 0)).collect();
            let len = between(&new, &old, 0).unwrap().len();
            assert!(len <= bytes_max(4096), "{len} bytes for runs of {run}");
        }
    }

    #[test]
    fn what_is_cut_off_or_outside_is_refused() {
        for bad in [
            &[][..],
            &[0x00],
            &[0x0f, 0],
            &[0xf0],
            &[0xf0, 255, 1],
            &[0xf0, 200, 1],
            &[0x01, 1],
        ] {
            assert!(!is_valid(bad, 64), "{bad:?}");
        }
        assert!(is_valid(&[0xf0, 48, 1], 64));
        assert!(!is_valid(&[0xf0, 49, 1], 64));
    }
}
