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
  umbel trace ctl stop all                     hold each thread at its next traced call; `stop` alone ends the session
  umbel trace ctl print 4711 'p->next[3]'      a variable of the held thread 4711; 4711#1: in its caller's frame; -: the only one held
  umbel trace ctl set - 'count = 5'            change one

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
    /// Change or show what is captured of single functions: rules as for `umbel trace record --args`, or `list`, `clear`, `del RULE`.
    #[command(after_help = ARGS_HELP)]
    Args {
        /// `f:a,b.c`, which decides before the rules there are; `list`; `clear`; `del` and a rule or its number.
        #[arg(required = true)]
        rules: Vec<String>,
    },
    /// Functions, call sites, events.
    Status,
    /// Write down where all threads are, with their variables, the call graph so far, and what a flight recorder has.
    Snapshot {
        /// A core file for gdb instead.
        #[arg(long, conflicts_with = "dump")]
        core: bool,
        /// Memory too: a variable of the threads that are held, or ADDRESS+LENGTH; may be repeated.
        #[arg(long, value_name = "WHAT")]
        dump: Vec<String>,
    },
    /// Show the threads that are held, or are to stop.
    Threads,
    /// Let threads that are held go on.
    Continue {
        /// The thread; otherwise all.
        tid: Option<u32>,
    },
    /// Hold a thread, or all (also those that begin until `continue`), at the next traced call or return. Without an argument: end the session; the programs go on.
    Stop {
        /// The thread's number, or `all`.
        thread: Option<String>,
    },
    /// Let a held thread go on to its next traced call or return.
    Step {
        /// The thread; not needed if only one is held.
        tid: Option<u32>,
    },
    /// The same, over the call that it is at.
    Next {
        /// The thread; not needed if only one is held.
        tid: Option<u32>,
    },
    /// The same, until its function returns.
    Finish {
        /// The thread; not needed if only one is held.
        tid: Option<u32>,
    },
    /// Show the stack of a held thread, with variables.
    Bt {
        /// The thread; not needed if only one is held.
        tid: Option<u32>,
    },
    /// Show a variable of a held thread, or a part of it.
    #[command(after_help = PATH_HELP)]
    Print {
        /// Whose: a thread's number, perhaps with #FRAME; `-` for the only one that is held.
        #[arg(value_name = "AT", allow_hyphen_values = true)]
        at: String,
        /// Which.
        #[arg(required = true)]
        path: Vec<String>,
    },
    /// Change a variable of a held thread.
    #[command(after_help = PATH_HELP)]
    Set {
        /// Whose: a thread's number, perhaps with #FRAME; `-` for the only one that is held.
        #[arg(value_name = "AT", allow_hyphen_values = true)]
        at: String,
        /// PATH = VALUE.
        #[arg(required = true, allow_hyphen_values = true)]
        change: Vec<String>,
    },
    /// Show memory, as hexadecimal numbers and characters.
    #[command(after_help = PATH_HELP)]
    Dump {
        /// Whose: a thread's number, perhaps with #FRAME; `-` for the only one that is held.
        #[arg(value_name = "AT", allow_hyphen_values = true)]
        at: String,
        /// Of what: a path, or ADDRESS+LENGTH.
        #[arg(required = true)]
        what: Vec<String>,
    },
}

const ARGS_HELP: &str = "\
Examples:
  umbel trace ctl args 'parse:text@text,length'   of parse, from now on, these two and no others
  umbel trace ctl args 'g*:'                      of functions whose names begin with g, nothing
  umbel trace ctl args list
  umbel trace ctl args del 1";

const PATH_HELP: &str = "\
Paths, of the variables that the frame has there, or that are outside of functions:
  n   p->next.name   *p   a[3]   a[2..5]   &n   (*p).x   $rbx   ns::total   'file.c'::count   (struct foo *)p   v[2] of a std::vector or map
`bt` numbers the frames: 4711#2 is the frame #2 of thread 4711.

Values: whole numbers (5, -5, 0x1f), characters ('x'), true, false, numbers with a fraction, enumerators, null, addresses,
and other variables of the same type.

