//! `umbel trace flame`: a recording as a flame graph.

use std::path::PathBuf;

use clap::Args;
use umbel_tracer::export::{self, Format, Output};
use umbel_tracer::view::story::Story;

use super::{Source, tell_losses};

/// Draws a flame graph: an SVG that a browser opens, zooms and searches.
#[derive(Args)]
#[command(
    name = "flame",
    after_help = "\
Examples:
  umbel trace flame -o x.svg              of umbel.trace
  umbel trace flame -o x.svg other.trace  of another recording"
)]
pub struct Options {
    /// Where to; standard output without it.
    #[arg(short, long, value_name = "FILE.svg")]
    output: Option<PathBuf>,

    #[command(flatten)]
    source: Source,
}

pub fn run(options: &Options) -> Result<u8, String> {
    let recording = options.source.open()?;
    let story = Story::new(&recording);
    let output = Output::at(options.output.as_deref())?;
    let exported = export::export(&story, Format::Flame, output)?;
    tell_losses(&story, exported.lost);
    Ok(0)
}
