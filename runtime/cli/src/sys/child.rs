//! What a node's process does between fork and exec.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Pid, getpid, getppid};

/// How a node's process differs from the launcher's.
pub struct ChildSetup {
    /// Sockets that stay open in the node; the launcher's copies close with the `Command`.
    pub inherited: Vec<OwnedFd>,
    /// The launcher's signal mask before it blocked what it reads from its signalfd.
    pub mask: SigSet,
    /// Whether Ctrl-C and Ctrl-\ leave the node alone: all but rank 0, whose end is the job's.
    pub ignores_keys: bool,
    /// Processors it keeps to, if not all.
    pub processors: Option<CpuSet>,
}

/// Has `command` apply `setup`, and die with the launcher.
pub fn on_exec(command: &mut Command, setup: ChildSetup) {
    let launcher = getpid();
    // SAFETY: `apply` makes only system calls; it neither allocates nor takes locks.
    unsafe { command.pre_exec(move || apply(&setup, launcher)) };
}

fn apply(setup: &ChildSetup, launcher: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The launcher may have died before the line above: then no signal comes.
    if getppid() != launcher {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    if setup.ignores_keys {
        for key in [Signal::SIGINT, Signal::SIGQUIT] {
            // SAFETY: SIG_IGN runs no code of ours in the handler's place.
            unsafe { signal(key, SigHandler::SigIgn) }?;
        }
    }
    // The same program at the same addresses on every node: pointers to its functions and constants may
    // then lie in shared objects. Where a filter forbids it only such programs suffer.
    let _ = personality::get().and_then(|now| personality::set(now | Persona::ADDR_NO_RANDOMIZE));
    if let Some(processors) = &setup.processors {
        // A node may run anywhere if this is forbidden: slower, no different.
        let _ = sched_setaffinity(Pid::from_raw(0), processors);
    }
    for socket in &setup.inherited {
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    setup.mask.thread_set_mask()?;
    Ok(())
}
