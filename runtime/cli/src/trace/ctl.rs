//! `umbel trace ctl`: switches a running session, or asks how it is.

use std::fs;
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
  umbel trace ctl snapshot                     where all threads are, and what a flight recorder has

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
    /// Have something done when something happens, or show what is to be done when.
    #[command(subcommand)]
    Trigger(TriggerOptions),
    /// Functions, call sites, events.
    Status,
    /// Write down where all threads are, with their variables, and what a flight recorder has.
    Snapshot,
    /// Show the threads that a trigger's `stop` holds.
    Threads,
    /// Let threads that a trigger holds go on.
    Continue {
        /// The thread; otherwise all.
        tid: Option<u32>,
    },
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

#[derive(Subcommand)]
#[command(after_help = TRIGGER_HELP)]
enum TriggerOptions {
    /// Set a trigger, in the place of one with the same name.
    #[command(after_help = TRIGGER_HELP)]
    Set {
        /// `when ... then ...`, perhaps with `NAME:` in front.
        #[arg(required = true)]
        trigger: Vec<String>,
    },
    /// Take a trigger away.
    Del {
        /// Its name, or its number in the list.
        trigger: String,
    },
    /// Take all triggers away, and what they deferred.
    Clear,
    /// Show the triggers, and how often each has fired.
    List,
}

const TRIGGER_HELP: &str = "\
A trigger: [NAME:] when CONDITION then ACTION, ACTION ...

Conditions, joined by and, or, not and brackets:
  f   parse_*   /^lex_/             f is called (names and patterns as in filters, in quotes if there are blanks inside)
  f returns                         f returns
  f.n > 1000   f.p->next == null    with such arguments, or parts of them (numbers, 'x', true, null, enumerators, other arguments)
  f returns < 0                     with such a result
  depth < 5   thread == \"worker*\"   open functions of the thread; its name or number
  duration > 10 ms                  how long the call took that returns
  count == 3                        all the rest was true so often

Actions, each perhaps with `after 10 s` behind it:
  enable g*, disable g*             filter rules
  start recording, stop recording   as `ctl on`, `ctl off`
  mark \"text\"                       a text among the calls
  snapshot                          where all threads are, with their variables, into FILE.snapshot-1 and so on; the thread waits for it
  stop                              the thread waits until `ctl continue`; `ctl threads` shows it

Examples:
  umbel trace ctl trigger set 'slow: when parse returns and duration > 10 ms then mark \"slow\"'
  umbel trace ctl trigger set 'when open_file and count == 100 then start recording, stop recording after 2 s'";

impl RequestOptions {
    fn line(&self) -> String {
        match self {
            Self::On => "on".into(),
            Self::Off => "off".into(),
            Self::Status => "status".into(),
            Self::Snapshot => "snapshot".into(),
            Self::Threads => "threads".into(),
            Self::Continue { tid: None } => "continue".into(),
            Self::Continue { tid: Some(tid) } => format!("continue {tid}"),
            Self::Stop => "stop".into(),
            Self::Filter(FilterOptions::Add { rules }) => format!("filter add {}", rules.join(";")),
            Self::Filter(FilterOptions::Del { rule }) => format!("filter del {rule}"),
            Self::Filter(FilterOptions::Clear) => "filter clear".into(),
            Self::Filter(FilterOptions::List) => "filter list".into(),
            Self::Trigger(TriggerOptions::Set { trigger }) => {
                format!("trigger set {}", trigger.join(" "))
            }
            Self::Trigger(TriggerOptions::Del { trigger }) => format!("trigger del {trigger}"),
            Self::Trigger(TriggerOptions::Clear) => "trigger clear".into(),
            Self::Trigger(TriggerOptions::List) => "trigger list".into(),
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
        io::ErrorKind::ConnectionRefused => {
            // It was killed, or it would have taken the socket with it. The next recorder would remove it too.
            let _ = fs::remove_file(control_path(recording));
            format!(
                "the recorder of {shown} is dead; what it has is in {shown} and {shown}.live, which are read together"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("the session of {shown} belongs to another user")
        }
        _ => format!("the session of {shown} doesn't answer: {error}"),
    }
}
