//! The recorder on real programs: filters, switches while threads run, families of processes, refusals, leftovers.
//!
//! What must be in a recording is counted by the programs themselves (tests/programs/trace/record).

mod chosen;
mod cores;
mod debug;
mod hard;
mod kept;
mod places;
mod probes;
mod registers;
mod snapshots;
mod texts;
mod triggers;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use umbel_tests::cluster::{LIMIT, Outcome, holds_within, signal, start, umbel};
use umbel_tracer::recording::{Began, Ended, Kind, Recording};
use umbel_tracer::view::story::symbols_of;

/// A program in a folder of its own, which goes with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("umbel-record-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the folder for temporary files is writable");
        Self { path }
    }

    /// Compiles `tests/programs/trace/record/NAME.c`, or `NAME.cc`.
    fn compile(name: &str, flags: &[&str]) -> Self {
        let folder = Self::new();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/trace/record");
        let (c, cc) = (format!("{name}.c"), format!("{name}.cc"));
        let (compiler, source) = match sources.join(&cc).exists() {
            true => ("g++", sources.join(cc)),
            false => ("gcc", sources.join(c)),
        };
        let status = Command::new(compiler)
            .args(["-g", "-O2", "-finstrument-functions", "-pthread", "-o"])
            .args([&folder.program(), &source])
            .args(flags)
            .status()
            .expect("gcc can be started");
        assert!(status.success(), "{compiler} {name} {flags:?}");
        folder
    }

    /// Runs a shell script in the folder; what it mounts only it sees.
    fn run_mounting(&self, script: &str) -> Outcome {
        let mut command = Command::new("unshare");
        // Root of its own where we aren't root.
        command.args(if hard::is_root() {
            &["-m"][..]
        } else {
            &["-r", "-m"]
        });
        command.args(["sh", "-c", script]).current_dir(&self.path);
        command.env("UMBEL", umbel(&[]).get_program());
        start(&mut command, b"").wait(LIMIT)
    }

    fn program(&self) -> PathBuf {
        self.path.join("program")
    }

    fn recording(&self) -> PathBuf {
        self.path.join("a.trace")
    }

    /// `umbel trace record OPTIONS program ARGUMENTS`
    fn command(&self, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = umbel(&["trace", "record", "-o"]);
        command
            .arg(self.recording())
            .args(options)
            .arg(self.program())
            .args(arguments);
        command.current_dir(&self.path);
        command
    }

    #[track_caller]
    fn record(&self, options: &[&str], arguments: &[&str]) -> Outcome {
        let outcome = start(&mut self.command(options, arguments), b"").wait(LIMIT);
        assert!(!outcome.timed_out, "{outcome}");
        outcome
    }

    /// `umbel trace ctl WORDS`: its lines.
    #[track_caller]
    fn ctl(&self, words: &[&str]) -> String {
        let mut command = umbel(&["trace", "ctl", "-s"]);
        let outcome = start(command.arg(self.recording()).args(words), b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(0), "ctl {words:?}: {outcome}");
        outcome.stdout
    }

    /// Calls of each function, and when each was.
    #[track_caller]
    fn calls(&self) -> BTreeMap<String, Vec<u64>> {
        let recording = Recording::open(&self.recording()).expect("there is a recording");
        let symbols = symbols_of(&recording);
        let mut calls: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for thread in recording.threads() {
            for event in recording.events(thread.serial) {
                if let Kind::Call(address) = event.kind {
                    let symbol = symbols.name(thread.process.0, address);
                    let name = symbol.map_or_else(
                        || format!("{address:#x}"),
                        |symbol| symbol.demangled.to_string(),
                    );
                    calls.entry(name).or_default().push(event.ticks);
                }
            }
        }
        for ticks in calls.values_mut() {
            ticks.sort_unstable();
        }
        calls
    }

    #[track_caller]
    fn no_leftovers(&self) {
        let entries = fs::read_dir(&self.path).expect("it is there").flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        let left = names
            .iter()
            .filter(|name| name.to_string_lossy().contains(".live"));
        assert_eq!(left.count(), 0, "{names:?}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A recorded program that runs until its standard input ends.
struct Running<'a> {
    folder: &'a Folder,
    child: Child,
    input: Option<ChildStdin>,
}

impl<'a> Running<'a> {
    #[track_caller]
    fn start(folder: &'a Folder, options: &[&str]) -> Self {
        Self::start_with(folder, options, &[])
    }

    #[track_caller]
    fn start_with(folder: &'a Folder, options: &[&str], arguments: &[&str]) -> Self {
        let mut command = folder.command(options, arguments);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the staged umbel can be started");
        let input = child.stdin.take();
        let running = Self {
            folder,
            child,
            input,
        };
        // The program has told of itself.
        assert!(
            holds_within(LIMIT, || {
                let mut command = umbel(&["trace", "ctl", "-s"]);
                let status = start(command.arg(folder.recording()).arg("status"), b"").wait(LIMIT);
                status.stdout.contains("  functions: ")
            }),
            "no session answers"
        );
        running
    }

    /// Ends it; what it wrote.
    #[track_caller]
    fn end(mut self) -> String {
        drop(self.input.take());
        let mut text = String::new();
        let mut output = self.child.stdout.take().expect("it is a pipe");
        output.read_to_string(&mut text).expect("it is text");
        let status = self.child.wait().expect("nobody else waits for it");
        assert_eq!(status.code(), Some(0));
        self.folder.no_leftovers();
        text
    }

    /// Sleeps until the program has gone on for some rounds.
    #[track_caller]
    fn rounds(&self) {
        // 4 threads at 200 us a round: the condition is the recording's growth, or with nothing recorded its own time.
        let begin = Instant::now();
        assert!(holds_within(LIMIT, || begin.elapsed() > Duration::from_millis(60)));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.input.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn counts(output: &str) -> (usize, usize) {
    let mut numbers = output
        .split_whitespace()
        .map(|word| word.parse().expect("it is a number"));
    let mut next = || numbers.next().expect("there are two");
    (next(), next())
}

fn count(calls: &BTreeMap<String, Vec<u64>>, name: &str) -> usize {
    calls.get(name).map_or(0, Vec::len)
}

#[test]
fn everything_is_recorded_and_filters_exclude_exactly() {
    let folder = Folder::compile("workers", &[]);
    for patching in [&[][..], &["--no-patch"]] {
        for (filter, outer, inner, inlined) in [
            (&[][..], true, true, true),
            (&["-x", "inner"], true, false, true),
            (&["--filter", "inner; inlined"], false, true, true),
            (&["--filter", "/^in/", "-x", "inlined"], false, true, false),
            (
                &["--filter", "file:workers.c", "-x", "in*"],
                true,
                false,
                false,
            ),
            (&["-x", "lib:program"], false, false, false),
        ] {
            let options = [filter, patching].concat();
            let outcome = folder.record(&options, &["500"]);
            assert_eq!(outcome.status, Some(0), "{options:?}: {outcome}");
            let (outers, inners) = counts(&outcome.stdout);
            assert_eq!((outers, inners), (2000, 2000));
            let calls = folder.calls();
            let expected = |is_there: bool, number| if is_there { number } else { 0 };
            assert_eq!(
                count(&calls, "outer"),
                expected(outer, outers),
                "{options:?}: {outcome}"
            );
            assert_eq!(
                count(&calls, "inner"),
                expected(inner, inners),
                "{options:?}: {outcome}"
            );
            assert_eq!(
                count(&calls, "inlined"),
                expected(inlined, inners),
                "{options:?}: {outcome}"
            );
            assert!(outcome.stderr.contains("; 0 lost"), "{outcome}");
            folder.no_leftovers();
        }
    }
}

#[test]
fn filters_change_while_threads_call_and_are_in_force_when_the_command_returns() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &[]);
    running.rounds();
    folder.ctl(&["filter", "add", "-inner"]);
    let changed = umbel_clock();
    running.rounds();
    let back = umbel_clock();
    folder.ctl(&["filter", "del", "-inner"]);
    running.rounds();
    folder.ctl(&["off"]);
    let off = umbel_clock();
    running.rounds();
    let on = umbel_clock();
    folder.ctl(&["on"]);
    running.rounds();
    let (outers, inners) = counts(&running.end());
    assert_eq!(outers, inners);
    let calls = folder.calls();
    let recording = Recording::open(&folder.recording()).expect("there is a recording");
    let clock = recording.clock();
    let between = |name: &str, from: u64, until: u64| {
        let times = calls[name].iter().map(|&ticks| clock.monotonic_ns(ticks));
        times.filter(|time| (from..until).contains(time)).count()
    };
    assert!(between("inner", 0, changed) > 0);
    // A thread may have been in the middle of a hook.
    assert!(
        between("inner", changed, back) <= 4,
        "{}",
        between("inner", changed, back)
    );
    assert!(between("outer", changed, back) > 0);
    assert!(between("inner", back, off) > 0);
    assert!(between("outer", off, on) <= 4);
    assert!(between("outer", on, u64::MAX) > 0 && between("inner", on, u64::MAX) > 0);
}

fn umbel_clock() -> u64 {
    let time = nix_clock();
    u64::try_from(time).expect("the clock is positive")
}

fn nix_clock() -> i128 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec that the call fills.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(result, 0);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[test]
fn a_session_that_begins_off_records_from_the_moment_it_is_on() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &["--off"]);
    running.rounds();
    let status = folder.ctl(&["status"]);
    assert!(
        status.contains("tracing is off") && status.contains("events: 0,"),
        "{status}"
    );
    let sites = status
        .lines()
        .find(|line| line.contains("call sites: "))
        .expect("they were patched");
    let numbers: Vec<&str> = sites
        .split(|c: char| !c.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(
        numbers.len() == 2 && numbers[0] == numbers[1],
        "all are patched out: {status}"
    );
    folder.ctl(&["on"]);
    running.rounds();
    running.end();
    assert!(count(&folder.calls(), "outer") > 0);
}

