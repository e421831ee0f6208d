//! Chrome trace events: JSON that chrome://tracing, Perfetto and Speedscope open.
//!
//! A frame is a pair of `B` and `E`, in the order in which they happened: complete events (`X`) would be shorter, but viewers
//! can't tell which of two with one time lies in the other. Times count from the recording's first event.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};

use umbel_values::{EventValues, NamedValue};

use super::Exporter;
use super::json::{Micros, Text};
use crate::view::names::Names;
use crate::view::steps::{Step, StepKind, cut_text};
use crate::view::story::{Lane, Story};
use crate::view::values::value_text;

pub(super) struct Chrome<'a> {
    out: &'a mut dyn Write,
    start_ns: u64,
    has_events: bool,
    /// Processes that were named.
    processes: BTreeSet<u64>,
}

impl<'a> Chrome<'a> {
    pub(super) fn new(story: &Story, out: &'a mut dyn Write) -> io::Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
        Ok(Self {
            out,
            start_ns: story.start_ns(),
            has_events: false,
            processes: BTreeSet::new(),
        })
    }

    fn push(&mut self, event: fmt::Arguments) -> io::Result<()> {
        let separator = if self.has_events { ",\n{" } else { "\n{" };
        self.has_events = true;
        write!(self.out, "{separator}{event}}}")
    }

    fn name(&mut self, what: &str, lane: &Lane, name: &str, index: usize) -> io::Result<()> {
        let head = format!(
            "\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"{what}",
            lane.pid, lane.tid
        );
        self.push(format_args!(
            "{head}_name\",\"args\":{{\"name\":\"{}\"}}",
            Text(name)
        ))?;
        self.push(format_args!(
            "{head}_sort_index\",\"args\":{{\"sort_index\":{index}}}"
        ))
    }
}

/// What a call brought along, as the fields of an object.
fn begin_args(values: &EventValues) -> String {
    let own = values.arguments().iter().map(|value| arg("", value));
    let callers = values.callers().flat_map(|frame| {
        let all = frame.locals.iter().chain(&frame.arguments);
        let prefix = format!("{}: ", frame.function);
        all.map(move |value| arg(&prefix, value))
    });
    own.chain(callers).collect::<Vec<_>>().join(",")
}

/// What a return brought along. Viewers show the fields of both ends of a frame as one object.
fn end_args(values: &EventValues) -> String {
    let result = values.result.iter().map(|result| {
        let text = value_text(result);
        format!("\"returns\":\"{}\"", Text(&text))
    });
    let own = values.locals().iter().chain(values.arguments());
    let own = own.map(|value| arg("at return: ", value));
    result.chain(own).collect::<Vec<_>>().join(",")
}

fn arg(prefix: &str, value: &NamedValue) -> String {
    let name = format!("{prefix}{}", value.name);
    format!("\"{}\":\"{}\"", Text(&name), Text(&value_text(value)))
}

impl Exporter for Chrome<'_> {
    const HAS_VALUES: bool = true;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        if self.processes.insert(lane.process.0) {
            let name = match lane.rank {
                Some(rank) => format!("node {rank}: {}", lane.program),
                None => lane.program.clone(),
            };
            self.name("process", lane, &name, lane.process.0 as usize)?;
        }
        self.name("thread", lane, &lane.name, lane.index)
    }

    fn step(
        &mut self,
        lane: &Lane,
        step: &Step,
        names: &Names,
        values: Option<&EventValues>,
    ) -> io::Result<()> {
        let (pid, tid) = (lane.pid, lane.tid);
        let ts = Micros(step.ns.saturating_sub(self.start_ns));
        match &step.kind {
            StepKind::Begin {
                name, arguments, ..
            } => {
                let name = names.get(*name);
                let (category, shown) = (name.category.as_str(), Text(&name.shown));
                let head = format_args!(
                    "\"ph\":\"B\",\"cat\":\"{category}\",\"name\":\"{shown}\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts}"
                );
                match arguments {
                    None if values.is_some() => {
                        let args = values.map_or_else(String::new, begin_args);
                        self.push(format_args!("{head},\"args\":{{{args}}}"))
                    }
                    None => self.push(head),
                    Some([first, second]) => self.push(format_args!(
                        "{head},\"args\":{{\"first\":\"{first:#x}\",\"second\":{second}}}"
                    )),
                }
            }
            StepKind::End { cut: None, .. } => match values {
                None => self.push(format_args!(
                    "\"ph\":\"E\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts}"
                )),
                Some(values) => {
                    let args = end_args(values);
                    self.push(format_args!(
                        "\"ph\":\"E\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts},\"args\":{{{args}}}"
                    ))
                }
            },
            StepKind::End { cut: Some(cut), .. } => self.push(format_args!(
                "\"ph\":\"E\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts},\"args\":{{\"end\":\"{}\"}}",
                cut_text(*cut)
            )),
            StepKind::Unseen { name, .. } => {
                let shown = Text(&names.get(*name).shown);
                self.instant(
                    lane,
                    ts,
                    "function",
                    format_args!("{shown} returns, its call was not recorded"),
                )
            }
            StepKind::Mark(text) => self.instant(lane, ts, "mark", format_args!("{}", Text(text))),
            StepKind::Lost { count, .. } => self.instant(
                lane,
                ts,
                "lost",
                format_args!("{}", super::jsonl::lost_text(*count)),
            ),
            StepKind::Message(message) => {
                // A slice, since an arrow must begin and end in one.
                let (way, phase, binding) = match message.received {
                    true => ("from", "f", ",\"bp\":\"e\""),
                    false => ("to", "s", ""),
                };
                let at =
                    format_args!("\"cat\":\"message\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts}");
                let (kind, peer, bytes, id) =
                    (message.kind, message.peer, message.bytes, message.number);
                self.push(format_args!(
                    "\"ph\":\"B\",{at},\"name\":\"message {way} {peer}\",\"args\":{{\"kind\":{kind},\"bytes\":{bytes}}}"
                ))?;
                self.push(format_args!(
                    "\"ph\":\"{phase}\"{binding},{at},\"name\":\"message\",\"id\":{id}"
                ))?;
                self.push(format_args!("\"ph\":\"E\",{at}"))
            }
        }
    }

    fn finish(&mut self, _: &Names) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")
    }
}

impl Chrome<'_> {
    fn instant(
        &mut self,
        lane: &Lane,
        ts: Micros,
        category: &str,
        name: fmt::Arguments,
    ) -> io::Result<()> {
        let (pid, tid) = (lane.pid, lane.tid);
        self.push(format_args!(
            "\"ph\":\"i\",\"s\":\"t\",\"cat\":\"{category}\",\"name\":\"{name}\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts}"
        ))
    }
}
