//! One frame of a payload: a plan's ops, one after another.

use core::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use super::encode::{Arithmetic, Op, Opcode, PlanHead, RegionState};
use super::interpret::{CFA_PLACE, Probe, Registers, Scratch, Unread};
use super::{ENTRIES, PAYLOAD_WORDS, STACK_MISSING, THREAD, hash};

/// Numbers on the evaluation stack.
const STACK: usize = 8;

/// Instructions of shapes that a frame carries out at most.
const STEPS_MAX: u32 = 16 * 1024;

/// How a frame went.
pub(super) enum After {
    /// There is no more.
    Last,
    /// The caller's frame is next; where its registers are, and [`ENTRIES`] or 0.
    Caller([u64; 2], u64),
}

/// What may be appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What the plan's head says.
    pub head: PlanHead,
    /// Words of the payload so far.
    pub used: usize,
    /// Words of the payload when the frame is full.
    pub end: usize,
}

impl Room {
    /// For a frame that begins at word `used`; there is room for a word behind it.
    pub fn new(used: usize, head: u64) -> Self {
        let head = PlanHead::parse(head);
        Self {
            head,
            used,
            end: (used + usize::from(head.payload_words)).min(PAYLOAD_WORDS - 1),
        }
    }
}

/// A frame that is being captured.
pub(super) struct Frame<'a, P> {
    pub(super) code: &'a [AtomicU64],
    pub(super) probe: &'a P,
    pub(super) scratch: &'a Scratch,
    pub(super) registers: &'a mut Registers,
    pub(super) room: Room,
    /// Word of the payload where the frame begins.
    begin: usize,
    /// Where the number of regions is; 0: not there yet.
    pub(super) count_at: usize,
    pub(super) regions: u32,
    /// Their addresses.
    pub(super) seen: Seen,
    /// Instructions of shapes that may still be carried out.
    pub(super) steps: u32,
    /// Word and bytes of what was appended last.
    appended: (usize, usize),
    pub(super) numbers: Numbers,
}

impl<'a, P: Probe> Frame<'a, P> {
    pub fn new(
        code: &'a [AtomicU64],
        probe: &'a P,
        scratch: &'a Scratch,
        registers: &'a mut Registers,
        room: Room,
    ) -> Self {
        scratch.sources.clear();
        Self {
            code,
            probe,
            scratch,
            registers,
            begin: room.used,
            room,
            count_at: 0,
            regions: 0,
            seen: Seen::new(),
            steps: STEPS_MAX,
            appended: (0, 0),
            numbers: Numbers::new(),
        }
    }

    /// Words of the payload so far.
    pub fn used(&self) -> usize {
        self.room.used
    }

    /// Runs the plan at word `plan`; `None`: it makes no sense, or has no room for what it always appends.
    pub fn run(&mut self, plan: usize) -> Option<After> {
        let unknown = (self.registers.unknown & 0xffff) << 32;
        self.append(u64::from(self.room.head.number) | unknown)?;
        let mut at = plan + 1;
        if self.probe.reads_together() {
            self.expect_stack(at);
        }
        loop {
            let word = self.word(at)?;
            let op = Op::parse(word)?;
            match op.opcode {
                Opcode::Register => {
                    self.begin_append(8)?;
                    self.append(self.register(op.register).unwrap_or(0))?;
                }
                Opcode::Stack => self.stack(op)?,
                Opcode::Shape => {
                    let (place, bytes) = self.appended;
                    let shape = self.word(at + 1)? as u32;
                    self.scratch.sources.push(8 * place, bytes, shape, 0, 0);
                }
                Opcode::SetCfa => {
                    let base = self.registers.get(op.register)?;
                    self.registers.values[CFA_PLACE] =
                        base.wrapping_add_signed(i64::from(op.offset));
                }
                Opcode::Push => {
                    let base = self.register(op.register);
                    let sum = base.map(|base| base.wrapping_add_signed(i64::from(op.offset)));
                    self.numbers.push(sum.unwrap_or(0))?;
                    if sum.is_none() {
                        self.numbers.failed = Some((0, Unread::Invalid));
                    }
                }
                Opcode::Constant => self.numbers.push(self.word(at + 1)?)?,
                Opcode::Load => self.load(op)?,
                Opcode::Combine => self.numbers.combine(Arithmetic::parse(op.offset)?)?,
                Opcode::Region => {
                    let detail = self.word(at + 1)?;
                    self.region(op, detail)?;
                }
                Opcode::Vector => {
                    self.begin_append(16)?;
                    let [low, high] = self.registers.vector(op.register).unwrap_or_default();
                    self.append(low)?;
                    self.append(high)?;
                }
                Opcode::Trigger => {
                    if self.numbers.failed.take().is_some() {
                        self.numbers.clear();
                    } else if self.numbers.pop()? != 0 {
                        self.scratch.triggers.push(op);
                    }
                }
                Opcode::Text => {
                    let table = self.code.get(at + 1..at + op.words())?;
                    self.compare(op, table)?;
                    at += table.len();
                }
                Opcode::End => {
                    self.finish()?;
                    return Some(After::Last);
                }
                Opcode::Caller => {
                    let rules = [self.word(at + 1)?, self.word(at + 2)?];
                    self.finish()?;
                    let base = self.registers.get(op.register)?;
                    self.registers.values[CFA_PLACE] =
                        base.wrapping_add_signed(i64::from(op.offset));
                    let mark = if op.bytes & 1 == 0 { 0 } else { ENTRIES };
                    return Some(After::Caller(rules, mark));
                }
            }
            at += op.opcode.words();
            if self.numbers.failed.is_some() {
                at = self.next_region(at)?;
            }
        }
    }

