//! What one node wrote before it let another go on, that one sees; and nothing is sent when nobody goes on.

use umbel_tests::cluster::{LIMIT, On, Outcome, compile_ours, start};

#[test]
fn plain_data_arrive_however_they_are_announced() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("release", &["-Wall", flag]);
        for (nodes, hold_us, rounds) in [
            (2, "0", "60"),
            (3, "100", "60"),
            (3, "0", "200"),
            (5, "0", "40"),
        ] {
            let outcome = program.run(
                On::Nodes(nodes),
                &["all", rounds],
                &[("UMBEL_HOLD_US", hold_us)],
            );
            assert_eq!(
                outcome.status,
                Some(0),
                "{flag}, {nodes} nodes, hold {hold_us} us: {outcome}"
            );
            assert_eq!(outcome.stdout.lines().count(), 13, "{outcome}");
        }
        let outcome = program.run(On::Alone, &["all", "10"], &[]);
        assert_eq!(outcome.status, Some(0), "{flag} alone: {outcome}");
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

#[test]
fn the_same_program_is_right_under_either_consistency() {
    let program = compile_ours("release", &["-O2"]);
    for consistency in ["weak", "sequential"] {
        let outcome = program.run(
            On::Nodes(3),
            &["all", "40"],
            &[("UMBEL_CONSISTENCY", consistency)],
        );
        assert_eq!(outcome.status, Some(0), "{consistency}: {outcome}");
    }
}

/// Messages that all nodes sent.
fn messages(outcome: &Outcome) -> u64 {
    let counts = outcome.stderr.split("\"messages_sent\":").skip(1);
    counts
        .map(|rest| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits
                .and_then(|digits| digits.parse::<u64>().ok())
                .expect("the count is a number")
        })
        .sum()
}

#[test]
fn locked_increments_on_the_mutexs_home_send_nothing() {
    let program = compile_ours("quiet", &["-O2"]);
    let run = |rounds: &str| {
        let options = ["--stats", "--stats-format", "json"];
        let mut command = program.command(On::Nodes(3), &options, &[rounds]);
        let outcome = start(&mut command, b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(0), "{rounds} rounds: {outcome}");
        messages(&outcome)
    };
    let (few, many) = (run("10"), run("100000"));
    // The start and the end of a job vary by a few messages.
    assert!(
        many <= few + 20,
        "{few} messages for 10 increments, {many} for 100000"
    );
}
