//! Payloads of capture plans, as memory and registers.
//!
//! Nothing in a payload is believed: a length that doesn't fit ends it, and what comes then is not captured.

use std::collections::HashMap;
use std::sync::Arc;

use umbel_trace_ring::plan::{CFA, Opcode, RegionState};

use crate::{Absence, Description, Memory, Registers};

/// A plan, as one process has it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it captures.
    pub description: Arc<Description>,
    /// What is added to the addresses of its module.
    pub bias: u64,
}

/// What an event brought along: its frame, then that frame's caller if it was wanted, and so on.
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
    frame_address: u64,
    is_placed: bool,
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

impl Captured {
    /// Reads the payload of a Values word behind its time; `plan` knows the plans by their word offset in the region.
    pub fn parse(payload: &[u64], plan: &dyn Fn(u64) -> Option<Plan>) -> Self {
        let mut words = Words(payload);
        let mut frames = Vec::new();
        let mut regions = Vec::new();
        while frames.len() < FRAMES_MAX
            && let Some(offset) = words.next()
            && offset != 0
            && let Some(plan) = plan(offset)
        {
            let frame = CapturedFrame::parse(plan, frames.len(), &mut words);
            let is_whole = parse_regions(&mut words, &mut regions);
            frames.push(frame);
            if !is_whole {
                break;
            }
        }
        let regions = Arc::new(regions);
        for frame in &mut frames {
            frame.regions = Arc::clone(&regions);
        }
        Self { frames }
    }
}

impl CapturedFrame {
    /// What the plan's ops appended.
    fn parse(plan: Plan, index: usize, words: &mut Words) -> Self {
        let mut frame = Self {
            plan: plan.clone(),
            registers: HashMap::new(),
            vectors: HashMap::new(),
            frame_address: 0,
            is_placed: false,
            stack: Vec::new(),
            regions: Arc::default(),
        };
        let mut cfa_rule = None;
        let mut stack = Vec::new();
        let mut ops = Words(plan.description.words.get(1..).unwrap_or_default());
        while let Some(op) = ops.next() {
            let number = (op >> 8) as u8;
            let bytes = op >> 16 & 0xffff;
            let offset = i64::from((op >> 32) as i32);
            let code = op as u8;
            if code == Opcode::Register as u8 {
                let Some(value) = words.next() else { break };
                frame.registers.insert(number.into(), value);
            } else if code == Opcode::Stack as u8 {
                let Some(data) = words.bytes(bytes) else { break };
                stack.push((number, offset, data));
            } else if code == Opcode::Vector as u8 {
                let Some(data) = words.bytes(16) else { break };
                let data = data.try_into().expect("16 bytes were taken");
                frame.vectors.insert(number.into(), data);
            } else if code == Opcode::SetCfa as u8 {
                cfa_rule = Some((number, offset));
            } else if [Opcode::Shape, Opcode::Constant, Opcode::Region]
                .iter()
                .any(|two| code == *two as u8)
            {
                ops.next();
            } else if code == Opcode::End as u8 || code == Opcode::Caller as u8 {
                break;
            }
        }
        frame.place(cfa_rule, index);
        for (base, offset, data) in stack {
            if let Some(base) = frame.base(base) {
                frame.stack.push(Region {
                    address: base.wrapping_add_signed(offset),
                    bytes: data.len() as u64,
                    data: Some(data),
                    is_invalid: false,
                });
            }
        }
        frame
    }

    /// Finds the frame's address; or puts it nowhere, which is right for all that is read through it.
    fn place(&mut self, rule: Option<(u8, i64)>, index: usize) {
        let known = self.registers.remove(&u16::from(CFA));
        let by_rule = rule.and_then(|(number, offset)| {
            let base = self.registers.get(&u16::from(number))?;
            Some(base.wrapping_add_signed(offset))
        });
        let nowhere = NOWHERE + NOWHERE_SPAN * (1 + 2 * index as u64);
        self.is_placed = known.or(by_rule).is_some();
        self.frame_address = known.or(by_rule).unwrap_or(nowhere);
        if let Some((number, offset)) = rule
            && number != CFA
        {
            let base = self.frame_address.wrapping_add_signed(offset.wrapping_neg());
            self.registers.entry(number.into()).or_insert(base);
        }
    }

    /// What stack bytes lie beside. One that nothing tells is put nowhere too, each register elsewhere.
    fn base(&mut self, number: u8) -> Option<u64> {
        if number == CFA {
            return Some(self.frame_address);
        }
        let nowhere = NOWHERE + NOWHERE_SPAN * (1000 + 2 * u64::from(number));
        Some(*self.registers.entry(number.into()).or_insert(nowhere))
    }

    fn find(&self, address: u64) -> impl Iterator<Item = &Region> {
        let all = self.stack.iter().chain(self.regions.iter());
        // What was captured comes before what was not: of two regions one may be shorter.
        let near = all.filter(move |region| address.wrapping_sub(region.address) < region.bytes.max(1));
        let mut near: Vec<&Region> = near.collect();
        near.sort_by_key(|region| region.data.is_none());
        near.into_iter()
    }
}

impl Memory for CapturedFrame {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        let mut done = 0_usize;
        'more: while done < bytes.len() {
            let at = address.wrapping_add(done as u64);
            for region in self.find(at) {
                let offset = at.wrapping_sub(region.address) as usize;
                let Some(data) = &region.data else {
                    return Err(match region.is_invalid {
                        true => Absence::Invalid(region.address),
                        false => Absence::NotCaptured(at),
                    });
                };
                if let Some(part) = data.get(offset..).filter(|part| !part.is_empty()) {
                    let count = part.len().min(bytes.len() - done);
                    bytes[done..done + count].copy_from_slice(&part[..count]);
                    done += count;
                    continue 'more;
                }
            }
            return Err(Absence::NotCaptured(at));
        }
        Ok(())
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        let mut text = Vec::new();
        while text.len() < limit {
            let mut byte = [0];
            match self.read(address.wrapping_add(text.len() as u64), &mut byte) {
                Ok(()) if byte[0] == 0 => return Ok((text, true)),
                Ok(()) => text.push(byte[0]),
                Err(absence) if text.is_empty() => return Err(absence),
                Err(_) => break,
            }
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
