//! Output of all nodes through one launcher, and input to one node.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::launcher::{Running, assert_gone, finish, umbel_run};

const NODES: usize = 4;
const LINES: usize = 5000;

/// The line that `lines()` of node.c writes.
fn line(rank: usize, index: usize) -> String {
    let fill = match index % 1000 {
        999 => 50_000,
        _ => index % 70,
    };
    let letter = char::from(b'a' + u8::try_from(rank).expect("few nodes"));
    format!(
        "node {rank} line {index} {}",
        letter.to_string().repeat(fill)
    )
}

#[track_caller]
fn assert_lines_whole(out: &str) {
    let mut next = [0; NODES];
    for found in out.lines() {
        let rank: usize = found
            .strip_prefix("node ")
            .and_then(|rest| rest.get(..1)?.parse().ok())
            .unwrap_or_else(|| panic!("a mangled line: {found:.100}"));
        assert!(
            found == line(rank, next[rank]),
            "a mangled line: {found:.100}"
        );
        next[rank] += 1;
    }
    assert_eq!(next, [LINES; NODES], "lines were lost");
}

#[test]
fn lines_of_four_nodes_stay_whole() {
    let finished = finish(umbel_run(NODES, &[], &["lines", &LINES.to_string()]));
    finished.expect(0);
    assert_lines_whole(&finished.out);
    assert_eq!(finished.err, "");
}

#[test]
fn lines_stay_whole_for_a_reader_that_starts_late_and_reads_little_at_a_time() {
    let mut command = umbel_run(NODES, &[], &["lines", &LINES.to_string()]);
    command.stdin(Stdio::null());
    let mut job = Running::start(command);
    let mut out = job.take_out();
    let mut text = Vec::new();
    let mut part = [0; 1000];
    loop {
        match out.read(&mut part).expect("a pipe can be read") {
            0 => break,
            count => text.extend_from_slice(&part[..count]),
        }
        std::thread::yield_now();
    }
    job.finish().expect(0);
    assert_lines_whole(&String::from_utf8(text).expect("text"));
}

#[test]
fn lines_of_both_streams_stay_whole_in_one_file() {
    let path = crate::launcher::scratch("both").join("log");
    let file = std::fs::File::create(&path).expect("the target folder can be written");
    let mut command = umbel_run(NODES, &[], &["lines", &LINES.to_string()]);
    command.stdin(Stdio::null());
    command
        .stderr(file.try_clone().expect("a descriptor is free"))
        .stdout(file);
    assert!(command.status().expect("the launcher was built").success());
    assert_lines_whole(&std::fs::read_to_string(path).expect("it was written"));
}

#[test]
fn tags_begin_every_line() {
    let finished = finish(umbel_run(NODES, &["--tag"], &["lines", "100"]));
    finished.expect(0);
    assert_eq!(finished.out.lines().count(), NODES * 100);
    for line in finished.out.lines() {
        let (tag, rest) = line.split_at(4);
        let rank = rest.as_bytes()[5];
        assert_eq!(tag.as_bytes(), [b'[', rank, b']', b' '], "{line}");
    }
}

#[test]
fn an_unfinished_last_line_is_not_lost() {
    let finished = finish(umbel_run(2, &[], &["half"]));
    assert_eq!(finished.expect(0).out, "half of a line");
}

#[test]
fn standard_input_goes_to_rank_0_alone() {
    let mut command = umbel_run(3, &[], &["cat"]);
    command.stdin(Stdio::piped());
    let mut job = Running::start(command);
    let mut stdin = job.child.stdin.take().expect("a pipe was asked for");
    let text = "first\nsecond\n";
    stdin.write_all(text.as_bytes()).expect("rank 0 reads it");
    drop(stdin);
    let finished = job.finish();
    finished.expect(0);
    let mut lines: Vec<&str> = finished.out.lines().collect();
    lines.sort_unstable();
    let expected = [
        "first",
        "node 0 read 13 bytes",
        "node 1 read 0 bytes",
        "node 2 read 0 bytes",
        "second",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_reader_that_leaves_ends_the_job_as_a_pipe_does() {
    let mut command = umbel_run(3, &[], &["flood"]);
    command.stdin(Stdio::null());
    let mut job = Running::start(command);
    let pids = job.node_pids(3);
    // Dropping the receiver makes the reading thread close the pipe.
    drop(job.lines.take());
    assert_eq!(job.wait().code(), Some(128 + 13));
    assert_gone(pids.values());
}
