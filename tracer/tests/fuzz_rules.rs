//! Fuzzing of what users type: filter rules, and lines of the control socket. Whatever the text, no panic and no endless loop; an
//! error points into the text; what is accepted means the same when it is read again.
//!
//! A short run of a fixed seed is an ordinary test. `cargo xtask fuzz --seconds N` runs longer with a new seed, through
//! `UMBEL_FUZZ_SECONDS` and `UMBEL_FUZZ_SEED`.

mod recordings;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use recordings::{Random, Temporary};
use umbel_trace_ring::plan::Until;
use umbel_tracer::filter::{Filter, Function, Names, Rule};
use umbel_tracer::record::{Control, REQUEST_BYTES_MAX, Request, Spot};
use umbel_tracer::trigger::Trigger;

const SEED: u64 = 0x2010_0902;
/// Rounds of the short run: a second of an unoptimized build.
const SHORT_ROUNDS: u64 = 400;

#[test]
fn any_rules_are_a_filter_or_an_error_that_points_into_them() {
    let (mut accepted, mut refused) = (0, 0);
    rounds("rules", |random| {
        let text = mutate(&rules(random), random);
        match Filter::parse(&text) {
            Ok(filter) => {
                accepted += 1;
                let texts: Vec<&str> = filter.rules().map(Rule::text).collect();
                let mut again = Filter::parse(&texts.join("\n"))
                    .unwrap_or_else(|error| panic!("{texts:?} was accepted: {error}"));
                if filter.traces_system() {
                    again.trace_system();
                }
                for name in ["f", "_ZN1a1fEi", "_ZNSt6vectorIiSaIiEE4sizeEv", "x y", ""] {
                    assert_eq!(includes(&filter, name), includes(&again, name), "{text:?}");
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.message.is_empty(), "{text:?}");
                let columns = error.line.chars().count() + 1;
                assert!((1..=columns).contains(&error.column), "{text:?}: {error}");
            }
        }
    });
    assert!(accepted > 0 && refused > 0, "{accepted} and {refused}");
}

#[test]
fn any_triggers_are_read_or_refused_where_they_are_wrong() {
    let (mut accepted, mut refused) = (0, 0);
    rounds("triggers", |random| {
        let text = mutate(&trigger(random), random);
        match Trigger::parse(&text) {
            Ok(trigger) => {
                accepted += 1;
                assert_eq!(
                    Trigger::parse(&trigger.to_string()),
                    Ok(trigger),
                    "{text:?}"
                );
            }
            Err(error) => {
                refused += 1;
                assert!(!error.message.is_empty(), "{text:?}");
                let columns = text.chars().count() + 1;
                assert!((1..=columns).contains(&error.column), "{text:?}: {error}");
            }
        }
    });
    assert!(accepted > 0 && refused > 0, "{accepted} and {refused}");
}

/// Triggers as the language has them.
fn trigger(random: &mut Random) -> String {
    let conditions = [
        "f.n > 1000",
        "f.path == \"x.db\"",
        "f.p->name != \"*.[ch]\"",
        "f.s == /^(get|set)_[a-z]+$/i",
        "f.s == /a{3,5}(b|c)*\\x41/",
        "f returns == \"{a,b}?\\n\"",
        "f.flags.mode == ns::Mode::FAST",
        "f.*p[3] <= -1.5e3",
        "not f.c == 'x'",
        "depth < 5",
        "thread == \"w*\"",
    ];
    let joints = [" and ", " or ", ") and (", " and not "];
    let mut text = "when (".to_owned();
    for _ in 0..1 + random.below(4) {
        text += conditions[random.below(conditions.len())];
        text += joints[random.below(joints.len())];
    }
    text += conditions[random.below(conditions.len())];
    text += ") then ";
    text += [
        "stop",
        "mark \"a\"",
        "snapshot, core after 1 s",
        "enable g*",
    ][random.below(4)];
    text
}

