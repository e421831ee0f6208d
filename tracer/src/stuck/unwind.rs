//! From a frame's registers to its caller's, by a file's call frame information.

use std::path::Path;
use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianArcSlice, EvaluationResult, LittleEndian,
    ParsedEhFrameHdr, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
    Value,
};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ReadRef};

use umbel_trace_ring::plan::THREAD;

use super::memory::LiveMemory;

/// DWARF's numbers.
pub const RBP: u16 = 6;
/// See [`RBP`].
pub const RSP: u16 = 7;
const RETURN_ADDRESS: u16 = 16;
/// Registers that a call keeps: where nothing is said of them, they were not touched.
const KEPT: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// General registers by DWARF's number; `None`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8-r15.
    pub general: [Option<u64>; 16],
    /// Where the code goes on.
    pub pc: u64,
    /// Where functions called from the frame have saved registers that they must give back: who writes there changes the register.
    pub saved: [Option<u64>; 16],
    /// xmm0-xmm15 of a thread that was stopped; a call may change all of them, so only its innermost frame has them.
    pub vectors: Option<[[u8; 16]; 16]>,
    /// The thread's own address, which its thread-local variables lie beside.
    pub thread: Option<u64>,
    /// What the frame's function found in registers when it was called, as far as its caller tells.
    pub entries: [Option<u64>; 16],
}

impl Registers {
    /// The register with this number.
    pub fn get(&self, number: u16) -> Option<u64> {
        if number == u16::from(THREAD) {
            return self.thread;
        }
        *self.general.get(number as usize)?
    }

    /// All that a call keeps are known.
    pub fn are_complete(&self) -> bool {
        KEPT.iter().all(|number| self.get(*number).is_some())
    }
}

/// One step up.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The canonical frame address of the frame that was left.
    pub frame_address: u64,
    /// The caller's; `None`: there is no caller, the stack ends here.
    pub caller: Option<Registers>,
    /// The frame that was left is a signal's: its caller was interrupted, not waiting for a call.
    pub is_signal: bool,
}

type Bytes = EndianArcSlice<LittleEndian>;

/// The call frame information of one file.
pub struct FrameTable {
    frames: EhFrame<Bytes>,
    index: Option<ParsedEhFrameHdr<Bytes>>,
    bases: BaseAddresses,
}

impl FrameTable {
    /// Of the file at `path`; `None` if it has none.
    pub fn read(path: &Path) -> Option<Self> {
        let data = object::ReadCache::new(std::fs::File::open(path).ok()?);
        Self::parse(&data)
    }

