//! `cargo xtask oracle`: are the values that the tracer captures those that gdb shows?
//!
//! `umbel trace record` runs gdb, and gdb runs the program, with breakpoints at the first instruction of the hooks: both look at
//! one process, at the same moments. tests/oracle/gdb_values.py writes down what gdb knows, tests/oracle/compare.py compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::step::{output_of, run as call, skip, step};
use crate::workspace::{root, target};
use crate::{deps, sources};

mod programs;
mod table;

use programs::{Program, QUICK, THIRD_PARTY};
use table::Table;

/// What is compared.
#[derive(Args, Default)]
pub struct Options {
    /// Only what `cargo xtask test` runs: our own programs, -O0 and -O2, few events.
    #[arg(long)]
    quick: bool,
    /// Only programs with this in their names.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Only this level of optimization: O2. May be given several times.
    #[arg(long, value_name = "LEVEL")]
    level: Vec<String>,
    /// The first so many events of each program.
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Differences to show for each run.
    #[arg(long, value_name = "N", default_value = "3")]
    show: u32,
}

const LEVELS: [&str; 4] = ["O0", "O1", "O2", "O3"];
const QUICK_LEVELS: [&str; 2] = ["O0", "O2"];
const EVENTS: u64 = 10_000;
const QUICK_EVENTS: u64 = 400;

/// The part that `cargo xtask test` runs.
pub fn quick(prefix: &Path) -> Result<()> {
    let options = Options {
        quick: true,
        ..Options::default()
    };
    run(prefix, &options)
}

/// Compares; an error if any value is wrong, or too many are missing.
pub fn run(prefix: &Path, options: &Options) -> Result<()> {
    let levels: Vec<&str> = match (options.level.is_empty(), options.quick) {
        (false, _) => options.level.iter().map(String::as_str).collect(),
        (true, true) => QUICK_LEVELS.to_vec(),
        (true, false) => LEVELS.to_vec(),
    };
    let chosen = |program: &&Program| {
        let only = options.only.as_deref().unwrap_or_default();
        program.name.contains(only) && (!options.quick || QUICK.contains(&program.name))
    };
    let programs: Vec<&Program> = programs::ALL.iter().filter(chosen).collect();
    let sources = match programs.iter().any(|program| program.is_third_party()) {
        true => {
            deps::for_third_party()?;
            sources::fetch(&THIRD_PARTY)?
        }
        false => PathBuf::new(),
    };
    let folder = target()?.join("oracle");
    let mut self_test = Command::new("python3");
    self_test.arg(root()?.join("tests/oracle/compare.py"));
    call(self_test.arg("--self-test"))?;
    let session = Session {
        prefix,
        events: options.events.unwrap_or(match options.quick {
            true => QUICK_EVENTS,
            false => EVENTS,
        }),
        show: options.show,
    };
    let mut table = Table::default();
    for program in programs {
        for level in &levels {
            let what = format!("{} -{level}: values against gdb's", program.name);
            let compared = step(&what, || {
                let build = folder.join(program.name).join(level);
                program.build(&build, level, &sources)?;
                session.compare(program, &build)
            });
            match compared {
                Ok(counts) => table.add(program.name, level, &counts)?,
                Err(error) if program.is_third_party() && !sources.join(program.name).is_dir() => {
                    skip(program.name, &format!("{error:#}"));
                }
                Err(error) => table.fail(program.name, level, &error),
            }
        }
    }
    println!("\n{table}");
    match table.verdict(options.quick) {
        Ok(()) => Ok(()),
        Err(faults) => bail!("the tracer's values are not gdb's: {faults}"),
    }
}

struct Session<'a> {
    prefix: &'a Path,
    events: u64,
    show: u32,
}

impl Session<'_> {
    /// Runs a program under both; what compare.py counted.
    fn compare(&self, program: &Program, build: &Path) -> Result<String> {
        let scripts = root()?.join("tests/oracle");
        let (theirs, ours) = (build.join("gdb.jsonl"), build.join("umbel.jsonl"));
        let recording = build.join("recording");
        let log = build.join("log");
        let output = fs::File::create(&log).context("cannot write the log")?;
        let mut record = Command::new(self.prefix.join("bin/umbel"));
        record.args([
            "trace",
            "record",
            "--anyway",
            "--with-system",
            "--values=all",
        ]);
        record.args(["--when-full", "wait", "-o"]).arg(&recording);
        record.args(["gdb", "-nx", "-q", "-batch"]);
        record.args(["-iex", "set auto-load safe-path /", "-x"]);
        record.arg(scripts.join("gdb_values.py")).arg("--args");
        record
            .arg(build.join(program.file()))
            .args(program.arguments(build)?);
        record.current_dir(build);
        record.env("ORACLE_OUTPUT", &theirs);
        record.env("ORACLE_EVENTS", self.events.to_string());
        record.stdout(output.try_clone()?).stderr(output);
        call(&mut record).with_context(|| format!("see {}", log.display()))?;
        let mut export = Command::new(self.prefix.join("bin/umbel"));
        export.args(["trace", "export", "--format", "jsonl", "-o"]);
        call(export.arg(&ours).arg(&recording))?;
        let mut compare = Command::new("python3");
        compare.arg(scripts.join("compare.py"));
        compare.arg(&theirs).arg(&ours).arg(program.file());
        output_of(compare.args(["--show", &self.show.to_string()]))
    }
}
