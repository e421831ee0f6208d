//! The printing thread: makes steps out of what the recorder has sent, and writes them as text in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use umbel_trace_ring::layout;

use super::super::names::Names;
use super::super::steps::{Step, Steps};
use super::super::story::{self, Lane};
use super::super::text::{TextOptions, TreeText};
use super::super::units::signal_name;
use super::super::values::Plans;
use super::{News, Shown};
use crate::record::clock_point;
use crate::recording::{
    Began, Clock, ClockKind, ClockPoint, Ended, Event, Kind, ModuleInfo, Parser, ProcessInfo,
    ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial,
};
use crate::symbols::Symbols;

/// How long the printing thread gathers what comes from several threads, to show it in the order of time.
const GATHER: Duration = Duration::from_millis(5);

/// After so long without news, calls that are held back are shown: they go on.
const QUIET: Duration = Duration::from_millis(100);

/// The printing thread.
pub(super) struct Printer {
    receiver: Receiver<News>,
    queued_words: Arc<AtomicUsize>,
    out: Box<dyn Write + Send>,
    text: TreeText,
    session: SessionInfo,
    clock: Clock,
    points: Vec<ClockPoint>,
    processes: BTreeMap<u64, ProcessInfo>,
    threads: BTreeMap<u64, LiveThread>,
    /// By process and bias.
    modules: BTreeMap<(u64, u64), ModuleInfo>,
    symbols: Symbols,
    names: Names,
    plans: Plans,
    shown: Shown,
    is_closed: bool,
}

struct LiveThread {
    lane: Lane,
    parser: Parser,
    steps: Steps,
    /// Steps not shown yet.
    made: VecDeque<Step>,
    last_ns: u64,
    last_words: Instant,
}

