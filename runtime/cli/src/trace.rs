//! `umbel trace`: records and shows the calls of programs built with `-finstrument-functions`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use umbel_tracer::recording::Recording;
use umbel_tracer::view::story::Story;

use crate::status;

mod diff;
mod export;
mod flame;
mod replay;
mod report;
mod tui;

/// Records and shows each call of a program that was built with -finstrument-functions.
#[derive(Args)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Report(report::Options),
    Diff(diff::Options),
    Replay(replay::Options),
    Tui(tui::Options),
    Flame(flame::Options),
    Export(export::Options),
}

/// The recording to read.
#[derive(Args)]
pub struct Source {
    /// The recording.
    #[arg(value_name = "FILE", default_value = "umbel.trace")]
    file: PathBuf,
}

/// Does what the subcommand says; the exit status.
pub fn run(options: &Options) -> u8 {
    let done = match &options.command {
        Command::Report(options) => report::run(options),
        Command::Diff(options) => diff::run(options),
        Command::Replay(options) => replay::run(options),
        Command::Tui(options) => tui::run(options),
        Command::Flame(options) => flame::run(options),
        Command::Export(options) => export::run(options),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("umbel: {error}");
            status::TRACE_FAILED
        }
    }
}

impl Source {
    pub fn open(&self) -> Result<Recording, String> {
        open(&self.file)
    }
}

/// Opens a recording, with advice.
pub fn open(path: &Path) -> Result<Recording, String> {
    Recording::open(path).map_err(|error| match path.exists() {
        true => error.to_string(),
        false => format!(
            "there is no recording {}; make one with `umbel trace record PROG`, or name another file",
            path.display()
        ),
    })
}

/// Tells what the output lacks: on standard error, where it disturbs nobody who reads the output.
pub fn tell_losses(story: &Story, lost: u64) {
    for line in story.warnings() {
        eprintln!("umbel: {line}");
    }
    match lost {
        0 => {}
        1 => eprintln!("umbel: 1 event is missing in the recording"),
        _ => eprintln!("umbel: {lost} events are missing in the recording"),
    }
}
