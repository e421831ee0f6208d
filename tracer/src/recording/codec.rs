//! Body of a block of events: columns, so that a compressor finds like beside like.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 9 * [`COLUMNS`] | for each column: packing (0: as it is, 1: zstd), bytes here, bytes unpacked (4 each) |
//! | | | the columns |
//!
//! | column | what |
//! |---|---|
//! | 0 symbols | one byte per event, see below |
//! | 1 addresses | of each function when it occurs first: difference to the one before, [`zigzag`] |
//! | 2 numbers | of functions that don't fit into a symbol |
//! | 3 times | of each call and return: difference to the event before, [`varint`] |
//! | 4 specials | code, words of payload, difference of its time (zigzag), payload: all [`varint`]. Of [`Code::Numbers`] the payload begins with the plan |
//!
//! | symbol | event |
//! |---|---|
//! | 0 | return of the innermost function |
//! | 1 | return of another function: its number is in column 2 |
//! | 2 | something that is no call: column 4 |
//! | 3 | call of a function that has not occurred |
//! | 4..255 | call of function 0.. |
//! | 255 | call of another function: its number is in column 2 |
//!
//! Functions are numbered as they occur. Each block stands alone: it begins without functions and without frames.

use umbel_trace_ring::word::Code;

use super::block::{BODY_BYTES_MAX, EVENTS_MAX};
use super::event::{self, Event, Kind};
use super::varint::{self, unzigzag, zigzag};

/// Columns of a body.
pub const COLUMNS: usize = 5;

const SYMBOLS: usize = 0;
const ADDRESSES: usize = 1;
const NUMBERS: usize = 2;
const TIMES: usize = 3;
const SPECIALS: usize = 4;

const RETURN: u8 = 0;
const RETURN_OTHER: u8 = 1;
const SPECIAL: u8 = 2;
const CALL_NEW: u8 = 3;
const CALL: u8 = 4;
const CALL_OTHER: u8 = 255;

/// Bytes below which a column is not worth a frame of its own.
const PACKED_FROM: usize = 32;

const COLUMN_HEAD_BYTES: usize = 9;

/// Makes bodies of blocks; keeps its memory from one to the next.
pub struct Encoder {
    columns: [Vec<u8>; COLUMNS],
    functions: Functions,
    frames: Vec<u32>,
    payload: Vec<u64>,
    events: u32,
    first_ticks: u64,
    ticks: u64,
    last_address: u64,
    zstd: zstd::bulk::Compressor<'static>,
}

/// What an [`Encoder`] made besides the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Events in the body.
    pub events: u32,
    /// Time of the first.
    pub first_ticks: u64,
    /// Time of the last.
    pub last_ticks: u64,
}

