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
//! The address of the function that a site tells of is a constant of the program, so whichever way leads to the site, its first
//! argument is the same: following the registers line by line finds it. A compiler may keep it in a register for long, or on the
//! stack; then it is the only constant that was ever put there, or it isn't known.

use std::collections::{HashMap, HashSet};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};
use rayon::prelude::*;

use super::elf::{Hook, Text};

/// One call of a hook. Addresses are those of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its first byte.
    pub address: u64,
    /// The function it tells of, if that could be found out.
    pub function: Option<u64>,
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
    /// Finds them in `text`; `functions` are the (begin, end) that are known, sorted.
    pub fn find(text: &Text, functions: &[(u64, u64)]) -> Self {
        let mut found = Self::default();
        if text.hooks.is_empty() {
            return found;
        }
        let stubs = text.stubs();
        for segment in &text.segments {
            let candidates = candidates(text, segment.address, &segment.bytes, &stubs);
            let bodies = bodies(&candidates, functions, segment.address, segment.end());
            let parts: Vec<Vec<Site>> = bodies
                .par_iter()
                .map(|body| Walk::new(text, &stubs, segment.address, &segment.bytes).walk(body))
                .collect();
            let sites: Vec<Site> = parts.into_iter().flatten().collect();
            found.unclear_count += candidates.len().saturating_sub(sites.len());
            found.sites.extend(sites);
        }
        found.sites.sort_by_key(|site| site.address);
        found.sites.dedup_by_key(|site| site.address);
        found
    }
}

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

/// The functions that hold `candidates`; where none is known, what lies between two.
fn bodies(candidates: &[u64], functions: &[(u64, u64)], begin: u64, end: u64) -> Vec<Body> {
    let mut bodies: Vec<Body> = Vec::new();
    for &candidate in candidates {
        if bodies.last().is_some_and(|last| candidate < last.end) {
            continue;
        }
        let after = functions.partition_point(|function| function.0 <= candidate);
        let before = after.checked_sub(1).map(|index| functions[index]);
        let next = functions.get(after).map_or(end, |function| function.0);
        bodies.push(match before {
            Some((first, last)) if candidate < last => Body {
                begin: first.max(begin),
                end: last.min(next).min(end),
            },
            Some((_, last)) => Body {
                begin: last.max(begin),
                end: next.min(end),
            },
            None => Body {
                begin,
                end: next.min(end),
            },
        });
    }
    bodies
}

/// What a register or the stack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// What it held where this row of instructions was entered.
    Entry(Register),
    /// This address.
    Constant(u64),
    /// Something from memory.
    Loaded,
    /// Anything else.
    Other,
}

