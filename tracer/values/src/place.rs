//! Where a variable is at one place of the code: a DWARF location, already chosen from its list for that place.

use serde::{Deserialize, Serialize};

use crate::TypeId;

/// A variable at one place of the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// As in the source.
    pub name: Box<str>,
    /// Its type.
    pub of: TypeId,
    /// Where it is.
    pub place: Place,
    /// Made by the compiler: `this`.
    pub is_artificial: bool,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// Nowhere.
    OptimizedOut,
    /// In a register, by DWARF's number (x86-64: 0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi, 6 rbp, 7 rsp, 8-15, 17.. xmm0..).
    Register(u16),
    /// In memory.
    Memory(Address),
    /// It is what the expression gives: the low bytes of it.
    Value(Address),
    /// These bytes.
    Constant(Box<[u8]>),
    /// A pointer to an object that is nowhere in memory: its place and the offset of what is pointed to.
    ImplicitPointer(Box<Place>, i64),
    /// Parts, each somewhere else, in order.
    Pieces(Vec<Piece>),
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// How many bits.
    pub bits: u64,
    /// From which bit of the place on.
    pub offset: u64,
    /// Where.
    pub place: Place,
}

/// A computation on a stack of 64-bit numbers (DWARF's, without its branches if they can be done away with); its result is the top.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// In order.
    pub ops: Vec<Op>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Pushes a number.
    Constant(u64),
    /// Pushes an address of the file, to which the module's load bias is added.
    Static(u64),
    /// Pushes a register plus an offset.
    Register(u16, i64),
    /// Pushes the canonical frame address plus an offset. The frame base of gcc is this, or a register: it is put in place.
    FrameAddress(i64),
    /// Pushes the address of the thread's instance of a thread-local variable, by its offset in the module's block.
    ThreadLocal(u64),
    /// Pushes what a register had when the function was entered. Who called it may know: see [`crate::Description::entries`].
    Entry(u16),
    /// Pushes the address of the object whose type this belongs to.
    Object,
    /// Replaces an address by what lies there: so many bytes, zero-extended.
    Load(u8),
    /// The same, sign-extended.
    LoadSigned(u8),
    /// Adds a number.
    Plus(u64),
    /// Takes two, pushes their combination: the second from the top comes first.
    Binary(Binary),
    /// Takes one, pushes another.
    Unary(Unary),
    /// Pushes a copy of the number so far below the top; 0 is the top.
    Pick(u8),
    /// Removes the top.
    Drop,
    /// Exchanges the two at the top.
    Swap,
    /// Moves the top below the two others of the three upmost (DWARF: rot).
    Rotate,
    /// Truncates to so many bytes, and extends by the sign if the flag is set: conversions between base types of integers.
    Truncate(u8, bool),
    /// Removes the top; goes on so many steps further (or back) if it isn't 0.
    Branch(i32),
    /// Goes on so many steps further (or back).
    Skip(i32),
    /// Arithmetic on floating-point numbers.
    Float(Float),
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are called as in DWARF")]
pub enum Binary {
    And,
    Or,
    Xor,
    Plus,
    Minus,
    Mul,
    /// Signed.
    Div,
    /// Unsigned.
    Mod,
    Shl,
    /// Logical.
    Shr,
    /// Arithmetic.
    Shra,
    /// Comparisons are signed.
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Unsigned division.
    DivUnsigned,
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are called as in DWARF")]
pub enum Unary {
    Neg,
    Not,
    Abs,
}

/// Operations on floating-point numbers, which are on the stack as their bits, so many bytes of them: 4 or 8. The second from the top
/// comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Float {
    /// Takes two.
    Add(u8),
    /// Takes two.
    Subtract(u8),
    /// Takes two.
    Multiply(u8),
    /// Takes two.
    Divide(u8),
    /// Takes one.
    Negate(u8),
    /// Takes one.
    Absolute(u8),
    /// The square root.
    Root(u8),
    /// Takes an integer with a sign.
    FromSigned(u8),
    /// Takes an integer without.
    FromUnsigned(u8),
    /// Pushes an integer of so many bytes (the second number), toward zero.
    ToSigned(u8, u8),
    /// From 4 bytes to 8.
    Widen,
    /// From 8 bytes to 4.
    Narrow,
    /// Takes the 8 bytes of a long double's mantissa, and the 2 behind them; pushes 8.
    FromLong,
    /// Takes 8 bytes; pushes the mantissa that it has as a long double.
    LongMantissa,
    /// The same for exponent and sign.
    LongExponent,
}

impl Float {
    /// How many numbers it takes.
    #[must_use]
    pub fn operands(self) -> usize {
        match self {
            Self::Add(_)
            | Self::Subtract(_)
            | Self::Multiply(_)
            | Self::Divide(_)
            | Self::FromLong => 2,
            _ => 1,
        }
    }
}
