//! What a recorder's user waits for: start-up, a filter's change, reading.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};

use super::configurations::{CALLS_ALONE, Tools, forget_uftrace};
use super::measure::{bytes_in, said, timed};
use super::programs::{FLAG, Program, folder};
use super::table::{Answer, Limit};
use super::values;
use crate::Effort;
use crate::programs::median;

/// All of them; what fails is told in `refusals`.
pub fn all(
    tools: &Tools,
    programs: &[Program],
    effort: Effort,
    refusals: &mut Vec<String>,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut note = |what: &str, result: Result<Vec<Answer>>| match result {
        Ok(more) => answers.extend(more),
        Err(error) => refusals.push(format!("{what}: {error:#}")),
    };
    note("start-up", start_up(tools, programs, effort));
    note("change of a filter", filter_changes(tools, effort));
    note("values of numbers", values::of_numbers(tools, effort));
    note("values of deep data", values::of_deep_data(tools, effort));
    note("pointers", values::of_probes(tools, effort));
    note("probes", values::of_a_probe(effort));
    note(
        "start-up with values",
        values::start_up(tools, programs, effort),
    );
    note("where a program hangs", values::stuck(tools, effort));
    if let Some(program) = programs.iter().max_by_key(|program| program.events) {
        note("reading", reading(tools, program, effort));
    }
    answers
}

/// How much longer a program takes from its start to its end because it is recorded: one of nothing, and one of
/// 3000 functions that does nothing.
fn start_up(tools: &Tools, programs: &[Program], effort: Effort) -> Result<Vec<Answer>> {
    let nothing = folder(tools, Path::new(""), "nothing", FLAG)?.join("nothing");
    let sqlite = programs
        .iter()
        .find(|program| program.program_is("speedtest1"));
    let mut cases = vec![("a program of nothing", nothing, None, 6.0)];
    if let Some(sqlite) = sqlite {
        cases.push((
            "sqlite that says how it is used",
            sqlite.flag.clone(),
            Some("--help"),
            10.0,
        ));
    }
    let mut answers = Vec::new();
    for (what, program, argument, estimate) in cases {
        let recording = tools.output.join("start-up.trace");
        let folder = tools.output.join("start-up.uftrace");
        let mut uftrace = Command::new("uftrace");
        uftrace.args(["record", "--no-libcall", "-d"]).arg(&folder);
        let more = |command: Command| -> Result<f64> {
            let mut alone = Command::new(&program);
            alone.args(argument);
            let mut traced = command;
            traced.arg(&program).args(argument);
            let mut rounds = Vec::new();
            for _ in 0..5 * effort.trace_rounds {
                rounds.push(-timed_any(&mut alone)? + timed_any(&mut traced)?);
            }
            Ok(median(rounds) / 1e6)
        };
        answers.push(Answer {
            what: format!("start-up and end, {what}"),
            estimate,
            measured: more(tools.record(&recording, &CALLS_ALONE))?,
            unit: "ms",
            goal: None,
        });
        if let Ok(measured) = more(uftrace) {
            answers.push(Answer {
                what: "  uftrace".into(),
                estimate: 40.0,
                measured,
                unit: "ms",
                goal: None,
            });
        }
        let _ = fs::remove_file(&recording);
        forget_uftrace(&folder);
        forget_uftrace(&folder.with_extension("uftrace.old"));
        let _ = fs::remove_dir_all(&folder);
        // uftrace keeps the recording before.
        let _ = fs::remove_dir_all(folder.with_extension("uftrace.old"));
    }
    Ok(answers)
}

