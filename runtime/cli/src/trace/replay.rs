//! `umbel trace replay`: a recording's call tree as text.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use umbel_tracer::view::replay::replay;
use umbel_tracer::view::select::{Selection, pattern};
use umbel_tracer::view::story::Story;
use umbel_tracer::view::text::{TextOptions, Times};
use umbel_tracer::view::units::parse_duration;

use super::{Source, tell_losses};
use crate::run::allows_colour;

/// Shows the call tree of a recording, as it happened.
#[derive(Args)]
#[command(
    name = "replay",
    after_help = "\
Examples:
  umbel trace replay | less -R                   all of umbel.trace
  umbel trace replay --function 'Parser::*'      these functions and what they call
  umbel trace replay --from 1.5s --to 1.501s     a millisecond of it
  umbel trace replay --thread '#2' --depth 3     the second thread, three frames of each call"
)]
pub struct Options {
    /// Only this thread: its name (* and ? stand for anything), its tid, or #N, the N-th. Repeatable.
    #[arg(long, value_name = "THREAD")]
    thread: Vec<String>,

    /// Only functions of this name (* and ? stand for anything), and what they call. Repeatable.
    #[arg(long, value_name = "PATTERN")]
    function: Vec<String>,

    /// From this time since the first event: 1.5ms, 20us, 3s.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Up to this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// At most so many frames within one another.
    #[arg(long, value_name = "N")]
    depth: Option<u32>,

    /// Times in front of lines.
    #[arg(long, value_name = "WHICH", default_value = "none")]
    times: When,

    /// File and line of each call.
    #[arg(long)]
    places: bool,

    /// Colours: auto shows them on terminals, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    #[command(flatten)]
    source: Source,
}

/// Which times to show.
#[derive(Clone, Copy, ValueEnum)]
enum When {
    /// None.
    None,
    /// Since the first event.
    Relative,
    /// Time of day, UTC.
    Absolute,
}

/// When to show colours.
#[derive(Clone, Copy, ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always, also for `less -R`.
    Always,
    /// Never.
    Never,
}

impl Color {
    pub fn is_on(self, out: &impl IsTerminal) -> bool {
        match self {
            Self::Auto => out.is_terminal() && allows_colour(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

pub fn run(options: &Options) -> Result<u8, String> {
    let recording = options.source.open()?;
    let story = Story::new(&recording);
    let start_ns = story.start_ns();
    let time = |text: &Option<String>| -> Result<Option<u64>, String> {
        let since = text.as_deref().map(parse_duration).transpose()?;
        Ok(since.map(|ns| start_ns.saturating_add(ns)))
    };
    let functions: Result<Vec<_>, String> =
        options.function.iter().map(|text| pattern(text)).collect();
    let selection = Selection {
        threads: options.thread.clone(),
        functions: functions?,
        from_ns: time(&options.from)?.unwrap_or(0),
        to_ns: time(&options.to)?,
        depth_max: options.depth,
    };
    if !story.lanes().iter().any(|lane| selection.has_thread(lane)) && !story.lanes().is_empty() {
        let names = story
            .lanes()
            .iter()
            .map(|lane| format!("#{} {} {}", lane.index + 1, lane.tid, lane.name));
        return Err(format!(
            "no such thread; there are: {}",
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    let clock = recording.clock();
    let text_options = TextOptions {
        color: options.color.is_on(&io::stdout()),
        places: options.places,
        times: match options.times {
            When::None => Times::No,
            When::Relative => Times::Since(start_ns),
            When::Absolute => {
                Times::OfDay(clock.realtime_ns(clock.origin()).saturating_sub(start_ns))
            }
        },
        threads: false,
    };
    match replay(&story, &selection, text_options, &mut io::stdout().lock()) {
        Ok(lost) => tell_losses(&story, lost),
        // A pager that was left has shown enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return Err(format!("cannot write the tree: {error}")),
    }
    Ok(0)
}
