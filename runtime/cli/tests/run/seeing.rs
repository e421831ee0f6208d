//! Timelines, reports, and the options about memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::launcher::{PATIENCE, Running, finish, scratch, umbel_run, until};

fn file(name: &str) -> PathBuf {
    scratch("seeing").join(name)
}

/// The events of a timeline, which must be one that viewers can open.
#[track_caller]
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("it was written");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error} in {}: {text:.200}", path.display());
    });
    let events = value["traceEvents"].as_array().expect("a list").clone();
    check(&events);
    events
}

/// Every event has what its phase needs, and slices of one thread nest.
#[track_caller]
fn check(events: &[Value]) {
    let mut rows = BTreeMap::<(u64, u64), Vec<(f64, f64)>>::new();
    let mut arrows = BTreeMap::<u64, Vec<&str>>::new();
    for event in events {
        let number = |key: &str| {
            event[key]
                .as_f64()
                .unwrap_or_else(|| panic!("{key}: {event}"))
        };
        assert!(number("pid") > 0.0, "{event}");
        match event["ph"].as_str().expect("a phase") {
            "M" => assert!(event["args"].is_object(), "{event}"),
            "X" => {
                let (start, length) = (number("ts"), number("dur"));
                assert!(start >= 0.0 && length >= 0.0, "{event}");
                let row = (number("pid") as u64, number("tid") as u64);
                rows.entry(row).or_default().push((start, start + length));
            }
            phase @ ("s" | "f") => {
                number("ts");
                arrows.entry(number("id") as u64).or_default().push(phase);
            }
            "i" => {}
            other => panic!("phase {other}: {event}"),
        }
    }
    for slices in rows.values_mut() {
        // The longer of two that begin together is the outer one.
        slices.sort_by(|a, b| (a.0, -a.1).partial_cmp(&(b.0, -b.1)).expect("numbers"));
        let mut open: Vec<(f64, f64)> = Vec::new();
        for slice in slices {
            open.retain(|outer| outer.1 > slice.0);
            let fits = open.last().is_none_or(|outer| slice.1 <= outer.1 + 0.002);
            assert!(fits, "{slice:?} reaches out of {open:?}");
            open.push(*slice);
        }
    }
    assert!(
        arrows.values().all(|ends| ends[..] == ["s", "f"]),
        "{arrows:?}"
    );
}

fn names<'a>(events: &'a [Value], category: &str) -> Vec<&'a str> {
    let of = events.iter().filter(|event| event["cat"] == category);
    of.map(|event| event["name"].as_str().expect("text"))
        .collect()
}

