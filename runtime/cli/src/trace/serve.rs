//! `umbel trace serve`: the recorder of programs that were not started by `umbel trace`, but with `LD_PRELOAD` and variables. The
//! preloaded library starts it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use umbel_tracer::record::{Error, Session};

use super::options::TracingOptions;
use super::record::block_signals;
use super::{fail, summary};
use crate::status;

/// Records the programs that come to the shared file.
#[derive(Args)]
pub struct ServeOptions {
    /// The shared file: RECORDING.live.
    #[arg(long, value_name = "FILE")]
    live: PathBuf,

    #[command(flatten)]
    tracing: TracingOptions,
}

/// Records; the command's exit status.
pub fn run(options: &ServeOptions) -> u8 {
    match serve(options) {
        Ok(()) => 0,
        Err(error) => fail(status::TRACE_FAILED, format_args!("{error:#}")),
    }
}

fn serve(options: &ServeOptions) -> Result<()> {
    let name = options
        .live
        .to_str()
        .and_then(|name| name.strip_suffix(".live"));
    let output = PathBuf::from(name.context("--live: expected a name that ends with .live")?);
    let (signals, _) = block_signals()?;
    let settings = options.tracing.settings(output.clone(), Vec::new())?;
    let session = match Session::create(settings, Vec::new()) {
        Ok(session) => session,
        // Two programs began at one time: the other's recorder serves both.
        Err(Error::InUse(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let outcome = session.run(None, &signals);
    // Nobody asked for a line beside the program's own; but what is lost is always said.
    if outcome.tally.lost > 0 || !outcome.warnings.is_empty() {
        summary::print(&outcome, &output);
    }
    Ok(())
}