    /// The next op that knows what to do about what could not be computed.
    fn next_region(&self, mut at: usize) -> Option<usize> {
        loop {
            let op = Op::parse(self.word(at)?)?;
            match op.opcode {
                Opcode::Region | Opcode::Trigger | Opcode::End | Opcode::Caller => {
                    return Some(at);
                }
                _ => at += op.words(),
            }
        }
    }

    fn register(&self, number: u8) -> Option<u64> {
        match number {
            THREAD => self.probe.thread_pointer(),
            _ => self.registers.get(number),
        }
    }

    #[inline]
    pub(super) fn word(&self, at: usize) -> Option<u64> {
        Some(self.code.get(at)?.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn append(&mut self, value: u64) -> Option<()> {
        if self.room.used >= self.room.end {
            return None;
        }
        self.scratch
            .words
            .get(self.room.used)?
            .store(value, Ordering::Relaxed);
        self.room.used += 1;
        Some(())
    }

    /// Before something is appended that isn't a region.
    fn begin_append(&mut self, bytes: usize) -> Option<()> {
        self.appended = (self.room.used, bytes);
        (self.count_at == 0).then_some(())
    }

    fn stack(&mut self, op: Op) -> Option<()> {
        let bytes = usize::from(op.bytes);
        self.begin_append(bytes)?;
        let base = self.registers.get(op.register);
        let from = base.map(|base| base.wrapping_add_signed(i64::from(op.offset)));
        if bytes <= 8 {
            let number = from.and_then(|from| self.probe.number(from, bytes).ok());
            if number.is_none() {
                self.say_missing();
            }
            return self.append(number.unwrap_or(0));
        }
        let words = bytes.div_ceil(8);
        let begin = self.room.used;
        if words > self.room.end - begin {
            return None;
        }
        self.room.used += words;
        let to = self.scratch.words.get(begin..begin + words)?;
        to.last()?.store(0, Ordering::Relaxed);
        let copied = from.and_then(|from| self.probe.copy(from, to, 0, bytes).ok());
        if copied.is_none() {
            self.say_missing();
            for word in to {
                word.store(0, Ordering::Relaxed);
            }
        }
        Some(())
    }

    /// The frame's first word says that some of the stack could not be read.
    fn say_missing(&self) {
        if let Some(first) = self.scratch.words.get(self.begin) {
            first.store(
                first.load(Ordering::Relaxed) | STACK_MISSING,
                Ordering::Relaxed,
            );
        }
    }

    fn load(&mut self, op: Op) -> Option<()> {
        let bytes = usize::from(op.bytes);
        if !(1..=8).contains(&bytes) {
            return None;
        }
        let from = self.numbers.pop()?;
        let number = match self.scratch.is_overwritten(from, bytes) {
            true => Err(Unread::Untold),
            false => self.probe.number(from, bytes),
        };
        match number {
            Ok(number) => {
                let shift = 64 - 8 * bytes as u32;
                self.numbers.push(match op.offset {
                    1 => ((number << shift) as i64 >> shift) as u64,
                    _ => number,
                })
            }
            Err(why) => {
                self.numbers.failed = Some((from, why));
                Some(())
            }
        }
    }

    /// Appends the number of regions, for now 0, if it isn't there.
    fn begin_regions(&mut self) -> Option<()> {
        if self.count_at == 0 {
            self.count_at = self.room.used;
            self.append(0)?;
        }
        Some(())
    }

    fn region(&mut self, op: Op, detail: u64) -> Option<()> {
        self.begin_regions()?;
        if let Some((address, why)) = self.numbers.failed.take() {
            self.numbers.clear();
            return self.region_without(address, 0, state_of(why));
        }
        let most = detail & 0xffff_ffff;
        let shape = (detail >> 32) as u32;
        let stride = usize::from(op.bytes);
        let bytes = match stride {
            0 => most,
            _ => {
                let count = self.numbers.pop()?;
                // A negative number of elements is none.
                let count = if count as i64 > 0 { count } else { 0 };
                count.saturating_mul(stride as u64).min(most)
            }
        };
        let address = self.numbers.pop()?;
        let place = self.capture(address, bytes as usize)?;
        if let (Some(place), true) = (place, shape != 0) {
            self.scratch
                .sources
                .push(8 * place, bytes as usize, shape, stride, 0);
        }
        Some(())
    }

    /// Appends a region's head alone.
    #[inline]
    pub(super) fn region_without(
        &mut self,
        address: u64,
        bytes: usize,
        state: RegionState,
    ) -> Option<()> {
        let begin = self.room.used;
        if self.room.end - begin < 2 {
            return None;
        }
        let [first, second] = self.scratch.words.get(begin..begin + 2)? else {
            return None;
        };
        first.store(address, Ordering::Relaxed);
        let head = bytes as u64 & 0xffff_ffff | (state as u64) << 32;
        second.store(head, Ordering::Relaxed);
        self.seen.add(&self.scratch.places, address, begin);
        self.room.used += 2;
        self.regions += 1;
        Some(())
    }

    /// Appends a region: at which word its bytes are, if they could be read. `None`: there's no room for its head.
    pub(super) fn capture(&mut self, address: u64, bytes: usize) -> Option<Option<usize>> {
        let words = bytes.div_ceil(8);
        let begin = self.room.used + 2;
        let is_overwritten = self.scratch.is_overwritten(address, bytes);
        if is_overwritten || begin > self.room.end || words > self.room.end - begin {
            self.region_without(address, bytes, RegionState::LeftOut)?;
            return Some(None);
        }
        let to = self.scratch.words.get(begin..begin + words)?;
        if let Some(last) = to.last() {
            last.store(0, Ordering::Relaxed);
        }
        let read = match bytes {
            0 => Ok(()),
            _ => self.probe.copy(address, to, 0, bytes),
        };
        match read {
            Ok(()) => {
                self.region_without(address, bytes, RegionState::Captured)?;
                self.room.used += words;
                Some(Some(begin))
            }
            Err(why) => {
                self.region_without(address, bytes, state_of(why))?;
                Some(None)
            }
        }
    }

    fn finish(&mut self) -> Option<()> {
        self.begin_regions()?;
        self.follow();
        self.scratch
            .words
            .get(self.count_at)?
            .store(u64::from(self.regions), Ordering::Relaxed);
        Some(())
    }
}

/// What a region is called that could not be read.
pub(super) fn state_of(why: Unread) -> RegionState {
    match why {
        Unread::Invalid => RegionState::Invalid,
        Unread::Untold => RegionState::LeftOut,
    }
}

/// Addresses of regions: a bit for each of 512 classes tells which are not there.
pub(super) struct Seen {
    bits: [u64; 8],
}

/// Where the last region of each of 128 classes is. They are the thread's: those of events before are still there, but nobody looks at a
/// place whose bit this frame has not set, and that sets the place too. So there is nothing to clear, which took 5 ns of each event.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Places {
    words: [AtomicU16; 128],
}

impl Places {
    pub const fn new() -> Self {
        Self {
            words: [const { AtomicU16::new(0) }; 128],
        }
    }
}

impl Seen {
    const fn new() -> Self {
        Self { bits: [0; 8] }
    }

