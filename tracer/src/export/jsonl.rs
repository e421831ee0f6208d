//! JSON lines: an object on each line, in the order of time over all threads.
//!
//! | type | fields |
//! |---|---|
//! | session | version (1), command, host, start_ns: CLOCK_MONOTONIC at time 0, start_realtime_ns: the same since 1970 |
//! | thread | thread: its number, process: its process's, pid, tid, name, program, rank (if it is a node's) |
//! | function | id, name, category: function, fault, wait or span; if known: linkage, module, file, line. Before its first use |
//! | begin | thread, ns, depth, id; of spans: arguments; values, if any: arguments, and caller: function, arguments, locals |
//! | end | thread, ns, depth, id, duration_ns, self_ns; cut, if it is no ordinary return: why; values, if any: returned, arguments, locals |
//! | unseen | thread, ns, id: a return whose call was not recorded |
//! | mark | thread, ns, text |
//! | message | thread, ns, received, peer, kind, bytes, number |
//! | lost | thread, ns, count (0: not known), until_ns |
//! | end of recording | steps, lost |
//!
//! `ns` count from time 0, the first event. Each variable is an object: name, type, value; values are as in
//! [`umbel_values::show::json`].

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::json::Text;
use umbel_values::{EventValues, NamedValue, show};

use super::{Exported, Exporter};
use crate::symbols::Symbols;
use crate::view::names::{NameId, Names};
use crate::view::steps::{Step, StepKind, cut_text};
use crate::view::story::{Lane, Story};

pub(super) struct JsonLines<'a> {
    out: &'a mut dyn Write,
    symbols: &'a Symbols,
    start_ns: u64,
    /// Names told so far: they come in the order of their numbers.
    named: usize,
    exported: Exported,
}

/// `12 events lost`.
pub(crate) fn lost_text(count: u64) -> String {
    match count {
        0 => "events lost, nobody knows how many".into(),
        1 => "1 event lost".into(),
        _ => format!("{count} events lost"),
    }
}

/// What a call brought along.
fn begin_values(values: &EventValues) -> Json {
    let mut fields = json!({ "arguments": variables(values.arguments()) });
    if let Some(caller) = values.frames.get(1) {
        fields["caller"] = json!({
            "function": *caller.function,
            "arguments": variables(&caller.arguments),
            "locals": variables(&caller.locals),
        });
    }
    fields
}

/// What a return brought along.
fn end_values(values: &EventValues) -> Json {
    let mut fields = json!({
        "arguments": variables(values.arguments()),
        "locals": variables(values.locals()),
    });
    if let Some(result) = &values.result {
        fields["returned"] = show::json(&result.value);
    }
    fields
}

fn variables(values: &[NamedValue]) -> Vec<Json> {
    let variable = |value: &NamedValue| json!({ "name": *value.name, "type": *value.of, "value": show::json(&value.value) });
    values.iter().map(variable).collect()
}

impl<'a> JsonLines<'a> {
    pub(super) fn new(story: &'a Story, out: &'a mut dyn Write) -> io::Result<Self> {
        let session = story.recording().session();
        let start_ns = story.start_ns();
        let clock = story.recording().clock();
        let line = json!({
            "type": "session", "version": 1, "command": session.command, "host": session.host,
            "start_ns": start_ns, "start_realtime_ns": clock.realtime_ns(clock.origin()),
        });
        writeln!(out, "{line}")?;
        let exported = Exported::default();
        Ok(Self {
            out,
            symbols: story.symbols(),
            start_ns,
            named: 0,
            exported,
        })
    }

    fn tell_names(&mut self, id: NameId, names: &Names) -> io::Result<()> {
        while self.named <= id.0 as usize {
            let name = &names.all()[self.named];
            let mut line = json!({
                "type": "function", "id": self.named, "name": *name.shown, "category": name.category.as_str(),
            });
            if !name.linkage.is_empty() {
                line["linkage"] = json!(*name.linkage);
            }
            if !name.module.as_os_str().is_empty() {
                line["module"] = json!(name.module.to_string_lossy());
            }
            if let Some(place) = name.source(self.symbols) {
                line["file"] = json!(place.file);
                line["line"] = json!(place.line);
            }
            writeln!(self.out, "{line}")?;
            self.named += 1;
        }
        Ok(())
    }
}

impl Exporter for JsonLines<'_> {
    const HAS_VALUES: bool = true;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        let mut line = json!({
            "type": "thread", "thread": lane.index, "process": lane.process.0, "pid": lane.pid,
            "tid": lane.tid, "name": lane.name, "program": lane.program,
        });
        if let Some(rank) = lane.rank {
            line["rank"] = json!(rank);
        }
        writeln!(self.out, "{line}")
    }

    fn step(
        &mut self,
        lane: &Lane,
        step: &Step,
        names: &Names,
        values: Option<&EventValues>,
    ) -> io::Result<()> {
        self.exported.add(step);
        if let StepKind::Begin { name, .. } | StepKind::Unseen { name, .. } = &step.kind {
            self.tell_names(*name, names)?;
        }
        let (thread, depth) = (lane.index, step.depth);
        let ns = step.ns.saturating_sub(self.start_ns);
        let out = &mut self.out;
        let at = format_args!("\"thread\":{thread},\"ns\":{ns}");
        match &step.kind {
            StepKind::Begin {
                name,
                arguments,
                resumed,
            } => {
                let id = name.0;
                write!(
                    out,
                    "{{\"type\":\"begin\",{at},\"depth\":{depth},\"id\":{id}"
                )?;
                if let Some([first, second]) = arguments {
                    write!(out, ",\"arguments\":[{first},{second}]")?;
                }
                if *resumed {
                    write!(out, ",\"resumed\":true")?;
                }
                if let Some(values) = values {
                    write!(out, ",\"values\":{}", begin_values(values))?;
                }
                writeln!(out, "}}")
            }
            StepKind::End {
                name,
                begin_ns,
                self_ns,
                cut,
            } => {
                let (id, duration) = (name.0, step.ns - begin_ns);
                write!(
                    out,
                    "{{\"type\":\"end\",{at},\"depth\":{depth},\"id\":{id},\"duration_ns\":{duration},\"self_ns\":{self_ns}"
                )?;
                if let Some(cut) = cut {
                    write!(out, ",\"cut\":\"{}\"", cut_text(*cut))?;
                }
                if let Some(values) = values {
                    write!(out, ",\"values\":{}", end_values(values))?;
                }
                writeln!(out, "}}")
            }
            StepKind::Unseen { name, .. } => {
                writeln!(out, "{{\"type\":\"unseen\",{at},\"id\":{}}}", name.0)
            }
            StepKind::Mark(text) => {
                writeln!(
                    out,
                    "{{\"type\":\"mark\",{at},\"text\":\"{}\"}}",
                    Text(text)
                )
            }
            StepKind::Message(message) => writeln!(
                out,
                "{{\"type\":\"message\",{at},\"received\":{},\"peer\":{},\"kind\":{},\"bytes\":{},\"number\":{}}}",
                message.received, message.peer, message.kind, message.bytes, message.number
            ),
            StepKind::Lost { count, until_ns } => {
                let until = until_ns.saturating_sub(self.start_ns);
                writeln!(
                    out,
                    "{{\"type\":\"lost\",{at},\"count\":{count},\"until_ns\":{until}}}"
                )
            }
        }
    }

    fn finish(&mut self, _: &Names) -> io::Result<()> {
        let Exported { steps, lost } = self.exported;
        writeln!(
            self.out,
            "{{\"type\":\"end of recording\",\"steps\":{steps},\"lost\":{lost}}}"
        )
    }
}
