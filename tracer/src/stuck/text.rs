//! The report as people read it, and as programs do.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use umbel_values::show::{json as value_json, one_line};

use super::{Frame, Named, OpenFile, Report, Seen, State, Thread};

/// A value takes at most so much of a line.
const VALUE_COLUMNS: usize = 160;

/// Files that are listed; more are counted.
const FILES_SHOWN: usize = 20;

/// A report for people.
pub struct Text<'a>(pub &'a Report);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let report = self.0;
        let command = report.command.join(" ");
        let age = time(report.age);
        writeln!(out, "process {}: {command}, running for {age}", report.pid)?;
        for file in report.files.iter().filter(|file| file.is_in_work()) {
            writeln!(out, "in work: {}", shown(file))?;
        }
        for thread in &report.threads {
            writeln!(out)?;
            write_thread(out, thread, &report.files)?;
        }
        let others: Vec<&OpenFile> = report
            .files
            .iter()
            .filter(|file| !file.is_in_work())
            .collect();
        if !others.is_empty() {
            writeln!(out, "\nother open files:")?;
        }
        for file in others.iter().take(FILES_SHOWN) {
            writeln!(out, "  {}", shown(file))?;
        }
        if let Some(more) = others.len().checked_sub(FILES_SHOWN + 1) {
            writeln!(out, "  and {} more", more + 1)?;
        }
        for remark in &report.remarks {
            writeln!(out, "note: {remark}")?;
        }
        writeln!(out, "\n{}", effort(report))
    }
}

/// A thread for people.
pub struct ThreadText<'a>(pub &'a Thread);

impl fmt::Display for ThreadText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write_thread(out, self.0, &[])
    }
}

/// A frame in one line: `f(n=5) at f.c:7`.
pub fn frame_line(frame: &Frame) -> String {
    line(frame)
}

fn write_thread(out: &mut fmt::Formatter, thread: &Thread, files: &[OpenFile]) -> fmt::Result {
    write!(
        out,
        "thread {} {:?}: {}",
        thread.tid,
        thread.name,
        what(thread, files)
    )?;
    if let Some(asleep) = thread.asleep {
        write!(out, " for about {}", time(asleep))?;
    }
    writeln!(out, "; {} of processor time", time(thread.cpu))?;
    for (number, frame) in thread.frames.iter().enumerate() {
        writeln!(out, "  #{number:<2} {}", line(frame))?;
        for local in &frame.locals {
            writeln!(out, "        {}", named(local))?;
        }
    }
    match &thread.cut {
        Some(why) if thread.frames.is_empty() => writeln!(out, "  no stack: {why}"),
        Some(why) => writeln!(out, "  ... {why}"),
        None => Ok(()),
    }
}

fn what(thread: &Thread, files: &[OpenFile]) -> String {
    match &thread.state {
        State::Running => "running".to_owned(),
        State::Held(Some(why)) => format!("held: {why}"),
        State::Held(None) => "held by the tracer".to_owned(),
        State::Stopped => "stopped by a signal or a debugger".to_owned(),
        State::Ended => "ended".to_owned(),
        State::Blocked {
            call,
            descriptor,
            is_deaf,
        } => {
            let deaf = match is_deaf {
                true => ", uninterruptible",
                false => "",
            };
            let file = descriptor.and_then(|number| {
                let file = files.iter().find(|file| file.descriptor == number)?;
                Some(format!(" of {} ({})", number, file.name))
            });
            format!("in {call}{}{deaf}", file.unwrap_or_default())
        }
    }
}

/// `n = 5`, in one line.
fn named(variable: &Named) -> String {
    let value = one_line(&variable.value, VALUE_COLUMNS);
    format!("{} = {value}", variable.name)
}

fn line(frame: &Frame) -> String {
    let mut line = match &frame.function {
        Some(name) => name.clone(),
        None => format!("{:#x}", frame.pc),
    };
    if !frame.arguments.is_empty() {
        let argument = |one: &Named| named(one).replacen(" = ", "=", 1);
        let arguments: Vec<String> = frame.arguments.iter().map(argument).collect();
        line += &format!("({})", arguments.join(", "));
    }
    if frame.is_inline {
        line += " [inlined]";
    }
    if let Some(place) = frame.place.as_ref().filter(|place| place.line > 0) {
        line += &format!(" at {}:{}", place.file, place.line);
    } else if let Some(module) = &frame.module {
        line += &format!(" in {}", module.display());
    }
    if let Some(since) = frame.since {
        line += &format!(", for {}", time(since));
    }
    if frame.is_interrupted {
        line += " (interrupted by a signal)";
    }
    if frame.is_searched {
        line += " (its caller was found by searching the stack)";
    }
    line
}

