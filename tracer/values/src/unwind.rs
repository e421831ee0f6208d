//! How a frame's registers become its caller's: the call frame information of a place of the code.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EhFrameHdr, Register, RegisterRule, UnwindContext,
    UnwindSection, UnwindTableRow,
};
use serde::{Deserialize, Serialize};

use crate::debug::expression::cfi;
use crate::debug::sections::{Sections, Slice};
use crate::{Address, Op};

/// DWARF's numbers of the registers that a call keeps, in the order of [`umbel_trace_ring::plan::Opcode::Caller`]: rbx, rbp, r12-r15.
pub const KEPT: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// How to get from a frame to its caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The canonical frame address: the stack pointer before the call.
    pub frame_address: FrameAddress,
    /// By DWARF's number, 0-16; 16 is the return address.
    pub rules: [Rule; 17],
}

/// Where the canonical frame address is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FrameAddress {
    /// A register plus an offset.
    Register(u16, i64),
    /// Computed.
    Computed(Address),
}

/// Where a register of the caller is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// Where it is: untouched.
    Same,
    /// In memory, so far from the canonical frame address.
    Saved(i64),
    /// It is the canonical frame address plus this.
    FrameAddress(i64),
    /// In another register.
    Register(u16),
    /// In memory, at a computed address: the canonical frame address was pushed first.
    SavedAt(Address),
    /// Computed: the canonical frame address was pushed first.
    Computed(Address),
    /// Nobody knows: a call may change it, or nothing is said.
    #[default]
    Unknown,
}

/// The call frame information of a file.
pub(crate) struct Unwinder {
    frames: EhFrame<Slice>,
    index: Option<gimli::ParsedEhFrameHdr<Slice>>,
    plain: DebugFrame<Slice>,
    bases: BaseAddresses,
    /// Where the frames lie.
    begin: u64,
    context: UnwindContext<usize>,
}

impl Unwinder {
    pub(crate) fn new(sections: &Sections) -> Self {
        let (frames_at, frames) = sections.read(".eh_frame");
        let (index_at, index) = sections.read(".eh_frame_hdr");
        let (text_at, got_at) = (sections.address(".text"), sections.address(".got"));
        let bases = BaseAddresses::default()
            .set_eh_frame(frames_at)
            .set_eh_frame_hdr(index_at)
            .set_text(text_at)
            .set_got(got_at);
        Self {
            frames: EhFrame::from(frames),
            index: EhFrameHdr::from(index).parse(&bases, 8).ok(),
            plain: DebugFrame::from(sections.read(".debug_frame").1),
            bases,
            begin: frames_at,
            context: UnwindContext::new(),
        }
    }

    pub(crate) fn recipe(&mut self, pc: u64) -> gimli::Result<Recipe> {
        let table = self.index.as_ref().and_then(gimli::ParsedEhFrameHdr::table);
        // gimli's own way through the index takes its addresses for sound.
        let indexed = table.and_then(|table| {
            let begin = table.lookup(pc, &self.bases).ok()?.direct().ok()?;
            let offset = usize::try_from(begin.checked_sub(self.begin)?).ok()?;
            let bases = &self.bases;
            let entry = self
                .frames
                .fde_from_offset(bases, offset.into(), EhFrame::cie_from_offset);
            entry.ok().filter(|entry| entry.contains(pc))
        });
        let row = match indexed {
            Some(entry) => {
                entry.unwind_info_for_address(&self.frames, &self.bases, &mut self.context, pc)
            }
            None => self.frames.unwind_info_for_address(
                &self.bases,
                &mut self.context,
                pc,
                EhFrame::cie_from_offset,
            ),
        };
        if let Ok(row) = row {
            return Ok(recipe_of(row, &self.frames));
        }
        let row = self.plain.unwind_info_for_address(
            &self.bases,
            &mut self.context,
            pc,
            DebugFrame::cie_from_offset,
        )?;
        Ok(recipe_of(row, &self.plain))
    }
}

fn recipe_of<S: UnwindSection<Slice>>(row: &UnwindTableRow<usize>, section: &S) -> Recipe {
    let computed = |expression: &gimli::UnwindExpression<usize>, pushed| {
        let expression = expression.get(section).ok()?;
        cfi(expression, pushed)
    };
    let frame_address = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            FrameAddress::Register(register.0, *offset)
        }
        CfaRule::Expression(expression) => match computed(expression, 0) {
            Some(address) => FrameAddress::Computed(address),
            None => FrameAddress::Computed(Address::default()),
        },
    };
    let rules = std::array::from_fn(|number| {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        match row.register(Register(number)) {
            // What a call keeps is untouched unless something is said; the stack pointer is the frame address by definition.
            None if number == 7 => Rule::FrameAddress(0),
            None if KEPT.contains(&number) => Rule::Same,
            None | Some(RegisterRule::Undefined) => Rule::Unknown,
            Some(RegisterRule::SameValue) => Rule::Same,
            Some(RegisterRule::Offset(offset)) => Rule::Saved(offset),
            Some(RegisterRule::ValOffset(offset)) => Rule::FrameAddress(offset),
            Some(RegisterRule::Register(register)) => Rule::Register(register.0),
            Some(RegisterRule::Expression(expression)) => {
                computed(&expression, 1).map_or(Rule::Unknown, Rule::SavedAt)
            }
            Some(RegisterRule::ValExpression(expression)) => {
                computed(&expression, 1).map_or(Rule::Unknown, Rule::Computed)
            }
            Some(RegisterRule::Constant(value)) => Rule::Computed(Address {
                ops: vec![Op::Drop, Op::Constant(value)],
            }),
            Some(_) => Rule::Unknown,
        }
    });
    Recipe {
        frame_address,
        rules,
    }
}
