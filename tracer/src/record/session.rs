//! A session: one recording of one job, from its first process to its last.
//!
//! One thread waits in poll for everything but the words: ends of processes, signals, the control socket, and what the taking
//! thread ([`super::taker`]) has read in the journals. It answers the questions of processes, so it alone patches.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use umbel_probe::Method;
use umbel_trace_ring::layout::{Clock, Full, Mode};
use umbel_trace_ring::{Live, Setup};
use umbel_values::plan::Wishes;

use super::cache::Cache;
use super::coarse::Ticker;
use super::code::Files;
use super::control::{Control, ControlError};
use super::error::Error;
use super::measured::{self, Measured};
use super::output::{Output, Tally};
use super::process::{Bitmaps, Process, Wish};
use super::sink::Sink;
use super::taker::{self, Order, Rules, Shared};
use super::trim;
use super::values::Planner;
use super::wake::{self, Woken};
use super::{clock, taker::News};
use crate::chosen::Rule;
use crate::filter::Filter;
use crate::recording::{ClockPoint, Ended, Image, Name, ProcessSerial, SessionInfo, Writer};
use crate::trigger::Trigger;

mod debugger;
mod events;
mod requests;
mod rules;
mod run;
mod snapshots;
mod triggers;

use debugger::Debugger;
pub use run::{Outcome, Program};
use snapshots::Snapshots;
use triggers::Triggers;

/// How a session is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The recording. The shared file and the control socket lie beside it.
    pub output: PathBuf,
    /// Whether it is kept; otherwise only the sinks that are given see the events.
    pub is_stored: bool,
    /// Which functions, and more.
    pub filter: Filter,
    /// Whether tracing is on from the beginning.
    pub is_on: bool,
    /// What a thread does when the buffer is full. Overwrite: a flight recorder.
    pub when_full: Full,
    /// Bytes of the buffer at most.
    pub buffer_bytes: u64,
    /// Where times come from; the best there is, if nothing is said.
    pub clock: Option<Clock>,
    /// Whether call sites may be patched.
    pub patches: bool,
    /// Triggers that are set from the beginning.
    pub triggers: Vec<Trigger>,
    /// What is captured of variables; `None`: nothing.
    pub values: Option<Wishes>,
    /// What is captured of functions that these speak of instead.
    pub chosen: Vec<Rule>,
    /// How programs read what pointers lead to.
    pub probe: Method,
    /// Program and arguments, for readers.
    pub command: Vec<String>,
    /// Options that decide what is missing, for readers.
    pub options: Vec<String>,
}

/// A running session.
pub struct Session {
    settings: Settings,
    shared: Arc<Shared>,
    control: Option<Control>,
    live_path: PathBuf,
    orders: Sender<Order>,
    news: Receiver<News>,
    woken: Woken,
    taker: JoinHandle<()>,
    ticker: Option<Ticker>,
    first_clock: ClockPoint,
    last_clock: ClockPoint,
    measured: (measured::Place, Measured),
    files: Files,
    bitmaps: Bitmaps,
    filter: Filter,
    is_on: bool,
    /// When it was last switched on or off, in ticks.
    switched_ticks: u64,
    triggers: Triggers,
    debugger: Debugger,
    snapshots: Snapshots,
    processes: HashMap<u64, Process>,
    excluded: HashMap<u64, Vec<taker::ExcludedModule>>,
    /// Serials, by pid, of processes that were heard of when they had gone on as other programs.
    passed_on: HashMap<u32, u64>,
    any_process: bool,
    stopping: bool,
    taker_stopped: bool,
    has_refused: bool,
    /// Pid of the program and how it ended.
    child_status: Option<(u32, Ended)>,
    warnings: Vec<String>,
}

/// The shared file of a recording.
pub fn live_path(output: &Path) -> PathBuf {
    with_ending(output, ".live")
}

