//! Names of synchronization objects, from their addresses.
//!
//! | bits 63, 62 | the rest | home |
//! |---|---|---|
//! | 1, - | object number, offset in its page | the object's |
//! | 0, 1 | address | the caller's node |
//! | 0, 0 | module index, offset | node 0 |

use umbel_wire::ObjectId;
use umbel_wire::sync::SyncKey;

/// Objects in the window: a scope's keys are a range.
pub fn key_in_window(object: ObjectId, offset: u64) -> SyncKey {
    SyncKey(WINDOW_BIT | object.0 << PAGE_LOG2 | offset)
}

const WINDOW_BIT: u64 = 1 << 63;
/// Objects that only one node's threads can mean.
pub const LOCAL_BIT: u64 = 1 << 62;
const PAGE_LOG2: u32 = 12;
/// Static data of one module: less than this.
pub const MODULE_LOG2: u32 = 40;

/// Not a module: where the nodes of a program with shared globals meet before main.
pub const START_KEY: SyncKey = SyncKey(((1 << 22) - 1) << MODULE_LOG2);
