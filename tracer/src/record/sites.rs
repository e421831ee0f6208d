//! Where a file calls the hooks, and of which function each call tells.
//!
//! A call site is patched by its first byte alone, so running threads see either the old or the new instruction:
//!
//! | there is | bytes | patched | which is |
//! |---|---|---|---|
//! | call of the hook's stub | `e8 rel32` | `a9` | test eax, imm32: the flags are dead at a call |
//! | tail jump to it | `e9 rel32` | `c3` | ret |
//! | call through the hook's slot (-fno-plt) | `ff 15 rel32` | `3b` | cmp edx, [rip+rel32] |
//! | tail jump through it | `ff 25 rel32` | `c3` | ret |
//!
//! The function that a site tells of is found by following its first argument ([`flow`]).

use std::collections::{HashMap, HashSet};

use iced_x86::{Code, Decoder, DecoderOptions, Instruction};
use rayon::prelude::*;

use super::elf::{Hook, Text};
use crate::symbols::{Function, FunctionTable};

mod flow;
mod kept;

/// One call of a hook. Addresses are those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its first byte.
    pub address: u64,
    /// The functions it tells of: one, or several that share it; none, if that could not be found out.
    pub functions: Vec<u64>,
    /// What it is.
    pub form: Form,
    /// Which hook it calls.
    pub hook: Hook,
    /// Its bytes behind the first, as they must be in the process's memory too.
    pub operand: [u8; 5],
}

/// How a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `call stub`
    Call,
    /// `jmp stub`
    Jump,
    /// `call [slot]`
    SlotCall,
    /// `jmp [slot]`
    SlotJump,
}

impl Form {
    /// First byte, as compiled.
    pub fn active(self) -> u8 {
        match self {
            Self::Call => 0xe8,
            Self::Jump => 0xe9,
            Self::SlotCall | Self::SlotJump => 0xff,
        }
    }

    /// First byte when the site does nothing.
    pub fn patched(self) -> u8 {
        match self {
            Self::Call => 0xa9,
            Self::Jump | Self::SlotJump => 0xc3,
            Self::SlotCall => 0x3b,
        }
    }

    /// Bytes of the operand that are compared before a patch.
    pub fn operand_bytes(self) -> usize {
        match self {
            Self::Call | Self::Jump => 4,
            Self::SlotCall | Self::SlotJump => 5,
        }
    }
}

/// The call sites of a file, by address.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// Those that can be patched.
    pub sites: Vec<Site>,
    /// Byte rows that look like a call of a hook but don't begin an instruction, or none that can be patched.
    pub unclear_count: usize,
}

impl Sites {
    /// Finds them in `text`; `functions` are those that are known, sorted.
    pub fn find(text: &Text, functions: &[Range]) -> Self {
        let mut found = Self::default();
        if text.hooks.is_empty() {
            return found;
        }
        let stubs = text.stubs();
        for segment in &text.segments {
            let candidates = candidates(text, segment.address, &segment.bytes, &stubs);
            let bodies = bodies(&candidates, functions, segment.address, segment.end());
            let walk = Walk {
                text,
                stubs: &stubs,
                address: segment.address,
                bytes: &segment.bytes,
            };
            let parts: Vec<Vec<Site>> = bodies.par_iter().map(|whole| walk.walk(whole)).collect();
            let sites: Vec<Site> = parts.into_iter().flatten().collect();
            found.unclear_count += candidates.len().saturating_sub(sites.len());
            found.sites.extend(sites);
        }
        found.sites.sort_by_key(|site| site.address);
        found.sites.dedup_by_key(|site| site.address);
        found
    }
}

/// Where a function lies, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first byte.
    pub begin: u64,
    /// Behind its last.
    pub end: u64,
    /// If it is a part that the compiler put elsewhere, because it is seldom run: the function that it belongs to.
    pub whole: Option<u64>,
}

impl Range {
    /// Those of a file.
    pub fn all(functions: &FunctionTable) -> Vec<Self> {
        // By name; of a name that several have, which of them a part belongs to isn't known.
        let mut wholes: HashMap<String, Option<u64>> = HashMap::new();
        let whole_of = |name: &str| name.split_once(PART).map(|(whole, _)| whole.to_owned());
        for function in functions.iter() {
            wholes.extend(whole_of(&function.name).map(|whole| (whole, None)));
        }
        let mut seen: HashSet<String> = HashSet::new();
        for function in functions.iter() {
            if let Some(whole) = wholes.get_mut(&*function.name) {
                let is_new = seen.insert(function.name.to_string());
                *whole = is_new.then_some(function.begin);
            }
        }
        let range = |function: Function| Self {
            begin: function.begin,
            end: function.end,
            whole: whole_of(&function.name).and_then(|whole| wholes.get(&whole).copied()?),
        };
        functions.iter().map(range).collect()
    }
}

/// What the compiler adds to a function's name for its part.
const PART: &str = ".cold";

/// A row of instructions that is decoded from its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body {
    begin: u64,
    end: u64,
}

