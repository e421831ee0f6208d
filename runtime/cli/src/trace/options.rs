//! What is traced and how: options of all commands that run a program, and of the environment.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use umbel_trace_ring::layout::{Clock, Full};
use umbel_tracer::filter::Filter;
use umbel_tracer::record::Settings;
use umbel_tracer::trigger::Trigger;

use super::values::ValueOptions;
use crate::run::memory::size;

/// Options of tracing.
#[derive(Args)]
pub struct TracingOptions {
    /// Trace only functions that match RULES: names, patterns (g*), /regex/, file:parser.c, lib:libfoo*, separated by `;`;
    /// the last that matches decides, `-RULE` excludes. May be given several times.
    #[arg(
        short = 'f',
        long = "filter",
        value_name = "RULES",
        allow_hyphen_values = true
    )]
    filters: Vec<String>,

    /// Leave out functions that match RULES.
    #[arg(
        short = 'x',
        long = "exclude",
        value_name = "RULES",
        allow_hyphen_values = true
    )]
    excluded: Vec<String>,

    /// Read rules from FILE: one a line, `#` begins a comment.
    #[arg(long = "filters", value_name = "FILE")]
    filter_file: Option<PathBuf>,

    /// Leave out calls with N traced callers, and what they call.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    depth: Option<u32>,

    /// Leave out calls that took less: 10us, 1ms.
    #[arg(long, value_name = "TIME")]
    at_least: Option<String>,

    /// Only threads of this name, pattern or number; `-NAME`: not these. May be given several times.
    #[arg(long, value_name = "THREAD", allow_hyphen_values = true)]
    thread: Vec<String>,

    /// Do something when something happens: 'when f.n > 1000 and depth < 5 then mark "large", stop recording after 10 s';
    /// `umbel trace ctl trigger --help` has the language. May be given several times.
    #[arg(long = "trigger", value_name = "TRIGGER")]
    triggers: Vec<String>,

    /// Trace functions of the C++ library, of system headers and of libraries under /usr/lib too.
    #[arg(long)]
    with_system: bool,

    /// Begin with tracing off, all call sites patched out; `umbel trace ctl on` switches it on. As UMBEL_TRACE=off.
    #[arg(long)]
    off: bool,

    /// What a thread does when the buffer is full.
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    when_full: WhenFull,

    /// Keep only the last events of each thread in the buffer, and write them at the end, after a crash, or at
    /// `umbel trace ctl snapshot`: a flight recorder.
    #[arg(long, conflicts_with = "when_full")]
    flight: bool,

    /// Events that were not written yet: at most SIZE bytes, 8 each [default: 256M; with --flight 8M, the last million of
    /// all threads together, which the processor's caches nearly hold].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    buffer: Option<u64>,

    /// Where times come from: the processor's counter where it can be trusted, or what is named here.
    #[arg(long, value_name = "NAME")]
    clock: Option<ClockName>,

    /// Leave the program's call sites as they are: excluded functions cost a call of the hook each.
    #[arg(long)]
    no_patch: bool,

    #[command(flatten)]
    values: ValueOptions,
}

/// What a recorder that is late may have before it: some seconds of the busiest thread.
const BUFFER_BYTES: u64 = 256 << 20;

/// A flight recorder goes round in it, and a page that was never touched costs as much as the events on it.
const FLIGHT_BUFFER_BYTES: u64 = 8 << 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenFull {
    /// Drops events, and counts them
    Drop,
    /// Waits for the recorder: slower, nothing is lost
    Wait,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClockName {
    /// The processor's counter
    Tsc,
    /// CLOCK_MONOTONIC: slower, right on any machine
    Monotonic,
    /// A counter that the recorder sets each millisecond: a third of the cost of an event
    Coarse,
}

impl TracingOptions {
    /// How a session is made that runs `command` and writes `output`.
    pub fn settings(&self, output: PathBuf, command: Vec<String>) -> Result<Settings> {
        let filter = self.filter()?;
        let triggers = self.triggers.iter().map(|text| Trigger::parse(text));
        Ok(Settings {
            triggers: triggers.collect::<Result<_, _>>().context("--trigger")?,
            output,
            is_stored: true,
            options: described(&filter),
            filter,
            is_on: !self.off && env::var_os("UMBEL_TRACE").is_none_or(|value| value != "off"),
            when_full: match (self.flight, self.when_full) {
                (true, _) => Full::Overwrite,
                (_, WhenFull::Drop) => Full::Drop,
                (_, WhenFull::Wait) => Full::Wait,
            },
            buffer_bytes: self.buffer.unwrap_or(match self.flight {
                true => FLIGHT_BUFFER_BYTES,
                false => BUFFER_BYTES,
            }),
            clock: self.clock.map(|clock| match clock {
                ClockName::Tsc => Clock::Tsc,
                ClockName::Monotonic => Clock::Monotonic,
                ClockName::Coarse => Clock::Coarse,
            }),
            values: self.values.wishes(),
            chosen: self.values.chosen()?,
            probe: self.values.probe(),
            patches: !self.no_patch,
            command,
        })
    }

    /// Whether tracing begins switched off.
    pub fn starts_off(&self) -> bool {
        self.off
    }

    /// What environment, file and options say, in this order: the last rule decides.
    fn filter(&self) -> Result<Filter> {
        let mut filter = from_environment()?;
        if let Some(path) = &self.filter_file {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read --filters {}", path.display()))?;
            filter
                .add(&text)
                .with_context(|| format!("{}", path.display()))?;
        }
        for rules in &self.filters {
            filter.add(rules).context("--filter")?;
        }
        for rules in &self.excluded {
            filter.add_excluded(rules).context("--exclude")?;
        }
        if let Some(depth) = self.depth {
            filter.add(&format!("depth:{depth}")).context("--depth")?;
        }
        if let Some(time) = &self.at_least {
            filter
                .add(&format!("at-least:{time}"))
                .context("--at-least")?;
        }
        for thread in &self.thread {
            let (sign, name) = match thread.strip_prefix('-') {
                Some(name) => ("-", name),
                None => ("", thread.as_str()),
            };
            filter
                .add(&format!("{sign}thread:{name}"))
                .context("--thread")?;
        }
        if self.with_system {
            filter.trace_system();
        }
        Ok(filter)
    }
}

/// The filter that `UMBEL_TRACE_FILTER` has.
pub fn from_environment() -> Result<Filter> {
    let text = env::var_os("UMBEL_TRACE_FILTER").unwrap_or_default();
    Filter::parse(&text.to_string_lossy()).context("UMBEL_TRACE_FILTER")
}

/// What decides which events are missing, for whoever reads the recording.
pub fn described(filter: &Filter) -> Vec<String> {
    let limits = filter.limits();
    let mut texts: Vec<String> = filter.rules().map(|rule| rule.text().to_owned()).collect();
    texts.extend(limits.depth_max.map(|depth| format!("depth:{depth}")));
    texts.extend(
        limits
            .at_least_ns
            .map(|nanoseconds| format!("at-least:{nanoseconds}ns")),
    );
    texts.extend(limits.thread_rules());
    if filter.traces_system() {
        texts.push("with-system".into());
    }
    texts
}
