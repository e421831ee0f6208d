//! How a frame's registers become its caller's: the call frame information of a place of the code.

use serde::{Deserialize, Serialize};

use crate::Address;

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
