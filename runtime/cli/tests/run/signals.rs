//! Signals to the launcher.

use std::io::Read;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::launcher::{PATIENCE, Running, assert_gone, signalled, umbel_run, until};

#[test]
fn a_signal_to_the_launcher_ends_everything() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut job = Running::start(umbel_run(3, &[], &["wait"]));
        let pids = job.node_pids(3);
        job.signal(signal);
        let finished = job.finish();
        finished.expect(128 + signal as i32);
        assert_eq!(finished.err, "", "a death the user asked for is not news");
        assert_gone(pids.values());
    }
}

#[test]
fn a_signal_that_was_ignored_before_stays_so() {
    let launcher = umbel_run(3, &[], &["wait"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    shell.arg(launcher.get_program()).args(launcher.get_args());
    let mut job = Running::start(shell);
    let pids = job.node_pids(3);
    job.signal(Signal::SIGHUP);
    job.signal(Signal::SIGTERM);
    job.finish().expect(128 + 15);
    assert_gone(pids.values());
}

#[test]
fn rank_0_may_handle_a_signal() {
    let mut job = Running::start(umbel_run(3, &[], &["catch"]));
    let pids = job.node_pids(3);
    job.signal(Signal::SIGTERM);
    job.finish().expect(7);
    assert_gone(pids.values());
}

#[test]
fn nodes_that_ignore_a_signal_are_killed() {
    let mut job = Running::start(umbel_run(3, &[], &["deaf"]));
    let pids = job.node_pids(3);
    let start = Instant::now();
    job.signal(Signal::SIGTERM);
    job.finish().expect(128 + 15);
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(1900),
        "rank 0 had no time: {took:?}"
    );
    assert_gone(pids.values());
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut job = Running::start(umbel_run(3, &[], &["deaf"]));
    let pids = job.node_pids(3);
    let start = Instant::now();
    let status = until(PATIENCE, || {
        job.signal(Signal::SIGINT);
        job.wait_for(Duration::from_millis(50))
    });
    assert_eq!(status.and_then(signalled), Some(2));
    assert!(
        start.elapsed() < Duration::from_millis(1900),
        "{:?}",
        start.elapsed()
    );
    assert_gone(pids.values());
}

#[test]
fn a_stuck_reader_does_not_keep_the_job_from_ending() {
    let mut job = Running::start(umbel_run(3, &[], &["flood"]));
    let mut out = job.take_out();
    let (sender, begun) = mpsc::channel();
    thread::spawn(move || sender.send(out.read_exact(&mut [0]).map(|()| out)));
    // One byte is read, no more: the pipe stays open, and is soon full.
    let _out = begun
        .recv_timeout(PATIENCE)
        .expect("it writes")
        .expect("it is a pipe");
    job.signal(Signal::SIGTERM);
    assert_eq!(job.wait().code(), Some(128 + 15));
}