#[test]
fn any_bytes_at_the_control_socket_are_answered_line_by_line() {
    let place = Temporary::new("fuzz-control");
    let mut control = Control::listen(&place.0).expect("nobody else is there");
    let (mut answered, mut cut_off) = (0, 0);
    rounds("requests", |random| {
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(5) {
            bytes.extend(mutate(&request(random), random).bytes());
            bytes.push(b'\n');
        }
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        if random.below(20) == 0 {
            bytes.splice(0..0, vec![b'x'; REQUEST_BYTES_MAX + random.below(5000)]);
        }
        bytes.push(b'\n');
        let mut stream = UnixStream::connect(&place.0).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        let mut asked = Vec::new();
        let mut answers = Vec::new();
        let mut rest = &bytes[..];
        let mut is_open = true;
        while is_open && (!rest.is_empty() || ends(&answers) < lines(&bytes)) {
            // So few that there is room for the answers: who doesn't read them is hung up on.
            let count = rest.len().min(1 + random.below(150));
            match stream.write(&rest[..count]) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Hung up on, for a line without end.
                Err(_) => is_open = false,
            }
            control.serve(|request| {
                asked.push(request);
                Ok(vec!["fine".into()])
            });
            is_open &= read(&mut stream, &mut answers);
        }
        // Every request that was handed on is one that its own words give again.
        for request in asked {
            assert_eq!(Request::parse(&words(&request)), Ok(request));
        }
        match is_open {
            true => answered += ends(&answers),
            false => {
                let end = String::from_utf8_lossy(&answers).into_owned();
                assert!(
                    end.ends_with("bytes\n"),
                    "hung up on without a reason: {end}"
                );
                cut_off += 1;
            }
        }
    });
    assert!(answered > 0 && cut_off > 0, "{answered} and {cut_off}");
}

