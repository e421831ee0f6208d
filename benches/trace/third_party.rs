//! Others' programs under the tracer: the same output and status as alone, and each function called as often as an
//! independent library of hooks counts (tests/programs/trace/count.c): `cargo xtask trace third-party`.
//!
//! Then once more with all values of each call, pointers followed twice: the same output and status. That run keeps the last events
//! only (a flight recorder): what is proved is that looking hurts no program.
//!
//! Each case is a script for sh in an empty folder; `$BIN` has what the recipe built with the flag, `$SRC` the source, `$HERE` the
//! recipes. Two runs are counted, or more: functions that they call differently often (by addresses, times, orders of threads)
//! are told and left out of the comparison.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use umbel_tracer::recording::{Kind, Recording};

use super::configurations::Tools;
use super::measure::said;
use super::programs::{FLAG, folder};

/// Something to run.
struct Case {
    name: &'static str,
    recipe: &'static str,
    script: &'static str,
    /// Whether all its output is the same each time.
    says_the_same: bool,
    /// Why its calls are not compared: nothing tells which of them are the same each time.
    uncounted: Option<&'static str>,
    is_quick: bool,
}

/// Calls by file and offset of the function.
type Calls = BTreeMap<(PathBuf, u64), u64>;

/// Runs all cases, or only the quick ones; the table, and whether all is right.
pub fn run(
    umbel: &Path,
    sources: &Path,
    output: &Path,
    quick: bool,
    only: &str,
) -> Result<(String, bool)> {
    let tools = Tools::make(umbel, output)?;
    let counter = output.join("count.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs/trace/count.c");
    said(
        Command::new("gcc")
            .args(["-O2", "-fPIC", "-shared", "-o"])
            .arg(&counter)
            .args([source.as_os_str(), "-ldl".as_ref()]),
    )?;
    let mut text = String::new();
    let mut is_right = true;
    for case in CASES {
        if (quick && !case.is_quick) || !case.name.contains(only) {
            continue;
        }
        if quick && !sources.join(case.recipe).is_dir() {
            let line = format!(
                "{:<28} left out: its source could not be fetched\n",
                case.name
            );
            eprint!("{line}");
            text.push_str(&line);
            continue;
        }
        let result = case.run(&tools, sources, &counter);
        is_right &= result.is_ok();
        let line = match result {
            Ok(line) => format!("{:<28} same   {line}\n", case.name),
            Err(error) => format!("{:<28} DIFFERS {error:#}\n", case.name),
        };
        eprint!("{line}");
        text.push_str(&line);
    }
    Ok((text, is_right))
}

impl Case {
    fn run(&self, tools: &Tools, sources: &Path, counter: &Path) -> Result<String> {
        let built = folder(tools, sources, self.recipe, FLAG)?;
        let place = tools.output.join("third-party");
        let source = sources.join(self.recipe);
        let script = |mut command: Command| -> Result<Output> {
            let _ = fs::remove_dir_all(place.join("work"));
            fs::create_dir_all(place.join("work"))?;
            let output = command
                .args(["sh", "-c", self.script])
                .current_dir(place.join("work"))
                .env("BIN", &built)
                .env("SRC", &source)
                .env("HERE", tools.sources.join("recipes"))
                .output()
                .with_context(|| format!("cannot run {command:?}"))?;
            Ok(output)
        };
        let _ = fs::remove_dir_all(&place);
        let alone = script(bare())?;
        ensure!(
            alone.status.success(),
            "{} without the tracer:\n{}",
            alone.status,
            String::from_utf8_lossy(&alone.stderr)
        );
        let count = || -> Result<Calls> {
            let counted = place.join("counted");
            let _ = fs::remove_dir_all(&counted);
            fs::create_dir_all(&counted)?;
            let mut command = bare();
            command.env("LD_PRELOAD", counter);
            command.env("UMBEL_COUNTS", &counted);
            command.env("UMBEL_TRACE_LIVE", "as many variables as with the tracer");
            script(command)?;
            let calls = read_counts(&counted)?;
            ensure!(!calls.is_empty(), "nothing was counted");
            Ok(calls)
        };
        let recording = place.join("recording");
        let trace = |arguments: &[&str]| -> Result<()> {
            let mut command = tools.record(&recording, arguments);
            command.env("UMBEL_COUNTS", "as many variables as with the counter");
            let traced = script(command)?;
            ensure!(
                traced.status.code() == alone.status.code(),
                "{} instead of {} ({}):\n{}",
                traced.status,
                alone.status,
                arguments.join(" "),
                String::from_utf8_lossy(&traced.stderr)
            );
            ensure!(
                !self.says_the_same || traced.stdout == alone.stdout,
                "its output is another ({}):\n{}",
                arguments.join(" "),
                String::from_utf8_lossy(&traced.stdout)
            );
            Ok(())
        };
        trace(&["--when-full", "wait", "--anyway"])?;
        let (recorded, processes) = read_recording(&recording)?;
        let line = match self.uncounted {
            None => compare(count, &recorded)?,
            Some(reason) => {
                let calls: u64 = recorded.values().sum();
                ensure!(calls > 0, "nothing was recorded");
                format!("{calls} calls, not compared: {reason}")
            }
        };
        trace(VALUED)?;
        let valued = values_in(&recording)?;
        let _ = fs::remove_dir_all(&place);
        Ok(format!(
            "{}, {line}, {processes} processes; with all values, {valued} events have some",
            alone.status
        ))
    }
}

