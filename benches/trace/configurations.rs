//! The ways a program runs: alone, under the peers, under ours.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::lttng::Lttng;
use super::measure::{Outcome, bytes_in, run, said};
use super::programs::Program;

/// Helpers that were compiled for this, and where files go.
pub struct Tools {
    /// The staged `umbel`.
    pub umbel: PathBuf,
    /// Our C files and recipes.
    pub sources: PathBuf,
    /// Folder for programs.
    pub output: PathBuf,
    /// Folder of one run's recording: emptied before each.
    recordings: PathBuf,
}

/// How a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Configuration {
    /// Built without the flag.
    Plain,
    /// Built with the flag, the C library's empty hooks.
    Flag,
    /// Empty hooks preloaded.
    Empty,
    /// hooks/ring.c: time and address into memory, read by nobody.
    Ring,
    /// uftrace as Debian has it.
    Uftrace,
    /// LTTng-UST, which writes addresses only.
    LttngFast,
    /// Ours, `UMBEL_TRACE=off`.
    Off,
    /// Ours, every function excluded.
    Excluded,
    /// Ours, every function excluded, call sites left as they are.
    Unpatched,
    /// Ours, everything recorded: who finds no room waits.
    Wait,
    /// Ours, everything recorded: who finds no room drops.
    Drop,
    /// Ours, a flight recorder.
    Flight,
    /// The same with the coarse clock.
    FlightCoarse,
}

impl Configuration {
    /// In the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Plain,
        Self::Flag,
        Self::Empty,
        Self::Ring,
        Self::Uftrace,
        Self::LttngFast,
        Self::Off,
        Self::Excluded,
        Self::Unpatched,
        Self::Wait,
        Self::Drop,
        Self::Flight,
        Self::FlightCoarse,
    ];

    /// In the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "built without the flag",
            Self::Flag => "with it, no tracer",
            Self::Empty => "empty hooks",
            Self::Ring => "ring in memory, no reader",
            Self::Uftrace => "uftrace record",
            Self::LttngFast => "LTTng cyg-profile-fast",
            Self::Off => "umbel, off",
            Self::Excluded => "umbel, all excluded",
            Self::Unpatched => "umbel, excluded, unpatched",
            Self::Wait => "umbel record, wait",
            Self::Drop => "umbel record, drop",
            Self::Flight => "umbel flight",
            Self::FlightCoarse => "umbel flight, coarse clock",
        }
    }

    /// One run.
    pub fn run(self, tools: &Tools, program: &Program) -> Result<Outcome> {
        let recording = tools.recordings.join("recording");
        let _ = fs::remove_dir_all(&tools.recordings);
        fs::create_dir_all(&tools.recordings)?;
        let outcome = match self {
            Self::Plain => tools.measured(program, program.alone(&program.plain), &[]),
            Self::Flag => tools.measured(program, program.alone(&program.flag), &[]),
            Self::Empty => tools.with_hooks(program, "empty.so"),
            Self::Ring => tools.with_hooks(program, "ring.so"),
            Self::Uftrace => tools.uftrace(program, &recording),
            Self::LttngFast => {
                let session = Lttng::start(&recording)?;
                let hooks = Path::new("liblttng-ust-cyg-profile-fast.so.1");
                let mut command = program.alone(&program.flag);
                // Or it would begin before the daemon knows it, and lose its first events.
                command.env("LTTNG_UST_REGISTER_TIMEOUT", "-1");
                let outcome = tools.measured(program, command, &[hooks]);
                let (lost, cpu_ns) = session.stop()?;
                outcome.map(|outcome| Outcome {
                    all_ns: outcome.all_ns + cpu_ns,
                    lost: Some(lost),
                    ..outcome
                })
            }
            Self::Off => tools.ours(program, &recording, &[], &[("UMBEL_TRACE", "off")]),
            Self::Excluded => tools.ours(program, &recording, &EXCLUDED, &[]),
            Self::Unpatched => {
                let options = [&EXCLUDED[..], &["--no-patch"]].concat();
                tools.ours(program, &recording, &options, &[])
            }
            Self::Wait => tools.ours(program, &recording, &WAIT, &[]),
            Self::Drop => tools.ours(program, &recording, &DROP, &[]),
            Self::Flight => tools.ours(program, &recording, &FLIGHT, &[]),
            Self::FlightCoarse => {
                let options = [&FLIGHT[..], &["--clock", "coarse"]].concat();
                tools.ours(program, &recording, &options, &[])
            }
        }?;
        Ok(Outcome {
            stored_bytes: bytes_in(&tools.recordings)? as f64,
            ..outcome
        })
    }
}