    /// 9 bits.
    #[inline]
    fn class(address: u64) -> usize {
        (hash(address) >> 23) as usize
    }

    #[inline]
    fn add(&mut self, places: &Places, address: u64, place: usize) {
        let class = Self::class(address);
        if let Some(word) = self.bits.get_mut(class / 64) {
            *word |= 1 << (class % 64);
        }
        if let Some(last) = places.words.get(class / 4) {
            last.store(place as u16, Ordering::Relaxed);
        }
    }

    /// At which word of the payload its region may begin; `None`: there is none.
    #[inline]
    pub fn place(&self, places: &Places, address: u64) -> Option<usize> {
        let class = Self::class(address);
        let word = self.bits.get(class / 64)?;
        if word >> (class % 64) & 1 == 0 {
            return None;
        }
        let place = places.words.get(class / 4)?;
        Some(place.load(Ordering::Relaxed).into())
    }
}

const _: () = assert!(PAYLOAD_WORDS <= u16::MAX as usize);

/// The evaluation stack.
pub(super) struct Numbers {
    numbers: [u64; STACK],
    used: usize,
    /// What could not be loaded, and why.
    pub failed: Option<(u64, Unread)>,
}

impl Numbers {
    const fn new() -> Self {
        Self {
            numbers: [0; STACK],
            used: 0,
            failed: None,
        }
    }

    fn clear(&mut self) {
        self.used = 0;
    }

    pub fn push(&mut self, number: u64) -> Option<()> {
        *self.numbers.get_mut(self.used)? = number;
        self.used += 1;
        Some(())
    }

    pub fn pop(&mut self) -> Option<u64> {
        self.used = self.used.checked_sub(1)?;
        self.numbers.get(self.used).copied()
    }

    fn combine(&mut self, arithmetic: Arithmetic) -> Option<()> {
        let second = self.pop()?;
        let first = match arithmetic {
            Arithmetic::Widen => 0,
            _ => self.pop()?,
        };
        self.push(arithmetic.of(first, second))
    }
}
