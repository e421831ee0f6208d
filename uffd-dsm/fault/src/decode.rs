//! What an instruction accesses.
//!
//! An access that faults names one address. The instruction may need more: the other page of an operand that crosses
//! the end of one, the source and the target of a `movs`, sixteen elements of a gather; and the right to write what it
//! first reads. Asked for one by one, pages that two nodes want at once could be taken away in turns, for ever.
//!
//! Exactly what is accessed is told, or less: an element that a mask leaves out may lie where nothing is. What can't be
//! told is left to the fault.

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, Instruction, InstructionInfoFactory,
    InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

use crate::PAGE_BYTES;

/// The registers of the interrupted thread.
pub(crate) trait Registers {
    /// A general register, by its number in encodings: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ...
    fn general(&self, number: usize) -> u64;
    /// RFLAGS.
    fn flags(&self) -> u64;
    /// A vector register; what the thread doesn't have of it is zero.
    fn vector(&self, number: usize) -> [u8; VECTOR_BYTES];
    /// A mask register.
    fn mask(&self, number: usize) -> u64;
}

/// Bytes of the widest vector register.
pub(crate) const VECTOR_BYTES: usize = 64;

/// Bytes that an instruction accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) address: usize,
    /// At least 1.
    pub(crate) len: usize,
    pub(crate) write: bool,
}

impl Span {
    /// The pages it lies on.
    pub(crate) fn pages(self) -> impl Iterator<Item = usize> {
        let first = self.address & !(PAGE_BYTES - 1);
        let last = self.address.saturating_add(self.len - 1);
        (first..=last).step_by(PAGE_BYTES)
    }
}

/// What [`spans`] needs of memory of its own.
pub(crate) type Workspace = InstructionInfoFactory;

