//! However a program and its recorder end: no event is lost, and no open call, the innermost neither.
//!
//! tests/programs/trace/counted.c makes a tree of calls that is known beforehand, and counts its calls and returns from inside
//! the functions. What was recorded must be the beginning of that tree, and as long as the program counted: an event is
//! written before the function counts it, so a kill between the two leaves one event more.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use umbel_tests::cluster::{LIMIT, Outcome, Running, holds_within, signal, start, umbel};
use umbel_tests::traced::{Traced, compile, must};
use umbel_tracer::recording::{Damage, Kind, ProcessSerial, Recording};
use umbel_tracer::view::story::symbols_of;

/// Calls after which the program comes to its end by itself: several chunks full.
const CALLS: u64 = 60_000;

/// Calls that the random kills come after, at most.
const RANDOM_CALLS: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Call(usize),
    Return(usize),
}

/// Calls and returns, as the program counted them.
#[derive(Clone, Copy, Debug)]
struct Counts {
    entered: u64,
    left: u64,
}

struct Job {
    traced: Traced,
    running: Running,
    counts: File,
}

#[test]
fn a_program_that_ends_itself_leaves_everything() {
    let traced = compile("counted.c", "-O2");
    for (end, status) in [
        ("segv", 128 + 11),
        ("abort", 128 + 6),
        ("term", 128 + 15),
        ("exit", 3),
        ("kill", 128 + 9),
        ("memory", 77),
    ] {
        let counts = counts_file(&traced);
        let recording = traced.file("recording");
        let mut command = traced.record(&recording, &["--when-full", "wait"]);
        command.arg(traced.file("counts"));
        command.args([end, &CALLS.to_string()]);
        let outcome = start(&mut command, b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(status), "{end}: {outcome}");
        let counted = counted(&counts);
        assert_eq!(counted.entered, CALLS, "{end}: {outcome}");
        check(&recording, counted, 0, end);
        readers_agree(&traced, counted, end);
        assert!(!traced.file("recording.live").exists(), "{end}: {outcome}");
    }
}

#[test]
fn kills_at_random_moments_lose_nothing() {
    random_kills(24);
}

#[test]
#[ignore = "several minutes"]
fn a_thousand_kills_lose_nothing() {
    random_kills(1000);
}

/// Kills the program alone, the recorder alone and then the program, and all at once, in turn.
fn random_kills(count: u64) {
    let seed = seed();
    println!("UMBEL_KILL_SEED={seed} repeats this");
    let mut random = seed;
    let mut traced = compile("counted.c", "-O2");
    for number in 0..count {
        let what = format!("kill {number} of seed {seed}");
        let moment = next(&mut random) % RANDOM_CALLS;
        let job = Job::begin(traced, &what);
        job.wait_for(moment, &what);
        let recorder = job.running.process();
        match number % 3 {
            0 => {
                for process in job.traced.processes() {
                    signal(process, "KILL");
                }
            }
            1 => {
                signal(recorder, "STOP");
                for process in job.traced.processes() {
                    signal(process, "KILL");
                }
                signal(recorder, "KILL");
            }
            // The whole job, as a batch system does it.
            _ => assert!(signal_group(recorder, "KILL"), "{what}"),
        }
        let outcome;
        (traced, outcome) = job.end(&what);
        if number % 3 == 0 {
            assert_eq!(outcome.status, Some(128 + 9), "{what}: {outcome}");
        }
    }
}

impl Job {
    /// Starts recorder and program in a process group of their own.
    fn begin(traced: Traced, what: &str) -> Self {
        let counts = counts_file(&traced);
        for name in ["recording", "recording.live"] {
            let _ = fs::remove_file(traced.file(name));
        }
        let mut command = traced.record(&traced.file("recording"), &["--when-full", "wait"]);
        command.arg(traced.file("counts")).args(["never", "0"]);
        command.process_group(0);
        let running = start(&mut command, b"");
        let job = Self {
            traced,
            running,
            counts,
        };
        job.wait_for(1, what);
        job
    }

    /// Until it has made so many calls.
    fn wait_for(&self, calls: u64, what: &str) {
        let arrives = || counted(&self.counts).entered >= calls;
        assert!(holds_within(LIMIT, arrives), "{what}: it doesn't run");
    }

    /// When all are dead: what was recorded is what was counted.
    fn end(self, what: &str) -> (Traced, Outcome) {
        let outcome = self.running.wait(LIMIT);
        let is_gone = || self.traced.processes().is_empty();
        assert!(holds_within(LIMIT, is_gone), "{what}: {outcome}");
        let counted = counted(&self.counts);
        check(&self.traced.file("recording"), counted, 1, what);
        (self.traced, outcome)
    }
}

