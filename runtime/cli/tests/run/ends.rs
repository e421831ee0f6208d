//! How jobs end, and what the launcher says about it.

use nix::sys::signal::{Signal, kill};

use crate::launcher::{Running, assert_gone, finish, umbel_run};

#[test]
fn the_status_of_main_is_the_jobs() {
    for status in ["0", "7", "255"] {
        for nodes in [1, 4] {
            let finished = finish(umbel_run(nodes, &[], &["exit", status]));
            finished.expect(status.parse().expect("a number"));
            assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", ""));
        }
    }
}

#[test]
fn nodes_talk_over_each_transport() {
    for transport in ["shm", "unix", "tcp"] {
        let job = umbel_run(4, &["--transport", transport], &["lines", "2"]);
        let finished = finish(job);
        finished.expect(0);
        assert_eq!(finished.out.lines().count(), 8, "{transport}: {finished:?}");
        let mut job = umbel_run(2, &[], &["lines", "1"]);
        job.env("UMBEL_TRANSPORT", transport);
        finish(job).expect(0);
    }
    let mut job = umbel_run(2, &[], &["exit", "0"]);
    job.env("UMBEL_TRANSPORT", "smoke");
    let finished = finish(job);
    finished.expect(2);
    assert!(finished.err.contains("shm, unix, tcp"), "{finished:?}");
}

#[test]
fn many_nodes() {
    finish(umbel_run(40, &[], &["exit", "3"])).expect(3);
}

#[test]
fn killing_a_node_ends_the_job_and_names_its_threads() {
    let mut job = Running::start(umbel_run(4, &[], &["wait"]));
    let pids = job.node_pids(4);
    kill(pids[&2], Signal::SIGKILL).expect("the node runs");
    let finished = job.finish();
    finished.expect(121);
    let mut lines: Vec<&str> = finished.err.lines().collect();
    let first = format!(
        "umbel: node 2 (pid {}) was killed by signal 9 (SIGKILL)",
        pids[&2]
    );
    assert_eq!(lines.remove(0), first);
    lines.sort_unstable();
    let threads = [0, 1, 3].map(|rank| format!("  it ran: example(2), created on node {rank}"));
    assert_eq!(lines, threads);
    assert_gone(pids.values());
}

#[test]
fn killing_rank_0_is_told_as_a_shell_would() {
    let mut job = Running::start(umbel_run(3, &[], &["wait"]));
    let pids = job.node_pids(3);
    kill(pids[&0], Signal::SIGKILL).expect("the node runs");
    let finished = job.finish();
    finished.expect(128 + 9);
    assert!(finished.err.contains("node 0"), "{finished:?}");
    assert_gone(pids.values());
}

#[test]
fn a_crash_of_rank_0_has_its_signals_status() {
    let finished = finish(umbel_run(2, &[], &["signal", "0", "11"]));
    finished.expect(128 + 11);
    assert!(
        finished.err.contains("was killed by signal 11 (SIGSEGV)"),
        "{finished:?}"
    );
}

#[test]
fn a_node_that_exits_on_its_own_is_lost() {
    let finished = finish(umbel_run(3, &[], &["quit", "1", "3"]));
    finished.expect(121);
    assert!(finished.err.contains("umbel: node 1 (pid "), "{finished:?}");
    assert!(
        finished.err.contains(") exited with status 3\n"),
        "{finished:?}"
    );
}

#[test]
fn underscore_exit_in_main_is_its_status() {
    let finished = finish(umbel_run(3, &[], &["quit", "0", "9"]));
    finished.expect(9);
    assert_eq!(finished.err, "");
}

#[test]
fn a_fatal_error_is_told_once() {
    let finished = finish(umbel_run(4, &[], &["fatal", "3"]));
    finished.expect(120);
    assert_eq!(finished.err, "umbel: node 3: the window is full\n");
}

#[test]
fn a_death_is_the_cause_of_the_errors_that_follow() {
    let mut job = Running::start(umbel_run(4, &[], &["cascade", "2"]));
    let pids = job.node_pids(4);
    kill(pids[&2], Signal::SIGKILL).expect("the node runs");
    let finished = job.finish();
    finished.expect(121);
    assert!(
        finished.err.starts_with("umbel: node 2 (pid "),
        "{finished:?}"
    );
    assert!(!finished.err.contains("a link broke"), "{finished:?}");
}

#[test]
fn killing_the_launcher_leaves_nothing_behind() {
    let mut job = Running::start(umbel_run(4, &[], &["deaf"]));
    let pids = job.node_pids(4);
    job.signal(Signal::SIGKILL);
    job.wait();
    assert_gone(pids.values());
}

#[test]
fn a_node_that_never_gets_ready_is_named() {
    let finished = finish(umbel_run(3, &[], &["mute", "1"]));
    finished.expect(122);
    assert!(
        finished.err.starts_with("umbel: node 1 (pid "),
        "{finished:?}"
    );
    assert!(
        finished.err.contains("not ready after 10 s"),
        "{finished:?}"
    );
}

#[test]
fn a_node_that_does_not_leave_is_killed_and_the_status_stays() {
    let finished = finish(umbel_run(3, &[], &["linger", "5"]));
    finished.expect(5);
    assert_eq!(finished.err, "");
}

#[test]
fn a_node_that_leaves_its_launcher_is_told_and_killed() {
    let finished = finish(umbel_run(3, &[], &["close", "1"]));
    finished.expect(121);
    assert!(
        finished
            .err
            .contains("closed its connection to the launcher"),
        "{finished:?}"
    );
}

#[test]
fn noise_on_the_control_socket_is_refused() {
    let finished = finish(umbel_run(2, &[], &["noise", "1"]));
    finished.expect(121);
    assert!(
        finished
            .err
            .contains("sent what is no control message: header: wire version 105"),
        "{finished:?}"
    );
}

#[test]
fn statistics_are_added_up() {
    let finished = finish(umbel_run(3, &["--stats"], &["exit", "0"]));
    finished.expect(0);
    let expected = "\
object     size  count  home  read faults  write faults  invalidations     moved
main:a  1.2 KiB      1     0            3             6              9  12.0 KiB

node  threads  read faults  write faults  messages sent  batches  messages per batch  bytes sent  messages received
0           1            2             5              0        1                 0.0     2.0 KiB                  3
1           1            2             5             10        1                10.0     2.0 KiB                  3
2           1            2             5             20        1                20.0     2.0 KiB                  3
";
    assert_eq!(finished.err, expected);

    let json = finish(umbel_run(
        2,
        &["--stats", "--stats-format", "json"],
        &["exit", "0"],
    ));
    json.expect(0);
    let value: serde_json::Value = serde_json::from_str(&json.err).expect("one line of JSON");
    assert_eq!(value["objects"][0]["read_faults"], 2);
    assert_eq!(value["nodes"][1]["messages_sent"], 10);
}
