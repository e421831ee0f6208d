//! The victim.

use crate::Unread;

/// Copies `bytes` bytes.
///
/// # Errors
/// They can't be read.
///
/// # Safety
/// `to` has room for them.
pub unsafe fn copy(from: usize, to: *mut u8, bytes: usize) -> Result<(), Unread> {
    // SAFETY: the caller's.
    unsafe { super::kernel::copy(from, to, bytes) }
}