/// A command that runs the words that follow.
fn bare() -> Command {
    Command::new("env")
}

/// All functions that counted runs call equally often are called as often in the recording. Two runs may agree by chance on
/// what a third does otherwise, so a difference counts when it is there after [`COUNTED_RUNS_MAX`].
fn compare(count: impl Fn() -> Result<Calls>, recorded: &Calls) -> Result<String> {
    let mut runs = vec![count()?, count()?];
    loop {
        let all: BTreeSet<&(PathBuf, u64)> = runs
            .iter()
            .chain([recorded])
            .flat_map(BTreeMap::keys)
            .collect();
        let (steady, unsteady): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|key| runs.iter().all(|run| run.get(key) == runs[0].get(key)));
        let mut different: Vec<String> = steady
            .into_iter()
            .filter(|key| runs[0].get(key) != recorded.get(key))
            .map(|key| {
                let calls = |calls: &Calls| calls.get(key).copied().unwrap_or(0);
                let (module, offset) = key;
                let module = module.display();
                format!(
                    "{module}+{offset:#x}: {} calls recorded, {} counted",
                    calls(recorded),
                    calls(&runs[0])
                )
            })
            .collect();
        if different.is_empty() {
            let calls: u64 = recorded.values().sum();
            return Ok(format!(
                "{calls} calls of {} functions, {} of them not the same each time",
                recorded.len(),
                unsteady.len()
            ));
        }
        if runs.len() == COUNTED_RUNS_MAX {
            let count = different.len();
            different.truncate(SHOWN_MAX);
            bail!(
                "{count} functions differ:\n    {}",
                different.join("\n    ")
            );
        }
        let run = count()?;
        runs.push(run);
    }
}

/// Calls of all threads, and how many processes there were.
fn read_recording(path: &Path) -> Result<(Calls, usize)> {
    let recording = Recording::open(path)?;
    ensure!(recording.damage().is_empty(), "{:?}", recording.damage());
    ensure!(recording.lost().is_empty(), "{:?}", recording.lost());
    let mut calls = Calls::new();
    for thread in recording.threads() {
        let mut addresses: HashMap<u64, u64> = HashMap::new();
        for event in recording.events(thread.serial) {
            match event.kind {
                Kind::Call(address) => *addresses.entry(address).or_default() += 1,
                Kind::Lost { count, .. } => bail!("{count} events are lost"),
                _ => {}
            }
        }
        for (address, count) in addresses {
            let module = recording.modules().iter().find(|module| {
                module.process == thread.process && module.addresses().contains(&address)
            });
            let module = module.with_context(|| format!("{address:#x} is in no module"))?;
            let path = canonical(Path::new(&module.path));
            *calls.entry((path, address - module.bias)).or_default() += count;
        }
    }
    Ok((calls, recording.processes().len()))
}

