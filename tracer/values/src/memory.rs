//! What values are read from.

/// Why a value is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The compiler kept it nowhere, or in a register that isn't known here.
    OptimizedOut,
    /// No memory can be read at this address.
    Invalid(u64),
    /// There may be memory, but the event brought no copy of it: a limit, or deeper than was asked for.
    NotCaptured(u64),
    /// The debug information doesn't make sense here.
    Damaged,
}

/// Memory of a program.
pub trait Memory {
    /// Fills `bytes` with what lies at `address`, wholly or not at all.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence>;

    /// The text at `address` up to its first NUL, at most `limit` bytes; whether the NUL was found.
    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence>;

    /// Name of the function that begins at `address`, with `+offset` if it is inside of one, for function pointers and tables.
    fn symbol(&self, address: u64) -> Option<String> {
        let _ = address;
        None
    }
}

/// Registers of a frame: as its caller's callee finds them, so only those that a call keeps, unless it is the innermost of a
/// stopped thread.
pub trait Registers {
    /// The register with DWARF's number.
    fn register(&self, number: u16) -> Option<u64>;

    /// All 16 bytes of a vector register.
    fn vector(&self, number: u16) -> Option<[u8; 16]> {
        let _ = number;
        None
    }

    /// What the register with DWARF's number had when the frame's function was called.
    fn entry(&self, number: u16) -> Option<u64> {
        let _ = number;
        None
    }

    /// The canonical frame address.
    fn frame_address(&self) -> Option<u64>;

    /// What was added to the module's addresses when it was loaded.
    fn bias(&self) -> u64;

    /// Where the thread's block of thread-local variables of this module lies.
    fn thread_block(&self) -> Option<u64> {
        None
    }
}