Examples:
  umbel trace ctl print - 'list->next[2..5]'
  umbel trace ctl set 4711#1 'limit = 10'
  umbel trace ctl dump - 'buffer[0..64]'
  umbel trace ctl dump - 0x7f0012345678+64";

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
  f.path == \"*.db\"   f.s != /^a.c/i  with such texts (char *, char [], std::string, string_view): in quotes, with wildcards (*, ?, [a-z]; \\* is a *),
                                    or as a regular expression; one that can't be read or is undecided after 4096 bytes is neither
  f.flags.mode == Mode::FAST        bit fields, enumerators by name
  f returns < 0                     with such a result, number or text
  depth < 5   thread == \"worker*\"   open functions of the thread; its name or number
  duration > 10 ms                  how long the call took that returns
  count == 3                        all the rest was true so often

Actions, each perhaps with `after 10 s` behind it:
  enable g*, disable g*             filter rules
  start recording, stop recording   as `ctl on`, `ctl off`
  mark \"text\"                       a text among the calls
  snapshot                          where all threads are, with their variables, into FILE.snapshot-1 and so on; the thread waits for it
  core                              a core file of the process, FILE.core-1 and so on; the thread waits for it
  stop                              the thread waits until `ctl continue`; `ctl threads` shows it, `ctl bt` and `ctl print` what it has

Examples:
  umbel trace ctl trigger set 'slow: when parse returns and duration > 10 ms then mark \"slow\"'
  umbel trace ctl trigger set 'when open_file.path == \"*.db\" then stop'
  umbel trace ctl trigger set 'when open_file and count == 100 then start recording, stop recording after 2 s'";

impl RequestOptions {
    fn line(&self) -> String {
        match self {
            Self::On => "on".into(),
            Self::Off => "off".into(),
            Self::Status => "status".into(),
            Self::Snapshot { core: true, .. } => "snapshot core".into(),
            Self::Snapshot { dump, .. } if dump.is_empty() => "snapshot".into(),
            Self::Snapshot { dump, .. } => format!("snapshot dump {}", dump.join(";")),
            Self::Threads => "threads".into(),
            Self::Continue { tid } => with_thread("continue", *tid),
            Self::Stop { thread: None } => "stop".into(),
            Self::Stop {
                thread: Some(thread),
            } => format!("stop {thread}"),
            Self::Step { tid } => with_thread("step", *tid),
            Self::Next { tid } => with_thread("next", *tid),
            Self::Finish { tid } => with_thread("finish", *tid),
            Self::Bt { tid } => with_thread("bt", *tid),
            Self::Print { at, path } => format!("print {at} {}", path.join(" ")),
            Self::Set { at, change } => format!("set {at} {}", change.join(" ")),
            Self::Dump { at, what } => format!("dump {at} {}", what.join(" ")),
            Self::Filter(FilterOptions::Add { rules }) => format!("filter add {}", rules.join(";")),
            Self::Filter(FilterOptions::Del { rule }) => format!("filter del {rule}"),
            Self::Filter(FilterOptions::Clear) => "filter clear".into(),
            Self::Filter(FilterOptions::List) => "filter list".into(),
            Self::Args { rules } => format!("args {}", rules.join(" ")),
            Self::Trigger(TriggerOptions::Set { trigger }) => {
                format!("trigger set {}", trigger.join(" "))
            }
            Self::Trigger(TriggerOptions::Del { trigger }) => format!("trigger del {trigger}"),
            Self::Trigger(TriggerOptions::Clear) => "trigger clear".into(),
            Self::Trigger(TriggerOptions::List) => "trigger list".into(),
        }
    }
}

fn with_thread(verb: &str, tid: Option<u32>) -> String {
    match tid {
        Some(tid) => format!("{verb} {tid}"),
        None => verb.to_owned(),
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
pub fn recording_of(session: &Path) -> PathBuf {
    let text = session.to_string_lossy();
    let name = text.strip_suffix(".ctl").unwrap_or(&text);
    PathBuf::from(name.strip_suffix(".live").unwrap_or(name))
}

/// Why a session's socket doesn't answer, and what to do.
pub fn unreachable(recording: &Path, error: &io::Error) -> String {
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
