//! `umbel trace diff`: what changed from one recording to another.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use umbel_tracer::report::{Difference, Profile, Selection};

use super::open;
use super::report::{Shown, finish};

/// Says of each function what is different in a second recording: calls, time in total, time of its own.
///
/// The first columns of a group are those of the second recording, the next say how much more (+) or less (-) that is than in the
/// first. The greatest differences come first. Functions are the same if their names and their modules' file names are.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  umbel trace diff before.trace after.trace
  umbel trace diff --sort self --limit 10 before.trace after.trace
  umbel trace diff --at-least 1ms --json before.trace after.trace")]
pub struct Options {
    /// The recording before.
    before: PathBuf,
    /// The recording after.
    after: PathBuf,
    #[command(flatten)]
    shown: Shown,
}

/// Shows the differences.
pub fn run(options: &Options) -> Result<u8, String> {
    finish(show(options))
}

fn show(options: &Options) -> Result<()> {
    let before = profile(&options.before)?;
    let after = profile(&options.after)?;
    let difference = Difference::of(&before, &after);
    let text = options.shown.to_text();
    let mut out = BufWriter::new(io::stdout().lock());
    if options.shown.is_json() {
        difference.write_json(&text, &mut out)?;
        return Ok(out.flush()?);
    }
    difference.write(&text, &mut out)?;
    for (profile, path) in [(before, &options.before), (after, &options.after)] {
        for line in profile.warnings {
            writeln!(out, "{}: {line}", path.display())?;
        }
    }
    Ok(out.flush()?)
}

fn profile(path: &Path) -> Result<Profile> {
    let recording = open(path).map_err(Error::msg)?;
    let profile = Profile::of(&recording, &Selection::default());
    profile.with_context(|| format!("cannot read the events of {}", path.display()))
}
