//! What the traced program's process does between fork and exec.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;

/// Has `command` begin with the signal mask `mask`: ours before we blocked what we read from a descriptor.
pub fn with_mask(command: &mut Command, mask: SigSet) {
    // SAFETY: setting the mask is one system call; it neither allocates nor takes locks.
    unsafe { command.pre_exec(move || Ok(mask.thread_set_mask()?)) };
}