/// The recording has the calls and returns that the program counted, `slack` more at most, in the right order.
#[track_caller]
fn check(recording: &std::path::Path, counted: Counts, slack: u64, what: &str) {
    let recording =
        Recording::open(recording).unwrap_or_else(|error| panic!("{what}: not readable: {error}"));
    // A recorder that was killed has not finished its file; more than that is a loss.
    let damage = recording
        .damage()
        .iter()
        .find(|damage| **damage != Damage::Unfinished);
    assert_eq!(damage, None, "{what}");
    let symbols = symbols_of(&recording);
    let [thread] = recording.threads() else {
        panic!("{what}: {} threads", recording.threads().len());
    };
    let index = |function: u64| -> usize {
        let ProcessSerial(process) = thread.process;
        let symbol = symbols.name(process, function);
        let name = symbol.map(|symbol| symbol.name.to_string());
        let known = FUNCTIONS
            .iter()
            .position(|known| name.as_deref() == Some(*known));
        known.unwrap_or_else(|| panic!("{what}: unknown function {function:#x}, {name:?}"))
    };
    let mut known = std::collections::BTreeMap::new();
    let mut index = |function| *known.entry(function).or_insert_with(|| index(function));
    let mut events = Vec::new();
    for event in recording.events(thread.serial) {
        match event.kind {
            Kind::Call(function) => events.push(Event::Call(index(function))),
            Kind::Return(function) => events.push(Event::Return(index(function))),
            Kind::ThreadEnd | Kind::Values(_) => {}
            other => panic!("{what}: {other:?} after {} events", events.len()),
        }
    }
    let calls = events
        .iter()
        .filter(|event| matches!(event, Event::Call(_)))
        .count() as u64;
    let returns = events.len() as u64 - calls;
    assert!(
        (counted.entered..=counted.entered + slack).contains(&calls),
        "{what}: {calls} calls recorded, {counted:?}"
    );
    assert!(
        (counted.left.saturating_sub(slack)..=counted.left).contains(&returns),
        "{what}: {returns} returns recorded, {counted:?}"
    );
    let expected = expected(events.len());
    let differs = events
        .iter()
        .zip(&expected)
        .position(|(is, should)| is != should);
    assert_eq!(
        differs,
        None,
        "{what}: first difference, of {} events",
        events.len()
    );
}

/// Readers of the command line say the same: the open calls are there, and all of them are counted.
#[track_caller]
fn readers_agree(traced: &Traced, counted: Counts, what: &str) {
    let recording = traced.file("recording");
    let tree = traced.tree(&recording);
    let open = tree
        .lines()
        .filter(|line| line.ends_with("[still open]"))
        .count() as u64;
    assert_eq!(open, counted.entered - counted.left, "{what}");
    let last = tree.lines().last().unwrap_or_default();
    assert!(
        last.ends_with("[still open]"),
        "{what}: the innermost is last: {last:?}"
    );
    must(umbel(&["trace", "report"]).arg(recording));
}

/// The first events of the tree.
fn expected(count: usize) -> Vec<Event> {
    struct Full;
    fn call(
        function: usize,
        depth: i64,
        events: &mut Vec<Event>,
        count: usize,
    ) -> Result<(), Full> {
        let push = |event, events: &mut Vec<Event>| {
            if events.len() == count {
                return Err(Full);
            }
            events.push(event);
            Ok(())
        };
        push(Event::Call(function), events)?;
        let below: &[(usize, i64)] = match function {
            0 if depth > 1 => &[(1, depth - 1), (2, depth - 2)],
            1 if depth > 0 => &[(2, depth - 1)],
            2 if depth > 0 => &[(0, depth - 1), (1, depth - 1)],
            _ => &[],
        };
        for &(function, depth) in below {
            call(function, depth, events, count)?;
        }
        push(Event::Return(function), events)
    }
    let mut events = Vec::with_capacity(count);
    while call(0, 9, &mut events, count).is_ok() {}
    events
}

fn counts_file(traced: &Traced) -> File {
    let path = traced.file("counts");
    fs::write(&path, [0; 4096]).expect("the folder is writable");
    File::open(path).expect("it was written above")
}

fn counted(file: &File) -> Counts {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, 0)
        .expect("the file holds a page");
    let word = |from: usize| {
        let bytes = bytes[from..from + 8].try_into().expect("eight bytes");
        u64::from_ne_bytes(bytes)
    };
    Counts {
        entered: word(0),
        left: word(8),
    }
}

fn signal_group(leader: u32, name: &str) -> bool {
    let mut kill = std::process::Command::new("sh");
    kill.args(["-c", &format!("kill -{name} -{leader}")]);
    kill.status().is_ok_and(|status| status.success())
}

fn seed() -> u64 {
    if let Ok(seed) = std::env::var("UMBEL_KILL_SEED") {
        return seed.parse().expect("UMBEL_KILL_SEED is a number");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or(Duration::ZERO).as_nanos() as u64 | 1
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

const FUNCTIONS: [&str; 3] = ["first", "second", "third"];
