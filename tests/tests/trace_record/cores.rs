//! Core files where they are hard to write: of more memory than there is, where files may not grow, on a disk that has no room.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use umbel_tests::cluster::{LIMIT, Outcome, start, umbel};

use super::snapshots::gdb;
use super::{Folder, Running};

/// `umbel trace ctl snapshot --core`
#[track_caller]
fn core(folder: &Folder) -> Outcome {
    let mut command = umbel(&["trace", "ctl", "-s"]);
    command.arg(folder.recording()).args(["snapshot", "--core"]);
    start(&mut command, b"").wait(LIMIT)
}

/// `huge`, once it has mapped what it maps.
#[track_caller]
fn mapped<'a>(folder: &'a Folder, arguments: &[&str]) -> Running<'a> {
    let mut running = Running::start_with(folder, &[], arguments);
    let output = running.child.stdout.as_mut().expect("it is a pipe");
    let mut line = [0; 7];
    output.read_exact(&mut line).expect("it says so");
    assert_eq!(&line, b"mapped\n");
    running
}

#[test]
fn memory_that_is_only_mapped_costs_a_core_file_nothing() {
    let folder = Folder::compile("huge", &[]);
    let running = mapped(&folder, &[]);
    let made = core(&folder);
    assert_eq!(made.status, Some(0), "{made}");
    let file = fs::metadata(folder.path.join("a.trace.core-1")).expect("it was made");
    // The program and its libraries have some MiB; what is mapped is 2,080 GiB.
    assert!(file.len() < 64 << 20, "{} bytes", file.len());
    assert!(file.blocks() * 512 < 64 << 20, "{} blocks", file.blocks());
    let text = gdb(
        &folder,
        "a.trace.core-1",
        &["bt", "print sparse", "print last"],
    );
    for part in ["wait_for_end", "\"the first page\"", "\"the last page\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(running.end().eq("goes on\n"));
}

#[test]
fn a_core_file_that_may_not_grow_is_refused_and_removed() {
    let folder = Folder::compile("huge", &[]);
    let running = mapped(&folder, &["48"]);
    let process = running.child.id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, "--fsize=33554432"])
        .status();
    assert!(limited.is_ok_and(|status| status.success()));
    let refused = core(&folder);
    assert_eq!(refused.status, Some(1), "{refused}");
    for part in [
        "no core file ",
        "a.trace.core-1",
        "File too large",
        "ulimit -f",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {refused}");
    }
    assert!(!folder.path.join("a.trace.core-1").exists());
    assert!(running.end().eq("goes on\n"));
}

/// A small file system, which only the commands in a script see.
const SMALL: &str = "mkdir -p small && mount -t tmpfs -o size=32m none small && ";

/// Records; when the program is where it waits, asks for a core file; then has the program end.
const RECORDED: &str = "
mkfifo input output
\"$UMBEL\" trace record --buffer 1M -o small/a.trace ./program 48 <input >output &
recorder=$!
exec 3>input 4<output
read line <&4
echo \"$line\"
\"$UMBEL\" trace ctl -s small/a.trace snapshot --core
echo asked: $?
exec 3>&-
cat <&4
wait $recorder
echo recorded: $?
ls small
";

#[test]
fn a_disk_without_room_gets_no_core_file_and_the_recording_goes_on() {
    let folder = Folder::compile("huge", &[]);
    let script = |text: &str| folder.run_mounting(&format!("{SMALL}{text}"));
    if script("true").status != Some(0) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let outcome = script(RECORDED);
    assert!(
        outcome.stdout == "mapped\nasked: 1\ngoes on\nrecorded: 0\na.trace\n",
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("no core file ")
            && outcome.stderr.contains("the disk has room for"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("; 0 lost"), "{outcome}");
}
