//! Random bytes from the kernel.

use std::io;

/// 16 bytes nobody can guess: a job's secret.
pub fn secret() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the pointer and length are those of `bytes`, which outlives the call.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Up to 256 bytes come whole, or not at all: getrandom(2).
    match count {
        16 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}