/// One pass over a body.
struct Walk<'a> {
    text: &'a Text,
    stubs: &'a HashMap<u64, Hook>,
    address: u64,
    bytes: &'a [u8],
    registers: HashMap<Register, Value>,
    /// Constants that each register was given anywhere.
    constants: HashMap<Register, HashSet<u64>>,
    /// Registers that were loaded from memory anywhere.
    loaded: HashSet<Register>,
    /// Constants that were stored anywhere.
    stored: HashSet<u64>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a Text, stubs: &'a HashMap<u64, Hook>, address: u64, bytes: &'a [u8]) -> Self {
        Self {
            text,
            stubs,
            address,
            bytes,
            registers: HashMap::new(),
            constants: HashMap::new(),
            loaded: HashSet::new(),
            stored: HashSet::new(),
        }
    }

    fn walk(mut self, body: &Body) -> Vec<Site> {
        let slice = |begin: u64, end: u64| {
            let begin = usize::try_from(begin.checked_sub(self.address)?).ok()?;
            let end = usize::try_from(end.checked_sub(self.address)?).ok()?;
            self.bytes.get(begin..end.min(self.bytes.len()))
        };
        let Some(bytes) = slice(body.begin, body.end) else {
            return Vec::new();
        };
        let mut decoder = Decoder::with_ip(64, bytes, body.begin, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut sites: Vec<(Site, Value)> = Vec::new();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                // Data among the code: what follows can't be told from chance.
                break;
            }
            if let Some(site) = self.site(&instruction, bytes, body.begin) {
                sites.push((site, self.value(Register::RDI)));
            }
            self.follow(&instruction);
        }
        sites
            .into_iter()
            .map(|(site, value)| Site {
                function: self.resolve(value),
                ..site
            })
            .collect()
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
            function: None,
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

    fn value(&self, register: Register) -> Value {
        let known = self.registers.get(&register).copied();
        known.unwrap_or(Value::Entry(register))
    }

    /// What registers hold behind `instruction`.
    fn follow(&mut self, instruction: &Instruction) {
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            FlowControl::Call | FlowControl::IndirectCall => {
                for register in CALLEE_MAY_CHANGE {
                    self.registers.insert(register, Value::Other);
                }
                return;
            }
            // What follows is reached from elsewhere.
            _ => {
                self.registers.clear();
                return;
            }
        }
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Nop | Mnemonic::Bt => {
                return;
            }
            Mnemonic::Xchg => {
                for index in 0..instruction.op_count() {
                    self.set(instruction.op_register(index).full_register(), Value::Other);
                }
                return;
            }
            Mnemonic::Movsb
            | Mnemonic::Movsq
            | Mnemonic::Stosb
            | Mnemonic::Stosq
            | Mnemonic::Movsd
            | Mnemonic::Stosd => {
                for register in [Register::RDI, Register::RSI, Register::RCX] {
                    self.set(register, Value::Other);
                }
                return;
            }
            Mnemonic::Mul | Mnemonic::Div | Mnemonic::Idiv | Mnemonic::Imul => {
                self.set(Register::RAX, Value::Other);
                self.set(Register::RDX, Value::Other);
            }
            _ => {}
        }
        let source = self.source(instruction);
        match instruction.op0_kind() {
            OpKind::Register => self.set(instruction.op0_register().full_register(), source),
            OpKind::Memory if instruction.mnemonic() == Mnemonic::Mov => {
                if let Value::Constant(address) = source {
                    self.stored.insert(address);
                }
            }
            _ => {}
        }
    }

    /// What `instruction` puts into its first operand.
    fn source(&self, instruction: &Instruction) -> Value {
        let constant = |address: u64| match self.text.is_code(address) {
            true => Value::Constant(address),
            false => Value::Other,
        };
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Lea, _) if instruction.is_ip_rel_memory_operand() => {
                constant(instruction.ip_rel_memory_address())
            }
            (
                Mnemonic::Mov,
                OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64,
            ) => constant(instruction.immediate(1)),
            (Mnemonic::Mov, OpKind::Register) => {
                self.value(instruction.op1_register().full_register())
            }
            (Mnemonic::Mov, OpKind::Memory) if instruction.is_ip_rel_memory_operand() => {
                let pointer = self.text.pointers.get(&instruction.ip_rel_memory_address());
                pointer.map_or(Value::Other, |&address| constant(address))
            }
            (Mnemonic::Mov | Mnemonic::Pop, _) => Value::Loaded,
            _ => Value::Other,
        }
    }

    fn set(&mut self, register: Register, value: Value) {
        match value {
            Value::Constant(address) => {
                self.constants.entry(register).or_default().insert(address);
            }
            Value::Loaded => {
                self.loaded.insert(register);
            }
            _ => {}
        }
        self.registers.insert(register, value);
    }

    /// The address that `value` must be, now that the whole body is known.
    fn resolve(&self, value: Value) -> Option<u64> {
        let mut possible: HashSet<u64> = HashSet::new();
        let may_be_stored = match value {
            Value::Constant(address) => return Some(address),
            Value::Entry(register) => {
                possible.extend(self.constants.get(&register).into_iter().flatten());
                self.loaded.contains(&register)
            }
            Value::Loaded => true,
            Value::Other => false,
        };
        if may_be_stored {
            possible.extend(&self.stored);
        }
        let mut possible = possible.into_iter();
        possible.next().filter(|_| possible.next().is_none())
    }
}

/// What a called function need not keep: the System V ABI.
const CALLEE_MAY_CHANGE: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

#[cfg(test)]
mod tests;