#[test]
fn depth_duration_and_threads_are_judged_call_by_call() {
    let folder = Folder::compile("nested", &[]);
    let calls_with = |options: &[&str]| {
        let outcome = folder.record(options, &[]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let calls = folder.calls();
        ["main", "level1", "level2", "level3"].map(|name| count(&calls, name))
    };
    assert_eq!(calls_with(&[]), [1, 10, 10, 10]);
    assert_eq!(calls_with(&["--depth", "2"]), [1, 10, 0, 0]);
    assert_eq!(calls_with(&["--depth", "2", "-x", "level1"]), [1, 0, 10, 0]);
    assert_eq!(calls_with(&["--at-least", "1ms"]), [1, 2, 2, 2]);
    assert_eq!(calls_with(&["--thread", "program"]), [1, 10, 10, 10]);
    assert_eq!(calls_with(&["--thread", "-program"]), [0, 0, 0, 0]);
}

#[test]
fn forks_execs_and_grandchildren_that_outlive_the_first_are_recorded() {
    let folder = Folder::compile("family", &[]);
    let outcome = folder.record(&[], &[]);
    assert_eq!(outcome.status, Some(3), "{outcome}");
    let calls = folder.calls();
    for name in ["first", "child", "other", "last"] {
        assert_eq!(count(&calls, name), 1, "{name}: {outcome}");
    }
    let recording = Recording::open(&folder.recording()).expect("there is a recording");
    let began: Vec<Began> = recording
        .processes()
        .iter()
        .map(|process| process.began)
        .collect();
    assert_eq!(began, [Began::Start, Began::Fork, Began::Fork, Began::Exec]);
    let mut ends: Vec<_> = recording
        .process_ends()
        .iter()
        .map(|end| (end.process, end.ended))
        .collect();
    ends.sort_by_key(|end| end.0);
    assert_eq!(ends[0].1, Ended::Status(3));
    assert_eq!(ends[2].1, Ended::Exec, "{ends:?}");
    // What others' children ended with only newer kernels tell.
    assert!(
        matches!(ends[3].1, Ended::Status(5) | Ended::Unknown),
        "{ends:?}"
    );
    folder.no_leftovers();
}

#[test]
fn programs_that_cannot_be_traced_are_refused_with_advice() {
    for (flags, advice) in [
        (
            &["-fno-instrument-functions"][..],
            "gcc -g -O2 -finstrument-functions",
        ),
        (&["-static"], "linked statically"),
    ] {
        let folder = Folder::compile("nested", flags);
        let outcome = folder.record(&[], &[]);
        assert_eq!(outcome.status, Some(125), "{flags:?}: {outcome}");
        assert!(outcome.stderr.contains(advice), "{flags:?}: {outcome}");
        assert!(!folder.recording().exists(), "{flags:?}");
        folder.no_leftovers();
    }
    let folder = Folder::compile("nested", &[]);
    let mut command = umbel(&["trace", "record", "-o"]);
    let outcome = start(
        command.arg(folder.recording()).arg("./no-such-program"),
        b"",
    )
    .wait(LIMIT);
    assert_eq!(outcome.status, Some(127), "{outcome}");
    let outcome = folder.record(&["--filter", "lib:"], &[]);
    assert_eq!(outcome.status, Some(2), "{outcome}");
    assert!(
        outcome.stderr.contains("expected a library's name"),
        "{outcome}"
    );
}

#[test]
fn one_recording_has_one_recorder() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &[]);
    let second = folder.record(&[], &["1"]);
    assert_eq!(second.status, Some(125), "{second}");
    assert!(second.stderr.contains("is being recorded"), "{second}");
    assert!(holds_within(LIMIT, || !folder
        .ctl(&["status"])
        .contains("events: 0,")));
    running.end();
    assert!(count(&folder.calls(), "outer") > 0);
}

