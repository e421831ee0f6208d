//! Timelines, reports and statistics of real jobs: what they show is what the program did.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use umbel_tests::cluster::{
    LIMIT, On, Outcome, Program, compile_ours, holds_within, signal, start,
};

/// A file that is removed with the value.
struct File(PathBuf);

impl File {
    fn new(ending: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("umbel-seeing-{}-{number}.{ending}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("the launcher wrote it")
    }

    fn option(&self, name: &str) -> String {
        format!("--{name}={}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(program: &Program, nodes: usize, options: &[&str], arguments: &[&str]) -> Outcome {
    let mut options = options.to_vec();
    // One fixed pattern of faults.
    options.extend(["--consistency=sequential", "--protocol=invalidate"]);
    let mut command = program.command(On::Nodes(nodes), &options, arguments);
    let outcome = start(&mut command, b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    outcome
}

/// A timeline's events by kind, each with its row.
struct Timeline {
    events: Vec<Value>,
}

impl Timeline {
    fn read(file: &File) -> Self {
        let value: Value = serde_json::from_str(&file.text()).expect("a timeline is JSON");
        let events = value["traceEvents"].as_array().expect("a list").clone();
        Self { events }
    }

    fn slices<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a Value> {
        let slices = self.events.iter().filter(|event| event["ph"] == "X");
        slices.filter(move |event| event["cat"] == category)
    }

    fn count(&self, category: &str, name: &str) -> usize {
        self.slices(category)
            .filter(|slice| slice["name"] == name)
            .count()
    }

    /// Faults and waits of a thread lie within its life, and never overlap.
    fn check_nesting(&self) {
        let span = |slice: &Value| {
            let start = slice["ts"].as_f64().expect("a time");
            (start, start + slice["dur"].as_f64().expect("a length"))
        };
        let row = |slice: &Value| (slice["pid"].as_u64(), slice["tid"].as_u64());
        let mut lives = BTreeMap::new();
        for slice in self.slices("thread") {
            lives.insert(row(slice), span(slice));
        }
        let mut rows = BTreeMap::<_, Vec<(f64, f64)>>::new();
        for slice in self.slices("fault").chain(self.slices("wait")) {
            rows.entry(row(slice)).or_default().push(span(slice));
        }
        for (row, mut slices) in rows {
            slices.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            for pair in slices.windows(2) {
                assert!(pair[0].1 <= pair[1].0 + EPSILON_US, "{pair:?} overlap");
            }
            if let Some(life) = lives.get(&row) {
                let last = slices[slices.len() - 1];
                assert!(
                    life.0 <= slices[0].0 + EPSILON_US && last.1 <= life.1 + EPSILON_US,
                    "{slices:?} reach out of {life:?}"
                );
            }
        }
    }
}

/// What a double loses of a nanosecond.
const EPSILON_US: f64 = 0.002;

#[test]
fn a_timeline_shows_each_thread_its_faults_by_name_its_waits_and_the_messages() {
    let program = compile_ours("seeing", &["-O2"]);
    let file = File::new("json");
    run(&program, 3, &[&file.option("timeline")], &["40"]);
    let timeline = Timeline::read(&file);
    timeline.check_nesting();
    assert_eq!(timeline.count("thread", "main"), 1);
    for thread in ["work(0)", "work(1)", "work(2)"] {
        assert_eq!(timeline.count("thread", thread), 1, "{thread}");
    }
    // Node 1 and 2 fetch the table; all three write the counter in turn, under a mutex.
    assert!(timeline.count("fault", "read main:table") >= 2);
    assert!(timeline.count("fault", "write main:counter") >= 3);
    assert!(timeline.count("wait", "mutex") >= 1);
    assert!(timeline.count("wait", "barrier") >= 2);
    assert!(timeline.count("wait", "join") >= 1);
    // Every message that arrived has an arrow from where it left.
    let phases = |phase: &str| {
        timeline
            .events
            .iter()
            .filter(|event| event["ph"] == phase)
            .count()
    };
    let received = timeline
        .slices("message")
        .filter(|slice| {
            slice["name"]
                .as_str()
                .is_some_and(|name| name.contains(" from "))
        })
        .count();
    assert_eq!((phases("s"), phases("f")), (received, received));
    assert!(received > 20, "{received}");
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_killed_job_leaves_a_timeline_and_a_report() {
    let program = compile_ours("seeing", &["-O2"]);
    let (timeline, report) = (File::new("json"), File::new("html"));
    let options = [timeline.option("timeline"), report.option("report")];
    let options = options.each_ref().map(String::as_str);
    let mut command = program.command(On::Nodes(2), &options, &["-1"]);
    let running = start(&mut command, b"");
    let is_recorded = || {
        let text = fs::read_to_string(&timeline.0);
        text.is_ok_and(|text| text.contains("main:counter"))
    };
    assert!(
        holds_within(LIMIT, is_recorded),
        "it is written while the job runs"
    );
    assert!(signal(running.process(), "INT"));
    let outcome = running.wait(LIMIT);
    assert_eq!(outcome.status, Some(130), "{outcome}");
    let timeline = Timeline::read(&timeline);
    timeline.check_nesting();
    assert!(
        timeline
            .slices("thread")
            .any(|slice| slice["args"]["unfinished"] == true)
    );
    assert!(report.text().ends_with("</html>\n"));
}

#[test]
fn a_report_says_what_is_written_in_turn() {
    let program = compile_ours("seeing", &["-O2"]);
    let file = File::new("html");
    run(&program, 3, &[&file.option("report")], &["200"]);
    let page = file.text();
    assert!(
        page.contains("<code>main:counter</code> is written by nodes 0, 1 and 2 in turn"),
        "{page:.4000}"
    );
    assert!(page.contains("main:<wbr>table") && page.contains("from 2"));
}

#[test]
fn statistics_count_messages_to_each_node() {
    let program = compile_ours("seeing", &["-O2"]);
    let outcome = run(&program, 3, &["--stats", "--stats-format", "json"], &["20"]);
    let stats: Value = serde_json::from_str(&outcome.stderr).expect("one line of JSON");
    for node in stats["nodes"].as_array().expect("a list") {
        let peers = node["peers"].as_array().expect("a list");
        let sum: u64 = peers
            .iter()
            .filter_map(|peer| peer["messages"].as_u64())
            .sum();
        assert_eq!(Some(sum), node["messages_sent"].as_u64(), "{node}");
        assert_eq!(peers.len(), 2);
    }
}

#[test]
fn false_sharing_is_told_with_the_bytes_and_what_to_write() {
    let program = compile_ours("seeing", &["-O2"]);
    let outcome = run(
        &program,
        2,
        &["--stats", "--stats-format", "json"],
        &["200"],
    );
    let stats: Value = serde_json::from_str(&outcome.stderr).expect("one line of JSON");
    let objects = stats["objects"].as_array().expect("a list");
    let row = |name: &str| {
        let row = objects.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("{name} moved: {outcome}"))
    };
    let parts = row("main:parts");
    assert!(parts["falsely_shared"].as_u64() > Some(10), "{parts}");
    // A small count changes its lowest byte only.
    assert_eq!(
        parts["writers"],
        serde_json::json!([[0, 0, 0], [1, 8, 8]]),
        "{parts}"
    );
    assert_eq!(
        (&parts["consistency"], &parts["protocol"]),
        (&"sequential".into(), &"invalidate".into())
    );
    // Both nodes write all of the counter: that is true sharing.
    assert_eq!(row("main:counter")["falsely_shared"], 0);

    let outcome = run(&program, 2, &["--stats"], &["200"]);
    let hint = "main:parts: False sharing, ";
    assert!(
        outcome.stderr.contains(hint)
            && outcome.stderr.contains("node 0 byte 0, node 1 byte 8")
            && outcome.stderr.contains("shadow(\"weak\")"),
        "{outcome}"
    );
}
