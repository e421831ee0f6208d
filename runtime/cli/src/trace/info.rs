//! `umbel trace info`: what a recording is about, and what is missing in it.

use std::io::{self, Write};

use clap::Args;
use serde_json::json;
use umbel_tracer::recording::{Began, ClockKind, Ended, Kind, ProcessInfo, Recording};

use super::Source;
use super::summary::{grouped, size};

/// Says what a recording is about: program, processes, threads, events, and what is lost.
#[derive(Args)]
pub struct InfoOptions {
    /// As one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: Source,
}

/// Describes; the command's exit status.
pub fn run(options: &InfoOptions) -> Result<u8, String> {
    let recording = options.source.open()?;
    let counts = Counts::of(&recording);
    let text = match options.json {
        true => as_json(&recording, &counts),
        false => as_text(&recording, &counts),
    };
    // Nobody reads it any more: no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

/// Events by thread, and what is lost.
struct Counts {
    events: u64,
    by_thread: Vec<u64>,
    lost: u64,
    bytes: u64,
}

impl Counts {
    fn of(recording: &Recording) -> Self {
        let mut counts = Self {
            events: 0,
            by_thread: Vec::new(),
            lost: recording.lost().iter().map(|lost| lost.count).sum(),
            bytes: std::fs::metadata(recording.path()).map_or(0, |metadata| metadata.len()),
        };
        for thread in recording.threads() {
            let mut events = 0;
            for event in recording.events(thread.serial) {
                match event.kind {
                    Kind::Call(_) | Kind::Return(_) => events += 1,
                    Kind::Lost { count, .. } => counts.lost += count,
                    _ => {}
                }
            }
            counts.events += events;
            counts.by_thread.push(events);
        }
        counts
    }
}

fn as_json(recording: &Recording, counts: &Counts) -> String {
    let session = recording.session();
    let threads = recording.threads().iter().zip(&counts.by_thread);
    let damage = recording.damage_lines();
    let value = json!({
        "command": session.command,
        "host": session.host,
        "clock": session.clock,
        "skew_ns_max": session.skew_ns_max,
        "options": session.options,
        "finished": recording.is_finished(),
        "events": counts.events,
        "lost": counts.lost,
        "bytes": counts.bytes,
        "processes": recording.processes(),
        "ends": recording.process_ends(),
        "threads": threads.map(|(thread, events)| json!({
            "serial": thread.serial, "process": thread.process, "tid": thread.tid, "name": thread.name, "events": events,
        })).collect::<Vec<_>>(),
        "modules": recording.modules().len(),
        "damage": damage,
    });
    format!("{value}\n")
}

fn as_text(recording: &Recording, counts: &Counts) -> String {
    let session = recording.session();
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<10} {value}\n");
    line("command", session.command.join(" "));
    line("host", session.host.clone());
    let clock = match session.clock {
        ClockKind::Tsc => "the processor's counter",
        ClockKind::Monotonic => "CLOCK_MONOTONIC",
        ClockKind::Coarse => "coarse",
        _ => "unknown",
    };
    let skew = session.skew_ns_max.map(|nanoseconds| {
        format!("; processors, and nodes on one host, differ by less than {nanoseconds} ns")
    });
    line("clock", clock.to_owned() + &skew.unwrap_or_default());
    if !session.options.is_empty() {
        line("options", session.options.join("; "));
    }
    let bytes_each = counts.bytes as f64 / counts.events.max(1) as f64;
    line(
        "events",
        format!(
            "{} in {} ({bytes_each:.2} bytes each)",
            grouped(counts.events),
            size(counts.bytes)
        ),
    );
    line("lost", grouped(counts.lost));
    for lost in recording.lost() {
        line("", format!("{}: {}", grouped(lost.count), lost.why));
    }
    for process in recording.processes() {
        line("process", described(process, recording));
    }
    for (thread, events) in recording.threads().iter().zip(&counts.by_thread) {
        line(
            "thread",
            format!(
                "{} {}: {} events",
                thread.tid,
                thread.name,
                grouped(*events)
            ),
        );
    }
    if !recording.is_finished() {
        line(
            "end",
            "none: it is still being made, or its recorder was killed".into(),
        );
    }
    for damage in recording.damage_lines() {
        line("damage", damage);
    }
    text
}

fn described(process: &ProcessInfo, recording: &Recording) -> String {
    let began = match process.began {
        Began::Start | Began::Other => "",
        Began::Exec => " by exec",
        Began::Fork => " by fork",
    };
    let end = recording
        .process_ends()
        .iter()
        .find(|end| end.process == process.serial);
    let ended = match end.map(|end| end.ended) {
        None => "has not ended".to_owned(),
        Some(Ended::Status(status)) => format!("ended with status {status}"),
        Some(Ended::Signal(signal)) => format!("killed by signal {signal}"),
        Some(Ended::Exec) => "went on as another program".to_owned(),
        Some(Ended::Unknown) => "ended".to_owned(),
    };
    format!("{} {}{began}, {ended}", process.pid, process.executable)
}
