//! Memory that is made up, and plans that are carried out over it.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use umbel_trace_ring::plan::{
    Captured, Follow, Instruction, Op, Opcode, Piece, PlanHead, Probe, RegionState, Registers,
    Scratch, UNKNOWN_AT_HOOK, Unread,
};

pub const TIME: u64 = 77;
pub const RBX: u8 = 3;
pub const RBP: u8 = 6;
pub const RSP: u8 = 7;
pub const R12: u8 = 12;
pub const XMM1: u8 = 18;

/// The thread's own address.
pub const OWN: u64 = 0x7f00_0000_1000;

/// The first word of a frame that called a hook.
pub fn first(number: u64) -> u64 {
    number | UNKNOWN_AT_HOOK << 32
}

/// Memory: pieces of bytes at addresses; all else can't be read.
#[derive(Default)]
pub struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    pub fn with(mut self, address: u64, bytes: &[u8]) -> Self {
        self.0.push((address, bytes.to_vec()));
        self
    }

    pub fn numbers(self, address: u64, numbers: &[u64]) -> Self {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.with(address, &bytes)
    }
}

impl Probe for Pieces {
    fn thread_pointer(&self) -> Option<u64> {
        Some(OWN)
    }

    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread> {
        let piece = self.0.iter().find_map(|(address, piece)| {
            let offset = from.checked_sub(*address)? as usize;
            piece.get(offset..offset.checked_add(bytes)?)
        });
        for (place, &byte) in (skip..).zip(piece.ok_or(Unread::Invalid)?) {
            let shift = 8 * (place % 8);
            let word = &to[place / 8];
            let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(rest | u64::from(byte) << shift, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The same, by a probe that is told what will be read.
pub struct Told {
    pieces: Pieces,
    pub told: RefCell<Vec<Vec<(u64, usize)>>>,
    /// What was read without having been told.
    pub untold: Cell<usize>,
}

impl Told {
    pub fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            told: RefCell::default(),
            untold: Cell::new(0),
        }
    }
}

impl Probe for Told {
    fn thread_pointer(&self) -> Option<u64> {
        self.pieces.thread_pointer()
    }

    fn reads_together(&self) -> bool {
        true
    }

    fn expect(&self, pieces: &[Piece]) {
        let pieces = pieces
            .iter()
            .map(|piece| (piece.address as u64, piece.bytes));
        self.told.borrow_mut().push(pieces.collect());
    }

    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread> {
        let told = self.told.borrow();
        let is_told = told
            .last()
            .is_some_and(|told| told.contains(&(from, bytes)));
        self.untold.set(self.untold.get() + usize::from(!is_told));
        self.pieces.copy(from, to, skip, bytes)
    }
}

pub fn registers() -> Registers {
    Registers {
        values: [0xb, 0x1000, 12, 13, 14, 15, 0xf00, 0, 0xa, 0xd, 0xc, 8, 9],
        unknown: UNKNOWN_AT_HOOK,
        vectors: [[0x11, 0x22]; 8],
    }
}

pub fn head(payload_words: u16, depth: u8, regions: u8, number: u32) -> u64 {
    PlanHead {
        payload_words,
        depth,
        regions,
        number,
    }
    .pack()
}

pub fn end() -> u64 {
    Op::plain(Opcode::End).pack()
}

pub fn instruction(
    follow: Follow,
    number: u32,
    offset: u32,
    second: u32,
    shape: u32,
    most: u32,
) -> [u64; 3] {
    Instruction {
        follow,
        number,
        offset,
        second,
        shape,
        most,
    }
    .pack()
}

pub fn run(code: &[u64], memory: &impl Probe) -> Vec<u64> {
    run_finding(code, memory, &|_| None)
}

pub fn run_finding(
    code: &[u64],
    memory: &impl Probe,
    find: &impl Fn(u64) -> Option<u32>,
) -> Vec<u64> {
    let code: Vec<AtomicU64> = code.iter().map(|&word| AtomicU64::new(word)).collect();
    let scratch = Box::new(Scratch::new());
    for word in &scratch.words {
        // What an event before has left.
        word.store(u64::MAX, Ordering::Relaxed);
    }
    let capture = Captured {
        code: &code[..],
        probe: memory,
        finder: find,
        scratch: &scratch,
    };
    let words = capture.payload(0, &mut registers(), TIME);
    let payload = scratch.words[..words].iter();
    payload.map(|word| word.load(Ordering::Relaxed)).collect()
}

pub fn state(bytes: u64, state: RegionState) -> u64 {
    bytes | (state as u64) << 32
}

pub fn text(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
