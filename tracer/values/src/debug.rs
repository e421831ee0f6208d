//! Debug information of a file: what variables there are at a place of the code, of which types, and where.
//!
//! Everything is read when it is asked for: the unit that has the address, its outline, the function's blocks, the types of the variables
//! found. Nothing that a file says is trusted: references may go round in circles, sizes be absurd, sections end anywhere.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::files::{self, Identity};
use crate::unwind::{Recipe, Unwinder};
use crate::{Type, TypeId, Types, Variable};
use hooks::Hooks;
use scopes::Body;
use sections::Sections;
use types::TypeTable;
use units::{Die, Unit, Units};

pub use globals::Global;

mod calls;
pub(crate) mod expression;
mod frames;
mod globals;
mod here;
mod hooks;
mod names;
mod nested;
mod outline;
mod scopes;
pub(crate) mod sections;
mod types;
pub(crate) mod units;
mod variable_names;
mod variables;

/// One ELF file with its DWARF.
pub struct DebugFile {
    /// The file itself: code and unwind tables.
    own: Sections,
    units: Units,
    types: TypeTable,
    unwinder: Unwinder,
    bodies: HashMap<Die, Arc<Body>>,
    hooks: OnceLock<Hooks>,
    /// Begins of functions with names for other units.
    functions: OnceLock<HashMap<Box<str>, u64>>,
    /// From a thread's own address to its block of thread-local variables, if that is known.
    thread_block: OnceLock<Option<i64>>,
    /// Variables in no frame, and types, by name: read when one is first asked for.
    index: Option<globals::Index>,
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
    /// The physical function.
    function: Die,
    /// Which of its scopes is the function's.
    scope: usize,
    /// Which is the innermost one around the place, as far as it is this function's.
    innermost: usize,
}

impl DebugFile {
    /// The file at `path`, which had this build id when it was loaded (empty: not known). Its debug information may lie beside it.
    pub fn open(path: &Path, build_id: &[u8]) -> Result<Self, Error> {
        let own = Sections::open(path)?;
        let identity = Identity::read(path).unwrap_or_default();
        let is_other =
            !build_id.is_empty() && !identity.build_id.is_empty() && identity.build_id != build_id;
        if is_other {
            return Err(Error::Other(path.into()));
        }
        let units = if own.has(".debug_info") {
            Units::new(&own)
        } else {
            let beside = files::debug_files(path, &identity).into_iter();
            let mut beside = beside.filter_map(|file| Sections::open(&file).ok());
            let found = beside.find(|sections| sections.has(".debug_info"));
            Units::new(&found.ok_or_else(|| Error::None(path.into()))?)
        };
        Ok(Self {
            unwinder: Unwinder::new(&own),
            own,
            units,
            types: TypeTable::default(),
            bodies: HashMap::new(),
            hooks: OnceLock::new(),
            functions: OnceLock::new(),
            thread_block: OnceLock::new(),
            index: None,
        })
    }

    /// Whether the file at `path` calls the hooks at all. Reads only what the dynamic linker reads.
    pub fn is_instrumented(path: &Path) -> bool {
        Sections::open(path).is_ok_and(|sections| !Hooks::read(&sections).is_empty())
    }

    /// All types that were asked for so far, and what they are made of.
    pub fn types(&self) -> &Types {
        &self.types.types
    }

    /// The functions at `pc`, the innermost inlined one first, the physical one last. For a frame that waits for a call, `pc` is the
    /// byte before the return address.
    pub fn frames(&mut self, pc: u64) -> Vec<Frame> {
        self.find_frames(pc).unwrap_or_default()
    }

    /// The frame's arguments, in the order of the source, where they are at `pc`.
    pub fn arguments(&mut self, frame: &Frame, pc: u64) -> Vec<Variable> {
        self.find_arguments(frame, pc).unwrap_or_default()
    }

    /// Its locals in the blocks around the place that it was found for, the innermost block first, where they are at `pc`.
    pub fn locals(&mut self, frame: &Frame, pc: u64) -> Vec<Variable> {
        self.find_locals(frame, pc).unwrap_or_default()
    }

    /// The type of what it returns; `None`: nothing.
    pub fn return_type(&mut self, frame: &Frame) -> Option<TypeId> {
        self.find_return_type(frame)
    }

    /// Whether a value of this type is returned in memory, whatever its size; `None`: nothing says so.
    pub(crate) fn is_by_reference(&self, of: TypeId) -> Option<bool> {
        self.types.is_by_reference(&self.units, of)
    }

    /// A type that is made of others.
    pub(crate) fn made(&mut self, wanted: Type) -> TypeId {
        self.types.made(wanted)
    }

    /// No value.
    fn void(&mut self) -> TypeId {
        self.types.void()
    }

    /// The type that is described there.
    fn type_at(&mut self, die: Die) -> TypeId {
        self.types.get(&self.units, die)
    }

    /// How to get to the caller from a frame at `pc`.
    pub fn unwind(&mut self, pc: u64) -> Result<Recipe, Error> {
        self.unwinder
            .recipe(pc)
            .map_err(|error| Error::Damaged(self.own.path().into(), error.to_string().into()))
    }

    /// Up to `limit` bytes of code from `address` on.
    pub fn code(&self, address: u64, limit: usize) -> Vec<u8> {
        self.own.code(address, limit)
    }

    /// A number of so many bytes at `address` that the program can't change.
    pub(crate) fn constant(&self, address: u64, bytes: u8) -> Option<u64> {
        self.own.constant(address, bytes)
    }

    /// Whether what returns to `address` is the call of a hook; `None`: nobody can tell.
    pub fn calls_hook(&self, address: u64) -> Option<bool> {
        let hooks = self.hooks.get_or_init(|| Hooks::read(&self.own));
        hooks.are_called(&self.own, address)
    }

    /// The blocks of a function.
    fn body(&mut self, unit: &Unit, function: Die) -> Arc<Body> {
        let body = self
            .bodies
            .entry(function)
            .or_insert_with(|| Arc::new(Body::read(&self.units, unit, function.offset)));
        Arc::clone(body)
    }
}