impl Encoder {
    /// An encoder without events.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            columns: Default::default(),
            functions: Functions::new(),
            frames: Vec::new(),
            payload: Vec::new(),
            events: 0,
            first_ticks: 0,
            ticks: 0,
            last_address: 0,
            zstd: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
        })
    }

    /// The block takes no more events.
    pub fn is_full(&self) -> bool {
        self.events as usize >= EVENTS_MAX || self.columns[SPECIALS].len() >= BODY_BYTES_MAX / 4
    }

    /// Adds an event.
    pub fn event(&mut self, event: &Event) {
        match event.kind {
            Kind::Call(function) => self.call(event.ticks, function),
            Kind::Return(function) => self.ret(event.ticks, function),
            _ => self.special(event),
        }
    }

    /// Adds a call.
    #[inline]
    pub fn call(&mut self, ticks: u64, function: u64) {
        self.time(ticks);
        let (number, is_new) = self.functions.number(function);
        self.frames.push(number);
        match number {
            _ if is_new => {
                self.columns[SYMBOLS].push(CALL_NEW);
                self.address(function);
            }
            number if number < u32::from(CALL_OTHER - CALL) => {
                self.columns[SYMBOLS].push(CALL + number as u8);
            }
            number => {
                self.columns[SYMBOLS].push(CALL_OTHER);
                varint::put(number.into(), &mut self.columns[NUMBERS]);
            }
        }
    }

    /// Adds a return.
    #[inline]
    pub fn ret(&mut self, ticks: u64, function: u64) {
        self.time(ticks);
        let (number, is_new) = self.functions.number(function);
        if self.frames.last() == Some(&number) {
            self.frames.pop();
            self.columns[SYMBOLS].push(RETURN);
            return;
        }
        self.columns[SYMBOLS].push(RETURN_OTHER);
        varint::put(number.into(), &mut self.columns[NUMBERS]);
        if is_new {
            self.address(function);
        }
        // Frames above it have ended without returns; those below a function that isn't there are none of this block.
        unwind(&mut self.frames, number);
    }

    /// Adds values: as an event of theirs would be.
    pub fn values(&mut self, ticks: u64, values: &[u64]) {
        self.begin_special(ticks);
        self.put_special(Code::Values as u16, ticks, values);
    }

    /// Adds the values of a plan of a few numbers.
    #[inline]
    pub fn numbers(&mut self, ticks: u64, plan: u32, numbers: &[u64]) {
        self.begin_special(ticks);
        self.put_head(Code::Numbers as u16, ticks, 1 + numbers.len());
        let column = &mut self.columns[SPECIALS];
        varint::put(plan.into(), column);
        for &number in numbers {
            varint::put(number, column);
        }
    }

    #[cold]
    fn special(&mut self, event: &Event) {
        self.begin_special(event.ticks);
        let mut payload = std::mem::take(&mut self.payload);
        if let Some(code) = event::payload(event, &mut payload) {
            self.put_special(code, event.ticks, &payload[1..]);
        }
        self.payload = payload;
    }

    #[inline]
    fn begin_special(&mut self, ticks: u64) {
        if self.events == 0 {
            self.first_ticks = ticks;
            self.ticks = ticks;
        }
        self.events += 1;
    }

    fn put_special(&mut self, code: u16, ticks: u64, words: &[u64]) {
        self.put_head(code, ticks, words.len());
        for &word in words {
            varint::put(word, &mut self.columns[SPECIALS]);
        }
    }

    #[inline]
    fn put_head(&mut self, code: u16, ticks: u64, words: usize) {
        self.columns[SYMBOLS].push(SPECIAL);
        let column = &mut self.columns[SPECIALS];
        varint::put(code.into(), column);
        varint::put(words as u64, column);
        varint::put(zigzag(ticks.wrapping_sub(self.ticks)), column);
        self.ticks = ticks;
    }

    /// Appends the body to `out` and begins a new block.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> std::io::Result<Made> {
        let heads = out.len();
        out.resize(heads + COLUMNS * COLUMN_HEAD_BYTES, 0);
        for (index, column) in self.columns.iter_mut().enumerate() {
            let begin = out.len();
            let mut packing = 0;
            if column.len() >= PACKED_FROM {
                let room = zstd::zstd_safe::compress_bound(column.len());
                out.resize(begin + room, 0);
                let bytes = self
                    .zstd
                    .compress_to_buffer(&column[..], &mut out[begin..])?;
                if bytes < column.len() {
                    packing = 1;
                    out.truncate(begin + bytes);
                }
            }
            if packing == 0 {
                out.truncate(begin);
                out.extend_from_slice(column);
            }
            let stored = (out.len() - begin) as u32;
            let head = &mut out[heads + index * COLUMN_HEAD_BYTES..][..COLUMN_HEAD_BYTES];
            head[0] = packing;
            head[1..5].copy_from_slice(&stored.to_le_bytes());
            head[5..9].copy_from_slice(&(column.len() as u32).to_le_bytes());
            column.clear();
        }
        let made = Made {
            events: self.events,
            first_ticks: self.first_ticks,
            last_ticks: self.ticks,
        };
        self.events = 0;
        self.first_ticks = 0;
        self.ticks = 0;
        self.last_address = 0;
        self.frames.clear();
        self.functions.clear();
        Ok(made)
    }

    #[inline]
    fn time(&mut self, ticks: u64) {
        if self.events == 0 {
            self.first_ticks = ticks;
            self.ticks = ticks;
        }
        self.events += 1;
        varint::put(ticks.wrapping_sub(self.ticks), &mut self.columns[TIMES]);
        self.ticks = ticks;
    }

    fn address(&mut self, function: u64) {
        let difference = function.wrapping_sub(self.last_address);
        varint::put(zigzag(difference), &mut self.columns[ADDRESSES]);
        self.last_address = function;
    }
}

const ZSTD_LEVEL: i32 = 1;

fn unwind(frames: &mut Vec<u32>, function: u32) {
    // Only so far: it is a prediction, and a search of a deep stack for each return would take time without bound.
    let from = frames.len().saturating_sub(UNWOUND_MAX);
    if let Some(place) = frames[from..].iter().rposition(|&frame| frame == function) {
        frames.truncate(from + place);
    }
}

/// Frames that one return may end in the prediction.
const UNWOUND_MAX: usize = 64;

/// Numbers of a block's functions by their addresses: an open hash table that is emptied by counting up.
struct Functions {
    /// (address, round, number)
    slots: Vec<(u64, u32, u32)>,
    round: u32,
    count: u32,
}

impl Functions {
    fn new() -> Self {
        Self {
            slots: vec![(0, 0, 0); 1 << 12],
            round: 1,
            count: 0,
        }
    }

