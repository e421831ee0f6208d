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

/// One that isn't in the kernel's hands stops once it has a processor: who gave it up before could not let it go, and it would stand until
/// the tracer's end.
const TURN_MAX: Duration = Duration::from_secs(5);

/// It mostly stops while so long is waited without sleeping.
const SPIN_MAX: Duration = Duration::from_millis(1);

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
    ptrace::seize(pid, ptrace::Options::empty()).map_err(Refusal::of)?;
    let begin = Instant::now();
    let signal = match ptrace::interrupt(pid)
        .map_err(Refusal::of)
        .and_then(|()| wait_its_turn(pid, begin))
    {
        Ok(signal) => signal,
        Err(refusal) => {
            // It is not stopped, so it can't be let go either: the kernel does so when we end.
            let _ = ptrace::detach(pid, None);
            return Err(refusal);
        }
    };
    let registers = ptrace::getregs(pid).map(|raw| restart(pid, raw));
    if let Ok(raw) = registers {
        let end = modules.mapping_end(raw.rsp).unwrap_or(raw.rsp);
        memory.copy(raw.rsp, (end - raw.rsp).min(STACK_BYTES_MAX));
    }
    let floats = ptrace::getregset::<ptrace::regset::NT_PRFPREG>(pid);
    let _ = ptrace::detach(pid, signal);
    let took = begin.elapsed();
    Ok(Stopped {
        registers: Registers {
            vectors: floats.ok().map(|floats| vectors(&floats)),
            ..of_user(&registers.map_err(Refusal::of)?)
        },
        took,
    })
}

/// The registers of a stopped thread. If it entered a call that a stop makes fail, it is as if nothing had been.
pub fn restart(pid: Pid, mut raw: libc::user_regs_struct) -> libc::user_regs_struct {
    let is_in_call = raw.orig_rax as i64 >= 0;
    if is_in_call && raw.rax as i64 == -i64::from(libc::EINTR) {
        raw.rax = RESTART_UNLESS_HANDLED as u64;
        let _ = ptrace::setregs(pid, raw);
    }
    raw
}

/// Waits until it stands: on a busy machine until it is its turn.
fn wait_its_turn(pid: Pid, begin: Instant) -> Result<Option<Signal>, Refusal> {
    loop {
        match wait(pid, Instant::now() + STOP_MAX) {
            Err(Refusal::Deaf) if begin.elapsed() < TURN_MAX && !is_deaf(pid) => {}
            other => return other,
        }
    }
}

/// Whether a thread is in the kernel's hands, where nothing interrupts it.
fn is_deaf(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ");
    state.is_some_and(|(_, rest)| rest.starts_with('D'))
}

/// Waits until it stands, not longer than `end`; a signal that it was about to get, and must get after all.
pub fn wait(pid: Pid, end: Instant) -> Result<Option<Signal>, Refusal> {
    let begin = Instant::now();
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        match waitpid(pid, Some(flags)).map_err(Refusal::of)? {
            WaitStatus::PtraceEvent(..) => return Ok(None),
            WaitStatus::Stopped(_, signal) => return Ok(Some(signal)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Refusal::Ended),
            _ if Instant::now() > end => return Err(Refusal::Deaf),
            _ if begin.elapsed() < SPIN_MAX => std::thread::yield_now(),
            // It needs a processor to stop.
            _ => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}

impl Refusal {
    /// What the kernel means.
    pub fn of(error: Errno) -> Self {
        match error {
            Errno::ESRCH | Errno::ECHILD => Self::Ended,
            _ => Self::Forbidden,
        }
    }
}

/// xmm0-xmm15.
fn vectors(raw: &libc::user_fpregs_struct) -> [[u8; 16]; 16] {
    let mut vectors = [[0; 16]; 16];
    let (words, _) = raw.xmm_space.as_chunks::<4>();
    for (vector, words) in vectors.iter_mut().zip(words) {
        for (place, word) in vector.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
    vectors
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
        thread: Some(raw.fs_base),
        ..Registers::default()
    }
}
