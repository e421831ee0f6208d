//! `umbel run --trace`: the calls of all nodes in one recording, with waits and messages among them.

use umbel_tests::cluster::{LIMIT, On, compile_text, holds_within, start, umbel};
use umbel_tests::traced::must;

const PROGRAM: &str = "
#include <stdio.h>
int main(void) {
  int sums[2] = {0, 0};
  void work(int n) { sums[n] = n + 1; }
  dist_thr_t threads[2];
  for (int n = 0; n < 2; n++) threads[n] = dist_thr_create(work, n);
  for (int n = 0; n < 2; n++) dist_thr_join(threads[n]);
  printf(\"%d\\n\", sums[0] + sums[1]);
  return 0;
}
";

#[test]
fn all_nodes_are_in_one_recording() {
    let program = compile_text(PROGRAM, &["-g", "-O2", "-finstrument-functions"]);
    let recording = program.path().with_file_name("recording");
    let option = format!("--trace={}", recording.display());
    let mut command = program.command(On::Nodes(2), &[&option], &[]);
    let outcome = start(&mut command, b"").wait(LIMIT);
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(0), "3\n"),
        "{outcome}"
    );
    let tree = recording.with_file_name("tree");
    let mut export = umbel(&["trace", "export", "--format", "tree", "-o"]);
    must(export.arg(&tree).arg(&recording));
    let tree = std::fs::read_to_string(&tree).expect("the export was good");
    let calls = |name: &str| {
        let is_it = |line: &&str| line.trim_start().starts_with(name);
        tree.lines().filter(is_it).count()
    };
    assert_eq!((calls("main"), calls("work")), (1, 2), "{tree}");
    // Each thread's calls lie below its process.
    for node in [" node 0: ", " node 1: "] {
        let mut processes = tree.lines().filter(|line| line.starts_with("process "));
        assert!(processes.any(|line| line.contains(node)), "{tree}");
    }
    for word in ["~fault", "~wait", "-> 1:", "<- 0:"] {
        assert!(calls(word) > 0, "no {word}:\n{tree}");
    }
    // Each thread's faults lie in a row of its own: none within another, and each has its end.
    let faults = tree.lines().filter(|line| line.contains("~fault"));
    for fault in faults {
        assert_eq!(fault, "~fault", "{tree}");
    }
}

#[test]
fn values_and_triggers_of_nodes_are_as_the_options_say() {
    let program = compile_text(PROGRAM, &["-g", "-O0", "-finstrument-functions"]);
    let recording = program.path().with_file_name("chosen");
    let trace = format!("--trace={}", recording.display());
    let options = [
        &*trace,
        // As the linker calls a nested function: work.0.
        "--args=work*:",
        "--args=work*:n",
        "--trigger=when work*.n == 1 then mark \"second\"",
        "--filter=work*",
    ];
    let outcome = start(&mut program.command(On::Nodes(2), &options, &[]), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut replay = umbel(&["trace", "replay"]);
    let shown = start(replay.arg(&recording), b"").wait(LIMIT).stdout;
    assert!(
        shown.contains("work.0(n=0)") && shown.contains("work.0(n=1)"),
        "{shown}"
    );
    assert!(!shown.contains("main("), "{shown}");
    assert_eq!(shown.matches("second").count(), 1, "{shown}");
    // Without --trace there is nothing that they could be for; what is wrong in them is told.
    for (options, reason) in [
        (&["--args=work:n"][..], "--trace"),
        (&[&*trace, "--args=work"], "expected `:`"),
    ] {
        let outcome = start(&mut program.command(On::Nodes(2), options, &[]), b"").wait(LIMIT);
        assert_ne!(outcome.status, Some(0), "{outcome}");
        assert!(outcome.stderr.contains(reason), "{outcome}");
    }
}

/// Node 1 waits in a nested function for node 0, and that for a file.
const WAITS: &str = "
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int total = 5;
  _Atomic int go = 0;
  void waits(int n) {
    int own = n + 1;
    total = own * 10;
    while (!go) usleep(1000);
  }
  void goes(int n) {
    while (access(argv[argc - 1], F_OK)) usleep(1000 * n);
    go = 1;
  }
  dist_thr_t waiting = dist_thr_create_on(1, waits, 7);
  dist_thr_t going = dist_thr_create_on(0, goes, 1);
  dist_thr_join(waiting);
  dist_thr_join(going);
  printf(\"%d\\n\", total);
  return 0;
}
";

#[test]
fn a_node_that_is_stuck_is_looked_at_and_goes_on() {
    let program = compile_text(WAITS, &["-g", "-O0"]);
    let file = program.path().with_file_name("go");
    let mut command = program.command(On::Nodes(2), &[], &[&file.to_string_lossy()]);
    let running = start(&mut command, b"");
    let children = format!("/proc/{0}/task/{0}/children", running.process());
    // What it says of all nodes, once their threads are where they stay.
    let mut shown = String::new();
    let is_there = holds_within(LIMIT, || {
        let nodes = std::fs::read_to_string(&children).unwrap_or_default();
        let said = nodes.split_whitespace().map(|node| {
            let mut stuck = umbel(&["trace", "stuck", node]);
            start(&mut stuck, b"").wait(LIMIT).stdout
        });
        shown = said.collect();
        let are_settled = shown.matches(" usleep at ").count() == 2;
        let wanted = ["(n=7) at ", "(n=1) at ", "dist_thr_join"];
        are_settled && wanted.iter().all(|wanted| shown.contains(wanted))
    });
    std::fs::write(&file, "").expect("the folder is ours");
    let outcome = running.wait(LIMIT);
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(0), "80\n"),
        "{outcome}\n{shown}"
    );
    assert!(is_there && shown.contains("own = 8\n"), "{shown}");
    // The other node has it; it is not fetched. And the function around a thread of another node has no frame there.
    assert_eq!(shown.matches("total = ").count(), 1, "{shown}");
    assert!(shown.contains("total = <not captured>\n"), "{shown}");
}

