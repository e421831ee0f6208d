//! Payloads of capture plans, as memory and registers.
//!
//! Nothing in a payload is believed: a length that doesn't fit ends it, and what comes then is not captured.

use std::collections::HashMap;
use std::sync::Arc;

use umbel_trace_ring::plan::{CFA, Op, Opcode, RegionState};

use crate::unwind::FrameAddress;
use crate::{Absence, Description, Memory, Place, Registers, Types, evaluate};

/// A plan, with what it takes to read what it captured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it captures.
    pub description: Arc<Description>,
    /// The types of its image.
    pub types: Arc<Types>,
    /// What is added to the addresses of its module.
    pub bias: u64,
}

/// What an event brought along: its frame, then that frame's caller if it was wanted.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// Innermost first.
    pub frames: Vec<CapturedFrame>,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct CapturedFrame {
    /// Its plan.
    pub plan: Plan,
    registers: HashMap<u16, u64>,
    vectors: HashMap<u16, [u8; 16]>,
    /// What the function found in registers when it was called.
    entries: HashMap<u16, u64>,
    frame_address: u64,
    stack: Vec<Region>,
    /// Regions of all frames: what one has followed another may show.
    regions: Arc<Vec<Region>>,
}

/// Some memory.
#[derive(Clone, Debug)]
struct Region {
    address: u64,
    bytes: u64,
    data: Option<Vec<u8>>,
    is_invalid: bool,
}

/// Frames of one event: plans ask for two.
const FRAMES_MAX: usize = 64;

/// Where a frame is put whose address is not known: no program's memory can be there.
const NOWHERE: u64 = 0xdead_0000_0000_0000;

/// Bytes around a made-up frame address.
const NOWHERE_SPAN: u64 = 1 << 40;

/// Set in a frame's first word: not all of its stack bytes could be read.
const STACK_MISSING: u64 = 1 << 48;

impl Captured {
    /// Reads the payload of a Values word behind its time; `plan` knows the plans by their number. `function`: the address
    /// whose call or return the event is.
    pub fn parse(
        payload: &[u64],
        function: Option<u64>,
        plan: &dyn Fn(u32) -> Option<Plan>,
    ) -> Self {
        let mut words = Words(payload);
        let mut frames: Vec<CapturedFrame> = Vec::new();
        let mut regions = Vec::new();
        while frames.len() < FRAMES_MAX
            && let Some(head) = words.next()
            && head as u32 != 0
            && let Some(plan) = plan(head as u32)
        {
            let frame = CapturedFrame::parse(plan, head, frames.len(), &mut words);
            frames.push(frame);
            if !parse_regions(&mut words, &mut regions) {
                break;
            }
        }
        let regions = Arc::new(regions);
        for frame in &mut frames {
            frame.regions = Arc::clone(&regions);
        }
        // The outermost first: what a frame put into registers may be what it found in them itself.
        for index in (1..frames.len()).rev() {
            let (callees, callers) = frames.split_at_mut(index);
            let (Some(callee), Some(caller)) = (callees.last_mut(), callers.first()) else {
                break;
            };
            // An inlined function's own address is not what was called.
            let plan = &callee.plan;
            let called = plan.description.entry;
            let called = called.map(|entry| entry.wrapping_add(plan.bias));
            let function = function.filter(|_| index == 1);
            callee.entries = caller.entries_of(called.or(function));
        }
        Self { frames }
    }
}

impl CapturedFrame {
    /// What the plan's ops appended.
    fn parse(plan: Plan, head: u64, index: usize, words: &mut Words) -> Self {
        let mut frame = Self {
            plan: plan.clone(),
            registers: HashMap::new(),
            vectors: HashMap::new(),
            entries: HashMap::new(),
            frame_address: 0,
            stack: Vec::new(),
            regions: Arc::default(),
        };
        let is_unknown = |number: u8| number < 16 && head >> (32 + number) & 1 == 1;
        let mut stack = Vec::new();
        let mut ops = Words(plan.description.words.get(1..).unwrap_or_default());
        while let Some(op) = ops.next().and_then(Op::parse) {
            let number = op.register;
            match op.opcode {
                Opcode::Register => {
                    let Some(value) = words.next() else { break };
                    if !is_unknown(number) {
                        frame.registers.insert(number.into(), value);
                    }
                }
                Opcode::Stack => {
                    let Some(data) = words.bytes(op.bytes.into()) else {
                        break;
                    };
                    if !is_unknown(number) && head & STACK_MISSING == 0 {
                        stack.push((number, i64::from(op.offset), data));
                    }
                }
                Opcode::Vector => {
                    let Some(data) = words.bytes(16) else { break };
                    let data = data.try_into().expect("16 bytes were taken");
                    frame.vectors.insert(number.into(), data);
                }
                Opcode::End | Opcode::Caller => break,
                _ => {}
            }
            (1..op.words()).for_each(|_| {
                ops.next();
            });
        }
        frame.place(index, &is_unknown);
        for (base, offset, data) in stack {
            let base = frame.base(base);
            frame.stack.push(Region {
                address: base.wrapping_add_signed(offset),
                bytes: data.len() as u64,
                data: Some(data),
                is_invalid: false,
            });
        }
        frame
    }

