//! From the first process to the last.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use umbel_trace_ring::layout::Mode;

use super::super::control::Control;
use super::super::output::Tally;
use super::super::process;
use super::super::sys::pidfd;
use super::super::taker::Order;
use super::super::{clock, taker};
use super::Session;
use crate::recording::Ended;

/// The program that the session was made for, if it started it itself.
pub struct Program {
    child: Child,
    end: OwnedFd,
    status: Option<ExitStatus>,
}

impl Program {
    /// Watches `child`.
    pub fn new(child: Child) -> io::Result<Self> {
        let end = pidfd::open(child.id())?;
        Ok(Self {
            child,
            end,
            status: None,
        })
    }

    /// Notices its end.
    fn reap(&mut self) {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
    }
}

/// How a session went.
#[derive(Debug)]
pub struct Outcome {
    /// How the program ended; `None` if the session was ended before, or had none of its own.
    pub status: Option<ExitStatus>,
    /// What was recorded and lost.
    pub tally: Tally,
    /// Bytes of the recording.
    pub bytes: u64,
    /// Whether any process was traced at all.
    pub any_process: bool,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// Between two notes of the clocks.
const CLOCK_EACH: Duration = Duration::from_secs(1);

/// Between two times of writing names down: those of a recorder that is killed must be found again by the file.
const NAMES_EACH: Duration = Duration::from_secs(5);

/// How long a session without a program of its own waits for its first process.
const FIRST_PROCESS_WAIT: Duration = Duration::from_secs(5);

/// How long it waits for a process that has the shared file but hasn't told of itself: a fork of one that has ended.
const LATE_PROCESS_WAIT: Duration = Duration::from_secs(1);

/// How often it looks for it.
const LATE_PROCESS_LOOK: Duration = Duration::from_millis(5);

/// What ended a wait.
enum Woke {
    Signals,
    Other,
}

impl Session {
    /// Sees the session through. `signals` has the signals that end it; the first goes to the program, a second ends the session.
    pub fn run(mut self, mut program: Option<Program>, signals: &SignalFd) -> Outcome {
        let begin = Instant::now();
        let (mut next_clock, mut next_names) = (begin + CLOCK_EACH, begin + NAMES_EACH);
        let mut signal_count = 0;
        let mut late_since: Option<Instant> = None;
        while !self.stopping {
            let is_late = late_since.is_some();
            let pause = match is_late {
                true => LATE_PROCESS_LOOK,
                false => CLOCK_EACH.min(self.triggers.next_due()),
            };
            if let Woke::Signals = self.wait(program.as_ref(), signals, pause) {
                while let Ok(Some(signal)) = signals.read_signal() {
                    signal_count += 1;
                    self.on_signal(
                        program.as_ref(),
                        signal.ssi_signo,
                        signal.ssi_code,
                        signal_count,
                    );
                }
            }
            self.find_ends(program.as_mut());
            self.handle_news();
            self.status_of(program.as_ref());
            self.serve_control();
            self.do_what_is_due();
            self.say_refusal();
            let now = Instant::now();
            if now >= next_clock {
                next_clock = now + CLOCK_EACH;
                self.note_clock();
            }
            if now >= next_names {
                next_names = now + NAMES_EACH;
                self.write_names();
            }
            let is_ended = program
                .as_ref()
                .is_none_or(|program| program.status.is_some());
            let waits_for_first =
                program.is_none() && !self.any_process && begin.elapsed() < FIRST_PROCESS_WAIT;
            if !is_ended || waits_for_first || !self.processes.is_empty() {
                late_since = None;
                continue;
            }
            let since = *late_since.get_or_insert(now);
            let is_shared =
                self.shared.live.is_shared() || self.shared.live.pages().next().is_some();
            if !is_shared || since.elapsed() > LATE_PROCESS_WAIT {
                self.stopping = true;
            }
        }
        self.end(program)
    }

    /// Ends the session before anything ran.
    pub fn cancel(mut self) {
        self.end_now();
        self.end(None);
    }

    /// Ends the session although programs go on: they record nothing from now on.
    pub(super) fn end_now(&mut self) {
        self.stopping = true;
        if let Some(mut planner) = self.shared.planner() {
            planner.want_all(false);
            planner.unwant(|_| true);
        }
        self.let_go(|_, _| true);
        for page in self.shared.live.pages() {
            self.shared.live.set_mode(page.index, Mode::Off);
        }
    }

    /// Sleeps until something happens, at most `pause`.
    fn wait(&self, program: Option<&Program>, signals: &SignalFd, pause: Duration) -> Woke {
        let ends = self
            .processes
            .values()
            .filter(|process| !process.is_dead)
            .filter_map(|process| process.end.as_ref());
        let program = program
            .filter(|program| program.status.is_none())
            .map(|program| program.end.as_fd());
        let asked = self.control.iter().flat_map(Control::descriptors);
        let mut polled: Vec<PollFd> = [signals.as_fd(), self.woken.as_fd()]
            .into_iter()
            .chain(program)
            .chain(ends.map(AsFd::as_fd))
            .map(|fd| (fd, PollFlags::POLLIN))
            .chain(asked)
            .map(|(fd, awaited)| PollFd::new(fd, awaited))
            .collect();
        let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        // An error means that nothing was looked at: the next round looks again.
        let _ = poll(&mut polled, timeout);
        match polled[0].revents().is_some_and(|events| !events.is_empty()) {
            true => Woke::Signals,
            false => Woke::Other,
        }
    }

