//! Programs and environments that ask too much: one clear error each, a defined status, and no hang.

use std::process::Command;

use umbel_tests::cluster::{LIMIT, On, Outcome, Program, compile_ours, compile_text, start, umbel};

const FATAL: Option<i32> = Some(120);

fn limits() -> Program {
    compile_ours("limits", &["-O2"])
}

/// One line on standard error that says this, and this status.
fn check_refused(outcome: &Outcome, status: Option<i32>, says: &str) {
    assert_eq!(outcome.status, status, "{says:?}: {outcome}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{says:?}: {outcome}");
    assert!(outcome.stderr.contains(says), "{says:?}: {outcome}");
    assert!(
        !outcome.stdout.contains("not refused"),
        "{says:?}: {outcome}"
    );
}

#[test]
fn an_object_larger_than_a_stack_of_the_window_is_refused() {
    let program = limits();
    for on in [On::Alone, On::Nodes(1), On::Nodes(3)] {
        for bytes in ["0x200000000", "0xffffffffffff", "0x7fffffffffffffff"] {
            let outcome = program.run(on, &["huge", bytes], &[]);
            check_refused(&outcome, FATAL, "no room for huge:array");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn recursion_until_a_shadow_stack_ends_is_refused() {
    let program = limits();
    for on in [On::Alone, On::Nodes(2)] {
        check_refused(
            &program.run(on, &["large"], &[]),
            FATAL,
            "no room for grow_large:mine",
        );
        // The C stack must not end first.
        let direct = program.command(on, &[], &["small"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -s 200000 && exec \"$@\"", "sh"])
            .arg(direct.get_program());
        command.args(direct.get_args());
        let outcome = start(&mut command, b"").wait(LIMIT);
        check_refused(&outcome, FATAL, "the shadow stack is full");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn threads_beyond_the_number_of_stacks_are_refused_and_room_comes_back() {
    let program = limits();
    // 4096 stacks, shared by 16 nodes; those of the last one are all free.
    let outcome = program.run(On::Nodes(16), &["threads"], &[]);
    assert_eq!(outcome.stdout, "256 threads\nnot refused\n", "{outcome}");
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let outcome = program.run(On::Nodes(16), &["foreign"], &[]);
    check_refused(&outcome, FATAL, "node 15: too many threads");
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_stray_pointer_into_the_window_names_its_node_and_address() {
    let program = limits();
    // Beyond the stacks of three nodes; stacks nobody uses, of this node and of another; small and large.
    for (nodes, address, node, write) in [
        (3, "0x37ff00000000", "2", "1"),
        (2, "0x37ff00000000", "1", "1"),
        (2, "0x37ff00000000", "0", "0"),
        (2, "0x28ff00000000", "1", "0"),
        (2, "0x200ff0000000", "1", "1"),
    ] {
        let outcome = program.run(On::Nodes(nodes), &["stray", address, node, write], &[]);
        let verb = if write == "1" { "wrote to" } else { "read" };
        check_refused(
            &outcome,
            FATAL,
            &format!("a thread on node {node} {verb} address {address}"),
        );
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn wrong_programs_and_counts_have_the_statuses_of_a_shell() {
    let program = limits();
    let run = |arguments: &[&str]| start(&mut umbel(arguments), b"").wait(LIMIT);
    let path = program.path();
    let path = path.to_str().expect("temporary folders have plain names");
    let zero = run(&["run", "-n", "0", path, "huge", "1"]);
    assert_eq!(zero.status, Some(2), "{zero}");
    check_refused(
        &run(&["run", "-n", "2", "./no-such-program"]),
        Some(127),
        "no such file",
    );
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/limits.c");
    check_refused(
        &run(&["run", "-n", "2", source]),
        Some(126),
        "is not executable",
    );
    let plain = program.path().with_file_name("plain");
    let text = program.path().with_file_name("plain.c");
    std::fs::write(&text, "int main(void) { return 0; }")
        .expect("the program's folder is writable");
    let gcc = Command::new("gcc")
        .arg(&text)
        .arg("-o")
        .arg(&plain)
        .status();
    assert!(gcc.is_ok_and(|status| status.success()));
    let plain = plain.to_str().expect("temporary folders have plain names");
    check_refused(
        &run(&["run", "-n", "2", plain]),
        Some(126),
        "was not built by `umbel cc`",
    );
}

#[test]
fn a_wrong_environment_is_told_in_one_line() {
    let program = compile_text("int main(void) { return 0; }", &["-O2"]);
    let complete = [
        ("UMBEL_RANK", "0"),
        ("UMBEL_SIZE", "2"),
        ("UMBEL_LINKS", "-,0"),
        ("UMBEL_CONTROL", "0"),
        ("UMBEL_JOB", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"),
    ];
    for (variable, value) in [
        ("UMBEL_RANK", "2"),
        ("UMBEL_RANK", "-1"),
        ("UMBEL_RANK", "one"),
        ("UMBEL_SIZE", "70000"),
        ("UMBEL_SIZE", "5000"),
        ("UMBEL_SIZE", ""),
        ("UMBEL_LINKS", "-"),
        ("UMBEL_LINKS", "-,777"),
        ("UMBEL_RINGS", "-"),
        ("UMBEL_RINGS", "-,0"),
        ("UMBEL_CONTROL", "888"),
        ("UMBEL_JOB", "5a"),
        ("UMBEL_HOLD_US", "long"),
        ("UMBEL_CACHE_BYTES", "64K"),
        ("UMBEL_CONSISTENCY", "strong"),
        ("UMBEL_CONSISTENCY", ""),
        ("UMBEL_PROTOCOL", "updates"),
    ] {
        let mut command = program.command(On::Alone, &[], &[]);
        command.envs(complete).env(variable, value);
        let outcome = start(&mut command, b"").wait(LIMIT);
        check_refused(
            &outcome,
            FATAL,
            "start distributed programs with `umbel run`",
        );
    }
}
