//! `umbel trace ctl`: switches a running session, or asks how it is.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use umbel_tracer::record::{ask, control_path};

use super::fail;
use crate::status;

/// Switches a running session: on, off, filters; or asks how it is.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel trace ctl status                       the session that writes umbel.trace here
  umbel trace ctl -s a.trace off               nothing is recorded, call sites are patched out
  umbel trace ctl filter add 'parse_*; -lex'   the rules of --filter; the last that matches decides
  umbel trace ctl filter del 2                 by number, or as it was written
  umbel trace ctl snapshot                     a flight recorder writes down what it has

When the command returns, the change is in force in all processes of the session.")]
pub struct CtlOptions {
    /// The recording that is being made.
    #[arg(short, long, value_name = "FILE", default_value = "umbel.trace")]
    session: PathBuf,

    #[command(subcommand)]
    request: RequestOptions,
}

#[derive(Subcommand)]
enum RequestOptions {
    /// Trace.
    On,
    /// Trace nothing.
    Off,
    /// Change or show the rules that say which functions are traced.
    #[command(subcommand)]
    Filter(FilterOptions),
    /// Functions, call sites, events.
    Status,
    /// Have a flight recorder write down what it has.
    Snapshot,
    /// End the session; the programs go on.
    Stop,
}

#[derive(Subcommand)]
enum FilterOptions {
    /// Add rules.
    Add {
        /// As for `umbel trace record --filter`.
        #[arg(allow_hyphen_values = true, required = true)]
        rules: Vec<String>,
    },
    /// Take a rule away.
    Del {
        /// Its number in the list, or the rule as it was written.
        #[arg(allow_hyphen_values = true)]
        rule: String,
    },
    /// Take all rules away.
    Clear,
    /// Show the rules.
    List,
}

impl RequestOptions {
    fn line(&self) -> String {
        match self {
            Self::On => "on".into(),
            Self::Off => "off".into(),
            Self::Status => "status".into(),
            Self::Snapshot => "snapshot".into(),
            Self::Stop => "stop".into(),
            Self::Filter(FilterOptions::Add { rules }) => format!("filter add {}", rules.join(";")),
            Self::Filter(FilterOptions::Del { rule }) => format!("filter del {rule}"),
            Self::Filter(FilterOptions::Clear) => "filter clear".into(),
            Self::Filter(FilterOptions::List) => "filter list".into(),
        }
    }
}

/// Asks; the command's exit status.
pub fn run(options: &CtlOptions) -> u8 {
    let recording = recording_of(&options.session);
    let lines = match ask(&control_path(&recording), &options.request.line()) {
        Ok(Ok(lines)) => lines,
        Ok(Err(refusal)) => return fail(1, refusal),
        Err(error) => return fail(status::TRACE_FAILED, unreachable(&recording, &error)),
    };
    let mut out = io::stdout().lock();
    for line in lines {
        // Nobody reads it any more.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    0
}

/// The recording, also if its shared file or socket was named.
fn recording_of(session: &Path) -> PathBuf {
    let text = session.to_string_lossy();
    let name = text.strip_suffix(".ctl").unwrap_or(&text);
    PathBuf::from(name.strip_suffix(".live").unwrap_or(name))
}

fn unreachable(recording: &Path, error: &io::Error) -> String {
    let shown = recording.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("nothing records into {shown} now (name the recording with -s FILE)")
        }
        io::ErrorKind::ConnectionRefused => format!(
            "the recorder of {shown} is dead; what it has is in {shown} and {shown}.live, which are read together"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("the session of {shown} belongs to another user")
        }
        _ => format!("the session of {shown} doesn't answer: {error}"),
    }
}
