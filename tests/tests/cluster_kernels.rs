//! Self-checking kernels, one or more for each pattern of sharing, on 1, 2, 4 and 8 nodes, under both
//! consistencies. Each compares its result with what it computes serially.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use umbel_tests::cluster::{On, compile_ours};

/// Nodes, threads where these aren't as many, and the foreign copies that a node keeps, in bytes (0: all).
const RUNS: [(usize, Option<&str>, &str); 6] = [
    (1, Some("3"), "0"),
    (2, None, "0"),
    (2, Some("5"), "0"),
    (4, None, "0"),
    (4, None, "24576"),
    (8, None, "0"),
];

const CONSISTENCIES: [&str; 2] = ["weak", "sequential"];

/// One test for each, so that a failure names its kernel.
macro_rules! kernels {
    ($($name:ident $size:expr;)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { verifies(stringify!($name), $size); })*
    };
}

// The name, and what follows the number of threads.
kernels! {
    accounts &["10", "60"];
    barnes &[];
    cg &["2000"];
    histogram &[];
    lu &[];
    particles &[];
    pipeline &[];
    radix &["5000"];
    steal &[];
    stencil &["32"];
    table &[];
}

fn verifies(name: &str, size: &[&str]) {
    let program = compile_ours(
        &format!("kernel_{name}"),
        &["-O2", "-Wall", "-Wextra", "-Wl,--no-as-needed,-lm"],
    );
    for consistency in CONSISTENCIES {
        for (nodes, threads, cache) in RUNS {
            let threads = threads.map_or_else(|| nodes.to_string(), str::to_owned);
            let arguments: Vec<&str> = [threads.as_str()]
                .into_iter()
                .chain(size.iter().copied())
                .collect();
            let environment = [
                ("UMBEL_CONSISTENCY", consistency),
                ("UMBEL_CACHE_BYTES", cache),
            ];
            let outcome = program.run(On::Nodes(nodes), &arguments, &environment);
            let context = format!(
                "UMBEL_CONSISTENCY={consistency} UMBEL_CACHE_BYTES={cache} umbel run -n {nodes} kernel_{name} {}: {outcome}",
                arguments.join(" ")
            );
            assert_eq!(outcome.status, Some(0), "{context}");
            let line = format!("{name}: {threads} threads on {nodes} nodes: verified\n");
            assert_eq!(outcome.stdout, line, "{context}");
            assert_eq!(outcome.stderr, "", "{context}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0], "kernel_{name}");
}

#[test]
fn each_kernel_has_its_test() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let files = fs::read_dir(programs).expect("tests/programs is readable");
    let kernels = files.filter_map(|file| {
        let name = file.expect("tests/programs is readable").file_name();
        let name = name.to_str()?.strip_prefix("kernel_")?;
        Some(name.strip_suffix(".c")?.to_owned())
    });
    let tested = NAMES.iter().map(|name| name.to_string());
    assert_eq!(kernels.collect::<BTreeSet<_>>(), tested.collect());
}
