//! The words of plans and shapes, packed and taken apart.

/// Word 0 of a plan.
///
/// | bits | |
/// |---|---|
/// | 0..16 | words of a frame at most |
/// | 16..24 | how deep pointers are followed |
/// | 24..32 | regions at most |
/// | 32..64 | number of the plan in its session, not 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanHead {
    /// Words of the frame at most: what doesn't fit is left out, and its region says so.
    pub payload_words: u16,
    /// How deep pointers are followed.
    pub depth: u8,
    /// Regions at most.
    pub regions: u8,
    /// What the payload calls the plan.
    pub number: u32,
}

impl PlanHead {
    /// As it is written.
    pub fn pack(self) -> u64 {
        u64::from(self.payload_words)
            | u64::from(self.depth) << 16
            | u64::from(self.regions) << 24
            | u64::from(self.number) << 32
    }

    /// What `word` says: every word is one.
    #[inline]
    pub fn parse(word: u64) -> Self {
        Self {
            payload_words: word as u16,
            depth: (word >> 16) as u8,
            regions: (word >> 24) as u8,
            number: (word >> 32) as u32,
        }
    }
}

/// An op's first word.
///
/// | bits | |
/// |---|---|
/// | 0..8 | [`Opcode`] |
/// | 8..16 | a register, by DWARF's number: rbx 3, rbp 6, rsp 7, r12-r15; of the frame that called the hook also rax 0, rdx 1, rcx 2, r8, r9; [`super::CFA`]; to push or append also [`super::THREAD`] |
/// | 16..32 | a number of bytes |
/// | 32..64 | an offset, signed |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it does.
    pub opcode: Opcode,
    /// A register.
    pub register: u8,
    /// A number of bytes.
    pub bytes: u16,
    /// An offset.
    pub offset: i32,
}

/// An op of one word, packed.
pub fn op(opcode: Opcode, register: u8, bytes: u16, offset: i32) -> u64 {
    Op {
        opcode,
        register,
        bytes,
        offset,
    }
    .pack()
}

impl Op {
    /// One that needs nothing else.
    pub fn plain(opcode: Opcode) -> Self {
        Self {
            opcode,
            register: 0,
            bytes: 0,
            offset: 0,
        }
    }

    /// Its words, with this one.
    #[inline]
    pub fn words(self) -> usize {
        let table = match self.opcode {
            Opcode::Text => self.bytes.into(),
            _ => 0,
        };
        self.opcode.words() + table
    }

    /// As it is written.
    pub fn pack(self) -> u64 {
        self.opcode as u64
            | u64::from(self.register) << 8
            | u64::from(self.bytes) << 16
            | u64::from(self.offset as u32) << 32
    }

    /// What `word` says, if it is one.
    #[inline]
    pub fn parse(word: u64) -> Option<Self> {
        Some(Self {
            opcode: Opcode::parse(word as u8)?,
            register: (word >> 8) as u8,
            bytes: (word >> 16) as u16,
            offset: (word >> 32) as i32,
        })
    }
}

/// What an op does. Ops that append come before the first [`Opcode::Region`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The plan ends.
    End = 0,
    /// Appends a register, 0 if it is unknown.
    Register = 1,
    /// Appends bytes of the frame's own stack: the register plus the offset; zeroes if they can't be read.
    Stack = 2,
    /// Follows the pointers in what the op before appended. Next word: offset of the shape.
    Shape = 3,
    /// Pushes register plus offset.
    Push = 4,
    /// Pushes the next word.
    Constant = 5,
    /// Replaces the top by what lies there, guarded: 1 to 8 bytes, sign-extended if the offset is 1. Nothing there: the
    /// plan's ops up to the next [`Opcode::Region`] are left out, which appends an invalid region of no bytes at the address that
    /// couldn't be read; or up to the next [`Opcode::Trigger`].
    Load = 6,
    /// Takes two, pushes their combination; the offset is a [`Arithmetic`], of which [`Arithmetic::Widen`] takes one.
    Combine = 7,
    /// Takes an address from the stack: a region of so many bytes as the next word says in its low half; its upper half is the
    /// offset of its shape, or 0. Bits 16..32: bytes of an element, not 0: takes a count from the stack first, the low half is
    /// the most bytes of all, and the shape is each element's.
    Region = 8,
    /// The frame's caller. Register and offset give its CFA (the frame's own); the next two words six signed 16-bit numbers: where rbx, rbp,
    /// r12, r13, r14, r15 of the caller lie, in words from the CFA; 0: where they are; [`super::UNKNOWN`]: not known. Bit 16 of the op: only what the
    /// caller put into registers is wanted ([`super::ENTRIES`]). The plan ends.
    Caller = 9,
    /// Sets the frame's CFA to register plus offset: before any op that uses [`super::CFA`].
    SetCfa = 10,
    /// Appends all 16 bytes of an xmm register (17 to 24), in the frame that called a hook: zeroes in others.
    Vector = 11,
    /// Takes the top of the stack: if it isn't 0, the event triggers what the offset numbers, and register 1 holds the thread. If something
    /// before could not be loaded, it doesn't.
    Trigger = 12,
    /// Takes a count and an address below it from the stack, pushes whether the text there, of at most so many bytes, is one that is meant; as
    /// [`Opcode::Load`] if it can't be read. Register: [`super::ENDS_WITH_NUL`], [`super::IS_NOT`]. The next words, so many as bits
    /// 16..32 say, are a [`super::Matcher`]'s table.
    Text = 13,
}