/// From the call of `umbel trace ctl` until the last byte of the function's sites is another.
fn filter_changes(tools: &Tools, effort: Effort) -> Result<Vec<Answer>> {
    let pulse = folder(tools, Path::new(""), "pulse", FLAG)?.join("pulse");
    let recording = tools.output.join("pulse.trace");
    let count = 4 * effort.trace_rounds;
    let mut program = tools
        .record(&recording, &CALLS_ALONE)
        .arg(pulse)
        .arg(count.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = program.stdout.take().context("its output is piped")?;
    let mut lines = BufReader::new(lines).lines();
    let mut changes = || -> Result<Vec<f64>> {
        if lines.next().transpose()?.as_deref() != Some("ready") {
            bail!("the program doesn't begin");
        }
        let mut delays = Vec::new();
        for number in 0..count {
            let before = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
            let words: [&str; 3] = match number % 2 {
                0 => ["filter", "add", "-watched"],
                _ => ["filter", "del", "-watched"],
            };
            said(
                Command::new(&tools.umbel)
                    .args(["trace", "ctl", "-s"])
                    .arg(&recording)
                    .args(words),
            )?;
            let line = lines
                .next()
                .transpose()?
                .context("the program sees no change")?;
            let when: f64 = line.parse()?;
            delays.push(when - (before.tv_sec() as f64 * 1e9 + before.tv_nsec() as f64));
        }
        Ok(delays)
    };
    let result = changes();
    if result.is_err() {
        let _ = program.kill();
    }
    let status = program.wait()?;
    let delays = result.with_context(|| format!("the program ended: {status}"))?;
    let _ = fs::remove_file(&recording);
    let worst = delays.iter().copied().fold(0.0, f64::max);
    let answer = |what: &str, estimate, ns: f64| Answer {
        what: format!("change of a filter takes effect, {what}"),
        estimate,
        measured: ns / 1e6,
        unit: "ms",
        goal: Some(Limit::AtMost(50.0)),
    };
    Ok(vec![
        answer("median", 5.0, median(delays.clone())),
        answer("worst", 15.0, worst),
    ])
}

/// Report and exports of one recording of `program`, and uftrace's report of one of its own.
fn reading(tools: &Tools, program: &Program, effort: Effort) -> Result<Vec<Answer>> {
    let recording = tools.output.join("reading.trace");
    let export = tools.output.join("reading.perfetto");
    said(
        tools
            .record(
                &recording,
                &[&CALLS_ALONE[..], &["--when-full", "wait"]].concat(),
            )
            .arg(&program.flag)
            .args(&program.arguments),
    )?;
    let million_events = program.events as f64 / 1e6;
    let umbel = |words: &[&str]| {
        let mut command = Command::new(&tools.umbel);
        command.arg("trace").args(words).arg(&recording);
        command
    };
    let perfetto = || {
        let mut command = umbel(&["export"]);
        command.args(["--format", "perfetto", "-o"]).arg(&export);
        command
    };
    let rate = |command: &mut dyn FnMut() -> Command| -> Result<f64> {
        let mut rounds = Vec::new();
        for _ in 0..effort.trace_rounds {
            rounds.push(million_events * 1e9 / timed(&mut command())?);
        }
        Ok(median(rounds))
    };
    let per_second = |what: String, estimate, measured, goal| Answer {
        what,
        estimate,
        measured,
        unit: "M events/s",
        goal,
    };
    let mut answers = vec![
        per_second(
            format!("report of {}, {million_events:.1} M events", program.name),
            25.0,
            rate(&mut || umbel(&["report"]))?,
            Some(Limit::AtLeast(20.0)),
        ),
        per_second(
            "Perfetto export".into(),
            10.0,
            rate(&mut || perfetto())?,
            None,
        ),
        Answer {
            what: "Perfetto export".into(),
            estimate: 10.0,
            measured: bytes_in(&export)? as f64 / program.events as f64,
            unit: "bytes/event",
            goal: Some(Limit::AtMost(12.0)),
        },
    ];
    let folder = tools.output.join("reading.uftrace");
    let rate = uftrace_rate(program, &folder, &rate);
    if let Ok(measured) = rate {
        answers.push(per_second("  uftrace report".into(), 4.2, measured, None));
    }
    for path in [&recording, &export] {
        let _ = fs::remove_file(path);
    }
    forget_uftrace(&folder);
    let _ = fs::remove_dir_all(&folder);
    Ok(answers)
}

fn uftrace_rate(
    program: &Program,
    folder: &PathBuf,
    rate: &dyn Fn(&mut dyn FnMut() -> Command) -> Result<f64>,
) -> Result<f64> {
    let uftrace = |word: &str| {
        let mut command = Command::new("uftrace");
        command.arg(word).arg("-d").arg(folder);
        command
    };
    let mut record = uftrace("record");
    record.arg("--no-libcall");
    said(record.arg(&program.flag).args(&program.arguments))?;
    rate(&mut || uftrace("report"))
}

/// [`timed`], for a program that may end with any status.
fn timed_any(command: &mut Command) -> Result<f64> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$@\" || :", "sh"])
        .arg(command.get_program());
    timed(shell.args(command.get_args()))
}