#[test]
fn a_flight_recorder_writes_when_it_is_asked() {
    let folder = Folder::compile("workers", &[]);
    let running = Running::start(&folder, &["--flight", "--buffer", "4M"]);
    running.rounds();
    let nothing = folder.ctl(&["status"]);
    assert!(nothing.contains("events: 0,"), "{nothing}");
    // A reader looks into the buffer too.
    assert!(count(&folder.calls(), "outer") > 0);
    folder.ctl(&["snapshot"]);
    assert!(holds_within(LIMIT, || !folder
        .ctl(&["status"])
        .contains("events: 0,")));
    let (outers, _) = counts(&running.end());
    assert_eq!(count(&folder.calls(), "outer"), outers);
}

#[test]
fn variables_alone_start_a_recorder() {
    let folder = Folder::compile("workers", &[]);
    let prefix = std::env::var_os("UMBEL_PREFIX").map(PathBuf::from);
    let library = umbel(&[]).get_program().to_owned();
    let library = prefix.unwrap_or_else(|| {
        let bin = Path::new(&library).parent();
        bin.and_then(Path::parent)
            .expect("bin has a folder")
            .to_owned()
    });
    let mut command = Command::new(folder.program());
    command
        .arg("500")
        .env("LD_PRELOAD", library.join("lib/umbel/libumbel_trace.so"))
        .env("UMBEL_TRACE_OUTPUT", folder.recording())
        .env("UMBEL_TRACE_FILTER", "outer; main");
    let outcome = start(&mut command, b"").wait(LIMIT);
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(0), "2000 2000\n"),
        "{outcome}"
    );
    // Its recorder ends after it.
    let left = ["a.trace.live", "a.trace.live.ctl"].map(|name| folder.path.join(name));
    assert!(holds_within(LIMIT, || !left
        .iter()
        .any(|path| path.exists())));
    let recording = Recording::open(&folder.recording()).expect("there is a recording");
    assert_eq!(recording.session().command[1..], ["500"]);
    let calls = folder.calls();
    assert_eq!(
        (
            count(&calls, "outer"),
            count(&calls, "main"),
            count(&calls, "inner")
        ),
        (2000, 1, 0),
        "{outcome}"
    );
}