#[test]
fn a_timeline_has_threads_faults_by_name_waits_and_arrows() {
    let path = file("timeline.json");
    let option = format!("--timeline={}", path.display());
    let finished = finish(umbel_run(3, &[&option], &["record", "0"]));
    assert_eq!(finished.expect(0).err, "");
    let events = events(&path);
    let mut threads = names(&events, "thread");
    threads.sort_unstable();
    assert_eq!(threads, ["main", "work(\"<b>\")", "work(\"<b>\")"]);
    assert_eq!(names(&events, "fault"), ["write main:a<b>"; 3]);
    assert_eq!(names(&events, "wait"), ["barrier"; 3]);
    // Each of three messages has a slice at both ends and an arrow.
    assert_eq!(names(&events, "message").len(), 3 * 2 + 3 * 2);
    let mut processes: Vec<&Value> = events
        .iter()
        .filter(|event| event["name"] == "process_name")
        .map(|event| &event["args"]["name"])
        .collect();
    processes.sort_by_key(|name| name.to_string());
    assert_eq!(processes, ["node 0", "node 1", "node 2"]);
    let json_tool = Command::new("python3")
        .args(["-m", "json.tool"])
        .arg(&path)
        .output();
    // Where there is no Python, serde_json has to do.
    if let Ok(output) = json_tool {
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn what_was_lost_is_told_on_the_screen_and_in_the_file() {
    let path = file("lost.json");
    let option = format!("--timeline={}", path.display());
    let finished = finish(umbel_run(2, &[&option], &["record", "41"]));
    let told = &finished.expect(0).err;
    assert!(
        told.contains("node 0 recorded faster than it could be written: 41 events are missing"),
        "{told}"
    );
    let lost = events(&path);
    assert_eq!(
        names(&lost, "lost"),
        [
            "41 events of node 0 are missing",
            "41 events of node 1 are missing"
        ]
    );
}

#[test]
fn a_job_that_dies_leaves_a_valid_timeline_and_a_report() {
    let (timeline, report) = (file("dies.json"), file("dies.html"));
    let options = [
        format!("--timeline={}", timeline.display()),
        format!("--report={}", report.display()),
    ];
    let options = options.each_ref().map(String::as_str);
    let finished = finish(umbel_run(3, &options, &["record-and-die", "1"]));
    finished.expect(121);
    let events = events(&timeline);
    let cut = events
        .iter()
        .filter(|event| event["args"]["unfinished"] == true);
    assert_eq!(cut.count(), 6, "three threads in three waits had not ended");
    let page = fs::read_to_string(report).expect("it was written");
    assert!(page.contains("main:<wbr>a&lt;b&gt;") && page.ends_with("</html>\n"));
}

#[test]
fn control_c_leaves_a_valid_timeline() {
    let path = file("interrupted.json");
    let option = format!("--timeline={}", path.display());
    let mut job = Running::start(umbel_run(2, &[&option], &["record-and-wait"]));
    job.node_pids(2);
    job.signal(Signal::SIGINT);
    assert_eq!(job.wait().code(), Some(130));
    assert_eq!(names(&events(&path), "wait"), ["barrier"; 2]);
}

#[test]
fn a_launcher_that_is_killed_leaves_a_valid_timeline_of_what_came_before() {
    let path = file("killed.json");
    let option = format!("--timeline={}", path.display());
    let mut job = Running::start(umbel_run(2, &[&option], &["record-and-wait"]));
    job.node_pids(2);
    let has_faults = || {
        let text = fs::read_to_string(&path).ok()?;
        (text.matches("write main:a").count() == 2).then_some(())
    };
    until(PATIENCE, has_faults).expect("it is written while the job runs");
    job.signal(Signal::SIGKILL);
    job.wait();
    assert_eq!(names(&events(&path), "fault"), ["write main:a<b>"; 2]);
}

#[test]
fn a_full_disk_is_told_and_the_job_goes_on() {
    for option in ["--timeline=/dev/full", "--report=/dev/full"] {
        let finished = finish(umbel_run(2, &[option], &["lines", "3"]));
        finished.expect(0);
        assert_eq!(finished.out.lines().count(), 6);
        let told: Vec<_> = finished.err.lines().collect();
        assert!(
            matches!(told[..], [line] if line.contains("to /dev/full: No space left on device")),
            "{told:?}"
        );
    }
}

#[test]
fn files_that_cannot_be_written_are_refused_before_anything_starts() {
    let cases: [(&[&str], &str); 3] = [
        (
            &["--timeline=/no/such/t.json"],
            "umbel run: cannot write the timeline to /no/such/t.json: No such file or directory (os error 2) \
             (is its folder there?)\n",
        ),
        (
            &["--report=/"],
            "umbel run: cannot write the report to /: Is a directory",
        ),
        (
            &["--report=/dev/null", "--timeline=/dev/null"],
            "umbel run: --timeline and --report need two different files\n",
        ),
    ];
    for (options, says) in cases {
        let finished = finish(umbel_run(2, options, &["lines", "3"]));
        assert!(finished.expect(2).err.starts_with(says), "{finished:?}");
        assert_eq!(finished.out, "");
    }
}

#[test]
fn a_report_is_one_page_with_the_objects_the_map_and_the_matrix() {
    let path = file("report.html");
    let option = format!("--report={}", path.display());
    finish(umbel_run(3, &[&option], &["record", "0"])).expect(0);
    let page = fs::read_to_string(path).expect("it was written");
    for part in [
        "<h1><code>umbel run -n 3 ",
        "<h2>What stands out</h2>",
        "<code>main:<wbr>a&lt;b&gt;</code>",
        "<h2>Which node used what, when</h2>",
        "<svg ",
        "<h2>Who sent how much to whom</h2>",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing is fetched from anywhere, and names bring no markup.
    for part in ["http:", "https:", "src=", "<link", "a<b>"] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn nodes_are_told_what_the_options_say() {
    let told = |options: &[&str]| {
        finish(umbel_run(2, options, &["variables"]))
            .expect(0)
            .out
            .clone()
    };
    let none = "UMBEL_CACHE_BYTES=-\nUMBEL_CONSISTENCY=-\nUMBEL_PROTOCOL=-\nUMBEL_TIMELINE=-\nUMBEL_STATS=-\n";
    assert_eq!(told(&[]), none);
    let options = [
        "--cache=1.5M",
        "--consistency=weak",
        "--protocol=read_only",
        "--report=/dev/null",
    ];
    assert_eq!(
        told(&options),
        "UMBEL_CACHE_BYTES=1572864\nUMBEL_CONSISTENCY=weak\nUMBEL_PROTOCOL=read_only\nUMBEL_TIMELINE=1\nUMBEL_STATS=1\n"
    );
}

#[test]
fn wrong_values_are_refused_with_what_to_give() {
    let cases: [(&[&str], &str); 6] = [
        (
            &["--cache=much"],
            "give a number of bytes, for instance 64M",
        ),
        (
            &["--cache=99999999999T"],
            "that is more memory than there are addresses",
        ),
        (
            &["--consistency=strong"],
            "[possible values: weak, sequential]",
        ),
        (
            &["--protocol=auto2"],
            "auto, invalidate, migratory, read_only, update, remote",
        ),
        (
            &["--fault-backend=magic"],
            "give auto, user-mode, device, syscall",
        ),
        (
            &["--protocol=update", "--consistency=sequential"],
            "leave one of the two out",
        ),
    ];
    for (options, says) in cases {
        let finished = finish(umbel_run(2, options, &["lines", "3"]));
        assert!(finished.expect(2).err.contains(says), "{finished:?}");
    }
}
