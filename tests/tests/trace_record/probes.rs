//! Pointers to where a file has ended in memory, and all over the tracer's own memory, with all three kinds of probe.

use umbel_tests::cluster::{LIMIT, start, umbel};

use super::Folder;

#[test]
fn behind_a_files_end_nothing_is_shown_and_the_tracers_own_memory_is_only_read() {
    let folder = Folder::compile("reach", &[]);
    for probe in ["guarded", "kernel", "victim"] {
        let outcome = folder.record(&["--values=all", "--probe", probe], &[]);
        assert_eq!(outcome.status, Some(0), "{probe}: {outcome}");
        assert!(outcome.stderr.contains("; 0 lost"), "{probe}: {outcome}");
        // Pieces of the tracer's were found, and all calls made.
        let calls = outcome.stdout.strip_suffix(" 1 1\n");
        let calls: usize = calls
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{probe}: {outcome}"));
        assert!(calls > 100, "{probe}: {outcome}");
        // What was read there has damaged nothing: each call is there with what its pointer led to.
        let mut replay = umbel(&["trace", "replay"]);
        let shown = start(replay.arg(folder.recording()), b"").wait(LIMIT);
        assert_eq!(shown.status, Some(0), "{probe}: {shown}");
        let count = |part: &str| shown.stdout.matches(part).count();
        assert_eq!(count("own(piece="), calls, "{probe}");
        let there = "{first = 11, text = \"in the last page\", second = 22})";
        assert_eq!(count(there), 50, "{probe}");
        let lines = shown.stdout.lines();
        let mut taken: Vec<&str> = lines
            .filter(|line| line.contains("take(piece=<invalid "))
            .collect();
        assert_eq!(taken.len(), 100, "{probe}: {taken:?}");
        taken.retain(|line| !line.contains("000>") && !line.contains("ff0>"));
        assert!(taken.is_empty(), "{probe}: {taken:?}");
        std::fs::remove_file(folder.recording()).expect("it was made");
    }
}
