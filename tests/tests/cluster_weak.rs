//! Programs without data races, made up at random, read on several nodes what synchronization determines,
//! as they do on plain POSIX threads.
//!
//! More of them: `UMBEL_DRF_COUNT=500 cargo test -p umbel-tests --test cluster_weak -- --ignored`.

mod drf;

use std::path::{Path, PathBuf};
use std::process::Command;

use drf::Plan;
use umbel_tests::cluster::{LIMIT, On, Program, compile_ours, start};
use umbel_tests::sim::Random;

/// Steps of one program.
const STEPS: u64 = 2000;

/// How a program is run on nodes; the seed chooses.
const NODES: [usize; 4] = [2, 3, 4, 6];
const CONSISTENCIES: [&str; 3] = ["weak", "weak", "sequential"];
const PROTOCOLS: [&str; 8] = [
    "auto",
    "auto",
    "auto",
    "invalidate",
    "migratory",
    "read_only",
    "update",
    "remote",
];
const HOLDS_US: [&str; 3] = ["0", "20", "100"];
/// Foreign copies that a node keeps, in bytes; 0: as many as there are.
const CACHES: [&str; 4] = ["0", "0", "16384", "65536"];

/// Cases of tests/programs/weak.c: each a way to synchronize.
const CASES: [&str; 7] = [
    "disjoint_bytes",
    "bytes_under_locks",
    "through_a_third",
    "flags",
    "creation_and_end",
    "ends_while_written",
    "local_locks",
];

#[test]
fn each_way_to_synchronize_tells_what_was_written() {
    for flag in ["-O0", "-O2"] {
        let program = compile_ours("weak", &[flag, "-Wall"]);
        for case in CASES {
            for (protocol, nodes) in PROTOCOLS.into_iter().skip(2).zip([3, 4, 3, 4, 3, 4]) {
                let environment = [("UMBEL_PROTOCOL", protocol)];
                let outcome = program.run(On::Nodes(nodes), &[case], &environment);
                let context = format!("{flag} {nodes} nodes, {environment:?}, {case}: {outcome}");
                assert_eq!(outcome.status, Some(0), "{context}");
            }
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

#[test]
fn a_dozen_programs_without_races_read_what_they_must() {
    let programs = Programs::new("dozen");
    for seed in 1..=12 {
        programs.run(seed);
    }
}

/// The program itself must notice: here because the plan expects what nobody wrote.
#[test]
fn a_read_of_other_bytes_ends_the_program() {
    let program = compile_ours("drf", &["-O2", "-Wall"]);
    let text = Plan::new(1, 300).text;
    let mut lines: Vec<&str> = text.lines().collect();
    let is_read = |line: &&mut &str| line.split(' ').nth(1) == Some("1");
    let read = lines.iter_mut().skip(2).find(is_read);
    let read = read.expect("300 steps have a read");
    let changed = read.rsplit_once(' ').map(|(step, _)| format!("{step} 1"));
    let changed = changed.expect("a step has words");
    *read = &changed;
    let mut command = program.command(On::Nodes(2), &[], &[]);
    let outcome = start(&mut command, lines.join("\n").as_bytes()).wait(LIMIT);
    assert_eq!(outcome.status, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("reads object"), "{outcome}");
}

/// `UMBEL_DRF_SEED`: the first seed; `UMBEL_DRF_COUNT`: how many.
#[test]
#[ignore = "as many as wanted"]
fn many_programs_without_races_read_what_they_must() {
    let number = |name, otherwise| {
        let text = std::env::var(name);
        text.map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let first: u64 = number("UMBEL_DRF_SEED", 1000);
    let programs = Programs::new("many");
    for seed in first..first + number("UMBEL_DRF_COUNT", 200) {
        programs.run(seed);
    }
}

/// drf.c, compiled in every way.
struct Programs {
    /// By gcc alone, whose nested functions need an executable stack.
    plain: PathBuf,
    /// By `umbel cc`: as written, optimized, and with objects on the heap.
    umbel: [Program; 3],
}

impl Drop for Programs {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = std::fs::remove_file(&self.plain);
    }
}

impl Programs {
    /// `test`: its name, for two may compile at once.
    fn new(test: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/drf.c");
        // Another user may have run the same test before.
        let name = format!("umbel-drf-{test}-{}", std::process::id());
        let plain = std::env::temp_dir().join(name);
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-pthread", "-DPLAIN", "-Wl,-z,execstack", "-o"])
            .args([&plain, &source]);
        let outcome = start(&mut gcc, b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let ways: [&[&str]; 3] = [&["-O0"], &["-O2"], &["-O2", "-DHEAP"]];
        let umbel = ways.map(|flags| compile_ours("drf", flags));
        Self { plain, umbel }
    }

    /// The program of a seed on POSIX threads, and on nodes in a way that the seed chooses too.
    fn run(&self, seed: u64) {
        let mut random = Random::new(seed ^ 0x5eed);
        let steps = usize::try_from(random.between(100, STEPS)).expect("small");
        let plan = Plan::new(seed, steps);

        let plain = start(&mut Command::new(&self.plain), plan.text.as_bytes()).wait(LIMIT);
        assert_eq!(
            plain.status,
            Some(0),
            "seed {seed} on POSIX threads: {plain}"
        );
        assert_eq!(
            plain.stdout, plan.outcome,
            "seed {seed} on POSIX threads: {plain}"
        );

        let mut any = |choices: &[&'static str]| choices[random.index(choices.len())];
        let consistency = any(&CONSISTENCIES);
        // Sequential objects can't be updated in place.
        let protocol = match any(&PROTOCOLS) {
            "update" if consistency == "sequential" => "auto",
            protocol => protocol,
        };
        let hold_us = any(&HOLDS_US);
        let cache = any(&CACHES);
        let nodes = NODES[random.index(NODES.len())];
        let mut command = self.umbel[random.index(3)].command(On::Nodes(nodes), &[], &[]);
        command.envs([
            ("UMBEL_CONSISTENCY", consistency),
            ("UMBEL_PROTOCOL", protocol),
            ("UMBEL_HOLD_US", hold_us),
            ("UMBEL_CACHE_BYTES", cache),
        ]);
        let outcome = start(&mut command, plan.text.as_bytes()).wait(LIMIT);
        let context = format!(
            "seed {seed}: {steps} steps on {nodes} nodes, UMBEL_CONSISTENCY={consistency} UMBEL_PROTOCOL={protocol} \
         UMBEL_HOLD_US={hold_us} UMBEL_CACHE_BYTES={cache}: {outcome}\n\
             replay: UMBEL_DRF_SEED={seed} UMBEL_DRF_COUNT=1 cargo test -p umbel-tests \
         --test cluster_weak -- --ignored"
        );
        assert_eq!(outcome.status, Some(0), "{context}");
        assert_eq!(outcome.stdout, plain.stdout, "{context}");
    }
}
