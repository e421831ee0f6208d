//! What the nodes' messages travel over makes no difference but in time.

use umbel_tests::cluster::{LIMIT, On, compile_ours, compile_text, start};

const TRANSPORTS: [&str; 3] = ["shm", "unix", "tcp"];

#[test]
fn threads_meet_over_each_transport() {
    let program = compile_ours("locked", &["-O2"]);
    for transport in TRANSPORTS {
        // With a processor for each node they look before they sleep; with eight nodes they sleep at once.
        for nodes in [2, 8] {
            let mut command = program.command(On::Nodes(nodes), &[], &["200"]);
            let outcome = start(command.env("UMBEL_TRANSPORT", transport), b"").wait(LIMIT);
            let expected = format!("{} locked\n", 200 * nodes);
            assert_eq!(outcome.stdout, expected, "{transport}: {outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

/// A flush of 8 MiB is far more than a ring or a socket takes at once: the writer waits for room, in both directions.
#[test]
fn more_than_a_link_holds_waits_until_there_is_room() {
    let program = compile_text(
        "#include <stdio.h>
        enum { BYTES = 8 << 20 };
        int main(void)
        {
            char there[BYTES], back[BYTES];
            for (int i = 0; i < BYTES; i++)
                there[i] = i * 7;
            void copy(int unused)
            {
                (void)unused;
                for (int i = 0; i < BYTES; i++)
                    back[i] = there[i] + 1;
            }
            dist_thr_join(dist_thr_create_on(dist_node_count() - 1, copy, 0));
            int wrong = 0;
            for (int i = 0; i < BYTES; i++)
                wrong += back[i] != (char)(i * 7 + 1);
            printf(\"%d wrong\\n\", wrong);
        }",
        &["-O2"],
    );
    for transport in TRANSPORTS {
        let mut command = program.command(On::Nodes(2), &[], &[]);
        let outcome = start(command.env("UMBEL_TRANSPORT", transport), b"").wait(LIMIT);
        assert_eq!(outcome.stdout, "0 wrong\n", "{transport}: {outcome}");
    }
}
