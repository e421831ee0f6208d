//! A running job: one loop over signals, control sockets, output pipes and time.
//!
//! | phase | left when | then |
//! |---|---|---|
//! | Starting | every node said Ready | Running |
//! | | 10 s passed | the nodes that are missing are named, all killed |
//! | Running | a node says Exit | Shutdown to all: Leaving |
//! | | a node says Fatal | Failing: a death may be its cause |
//! | | a node dies | Lost to the others: Losing |
//! | | a user's signal | Signalled |
//! | Failing | a node dies without a Fatal of its own | Losing |
//! | | 100 ms passed, or all are dead | the text is printed, all killed |
//! | Signalled | rank 0 ends, 2 s passed, or a second signal | all killed |
//! | Losing | all survivors sent Threads, or 500 ms passed | the threads are printed, all killed |
//! | Leaving | all nodes ended | over |
//! | | 2 s passed, or a signal | all killed |
//! | Killed | all nodes are reaped | over |

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use umbel_wire::control::Control;

use super::limits::{
    CAUSE_WAIT, LEAVE_WAIT, READ_BYTES, READY_WAIT, RECORDS_WAIT, SIGNAL_REPEAT, SIGNAL_WAIT,
};
use super::node::{Node, start_all};
use super::output::{Outputs, Stream};
use super::processors::Shares;
use super::program::Program;
use super::seeing::Seeing;
use super::sink::Closed;
use super::stats;
use super::transport::Transport;
use crate::signals::{ENDING_SIGNALS, ending_signals};
use crate::status;

mod ends;

/// What to run.
pub struct Plan {
    pub program: Program,
    pub arguments: Vec<OsString>,
    pub node_count: usize,
    /// Variables for the nodes.
    pub environment: Vec<(&'static str, String)>,
    pub shares: Shares,
    /// Of the links between the nodes.
    pub transport: Transport,
}

/// A job whose nodes have been started.
pub struct Job {
    nodes: Vec<Node>,
    outputs: Outputs,
    signals: SignalFd,
    phase: Phase,
    /// What ends the current phase by itself.
    deadline: Option<Instant>,
    stats: Vec<Vec<u8>>,
    seeing: Option<Seeing>,
    /// Whether the user wants it to end now, rather than to wait for a slow reader of its output.
    is_hurried: bool,
    read_buffer: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Failing { rank: u16, text: String },
    Signalled { signal: Signal, at: Instant },
    Losing { status: u8, threads: Vec<String> },
    Leaving { status: u8 },
    Killed { status: u8 },
}

impl Job {
    /// Starts the nodes of `plan`.
    pub fn start(plan: &Plan, outputs: Outputs, mut seeing: Option<Seeing>) -> Result<Self> {
        let mut watched = ending_signals().context("cannot read /proc/self/status")?;
        watched.add(Signal::SIGCHLD);
        let mask = watched
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .context("cannot block signals")?;
        let signals =
            SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
                .context("cannot make a signalfd")?;
        let nodes = start_all(plan, &mask)?;
        if let Some(seeing) = &mut seeing {
            let pids: Vec<i32> = nodes.iter().map(|node| node.pid().as_raw()).collect();
            seeing.start(&pids);
        }
        Ok(Self {
            nodes,
            outputs,
            signals,
            phase: Phase::Starting,
            deadline: Some(Instant::now() + READY_WAIT),
            stats: Vec::new(),
            seeing,
            is_hurried: false,
            read_buffer: vec![0; READ_BYTES],
        })
    }

    /// Until every node has ended and been reaped.
    pub fn see_through(&mut self) {
        while self.nodes.iter().any(Node::is_alive) {
            self.wait();
            // Signals first: deaths that a signal to the whole group caused are not news then.
            self.read_signals();
            self.read_controls();
            self.read_pipes();
            self.reap();
            self.show_records();
            self.on_time(Instant::now());
            self.write();
        }
    }

    /// Writes what is left of the records.
    pub fn finish_seeing(&mut self) {
        if let Some(mut seeing) = self.seeing.take() {
            for text in seeing.finish(&stats::merge(&self.stats)) {
                self.outputs.message(&text);
            }
        }
    }

    /// Statistics the nodes have sent, as `text_of` shows them, on standard error.
    pub fn show_stats(&mut self, text_of: impl FnOnce(&[Vec<u8>], bool) -> String) {
        let text = text_of(&self.stats, self.outputs.has_colour(Stream::Err));
        self.outputs.message(&text);
    }

    /// Writes what is left; the job's exit status.
    pub fn finish(mut self) -> u8 {
        let mut status = match &self.phase {
            Phase::Leaving { status } | Phase::Killed { status } | Phase::Losing { status, .. } => {
                *status
            }
            Phase::Signalled { signal, .. } => status::of_signal(*signal as i32),
            Phase::Starting | Phase::Running | Phase::Failing { .. } => status::NODE_LOST,
        };
        self.deadline = self.is_hurried.then(|| Instant::now() + SIGNAL_WAIT);
        while !self.outputs.is_empty() && self.deadline.is_none_or(|at| Instant::now() < at) {
            self.wait();
            if let Some((signal, _)) = self.next_signal() {
                return status::of_signal(signal as i32);
            }
            if let Err(closed) = self.outputs.write() {
                status = self.on_closed(closed);
            }
        }
        status
    }

