//! All threads of a process, stopped.

use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::super::stop::{Refusal, restart, wait};
use super::super::task::Process;

/// Threads that begin while others are being stopped are found by looking again, so often.
const ROUNDS: usize = 8;

/// A thread that isn't stopped by then is left out: so long all others stand.
const STOP_MAX: Duration = Duration::from_millis(50);

/// A stopped thread.
pub struct HaltedThread {
    /// Its number.
    pub tid: i32,
    /// Its registers.
    pub registers: libc::user_regs_struct,
    /// Those for floating point and vectors.
    pub floats: Option<libc::user_fpregs_struct>,
    /// A signal that it was about to get.
    signal: Option<Signal>,
}

/// The threads of a process. They go on when this is dropped.
pub struct Halted {
    /// Those that stand.
    pub threads: Vec<HaltedThread>,
    remarks: Vec<String>,
}

impl Halted {
    /// Stops all threads of process `pid`.
    pub fn stop(pid: i32) -> Result<Self, String> {
        let process = Process::read(pid).map_err(|error| error.to_string())?;
        let mut halted = Self {
            threads: Vec::new(),
            remarks: Vec::new(),
        };
        let mut refused: Vec<i32> = Vec::new();
        for _ in 0..ROUNDS {
            let tids = process.tasks().map_err(|error| error.to_string())?;
            let is_known = |tid: i32| {
                refused.contains(&tid) || halted.threads.iter().any(|one| one.tid == tid)
            };
            let new: Vec<i32> = tids.into_iter().filter(|tid| !is_known(*tid)).collect();
            if new.is_empty() {
                break;
            }
            for tid in new {
                match stop(tid) {
                    Ok(thread) => halted.threads.push(thread),
                    Err(Refusal::Ended) => refused.push(tid),
                    Err(refusal) => {
                        refused.push(tid);
                        halted.remarks.push(format!("thread {tid}: {refusal}"));
                    }
                }
            }
        }
        match halted.threads.is_empty() {
            true => Err(halted
                .remarks
                .pop()
                .unwrap_or_else(|| format!("process {pid} has ended"))),
            false => Ok(halted),
        }
    }

    /// Lets all go on; what could not be done.
    pub fn go_on(mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for thread in &self.threads {
            // One that was killed meanwhile needs nothing.
            let _ = ptrace::detach(Pid::from_raw(thread.tid), thread.signal);
        }
    }
}

fn stop(tid: i32) -> Result<HaltedThread, Refusal> {
    let pid = Pid::from_raw(tid);
    ptrace::seize(pid, ptrace::Options::empty()).map_err(Refusal::of)?;
    let begin = Instant::now();
    let stopped = ptrace::interrupt(pid)
        .map_err(Refusal::of)
        .and_then(|()| wait(pid, begin + STOP_MAX));
    let registers = stopped.and_then(|signal| {
        let registers = ptrace::getregs(pid).map_err(Refusal::of)?;
        Ok((signal, restart(pid, registers)))
    });
    match registers {
        Ok((signal, registers)) => Ok(HaltedThread {
            tid,
            registers,
            floats: ptrace::getregset::<ptrace::regset::NT_PRFPREG>(pid).ok(),
            signal,
        }),
        Err(refusal) => {
            // If it isn't stopped the kernel lets it go when we end.
            let _ = ptrace::detach(pid, None);
            Err(refusal)
        }
    }
}
