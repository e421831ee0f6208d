//! Creation, names and ends of threads on real nodes.

use umbel_tests::cluster::{On, compile_ours, compile_text};

#[test]
fn threads_are_created_joined_and_waited_for_from_every_node() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("threads", &["-Wall", flag]);
        for on in [
            On::Alone,
            On::Nodes(1),
            On::Nodes(2),
            On::Nodes(3),
            On::Nodes(4),
        ] {
            let outcome = program.run(on, &[], &[]);
            let as_expected = outcome.stdout == "threads agree\n" && outcome.status == Some(0);
            assert!(as_expected, "{flag} {on:?}: {outcome}");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

#[test]
fn exit_from_a_thread_ends_the_job_with_its_status() {
    let program = compile_text(
        "#include <stdlib.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            int node = atoi(argv[1]);
            long shared = 0;
            void ends(int status) { shared = 1; exit(status); }
            void stays(int unused) { shared++; for (;;) pause(); }
            dist_thr_create(stays, 0);
            dist_thr_create_on(node, ends, 40 + node);
            for (;;)
                pause();
        }",
        &["-O2"],
    );
    for node in 0..3 {
        let outcome = program.run(On::Nodes(3), &[&node.to_string()], &[]);
        assert_eq!(outcome.status, Some(40 + node), "node {node}: {outcome}");
        assert_eq!(outcome.stderr, "", "node {node}: {outcome}");
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn the_job_ends_when_main_has_returned_and_its_threads_have_ended() {
    let program = compile_text(
        "#include <stdio.h>
        #include <unistd.h>
        int main(void)
        {
            int value = 0;
            void late(int number) { usleep(20000); value++; printf(\"thread %d\\n\", number); }
            for (int i = 0; i < 3; i++)
                dist_thr_create_on(i, late, i);
            return 9;
        }",
        &["-O2"],
    );
    for _ in 0..5 {
        let outcome = program.run(On::Nodes(3), &[], &[]);
        assert_eq!(outcome.status, Some(9), "{outcome}");
        let mut lines: Vec<_> = outcome.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["thread 0", "thread 1", "thread 2"], "{outcome}");
    }
}

#[test]
fn main_may_leave_by_dist_thr_exit() {
    let program = compile_text(
        "#include <stdio.h>
        int main(void)
        {
            int value = 0;
            void late(int number) { value = number; printf(\"thread %d\\n\", value); }
            dist_thr_create_on(dist_node_count() - 1, late, 7);
            dist_thr_exit();
        }",
        &["-O2"],
    );
    for on in [On::Alone, On::Nodes(2)] {
        let outcome = program.run(on, &[], &[]);
        assert_eq!(
            (outcome.stdout.as_str(), outcome.status),
            ("thread 7\n", Some(0)),
            "{outcome}"
        );
    }
}

/// The argument is the only way in which these threads reach the objects.
#[test]
fn a_pointer_argument_makes_its_object_sharable_and_keeps_its_scope_alive() {
    let program = compile_text(
        "#include <stdio.h>
        #include <unistd.h>
        struct job { int in, out; char text[5000]; };
        static void solve(struct job *job) { usleep(5000); job->out = 2 * job->in; job->text[4999] = 1; }
        static void count(int *total) { usleep(5000); __atomic_fetch_add(total, 1, __ATOMIC_SEQ_CST); }
        static int jobs_done(void)
        {
            struct job jobs[3];
            for (int i = 0; i < 3; i++) {
                jobs[i] = (struct job) { .in = i };
                dist_thr_create_on(i, solve, &jobs[i]);
            }
            dist_thr_join_all();
            return jobs[0].out + jobs[1].out + jobs[2].out + jobs[2].text[4999];
        }
        /* Returns with its thread running, or would: the next call has the same address for its own total. */
        static void leave_early(int *last)
        {
            int total = 0;
            *last = dist_thr_create_on(2, count, &total) != 0;
        }
        int main(void)
        {
            int last = 0;
            for (int i = 0; i < 20; i++)
                leave_early(&last);
            printf(\"%d %d\\n\", jobs_done(), last);
            return 0;
        }",
        &["-O2"],
    );
    let outcome = program.run(On::Nodes(3), &[], &[]);
    assert_eq!(outcome.stdout, "7 1\n", "{outcome}");
    assert_eq!(outcome.status, Some(0), "{outcome}");
}

/// The objects of deep levels are known for what they are, also where all views are one.
#[test]
fn every_level_of_a_recursion_waits_for_the_thread_that_reaches_it() {
    let program = compile_text(
        "#include <stdio.h>
        #include <unistd.h>
        static long sum;
        static void level(int depth)
        {
            long value = 0;
            void late(long amount) { usleep(200); value += amount; }
            if (depth)
                level(depth - 1);
            dist_thr_create(late, 1);
            sum++;
        }
        int main(void)
        {
            long done = 0;
            void deep(int depth)
            {
                long own = 0;
                void late(long amount) { usleep(200); own = amount; __atomic_fetch_add(&done, own, __ATOMIC_SEQ_CST); }
                void check(void) { if (depth) deep(depth - 1); }
                long before;
                dist_thr_create(late, 1);
                check();
                before = depth;
                (void)before;
            }
            level(40);
            deep(40);
            printf(\"%ld %ld\\n\", done, sum);
            return 0;
        }",
        &["-O1"],
    );
    for on in [On::Alone, On::Nodes(2)] {
        let outcome = program.run(on, &[], &[]);
        assert_eq!(outcome.stdout, "41 41\n", "{on:?}: {outcome}");
    }
}
