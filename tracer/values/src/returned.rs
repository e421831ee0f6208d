//! Where a function's returned value is while its exit hook is called.

use crate::{DebugFile, Place, TypeId};

/// The place of the returned value of type `of` at the call that returns to `address`.
pub fn place(file: &mut DebugFile, address: u64, of: TypeId) -> Place {
    let _ = (file, address, of);
    Place::OptimizedOut
}
