//! The user at the control socket: stops threads, steps, looks at variables and changes them.
//!
//! A thread stops in its hook: where it is, its event has been recorded, and others go on. Each thing that is done is a text among the
//! thread's calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Instant;

use umbel_trace_ring::plan::{From, Level, STOPPED_AT_CALL, STOPPED_AT_RETURN, Until};

use super::super::control::{Answer, Spot};
use super::super::taker::Order;
use super::super::values::HeldThread;
use super::Session;
use crate::stuck::{Inspector, Limits, State, text};
use crate::trigger::{Active, At, CaseId};

/// Frames that `bt` shows.
const FRAMES_MAX: usize = 64;

/// How much of variables is shown.
pub const LIMITS: Limits = Limits {
    follow: 1,
    elements: 16,
    text: 256,
    values: 4096,
};

/// The same in a stack: what pointers lead to is asked for.
const LIMITS_OF_FRAMES: Limits = Limits {
    follow: 0,
    ..LIMITS
};

/// Lines for those who want to be told, until they can be.
const NOTICES_MAX: usize = 1024;

/// What is known of threads that are held, and of who wants to know.
#[derive(Default)]
pub struct Debugger {
    /// Processes that were looked into, by pid.
    inspectors: HashMap<u32, Inspector>,
    /// Threads that wait for their user, and since when. Others that triggers hold wait for what the recorder finds.
    told: BTreeMap<u32, Instant>,
    /// What is to be told.
    notices: Vec<String>,
    /// Whether anybody wants to be told.
    pub has_listeners: bool,
}

impl Debugger {
    /// What files a process has may have changed.
    pub fn forget(&mut self) {
        self.inspectors.clear();
    }

    /// What is to be told, once.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// What a process has in memory.
    pub fn inspector(&mut self, pid: u32) -> Result<&Inspector, String> {
        let entry = self.inspectors.entry(pid);
        let found = match entry {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let number = i32::try_from(pid).map_err(|_| "it is no process".to_owned())?;
                let opened = Inspector::open(number).map_err(|error| error.to_string())?;
                place.insert(opened)
            }
        };
        Ok(found)
    }
}

impl Session {
    /// Puts a text among the calls of a thread.
    pub(super) fn note(&self, process: u64, tid: u32, text: &str) {
        self.order(Order::Note {
            process,
            tid,
            text: format!("ctl {text}"),
        });
    }

    /// Puts a text among the calls of each process's first thread.
    pub(super) fn note_all(&self, text: &str) {
        for process in self.processes.values().filter(|process| !process.is_dead) {
            self.note(process.info.serial.0, 0, text);
        }
    }

    /// Has a thread, or all, stop at the next call or return that is traced.
    pub(super) fn stop_threads(&mut self, tid: Option<u32>) -> Answer {
        let Some(planner) = self.shared.planner() else {
            return Err("threads are stopped by what captures values: this session has none (--values none)".into());
        };
        drop(planner);
        let held: BTreeSet<u32> = self.held().iter().map(|held| held.tid).collect();
        let meant = match tid {
            Some(tid) => vec![(self.process_of(tid)?.0, tid)],
            None => self.all_threads(),
        };
        if let (None, Some(mut planner)) = (tid, self.shared.planner()) {
            planner.want_all(true);
        }
        if let (Some(tid), true) = (tid, tid.is_some_and(|tid| held.contains(&tid))) {
            return Err(format!("thread {tid} is held already"));
        }
        let (mut count, mut refused) = (0, 0);
        for (process, tid) in meant.into_iter().filter(|(_, tid)| !held.contains(tid)) {
            let planner = self.shared.planner();
            match planner
                .is_some_and(|planner| planner.want(process, tid, Until::Event, From::default()))
            {
                true => {
                    count += 1;
                    self.note(process, tid, "stop");
                }
                false => refused += 1,
            }
        }
        let mut lines = vec![format!(
            "threads that stop at their next traced call or return: {count}"
        )];
        if tid.is_none() {
            lines.push("threads that begin until `continue` stop too".into());
        }
        if !self.is_on {
            lines.push("tracing is off: nothing is traced until `on`".into());
        }
        if refused > 0 {
            lines.push(format!(
                "threads that can't be stopped, because too many others are: {refused}"
            ));
        }
        Ok(lines)
    }

    /// Lets a held thread go on to where it is to stop again.
    pub(super) fn step(&mut self, tid: Option<u32>, until: Until) -> Answer {
        let held = self.one_held(tid)?;
        let (process, pid) = self.process_of(held.tid)?;
        let is_at_call = self.is_at_call(held.number);
        let frame = usize::from(!is_at_call);
        let inspector = self.debugger.inspector(pid)?;
        let from = From {
            level: match until {
                Until::Return | Until::Level => inspector
                    .level(held.tid.cast_signed(), frame)
                    .unwrap_or_default(),
                Until::Event | Until::Never => Level::default(),
            },
            is_at_call,
            is_in_event: !matches!(held.number, STOPPED_AT_CALL | STOPPED_AT_RETURN),
        };
        let planner = self.shared.planner();
        if !planner.is_some_and(|planner| planner.want(process, held.tid, until, from)) {
            return Err("too many threads are on their way to where they are to stop".into());
        }
        self.note(
            process,
            held.tid,
            match until {
                Until::Event => "step",
                Until::Level => "next",
                Until::Return | Until::Never => "finish",
            },
        );
        self.debugger.told.remove(&held.tid);
        self.let_go(|tid, _| tid == held.tid);
        Ok(vec![format!("thread {} goes on", held.tid)])
    }

