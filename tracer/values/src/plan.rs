//! From variables to capture plans.

use serde::{Deserialize, Serialize};

use crate::unwind::FrameAddress;
use crate::{Place, Variable};

mod assemble;
mod capture;
mod chosen;
mod compile;
mod judge;
mod program;
mod registers;
mod relocate;
mod shape;

pub use assemble::place_words;
pub(crate) use chosen::is_range;
pub use chosen::{Chosen, Elements, End, Part};
pub use compile::{Choose, Compiled, compile};
pub use judge::Asked;

/// What a plan captures, for readers of its payloads: kept in the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// What is called there.
    pub kind: Kind,
    /// The plan as the program has it but for the recorder's number, shapes behind it, with offsets from its own begin.
    pub words: Box<[u64]>,
    /// Where the frame's canonical address is.
    pub frame_address: Option<FrameAddress>,
    /// Where the physical function begins in the file.
    #[serde(default)]
    pub entry: Option<u64>,
    /// The function at the place, then those that it was inlined into up to the physical one. Those that aren't captured have
    /// empty lists.
    pub frames: Vec<DescribedFrame>,
    /// The returned value, at a return.
    pub result: Option<Variable>,
    /// At a call: what the called function finds in registers, if the debug information says so.
    pub entries: Vec<(u16, Place)>,
    /// The function that is called there, by its address in the file, if it is always the same: `entries` hold for no other.
    pub callee: Option<u64>,
    /// Where the called function's address is, if it isn't always the same: `entries` hold for that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Place>,
}

/// A function at a place of the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribedFrame {
    /// As in the source, with namespaces.
    pub name: Box<str>,
    /// For the linker, if it is another.
    pub linkage: Option<Box<str>>,
    /// Inlined into the next.
    pub is_inline: bool,
    /// In the order of the source.
    pub arguments: Vec<Variable>,
    /// Those of the innermost block first.
    pub locals: Vec<Variable>,
}

/// A description as a recording has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Number of the plan in its session; the payload has it.
    pub number: u32,
    /// What was added to the file's addresses in the process that the plan was made for.
    pub bias: u64,
    /// What it captures.
    pub description: Description,
}

/// At what a plan's frame waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The call of the hook as the function begins.
    Enter,
    /// The call of the hook as it returns.
    Exit,
    /// The call of a traced function.
    Caller,
}

/// A place that a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// Return address, in the file.
    pub address: u64,
    /// What is called there.
    pub kind: Kind,
    /// Address in the file of the function that the hook was called for.
    pub function: Option<u64>,
}

/// What is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Arguments, and the returned value.
    pub arguments: bool,
    /// The function's locals, and arguments once more, when it returns.
    pub locals: bool,
    /// The caller's variables when it begins.
    pub caller: bool,
    /// How deep pointers are followed.
    pub depth: u8,
    /// Elements of an array or container at most.
    pub elements: u16,
    /// Bytes of a text at most.
    pub text_bytes: u16,
    /// Bytes of a frame's payload at most.
    pub payload_bytes: u16,
}

impl Wishes {
    /// The same of a frame of which only what it put into registers is asked.
    #[must_use]
    pub fn without_variables(&self) -> Self {
        Self {
            arguments: false,
            locals: false,
            caller: false,
            ..self.clone()
        }
    }

    /// No variables: what triggers ask is judged all the same.
    pub fn nothing() -> Self {
        Self {
            arguments: false,
            ..Self::default()
        }
    }
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            arguments: true,
            locals: false,
            caller: false,
            depth: 1,
            elements: 16,
            text_bytes: 64,
            payload_bytes: 2048,
        }
    }
}