    /// The number of `address`, and whether it is new.
    #[inline]
    fn number(&mut self, address: u64) -> (u32, bool) {
        let mask = self.slots.len() - 1;
        let mut at = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            let slot = &mut self.slots[at];
            if slot.1 != self.round {
                *slot = (address, self.round, self.count);
                self.count += 1;
                if self.count as usize * 2 > self.slots.len() {
                    self.grow();
                }
                return (self.count - 1, true);
            }
            if slot.0 == address {
                return (slot.2, false);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![(0, 0, 0); size]);
        for slot in old.into_iter().filter(|slot| slot.1 == self.round) {
            let mut at = (slot.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (size - 1);
            while self.slots[at].1 == self.round {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.slots.fill((0, 0, 0));
            self.round = 1;
        }
    }
}

/// Who is told a block's events. Functions come as their numbers in the block.
pub trait Visit {
    /// The block's next function, which occurs at `ticks`: they are numbered from 0.
    fn function(&mut self, address: u64, ticks: u64);
    /// A call.
    fn call(&mut self, ticks: u64, function: u32);
    /// A return.
    fn ret(&mut self, ticks: u64, function: u32);
    /// Anything else.
    fn special(&mut self, event: Event);
}

/// Takes bodies apart; keeps its memory from one to the next.
pub struct Decoder {
    columns: [Vec<u8>; COLUMNS],
    frames: Vec<u32>,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl Decoder {
    /// A decoder.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            columns: Default::default(),
            frames: Vec::new(),
            zstd: zstd::bulk::Decompressor::new()?,
        })
    }

    /// Tells `visit` the `events` events of `body`, the first of them at `first_ticks`. `None`: the body is damaged, and
    /// what was told before is all there is.
    pub fn decode(
        &mut self,
        body: &[u8],
        events: u32,
        first_ticks: u64,
        visit: &mut impl Visit,
    ) -> Option<()> {
        self.unpack(body)?;
        let [symbols, addresses, numbers, times, specials] =
            self.columns.each_ref().map(|column| &column[..]);
        let (mut addresses, mut numbers, mut times, mut specials) =
            (addresses, numbers, times, specials);
        let frames = &mut self.frames;
        frames.clear();
        if symbols.len() != events as usize {
            return None;
        }
        let mut ticks = first_ticks;
        let mut count = 0;
        let mut address = 0_u64;
        let mut new = |visit: &mut dyn FnMut(u64), count: &mut u32| {
            address = address.wrapping_add(unzigzag(varint::take(&mut addresses)?));
            visit(address);
            *count += 1;
            Some(*count - 1)
        };
        for &symbol in symbols {
            if symbol == SPECIAL {
                let event = take_special(&mut specials, ticks)?;
                ticks = event.ticks;
                visit.special(event);
                continue;
            }
            ticks = ticks.wrapping_add(varint::take(&mut times)?);
            match symbol {
                RETURN => visit.ret(ticks, frames.pop()?),
                RETURN_OTHER => {
                    let mut number = u32::try_from(varint::take(&mut numbers)?).ok()?;
                    if number == count {
                        number = new(&mut |address| visit.function(address, ticks), &mut count)?;
                    }
                    if number >= count {
                        return None;
                    }
                    unwind(frames, number);
                    visit.ret(ticks, number);
                }
                _ => {
                    let number = match symbol {
                        CALL_NEW => new(&mut |address| visit.function(address, ticks), &mut count)?,
                        CALL_OTHER => u32::try_from(varint::take(&mut numbers)?).ok()?,
                        symbol => u32::from(symbol - CALL),
                    };
                    if number >= count {
                        return None;
                    }
                    frames.push(number);
                    visit.call(ticks, number);
                }
            }
        }
        Some(())
    }

    fn unpack(&mut self, body: &[u8]) -> Option<()> {
        let (mut heads, mut rest) = body.split_at_checked(COLUMNS * COLUMN_HEAD_BYTES)?;
        for column in &mut self.columns {
            let (head, heads_after) = heads.split_at_checked(COLUMN_HEAD_BYTES)?;
            heads = heads_after;
            let field = |at: usize| {
                head.get(at..at + 4)?
                    .try_into()
                    .ok()
                    .map(u32::from_le_bytes)
            };
            let (stored, raw) = (field(1)? as usize, field(5)? as usize);
            let (bytes, rest_after) = rest.split_at_checked(stored)?;
            rest = rest_after;
            column.clear();
            match head[0] {
                0 if raw == stored => column.extend_from_slice(bytes),
                1 if raw <= BODY_BYTES_MAX => {
                    column.reserve(raw);
                    let unpacked = self.zstd.decompress_to_buffer(bytes, column).ok()?;
                    if unpacked != raw {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }
}

fn take_special(specials: &mut &[u8], ticks: u64) -> Option<Event> {
    let code = u16::try_from(varint::take(specials)?).ok()?;
    let words = usize::try_from(varint::take(specials)?).ok()?;
    let ticks = ticks.wrapping_add(unzigzag(varint::take(specials)?));
    // Each takes a byte at least: what a damaged number asks for is not allocated.
    if words > specials.len() {
        return None;
    }
    let mut payload = Vec::with_capacity(words + 1);
    payload.push(ticks);
    for _ in 0..words {
        payload.push(varint::take(specials)?);
    }
    Some(event::special(code, &payload))
}
