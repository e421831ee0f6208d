//! `cargo xtask bench backends`: what operations cost with each fault backend, and which system calls work on shared
//! objects. Prints both tables and writes them into ARCHITECTURE.md, between two markers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::backends::{BACKENDS, refusal};
use crate::step::{output_of, run as call, step};
use crate::workspace::root;

/// What `costs.c` reports, and what to call it.
const COSTS: [(&str, &str); 9] = [
    (
        "first_touch",
        "first touch of own memory, 64 pages with one fault",
    ),
    (
        "local_fault",
        "fault without a message: first store to a weak copy",
    ),
    ("read_64", "read miss, 64 bytes"),
    ("read_4096", "read miss, 4096 bytes"),
    ("read_sequential", "read miss, 64 bytes, sequential"),
    ("upgrade", "read copy to write copy, sequential"),
    (
        "hand_over",
        "an atomic object changes hands, minimum hold of 100 us included",
    ),
    ("mutex", "lock and unlock a mutex of another node"),
    ("barrier", "barrier of two nodes"),
];

/// Runs of which the best median counts: whoever else uses the machine only adds.
const ROUNDS: usize = 5;

const BEGIN: &str = "<!-- made by `cargo xtask bench backends` -->";
const END: &str = "<!-- end -->";

pub fn run(prefix: &Path, output: &Path, quick: bool) -> Result<()> {
    let costs = compile(prefix, output, "costs")?;
    let calls = compile(prefix, output, "calls")?;
    let mut measured: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
    let mut tried: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut missing = Vec::new();
    let usable = step("look for backends", || {
        let mut usable = Vec::new();
        for backend in BACKENDS {
            match refusal(prefix, backend)? {
                None => usable.push(backend),
                Some(reason) => missing.push(format!("`{backend}` is not usable here: {reason}.")),
            }
        }
        Ok(usable)
    })?;
    for _ in 0..if quick { 1 } else { ROUNDS } {
        for backend in &usable {
            let text = on_two_nodes(prefix, backend, &costs)?;
            let results = measured.entry(backend).or_default();
            for (name, ns) in text.lines().filter_map(result_of) {
                let best = results.entry(name).or_insert(f64::INFINITY);
                *best = best.min(ns);
            }
        }
    }
    for backend in &usable {
        let text = on_two_nodes(prefix, backend, &calls)?;
        for line in text.lines() {
            let Some((what, result)) = line.rsplit_once(' ') else {
                bail!("calls.c printed {line:?}");
            };
            let name = what.split(' ').next().unwrap_or_default().to_owned();
            if !order.contains(&name) {
                order.push(name);
            }
            let results = tried.entry(backend).or_default();
            results.insert(what.to_owned(), result.to_owned());
        }
    }
    order.sort_unstable();
    let text = text_of(&usable, &measured, &tried, &order, &missing);
    println!("\n{text}");
    if quick {
        return Ok(());
    }
    write_between_markers(&text)
}

fn compile(prefix: &Path, output: &Path, name: &str) -> Result<PathBuf> {
    let source = root()?
        .join("benches/backends")
        .join(name)
        .with_extension("c");
    let program = output.join(format!("backends-{name}"));
    let mut compile = Command::new(prefix.join("bin/umbel"));
    compile.args(["cc", "-O2", "-o"]).arg(&program).arg(source);
    call(&mut compile)?;
    Ok(program)
}

fn on_two_nodes(prefix: &Path, backend: &str, program: &Path) -> Result<String> {
    let mut run = Command::new("timeout");
    run.arg("60").arg(prefix.join("bin/umbel"));
    run.args(["run", "-n", "2", "--fault-backend", backend]);
    output_of(run.arg(program))
}

/// Name and median of a line `RESULT name min median count`.
fn result_of(line: &str) -> Option<(String, f64)> {
    let mut words = line.strip_prefix("RESULT ")?.split(' ');
    let name = words.next()?.to_owned();
    let median = words.nth(1)?.parse().ok()?;
    Some((name, median))
}

fn text_of(
    usable: &[&str],
    measured: &BTreeMap<&str, BTreeMap<String, f64>>,
    tried: &BTreeMap<&str, BTreeMap<String, String>>,
    calls: &[String],
    missing: &[String],
) -> String {
    let mut text = String::new();
    let heads: Vec<String> = usable.iter().map(|name| format!("`{name}`")).collect();
    let rule = "|---".repeat(usable.len() + 1);
    let line = |first: &str, cells: &[String]| format!("| {first} | {} |\n", cells.join(" | "));
    text += &line(
        "microseconds, best median of five runs, two nodes on one host",
        &heads,
    );
    text += &format!("{rule}|\n");
    for (name, what) in COSTS {
        let cells: Vec<String> = usable
            .iter()
            .map(|backend| {
                let ns = measured.get(backend).and_then(|costs| costs.get(name));
                ns.map_or_else(|| "-".into(), |ns| format!("{:.1}", ns / 1000.0))
            })
            .collect();
        text += &line(what, &cells);
    }
    text += "\nSystem calls on shared objects, absent and read-only ones: through the C library; in brackets, as a bare \
             instruction\nthat no wrapper sees, on absent and on read-only objects.\n\n";
    text += &line("call", &heads);
    text += &format!("{rule}|\n");
    for name in calls {
        let cells: Vec<String> = usable
            .iter()
            .map(|backend| cell(&tried[backend], name))
            .collect();
        text += &line(&format!("`{name}`"), &cells);
    }
    for reason in missing {
        // Writing to a String succeeds.
        let _ = writeln!(text, "\n{reason}");
    }
    text
}

fn cell(results: &BTreeMap<String, String>, call: &str) -> String {
    let of = |object: &str, way: &str| {
        let result = results.get(&format!("{call} {object} {way}"));
        result.map_or("?", String::as_str)
    };
    let pair = |way: &str| match (of("absent", way), of("read-only", way)) {
        (absent, read_only) if absent == read_only => absent.to_owned(),
        (absent, read_only) => format!("{absent}, {read_only}"),
    };
    match (pair("library"), pair("bare")) {
        (library, bare) if library == bare => library,
        (library, bare) => format!("{library} ({bare})"),
    }
}

fn write_between_markers(text: &str) -> Result<()> {
    let file = root()?.join("ARCHITECTURE.md");
    let whole = fs::read_to_string(&file).context("reading ARCHITECTURE.md")?;
    let parts = whole
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        bail!("ARCHITECTURE.md has no lines {BEGIN} and {END}");
    };
    fs::write(&file, format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
        .context("writing ARCHITECTURE.md")
}
