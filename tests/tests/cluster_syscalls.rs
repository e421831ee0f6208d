//! The kernel reads and writes objects that are elsewhere, or here as read-only copies, on every fault backend.

use umbel_tests::cluster::{On, Program, compile_ours, compile_text};

#[test]
fn system_calls_take_absent_and_read_only_objects_as_buffers() {
    let program = compile_ours("syscalls", &["-O2"]);
    agree(
        &program,
        "system calls agree\n",
        &[(2, "0"), (2, "100"), (3, "100")],
    );
}

#[test]
fn calls_with_names_of_files_take_any_objects() {
    agree(
        &compile_ours("syscalls_files", &["-O2"]),
        "files agree\n",
        &SHORT,
    );
}

#[test]
fn calls_on_sockets_and_waits_take_any_objects() {
    agree(
        &compile_ours("syscalls_sockets", &["-O2"]),
        "sockets agree\n",
        &SHORT,
    );
}

#[test]
fn calls_about_processes_and_time_take_any_objects() {
    let program = compile_ours("syscalls_processes", &["-O2"]);
    agree(&program, "processes agree\n", &SHORT);
}

#[test]
fn streams_print_and_read_any_objects() {
    let expected =
        "short text 0:0 text 1.5 1 2 3 4\nline 0\nshort text 1:1 text 1.5 1 2 3 4\nline 1\n";
    for flags in [&["-O2"][..], &["-O2", "-D_FORTIFY_SOURCE=2"], &["-O0"]] {
        agree(
            &compile_ours("syscalls_streams", flags),
            expected,
            &[(2, "100")],
        );
    }
}

#[test]
fn a_program_may_have_functions_with_the_names_of_calls() {
    let text = r#"
        int read(int a) { return a + 1; }
        int write(int a) { return a + 2; }
        int send(int a) { return a + 3; }
        long writev(int a) { return a + 4; }
        int printf(const char *, ...);
        int time = 5;
        double link = 6;
        int main(void)
        {
            int sum = 0;
            void add(long more) { sum += more + read(1) + write(1) + send(1) + writev(1) + time + link; }
            dist_thr_join(dist_thr_create_on(1, add, 100));
            printf("%d\n", sum);
            return 0;
        }"#;
    let program = compile_text(text, &["-O0", "-fno-builtin", "-w"]);
    agree(&program, "125\n", &[(2, "100")]);
}

/// Nodes, and UMBEL_HOLD_US: how long a page stays at least, in microseconds.
const SHORT: [(usize, &str); 2] = [(2, "0"), (2, "100")];

/// Twice in each setting, on every backend that this machine allows.
#[track_caller]
fn agree(program: &Program, expected: &str, settings: &[(usize, &str)]) {
    let usable = umbel_fault::probe()
        .into_iter()
        .filter(|report| report.usable);
    for backend in usable.map(|report| report.name) {
        for (nodes, hold_us) in settings.iter().flat_map(|setting| [setting; 2]) {
            let environment = [
                ("UMBEL_HOLD_US", *hold_us),
                ("UMBEL_FAULT_BACKEND", backend.as_str()),
            ];
            let outcome = program.run(On::Nodes(*nodes), &[], &environment);
            assert_eq!(
                outcome.stdout, expected,
                "{backend}, {nodes} nodes: {outcome}"
            );
            assert_eq!(outcome.status, Some(0), "{backend}: {outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}
