//! Carrying a plan out, in the hook of a traced program: no allocation, no recursion, little stack. Every number is checked, so that no
//! plan, however damaged, writes outside of the scratch memory, reads memory but by the probe, or runs for ever: ops run forward
//! only, and pointers are followed at most as often as there are regions.
//!
//! Signal handlers of the same thread may come in between and use the same scratch memory: the caller notices and begins again.
//! Hence atomics, though no other thread looks.

use core::sync::atomic::{AtomicU64, Ordering};

use umbel_probe::kernel::Piece;

use super::expected::expect_caller;
use super::follow::Sources;
use super::frame::{After, Frame, Places, Room};
use super::triggers::Triggers;
use super::{CFA, FRAMES_MAX, PAYLOAD_WORDS, UNKNOWN};

/// Why memory was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// None is there, or not for reading.
    Invalid,
    /// Nobody can tell, as things are now.
    Untold,
}

/// Reads memory that may not be there.
pub trait Probe {
    /// Copies `bytes` bytes into `to`, from its byte `skip` on. What is written if it fails is of no use.
    ///
    /// # Errors
    /// Not all can be read.
    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread>;

    /// Is it cheaper to read several pieces together? Then it is told what will be read.
    #[inline]
    fn reads_together(&self) -> bool {
        false
    }

    /// These will be read next, unless it turns out that they are not needed: [`Probe::copy`] and [`Probe::number`] ask for each.
    fn expect(&self, _pieces: &[Piece]) {}

    /// The thread's own address ([`super::THREAD`]).
    fn thread_pointer(&self) -> Option<u64> {
        None
    }

    /// 1 to 8 bytes as a number.
    ///
    /// # Errors
    /// Not all can be read.
    fn number(&self, from: u64, bytes: usize) -> Result<u64, Unread> {
        let word = AtomicU64::new(0);
        self.copy(from, core::slice::from_ref(&word), 0, bytes.min(8))?;
        Ok(word.load(Ordering::Relaxed))
    }
}

/// Where the caller's plan is.
pub trait Finder {
    /// The plan of the frame that waits at `return_address`, in which [`super::ENTRIES`] may be set.
    fn find(&self, return_address: u64) -> Option<u32>;
}

impl<F: Fn(u64) -> Option<u32>> Finder for F {
    fn find(&self, return_address: u64) -> Option<u32> {
        self(return_address)
    }
}

/// Registers of a frame. The hooks in assembly make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// Those that a call keeps: rbx, rbp, r12, r13, r14, r15, rsp; the canonical frame address, once it is set; and for the frame that
    /// called a hook rax, rdx, rcx, r8, r9.
    pub values: [u64; 13],
    /// By DWARF's numbers: those whose value nobody knows.
    pub unknown: u64,
    /// xmm0 to xmm7, for the frame that called a hook.
    pub vectors: [[u64; 2]; VECTORS],
}

/// Vector registers that are kept.
const VECTORS: usize = 8;

/// DWARF's number of xmm0.
const XMM0: u8 = 17;

/// What nobody knows of a frame that called a hook: rsi and rdi have the hook's arguments, r10 and r11 may be the linker's.
pub const UNKNOWN_AT_HOOK: u64 = 1 << 4 | 1 << 5 | 1 << 10 | 1 << 11;

/// What a call loses: also rax, rdx, rcx, r8, r9.
const UNKNOWN_BEHIND_CALL: u64 = UNKNOWN_AT_HOOK | 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 9;

/// Where a register is in [`Registers::values`], by DWARF's number; 13: nowhere.
const PLACES: [u8; 16] = [8, 9, 10, 0, 13, 13, 1, 6, 11, 12, 13, 13, 2, 3, 4, 5];

/// DWARF's numbers of the first six in [`Registers::values`].
pub(super) const KEPT: [u8; 6] = [3, 6, 12, 13, 14, 15];

const RSP: usize = 6;

/// Where the canonical frame address is in [`Registers::values`].
pub(super) const CFA_PLACE: usize = 7;

/// Where a register is in [`Registers::values`], by DWARF's number.
pub(super) fn place_of(number: u8) -> Option<usize> {
    PLACES.get(usize::from(number)).map(|&place| place.into())
}

/// Where a vector register is in [`Registers::vectors`], by DWARF's number.
pub(super) fn vector_of(number: u8) -> Option<usize> {
    let place = usize::from(number.checked_sub(XMM0)?);
    (place < VECTORS).then_some(place)
}

impl Registers {
    /// A register's value, if it is one of these and known.
    #[inline]
    pub fn get(&self, number: u8) -> Option<u64> {
        let place = match number {
            CFA => CFA_PLACE,
            _ => place_of(number)?,
        };
        if number < 16 && self.unknown >> number & 1 != 0 {
            return None;
        }
        self.values.get(place).copied()
    }

    /// The stack pointer.
    pub fn stack(&self) -> u64 {
        self.values[RSP]
    }

    /// A vector register, if it is one of these and known.
    pub fn vector(&self, number: u8) -> Option<[u64; 2]> {
        let place = vector_of(number)?;
        // They go with rax.
        if self.unknown & 1 != 0 {
            return None;
        }
        self.vectors.get(place).copied()
    }
}

