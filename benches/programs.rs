//! The C programs: compiling them twice, running them, reading their `RESULT` lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Where things are: the staged `umbel`, our sources, and a folder for programs.
pub struct Workshop {
    umbel: PathBuf,
    sources: PathBuf,
    output: PathBuf,
}

/// How a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// `./program`.
    Alone,
    /// `umbel run -n N ./program`, each node's threads on a processor of their own.
    Nodes(usize),
    /// The same, placed by the scheduler.
    NodesFree(usize),
}

/// One `RESULT` line: nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The least.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
}

/// What all nodes of a run sent.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Messages.
    pub messages: f64,
    /// What they travelled in together.
    pub batches: f64,
    /// Bytes.
    pub bytes: f64,
}

/// What one run measured, by name.
pub type Results = BTreeMap<String, Sample>;

impl Workshop {
    /// `prefix`: where `umbel` is installed; `output`: an empty folder.
    pub fn new(prefix: &Path, output: &Path) -> Result<Self> {
        let umbel = prefix.join("bin/umbel");
        if !umbel.is_file() {
            bail!("there is no {}: run `cargo xtask bench`", umbel.display());
        }
        std::fs::create_dir_all(output).with_context(|| format!("making {}", output.display()))?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
        Ok(Self {
            umbel,
            sources,
            output: output.canonicalize()?,
        })
    }

    /// Compiles `source` by `umbel cc`.
    pub fn umbel_cc(&self, source: &str, flags: &[&str]) -> Result<PathBuf> {
        let mut compiler = Command::new(&self.umbel);
        compiler.arg("cc");
        self.compile(compiler, "umbel", source, flags)
    }

    /// Compiles `source` by plain gcc, with local/plain.h instead of umbel.h.
    pub fn gcc(&self, source: &str, flags: &[&str]) -> Result<PathBuf> {
        let mut compiler = Command::new("gcc");
        // Plain gcc's nested functions need an executable stack, which its linker warns of.
        compiler
            .args(["-pthread", "-Wl,-z,execstack", "-include"])
            .arg(self.sources.join("local/plain.h"));
        self.compile(compiler, "gcc", source, flags)
    }

    /// Runs a program on nodes, in an environment; also what all nodes sent.
    pub fn run_counting(
        &self,
        program: &Path,
        nodes: usize,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<(Results, Traffic)> {
        let mut command = self.on_nodes(program, nodes, environment);
        command.args(arguments);
        let output = finish(&mut command)?;
        let results = parse(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("output of {command:?}"))?;
        let statistics: Value = serde_json::from_slice(&output.stderr)
            .with_context(|| format!("statistics of {command:?}"))?;
        let sum = |what: &str| -> Result<f64> {
            let nodes = statistics["nodes"].as_array();
            let sum = nodes.and_then(|nodes| nodes.iter().map(|node| node[what].as_f64()).sum());
            sum.with_context(|| format!("no {what} in the statistics of {command:?}"))
        };
        let traffic = Traffic {
            messages: sum("messages_sent")?,
            batches: sum("batches_sent")?,
            bytes: sum("bytes_sent")?,
        };
        Ok((results, traffic))
    }

    /// Runs a program on nodes, in an environment.
    pub fn run_in(
        &self,
        program: &Path,
        nodes: usize,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Results> {
        let mut command = Command::new(&self.umbel);
        command.args(["run", "-n", &nodes.to_string()]);
        command.arg(program).args(arguments);
        command.envs(environment.iter().copied());
        results_of(&mut command)
    }

    /// `umbel run` for a program, with statistics behind its output.
    fn on_nodes(&self, program: &Path, nodes: usize, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.umbel);
        command.args(["run", "-n", &nodes.to_string()]);
        command.args(["--stats", "--stats-format", "json"]);
        command.arg(program).envs(environment.iter().copied());
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &Path, on: On, arguments: &[usize]) -> Result<Results> {
        let mut command = match on {
            On::Alone => Command::new(program),
            On::Nodes(count) | On::NodesFree(count) => {
                let mut command = Command::new(&self.umbel);
                command.args(["run", "-n", &count.to_string()]).arg(program);
                command
            }
        };
        if matches!(on, On::NodesFree(_)) {
            command.env("UMBEL_BENCH_FREE", "1");
        }
        command.args(arguments.iter().map(usize::to_string));
        results_of(&mut command)
    }

    /// Compiles `source` by another compiler of C, `name`.
    pub fn compile_by(&self, name: &str, source: &str, flags: &[&str]) -> Result<PathBuf> {
        self.compile(Command::new(name), name, source, flags)
    }

    fn compile(
        &self,
        mut compiler: Command,
        name: &str,
        source: &str,
        flags: &[&str],
    ) -> Result<PathBuf> {
        let stem = source.replace(['/', '.'], "-");
        let program = self
            .output
            .join(format!("{name}-{stem}{}", flags.first().unwrap_or(&"")));
        compiler
            .args(flags)
            .arg("-Wall")
            .arg("-Wextra")
            .arg(self.sources.join(source))
            .arg("-o")
            .arg(&program);
        let output = compiler
            .output()
            .with_context(|| format!("cannot run {compiler:?}"))?;
        if !output.status.success() {
            bail!("{compiler:?}:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(program)
    }
}

/// What a command prints before its end, which must be a good one.
pub fn results_of(command: &mut Command) -> Result<Results> {
    let output = finish(command)?;
    parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("output of {command:?}"))
}

/// What a command prints before its end, whichever that is.
pub fn results_before_end(command: &mut Command) -> Result<Results> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("output of {command:?}"))
}

/// Runs a command to its end, which must be a good one.
fn finish(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}

/// `RESULT name min median count`, one a line.
fn parse(text: &str) -> Result<Results> {
    let mut results = Results::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["RESULT", name, min, median, _count] = words[..] else {
            bail!("unexpected line: {line}")
        };
        let sample = Sample {
            min: min.parse().context("min")?,
            median: median.parse().context("median")?,
        };
        results.insert(name.to_owned(), sample);
    }
    Ok(results)
}

/// The figure in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The least figure.
pub fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_and_other_output_is_refused() {
        let results = parse("RESULT a 1.5 2 10\nRESULT b 3 4 1\n").expect("two good lines");
        assert_eq!((results.len(), results["a"].median), (2, 2.0));
        assert!(parse("RESULT a 1 2\n").is_err() && parse("Segmentation fault\n").is_err());
    }
}