#[test]
fn a_killed_recorder_leaves_the_program_alone_and_the_recording_readable() {
    let folder = Folder::compile("workers", &[]);
    let mut running = Running::start(&folder, &[]);
    running.rounds();
    assert!(signal(running.child.id(), "KILL"));
    running.child.wait().expect("nobody else waits for it");
    drop(running.input.take());
    let mut text = String::new();
    running
        .child
        .stdout
        .take()
        .expect("it is a pipe")
        .read_to_string(&mut text)
        .expect("it is text");
    let (outers, inners) = counts(&text);
    assert!(outers > 0 && outers == inners);
    let calls = folder.calls();
    assert!(count(&calls, "outer") > 0 && count(&calls, "outer") <= outers);
    // Who asks it finds out, and takes its socket away.
    let mut command = umbel(&["trace", "ctl", "-s"]);
    let asked = start(command.arg(folder.recording()).arg("status"), b"").wait(LIMIT);
    assert!(asked.stderr.contains("is dead"), "{asked}");
    assert!(!folder.path.join("a.trace.live.ctl").exists(), "{asked}");
    // The next recording takes the place of it.
    let outcome = folder.record(&[], &["10"]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert_eq!(count(&folder.calls(), "outer"), 40);
    folder.no_leftovers();
}