    /// Until something happens, or it is time for something.
    fn wait(&mut self) {
        let now = Instant::now();
        let prompt = self.outputs.show_prompts(now);
        let deadline = self.deadline.map(|at| at.saturating_duration_since(now));
        // Up, not down: else the last millisecond would be a busy loop.
        let milliseconds = |wait: Duration| wait.as_micros().div_ceil(1000);
        let records = self.seeing.as_ref().filter(|seeing| seeing.is_waiting());
        let records = records.map(|_| RECORDS_WAIT);
        let timeout = match prompt.into_iter().chain(deadline).chain(records).min() {
            Some(wait) => PollTimeout::try_from(milliseconds(wait)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let rooms = [Stream::Out, Stream::Err].map(|stream| self.outputs.has_room(stream));

        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        for node in &self.nodes {
            if node.control.is_open() {
                watched.push(PollFd::new(node.control.fd(), PollFlags::POLLIN));
            }
            for (pipe, has_room) in node.pipes.iter().zip(rooms) {
                if let Some(pipe) = pipe.as_ref().filter(|_| has_room) {
                    watched.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
                }
            }
        }
        for sink in self.outputs.waiting() {
            watched.push(PollFd::new(sink.fd(), PollFlags::POLLOUT));
        }
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => panic!("poll of open descriptors: {errno}"),
        }
    }

    fn show_records(&mut self) {
        if let Some(seeing) = &mut self.seeing {
            for text in seeing.show() {
                self.outputs.message(&text);
            }
        }
    }

    // ---- signals ------------------------------------------------------------------------------

    fn read_signals(&mut self) {
        while let Some((signal, is_from_terminal)) = self.next_signal() {
            self.on_signal(signal, is_from_terminal);
        }
    }

    /// The next signal that ends the job, and whether the terminal sent it to the whole group.
    fn next_signal(&mut self) -> Option<(Signal, bool)> {
        loop {
            let information = self.signals.read_signal().ok()??;
            let signal = Signal::try_from(information.ssi_signo.cast_signed()).ok()?;
            if ENDING_SIGNALS.contains(&signal) {
                return Some((signal, information.ssi_code == libc::SI_KERNEL));
            }
        }
    }

    fn on_signal(&mut self, signal: Signal, is_from_terminal: bool) {
        let now = Instant::now();
        self.is_hurried = true;
        match &self.phase {
            Phase::Starting | Phase::Running | Phase::Failing { .. } => {
                if !is_from_terminal {
                    self.nodes[0].kill(signal);
                }
                self.enter(Phase::Signalled { signal, at: now }, SIGNAL_WAIT);
            }
            Phase::Signalled { at, .. } if now - *at < SIGNAL_REPEAT => {}
            Phase::Signalled { .. } | Phase::Losing { .. } | Phase::Leaving { .. } => {
                self.kill_all(status::of_signal(signal as i32));
            }
            Phase::Killed { .. } => {}
        }
    }

    // ---- what nodes say -------------------------------------------------------------------------

    fn read_controls(&mut self) {
        for index in 0..self.nodes.len() {
            self.read_control(index);
        }
    }

    fn read_control(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.control.is_open() {
            return;
        }
        match node.control.receive() {
            Ok(messages) => {
                for message in messages {
                    self.on_control(index, message);
                }
            }
            Err(error) => {
                let what = format!("sent what is no control message: {error}");
                self.on_misbehaviour(index, &what);
            }
        }
    }

    fn on_control(&mut self, index: usize, message: Control) {
        let rank = self.nodes[index].rank;
        match message {
            Control::Ready { rank: claimed } if claimed == rank => {
                self.nodes[index].is_ready = true;
                if self.phase == Phase::Starting && self.nodes.iter().all(|node| node.is_ready) {
                    self.phase = Phase::Running;
                    self.deadline = None;
                }
            }
            Control::Exit { status } => self.on_exit(u8::try_from(status).unwrap_or(u8::MAX)),
            Control::Fatal { text } => match self.phase {
                Phase::Starting | Phase::Running => {
                    self.enter(Phase::Failing { rank, text }, CAUSE_WAIT);
                }
                // One cause is told; what follows from it isn't.
                Phase::Failing { .. }
                | Phase::Signalled { .. }
                | Phase::Losing { .. }
                | Phase::Leaving { .. }
                | Phase::Killed { .. } => {}
            },
            Control::Threads { lines } => {
                self.nodes[index].has_answered = true;
                if let Phase::Losing { threads, .. } = &mut self.phase {
                    threads.extend(lines);
                }
            }
            Control::Stats { json } => self.stats.push(json),
            Control::Events { lost, events } => {
                if let Some(seeing) = &mut self.seeing {
                    seeing.accept(rank, lost, events);
                }
            }
            Control::Ready { .. } | Control::Lost { .. } | Control::Shutdown => {
                self.on_misbehaviour(index, &format!("sent {message:?}, which it must not"));
            }
        }
    }

    fn on_exit(&mut self, status: u8) {
        match self.phase {
            Phase::Starting | Phase::Running | Phase::Signalled { .. } => {
                for node in &mut self.nodes {
                    node.control.send(&Control::Shutdown);
                }
                self.enter(Phase::Leaving { status }, LEAVE_WAIT);
            }
            // The first status counts, and a failure counts more.
            Phase::Failing { .. }
            | Phase::Losing { .. }
            | Phase::Leaving { .. }
            | Phase::Killed { .. } => {}
        }
    }

    fn on_misbehaviour(&mut self, index: usize, what: &str) {
        let node = &self.nodes[index];
        let text = format!("umbel: node {} (pid {}) {what}", node.rank, node.pid());
        self.outputs.message(&text);
        self.kill_all(status::NODE_LOST);
    }

    // ---- what nodes write -------------------------------------------------------------------------

    fn read_pipes(&mut self) {
        for index in 0..self.nodes.len() {
            for stream in [Stream::Out, Stream::Err] {
                if self.outputs.has_room(stream) {
                    self.read_pipe(index, stream);
                }
            }
        }
    }

    /// One read; whether there may be more.
    fn read_pipe(&mut self, index: usize, stream: Stream) -> bool {
        let Some(pipe) = &mut self.nodes[index].pipes[stream as usize] else {
            return false;
        };
        match pipe.read(&mut self.read_buffer) {
            Ok(0) => {}
            Ok(count) => {
                let bytes = &self.read_buffer[..count];
                self.outputs.accept(index, stream, bytes, Instant::now());
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(_) => {}
        }
        self.nodes[index].pipes[stream as usize] = None;
        self.outputs.end(index, stream);
        false
    }

    fn write(&mut self) {
        if let Err(closed) = self.outputs.write() {
            let status = self.on_closed(closed);
            self.kill_all(status);
        }
    }

    fn on_closed(&mut self, closed: Closed) -> u8 {
        self.outputs.clear();
        match closed {
            Closed::NoReader => status::of_signal(libc::SIGPIPE),
            Closed::HungUp => status::of_signal(libc::SIGHUP),
            Closed::Failed(error) => {
                self.outputs.message(&format!(
                    "umbel: cannot write the program's output: {error}"
                ));
                // If that is impossible too, the status has to do.
                let _ = self.outputs.write();
                self.outputs.clear();
                status::LAUNCHER_FAILED
            }
        }
    }

    // ---- time -----------------------------------------------------------------------------------------

    fn enter(&mut self, phase: Phase, wait: Duration) {
        self.phase = phase;
        self.deadline = Some(Instant::now() + wait);
    }

    fn on_time(&mut self, now: Instant) {
        let is_over = self.deadline.is_some_and(|at| at <= now);
        let is_anyone_alive = self.nodes.iter().any(Node::is_alive);
        match self.phase.clone() {
            Phase::Starting if is_over => {
                self.say_not_ready();
                self.kill_all(status::NOT_READY);
            }
            Phase::Running if is_over => {
                let silent = |node: &Node| node.is_alive() && !node.control.is_open();
                if let Some(index) = self.nodes.iter().position(silent) {
                    self.on_misbehaviour(index, "closed its connection to the launcher");
                }
            }
            Phase::Failing { rank, text } if is_over || !is_anyone_alive => {
                self.outputs.message(&format!("umbel: node {rank}: {text}"));
                self.kill_all(status::NODE_FAILED);
            }
            Phase::Signalled { signal, .. } if is_over => {
                self.kill_all(status::of_signal(signal as i32));
            }
            Phase::Losing { status, threads } => {
                let has_answered =
                    |node: &Node| node.has_answered || !node.is_alive() || !node.control.is_open();
                if is_over || self.nodes.iter().all(has_answered) {
                    for line in threads {
                        self.outputs.message(&format!("  it ran: {line}"));
                    }
                    self.kill_all(status);
                }
            }
            Phase::Leaving { .. } if is_over && !self.outputs.is_empty() => {
                // It may be our own reader that is slow, and the node waits to write its last.
                self.deadline = Some(now + LEAVE_WAIT);
            }
            Phase::Leaving { status } if is_over => self.kill_all(status),
            Phase::Starting
            | Phase::Running
            | Phase::Failing { .. }
            | Phase::Signalled { .. }
            | Phase::Leaving { .. }
            | Phase::Killed { .. } => {}
        }
    }

    fn say_not_ready(&mut self) {
        let late: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| !node.is_ready)
            .map(|node| format!("{} (pid {})", node.rank, node.pid()))
            .collect();
        let nodes = match late.len() {
            1 => "node",
            _ => "nodes",
        };
        self.outputs.message(&format!(
            "umbel: {nodes} {} not ready after {} s; try `umbel doctor`, or run the program alone",
            late.join(", "),
            READY_WAIT.as_secs()
        ));
    }

    fn kill_all(&mut self, status: u8) {
        for node in &self.nodes {
            node.kill(Signal::SIGKILL);
        }
        self.phase = Phase::Killed { status };
        self.deadline = None;
    }
}
