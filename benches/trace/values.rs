//! What values cost: of numbers, of deep data, of memory that is there or not; start-up with them; what a hanging program is asked.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};

use super::configurations::Tools;
use super::measure::{said, timed};
use super::programs::{FLAG, Program, folder};
use super::table::{Answer, Limit};
use crate::Effort;
use crate::programs::median;

/// Figures that a program prints, by name.
type Figures = BTreeMap<String, f64>;

/// Nanoseconds of an event, over one without values. 13 stores, the plan's place in the table, a few numbers read and written: 130 instructions
/// in 9 ns; 8 words more of a chunk, 2.
pub fn of_numbers(tools: &Tools, effort: Effort) -> Result<Vec<Answer>> {
    let calls = if effort.is_quick() { 20_000 } else { 200_000 };
    let bare = figures(tools, effort, "numbers", calls, &["--values", "none"])?;
    let full = figures(tools, effort, "numbers", calls, &[])?;
    let over = |name: &str| -> Result<f64> { Ok(figure(&full, name)? - figure(&bare, name)?) };
    let names = [
        ("one", "1 argument"),
        ("two", "2 arguments"),
        ("three", "3 arguments"),
    ];
    let mut answers = Vec::new();
    for (number, (name, what)) in names.into_iter().enumerate() {
        answers.push(Answer {
            what: format!("values: {what} and the returned number, over a bare event"),
            estimate: 9.0 + number as f64,
            measured: over(name)?,
            unit: "ns",
            goal: Some(Limit::AtMost(15.0)),
        });
    }
    Ok(answers)
}

/// Nanoseconds of an event with the caller's variables, members, three pointers deep, strings, a vector, a map: 40 pieces of memory, each 15 ns
/// to find and read, each new one compared with those before.
pub fn of_deep_data(tools: &Tools, effort: Effort) -> Result<Vec<Answer>> {
    let calls = if effort.is_quick() { 500 } else { 5_000 };
    let bare = figures(tools, effort, "deep", calls, &["--values", "none"])?;
    let bare = figure(&bare, "deep")?;
    let mut answers = Vec::new();
    for (follow, estimate) in [("2", 700.0), ("3", 900.0)] {
        let options = ["--values", "all", "--follow", follow];
        let full = figures(tools, effort, "deep", calls, &options)?;
        answers.push(Answer {
            what: format!(
                "values: caller's variables, members, string, vector, map, {follow} pointers deep"
            ),
            estimate,
            measured: figure(&full, "deep")? - bare,
            unit: "ns",
            goal: Some(Limit::AtMost(1000.0)),
        });
    }
    Ok(answers)
}

/// What a pointer costs more than null. Finding what it leads to and reading it is 5 ns, each word that is written more 0.6; what
/// isn't there takes a call of the kernel, and a fault in it.
pub fn of_probes(tools: &Tools, effort: Effort) -> Result<Vec<Answer>> {
    let calls = if effort.is_quick() { 5_000 } else { 50_000 };
    let all = figures(tools, effort, "pointers", calls, &[])?;
    let more =
        |name: &str, than: &str| -> Result<f64> { Ok(figure(&all, name)? - figure(&all, than)?) };
    let answer = |what: &str, estimate, measured, limit| Answer {
        what: format!("pointer to {what}"),
        estimate,
        measured,
        unit: "ns",
        goal: Some(Limit::AtMost(limit)),
    };
    let alone = figures_alone(tools, effort, "fault", calls)?;
    Ok(vec![
        answer(
            "a number, over null",
            7.0,
            more("number", "number_null")?,
            8.0,
        ),
        answer("64 bytes, over null", 12.0, more("there", "null")?, 8.0),
        answer(
            "no address, over null",
            3.0,
            more("no_address", "null")?,
            8.0,
        ),
        answer(
            "what isn't there, known from this event",
            5.0,
            more("gone_twice", "gone")?,
            8.0,
        ),
        answer("not there, over null", 700.0, more("gone", "null")?, 1500.0),
        Answer {
            what: "beside it: a fault, and a handler that only sends the thread on, \
                   in C without a tracer"
                .into(),
            estimate: 1300.0,
            measured: figure(&alone, "fault")?,
            unit: "ns",
            goal: None,
        },
    ])
}