/// The control socket of a recording.
pub fn control_path(output: &Path) -> PathBuf {
    with_ending(output, ".live.ctl")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Session {
    /// Makes the shared file, the control socket and the recording; `sinks` see what the recording sees. From here on programs
    /// may come. Before: block the signals that [`Session::run`] shall read, in every thread there is.
    pub fn create(settings: Settings, mut sinks: Vec<Box<dyn Sink>>) -> Result<Self, Error> {
        let live_path = live_path(&settings.output);
        let control =
            Control::listen(&control_path(&settings.output)).map_err(|error| match error {
                ControlError::InUse => Error::InUse(settings.output.clone()),
                ControlError::System(source) => Error::system(
                    "make the control socket",
                    control_path(&settings.output),
                    source,
                ),
            })?;
        // Nobody answers at its socket: its recorder is dead. What it had not taken goes with the recording that is replaced.
        let _ = fs::remove_file(&live_path);
        let clock = settings.clock.unwrap_or_else(clock::best);
        let first_clock = clock::point(clock);
        // Before anything is recorded: whoever reads what a killed recorder left knows how long a tick is.
        let place = measured::Place::of_user();
        let measured = measured::measure(&place, clock, &first_clock);
        let Measured {
            ticks_per_second,
            skew_ticks,
        } = measured;
        let skew_ns_max = skew_ticks
            .and_then(|ticks| {
                ticks
                    .checked_mul(1_000_000_000)?
                    .checked_div(ticks_per_second)
            })
            .unwrap_or(SKEW_NS_MAX);
        let session = session_name(&first_clock);
        let setup = Setup {
            buffer_bytes: settings.buffer_bytes,
            when_full: settings.when_full,
            clock,
            ticks_per_second,
            first_mode: if settings.is_on {
                Mode::Record
            } else {
                Mode::Off
            },
            session,
        };
        let path = CString::new(live_path.as_os_str().as_bytes())
            .map_err(|_| Error::Path(live_path.clone()))?;
        // Also one that could not be made whole.
        let guard = RemoveOnError(Some(&live_path));
        let live = Live::create(&path, &setup).map_err(|source| Error::Live {
            path: live_path.clone(),
            source,
        })?;
        live.set_coarse(first_clock.ticks);
        live.set_probe(settings.probe as u32);
        let is_flight = settings.when_full == Full::Overwrite;
        if settings.is_stored {
            let writer = Writer::create(
                &settings.output,
                &SessionInfo {
                    skew_ns_max: Some(skew_ns_max),
                    ..describe(&settings, clock, ticks_per_second, session, is_flight)
                },
            )?;
            sinks.insert(0, Box::new(writer));
        }
        let mut output = Output::new(sinks);
        output.clock(first_clock);
        // Triggers that are judged in the program are parts of plans, as are variables that are chosen.
        let for_triggers = || {
            let needed = settings.triggers.iter().any(Trigger::is_judged_inside);
            (needed || !settings.chosen.is_empty()).then(Wishes::nothing)
        };
        let wishes = settings.values.clone().or_else(for_triggers);
        let planner = wishes.map(|wishes| Planner::new(wishes, &settings.chosen));
        let shared = Arc::new(Shared::new(live, clock, is_flight, output, planner));
        let (orders, taker_orders) = channel();
        let (taker_news, news) = channel();
        let (waker, woken) = wake::pair()
            .map_err(|source| Error::system("make a pair of sockets", "".into(), source))?;
        let taker = taker::start(Arc::clone(&shared), taker_orders, taker_news, waker)
            .map_err(|source| Error::system("start a thread", "".into(), source))?;
        let ticker = (clock == Clock::Coarse).then(|| Ticker::start(Arc::clone(&shared)));
        guard.keep();
        Ok(Self {
            filter: settings.filter.clone(),
            is_on: settings.is_on,
            switched_ticks: first_clock.ticks,
            triggers: Triggers::new(&settings.triggers),
            debugger: Debugger::default(),
            snapshots: Snapshots::default(),
            settings,
            shared,
            control: Some(control),
            live_path,
            orders,
            news,
            woken,
            taker,
            ticker,
            first_clock,
            last_clock: first_clock,
            measured: (place, measured),
            files: Files::new(Cache::of_user()),
            bitmaps: Bitmaps::default(),
            processes: HashMap::new(),
            excluded: HashMap::new(),
            passed_on: HashMap::new(),
            any_process: false,
            stopping: false,
            taker_stopped: false,
            has_refused: false,
            child_status: None,
            warnings: Vec::new(),
        })
    }

    /// The shared file: `UMBEL_TRACE_LIVE` of the programs.
    pub fn live_path(&self) -> &Path {
        &self.live_path
    }

    /// What went where so far.
    pub fn tally(&self) -> Tally {
        self.shared.output().tally().clone()
    }

    /// Applies filter and switch to the process of this serial; the rules for what comes all the same are set afterwards.
    fn apply(&mut self, serial: u64) {
        let Some(mut process) = self.processes.remove(&serial) else {
            return;
        };
        let wish = Wish {
            filter: &self.filter,
            is_on: self.is_on,
            patches: self.settings.patches,
            triggers: self.triggers.active(),
        };
        let leaking = process.apply(wish, &mut self.files, &self.shared, &mut self.bitmaps);
        match leaking.is_empty() || !self.is_on {
            true => self.excluded.remove(&serial),
            false => self.excluded.insert(serial, leaking),
        };
        self.processes.insert(serial, process);
    }

    /// Applies filter and switch to all processes.
    fn apply_all(&mut self) {
        self.files.forget_verdicts();
        let serials: Vec<u64> = self.processes.keys().copied().collect();
        for serial in serials {
            self.apply(serial);
        }
        self.set_rules();
    }

    fn set_rules(&self) {
        self.tell_planner();
        let limits = self.filter.limits();
        let ticks_min = limits.at_least_ns.map(|nanoseconds| {
            let per_second = self.pace();
            let ticks = u128::from(nanoseconds) * u128::from(per_second) / 1_000_000_000;
            u64::try_from(ticks).unwrap_or(u64::MAX)
        });
        self.shared.set_rules(Rules {
            limits: trim::Limits {
                depth_max: limits.depth_max,
                ticks_min,
            },
            threads: limits.clone(),
            excluded: self.excluded.clone(),
            off_since: (!self.is_on).then_some(self.switched_ticks),
            triggers: self.triggers.active().to_vec(),
            watched: match self.triggers.active() {
                [] => HashMap::new(),
                _ => self.watched(),
            },
            pace: match self.triggers.active() {
                [] => 0,
                _ => self.pace(),
            },
        });
    }

    /// Ticks per second, as well as is known by now.
    fn pace(&self) -> u64 {
        if self.shared.clock == Clock::Monotonic {
            return 1_000_000_000;
        }
        loop {
            if let Some(pace) = clock::pace(&self.first_clock, &clock::point(self.shared.clock)) {
                return pace;
            }
            // The session is younger than a millisecond.
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Notes the clocks.
    fn note_clock(&mut self) {
        self.last_clock = clock::point(self.shared.clock);
        self.shared.output().clock(self.last_clock);
        if let Some(pace) = clock::pace(&self.first_clock, &self.last_clock) {
            self.shared.live.set_ticks_per_second(pace);
        }
    }

    /// Writes down what functions that occurred are called.
    fn write_names(&mut self) {
        let new = self.shared.output().new_functions();
        let mut names: HashMap<Image, Vec<Name>> = HashMap::new();
        for (ProcessSerial(process), functions) in new {
            let Some(process) = self.processes.get(&process) else {
                continue;
            };
            for function in functions {
                let Some((module, code, address)) = process.locate(function) else {
                    continue;
                };
                let Some((name, begin)) = code.image().name(address) else {
                    continue;
                };
                let place = code.image().place(begin);
                names.entry(module.image()).or_default().push(Name {
                    offset: begin,
                    name: name.into_owned(),
                    line: place.as_ref().map_or(0, |place| place.line),
                    file: place.map(|place| place.file).unwrap_or_default(),
                });
            }
        }
        for (image, names) in names {
            self.shared.output().names(&image, &names);
        }
    }
}

/// Takes the shared file away again when the session can't begin.
struct RemoveOnError<'a>(Option<&'a Path>);

impl RemoveOnError<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for RemoveOnError<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn describe(
    settings: &Settings,
    clock: Clock,
    ticks_per_second: u64,
    session: [u8; 16],
    flight: bool,
) -> SessionInfo {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let directory = std::env::current_dir().unwrap_or_default();
    SessionInfo {
        session,
        clock: clock::kind(clock),
        ticks_per_second,
        skew_ns_max: None,
        command: settings.command.clone(),
        directory: directory.to_string_lossy().into_owned(),
        host: host.trim().to_owned(),
        recorder: format!("umbel {}", env!("CARGO_PKG_VERSION")),
        options: settings.options.clone(),
        flight,
    }
}

/// Clocks of two processors differ by less, if that could not be measured: the kernel refuses the counter as its clock otherwise.
const SKEW_NS_MAX: u64 = 1000;

/// A name that no other session on this host has.
fn session_name(now: &ClockPoint) -> [u8; 16] {
    let mut name = [0; 16];
    let random = fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut name));
    if random.is_err() {
        name[..8].copy_from_slice(&now.realtime_ns.to_le_bytes());
        name[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    name
}