impl Printer {
    /// Takes from `receiver`, writes to `out`.
    pub(super) fn new(
        session: SessionInfo,
        options: TextOptions,
        out: Box<dyn Write + Send>,
        receiver: Receiver<News>,
        queued_words: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            receiver,
            queued_words,
            out,
            text: TreeText::new(options),
            clock: Clock::new(&session, &[], None),
            session,
            points: Vec::new(),
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            modules: BTreeMap::new(),
            symbols: Symbols::default(),
            names: Names::default(),
            plans: Plans::default(),
            shown: Shown::default(),
            is_closed: false,
        }
    }

    pub(super) fn run(mut self) -> Shown {
        loop {
            let first = match self.receiver.recv_timeout(QUIET) {
                Ok(news) => news,
                Err(RecvTimeoutError::Timeout) => {
                    self.release(Duration::ZERO);
                    self.text.open_all(&self.names, &self.symbols);
                    self.write();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut is_last = self.take(first);
            while !is_last && let Ok(news) = self.receiver.recv_timeout(GATHER) {
                is_last = self.take(news);
            }
            self.release(QUIET);
            self.write();
            if is_last {
                break;
            }
        }
        self.shown.warnings = self.symbols.warnings();
        self.shown
    }

    /// Whether this was the last.
    fn take(&mut self, news: News) -> bool {
        match news {
            News::Process(process) => {
                self.processes.insert(process.serial.0, process);
            }
            News::Thread(thread) => self.thread(&thread),
            News::Module(module) => {
                self.symbols.add(story::module_use(&module, u64::MAX));
                self.forget_names(module.process);
                self.modules.insert((module.process.0, module.bias), module);
            }
            News::ModuleGone(gone) => {
                if let Some(module) = self.modules.remove(&(gone.process.0, gone.bias)) {
                    self.symbols
                        .close(module.process.0, module.begin, gone.ticks);
                }
                self.forget_names(gone.process);
            }
            News::Clock(point) => {
                self.points.push(point);
                self.clock = Clock::new(&self.session, &self.points, None);
            }
            News::Types(image, first, types) => self.plans.add_types(&image, first, &types),
            News::Plan(image, kept) => self.plans.add(&image, *kept),
            News::Words {
                thread,
                process,
                words,
                skipped,
            } => {
                self.find_pace();
                self.queued_words.fetch_sub(words.len(), Ordering::Relaxed);
                self.words(thread, process, &words, skipped);
            }
            News::Ended(process, ended) => self.ended(process, ended),
            News::Lost(lost) => {
                self.shown.lost += lost.count;
                self.show();
                self.text.note(&format!(
                    "... {}: {} ...",
                    crate::export::lost_text(lost.count),
                    lost.why
                ));
            }
            News::Finish(ticks, skipped) => {
                for (serial, count) in &skipped {
                    self.skipped(ThreadSerial(*serial), *count);
                }
                // Of a thread whose end was left out nobody here knows what is open.
                let known = self
                    .threads
                    .iter_mut()
                    .filter(|(serial, _)| !skipped.contains_key(serial));
                for (_, thread) in known {
                    thread.steps.finish(ticks);
                    thread.drain(&self.clock);
                }
                return true;
            }
        }
        false
    }

    /// The session notes its clock at its beginning and after a second: until then we look ourselves, or ticks would be shown
    /// as nanoseconds.
    fn find_pace(&mut self) {
        let [first] = self.points[..] else {
            return;
        };
        // CLOCK_MONOTONIC needs no pace.
        if self.session.clock == ClockKind::Tsc
            && first.ticks.abs_diff(first.monotonic_ns) > NEAR_NS
        {
            self.points.push(clock_point(layout::Clock::Tsc));
            self.clock = Clock::new(&self.session, &self.points, None);
        }
    }

    fn thread(&mut self, info: &ThreadInfo) {
        let process = self.processes.get(&info.process.0);
        let index = self.threads.len();
        match self.threads.get_mut(&info.serial.0) {
            Some(thread) => {
                thread.lane = story::lane(thread.lane.index, info, process);
            }
            None => {
                let is_forked = process.is_some_and(|process| process.began == Began::Fork);
                let middle = is_forked.then_some(info.ticks);
                let mut steps = Steps::new(info.process.0, middle, Vec::new());
                // Before there is any plan: the first call that needs one waits for it, and its word may be here meanwhile.
                steps.expect_values();
                let thread = LiveThread {
                    lane: story::lane(index, info, process),
                    parser: Parser::new(),
                    steps,
                    made: Default::default(),
                    last_ns: 0,
                    last_words: Instant::now(),
                };
                self.threads.insert(info.serial.0, thread);
            }
        }
        if self.threads.len() > 1 {
            self.text.show_threads();
        }
    }

    fn forget_names(&mut self, process: ProcessSerial) {
        let threads = self.threads.values_mut();
        let own = threads.filter(|thread| thread.lane.process == process);
        own.for_each(|thread| thread.steps.forget_names());
    }

    fn words(&mut self, serial: ThreadSerial, process: ProcessSerial, words: &[u64], skipped: u64) {
        if !self.threads.contains_key(&serial.0) {
            self.thread(&ThreadInfo {
                serial,
                process,
                ..ThreadInfo::default()
            });
        }
        if skipped > 0 {
            self.skipped(serial, skipped);
        }
        let Some(thread) = self.threads.get_mut(&serial.0) else {
            return;
        };
        thread.last_words = Instant::now();
        let LiveThread { parser, steps, .. } = thread;
        let mut lost = 0;
        parser.parse(words, |_, event: Event| {
            if let Kind::Lost { count, .. } = event.kind {
                lost += count;
            }
            steps.event(event, &self.symbols, &mut self.names);
        });
        self.shown.lost += lost;
        thread.drain(&self.clock);
    }

    /// Says that calls are left out, and lets the thread's frames end when their functions return.
    fn skipped(&mut self, serial: ThreadSerial, count: u64) {
        self.release(Duration::ZERO);
        self.shown.skipped += count;
        let Some(thread) = self.threads.get_mut(&serial.0) else {
            return;
        };
        thread.steps.gap();
        let depth = u32::try_from(thread.steps.depth()).unwrap_or(u32::MAX);
        let lane = thread.lane.clone();
        let ns = thread.last_ns;
        self.text.open_all(&self.names, &self.symbols);
        let text =
            format!("... {count} calls are not shown: the output is slower than the program ...");
        self.text.thread_note(&lane, ns, depth, &text);
    }

    fn ended(&mut self, process: ProcessSerial, ended: Ended) {
        let Some(info) = self.processes.get(&process.0) else {
            return;
        };
        let how = match ended {
            Ended::Signal(signal) => format!("was killed by {}", signal_name(signal)),
            Ended::Status(status) if status != 0 => format!("ended with status {status}"),
            Ended::Unknown => "is gone".into(),
            Ended::Status(_) | Ended::Exec => return,
        };
        let text = format!("/* process {} {how} */", info.pid);
        self.release(Duration::ZERO);
        self.text.open_all(&self.names, &self.symbols);
        self.text.note(&text);
    }

    /// Shows what there is. Of a thread that has written nothing for so long the last event has no values that come later.
    fn release(&mut self, quiet: Duration) {
        for thread in self.threads.values_mut() {
            if thread.last_words.elapsed() >= quiet {
                thread.steps.release();
                thread.drain(&self.clock);
            }
        }
        self.show();
    }

    /// Makes text of all steps that are there, by time.
    fn show(&mut self) {
        loop {
            let threads = self.threads.values_mut();
            let waiting = threads.filter(|thread| !thread.made.is_empty());
            let Some(thread) = waiting.min_by_key(|thread| (thread.made[0].ns, thread.lane.index))
            else {
                return;
            };
            if let Some(step) = thread.made.pop_front() {
                let raw = step.values.as_ref();
                let values = raw.and_then(|raw| self.plans.read(raw, &self.symbols));
                let (lane, values) = (&thread.lane, values.as_ref());
                self.text
                    .step(lane, &step, values, &self.names, &self.symbols);
            }
            if self.text.bytes() >= WRITE_BYTES {
                self.write();
            }
        }
    }

    fn write(&mut self) {
        let text = self.text.take();
        if self.is_closed || text.is_empty() {
            return;
        }
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        if let Err(error) = written {
            self.is_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.shown.error = Some(error);
            }
        }
    }
}

/// Two readings of one clock are not further apart.
const NEAR_NS: u64 = 1_000_000;

/// Bytes of lines that are written at once.
const WRITE_BYTES: usize = 64 * 1024;

impl LiveThread {
    fn drain(&mut self, clock: &Clock) {
        while let Some(step) = self.steps.pop(clock) {
            self.last_ns = step.ns;
            self.made.push_back(step);
        }
    }
}