/// What is there; whether more may come.
fn read(stream: &mut UnixStream, answers: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => answers.extend_from_slice(&bytes[..count]),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// Answers that are whole: their last lines have no blank in front.
fn ends(answers: &[u8]) -> usize {
    let whole = answers.split_inclusive(|&byte| byte == b'\n');
    whole
        .filter(|line| line.ends_with(b"\n") && !line.starts_with(b" "))
        .count()
}

fn words(request: &Request) -> String {
    match request {
        Request::On => "on".into(),
        Request::Off => "off".into(),
        Request::Add(rules) => format!("filter add {rules}"),
        Request::Remove(rule) => format!("filter del {rule}"),
        Request::Clear => "filter clear".into(),
        Request::List => "filter list".into(),
        Request::SetTrigger(trigger) => format!("trigger set {trigger}"),
        Request::RemoveTrigger(which) => format!("trigger del {which}"),
        Request::ClearTriggers => "trigger clear".into(),
        Request::ListTriggers => "trigger list".into(),
        Request::AddArgs(rules) => format!("args set {rules}"),
        Request::RemoveArgs(rule) => format!("args del {rule}"),
        Request::ClearArgs => "args clear".into(),
        Request::ListArgs => "args list".into(),
        Request::Status => "status".into(),
        Request::Snapshot(wishes) if wishes.core => "snapshot core".into(),
        Request::Snapshot(wishes) if wishes.dumps.is_empty() => "snapshot".into(),
        Request::Snapshot(wishes) => format!("snapshot dump {}", wishes.dumps.join(";")),
        Request::Threads => "threads".into(),
        Request::Continue(tid) => with_thread("continue", *tid),
        Request::StopThreads(None) => "stop all".into(),
        Request::StopThreads(tid) => with_thread("stop", *tid),
        Request::Step(tid, Until::Event) => with_thread("step", *tid),
        Request::Step(tid, Until::Level) => with_thread("next", *tid),
        Request::Step(tid, Until::Return | Until::Never) => with_thread("finish", *tid),
        Request::Backtrace(tid) => with_thread("bt", *tid),
        Request::Print(spot, path) => format!("print {} {path}", at(spot)),
        Request::Assign { spot, path, value } => format!("set {} {path} = {value}", at(spot)),
        Request::Dump(spot, what) => format!("dump {} {what}", at(spot)),
        Request::Notify => "notify".into(),
        Request::Stop => "stop".into(),
    }
}

fn with_thread(verb: &str, tid: Option<u32>) -> String {
    tid.map_or_else(|| verb.into(), |tid| format!("{verb} {tid}"))
}

fn at(spot: &Spot) -> String {
    let tid = spot.tid.map_or_else(|| "-".into(), |tid| tid.to_string());
    format!("{tid}#{}", spot.frame)
}

fn request(random: &mut Random) -> String {
    let words = [
        "on",
        "off",
        "status",
        "snapshot",
        "stop",
        "stop all",
        "step",
        "next 17",
        "bt",
        "print - p->next[2..5]",
        "print 17#1 n",
        "set - c = '='",
        "dump - 0x10+16",
        "snapshot core",
        "snapshot dump p; 0x10+16",
        "notify",
        "filter list",
        "filter clear",
        "filter del 1",
        "filter del parse_*",
        "args f:a,b.c",
        "args list",
        "args clear",
        "args del 1",
        "trigger list",
        "trigger clear",
        "trigger del 1",
        "trigger set when f.n > 1000 then mark \"large\"",
    ];
    match random.below(2) {
        0 => words[random.below(words.len())].into(),
        _ => format!("filter add {}", rules(random)),
    }
}

/// Rules as the language has them.
fn rules(random: &mut Random) -> String {
    let parts = [
        "main",
        "parse_*",
        "ns::Type::operator()",
        "_ZN1a1fEi",
        "/^(get|set)_[a-z]+$/i",
        "/(a|b)*c{1,3}/",
        "[a-f]?x",
        "{read,write}_all",
        "file:*.c",
        "file:src/**/x.h",
        "lib:libz*",
        "lib:program",
        "depth:3",
        "at-least:10us",
        "at-least:1.5ms",
        "thread:worker*",
        "thread:42",
        "with-system",
        "# a remark",
    ];
    let mut text = String::new();
    for _ in 0..1 + random.below(5) {
        text += ["", "!", "-", " "][random.below(4)];
        text += parts[random.below(parts.len())];
        if random.below(4) == 0 {
            text += " & ";
            text += parts[random.below(parts.len())];
        }
        text += [";", "\n", "; ", ""][random.below(4)];
    }
    text
}

/// Some changes, half of the time none.
fn mutate(whole: &str, random: &mut Random) -> String {
    let mut signs: Vec<char> = whole.chars().collect();
    let special: Vec<char> = "!-/&;:#*?[]{}()\\+|^$., \t\0\n\u{e9}\u{202e}\u{1f600}9z"
        .chars()
        .collect();
    for _ in 0..random.below(2) * random.below(6) {
        let at = random.below(signs.len());
        match random.below(4) {
            0 if at < signs.len() => signs[at] = special[random.below(special.len())],
            1 if at < signs.len() => {
                signs.remove(at);
            }
            2 => {
                let from = random.below(signs.len());
                let part = signs[from..signs.len().min(from + random.below(20))].to_vec();
                // Also nested deeply, and long.
                let count = [1, 1, 1, 200][random.below(4)];
                for _ in 0..count {
                    signs.splice(at..at, part.iter().copied());
                }
            }
            _ => signs.insert(at, special[random.below(special.len())]),
        }
    }
    signs.into_iter().collect()
}

fn includes(filter: &Filter, name: &str) -> bool {
    filter.includes(&mut Function {
        names: &[Names::new(name)],
        module: Path::new("/home/ada/prog"),
        is_program: true,
        source: &mut || Some("src/a/x.h".into()),
    })
}

/// Runs `round` for as long as is asked for.
fn rounds(what: &str, mut round: impl FnMut(&mut Random)) {
    let number = |variable: &str| -> Option<u64> {
        let text = std::env::var(variable).ok()?;
        let value = text.parse().map_err(|error| format!("{variable}: {error}"));
        Some(value.expect("a decimal number"))
    };
    let seed = number("UMBEL_FUZZ_SEED").unwrap_or(SEED);
    let seconds = number("UMBEL_FUZZ_SECONDS");
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let long = seconds.map(|seconds| format!("UMBEL_FUZZ_SECONDS={seconds} "));
    let long = long.unwrap_or_default();
    println!("replay: UMBEL_FUZZ_SEED={seed} {long}cargo test -p umbel-tracer --test fuzz_rules");
    let mut random = Random::new(seed);
    let mut count = 0;
    while count < SHORT_ROUNDS || end.is_some_and(|end| Instant::now() < end) {
        round(&mut random);
        count += 1;
    }
    println!("{what}: {count} rounds");
}