/// Memory that capturing needs, one for each thread.
#[derive(Debug)]
#[repr(C)]
pub struct Scratch {
    /// The payload.
    pub words: [AtomicU64; PAYLOAD_WORDS],
    /// What was triggered.
    pub triggers: Triggers,
    pub(super) sources: Sources,
    pub(super) places: Places,
    /// The stack pointer of the frame that called the hook: what lies just below was the function's, and is the hook's now.
    stack_end: AtomicU64,
}

impl Scratch {
    /// Zeroes: so is memory that the kernel gives.
    pub const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; PAYLOAD_WORDS],
            triggers: Triggers::new(),
            sources: Sources::new(),
            places: Places::new(),
            stack_end: AtomicU64::new(0),
        }
    }

    /// Whether bytes lie where the hook's own stack may have been: an array of variable length that its function has given up
    /// before it returns, a pointer to a local of a function that has returned.
    #[inline]
    pub(super) fn is_overwritten(&self, address: u64, bytes: usize) -> bool {
        let end = self.stack_end.load(Ordering::Relaxed);
        address < end && address.saturating_add(bytes as u64) > end.saturating_sub(HOOK_STACK_BYTES)
    }
}

/// More than the hook, and a signal handler that interrupts it, use of the stack.
const HOOK_STACK_BYTES: u64 = 64 << 10;

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Where plans are.
pub trait Code {
    /// The words that are there now: more may come while a caller's plan is asked for.
    fn words(&self) -> &[AtomicU64];
}

impl Code for [AtomicU64] {
    fn words(&self) -> &[AtomicU64] {
        self
    }
}

/// What a capture needs.
#[derive(Debug)]
pub struct Captured<'a, C: ?Sized, P, F> {
    /// The region's words.
    pub code: &'a C,
    /// Reads what pointers lead to.
    pub probe: &'a P,
    /// Finds callers' plans.
    pub finder: &'a F,
    /// Where the payload goes.
    pub scratch: &'a Scratch,
}

impl<C: Code + ?Sized, P: Probe, F: Finder> Captured<'_, C, P, F> {
    /// Captures what the plan at `plan` says, for an event at `time`: words of the payload, 0 if nothing came of it.
    /// Of the registers, only the canonical frame address is changed.
    pub fn payload(&self, plan: u32, registers: &mut Registers, time: u64) -> usize {
        self.scratch.words[0].store(time, Ordering::Relaxed);
        self.scratch.triggers.clear();
        self.scratch
            .stack_end
            .store(registers.stack(), Ordering::Relaxed);
        let mut used = 1;
        let Some(after) = self.frame(plan, registers, &mut used) else {
            return 0;
        };
        if let After::Caller(rules, mark) = after {
            // Copied only here: most plans have no caller's frame.
            self.callers((rules, mark), *registers, &mut used);
        }
        used
    }

    fn callers(
        &self,
        (mut rules, mut mark): ([u64; 2], u64),
        mut registers: Registers,
        used: &mut usize,
    ) {
        for _ in 1..FRAMES_MAX {
            let next = self
                .caller(rules, &mut registers)
                .and_then(|address| self.finder.find(address | mark))
                .and_then(|plan| self.frame(plan, &mut registers, used));
            match next {
                Some(After::Caller(next, further)) => (rules, mark) = (next, further),
                Some(After::Last) => return,
                None => break,
            }
        }
        // `Room` keeps a word for it.
        if let Some(end) = self.scratch.words.get(*used) {
            end.store(0, Ordering::Relaxed);
            *used += 1;
        }
    }

    /// Captures a frame, if its plan makes sense.
    fn frame(&self, plan: u32, registers: &mut Registers, used: &mut usize) -> Option<After> {
        let plan = plan as usize;
        let code = self.code.words();
        let room = Room::new(*used, code.get(plan)?.load(Ordering::Relaxed));
        let mut frame = Frame::new(code, self.probe, self.scratch, registers, room);
        let after = frame.run(plan)?;
        *used = frame.used();
        Some(after)
    }

    /// Makes the registers those of the caller. Where it waits.
    fn caller(&self, rules: [u64; 2], registers: &mut Registers) -> Option<u64> {
        let cfa = registers.values[CFA_PLACE];
        if self.probe.reads_together() {
            expect_caller(self.probe, cfa, rules);
        }
        let return_address = self.probe.number(cfa.wrapping_sub(8), 8).ok()?;
        registers.unknown |= UNKNOWN_BEHIND_CALL;
        for (place, number) in KEPT.into_iter().enumerate() {
            let rule = (rules[place / 4] >> (16 * (place % 4))) as i16;
            if rule == 0 {
                continue;
            }
            let at = cfa.wrapping_add_signed(8 * i64::from(rule));
            let saved = match rule {
                UNKNOWN => None,
                _ => self.probe.number(at, 8).ok(),
            };
            registers.values[place] = saved.unwrap_or(0);
            let bit = 1 << number;
            match saved {
                Some(_) => registers.unknown &= !bit,
                None => registers.unknown |= bit,
            }
        }
        registers.values[RSP] = cfa;
        Some(return_address)
    }
}
