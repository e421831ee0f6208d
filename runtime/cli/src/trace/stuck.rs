//! `umbel trace stuck`: where a process is.

use std::io::{self, Write};

use clap::Args;
use umbel_tracer::stuck::{Limits, Wishes, look, text};

/// Says where a process is: the stacks of all its threads with arguments and locals, while it runs on.
///
/// Any process of yours, traced or not. A thread that waits in a system call is looked at as it sleeps; one that runs is stopped for
/// some microseconds, never one whose system call would fail by that. Names and lines come from the program's symbols and
/// debug information, as far as there are any. While a recording is made of the program it says since when each function is there.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel trace stuck $(pidof prog)
  umbel trace stuck --never-stop 4711        stops no thread: those that run show no stack
  umbel trace stuck --json 4711 | jq '.threads[].frames[0].function'

Exit status:
  0        it was looked at
  2        wrong arguments
  125      there is no such process, or it doesn't let you look")]
pub struct StuckOptions {
    /// The process.
    #[arg(value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,

    /// As JSON.
    #[arg(long)]
    json: bool,

    /// Stop no thread, not even for microseconds.
    #[arg(long)]
    never_stop: bool,

    /// Functions only, no variables.
    #[arg(long)]
    no_values: bool,

    /// Follow so many pointers, one after the other.
    #[arg(long, value_name = "DEPTH", default_value = "1")]
    follow: u32,

    /// Show so many elements of an array or container.
    #[arg(long, value_name = "N", default_value = "16")]
    elements: u64,

    /// At most so many frames of each thread.
    #[arg(long, value_name = "N", default_value = "256")]
    frames: usize,
}

/// Looks; the command's exit status.
pub fn run(options: &StuckOptions) -> Result<u8, String> {
    let limits = Limits {
        follow: options.follow,
        elements: options.elements,
        ..Limits::default()
    };
    let wishes = Wishes {
        frames: options.frames.max(1),
        never_stop: options.never_stop,
        limits: (!options.no_values).then_some(limits),
    };
    let report = look(options.pid, &wishes).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    let written = match options.json {
        true => writeln!(out, "{}", text::json(&report)),
        false => write!(out, "{}", text::Text(&report)),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(0),
    }
}
