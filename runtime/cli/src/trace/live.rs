//! `umbel trace PROG`: the call tree while the program runs.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use umbel_tracer::record::Outcome;
use umbel_tracer::recording::SessionInfo;
use umbel_tracer::view::live::{LiveView, Shown};
use umbel_tracer::view::text::TextOptions;

use super::fail;
use super::options::TracingOptions;
use super::record::Job;
use super::replay::Color;
use super::summary::grouped;
use crate::status;

/// Options of the live view.
#[derive(Args)]
pub struct LiveOptions {
    /// Write the tree to FILE instead of standard error.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// File and line of each call.
    #[arg(long)]
    places: bool,

    /// Colours: auto shows them on terminals, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    #[command(flatten)]
    tracing: TracingOptions,

    /// Run a program that doesn't look as if it could be traced all the same.
    #[arg(long)]
    anyway: bool,

    /// Program to run.
    #[arg(value_name = "PROG")]
    program: Option<OsString>,

    /// Its arguments.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Runs the program and shows its calls; the command's exit status.
pub fn run(options: &LiveOptions) -> u8 {
    let Some(program) = &options.program else {
        return fail(
            status::USAGE,
            "which program? `umbel trace PROG`, or a command: see --help",
        );
    };
    let job = Job {
        program,
        arguments: &options.arguments,
        anyway: options.anyway,
        tracing: &options.tracing,
    };
    // The shared file needs a place, which is gone afterwards.
    let folder = match Folder::new() {
        Ok(folder) => folder,
        Err(error) => {
            return fail(
                status::TRACE_FAILED,
                format_args!("cannot make a folder for what is shared with the program: {error}"),
            );
        }
    };
    let mut settings = match job.settings(&folder.0.join("umbel.trace")) {
        Ok(settings) => settings,
        Err(error) => return fail(status::USAGE, format_args!("{error:#}")),
    };
    settings.is_stored = false;
    let (color, out): (bool, Box<dyn Write + Send>) = match &options.output {
        None => (options.color.is_on(&io::stderr()), Box::new(io::stderr())),
        Some(path) => match File::create(path) {
            Ok(file) => (options.color.is_on(&file), Box::new(file)),
            Err(error) => {
                return fail(
                    status::TRACE_FAILED,
                    format_args!("cannot write {}: {error}", path.display()),
                );
            }
        },
    };
    let text_options = TextOptions {
        color,
        places: options.places,
        ..TextOptions::default()
    };
    let view = match LiveView::start(SessionInfo::default(), text_options, out) {
        Ok(view) => Arc::new(view),
        Err(error) => {
            return fail(
                status::TRACE_FAILED,
                format_args!("cannot start a thread: {error}"),
            );
        }
    };
    let sink = Box::new(Arc::clone(&view));
    job.run(settings, vec![sink], |outcome| {
        tell(outcome, &view.shown(), options.output.as_deref())
    })
}

/// What the tree doesn't say.
fn tell(outcome: &Outcome, shown: &Shown, output: Option<&Path>) {
    for warning in outcome.warnings.iter().chain(&shown.warnings) {
        eprintln!("umbel trace: {warning}");
    }
    if let Some(error) = &shown.error {
        let name = output.map_or("standard error".into(), Path::to_string_lossy);
        eprintln!("umbel trace: cannot write the tree to {name}: {error}");
    }
    if shown.skipped > 0 {
        eprintln!(
            "umbel trace: {} calls are not shown: the output is slower than the program. `umbel trace record` keeps all of them",
            grouped(shown.skipped)
        );
    }
    if outcome.tally.lost > 0 {
        eprintln!("umbel trace: {} events lost", grouped(outcome.tally.lost));
    }
    if !outcome.any_process {
        eprintln!(
            "umbel trace: the program was not traced: it did not load libumbel_trace.so (it is linked statically, or clears \
             LD_PRELOAD, or has the rights of another user)"
        );
    }
}

/// A folder for this run only.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("umbel-trace-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that goes on beyond the session keeps the file mapped, whatever its name.
        let _ = fs::remove_dir_all(&self.0);
    }
}
