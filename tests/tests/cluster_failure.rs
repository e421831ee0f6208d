//! Whatever dies, the job ends at once, says what happened, and leaves nothing behind.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use umbel_tests::cluster::{
    On, Outcome, Program, Running, compile_ours, holds_within, signal, start,
};

const NODES: usize = 3;
const START: Duration = Duration::from_secs(20);
/// The bound for the end of a job after the death of a part of it.
const END: Duration = Duration::from_secs(2);

struct Job {
    program: Program,
    marks: PathBuf,
    /// What the nodes' messages travel over, if not what is usual.
    transport: Option<&'static str>,
}

impl Job {
    fn new() -> Self {
        let program = compile_ours("stays", &["-O2"]);
        let marks = program.path().with_file_name("marks");
        fs::create_dir(&marks).expect("the program's folder is writable");
        Self {
            program,
            marks,
            transport: None,
        }
    }

    /// Starts it and waits until a thread runs on every node; the nodes' processes, by rank.
    fn start(&self, what: &[&str]) -> (Running, Vec<u32>) {
        for rank in 0..NODES {
            let _ = fs::remove_file(self.marks.join(rank.to_string()));
        }
        let marks = self
            .marks
            .to_str()
            .expect("temporary folders have plain names");
        let arguments: Vec<&str> = [marks].into_iter().chain(what.iter().copied()).collect();
        let mut command = self.program.command(On::Nodes(NODES), &[], &arguments);
        if let Some(transport) = self.transport {
            command.env("UMBEL_TRANSPORT", transport);
        }
        let running = start(&mut command, b"");
        let process = |rank: usize| {
            fs::read_to_string(self.marks.join(rank.to_string()))
                .ok()?
                .parse()
                .ok()
        };
        let all_run = holds_within(START, || (0..NODES).all(|rank| process(rank).is_some()));
        assert!(all_run, "no thread on some node after {START:?}");
        (running, (0..NODES).filter_map(process).collect())
    }

    fn check_clean(&self) {
        assert_eq!(self.program.leftovers(), [""; 0]);
    }
}

/// Waits for the end, which must come soon after now.
fn end(running: Running) -> Outcome {
    let now = Instant::now();
    let outcome = running.wait(START);
    assert!(
        now.elapsed() < END,
        "the job took {:?} to end: {outcome}",
        now.elapsed()
    );
    outcome
}

fn check_message(outcome: &Outcome, rank: usize, says: &str) {
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let first = lines.first().copied().unwrap_or_default();
    let names_node =
        first.starts_with(&format!("umbel: node {rank} (pid ")) && first.contains(says);
    assert!(
        names_node,
        "node {rank} and {says:?} are not in the first line: {outcome}"
    );
    let thread = format!("it ran: stayer({rank}), created by main on node 0");
    // Who created the threads is gone with node 0.
    let names_thread = rank == 0 || lines.iter().any(|line| line.trim() == thread);
    assert!(
        names_thread,
        "the thread on node {rank} is not named: {outcome}"
    );
}

#[test]
fn killing_any_node_ends_the_job_and_names_its_threads() {
    let mut job = Job::new();
    let transports = [None, Some("shm"), Some("unix"), Some("tcp")];
    for (transport, rank) in transports
        .into_iter()
        .flat_map(|transport| (0..NODES).map(move |rank| (transport, rank)))
    {
        job.transport = transport;
        let (running, processes) = job.start(&[]);
        assert!(signal(processes[rank], "KILL"));
        let outcome = end(running);
        check_message(&outcome, rank, "signal 9 (SIGKILL)");
        let expected = if rank == 0 { 137 } else { 121 };
        assert_eq!(outcome.status, Some(expected), "rank {rank}: {outcome}");
        job.check_clean();
    }
}

#[test]
fn a_crash_in_a_thread_ends_the_job_and_names_it() {
    let job = Job::new();
    for (what, says, status_of_0, status) in [
        ("segv", "signal 11 (SIGSEGV)", 139, 121),
        ("abort", "signal 6 (SIGABRT)", 134, 121),
        ("kill", "signal 9 (SIGKILL)", 137, 121),
    ] {
        for rank in 0..NODES {
            let (running, _) = job.start(&[what, &rank.to_string()]);
            let outcome = end(running);
            check_message(&outcome, rank, says);
            let expected = if rank == 0 { status_of_0 } else { status };
            assert_eq!(
                outcome.status,
                Some(expected),
                "{what} on {rank}: {outcome}"
            );
        }
    }
    job.check_clean();
}

#[test]
fn killing_the_launcher_ends_every_node() {
    let job = Job::new();
    let (running, processes) = job.start(&[]);
    assert_eq!(job.program.processes().len(), NODES);
    assert!(signal(running.process(), "KILL"));
    let gone = holds_within(END, || job.program.processes().is_empty());
    assert!(gone, "of {processes:?} live {:?}", job.program.processes());
    assert_eq!(running.wait(START).signal, Some(9));
    job.check_clean();
}

#[test]
fn a_signal_to_the_launcher_ends_every_node() {
    let job = Job::new();
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let (running, _) = job.start(&[]);
        assert!(signal(running.process(), name));
        let outcome = end(running);
        assert_eq!(outcome.status, Some(128 + number), "SIG{name}: {outcome}");
        job.check_clean();
    }
}

#[test]
fn a_killed_node_does_not_hang_those_that_wait_for_its_pages() {
    // Every thread increments one counter: at any moment most of them wait for its page.
    let job = Job::new();
    for round in 0..4 {
        let rank = 1 + round % (NODES - 1);
        let (running, processes) = job.start(&[]);
        std::thread::yield_now();
        assert!(signal(processes[rank], "KILL"));
        assert_eq!(end(running).status, Some(121));
    }
    job.check_clean();
}