/// Nanoseconds of a read alone, over none: a compare with what is known of the region, a call, a load. What isn't there: a call of the
/// kernel and a fault in it.
pub fn of_a_probe(effort: Effort) -> Result<Vec<Answer>> {
    let calls = if effort.is_quick() { 20_000 } else { 200_000 };
    let all = medians(effort, || {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["run", "--release", "--quiet", "--package", "umbel-probe"]);
        command.args(["--example", "costs", "--", &calls.to_string()]);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    })?;
    let answer = |what: &str, name: &str, estimate, limit: Option<f64>| {
        Ok(Answer {
            what: format!("probe alone: {what}"),
            estimate,
            measured: figure(&all, name)?,
            unit: "ns",
            goal: limit.map(Limit::AtMost),
        })
    };
    [
        answer("8 bytes that are there", "valid", 2.0, Some(8.0)),
        answer("64 bytes that are there", "valid_64", 4.0, Some(8.0)),
        answer("known not to be there", "known", 1.0, Some(8.0)),
        answer("not there, not known", "first", 700.0, Some(1500.0)),
        answer("  the same by a fault", "first_unasked", 1400.0, None),
    ]
    .into_iter()
    .collect()
}

/// Milliseconds until main begins, over the program alone: without a cache of debug information, and with what the first run has left.
pub fn start_up(tools: &Tools, programs: &[Program], effort: Effort) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (file, name, argument) in [("speedtest1", "sqlite", "--help"), ("jets", "fastjet", "1")] {
        let Some(program) = programs.iter().find(|program| program.program_is(file)) else {
            continue;
        };
        let cache = tools.output.join("values.cache");
        let recording = tools.output.join("values.trace");
        let until_main = |command: &mut Command| -> Result<f64> {
            command.env("XDG_CACHE_HOME", &cache);
            until_main(tools, program, command)
        };
        let mut rounds = [const { Vec::new() }; 3];
        for _ in 0..3 * effort.trace_rounds {
            let mut alone = Command::new(&program.flag);
            let alone = until_main(alone.arg(argument))?;
            let _ = fs::remove_dir_all(&cache);
            let calls = [&["--values", "none"][..], &[], &[]];
            for (round, options) in rounds.iter_mut().zip(calls) {
                let mut traced = tools.record(&recording, options);
                traced.arg(&program.flag).arg(argument);
                round.push((until_main(&mut traced)? - alone) / 1e6);
            }
        }
        let [none, first, again] = rounds.map(median);
        let answer = |what: &str, estimate, measured, goal: Option<f64>| Answer {
            what: format!("until main of {name}, {what}"),
            estimate,
            measured,
            unit: "ms",
            goal: goal.map(Limit::AtMost),
        };
        answers.push(answer("without values", 8.0, none, None));
        answers.push(answer("with values, first time", 25.0, first, Some(30.0)));
        answers.push(answer("with values, again", 10.0, again, Some(10.0)));
        let _ = fs::remove_file(&recording);
        let _ = fs::remove_dir_all(&cache);
    }
    Ok(answers)
}

/// Milliseconds until it is said where four threads of a program hang, with all values; the same of gdb.
pub fn stuck(tools: &Tools, effort: Effort) -> Result<Vec<Answer>> {
    let hang = folder(tools, Path::new(""), "values", FLAG)?.join("hang");
    let recording = tools.output.join("hang.trace");
    let mut command = tools.record(&recording, &[]);
    let mut child = command.arg(hang).stdout(Stdio::piped()).spawn()?;
    let result = ask(tools, &recording, &mut child, effort);
    // The command passes it on to the program, and ends with it.
    said(Command::new("kill").arg(child.id().to_string()))?;
    child.wait()?;
    let _ = fs::remove_file(&recording);
    let [ours, gdb] = result?;
    let answer = |what: &str, estimate, ns: f64, goal| Answer {
        what: what.to_owned(),
        estimate,
        measured: ns / 1e6,
        unit: "ms",
        goal,
    };
    Ok(vec![
        answer(
            "umbel trace stuck: 4 threads, all values, program not stopped",
            30.0,
            ours,
            Some(Limit::AtMost(100.0)),
        ),
        answer("  gdb: thread apply all bt full, stopped", 500.0, gdb, None),
    ])
}

