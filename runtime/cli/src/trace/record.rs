//! `umbel trace record`: runs a program and writes down what it calls.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use clap::Args;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use object::ReadCache;
use umbel_tracer::record::{Outcome, Program, Session, Settings, Sink, examine, with_mask};

use super::options::TracingOptions;
use super::{fail, summary};
use crate::layout::Layout;
use crate::run::program::{locate, needed_libraries};
use crate::signals::ending_signals;
use crate::status;

/// Runs a program and records every call and return of its functions.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel trace record ./prog in.txt                     into umbel.trace
  umbel trace record -o a.trace --filter 'parse_*;lex' ./prog
  umbel trace record -x 'file:hash.c' --depth 6 ./prog
  umbel trace record --values locals --follow 2 ./prog what its variables hold, not its arguments alone
  umbel trace record --args 'lex:p->kind,*p[0..8]' ./prog   of lex these, of others their arguments
  umbel trace record --values none --args '*::push:this->count,return' ./prog
  umbel trace record --flight ./server                 the last events only; after a crash, or:
  umbel trace ctl snapshot                             what it has now
  umbel trace record --off ./server                    costs nothing until: umbel trace ctl on

The program is to be built with: gcc -g -finstrument-functions (any optimization); parts that are not are not seen.
While it runs, and after kill -9 of everything, what is not in umbel.trace yet lies in umbel.trace.live: keep them together.

Variables: UMBEL_TRACE_FILTER (rules), UMBEL_TRACE=off (as --off).

Exit status: that of the program, 128+N if signal N ended it, or
  2        wrong arguments
  125      the tracer failed, or the program can't be traced
  126      the program can't be executed
  127      there is no such program")]
pub struct RecordOptions {
    /// The recording.
    #[arg(short, long, value_name = "FILE", default_value = "umbel.trace")]
    output: PathBuf,

    #[command(flatten)]
    tracing: TracingOptions,

    /// Run a program that doesn't look as if it could be traced all the same.
    #[arg(long)]
    anyway: bool,

    /// Program to run.
    #[arg(value_name = "PROG", required = true)]
    program: OsString,

    /// Its arguments.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Records; the command's exit status.
pub fn run(options: &RecordOptions) -> u8 {
    let job = Job {
        program: &options.program,
        arguments: &options.arguments,
        anyway: options.anyway,
        tracing: &options.tracing,
    };
    let settings = match job.settings(&options.output) {
        Ok(settings) => settings,
        Err(error) => return fail(status::USAGE, format_args!("{error:#}")),
    };
    let output = options.output.clone();
    job.run(settings, Vec::new(), |outcome| {
        summary::print(outcome, &output);
    })
}

/// A program to be run under the tracer: what `record` and the live view share.
pub struct Job<'a> {
    pub program: &'a OsStr,
    pub arguments: &'a [OsString],
    pub anyway: bool,
    pub tracing: &'a TracingOptions,
}

impl Job<'_> {
    /// How its session is made.
    pub fn settings(&self, output: &Path) -> Result<Settings> {
        let words = [self.program]
            .into_iter()
            .chain(self.arguments.iter().map(OsString::as_os_str));
        let command = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let output =
            absolute(output).with_context(|| format!("cannot find {}", output.display()))?;
        self.tracing.settings(output, command)
    }

    /// Runs it; `sinks` see what the recording sees, `show` the outcome. The command's exit status.
    pub fn run(
        &self,
        settings: Settings,
        sinks: Vec<Box<dyn Sink>>,
        show: impl FnOnce(&Outcome),
    ) -> u8 {
        let path = match locate(self.program) {
            Ok(path) => path,
            Err(error) => return fail(error.status(), error),
        };
        if let (false, Err(reason)) = (self.anyway, examine(&path)) {
            return fail(status::TRACE_FAILED, reason);
        }
        match self.see_through(&path, settings, sinks) {
            Ok(outcome) => {
                show(&outcome);
                outcome.status.map_or(status::TRACE_FAILED, exit_status)
            }
            Err(Refused(status, text)) => fail(status, text),
        }
    }

    fn see_through(
        &self,
        path: &Path,
        settings: Settings,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Result<Outcome, Refused> {
        let library = Layout::named()
            .map(|layout| layout.trace_library())
            .map_err(Refused::ours)?;
        if !library.is_file() {
            return Err(Refused::ours(format_args!(
                "no {}; install with `cargo xtask install --prefix DIR` and use DIR/bin/umbel, or set UMBEL_PREFIX=DIR",
                library.display()
            )));
        }
        let (signals, mask) = block_signals().map_err(Refused::ours)?;
        let is_stored = settings.is_stored;
        let output = settings.output.clone();
        let session = Session::create(settings, sinks).map_err(Refused::ours)?;
        let mut command = Command::new(path);
        command
            .arg0(self.program)
            .args(self.arguments)
            .env("LD_PRELOAD", preloaded(&library, path))
            .env("UMBEL_TRACE_LIVE", session.live_path())
            .env_remove("UMBEL_TRACE_OUTPUT");
        if self.tracing.starts_off() {
            command.env("UMBEL_TRACE", "off");
        }
        with_mask(&mut command, mask);
        let program = command.spawn().and_then(Program::new);
        match program {
            Ok(program) => Ok(session.run(Some(program), &signals)),
            Err(error) => {
                session.cancel();
                if is_stored {
                    let _ = fs::remove_file(&output);
                }
                Err(Refused(
                    status::NOT_EXECUTABLE,
                    format!("cannot execute {}: {error}", path.display()),
                ))
            }
        }
    }
}

/// An exit status and what to say.
struct Refused(u8, String);

impl Refused {
    fn ours(error: impl Display) -> Self {
        Self(status::TRACE_FAILED, format!("{error:#}"))
    }
}

/// Signals of the user are read from a descriptor from now on; the mask before, for the program.
pub fn block_signals() -> Result<(SignalFd, SigSet)> {
    let watched = ending_signals()?;
    let mut blocked = watched;
    // The shared file's lease is asked for when the session ends: whoever opens it then would end us.
    blocked.add(Signal::SIGIO);
    // A file that may grow no more is an error of the write, as a full disk is.
    blocked.add(Signal::SIGXFSZ);
    let mask = blocked
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .context("cannot block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&watched, flags).context("cannot make a signalfd")?;
    Ok((signals, mask))
}

/// Our library, then those that the user preloads. Before them the address sanitizer's, if the program at `path` needs it: it
/// refuses to be anything but the first.
fn preloaded(library: &Path, path: &Path) -> OsString {
    let mut list = sanitizer(path).map_or_else(OsString::new, |mut name| {
        name.push(":");
        name
    });
    list.push(library);
    if let Some(users) = env::var_os("LD_PRELOAD").filter(|users| !users.is_empty()) {
        list.push(":");
        list.push(users);
    }
    list
}

/// The address sanitizer's library that a program needs.
fn sanitizer(path: &Path) -> Option<OsString> {
    let file = fs::File::open(path).ok()?;
    let needed = needed_libraries(&ReadCache::new(file)).ok()??;
    let name = needed
        .into_iter()
        .find(|name| name.starts_with(b"libasan.so"))?;
    Some(OsString::from_vec(name))
}

/// As a shell has it.
fn exit_status(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => status::of_signal(signal.unwrap_or_default()),
    }
}
