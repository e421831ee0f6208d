//! What the end of a node means for the job.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use nix::sys::signal::Signal;
use umbel_wire::control::Control;

use super::super::limits::{LAST_READS_MAX, LEAVE_WAIT, THREADS_WAIT};
use super::super::output::Stream;
use super::{Job, Phase};
use crate::status;

impl Job {
    pub(super) fn reap(&mut self) {
        let mut dead: Vec<usize> = (0..self.nodes.len())
            .filter(|&index| self.nodes[index].try_reap())
            .collect();
        for &index in &dead {
            // What it said and wrote last comes before the news of its death.
            self.read_control(index);
            self.read_last_output(index);
        }
        // Killed ones first: they are the cause when others ended because a link broke.
        dead.sort_by_key(|&index| self.nodes[index].end.and_then(|end| end.signal()).is_none());
        for index in dead {
            if let Some(end) = self.nodes[index].end {
                self.on_end(index, end);
            }
        }
        for index in 0..self.nodes.len() {
            self.check_connection(index);
        }
    }

    fn read_last_output(&mut self, index: usize) {
        for stream in [Stream::Out, Stream::Err] {
            let reads = (0..LAST_READS_MAX).find(|_| !self.read_pipe(index, stream));
            if reads.is_none() || self.nodes[index].pipes[stream as usize].is_some() {
                // A process it left behind holds the pipe; the job doesn't wait for that.
                self.nodes[index].pipes[stream as usize] = None;
                self.outputs.end(index, stream);
            }
        }
    }

    fn on_end(&mut self, index: usize, end: ExitStatus) {
        match &self.phase {
            Phase::Starting | Phase::Running => match end.code() {
                // _exit() in the program: its author's way to end it.
                Some(code) if index == 0 && self.nodes[0].is_ready => {
                    self.on_exit(u8::try_from(code).unwrap_or(u8::MAX));
                }
                Some(_) | None => self.on_lost(index, end),
            },
            Phase::Failing { rank, .. } => {
                if end.signal().is_some() && usize::from(*rank) != index {
                    self.on_lost(index, end);
                }
            }
            Phase::Signalled { signal, .. } => {
                if index == 0 {
                    let signalled = status::of_signal(*signal as i32);
                    let by_itself = end.code().and_then(|code| u8::try_from(code).ok());
                    self.kill_all(by_itself.unwrap_or(signalled));
                }
            }
            Phase::Losing { .. } => {
                if end.signal().is_some() {
                    self.say_end(index, end);
                }
            }
            Phase::Leaving { .. } => {
                if let Some(signal) = end.signal() {
                    self.say_end(index, end);
                    self.kill_all(match index {
                        0 => status::of_signal(signal),
                        _ => status::NODE_LOST,
                    });
                }
            }
            Phase::Killed { .. } => {}
        }
    }

    fn on_lost(&mut self, index: usize, end: ExitStatus) {
        self.say_end(index, end);
        let status = match end.signal() {
            Some(signal) if index == 0 => status::of_signal(signal),
            Some(_) | None => status::NODE_LOST,
        };
        let lost = Control::Lost {
            rank: self.nodes[index].rank,
        };
        for node in self.nodes.iter_mut().filter(|node| node.is_alive()) {
            node.control.send(&lost);
        }
        let threads = Vec::new();
        self.enter(Phase::Losing { status, threads }, THREADS_WAIT);
    }

    fn say_end(&mut self, index: usize, end: ExitStatus) {
        let node = &self.nodes[index];
        let before = match node.is_ready {
            true => "",
            false => " before it was ready",
        };
        let how = match end.signal() {
            Some(number) => match Signal::try_from(number) {
                Ok(signal) => format!("was killed by signal {number} ({signal})"),
                Err(_) => format!("was killed by signal {number}"),
            },
            None => format!("exited with status {}", end.code().unwrap_or_default()),
        };
        let text = format!(
            "umbel: node {} (pid {}) {how}{before}",
            node.rank,
            node.pid()
        );
        self.outputs.message(&text);
    }

    /// A node that closed its connection but lives on can't be ended in order.
    fn check_connection(&mut self, index: usize) {
        let node = &self.nodes[index];
        let is_early = match &self.phase {
            Phase::Starting | Phase::Running => true,
            Phase::Failing { .. }
            | Phase::Signalled { .. }
            | Phase::Losing { .. }
            | Phase::Leaving { .. }
            | Phase::Killed { .. } => false,
        };
        if is_early && node.is_alive() && !node.control.is_open() && self.deadline.is_none() {
            // It is on its way out as a rule: its files close before its end is known.
            self.deadline = Some(Instant::now() + LEAVE_WAIT);
        }
    }
}
