//! `umbel trace stuck`: stacks of programs that run on, as if nobody had looked.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use umbel_tests::cluster::{holds_within, new_folder, signal, start, umbel};
use umbel_tracer::stuck::text::Text;
use umbel_tracer::stuck::{Error, Limits, Named, Report, Seen, State, Thread, Wishes, look};

/// Machines under test are busy.
const LIMIT: Duration = Duration::from_secs(60);

const WISHES: Wishes = Wishes {
    frames: 64,
    limits: Some(LIMITS),
    never_stop: false,
};

const LIMITS: Limits = Limits {
    follow: 1,
    elements: 16,
    text: 64,
    values: 4096,
};

/// `tests/programs/trace/stuck/places.c`, compiled and started.
struct Places {
    child: Child,
    folder: PathBuf,
}

impl Places {
    #[track_caller]
    fn start(flags: &[&str], launcher: impl FnOnce(&Path) -> Command) -> Self {
        let folder = new_folder();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/trace/stuck/places.c");
        let program = folder.join("places");
        let mut gcc = Command::new("gcc");
        gcc.args(["-Wall", "-Wextra", "-pthread", "-o"])
            .arg(&program);
        let compiled = gcc.args(flags).arg(&source).status();
        assert!(compiled.is_ok_and(|status| status.success()), "{gcc:?}");
        let text = folder.join("text");
        fs::write(&text, "a line of text\n".repeat(100)).expect("a new folder is writable");
        let mut command = launcher(&program);
        command
            .arg(&text)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().expect("the program was just compiled");
        Self { child, folder }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The processes that its launcher started.
    fn children(&self) -> Vec<i32> {
        let file = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = fs::read_to_string(file).unwrap_or_default();
        let pids = text.split_whitespace();
        pids.filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Looks until all threads are where they stay.
    #[track_caller]
    fn look(&self, wishes: &Wishes, is_there: impl Fn(&Report) -> bool) -> Report {
        let mut seen = None;
        holds_within(LIMIT, || {
            seen = look(self.pid(), wishes).ok();
            seen.as_ref().is_some_and(&is_there)
        });
        let seen = seen.expect("the process runs");
        assert!(is_there(&seen), "{}", Text(&seen));
        seen
    }

    /// Lets it end; what it says.
    fn end(mut self) -> String {
        let input = self.child.stdin.as_mut().expect("stdin is a pipe");
        input.write_all(b"x").expect("it reads");
        let output = self.child.stdout.take().expect("stdout is a pipe");
        let lines: Vec<String> = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .collect();
        lines.join("\n")
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        signal(self.child.id(), "KILL");
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn functions(thread: &Thread) -> Vec<&str> {
    let names = thread.frames.iter().map(|frame| frame.function.as_deref());
    names.map(|name| name.unwrap_or("?")).collect()
}

/// The thread of this name.
fn thread<'a>(report: &'a Report, name: &str) -> Option<&'a Thread> {
    report.threads.iter().find(|thread| thread.name == name)
}

/// Its functions have these among them, in this order.
fn has(report: &Report, name: &str, wanted: &[&str]) -> bool {
    let Some(thread) = thread(report, name) else {
        return false;
    };
    let mut names = functions(thread).into_iter();
    wanted
        .iter()
        .all(|wanted| names.any(|name| name == *wanted))
}

/// Each thread is where it stays.
fn is_settled(report: &Report) -> bool {
    let four = ["waits_for_events"; 4];
    has(report, "places", &["main"])
        && has(report, "spinning", &["spins", "spinning"])
        && has(
            report,
            "waiting",
            &[&["epoll_wait"], &four[..], &["waiting"]].concat(),
        )
        && has(report, "blocking", &["waits_for_semaphore", "blocking"])
        && has(
            report,
            "handling",
            &[
                "pause",
                "handles",
                "<signal handler called>",
                "is_interrupted",
                "handling",
            ],
        )
        && has(report, "sorting", &["sleeps", "sorting"])
}

/// `n=5`, of all variables that the text shows in one line.
fn shown(variables: &[Named]) -> Vec<String> {
    let one = |one: &Named| format!("{}={}", one.name, one.value);
    variables.iter().map(one).collect()
}

/// What the variables of the functions hold, also of those that may not be stopped.
fn check_values(report: &Report) {
    let waiting = thread(report, "waiting").expect("it was found");
    for (below, frame) in waiting.frames[1..5].iter().enumerate() {
        let arguments = shown(&frame.arguments);
        assert_eq!(arguments[0], format!("below={below}"), "{}", Text(report));
        assert!(arguments[1].ends_with("\"text\""), "{arguments:?}");
        assert_eq!(shown(&frame.locals)[0], format!("room=\"text{below}\""));
    }
    let spinning = thread(report, "spinning").expect("it was found");
    assert_eq!(shown(&spinning.frames[0].arguments), ["from=7"]);
    let sorting = thread(report, "sorting").expect("it was found");
    let mut frames = sorting.frames.iter();
    let caller = frames.find(|frame| frame.function.as_deref() == Some("sorting"));
    let locals = shown(&caller.expect("it was found").locals);
    assert!(locals.contains(&"numbers={2, 1}".to_owned()), "{locals:?}");
}

fn plain(program: &Path) -> Command {
    Command::new(program)
}

#[test]
fn all_threads_are_seen_and_none_notices() {
    for flags in [["-g", "-O0"], ["-g", "-fno-optimize-sibling-calls"]] {
        let places = Places::start(&flags, plain);
        let report = places.look(&WISHES, is_settled);
        for thread in &report.threads {
            assert_eq!(thread.cut, None, "{flags:?}: {thread:#?}");
            let last = functions(thread).pop();
            assert!(
                matches!(last, Some("_start" | "clone3" | "__clone" | "clone")),
                "{thread:#?}"
            );
        }
        let spins = thread(&report, "spinning").expect("it was found");
        assert!(matches!(spins.seen, Seen::Stopped(_)), "{spins:#?}");
        assert_eq!(spins.state, State::Running);
        let place = spins.frames[0].place.as_ref().expect("-g");
        assert!(
            place.file.ends_with("places.c") && (20..26).contains(&place.line),
            "{place:?}"
        );
        for (name, call) in [("waiting", "epoll_wait"), ("blocking", "semop")] {
            let blocked = thread(&report, name).expect("it was found");
            let in_call = matches!(&blocked.state, State::Blocked { call: seen, .. } if seen.starts_with(call) || seen.ends_with(call) || seen == "semtimedop");
            assert!(in_call, "{blocked:#?}");
            assert_eq!(blocked.seen, Seen::Asleep, "its call would fail");
        }
        if flags.contains(&"-O0") {
            check_values(&report);
        }
        let text = report.files.first().expect("it has files open");
        assert!(
            text.name.ends_with("/text") && text.is_in_work(),
            "{text:?}"
        );
        assert_eq!((text.position, text.size), (64, Some(1500)));
        for _ in 0..3 {
            look(places.pid(), &WISHES).expect("the process runs");
        }
        assert_eq!(places.end(), "0 failures");
    }
}

#[test]
fn without_symbols_there_are_addresses_and_the_stack_all_the_same() {
    let places = Places::start(&["-O2", "-s"], plain);
    let report = places.look(&WISHES, |report| {
        let depth = |name| thread(report, name).map_or(0, |thread| thread.frames.len());
        depth("spinning") == 4 && depth("waiting") >= 4 && depth("places") >= 4
    });
    let spins = thread(&report, "spinning").expect("it was found");
    assert_eq!(functions(spins)[..2], ["?", "?"], "{spins:#?}");
    assert_eq!(spins.cut, None);
    assert_eq!(spins.frames[0].module, Some(places.folder.join("places")));
    assert_eq!(places.end(), "0 failures");
}

#[test]
fn nobody_is_stopped_who_must_not_be() {
    let places = Places::start(&["-g", "-O0"], plain);
    let wishes = Wishes {
        never_stop: true,
        ..WISHES
    };
    let report = places.look(&wishes, |report| {
        has(
            report,
            "waiting",
            &[
                "epoll_wait",
                "waits_for_events",
                "waits_for_events",
                "waiting",
            ],
        )
    });
    let spins = thread(&report, "spinning").expect("it was found");
    assert!(spins.frames.is_empty() && spins.cut.is_some(), "{spins:#?}");
    let stopped = report
        .threads
        .iter()
        .any(|thread| matches!(thread.seen, Seen::Stopped(_)));
    assert!(!stopped, "{report:#?}");
    assert_eq!(places.end(), "0 failures");
}

#[test]
fn a_program_whose_file_was_removed_is_seen() {
    let places = Places::start(&["-g", "-O0"], plain);
    fs::remove_file(places.folder.join("places")).expect("it was compiled");
    places.look(&WISHES, is_settled);
    assert_eq!(places.end(), "0 failures");
}

#[test]
fn a_process_that_a_debugger_has_is_seen_as_far_as_it_sleeps() {
    let gdb = |program: &Path| {
        let mut command = Command::new("gdb");
        command
            .args([
                "-nx",
                "-q",
                "-batch",
                "-ex",
                "handle SIGUSR1 nostop noprint pass",
                "-ex",
                "run",
                "--args",
            ])
            .arg(program);
        command
    };
    let places = Places::start(&["-g", "-O0"], gdb);
    let mut debugged = None;
    holds_within(LIMIT, || {
        let reports = places.children().into_iter();
        debugged = reports
            .filter_map(|pid| look(pid, &WISHES).ok())
            .find(|report| {
                has(
                    report,
                    "waiting",
                    &["epoll_wait", "waits_for_events", "waiting"],
                )
            });
        debugged.is_some()
    });
    let report = debugged.expect("gdb runs the program");
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.contains("debugger")),
        "{report:#?}"
    );
    places.end();
}

