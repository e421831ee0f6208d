//! Following pointers, breadth first: what was captured is looked through for pointers as its shape says; what they lead to is captured too.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::encode::{Follow, Instruction, RegionState};
use super::frame::{Frame, state_of};
use super::interpret::{Probe, Unread};

/// Captured things with pointers in them, at most: regions, and what ops append.
const SOURCES_MAX: usize = 384;

/// Bytes of memory that is mapped as a whole or not at all.
pub(super) const MAPPED_BYTES: u64 = 4096;

/// Captured bytes whose pointers are to be followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Byte of the payload where they begin.
    pub at: usize,
    pub bytes: usize,
    pub shape: u32,
    /// Bytes of an element that the shape describes; 0: it describes the whole.
    pub stride: usize,
    depth: u8,
}

/// Sources that wait, in the order they came.
///
/// | word | bits | |
/// |---|---|---|
/// | 0 | 0..32 | byte of the payload |
/// | | 32..64 | shape |
/// | 1 | 0..32 | bytes |
/// | | 32..56 | bytes of an element |
/// | | 56..64 | depth |
#[derive(Debug)]
#[repr(C)]
pub(super) struct Sources {
    places: [[AtomicU64; 2]; SOURCES_MAX],
    count: AtomicU32,
}

impl Sources {
    pub const fn new() -> Self {
        Self {
            places: [const { [const { AtomicU64::new(0) }; 2] }; SOURCES_MAX],
            count: AtomicU32::new(0),
        }
    }