    /// Finds the frame's address; or puts it nowhere, which is right for all that is read through it.
    fn place(&mut self, index: usize, is_unknown: &dyn Fn(u8) -> bool) {
        let known = self.registers.remove(&u16::from(CFA));
        let rule = match self.plan.description.frame_address {
            Some(FrameAddress::Register(number, offset)) => Some((number, offset)),
            Some(FrameAddress::Computed(_)) | None => None,
        };
        let by_rule = rule.and_then(|(number, offset)| {
            let base = self.registers.get(&number)?;
            Some(base.wrapping_add_signed(offset))
        });
        let nowhere = NOWHERE + NOWHERE_SPAN * (1 + 2 * index as u64);
        self.frame_address = known.or(by_rule).unwrap_or(nowhere);
        if let Some((number, offset)) = rule
            && u8::try_from(number).is_ok_and(|number| !is_unknown(number))
        {
            let base = self
                .frame_address
                .wrapping_add_signed(offset.wrapping_neg());
            self.registers.entry(number).or_insert(base);
        }
    }

    /// What stack bytes lie beside. One that nothing tells is put nowhere too, each register elsewhere.
    fn base(&mut self, number: u8) -> u64 {
        if number == CFA {
            return self.frame_address;
        }
        let nowhere = NOWHERE + NOWHERE_SPAN * (200 + 2 * u64::from(number & 0xf));
        *self.registers.entry(number.into()).or_insert(nowhere)
    }

    /// What `function`, which this frame called, found in registers.
    fn entries_of(&self, function: Option<u64>) -> HashMap<u16, u64> {
        let Plan {
            description, bias, ..
        } = &self.plan;
        let callee = match &description.target {
            // Nobody knows then whom it has called.
            Some(target) => match self.number_at(target) {
                None => return HashMap::new(),
                address => address,
            },
            None => description.callee.map(|callee| callee.wrapping_add(*bias)),
        };
        if callee.is_some_and(|callee| Some(callee) != function) {
            return HashMap::new();
        }
        let entry = |(register, place): &(u16, Place)| Some((*register, self.number_at(place)?));
        description.entries.iter().filter_map(entry).collect()
    }

    /// The 8 bytes at a place.
    fn number_at(&self, place: &Place) -> Option<u64> {
        let source = evaluate::place(place, self, self).ok()?;
        let bytes = source.bytes(0, 8, self).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// What is known of the byte at `address`, and of those behind it.
    fn bytes_at(&self, address: u64) -> Result<&[u8], Absence> {
        let mut absence = Absence::NotCaptured(address);
        for region in self.stack.iter().chain(self.regions.iter()) {
            let offset = address.wrapping_sub(region.address);
            match &region.data {
                Some(data) if offset < data.len() as u64 => return Ok(&data[offset as usize..]),
                // Captured elsewhere perhaps: of two regions one may be shorter.
                None if region.is_invalid && offset < region.bytes.max(1) => {
                    absence = Absence::Invalid(region.address);
                }
                _ => {}
            }
        }
        Err(absence)
    }
}

impl Memory for CapturedFrame {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        let mut rest = bytes;
        let mut at = address;
        while !rest.is_empty() {
            let known = self.bytes_at(at)?;
            let count = known.len().min(rest.len());
            let (part, after) = rest.split_at_mut(count);
            part.copy_from_slice(&known[..count]);
            rest = after;
            at = at.wrapping_add(count as u64);
        }
        Ok(())
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        let mut text = Vec::new();
        while text.len() < limit {
            let known = match self.bytes_at(address.wrapping_add(text.len() as u64)) {
                Ok(known) => &known[..known.len().min(limit - text.len())],
                Err(absence) if text.is_empty() => return Err(absence),
                Err(_) => break,
            };
            if let Some(end) = known.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&known[..end]);
                return Ok((text, true));
            }
            text.extend_from_slice(known);
        }
        Ok((text, false))
    }
}

impl Registers for CapturedFrame {
    fn register(&self, number: u16) -> Option<u64> {
        self.registers.get(&number).copied()
    }

    fn vector(&self, number: u16) -> Option<[u8; 16]> {
        self.vectors.get(&number).copied()
    }

    fn entry(&self, number: u16) -> Option<u64> {
        self.entries.get(&number).copied()
    }

    fn frame_address(&self) -> Option<u64> {
        Some(self.frame_address)
    }

    fn bias(&self) -> u64 {
        self.plan.bias
    }
}

/// Whether this address was made up for a frame: it must not be shown.
pub fn is_nowhere(address: u64) -> bool {
    address >> 48 == NOWHERE >> 48
}

/// A frame's regions; whether the payload goes on.
fn parse_regions(words: &mut Words, regions: &mut Vec<Region>) -> bool {
    let Some(count) = words.next() else {
        return false;
    };
    for _ in 0..count {
        let (Some(address), Some(size)) = (words.next(), words.next()) else {
            return false;
        };
        let (bytes, state) = (size & 0xffff_ffff, size >> 32);
        let is_captured = state == RegionState::Captured as u64;
        let data = match is_captured {
            false => None,
            true => match words.bytes(bytes) {
                None => return false,
                data => data,
            },
        };
        regions.push(Region {
            address,
            bytes,
            data,
            is_invalid: state == RegionState::Invalid as u64,
        });
    }
    true
}

/// What is left of a payload or plan.
struct Words<'a>(&'a [u64]);

impl Words<'_> {
    fn next(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// So many bytes, of whole words.
    fn bytes(&mut self, count: u64) -> Option<Vec<u8>> {
        let count = usize::try_from(count).ok()?;
        let words = count.div_ceil(8);
        let (taken, rest) = self.0.split_at_checked(words)?;
        self.0 = rest;
        let mut bytes: Vec<u8> = taken.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(count);
        Some(bytes)
    }
}
