//! Asking the kernel whether memory can be read, without a signal if it can't.

use super::call::call;

/// A way to change a mask of signals that there isn't.
const NO_WAY: usize = 0x756d;

/// Can 8 bytes be read? The kernel tries: it takes them for a set of signals, and refuses what is to be done with it, so nothing comes
/// of it. `None`: it doesn't say (somebody forbids the call).
///
/// The page is brought in as a read of the thread would bring it in; nothing else is done to it.
#[inline]
pub fn is_readable(from: usize) -> Option<bool> {
    // SAFETY: rt_sigprocmask(2) reads 8 bytes, if they are there; it changes nothing, for there is no such way.
    match unsafe { call(libc::SYS_rt_sigprocmask, [NO_WAY, from, 0, 8, 0, 0]) } {
        Err(libc::EINVAL) => Some(true),
        Err(libc::EFAULT) => Some(false),
        _ => None,
    }
}
