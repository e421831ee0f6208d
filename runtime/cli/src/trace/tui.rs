//! `umbel trace tui`: a recording in the terminal.

use clap::Args;
use umbel_tracer::view::story::Story;
use umbel_tracer::view::tui;

use super::Source;

/// Shows a recording in the terminal: threads, call tree, functions, time line.
#[derive(Args)]
#[command(name = "tui")]
pub struct Options {
    #[command(flatten)]
    source: Source,
}

pub fn run(options: &Options) -> Result<u8, String> {
    let recording = options.source.open()?;
    let story = Story::new(&recording);
    tui::run(&story).map_err(|error| format!("cannot show it in this terminal: {error}"))?;
    Ok(0)
}