    /// Lets a thread go on, or all; what is wanted of them isn't wanted any more.
    pub(super) fn go_on(&mut self, tid: Option<u32>) -> Answer {
        let is_meant = |one: u32| tid.is_none_or(|tid| tid == one);
        let planner = self.shared.planner();
        let Some(planner) = planner else {
            return Err("no thread is held: threads are stopped by what captures values, and this session has none (--values none)".into());
        };
        let mut planner = planner;
        let unwanted = planner.unwant(is_meant);
        if tid.is_none() {
            planner.want_all(false);
        }
        let wants_all = planner.wants_all();
        drop(planner);
        let mut held = self.held();
        held.retain(|held| is_meant(held.tid));
        if let (Some(tid), true) = (tid, wants_all)
            && let (Ok((process, _)), Some(planner)) = (self.process_of(tid), self.shared.planner())
        {
            planner.want(process, tid, Until::Never, From::default());
        }
        for held in &held {
            if let Ok((process, _)) = self.process_of(held.tid) {
                self.note(process, held.tid, "continue");
            }
        }
        self.debugger.told.retain(|tid, _| !is_meant(*tid));
        let is_meant = |tid, number| held.contains(&HeldThread { tid, number });
        match self.let_go(is_meant) {
            0 if unwanted > 0 => Ok(vec![format!(
                "threads that don't stop after all: {unwanted}"
            )]),
            0 if tid.is_some() => {
                Err("this thread isn't held; `threads` shows those that wait".into())
            }
            count => Ok(vec![format!("threads that go on: {count}")]),
        }
    }

    /// The threads that are held, and those that are to stop.
    pub(super) fn threads(&mut self) -> Answer {
        let wanted = self.shared.planner().map(|planner| planner.wanted());
        let mut lines = Vec::new();
        for held in self.held() {
            let why = self.why(held.number);
            let since = self.since(held.tid);
            let place = self.place(held.tid);
            lines.push(format!("thread {} waits: {why}{since}{place}", held.tid));
        }
        lines.extend(
            wanted
                .into_iter()
                .flatten()
                .map(|tid| format!("thread {tid} runs, and is to stop")),
        );
        Ok(lines)
    }

    /// `, for 3.1 s`
    fn since(&self, tid: u32) -> String {
        let since = self.debugger.told.get(&tid);
        since.map_or_else(String::new, |since| {
            format!(", for {}", text::time(since.elapsed()))
        })
    }

    /// `: f(n=5) at f.c:7`: where a held thread is.
    fn place(&mut self, tid: u32) -> String {
        let Ok((_, pid)) = self.process_of(tid) else {
            return String::new();
        };
        let inspector = self.debugger.inspector(pid);
        let place = inspector
            .and_then(|inspector| inspector.thread(tid.cast_signed(), 1, LIMITS_OF_FRAMES))
            .ok()
            .and_then(|thread| Some(text::frame_line(thread.frames.first()?)));
        place.map_or_else(String::new, |place| format!(": {place}"))
    }

    /// Why a thread waits.
    fn why(&self, number: u32) -> String {
        match number {
            STOPPED_AT_CALL => "stopped at a call".into(),
            STOPPED_AT_RETURN => "stopped at a return".into(),
            number => {
                let id = CaseId::from_word(number.into()).trigger;
                let active = self.triggers.active().iter().find(|set| set.id == id);
                active.map_or_else(|| format!("trigger {id}"), Active::title)
            }
        }
    }

    fn is_at_call(&self, number: u32) -> bool {
        let case = CaseId::from_word(number.into());
        let active = self.triggers.active().iter();
        match number {
            STOPPED_AT_CALL => true,
            STOPPED_AT_RETURN => false,
            _ => active
                .filter(|set| set.id == case.trigger)
                .filter_map(|set| set.trigger.cases.get(case.case as usize))
                .any(|of_case| of_case.at == At::Call),
        }
    }

    /// The stack of a held thread.
    pub(super) fn backtrace(&mut self, tid: Option<u32>) -> Answer {
        let held = self.one_held(tid)?;
        let (_, pid) = self.process_of(held.tid)?;
        let (why, since) = (self.why(held.number), self.since(held.tid));
        let inspector = self.debugger.inspector(pid)?;
        let mut thread = inspector.thread(held.tid.cast_signed(), FRAMES_MAX, LIMITS_OF_FRAMES)?;
        thread.state = State::Held(Some(format!("{why}{since}")));
        thread.asleep = None;
        let shown = text::ThreadText(&thread).to_string();
        Ok(shown.lines().map(str::to_owned).collect())
    }