/// Node 1 has looked at the first page of an array of node 0's, and waits; node 0 tells where another page is.
const SHARES: &str = "
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int many[1 << 16];
  for (int n = 0; n < 1 << 16; n++) many[n] = n + 1;
  _Atomic int go = 0, has_seen = 0;
  int seen = 0;
  void waits(int n) {
    seen = many[0] + n;
    has_seen = 1;
    while (!go) usleep(1000);
    seen += many[1 << 15];
  }
  void goes(int n) {
    while (!has_seen) usleep(1000 * n);
    FILE *told = fopen(argv[argc - 1], \"w\");
    fprintf(told, \"%p\\n\", (void *)&many[1 << 15]);
    fclose(told);
    while (!access(argv[argc - 1], F_OK)) usleep(1000 * n);
    go = 1;
  }
  dist_thr_t waiting = dist_thr_create_on(1, waits, 7);
  dist_thr_t going = dist_thr_create_on(0, goes, 1);
  dist_thr_join(waiting);
  dist_thr_join(going);
  printf(\"%d\\n\", seen);
  return 0;
}
";

#[test]
fn core_files_of_nodes_have_the_shared_objects_that_are_there() {
    let program = compile_text(SHARES, &["-g", "-O0", "-finstrument-functions"]);
    let file = program.path().with_file_name("place");
    let recording = program.path().with_file_name("shares");
    let trace = format!("--trace={}", recording.display());
    let mut command = program.command(On::Nodes(2), &[&trace], &[&file.to_string_lossy()]);
    let running = start(&mut command, b"");
    let mut place = String::new();
    let is_told = holds_within(LIMIT, || {
        place = std::fs::read_to_string(&file).unwrap_or_default();
        place.ends_with('\n')
    });
    let mut snapshot = umbel(&["trace", "ctl", "-s"]);
    let made = start(snapshot.arg(&recording).args(["snapshot", "--core"]), b"").wait(LIMIT);
    std::fs::remove_file(&file).expect("the program has made it");
    let outcome = running.wait(LIMIT);
    assert!(is_told, "{outcome}");
    // All nodes stood, and went on.
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(0), "32777\n"),
        "{outcome}\n{made}"
    );
    assert_eq!(made.status, Some(0), "{made}");
    let mut seen = Vec::new();
    for core in made.stdout.lines() {
        let mut gdb = std::process::Command::new("gdb");
        gdb.args(["-nx", "-batch", "-ex", "thread apply all bt 8", "-ex"]);
        gdb.arg(format!("x/1dw {}", place.trim()));
        let said = start(gdb.arg(program.path()).arg(core), b"").wait(LIMIT);
        for function in ["waits (n=7)", "goes (n=1)"] {
            if said.stdout.contains(function) {
                let has_it = said.stdout.contains(":\t32769\n");
                let has_none = said.stderr.contains("Cannot access memory at address");
                seen.push((function, has_it, has_none));
            }
        }
        let bytes = std::fs::metadata(core).map_or(0, |file| file.len());
        assert!(bytes < 64 << 20, "{core}: {bytes} bytes");
    }
    seen.sort_unstable();
    // The other node has it; it is neither fetched nor shown as zeros.
    assert_eq!(
        seen,
        [("goes (n=1)", true, false), ("waits (n=7)", false, true)],
        "{made}"
    );
}