impl Opcode {
    #[inline]
    fn parse(byte: u8) -> Option<Self> {
        const ALL: [Opcode; 14] = [
            Opcode::End,
            Opcode::Register,
            Opcode::Stack,
            Opcode::Shape,
            Opcode::Push,
            Opcode::Constant,
            Opcode::Load,
            Opcode::Combine,
            Opcode::Region,
            Opcode::Caller,
            Opcode::SetCfa,
            Opcode::Vector,
            Opcode::Trigger,
            Opcode::Text,
        ];
        ALL.get(usize::from(byte)).copied()
    }

    /// Words of the op with its first one, but for a table behind it.
    #[inline]
    pub(super) fn words(self) -> usize {
        match self {
            Self::Shape | Self::Constant | Self::Region => 2,
            Self::Caller => 3,
            Self::End
            | Self::Register
            | Self::Stack
            | Self::Push
            | Self::Load
            | Self::Combine
            | Self::SetCfa
            | Self::Vector
            | Self::Trigger
            | Self::Text => 1,
        }
    }
}

/// Combinations of two numbers; the first is the one below the top. Comparisons are 1 or 0; those of floats are of doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "they are called as in DWARF")]
pub enum Arithmetic {
    Plus = 0,
    Minus = 1,
    Mul = 2,
    And = 3,
    Or = 4,
    Xor = 5,
    Shl = 6,
    Shr = 7,
    Shra = 8,
    Eq = 9,
    Ne = 10,
    Lt = 11,
    Le = 12,
    Gt = 13,
    Ge = 14,
    LtUnsigned = 15,
    LeUnsigned = 16,
    GtUnsigned = 17,
    GeUnsigned = 18,
    EqFloat = 19,
    NeFloat = 20,
    LtFloat = 21,
    LeFloat = 22,
    GtFloat = 23,
    GeFloat = 24,
    /// The number that the top's low half is as a float, as a double.
    Widen = 25,
}

impl Arithmetic {
    /// Which one an op's offset names.
    pub fn parse(number: i32) -> Option<Self> {
        const ALL: [Arithmetic; 26] = [
            Arithmetic::Plus,
            Arithmetic::Minus,
            Arithmetic::Mul,
            Arithmetic::And,
            Arithmetic::Or,
            Arithmetic::Xor,
            Arithmetic::Shl,
            Arithmetic::Shr,
            Arithmetic::Shra,
            Arithmetic::Eq,
            Arithmetic::Ne,
            Arithmetic::Lt,
            Arithmetic::Le,
            Arithmetic::Gt,
            Arithmetic::Ge,
            Arithmetic::LtUnsigned,
            Arithmetic::LeUnsigned,
            Arithmetic::GtUnsigned,
            Arithmetic::GeUnsigned,
            Arithmetic::EqFloat,
            Arithmetic::NeFloat,
            Arithmetic::LtFloat,
            Arithmetic::LeFloat,
            Arithmetic::GtFloat,
            Arithmetic::GeFloat,
            Arithmetic::Widen,
        ];
        ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The combination; shifts by 64 and more give what shifting bit by bit would.
    pub fn of(self, first: u64, second: u64) -> u64 {
        let shift = u32::try_from(second).unwrap_or(u32::MAX);
        let signed = (first as i64).cmp(&(second as i64));
        let floats = (f64::from_bits(first), f64::from_bits(second));
        match self {
            Self::Plus => first.wrapping_add(second),
            Self::Minus => first.wrapping_sub(second),
            Self::Mul => first.wrapping_mul(second),
            Self::And => first & second,
            Self::Or => first | second,
            Self::Xor => first ^ second,
            Self::Shl => first.checked_shl(shift).unwrap_or(0),
            Self::Shr => first.checked_shr(shift).unwrap_or(0),
            Self::Shra => (first as i64 >> shift.min(63)) as u64,
            Self::Eq => u64::from(first == second),
            Self::Ne => u64::from(first != second),
            Self::Lt => u64::from(signed.is_lt()),
            Self::Le => u64::from(signed.is_le()),
            Self::Gt => u64::from(signed.is_gt()),
            Self::Ge => u64::from(signed.is_ge()),
            Self::LtUnsigned => u64::from(first < second),
            Self::LeUnsigned => u64::from(first <= second),
            Self::GtUnsigned => u64::from(first > second),
            Self::GeUnsigned => u64::from(first >= second),
            Self::EqFloat => u64::from(floats.0 == floats.1),
            Self::NeFloat => u64::from(floats.0 != floats.1),
            Self::LtFloat => u64::from(floats.0 < floats.1),
            Self::LeFloat => u64::from(floats.0 <= floats.1),
            Self::GtFloat => u64::from(floats.0 > floats.1),
            Self::GeFloat => u64::from(floats.0 >= floats.1),
            Self::Widen => f64::from(f32::from_bits(second as u32)).to_bits(),
        }
    }
}

/// An instruction of a shape.
///
/// | word | bits | |
/// |---|---|---|
/// | 0 | 0..8 | [`Follow`] |
/// | | 8..32 | a number |
/// | | 32..64 | an offset in the bytes |
/// | 1 | 0..32 | a count or second offset |
/// | | 32..64 | word offset of the target's shape; 0: none |
/// | 2 | 0..32 | elements at most, for [`Follow::Span`] and [`Follow::Counted`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What is followed.
    pub follow: Follow,
    /// 24 bits.
    pub number: u32,
    /// Where in the bytes.
    pub offset: u32,
    /// A count or second offset.
    pub second: u32,
    /// Word offset of the target's shape; 0: none.
    pub shape: u32,
    /// Elements at most.
    pub most: u32,
}