impl Tools {
    /// Compiles the helpers into `output`.
    pub fn make(umbel: &Path, output: &Path) -> Result<Self> {
        let tools = Self {
            umbel: umbel.to_owned(),
            sources: Path::new(env!("CARGO_MANIFEST_DIR")).join("trace"),
            output: output.to_owned(),
            recordings: output.join("recordings"),
        };
        for hooks in ["cpu", "empty", "ring", "events"] {
            said(
                Command::new("gcc")
                    .args(["-O2", "-Wall", "-Wextra", "-fPIC", "-shared"])
                    .arg(tools.sources.join("hooks").join(format!("{hooks}.c")))
                    .arg("-o")
                    .arg(tools.output.join(format!("{hooks}.so"))),
            )?;
        }
        Ok(tools)
    }

    /// `umbel trace record` into `recording`, with everything that could be left out.
    pub fn record(&self, recording: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(&self.umbel);
        command.args(["trace", "record", "--with-system", "-o"]);
        command.arg(recording).args(options).arg("--");
        command
    }

    /// Calls and returns of a program.
    pub fn count(&self, program: &Program) -> Result<u64> {
        let file = self.output.join("events.txt");
        let mut command = program.alone(&program.flag);
        command.env("LD_PRELOAD", self.output.join("events.so"));
        said(command.env("UMBEL_BENCH_EVENTS", &file))?;
        let text = fs::read_to_string(&file)?;
        text.trim()
            .parse()
            .with_context(|| format!("{text:?} is no count"))
    }

    fn ours(
        &self,
        program: &Program,
        recording: &Path,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Outcome> {
        let options = [&CALLS_ALONE[..], options].concat();
        let mut command = self.record(recording, &options);
        command.arg(&program.flag).args(&program.arguments);
        command.envs(environment.iter().copied());
        let outcome = self.measured(program, command, &[])?;
        Ok(Outcome {
            lost: Some(lost_in(&self.umbel, recording)?),
            ..outcome
        })
    }

    fn uftrace(&self, program: &Program, recording: &Path) -> Result<Outcome> {
        let mut command = Command::new("uftrace");
        command
            .args(["record", "--no-libcall", "-d"])
            .arg(recording);
        command.arg(&program.flag).args(&program.arguments);
        let outcome = self.measured(program, command, &[]);
        forget_uftrace(recording);
        outcome
    }

    /// The flag build alone, with some of our hooks in it.
    fn with_hooks(&self, program: &Program, hooks: &str) -> Result<Outcome> {
        let hooks = self.output.join(hooks);
        self.measured(program, program.alone(&program.flag), &[&hooks])
    }

    /// A command that runs `program`, with these libraries preloaded.
    fn measured(
        &self,
        program: &Program,
        mut command: Command,
        libraries: &[&Path],
    ) -> Result<Outcome> {
        let cpu = self.output.join("cpu.txt");
        let mut preload = OsString::from(self.output.join("cpu.so"));
        for library in libraries {
            preload.push(":");
            preload.push(library);
        }
        let name = program.plain.file_name().context("a program has a name")?;
        command.env("LD_PRELOAD", preload);
        command.env("UMBEL_BENCH_PROGRAM", name);
        run(command.env("UMBEL_BENCH_CPU", &cpu), &cpu)
    }
}

/// Removes what uftrace leaves in memory when a program of the recording `folder` doesn't end as it expects: of its own sessions alone, which are
/// called as the maps in the folder.
pub fn forget_uftrace(folder: &Path) {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    let shared = Path::new("/dev/shm");
    for map in names(folder) {
        let session = map
            .strip_prefix("sid-")
            .and_then(|name| name.strip_suffix(".map"));
        let Some(session) = session.filter(|session| session.len() == UFTRACE_SESSION) else {
            continue;
        };
        let mark = format!("uftrace-{session}-");
        for name in names(shared).iter().filter(|name| name.starts_with(&mark)) {
            let _ = fs::remove_file(shared.join(name));
        }
    }
}

/// Letters of a session's name.
const UFTRACE_SESSION: usize = 16;

/// Events that a recording of ours says were lost.
fn lost_in(umbel: &Path, recording: &Path) -> Result<f64> {
    let output = Command::new(umbel)
        .args(["trace", "info", "--json"])
        .arg(recording)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let json: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("umbel trace info --json said {text:?}"))?;
    match json["lost"].as_f64() {
        Some(lost) => Ok(lost),
        None => bail!("umbel trace info --json says nothing of lost events"),
    }
}

/// Calls and returns without values, as the others record them.
pub const CALLS_ALONE: [&str; 2] = ["--values", "none"];

/// Leaves all functions out.
const EXCLUDED: [&str; 2] = ["-x", "all"];
const WAIT: [&str; 2] = ["--when-full", "wait"];
const DROP: [&str; 2] = ["--when-full", "drop"];
const FLIGHT: [&str; 1] = ["--flight"];