    /// What a variable of a held thread is.
    pub(super) fn print(&mut self, spot: Spot, expression: &str) -> Answer {
        let held = self.one_held(spot.tid)?;
        let (process, pid) = self.process_of(held.tid)?;
        let inspector = self.debugger.inspector(pid)?;
        let line = inspector.print(held.tid.cast_signed(), spot.frame, expression, LIMITS)?;
        self.note(process, held.tid, &format!("print {line}"));
        Ok(vec![line])
    }

    /// Changes a variable of a held thread.
    pub(super) fn assign(&mut self, spot: Spot, path: &str, value: &str) -> Answer {
        let held = self.one_held(spot.tid)?;
        let (process, pid) = self.process_of(held.tid)?;
        let inspector = self.debugger.inspector(pid)?;
        let change = inspector.set(held.tid.cast_signed(), spot.frame, path, value)?;
        let line = format!("{} (before: {})", change.now, change.before);
        self.note(process, held.tid, &format!("set {line}"));
        Ok(vec![line])
    }

    /// Memory of a held thread's variable, or at an address.
    pub(super) fn dump(&mut self, spot: Spot, what: &str) -> Answer {
        let held = self.one_held(spot.tid)?;
        let (process, pid) = self.process_of(held.tid)?;
        let frame = Some((held.tid.cast_signed(), spot.frame));
        let inspector = self.debugger.inspector(pid)?;
        let lines = inspector.dump(frame, what, LIMITS)?;
        self.note(process, held.tid, &format!("dump {what}"));
        Ok(lines)
    }

    /// Threads may have stopped.
    pub(super) fn on_held(&mut self) {
        let held = self.shared.planner().map(|planner| planner.held());
        let held = held.unwrap_or_default();
        for held in held {
            if matches!(held.number, STOPPED_AT_CALL | STOPPED_AT_RETURN) {
                self.tell_stopped(held);
            }
        }
    }

    /// A thread is held, and stays so until its user lets it go on.
    pub(super) fn tell_stopped(&mut self, held: HeldThread) {
        if self.debugger.told.contains_key(&held.tid) {
            return;
        }
        self.debugger.told.insert(held.tid, Instant::now());
        let Ok((process, _)) = self.process_of(held.tid) else {
            return;
        };
        let why = self.why(held.number);
        if matches!(held.number, STOPPED_AT_CALL | STOPPED_AT_RETURN) {
            self.note(process, held.tid, "stopped");
        }
        if !self.debugger.has_listeners || self.debugger.notices.len() >= NOTICES_MAX {
            return;
        }
        let place = self.place(held.tid);
        self.debugger
            .notices
            .push(format!("thread {} waits: {why}{place}", held.tid));
    }

    /// Threads that wait for their user.
    pub(super) fn held(&self) -> Vec<HeldThread> {
        let held = self.shared.planner().map(|planner| planner.held());
        let mut held = held.unwrap_or_default();
        held.retain(|held| {
            matches!(held.number, STOPPED_AT_CALL | STOPPED_AT_RETURN)
                || self.debugger.told.contains_key(&held.tid)
        });
        held
    }

    /// The held thread that is meant: this one, or the only one.
    fn one_held(&self, tid: Option<u32>) -> Result<HeldThread, String> {
        let held = self.held();
        match (tid, held.as_slice()) {
            (Some(tid), held) => held.iter().find(|held| held.tid == tid).copied().ok_or_else(|| {
                format!("thread {tid} isn't held: `stop {tid}` stops it at its next traced call, `threads` shows those that wait")
            }),
            (None, [one]) => Ok(*one),
            (None, []) => Err("no thread is held: `stop all` stops them at their next traced calls, or a trigger's `stop` does".into()),
            (None, held) => {
                let all: Vec<String> = held.iter().map(|held| held.tid.to_string()).collect();
                Err(format!("which thread? {} are held", all.join(", ")))
            }
        }
    }

    /// Serial and pid of the process that a thread belongs to.
    fn process_of(&self, tid: u32) -> Result<(u64, u32), String> {
        let mut processes = self.processes.values().filter(|known| !known.is_dead);
        let is_in = |pid: u32| Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
        let found = processes.find(|known| is_in(known.info.pid));
        let found = found.map(|known| (known.info.serial.0, known.info.pid));
        found.ok_or_else(|| format!("no process of this session has a thread {tid}"))
    }

    /// Processes' serials and their threads.
    fn all_threads(&self) -> Vec<(u64, u32)> {
        let processes = self.processes.values().filter(|known| !known.is_dead);
        let threads = processes.flat_map(|known| {
            let folder = std::fs::read_dir(format!("/proc/{}/task", known.info.pid));
            let entries = folder.into_iter().flatten().flatten();
            let tids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            tids.map(|tid| (known.info.serial.0, tid))
                .collect::<Vec<_>>()
        });
        threads.collect()
    }
}
