//! A thread, stopped for as long as it takes to copy its registers and its stack.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::memory::LiveMemory;
use super::modules::Modules;
use super::unwind::{RSP, Registers};

/// A thread that hasn't stopped by then is in the kernel's hands, where nothing interrupts it.
const STOP_MAX: Duration = Duration::from_millis(50);

/// Bytes of stack that are copied while it is stopped; more is read from the living one.
const STACK_BYTES_MAX: u64 = 256 * 1024;

/// The kernel's own code: the call begins anew unless a signal's handler runs first, then it fails with EINTR as it would have.
const RESTART_UNLESS_HANDLED: i64 = -514;

/// What was seen of a stopped thread.
pub struct Stopped {
    /// Its registers.
    pub registers: Registers,
    /// How long it stood.
    pub took: Duration,
}

/// Why a thread could not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is gone.
    #[error("it has ended")]
    Ended,
    /// Somebody else has it.
    #[error(
        "it may not be stopped: a debugger has it, or you may not (be its user, or root; /proc/sys/kernel/yama/ptrace_scope)"
    )]
    Forbidden,
    /// It sits in the kernel.
    #[error("it doesn't stop: it waits in the kernel for a device or a server")]
    Deaf,
}

/// Stops a thread, copies and lets it go on.
pub fn stopped(tid: i32, modules: &Modules, memory: &LiveMemory) -> Result<Stopped, Refusal> {
    let pid = Pid::from_raw(tid);
    ptrace::seize(pid, ptrace::Options::empty()).map_err(refusal)?;
    let begin = Instant::now();
    let signal = match ptrace::interrupt(pid)
        .map_err(refusal)
        .and_then(|()| wait(pid))
    {
        Ok(signal) => signal,
        Err(refusal) => {
            // It is not stopped, so it can't be let go either: the kernel does so when we end.
            let _ = ptrace::detach(pid, None);
            return Err(refusal);
        }
    };
    let registers = ptrace::getregs(pid);
    if let Ok(mut raw) = registers {
        // It entered a call that a stop makes fail, after we had seen it run: as if nothing had been.
        let is_in_call = raw.orig_rax as i64 >= 0;
        if is_in_call && raw.rax as i64 == -i64::from(libc::EINTR) {
            raw.rax = RESTART_UNLESS_HANDLED as u64;
            let _ = ptrace::setregs(pid, raw);
        }
        let end = modules.mapping_end(raw.rsp).unwrap_or(raw.rsp);
        memory.copy(raw.rsp, (end - raw.rsp).min(STACK_BYTES_MAX));
    }
    let _ = ptrace::detach(pid, signal);
    let took = begin.elapsed();
    Ok(Stopped {
        registers: of_user(&registers.map_err(refusal)?),
        took,
    })
}

/// Waits until it stands; a signal that it was about to get, and must get after all.
fn wait(pid: Pid) -> Result<Option<Signal>, Refusal> {
    let begin = Instant::now();
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        match waitpid(pid, Some(flags)).map_err(refusal)? {
            WaitStatus::PtraceEvent(..) => return Ok(None),
            WaitStatus::Stopped(_, signal) => return Ok(Some(signal)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Refusal::Ended),
            _ if begin.elapsed() > STOP_MAX => return Err(Refusal::Deaf),
            _ => std::thread::yield_now(),
        }
    }
}

fn refusal(error: Errno) -> Refusal {
    match error {
        Errno::ESRCH | Errno::ECHILD => Refusal::Ended,
        _ => Refusal::Forbidden,
    }
}

/// In DWARF's order.
fn of_user(raw: &libc::user_regs_struct) -> Registers {
    let general = [
        raw.rax, raw.rdx, raw.rcx, raw.rbx, raw.rsi, raw.rdi, raw.rbp, raw.rsp, raw.r8, raw.r9,
        raw.r10, raw.r11, raw.r12, raw.r13, raw.r14, raw.r15,
    ];
    debug_assert_eq!(general[RSP as usize], raw.rsp);
    Registers {
        general: general.map(Some),
        pc: raw.rip,
    }
}