/// Addresses whose bytes look like a call of a hook, sorted.
fn candidates(text: &Text, address: u64, bytes: &[u8], stubs: &HashMap<u64, Hook>) -> Vec<u64> {
    let mut found = Vec::new();
    for (offset, window) in bytes.windows(6).enumerate() {
        let at = address + offset as u64;
        let relative = |start: usize| {
            let row = [
                window[start],
                window[start + 1],
                window[start + 2],
                window[start + 3],
            ];
            i64::from(i32::from_le_bytes(row))
        };
        let is_call = match window[0] {
            0xe8 | 0xe9 => stubs.contains_key(&(at + 5).wrapping_add_signed(relative(1))),
            0xff if window[1] == 0x15 || window[1] == 0x25 => {
                let is_slot = text
                    .hooks
                    .contains_key(&(at + 6).wrapping_add_signed(relative(2)));
                is_slot && !text.is_stub(at)
            }
            _ => false,
        };
        if is_call {
            found.push(at);
        }
    }
    found
}

/// The functions that hold `candidates`, each with its parts behind it; where none is known, what lies between two.
fn bodies(candidates: &[u64], functions: &[Range], begin: u64, end: u64) -> Vec<Vec<Body>> {
    let mut bodies: Vec<Vec<Body>> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut parts: Vec<(u64, Body)> = Vec::new();
    let mut last_end = 0;
    for &candidate in candidates {
        if candidate < last_end {
            continue;
        }
        let after = functions.partition_point(|function| function.begin <= candidate);
        let before = after.checked_sub(1).map(|index| functions[index]);
        let next = functions.get(after).map_or(end, |function| function.begin);
        let body = match before {
            Some(function) if candidate < function.end => Body {
                begin: function.begin.max(begin),
                end: function.end.min(next).min(end),
            },
            Some(function) => Body {
                begin: function.end.max(begin),
                end: next.min(end),
            },
            None => Body {
                begin,
                end: next.min(end),
            },
        };
        last_end = body.end;
        match before.and_then(|function| function.whole) {
            Some(whole) => parts.push((whole, body)),
            None => {
                places.insert(body.begin, bodies.len());
                bodies.push(vec![body]);
            }
        }
    }
    for (whole, part) in parts {
        match places.get(&whole) {
            Some(&place) => bodies[place].push(part),
            None => bodies.push(vec![part]),
        }
    }
    bodies
}

/// Reads a body, with its parts.
struct Walk<'a> {
    text: &'a Text,
    stubs: &'a HashMap<u64, Hook>,
    address: u64,
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn walk(&self, bodies: &[Body]) -> Vec<Site> {
        let mut instructions = Vec::new();
        let mut sites: Vec<(Site, usize)> = Vec::new();
        for body in bodies {
            self.read(body, &mut instructions, &mut sites);
        }
        let places: Vec<(usize, Hook)> = sites
            .iter()
            .map(|(site, index)| (*index, site.hook))
            .collect();
        let functions = flow::functions_of(&instructions, &places, self.text);
        sites
            .into_iter()
            .zip(functions)
            .map(|((site, _), functions)| Site { functions, ..site })
            .collect()
    }

    fn read(
        &self,
        body: &Body,
        instructions: &mut Vec<Instruction>,
        sites: &mut Vec<(Site, usize)>,
    ) {
        let slice = |begin: u64, end: u64| {
            let begin = usize::try_from(begin.checked_sub(self.address)?).ok()?;
            let end = usize::try_from(end.checked_sub(self.address)?).ok()?;
            self.bytes.get(begin..end.min(self.bytes.len()))
        };
        let Some(bytes) = slice(body.begin, body.end) else {
            return;
        };
        let mut decoder = Decoder::with_ip(64, bytes, body.begin, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                // Data among the code: what follows can't be told from chance.
                break;
            }
            if let Some(site) = self.site(&instruction, bytes, body.begin) {
                sites.push((site, instructions.len()));
            }
            instructions.push(instruction);
        }
    }

    /// The site that `instruction` is, if it calls a hook.
    fn site(&self, instruction: &Instruction, bytes: &[u8], begin: u64) -> Option<Site> {
        let (form, hook) = match instruction.code() {
            Code::Call_rel32_64 => (Form::Call, self.stub(instruction)?),
            Code::Jmp_rel32_64 => (Form::Jump, self.stub(instruction)?),
            Code::Call_rm64 => (Form::SlotCall, self.slot(instruction)?),
            Code::Jmp_rm64 => (Form::SlotJump, self.slot(instruction)?),
            _ => return None,
        };
        let start = usize::try_from(instruction.ip() - begin).ok()?;
        // A prefix would come first: such a site can't be patched by one byte.
        if bytes[start] != form.active() || instruction.len() != form.operand_bytes() + 1 {
            return None;
        }
        let mut operand = [0; 5];
        let count = form.operand_bytes();
        operand[..count].copy_from_slice(&bytes[start + 1..start + 1 + count]);
        Some(Site {
            address: instruction.ip(),
            functions: Vec::new(),
            form,
            hook,
            operand,
        })
    }

    fn stub(&self, instruction: &Instruction) -> Option<Hook> {
        self.stubs.get(&instruction.near_branch_target()).copied()
    }

    fn slot(&self, instruction: &Instruction) -> Option<Hook> {
        if !instruction.is_ip_rel_memory_operand() || self.text.is_stub(instruction.ip()) {
            return None;
        }
        let slot = instruction.ip_rel_memory_address();
        self.text.hooks.get(&slot).copied()
    }
}

#[cfg(test)]
mod tests;
