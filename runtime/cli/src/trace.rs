//! `umbel trace`: records and shows the calls of programs built with `-finstrument-functions`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use umbel_tracer::recording::Recording;
use umbel_tracer::view::story::Story;

use crate::status;

mod attach;
mod ctl;
mod diff;
mod export;
mod flame;
mod info;
mod live;
mod options;
mod record;
mod replay;
mod report;
mod serve;
mod stuck;
mod summary;
mod tui;
mod values;

/// Records and shows each call of a program that was built with -finstrument-functions.
#[derive(Args)]
#[command(
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  gcc -g -finstrument-functions prog.c -o prog        build it so, with any optimization
  umbel trace ./prog                                  its call tree, while it runs
  umbel trace -f 'parse_*' -o tree.txt ./prog         only these, into a file
  umbel trace record ./prog                           every call into umbel.trace
  umbel trace replay                                  the call tree of umbel.trace; report, tui, flame, export: see below
  umbel trace record --filter 'parse_*' ./prog        only these; the others cost nothing
  umbel trace ctl status                              how is the session that runs here?
  umbel trace ctl filter add '-lex_*'                 while it runs: without these from now on
  umbel trace attach PID                              debug it while it runs: stop threads, step, print, set
  umbel trace stuck PID                               where is it? any process, traced or not, while it runs on

`umbel trace COMMAND --help` explains a command with examples."
)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    live: live::LiveOptions,
}

#[derive(Subcommand)]
enum Command {
    Record(record::RecordOptions),
    Report(report::Options),
    Diff(diff::Options),
    Replay(replay::Options),
    Tui(tui::Options),
    Flame(flame::Options),
    Export(export::Options),
    Info(info::InfoOptions),
    Ctl(ctl::CtlOptions),
    Attach(attach::AttachOptions),
    Stuck(stuck::StuckOptions),
    #[command(hide = true)]
    Serve(serve::ServeOptions),
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
    let Some(command) = &options.command else {
        return live::run(&options.live);
    };
    let done = match command {
        Command::Record(options) => Ok(record::run(options)),
        Command::Report(options) => report::run(options),
        Command::Diff(options) => diff::run(options),
        Command::Replay(options) => replay::run(options),
        Command::Tui(options) => tui::run(options),
        Command::Flame(options) => flame::run(options),
        Command::Export(options) => export::run(options),
        Command::Info(options) => info::run(options),
        Command::Ctl(options) => Ok(ctl::run(options)),
        Command::Attach(options) => attach::run(options),
        Command::Stuck(options) => stuck::run(options),
        Command::Serve(options) => Ok(serve::run(options)),
    };
    match done {
        Ok(status) => status,
        Err(error) => fail(status::TRACE_FAILED, error),
    }
}

/// Says what is wrong; the exit status for it.
fn fail(status: u8, error: impl std::fmt::Display) -> u8 {
    eprintln!("umbel trace: {error}");
    status
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
    for line in story.warnings(lost) {
        eprintln!("umbel trace: {line}");
    }
}