    fn on_signal(&mut self, program: Option<&Program>, number: u32, code: i32, count: u32) {
        let running = program.filter(|program| program.status.is_none());
        let (Some(program), 1) = (running, count) else {
            self.end_now();
            return;
        };
        // A key on the terminal has reached the program too; a signal to us alone has not.
        let is_key = code == libc::SI_KERNEL;
        let signal = i32::try_from(number)
            .ok()
            .and_then(|number| Signal::try_from(number).ok());
        if let (false, Some(signal)) = (is_key, signal) {
            let pid = Pid::from_raw(program.child.id().cast_signed());
            // It may have ended just now.
            let _ = kill(pid, signal);
        }
    }

    /// Notices processes that have ended.
    fn find_ends(&mut self, program: Option<&mut Program>) {
        if let Some(program) = program
            && is_readable(program.end.as_fd())
        {
            program.reap();
        }
        let ended = self.processes.iter().filter(|(_, process)| {
            !process.is_dead
                && process
                    .end
                    .as_ref()
                    .is_none_or(|end| is_readable(end.as_fd()))
        });
        let ended: Vec<u64> = ended.map(|(serial, _)| *serial).collect();
        for serial in ended {
            self.on_end(serial);
        }
    }

    fn status_of(&mut self, program: Option<&Program>) {
        let status = program.and_then(|program| Some((program.child.id(), program.status?)));
        self.child_status = status.map(|(pid, status)| (pid, process::ended(status.into_raw())));
    }

    /// How a process ended, if it was the program.
    pub(super) fn end_of_child(&self, pid: u32) -> Option<Ended> {
        let (child, ended) = self.child_status?;
        (child == pid).then_some(ended)
    }

    fn serve_control(&mut self) {
        // The answers need all of the session but the socket.
        let Some(mut control) = self.control.take() else {
            return;
        };
        control.serve(|request| self.answer(request));
        for notice in self.debugger.take_notices() {
            control.tell(&notice);
        }
        self.debugger.has_listeners = control.has_listeners();
        self.control = Some(control);
    }

    /// Says once that the recording can't be written.
    fn say_refusal(&mut self) {
        let refusal = self.shared.output().take_refusal();
        if let Some(refusal) = refusal {
            self.refuse(&refusal);
        }
    }

    fn refuse(&mut self, refusal: &str) {
        if !self.has_refused {
            self.has_refused = true;
            eprintln!(
                "umbel trace: {refusal}; the program goes on, what can't be stored is counted as lost"
            );
        }
    }

    /// Takes what is left, and writes the end.
    fn end(mut self, program: Option<Program>) -> Outcome {
        self.snapshots.finish();
        self.order(Order::Stop);
        while !self.taker_stopped {
            if self.taker.is_finished() {
                self.handle_news();
                break;
            }
            thread::sleep(Duration::from_micros(100));
            self.handle_news();
        }
        self.ticker = None;
        self.note_clock();
        let (place, measured) = &self.measured;
        place.keep(*measured, &self.first_clock, &self.last_clock);
        self.write_names();
        let ticks = clock::ticks(self.shared.clock);
        let without_function = self.without_function();
        let left: Vec<_> = self.processes.drain().map(|(_, process)| process).collect();
        for process in left {
            self.shared
                .output()
                .ended(process.info.serial, ticks, process.how_it_ended());
        }
        let lost = self.shared.live.lost_without_chunk();
        if lost > 0 {
            let mut lost = taker::lost_at_end(0, lost, ticks);
            lost.process = None;
            self.shared.output().lost(&lost);
        }
        self.shared.live.ended();
        let _ = self.taker.join();
        let bytes = self.shared.output().bytes();
        let of_values = self.shared.planner().map(|planner| planner.warnings());
        self.warnings.extend(of_values.into_iter().flatten());
        self.warnings.extend(without_function);
        let mut outcome = Outcome {
            status: program.and_then(|program| program.status),
            tally: Tally::default(),
            bytes,
            any_process: self.any_process,
            warnings: self.warnings,
        };
        if let Ok(shared) = Arc::try_unwrap(self.shared) {
            let (live, output) = shared.into_output();
            let (tally, refusal) = output.finish(ticks);
            outcome.tally = tally;
            if let (Some(refusal), false) = (refusal, self.has_refused) {
                outcome.warnings.push(refusal);
            }
            drop(live);
        }
        let _ = fs::remove_file(&self.live_path);
        outcome
    }
}

fn is_readable(descriptor: BorrowedFd) -> bool {
    let mut polled = [PollFd::new(descriptor, PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}