/// Decodes the instruction at `address`, of which these bytes were read; `None` if it is longer, or none.
pub(crate) fn decode(code: &[u8], address: usize) -> Option<Instruction> {
    let mut decoder = Decoder::with_ip(64, code, address as u64, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (decoder.last_error() == DecoderError::None).then_some(instruction)
}

/// Calls `add` for what the instruction accesses.
pub(crate) fn spans(
    instruction: &Instruction,
    registers: &impl Registers,
    workspace: &mut Workspace,
    mut add: impl FnMut(Span),
) {
    if let Some(operands) = string_operands(instruction) {
        return strings(instruction, operands, registers, &mut add);
    }
    let options = InstructionInfoOptions::NO_REGISTER_USAGE;
    let info = workspace.info_options(instruction, options);
    for memory in info.used_memory() {
        let write = match memory.access() {
            OpAccess::Read | OpAccess::CondRead => false,
            // A comparing exchange that fails needs the right to write, too.
            OpAccess::Write
            | OpAccess::CondWrite
            | OpAccess::ReadWrite
            | OpAccess::ReadCondWrite => true,
            OpAccess::None | OpAccess::NoMemAccess => continue,
        };
        operand(instruction, registers, memory, write, &mut add);
    }
}

/// One memory operand.
pub(crate) fn operand(
    instruction: &Instruction,
    registers: &impl Registers,
    memory: &UsedMemory,
    write: bool,
    add: &mut impl FnMut(Span),
) {
    let element = memory.memory_size().element_size();
    let at = |index: usize| {
        memory.virtual_address(index, |register, index, width| {
            value(registers, register, index, width)
        })
    };
    let mut span = |address: u64, len: usize| {
        if len > 0 {
            add(Span {
                address: address as usize,
                len,
                write,
            });
        }
    };
    if instruction.is_vsib() {
        for index in 0..gathered(instruction, memory, element) {
            if !is_masked_out(instruction, registers, index, element)
                && let Some(address) = at(index)
            {
                span(address, element);
            }
        }
        return;
    }
    let Some(address) = at(0) else {
        return;
    };
    match masking(instruction) {
        Masking::None => {
            let offset = bit_offset(instruction, registers);
            span(
                address.wrapping_add_signed(offset),
                memory.memory_size().size(),
            );
        }
        // One element, if any is wanted.
        Masking::Elements if memory.memory_size().is_broadcast() => {
            let count = VECTOR_BYTES / element.max(1);
            if (0..count).any(|index| !is_masked_out(instruction, registers, index, element)) {
                span(address, element);
            }
        }
        Masking::Elements => {
            for index in 0..memory.memory_size().size() / element.max(1) {
                if !is_masked_out(instruction, registers, index, element) {
                    span(address + (index * element) as u64, element);
                }
            }
        }
        Masking::Unknown => {}
    }
}

/// How a mask says what of an operand is accessed.
enum Masking {
    None,
    /// Element by element, each at its place.
    Elements,
    /// Otherwise.
    Unknown,
}

fn masking(instruction: &Instruction) -> Masking {
    match instruction.mnemonic() {
        Mnemonic::Vcompresspd
        | Mnemonic::Vcompressps
        | Mnemonic::Vpcompressb
        | Mnemonic::Vpcompressd
        | Mnemonic::Vpcompressq
        | Mnemonic::Vpcompressw
        | Mnemonic::Vexpandpd
        | Mnemonic::Vexpandps
        | Mnemonic::Vpexpandb
        | Mnemonic::Vpexpandd
        | Mnemonic::Vpexpandq
        | Mnemonic::Vpexpandw
            if instruction.has_op_mask() =>
        {
            Masking::Unknown
        }
        Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu => Masking::Unknown,
        Mnemonic::Vmaskmovpd
        | Mnemonic::Vmaskmovps
        | Mnemonic::Vpmaskmovd
        | Mnemonic::Vpmaskmovq => Masking::Elements,
        _ if instruction.has_op_mask() => Masking::Elements,
        _ => Masking::None,
    }
}

/// Whether the instruction leaves this element out.
fn is_masked_out(
    instruction: &Instruction,
    registers: &impl Registers,
    index: usize,
    element: usize,
) -> bool {
    if instruction.has_op_mask() {
        let mask = registers.mask(instruction.op_mask().number());
        return mask >> index & 1 == 0;
    }
    // A vector register: the second operand of a masked move, the third of a gather; the highest bit of each element.
    let operand = match instruction.is_vsib() {
        true => 2,
        false => 1,
    };
    let register = instruction.op_register(operand);
    if !register.is_vector_register() {
        return false;
    }
    let last = (index + 1) * element - 1;
    let bytes = registers.vector(register.number());
    bytes.get(last).is_none_or(|byte| byte & 0x80 == 0)
}

/// Elements of a gather or scatter: as many as there are indices and data.
fn gathered(instruction: &Instruction, memory: &UsedMemory, element: usize) -> usize {
    let index_bytes = match instruction.vsib() {
        Some(true) => 8,
        Some(false) | None => 4,
    };
    let indices = memory.index().size() / index_bytes;
    let data = (0..instruction.op_count())
        .filter(|operand| instruction.op_kind(*operand) == OpKind::Register)
        .map(|operand| instruction.op_register(operand))
        .find(|register| register.is_vector_register());
    match data {
        Some(data) if element > 0 => indices.min(data.size() / element),
        _ => 0,
    }
}

/// A bit in a register operand may lie beyond the memory operand: bytes from there to the word that holds it.
fn bit_offset(instruction: &Instruction, registers: &impl Registers) -> i64 {
    match instruction.mnemonic() {
        Mnemonic::Bt | Mnemonic::Btc | Mnemonic::Btr | Mnemonic::Bts => {}
        _ => return 0,
    }
    if instruction.op1_kind() != OpKind::Register {
        return 0;
    }
    let register = instruction.op1_register();
    let bit = registers.general(register.number());
    match register.size() {
        2 => i64::from(bit as i16 >> 4) * 2,
        4 => i64::from(bit as i32 >> 5) * 4,
        _ => (bit as i64 >> 6) * 8,
    }
}

/// What `movs`, `stos` and their like do.
#[derive(Clone, Copy)]
pub(crate) struct StringOperands {
    /// What RSI points to.
    pub(crate) reads_source: bool,
    /// What RDI points to.
    pub(crate) reads_target: bool,
    pub(crate) writes_target: bool,
    /// They look for something.
    stops_early: bool,
}

/// Of a string instruction.
pub(crate) fn string_operands(instruction: &Instruction) -> Option<StringOperands> {
    let (reads_source, reads_target, writes_target, stops_early) = match instruction.mnemonic() {
        _ if !instruction.is_string_instruction() => return None,
        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => {
            (true, false, true, false)
        }
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
            (false, false, true, false)
        }
        Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => {
            (true, false, false, false)
        }
        Mnemonic::Scasb | Mnemonic::Scasw | Mnemonic::Scasd | Mnemonic::Scasq => {
            (false, true, false, true)
        }
        Mnemonic::Cmpsb | Mnemonic::Cmpsw | Mnemonic::Cmpsd | Mnemonic::Cmpsq => {
            (true, true, false, true)
        }
        _ => return None,
    };
    Some(StringOperands {
        reads_source,
        reads_target,
        writes_target,
        stops_early,
    })
}

