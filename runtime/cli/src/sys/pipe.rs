//! What happens when nobody reads our output any more.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Has the command end quietly, as others do: `umbel doctor | head`. Not for the launcher, whose job must end
/// in order first.
pub fn end_with_reader() {
    // SAFETY: SIG_DFL runs no code of ours; this is the only thread.
    let result = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    debug_assert!(result.is_ok(), "SIGPIPE has a default action");
}
