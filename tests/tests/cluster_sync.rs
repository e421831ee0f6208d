//! Mutexes, semaphores, barriers and condition variables between real nodes.

use umbel_tests::cluster::{LIMIT, On, Outcome, compile_ours, start};

#[test]
fn synchronization_objects_do_what_their_posix_models_do_from_every_node() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("sync", &["-Wall", flag]);
        for on in [
            On::Alone,
            On::Nodes(1),
            On::Nodes(2),
            On::Nodes(3),
            On::Nodes(5),
        ] {
            let outcome = program.run(on, &[], &[]);
            let as_expected =
                outcome.stdout == "synchronization agrees\n" && outcome.status == Some(0);
            assert!(as_expected, "{flag} {on:?}: {outcome}");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

/// Memory that both share, and what carries messages one after the other.
const TRANSPORTS: [&str; 2] = ["shm", "tcp"];

/// Messages that all nodes of a run sent.
fn messages(outcome: &Outcome) -> usize {
    let counts = outcome.stderr.split("\"messages_sent\":").skip(1);
    let digits = counts.filter_map(|count| count.split(|c: char| !c.is_ascii_digit()).next());
    digits
        .filter_map(|digits| digits.parse::<usize>().ok())
        .sum()
}

#[test]
fn a_barrier_takes_two_messages_for_each_node_but_one_however_many_threads_meet() {
    let program = compile_ours("meet", &["-O2"]);
    let options = ["--stats", "--stats-format", "json"];
    // Over sockets the last branch is released ahead of time.
    for (nodes, threads, transport) in [
        (2, 1, "shm"),
        (2, 1, "tcp"),
        (2, 3, "shm"),
        (2, 3, "unix"),
        (3, 1, "tcp"),
        (5, 2, "shm"),
        (8, 1, "shm"),
        (8, 1, "tcp"),
        (16, 1, "shm"),
    ] {
        let run = |rounds: usize| {
            let arguments = [&rounds.to_string(), &threads.to_string(), "quiet"];
            let mut command = program.command(On::Nodes(nodes), &options, &arguments);
            command.env("UMBEL_TRANSPORT", transport);
            let outcome = start(&mut command, b"").wait(LIMIT);
            assert_eq!(outcome.status, Some(0), "{outcome}");
            messages(&outcome)
        };
        // What starting and ending takes is in both; scopes and rest of the machine make it differ a little.
        let (few, many) = (run(20), run(220));
        let each = (many - few) as f64 / 200.0;
        let expected = 2.0 * (nodes as f64 - 1.0);
        assert!(
            (each - expected).abs() < expected * 0.1,
            "{each} messages a barrier of {nodes} nodes, {threads} threads each, {transport}"
        );
    }
}

#[test]
fn who_meets_sees_what_all_others_did_before() {
    let program = compile_ours("meet", &["-O2"]);
    for (nodes, threads) in [(2, 2), (3, 3), (6, 1), (9, 2)] {
        for how in ["seeing", "strays"] {
            for transport in TRANSPORTS {
                let arguments = ["60", &threads.to_string(), how];
                let mut command = program.command(On::Nodes(nodes), &[], &arguments);
                command.env("UMBEL_TRANSPORT", transport);
                let outcome = start(&mut command, b"").wait(LIMIT);
                let as_expected = outcome.stdout == "60 rounds\n" && outcome.status == Some(0);
                assert!(
                    as_expected,
                    "{nodes} nodes, {threads} threads, {how}, {transport}: {outcome}"
                );
            }
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_thread_without_a_place_meets_the_others_and_who_went_on_may_destroy_the_barrier() {
    let program = compile_ours("place", &["-O2"]);
    // With six nodes the last is not a neighbour of the barrier's home.
    for nodes in [2, 3, 6] {
        for transport in TRANSPORTS {
            let mut command = program.command(On::Nodes(nodes), &[], &["40"]);
            command.env("UMBEL_TRANSPORT", transport);
            let outcome = start(&mut command, b"").wait(LIMIT);
            let as_expected = outcome.stdout == "40 times\n" && outcome.status == Some(0);
            assert!(as_expected, "{nodes} nodes, {transport}: {outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