#[test]
fn of_a_traced_program_it_says_since_when() {
    let record = |program: &Path| {
        let mut command = umbel(&["trace", "record", "-o"]);
        command
            .arg(program.with_file_name("recording"))
            .arg(program);
        command
    };
    let places = Places::start(&["-g", "-O2", "-finstrument-functions"], record);
    let recording = places.folder.join("recording");
    let mut found = None;
    holds_within(LIMIT, || {
        let reports = places.children().into_iter();
        found = reports
            .filter_map(|pid| look(pid, &WISHES).ok())
            .find(|report| is_settled(report) && report.recording.is_some());
        found.is_some()
    });
    let report = found.expect("the program runs");
    assert_eq!(report.recording, Some(recording), "{}", Text(&report));
    for name in ["places", "spinning", "waiting", "blocking", "handling"] {
        let thread = thread(&report, name).expect("it was found");
        let known = thread.frames.iter().filter_map(|frame| frame.since);
        let times: Vec<Duration> = known.collect();
        assert!(!times.is_empty(), "{name}: {}", Text(&report));
        assert!(
            times.is_sorted(),
            "who called was there before: {}",
            Text(&report)
        );
    }
    let waiting = thread(&report, "waiting").expect("it was found");
    let traced = waiting.frames[1..6]
        .iter()
        .all(|frame| frame.since.is_some());
    assert!(traced, "{}", Text(&report));
    assert!(places.end().ends_with("0 failures"));
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    assert!(matches!(look(i32::MAX, &WISHES), Err(Error::None(_))));
    let ended = start(&mut umbel(&["trace", "stuck", "2147483647"]), b"").wait(LIMIT);
    assert_eq!(ended.status, Some(125), "{ended}");
    assert!(
        ended.stderr.contains("there is no process 2147483647"),
        "{ended}"
    );
    let wrong = start(&mut umbel(&["trace", "stuck", "zero"]), b"").wait(LIMIT);
    assert_eq!(wrong.status, Some(2), "{wrong}");
}

#[test]
fn another_users_process_is_refused() {
    // SAFETY: geteuid has no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let mut command = umbel(&["trace", "stuck"]);
    let places = Places::start(&["-O2"], plain);
    if is_root {
        // nobody looks at root's.
        command.arg(places.pid().to_string()).uid(65534).gid(65534);
    } else {
        command.arg("1");
    }
    let refused = start(&mut command, b"").wait(LIMIT);
    assert_eq!(refused.status, Some(125), "{refused}");
    assert!(refused.stderr.contains("doesn't let you look"), "{refused}");
}

#[test]
fn json_has_what_the_text_has() {
    let places = Places::start(&["-g", "-O0"], plain);
    places.look(&WISHES, is_settled);
    let mut command = umbel(&["trace", "stuck", "--json"]);
    let outcome = start(command.arg(places.pid().to_string()), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let threads = report["threads"].as_array().expect("threads");
    let waiting = threads
        .iter()
        .find(|thread| thread["name"] == "waiting")
        .expect("it is there");
    assert_eq!(waiting["frames"][1]["function"], "waits_for_events");
    assert_eq!(waiting["stopped_ns"], serde_json::Value::Null);
    assert_eq!(report["files"][0]["in_work"], true);
}