    #[inline]
    pub fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
    }

    /// Adds one, if there is room.
    #[inline]
    pub fn push(&self, at: usize, bytes: usize, shape: u32, stride: usize, depth: u8) {
        let count = self.count.load(Ordering::Relaxed);
        let Some([first, second]) = self.places.get(count as usize) else {
            return;
        };
        first.store(at as u64 | u64::from(shape) << 32, Ordering::Relaxed);
        let stride = (stride as u64 & 0xff_ffff) << 32;
        let bytes = bytes as u64 & 0xffff_ffff;
        second.store(bytes | stride | u64::from(depth) << 56, Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<Source> {
        if index >= self.count.load(Ordering::Relaxed) as usize {
            return None;
        }
        let [first, second] = self.places.get(index)?;
        let first = first.load(Ordering::Relaxed);
        let second = second.load(Ordering::Relaxed);
        Some(Source {
            at: first as u32 as usize,
            bytes: second as u32 as usize,
            shape: (first >> 32) as u32,
            stride: (second >> 32) as usize & 0xff_ffff,
            depth: (second >> 56) as u8,
        })
    }
}

/// Where a pointer leads.
pub(super) struct Target {
    pub address: u64,
    pub bytes: u64,
    shape: u32,
    stride: usize,
    depth: u8,
    pub is_text: bool,
}

impl<P: Probe> Frame<'_, P> {
    /// Follows the pointers in all sources, as far as limits let it.
    pub(super) fn follow(&mut self) {
        let mut next = 0;
        let mut expected = match self.probe.reads_together() {
            true => 0,
            false => usize::MAX,
        };
        while let Some(source) = self.scratch.sources.get(next) {
            if next >= expected {
                expected = self.expect_from(next);
            }
            next += 1;
            if source.stride == 0 {
                if self.element(&source, source.at, source.bytes).is_none() {
                    return;
                }
                continue;
            }
            for element in 0..source.bytes / source.stride {
                let at = source.at + element * source.stride;
                if self.element(&source, at, source.stride).is_none() {
                    return;
                }
            }
        }
    }

    /// Follows the pointers of one element; `None`: nothing more fits.
    fn element(&mut self, source: &Source, at: usize, bytes: usize) -> Option<()> {
        let Some([count, rest @ ..]) = self.code.get(source.shape as usize..) else {
            return Some(());
        };
        let count = count.load(Ordering::Relaxed) as usize;
        for words in rest.chunks_exact(Instruction::WORDS).take(count) {
            self.steps = self.steps.checked_sub(1)?;
            let [first, second, third] = words else {
                return Some(());
            };
            let words = [first, second, third].map(|word| word.load(Ordering::Relaxed));
            let Some(instruction) = Instruction::parse(words) else {
                return Some(());
            };
            if instruction.follow == Follow::Each {
                self.each(source, &instruction, at, bytes);
                continue;
            }
            if let Some(target) = self.target(source, &instruction, at, bytes) {
                self.pursue(&target)?;
            }
        }
        Some(())
    }

    /// Elements within the bytes: looked through in their turn.
    fn each(&self, source: &Source, instruction: &Instruction, at: usize, bytes: usize) {
        let (offset, stride) = (instruction.offset as usize, instruction.number as usize);
        let room = bytes.saturating_sub(offset);
        let inner = (instruction.second as usize)
            .saturating_mul(stride)
            .min(room);
        if stride > 0 && inner > 0 && instruction.shape != 0 {
            let shape = instruction.shape;
            self.scratch
                .sources
                .push(at + offset, inner, shape, stride, source.depth);
        }
    }

    #[inline(always)]
    pub(super) fn target(
        &self,
        source: &Source,
        instruction: &Instruction,
        at: usize,
        bytes: usize,
    ) -> Option<Target> {
        let number = |offset: u32| {
            let end = (offset as usize).checked_add(8)?;
            (end <= bytes).then(|| self.payload_number(at + offset as usize))?
        };
        let address = number(instruction.offset)?;
        let depth = match instruction.follow {
            Follow::Link => source.depth,
            _ => source.depth.saturating_add(1),
        };
        if address == 0 || depth > self.room.head.depth {
            return None;
        }
        let size = u64::from(instruction.number);
        let most = u64::from(instruction.most).saturating_mul(size);
        let bytes = match instruction.follow {
            Follow::Object | Follow::Link | Follow::Text => size,
            Follow::Span => number(instruction.second)?.checked_sub(address)?.min(most),
            Follow::Counted => number(instruction.second)?.saturating_mul(size).min(most),
            Follow::Each => return None,
        };
        let address = match instruction.follow {
            Follow::Object => address.wrapping_add_signed(i64::from(instruction.second as i32)),
            _ => address,
        };
        let stride = match instruction.follow {
            Follow::Span | Follow::Counted => instruction.number as usize,
            _ => 0,
        };
        Some(Target {
            address,
            bytes,
            shape: instruction.shape,
            stride,
            depth,
            is_text: instruction.follow == Follow::Text,
        })
    }

    /// Captures a target, unless it was; `None`: nothing more fits.
    fn pursue(&mut self, target: &Target) -> Option<()> {
        if target.bytes == 0 || self.is_captured(target) {
            return Some(());
        }
        if self.regions >= u32::from(self.room.head.regions) {
            return None;
        }
        if target.is_text {
            return self.text(target.address, target.bytes as usize);
        }
        let place = self.capture(target.address, target.bytes as usize)?;
        if let (Some(place), true) = (place, target.shape != 0) {
            let bytes = target.bytes as usize;
            self.scratch
                .sources
                .push(8 * place, bytes, target.shape, target.stride, target.depth);
        }
        Some(())
    }

    /// Is there a region at its address already, as long, or a text to its end?
    #[inline(always)]
    pub(super) fn is_captured(&self, target: &Target) -> bool {
        if self.regions == 0 {
            return false;
        }
        let Some(place) = self.seen.place(&self.scratch.places, target.address) else {
            return false;
        };
        if self.is_region_of(place, target) {
            return true;
        }
        // Another one has the place, or there are two at this address.
        let mut at = self.count_at + 1;
        for _ in 0..self.regions {
            if self.is_region_of(at, target) {
                return true;
            }
            let Some(head) = self.scratch.words.get(at + 1) else {
                return false;
            };
            let head = head.load(Ordering::Relaxed);
            at += 2;
            if head >> 32 == RegionState::Captured as u64 {
                at += (head as u32).div_ceil(8) as usize;
            }
        }
        false
    }

    /// Is the region whose head is at word `at` all of the target?
    #[inline]
    fn is_region_of(&self, at: usize, target: &Target) -> bool {
        let words = (self.scratch.words.get(at), self.scratch.words.get(at + 1));
        let (Some(its), Some(head)) = words else {
            return false;
        };
        if its.load(Ordering::Relaxed) != target.address {
            return false;
        }
        let length = u64::from(head.load(Ordering::Relaxed) as u32);
        let ends = |at: usize| self.payload_number(at).is_some_and(|word| word as u8 == 0);
        let last = 8 * (at + 2) + length as usize;
        length >= target.bytes || (target.is_text && length > 0 && ends(last - 1))
    }

    /// Captures a text: page by page, for the next one may not be there.
    fn text(&mut self, address: u64, most: usize) -> Option<()> {
        let begin = self.room.used + 2;
        let room = 8 * self.room.end.saturating_sub(begin);
        if room == 0 {
            return self.region_without(address, most, RegionState::LeftOut);
        }
        let most = most.min(room);
        let to = self.scratch.words.get(begin..begin + most.div_ceil(8))?;
        let mut done = 0;
        while done < most {
            let from = address.wrapping_add(done as u64);
            let bytes = (most - done).min((MAPPED_BYTES - from % MAPPED_BYTES) as usize);
            let copied = match self.scratch.is_overwritten(from, bytes) {
                true => Err(Unread::Untold),
                false => self.probe.copy(from, to, done, bytes),
            };
            if let Err(why) = copied {
                if done == 0 {
                    return self.region_without(address, most, state_of(why));
                }
                break;
            }
            let end = done + bytes;
            if let Some(length) = length_with_nul(to, done, end) {
                done = length;
                break;
            }
            done = end;
        }
        cut(to, done);
        self.region_without(address, done, RegionState::Captured)?;
        self.room.used += done.div_ceil(8);
        Some(())
    }

    /// 8 bytes of the payload from byte `at` on.
    #[inline]
    fn payload_number(&self, at: usize) -> Option<u64> {
        let word = |index: usize| Some(self.scratch.words.get(index)?.load(Ordering::Relaxed));
        let (index, shift) = (at / 8, 8 * (at % 8) as u32);
        let first = word(index)?;
        if shift == 0 {
            return Some(first);
        }
        Some(first >> shift | word(index + 1)? << (64 - shift))
    }
}

/// Bytes up to the first NUL in `from..end`, with it.
fn length_with_nul(words: &[AtomicU64], from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        let word = words.get(at / 8)?.load(Ordering::Relaxed);
        // What lies before is no NUL any more.
        let word = word | ((1u64 << (8 * (at % 8))) - 1);
        let zeroes = word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
        if zeroes != 0 {
            let place = at / 8 * 8 + zeroes.trailing_zeros() as usize / 8;
            return (place < end).then_some(place + 1);
        }
        at = at / 8 * 8 + 8;
    }
    None
}

/// Zeroes the last word behind byte `end`.
fn cut(words: &[AtomicU64], end: usize) {
    if end.is_multiple_of(8) {
        return;
    }
    if let Some(word) = words.get(end / 8) {
        let kept = word.load(Ordering::Relaxed) & ((1 << (8 * (end % 8))) - 1);
        word.store(kept, Ordering::Relaxed);
    }
}
