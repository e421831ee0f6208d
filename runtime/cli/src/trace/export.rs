//! `umbel trace export`: a recording in another program's format.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use umbel_tracer::export::{self, Output};
use umbel_tracer::view::story::Story;

use super::{Source, tell_losses};

/// Writes a recording in another program's format.
#[derive(Args)]
#[command(
    name = "export",
    after_help = "\
Formats:
  chrome    JSON for chrome://tracing, https://ui.perfetto.dev and speedscope
  perfetto  Perfetto's own, smaller and faster: https://ui.perfetto.dev
  ctf       Common Trace Format 1.8, a folder: babeltrace2, Trace Compass
  folded    stacks with their time in nanoseconds (or calls: --calls), for flame graph tools
  jsonl     a line of JSON for each call, return, span, mark, message and loss, by time
  tree      names and nesting only, equal for equal runs: for tests

Examples:
  umbel trace export --format perfetto -o run.pftrace
  umbel trace export --format folded --calls other.trace | sort -n -k 2"
)]
pub struct Options {
    /// What to write.
    #[arg(long, value_name = "FORMAT")]
    format: Format,

    /// Where to: a file (a folder for ctf); standard output without it.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// With --format folded: count calls instead of time.
    #[arg(long)]
    calls: bool,

    #[command(flatten)]
    source: Source,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Chrome,
    Perfetto,
    Ctf,
    Folded,
    Jsonl,
    Tree,
}

pub fn run(options: &Options) -> Result<u8, String> {
    let recording = options.source.open()?;
    let story = Story::new(&recording);
    let format = match options.format {
        Format::Chrome => export::Format::Chrome,
        Format::Perfetto => export::Format::Perfetto,
        Format::Folded if options.calls => export::Format::FoldedCalls,
        Format::Folded => export::Format::FoldedTime,
        Format::Jsonl => export::Format::JsonLines,
        Format::Tree => export::Format::Tree,
        Format::Ctf => {
            let folder = options.output.clone().filter(|path| path != Path::new("-"));
            let folder =
                folder.ok_or("CTF is a folder with several files: say which with -o FOLDER")?;
            let exported = export::export_ctf(&story, folder)?;
            tell_losses(&story, exported.lost);
            return Ok(0);
        }
    };
    let output = Output::at(options.output.as_deref())?;
    let exported = export::export(&story, format, output)?;
    tell_losses(&story, exported.lost);
    Ok(0)
}
