//! Reading by the kernel: no signal comes of it.

use super::call::{call, pid};
use crate::Unread;

/// A piece of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Piece {
    /// Where it begins.
    pub address: usize,
    /// Its bytes.
    pub bytes: usize,
}

/// Pieces that the kernel takes in one call (IOV_MAX is 1024; a stack holds these).
pub const PIECES_MAX: usize = 16;

/// Copies `bytes` bytes.
///
/// # Errors
/// They can't be read, or the kernel doesn't say.
///
/// # Safety
/// `to` has room for them.
pub unsafe fn copy(from: usize, to: *mut u8, bytes: usize) -> Result<(), Unread> {
    let to = Piece {
        address: to as usize,
        bytes,
    };
    let from = [Piece {
        address: from,
        bytes,
    }];
    // SAFETY: the caller's.
    match unsafe { copy_all(&from, to) } {
        Ok(count) if count == bytes => Ok(()),
        Ok(_) => Err(Unread::Invalid),
        Err(why) => Err(why),
    }
}

/// Copies pieces one behind the other to `to`: how many bytes; it ends at the first piece that can't be read.
///
/// # Errors
/// The first can't be read, or the kernel doesn't say.
///
/// # Safety
/// `to` has room for all.
pub unsafe fn copy_all(from: &[Piece], to: Piece) -> Result<usize, Unread> {
    let local = [to];
    let arguments = [
        pid(),
        local.as_ptr() as usize,
        1,
        from.as_ptr() as usize,
        from.len(),
        0,
    ];
    // SAFETY: writes to `to` alone, which is the caller's.
    match unsafe { call(libc::SYS_process_vm_readv, arguments) } {
        Ok(count) => Ok(count),
        Err(libc::EFAULT) => Err(Unread::Invalid),
        // Not allowed here (a container, a sandbox), or no memory for it.
        Err(_) => Err(Unread::Untold),
    }
}