    /// Of a file's bytes.
    pub fn parse<'a>(data: impl ReadRef<'a>) -> Option<Self> {
        let file = ElfFile64::<Endianness, _>::parse(data).ok()?;
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let bytes: Arc<[u8]> = Arc::from(section.data().ok()?);
            Some((EndianArcSlice::new(bytes, LittleEndian), section.address()))
        };
        let (frames, address) = section(".eh_frame")?;
        let mut bases = BaseAddresses::default().set_eh_frame(address);
        if let Some(text) = file.section_by_name(".text") {
            bases = bases.set_text(text.address());
        }
        if let Some(got) = file.section_by_name(".got") {
            bases = bases.set_got(got.address());
        }
        let index = section(".eh_frame_hdr").and_then(|(bytes, address)| {
            bases = bases.clone().set_eh_frame_hdr(address);
            EhFrameHdr::from(bytes).parse(&bases, 8).ok()
        });
        Some(Self {
            frames: EhFrame::from(frames),
            index,
            bases,
        })
    }

    /// Leaves the frame with these registers. `lookup` is the address of the file to look up: that of the pc, or the byte before it
    /// where a call is being waited for. `None`: nothing is known there, or a register that would be needed isn't.
    pub fn step(&self, lookup: u64, registers: &Registers, memory: &LiveMemory) -> Option<Step> {
        let cie = EhFrame::cie_from_offset;
        let indexed = self.index.as_ref().and_then(ParsedEhFrameHdr::table);
        let entry = match indexed {
            Some(table) => table.fde_for_address(&self.frames, &self.bases, lookup, cie),
            None => self.frames.fde_for_address(&self.bases, lookup, cie),
        };
        let entry = entry.ok()?;
        let mut context = UnwindContext::new();
        let row = entry
            .unwind_info_for_address(&self.frames, &self.bases, &mut context, lookup)
            .ok()?;
        let evaluate = |expression: &UnwindExpression<usize>, initial: Option<u64>| {
            let expression = expression.get(&self.frames).ok()?;
            let mut evaluation = expression.evaluation(entry.cie().encoding());
            if let Some(initial) = initial {
                evaluation.set_initial_value(initial);
            }
            run(&mut evaluation, registers, memory)
        };
        let frame_address = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                registers.get(register.0)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => evaluate(expression, None)?,
        };
        let value = |number: u16| match row.register(Register(number)) {
            None if KEPT.contains(&number) => registers.get(number),
            None if number == RSP => Some(frame_address),
            None | Some(RegisterRule::Undefined | RegisterRule::Architectural) => None,
            Some(RegisterRule::SameValue) => registers.get(number),
            Some(RegisterRule::Offset(offset)) => {
                memory.word(frame_address.wrapping_add_signed(offset))
            }
            Some(RegisterRule::ValOffset(offset)) => {
                Some(frame_address.wrapping_add_signed(offset))
            }
            Some(RegisterRule::Register(other)) => registers.get(other.0),
            Some(RegisterRule::Expression(expression)) => {
                memory.word(evaluate(&expression, Some(frame_address))?)
            }
            Some(RegisterRule::ValExpression(expression)) => {
                evaluate(&expression, Some(frame_address))
            }
            Some(RegisterRule::Constant(value)) => Some(value),
        };
        let saved_at = |number: u16| match row.register(Register(number)) {
            None if KEPT.contains(&number) => registers.saved[usize::from(number)],
            Some(RegisterRule::SameValue) => registers.saved[usize::from(number)],
            Some(RegisterRule::Offset(offset)) => Some(frame_address.wrapping_add_signed(offset)),
            _ => None,
        };
        let (mut general, mut saved) = ([None; 16], [None; 16]);
        for number in 0..16 {
            general[usize::from(number)] = value(number);
            saved[usize::from(number)] = saved_at(number);
        }
        // A thread's first function has no return address, or 0.
        let has_caller = !matches!(
            row.register(Register(RETURN_ADDRESS)),
            Some(RegisterRule::Undefined)
        );
        let caller = match has_caller {
            true => Some(value(RETURN_ADDRESS)?).filter(|pc| *pc != 0),
            false => None,
        };
        Some(Step {
            frame_address,
            caller: caller.map(|pc| Registers {
                general,
                pc,
                saved,
                vectors: None,
                thread: registers.thread,
                entries: [None; 16],
            }),
            is_signal: entry.is_signal_trampoline(),
        })
    }

    /// Where the function around an address of the file begins, by its frame information: for files without symbols.
    pub fn function(&self, address: u64) -> Option<u64> {
        let cie = EhFrame::cie_from_offset;
        let table = self.index.as_ref()?.table()?;
        let entry = table.fde_for_address(&self.frames, &self.bases, address, cie);
        Some(entry.ok()?.initial_address())
    }
}

fn run(
    evaluation: &mut gimli::Evaluation<Bytes>,
    registers: &Registers,
    memory: &LiveMemory,
) -> Option<u64> {
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = registers
                    .get(register.0)
                    .or((register.0 == RETURN_ADDRESS).then_some(registers.pc))?;
                evaluation
                    .resume_with_register(Value::Generic(value))
                    .ok()?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let mut bytes = [0; 8];
                memory.read(address, bytes.get_mut(..size as usize)?)?;
                let value = Value::Generic(u64::from_le_bytes(bytes));
                evaluation.resume_with_memory(value).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result() {
        [piece] => match &piece.location {
            gimli::Location::Address { address } => Some(*address),
            gimli::Location::Value {
                value: Value::Generic(value),
            } => Some(*value),
            _ => None,
        },
        _ => None,
    }
}