/// How many calls and returns of a flight recorder's file have values. What was overwritten, in the middle too where processes
/// share the buffer, is its nature.
fn values_in(path: &Path) -> Result<usize> {
    let recording = Recording::open(path)?;
    let valued = |serial| {
        let events = recording.events(serial);
        events
            .filter(|event| matches!(event.kind, Kind::Values(_)))
            .count()
    };
    let threads = recording.threads().iter();
    let count = threads.map(|thread| valued(thread.serial)).sum();
    ensure!(count > 0, "no event has values");
    Ok(count)
}

/// What hooks of count.c left in `folder`.
fn read_counts(folder: &Path) -> Result<Calls> {
    let mut calls = Calls::new();
    for entry in fs::read_dir(folder)? {
        let bytes = fs::read(entry?.path())?;
        for entry in bytes.chunks_exact(ENTRY_BYTES) {
            let word = |from: usize| -> Result<u64> {
                Ok(u64::from_ne_bytes(entry[from..from + 8].try_into()?))
            };
            let count = word(8)?;
            if count == 0 {
                continue;
            }
            let module = entry[24..]
                .split(|byte| *byte == 0)
                .next()
                .unwrap_or_default();
            let module = String::from_utf8_lossy(module);
            let path = canonical(Path::new(&*module));
            *calls.entry((path, word(16)?)).or_default() += count;
        }
    }
    Ok(calls)
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Bytes of count.c's `struct entry`.
const ENTRY_BYTES: usize = 256;

/// A run that looks at all there is.
const VALUED: &[&str] = &["--flight", "--values", "all", "--follow", "2", "--anyway"];

/// Runs under the counter.
const COUNTED_RUNS_MAX: usize = 6;

/// Differences that are told.
const SHOWN_MAX: usize = 8;

const CASES: [Case; 9] = [
    Case {
        name: "lua",
        recipe: "lua",
        script: "$BIN/lua $HERE/check.lua && $BIN/lua $HERE/work.lua 1",
        says_the_same: true,
        uncounted: None,
        is_quick: true,
    },
    Case {
        name: "zlib, its tests",
        recipe: "zlib",
        script: "$BIN/example && $BIN/minigzip < $SRC/zlib.h | $BIN/minigzip -d | cmp - $SRC/zlib.h && echo same",
        says_the_same: true,
        uncounted: None,
        is_quick: true,
    },
    Case {
        name: "sqlite, a script",
        recipe: "sqlite",
        script: "$BIN/sqlite :memory: < $HERE/check.sql; echo $?",
        says_the_same: true,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "sqlite, its fuzz tests",
        recipe: "sqlite",
        script: "$BIN/fuzzcheck --limit-mem 100M $SRC/test/fuzzdata4.db > out; status=$?; tail -1 out | cut -d, -f1; exit $status",
        says_the_same: false,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "fastjet, C++",
        recipe: "fastjet",
        script: "$BIN/basic && $BIN/jets 4 200",
        says_the_same: true,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "tinyxml2, its tests",
        recipe: "tinyxml2",
        script: "cp -r $BIN/resources . && $BIN/xmltest > out; status=$?; grep -v -e seconds -e '^\\[pass\\] .*time' out; exit $status",
        says_the_same: true,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "dash, fork and exec",
        recipe: "dash",
        script: "$BIN/dash $HERE/check.sh",
        says_the_same: true,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "HepMC3, its tests, threads",
        recipe: "hepmc",
        script: "cp -r $BIN/test . && cd test && for name in Boost Mass PrintBug Polarization Units Weights Loops IO1 IO3 IO6 Delete ReaderFactory1 Threads1; do ../test/test$name > out || exit 1; done",
        says_the_same: true,
        uncounted: None,
        is_quick: false,
    },
    Case {
        name: "redis, its tests",
        recipe: "redis",
        script: "cp -r $BIN/tests $BIN/runtest $BIN/redis.conf . && mkdir src && cp $BIN/src/redis-* src && ./runtest --clients 1 --single unit/type/incr > out; status=$?; grep -a -c '\\[ok\\]' out; exit $status",
        says_the_same: true,
        uncounted: Some("a server that works by timers, in processes whose names it changes"),
        is_quick: false,
    },
];