fn ask(tools: &Tools, recording: &Path, child: &mut Child, effort: Effort) -> Result<[f64; 2]> {
    let mut line = String::new();
    let output = child.stdout.take().context("its output is piped")?;
    BufReader::new(output).read_line(&mut line)?;
    if line.trim() != "ready" {
        bail!("the program says {line:?}");
    }
    let pid = program_of(child.id())?;
    let mut rounds = [const { Vec::new() }; 2];
    for _ in 0..3 * effort.trace_rounds {
        let mut ours = Command::new(&tools.umbel);
        ours.args(["trace", "stuck", &pid]);
        let mut gdb = Command::new("gdb");
        gdb.args(["-batch", "-nx", "-p", &pid]);
        gdb.args(["-ex", "thread apply all bt full"]);
        for (round, command) in rounds.iter_mut().zip([&mut ours, &mut gdb]) {
            round.push(timed(command.current_dir(folder_of(recording)))?);
        }
    }
    Ok(rounds.map(median))
}

/// The program that `umbel trace record` with this pid has started.
fn program_of(pid: u32) -> Result<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let first = children.split_whitespace().next();
    Ok(first.context("the program has ended")?.to_owned())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// What a program of recipes/values.sh prints when it is recorded: of each figure the median of the rounds.
fn figures(
    tools: &Tools,
    effort: Effort,
    program: &str,
    calls: u32,
    options: &[&str],
) -> Result<Figures> {
    let program = folder(tools, Path::new(""), "values", FLAG)?.join(program);
    let recording = tools.output.join("values.trace");
    let options = [&["--flight", "--buffer", "4M"], options].concat();
    let medians = medians(effort, || {
        let mut command = tools.record(&recording, &options);
        command.arg(&program).arg(calls.to_string());
        command
    });
    let _ = fs::remove_file(&recording);
    medians
}

/// The same without a tracer.
fn figures_alone(tools: &Tools, effort: Effort, program: &str, calls: u32) -> Result<Figures> {
    let program = folder(tools, Path::new(""), "values", FLAG)?.join(program);
    medians(effort, || {
        let mut command = Command::new(&program);
        command.arg(calls.to_string());
        command
    })
}

/// Medians of what a command prints in each round.
fn medians(effort: Effort, command: impl Fn() -> Command) -> Result<Figures> {
    let mut rounds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..effort.trace_rounds {
        let mut command = command();
        let output = command.output()?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (name, figure) = line.split_once(' ').context("a name and a figure")?;
            let figures = rounds.entry(name.to_owned()).or_default();
            figures.push(figure.parse().with_context(|| format!("{line:?}"))?);
        }
    }
    let medians = rounds.into_iter().map(|(name, all)| (name, median(all)));
    Ok(medians.collect())
}

fn figure(figures: &Figures, name: &str) -> Result<f64> {
    let figure = figures.get(name).copied();
    figure.with_context(|| format!("the program says nothing of {name}"))
}

/// Nanoseconds from here to the begin of the main of `program`, which `command` runs.
fn until_main(tools: &Tools, program: &Program, command: &mut Command) -> Result<f64> {
    let cpu = tools.output.join("cpu.txt");
    let name = program.flag.file_name().context("a program has a name")?;
    command.env("LD_PRELOAD", tools.output.join("cpu.so"));
    command.env("UMBEL_BENCH_PROGRAM", name);
    command.env("UMBEL_BENCH_CPU", &cpu);
    let _ = fs::remove_file(&cpu);
    let begin = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    // It may end with any status: it only says how it is used.
    command.stdin(Stdio::null()).output()?;
    let text = fs::read_to_string(&cpu).with_context(|| format!("{command:?} has no main"))?;
    let main: f64 = match text.split_whitespace().nth(2) {
        Some(main) => main.parse()?,
        None => bail!("{} has no three figures: {text:?}", cpu.display()),
    };
    Ok(main - (begin.tv_sec() as f64 * 1e9 + begin.tv_nsec() as f64))
}