/// What a string instruction accesses, from the element that is next.
fn strings(
    instruction: &Instruction,
    operands: StringOperands,
    registers: &impl Registers,
    add: &mut impl FnMut(Span),
) {
    let element = instruction.memory_size().size();
    let is_repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let is_long = address_is_long(instruction);
    let count = match is_repeated {
        // Of a search only the next element is sure to be looked at.
        true if operands.stops_early => truncated(registers.general(RCX), is_long).min(1),
        true => truncated(registers.general(RCX), is_long),
        false => 1,
    };
    let count = (count as usize).min(STRING_PAGES * PAGE_BYTES / element.max(1));
    if count == 0 || element == 0 {
        return;
    }
    let is_backward = registers.flags() & DIRECTION != 0;
    let mut span = |register: usize, write: bool| {
        let next = truncated(registers.general(register), is_long) as usize;
        let first = match is_backward {
            true => next.wrapping_sub((count - 1) * element),
            false => next,
        };
        add(Span {
            address: first,
            len: count * element,
            write,
        });
    };
    if operands.reads_source {
        span(RSI, false);
    }
    if operands.reads_target || operands.writes_target {
        span(RDI, operands.writes_target);
    }
}

/// Whether a string instruction uses the whole of its address registers.
fn address_is_long(instruction: &Instruction) -> bool {
    let kinds = [instruction.op0_kind(), instruction.op1_kind()];
    !kinds.iter().any(|kind| {
        matches!(
            kind,
            OpKind::MemorySegESI | OpKind::MemorySegEDI | OpKind::MemoryESEDI
        )
    })
}

fn truncated(value: u64, is_long: bool) -> u64 {
    match is_long {
        true => value,
        false => u64::from(value as u32),
    }
}

/// The value of a register of an address; of element `index`, `width` bytes wide, of a vector.
fn value(
    registers: &impl Registers,
    register: Register,
    index: usize,
    width: usize,
) -> Option<u64> {
    if register.is_vector_register() {
        let bytes = registers.vector(register.number());
        let element = bytes.get(index * width..(index + 1) * width)?;
        let mut word = [0; 8];
        word[..width].copy_from_slice(element);
        return Some(u64::from_le_bytes(word));
    }
    match register {
        // They begin at 0 in 64-bit code; FS and GS are where the thread's own memory is.
        Register::DS | Register::ES | Register::SS | Register::CS => Some(0),
        _ if register.is_gpr() => {
            let whole = registers.general(register.number());
            Some(match register.size() {
                8 => whole,
                4 => u64::from(whole as u32),
                2 => u64::from(whole as u16),
                _ => u64::from(whole as u8),
            })
        }
        _ => None,
    }
}

/// Decodes something, so that the decoder's tables are made, and returns a workspace: what allocates is done here.
pub(crate) fn warm_up() -> Workspace {
    let mut workspace = InstructionInfoFactory::new();
    // rep movsb
    if let Some(instruction) = decode(&[0xf3, 0xa4], 0) {
        let options = InstructionInfoOptions::NO_REGISTER_USAGE;
        let _ = workspace.info_options(&instruction, options);
        debug_assert_eq!(instruction.code(), Code::Movsb_m8_m8);
    }
    workspace
}

const RCX: usize = 1;
pub(crate) const RSI: usize = 6;
pub(crate) const RDI: usize = 7;
/// RFLAGS.DF: string instructions go downward.
const DIRECTION: u64 = 1 << 10;
/// Pages of each operand of a repeated string instruction that are asked for together.
const STRING_PAGES: usize = 4;