fn shown(file: &OpenFile) -> String {
    let mode = match (file.is_read, file.is_written) {
        (true, true) => "reads and writes",
        (false, true) => "writes",
        _ => "reads",
    };
    let place = match file.size {
        Some(size) if size > 0 => {
            let percent = 100.0 * file.position as f64 / size as f64;
            format!(", at byte {} of {size} ({percent:.0} %)", file.position)
        }
        Some(_) => ", empty".to_owned(),
        None => String::new(),
    };
    format!("{} {} ({mode}{place})", file.descriptor, file.name)
}

fn effort(report: &Report) -> String {
    let stopped: Vec<Duration> = report
        .threads
        .iter()
        .filter_map(|thread| match thread.seen {
            Seen::Stopped(took) => Some(took),
            Seen::Asleep | Seen::Not => None,
        })
        .collect();
    let took = time(report.took);
    match (stopped.iter().max(), stopped.len()) {
        (None, _) => format!("looked at in {took}, no thread was stopped"),
        (Some(longest), 1) => format!(
            "looked at in {took}, one thread was stopped for {}",
            time(*longest)
        ),
        (Some(longest), count) => format!(
            "looked at in {took}, {count} threads were stopped one after the other, the longest for {}",
            time(*longest)
        ),
    }
}

/// `35 us`, `1.2 s`, `3 h 2 min`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time < Duration::from_millis(1) => format!("{} us", time.as_micros()),
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A report for programs.
pub fn json(report: &Report) -> Value {
    let threads: Vec<Value> = report.threads.iter().map(thread_json).collect();
    let files = report.files.iter().map(|file| {
        json!({
            "descriptor": file.descriptor, "name": file.name, "position": file.position, "size": file.size,
            "reads": file.is_read, "writes": file.is_written, "in_work": file.is_in_work(),
        })
    });
    json!({
        "pid": report.pid, "command": report.command, "age_ns": nanoseconds(report.age),
        "took_ns": nanoseconds(report.took), "threads": threads, "files": files.collect::<Vec<_>>(),
        "recording": report.recording, "remarks": report.remarks,
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn thread_json(thread: &Thread) -> Value {
    let state = match &thread.state {
        State::Running => json!({"is": "running"}),
        State::Held(why) => json!({"is": "held", "why": why}),
        State::Stopped => json!({"is": "stopped"}),
        State::Ended => json!({"is": "ended"}),
        State::Blocked {
            call,
            descriptor,
            is_deaf,
        } => {
            json!({"is": "blocked", "call": call, "descriptor": descriptor, "uninterruptible": is_deaf})
        }
    };
    let stopped = match thread.seen {
        Seen::Stopped(took) => Some(nanoseconds(took)),
        Seen::Asleep | Seen::Not => None,
    };
    let frames: Vec<Value> = thread.frames.iter().map(frame_json).collect();
    json!({
        "tid": thread.tid, "name": thread.name, "state": state, "cpu_ns": nanoseconds(thread.cpu),
        "asleep_ns": thread.asleep.map(nanoseconds), "stopped_ns": stopped, "frames": frames, "cut": thread.cut,
    })
}

fn frame_json(frame: &Frame) -> Value {
    let named = |list: &[Named]| -> Vec<Value> {
        let one = |one: &Named| json!({"name": one.name, "type": one.of, "value": value_json(&one.value)});
        list.iter().map(one).collect()
    };
    json!({
        "pc": format!("{:#x}", frame.pc), "function": frame.function, "offset": frame.offset,
        "module": frame.module.as_ref().map(|module| module.to_string_lossy()),
        "file": frame.place.as_ref().map(|place| &place.file), "line": frame.place.as_ref().map(|place| place.line),
        "interrupted": frame.is_interrupted, "searched": frame.is_searched,
        "inlined": frame.is_inline, "since_ns": frame.since.map(nanoseconds), "arguments": named(&frame.arguments), "locals": named(&frame.locals),
    })
}
