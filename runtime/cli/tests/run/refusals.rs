//! What can't run is refused before anything starts: one line that says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::launcher::{finish, gcc, program, scratch, umbel};

#[track_caller]
fn refused(arguments: &[&str], status: i32, says: &str) {
    let finished = finish(umbel(arguments));
    finished.expect(status);
    assert!(finished.err.contains(says), "{finished:#?}");
    assert_eq!(finished.out, "");
}

/// `umbel run PATH` says exactly this, with PATH for `{}`.
#[track_caller]
fn refused_program(path: &Path, status: i32, says: &str) {
    let finished = finish(umbel(&["run", "-n", "2", &path.to_string_lossy()]));
    finished.expect(status);
    let expected = format!(
        "umbel run: {}\n",
        says.replace("{}", &path.to_string_lossy())
    );
    assert_eq!(finished.err, expected);
}

fn file(name: &str, bytes: &[u8], mode: u32) -> PathBuf {
    let path = scratch("refusals").join(name);
    fs::write(&path, bytes).expect("the target folder can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is our file");
    path
}

#[test]
fn counts_of_nodes() {
    refused(&["run", "-n", "0", "x"], 2, "a job has at least one node");
    refused(
        &["run", "-n", "4097", "x"],
        2,
        "a job has at most 4096 nodes",
    );
    refused(&["run", "-n", "many", "x"], 2, "give a number of nodes");
    refused(&["run", "-n", "-1", "x"], 2, "-1");
    refused(&["run", "-n", "4"], 2, "<PROG>");
    refused(&["run", "--stats-format", "json", "x"], 2, "--stats");
}

#[test]
fn more_nodes_than_open_files_allow() {
    let name = program().to_string_lossy().into_owned();
    let mut command = std::process::Command::new("sh");
    let script = format!(
        "ulimit -n 100 && exec {} run -n 64 {name} exit 0",
        env!("CARGO_BIN_EXE_umbel")
    );
    command.args(["-c", &script]);
    let finished = finish(command);
    finished.expect(2);
    assert!(finished.err.contains("64 nodes need"), "{finished:?}");
    assert!(
        finished.err.contains("the limit is 100: start at most"),
        "{finished:?}"
    );
}

#[test]
fn programs_that_are_not_there() {
    refused(
        &["run", "no-such-program"],
        127,
        "no-such-program: no such program in PATH",
    );
    refused_program(Path::new("./no/such"), 127, "{}: no such file");
}

#[test]
fn things_that_are_no_programs() {
    refused_program(
        &scratch("refusals"),
        126,
        "{} is a directory, not a program",
    );
    refused_program(Path::new("/dev/null"), 126, "{} is not a regular file");
    refused_program(
        &file("script", b"#!/bin/sh\nexit 0\n", 0o755),
        126,
        "{} is a script; give `umbel run` the compiled program that it starts",
    );
    refused_program(
        &file("text", b"hello", 0o755),
        126,
        "{} is not a program (no ELF file)",
    );
    refused_program(
        &file("empty", b"", 0o755),
        126,
        "{} is not a program (no ELF file)",
    );
}

#[test]
fn a_program_without_execute_permission() {
    let bytes = fs::read(program()).expect("it was built");
    let path = file("plain", &bytes, 0o644);
    let says = format!(
        "{{}} is not executable; if it is a program: chmod +x {}",
        path.display()
    );
    refused_program(&path, 126, &says);
}

#[test]
fn programs_of_plain_gcc() {
    let source = file("plain.c", b"int main(void) { return 0; }\n", 0o644);
    for (name, option) in [("dynamic", "-O1"), ("static", "-static")] {
        let path = scratch("refusals").join(name);
        gcc(&[option], |gcc| gcc.arg(&source).arg("-o").arg(&path));
        refused_program(
            &path,
            126,
            "{} was not built by `umbel cc`; build it with: umbel cc prog.c -o prog",
        );
    }
}

#[test]
fn programs_of_other_machines_and_damaged_ones() {
    let bytes = fs::read(program()).expect("it was built");
    let mut other = bytes.clone();
    other[18] = 0xf3; // e_machine: RISC-V
    let says = format!(
        "{{}} is not a program for this machine ({})",
        std::env::consts::ARCH
    );
    refused_program(&file("other", &other, 0o755), 126, &says);
    let mut narrow = bytes.clone();
    narrow[4] = 1; // 32 bits
    refused_program(&file("narrow", &narrow, 0o755), 126, &says);
    // Cut anywhere: an answer, never a panic.
    for length in (4..bytes.len()).step_by(bytes.len() / 40) {
        let finished = finish(umbel(&[
            "run",
            &file("cut", &bytes[..length], 0o755).to_string_lossy(),
        ]));
        assert_ne!(finished.status.code(), Some(0));
        assert!(
            !finished.err.contains("panicked"),
            "{length} bytes: {finished:?}"
        );
    }
}

#[test]
fn a_name_without_a_slash_comes_from_path_and_stays_the_programs_name() {
    let folder = program().parent().expect("it has one");
    let mut command = umbel(&["run", "node", "arguments", "-n", "--", "x y"]);
    command.env("PATH", folder);
    assert_eq!(
        finish(command).expect(0).out,
        "node\narguments\n-n\n--\nx y\n"
    );
    // Found, but not by a name alone.
    let mut command = umbel(&["run", "node", "arguments", "x"]);
    command.env("PATH", "/nowhere").current_dir(folder);
    let finished = finish(command);
    finished.expect(127);
    assert!(
        finished
            .err
            .ends_with("the one in this folder is: ./node\n"),
        "{finished:?}"
    );
}
