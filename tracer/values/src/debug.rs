//! Debug information of a file: what variables there are at a place of the code, of which types, and where.

use std::path::Path;

use crate::unwind::Recipe;
use crate::{TypeId, Types, Variable};

/// One ELF file with its DWARF.
pub struct DebugFile {
    types: Types,
}

/// Why a file's debug information can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("cannot read {0}: {1}")]
    System(Box<Path>, std::io::Error),
    /// It is another than the one that was loaded.
    #[error("{0} was built anew since it was started: its variables can't be told")]
    Other(Box<Path>),
    /// It was built without -g, and nothing lies beside it.
    #[error("{0} has no debug information: build it with -g to see values")]
    None(Box<Path>),
    /// It makes no sense.
    #[error("the debug information of {0} is damaged: {1}")]
    Damaged(Box<Path>, Box<str>),
}

/// A function at a place of the code.
#[derive(Clone, Debug)]
pub struct Frame {
    /// As in the source, with namespaces.
    pub name: Box<str>,
    /// For the linker, if it is another.
    pub linkage: Option<Box<str>>,
    /// Where it begins, also if this is an inlined copy; not known if it has no copy of its own.
    pub entry: Option<u64>,
    /// Inlined into the next.
    pub is_inline: bool,
    /// Where it was inlined: file and line.
    pub call: Option<(Box<str>, u32)>,
}

impl DebugFile {
    /// The file at `path`, which had this build id when it was loaded (empty: not known). Reads headers only.
    pub fn open(path: &Path, build_id: &[u8]) -> Result<Self, Error> {
        let _ = build_id;
        Err(Error::None(path.into()))
    }

    /// All types that were asked for so far, and what they are made of.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// The functions at `pc`, the innermost inlined one first, the physical one last. For a frame that waits for a call, `pc` is the
    /// byte before the return address.
    pub fn frames(&mut self, pc: u64) -> Vec<Frame> {
        let _ = pc;
        Vec::new()
    }

    /// The frame's arguments, in the order of the source.
    pub fn arguments(&mut self, frame: &Frame, pc: u64) -> Vec<Variable> {
        let _ = (frame, pc);
        Vec::new()
    }

    /// Its locals in the blocks around `pc`, the innermost block first.
    pub fn locals(&mut self, frame: &Frame, pc: u64) -> Vec<Variable> {
        let _ = (frame, pc);
        Vec::new()
    }

    /// The type of what it returns; `None`: nothing.
    pub fn return_type(&mut self, frame: &Frame) -> Option<TypeId> {
        let _ = frame;
        None
    }

    /// How to get to the caller from a frame at `pc`.
    pub fn unwind(&mut self, pc: u64) -> Result<Recipe, Error> {
        let _ = pc;
        Err(Error::None(Path::new("").into()))
    }
}