impl Instruction {
    /// Words of an instruction.
    pub const WORDS: usize = 3;

    /// As it is written.
    pub fn pack(self) -> [u64; Self::WORDS] {
        [
            self.follow as u64 | u64::from(self.number) << 8 | u64::from(self.offset) << 32,
            u64::from(self.second) | u64::from(self.shape) << 32,
            u64::from(self.most),
        ]
    }

    /// What the words say, if they are one.
    #[inline]
    pub fn parse(words: [u64; Self::WORDS]) -> Option<Self> {
        let [first, second, third] = words;
        Some(Self {
            follow: Follow::parse(first as u8)?,
            number: (first >> 8) as u32 & 0xff_ffff,
            offset: (first >> 32) as u32,
            second: second as u32,
            shape: (second >> 32) as u32,
            most: third as u32,
        })
    }
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Follow {
    /// A pointer at the offset to an object: the number is its bytes. The second offset, signed, is from where the pointer leads to
    /// the object: what lies before a table of virtual functions.
    Object = 1,
    /// The same, at no cost in depth: the next node of a list or tree.
    Link = 2,
    /// A pointer to a text: up to its NUL, at most the number of bytes. Fewer bytes without a NUL: the rest can't be read.
    Text = 3,
    /// Pointers to the begin (at the offset) and the end (at the second offset) of elements of the number's bytes: a vector.
    Span = 4,
    /// A pointer at the offset and a count of 8 bytes at the second offset, elements of the number's bytes: a string.
    Counted = 5,
    /// No pointer: the shape applies to each of count elements of the number's bytes from the offset on.
    Each = 6,
}

impl Follow {
    #[inline]
    fn parse(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Object,
            2 => Self::Link,
            3 => Self::Text,
            4 => Self::Span,
            5 => Self::Counted,
            6 => Self::Each,
            _ => return None,
        })
    }
}

/// What became of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RegionState {
    /// Its bytes follow.
    Captured = 0,
    /// No memory can be read there.
    Invalid = 1,
    /// A limit left it out, or nobody could tell whether it can be read.
    LeftOut = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_were_packed_from() {
        let head = PlanHead {
            payload_words: 0xffff,
            depth: 3,
            regions: 255,
            number: 0x8000_0001,
        };
        assert_eq!(PlanHead::parse(head.pack()), head);
        for number in 0..14 {
            let opcode = Opcode::parse(number).expect("all numbers below 14 are opcodes");
            assert_eq!(opcode as u8, number);
            let op = Op {
                opcode,
                register: 0xff,
                bytes: 0x1234,
                offset: -7,
            };
            assert_eq!(Op::parse(op.pack()), Some(op));
        }
        assert_eq!(Op::parse(14), None);
        for number in 0..26 {
            let arithmetic = Arithmetic::parse(number).expect("all numbers below 26 are one");
            assert_eq!(arithmetic as i32, number);
        }
        let instruction = Instruction {
            follow: Follow::Counted,
            number: 0xff_fffe,
            offset: 8,
            second: 16,
            shape: 0xffff_ffff,
            most: 64,
        };
        assert_eq!(Instruction::parse(instruction.pack()), Some(instruction));
    }
}
