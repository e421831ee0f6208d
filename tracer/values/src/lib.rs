//! Values of a program's variables.
//!
//! ```text
//! file with DWARF ──► variables at a pc: name, type, place ──┬─► capture plan ──► bytes that the program copies for each event
//!                                                           │                                   │
//!                                     types ────────────────┴──► show: type + place + memory + registers ──► Value
//! ```
//!
//! What reads memory goes through [`Memory`]: bytes that an event brought along, a live process, a core file: values are shown by the
//! same code wherever they come from. A value that can't be known says so ([`Absence`]); it is never guessed.

pub mod captured;
mod condition;
pub mod containers;
pub mod debug;
pub mod evaluate;
mod event;
pub mod files;
mod floating;
mod memory;
mod place;
pub mod plan;
mod returned;
pub mod show;
mod types;
pub mod unwind;
mod value;

pub use captured::{Captured, CapturedFrame};
pub use condition::{
    Comparison, Operand, Operator, Path, RETURN, Step, TABLE_WORDS_MAX, TextPattern,
};
pub use debug::{DebugFile, Frame};
pub use event::{EventValues, FrameValues, NamedValue};
pub use memory::{Absence, Memory, Registers};
pub use place::{Address, Binary, Float, Op, Piece, Place, Unary, Variable};
pub use plan::{DescribedFrame, Description, Kept};
pub use types::{
    Base, Bound, Dimension, Encoding, Enumerator, Keyword, Kind, Member, Offset, Type, TypeId,
    Types, Variant,
};
pub use value::{Entry, Shape, Value};
