//! Perfetto's own format, protobuf: packets with track events, for ui.perfetto.dev and trace_processor.
//!
//! Each thread is a sequence of packets with its own interned names, numbered as they occur so that hot ones are short, and
//! its own clock that counts from packet to packet. Names of fields are those of perfetto_trace.proto:
//!
//! | message | fields used |
//! |---|---|
//! | TracePacket | clock_snapshot 6, timestamp 8, trusted_packet_sequence_id 10, track_event 11, interned_data 12, sequence_flags 13, trace_packet_defaults 59, track_descriptor 60 |
//! | TrackEvent | debug_annotations 4, type 9, name_iid 10, track_uuid 11 (in the defaults), categories 22, name 23, flow_ids 47, terminating_flow_ids 48 |
//! | TrackDescriptor | uuid 1, name 2, process 3, thread 4, parent_uuid 5 |

use std::collections::BTreeSet;
use std::io::{self, Write};

use umbel_values::{Entry, EventValues, NamedValue, Shape, Value};

use super::Exporter;
use super::jsonl::lost_text;
use super::protobuf::Bytes;
use crate::view::names::{Category, NameId, Names};
use crate::view::steps::{Step, StepKind, cut_text};
use crate::view::story::{Lane, Story};

/// Bytes collected before they are written.
const FLUSH_BYTES: usize = 1 << 20;

/// BuiltinClock.BUILTIN_CLOCK_MONOTONIC.
const CLOCK_MONOTONIC: u64 = 3;

/// A clock of a sequence's own, from 64 on.
const CLOCK_INCREMENTAL: u64 = 64;

const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;

pub(super) struct Perfetto<'a> {
    out: &'a mut dyn Write,
    bytes: Bytes,
    start_ns: u64,
    processes: BTreeSet<u64>,
    /// Of the current thread.
    sequence: u64,
    last_ns: u64,
    /// By name: its number in this sequence; 0: not interned yet.
    interned: Vec<u64>,
    interned_count: u64,
}

impl<'a> Perfetto<'a> {
    pub(super) fn new(story: &Story, out: &'a mut dyn Write) -> io::Result<Self> {
        Ok(Self {
            out,
            bytes: Bytes::default(),
            start_ns: story.start_ns(),
            processes: BTreeSet::new(),
            sequence: 0,
            last_ns: 0,
            interned: Vec::new(),
            interned_count: 0,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.bytes.0)?;
        self.bytes.0.clear();
        Ok(())
    }

    /// A packet of the current sequence.
    fn packet(&mut self, fill: impl FnOnce(&mut Bytes)) {
        let sequence = self.sequence;
        self.bytes.message(1, |packet| {
            packet.number(10, sequence);
            fill(packet);
        });
    }

    /// The packet of an event that is a few small numbers: the hot path.
    #[inline]
    fn slice(&mut self, ns: u64, kind: u64, name: Option<u64>) {
        let delta = ns.saturating_sub(self.last_ns);
        self.last_ns = ns;
        let sequence = self.sequence;
        self.bytes.message(1, |packet| {
            packet.number(8, delta);
            packet.number(10, sequence);
            packet.message(11, |event| {
                event.number(9, kind);
                if let Some(name) = name {
                    event.number(10, name);
                }
            });
        });
    }

    fn event(&mut self, ns: u64, kind: u64, fill: impl FnOnce(&mut Bytes)) {
        let delta = ns.saturating_sub(self.last_ns);
        self.last_ns = ns;
        self.packet(|packet| {
            packet.number(8, delta);
            packet.message(11, |event| {
                event.number(9, kind);
                fill(event);
            });
        });
    }

    #[inline]
    fn intern(&mut self, name: NameId, names: &Names) -> u64 {
        match self.interned.get(name.0 as usize) {
            Some(&number) if number > 0 => number,
            _ => self.intern_anew(name, names),
        }
    }

    #[cold]
    fn intern_anew(&mut self, name: NameId, names: &Names) -> u64 {
        let index = name.0 as usize;
        if index >= self.interned.len() {
            self.interned.resize(index + 1, 0);
        }
        self.interned_count += 1;
        let number = self.interned_count;
        self.interned[index] = number;
        let shown = &names.get(name).shown;
        self.packet(|packet| {
            packet.message(12, |data| {
                data.message(2, |event_name| {
                    event_name.number(1, number);
                    event_name.text(2, shown);
                });
            });
        });
        number
    }
}

/// Identity of a track: processes and threads apart.
fn process_track(lane: &Lane) -> u64 {
    2 * lane.process.0 + 1
}

fn thread_track(lane: &Lane) -> u64 {
    2 * (lane.index as u64 + 1)
}

fn annotation(event: &mut Bytes, name: &str, fill: impl FnOnce(&mut Bytes)) {
    event.message(4, |annotation| {
        annotation.text(10, name);
        fill(annotation);
    });
}

fn variables(event: &mut Bytes, prefix: &str, values: &[NamedValue]) {
    for value in values {
        let name = format!("{prefix}{}", value.name);
        annotation(event, &name, |inner| fill(inner, &value.value, 0));
    }
}

/// A value as the value of a DebugAnnotation: text 6, number 4, pointer 7, parts 11 and 12.
fn fill(annotation: &mut Bytes, value: &Value, depth: u32) {
    match value {
        Value::Scalar(text) => match text.parse::<i64>() {
            Ok(number) => annotation.number(4, number as u64),
            Err(_) => annotation.text(6, text),
        },
        Value::Pointer {
            address: Some(address),
            target: None,
            symbol: None,
            is_cycle: false,
            ..
        } => annotation.number(7, *address),
        Value::Pointer {
            target: Some(target),
            ..
        } if matches!(**target, Value::Compound { .. }) && depth < NESTED_MAX => {
            fill(annotation, target, depth + 1);
        }
        Value::Compound {
            shape: Shape::Record,
            entries,
            left_out: 0,
            ..
        } if depth < NESTED_MAX => each_entry(annotation, 11, entries, depth),
        Value::Compound {
            shape: Shape::List,
            entries,
            left_out: 0,
            ..
        } if depth < NESTED_MAX && entries.iter().all(|entry| entry.times == 1) => {
            each_entry(annotation, 12, entries, depth);
        }
        _ => annotation.text(6, &value.to_string()),
    }
}

fn each_entry(annotation: &mut Bytes, field: u32, entries: &[Entry], depth: u32) {
    if entries.is_empty() {
        annotation.text(6, "{}");
    }
    for entry in entries {
        annotation.message(field, |inner| {
            if !entry.name.is_empty() {
                inner.text(10, &entry.name);
            }
            fill(inner, &entry.value, depth + 1);
        });
    }
}

/// Parts within parts that are told apart; deeper ones are one text.
const NESTED_MAX: u32 = 8;

impl Exporter for Perfetto<'_> {
    const HAS_VALUES: bool = true;

    fn lane(&mut self, lane: &Lane) -> io::Result<()> {
        self.sequence = lane.index as u64 + 1;
        self.interned.clear();
        self.interned_count = 0;
        self.last_ns = self.start_ns;
        let start_ns = self.start_ns;
        self.packet(|packet| {
            // The first of its sequence: whatever was interned before is another's.
            packet.number(13, 1);
            packet.message(59, |defaults| {
                defaults.message(11, |event| event.number(11, thread_track(lane)));
                defaults.number(58, CLOCK_INCREMENTAL);
            });
        });
        self.packet(|packet| {
            packet.number(58, CLOCK_MONOTONIC);
            packet.number(8, start_ns);
            packet.message(6, |snapshot| {
                snapshot.message(1, |clock| {
                    clock.number(1, CLOCK_MONOTONIC);
                    clock.number(2, start_ns);
                });
                snapshot.message(1, |clock| {
                    clock.number(1, CLOCK_INCREMENTAL);
                    clock.number(2, 0);
                    clock.number(3, 1);
                });
                snapshot.number(2, CLOCK_MONOTONIC);
            });
        });
        let is_first = self.processes.insert(lane.process.0);
        if is_first {
            let name = match lane.rank {
                Some(rank) => format!("node {rank}: {}", lane.program),
                None => lane.program.clone(),
            };
            self.packet(|packet| {
                packet.message(60, |track| {
                    track.number(1, process_track(lane));
                    track.message(3, |process| {
                        process.number(1, lane.pid.into());
                        process.text(6, &name);
                    });
                });
            });
        }
        self.packet(|packet| {
            packet.message(60, |track| {
                track.number(1, thread_track(lane));
                track.number(5, process_track(lane));
                track.message(4, |thread| {
                    thread.number(1, lane.pid.into());
                    thread.number(2, lane.tid.into());
                    thread.text(5, &lane.name);
                });
            });
        });
        Ok(())
    }

    #[inline]
    fn step(
        &mut self,
        _: &Lane,
        step: &Step,
        names: &Names,
        values: Option<&EventValues>,
    ) -> io::Result<()> {
        if self.bytes.0.len() >= FLUSH_BYTES {
            self.flush()?;
        }
        let ns = step.ns;
        match &step.kind {
            StepKind::Begin {
                name,
                arguments: None,
                ..
            } => {
                let name = self.intern(*name, names);
                match values {
                    None => self.slice(ns, SLICE_BEGIN, Some(name)),
                    Some(values) => self.event(ns, SLICE_BEGIN, |event| {
                        event.number(10, name);
                        variables(event, "", values.arguments());
                        for frame in values.callers() {
                            let prefix = format!("{}: ", frame.function);
                            variables(event, &prefix, &frame.locals);
                            variables(event, &prefix, &frame.arguments);
                        }
                    }),
                }
            }
            StepKind::End { cut, .. } if values.is_some() => self.event(ns, SLICE_END, |event| {
                if let Some(cut) = cut {
                    annotation(event, "end", |value| value.text(6, cut_text(*cut)));
                }
                let Some(values) = values else { return };
                if let Some(result) = &values.result {
                    annotation(event, "returns", |inner| fill(inner, &result.value, 0));
                }
                variables(event, "at return: ", values.locals());
                variables(event, "at return: ", values.arguments());
            }),
            StepKind::End { cut: None, .. } => self.slice(ns, SLICE_END, None),
            StepKind::Begin {
                name,
                arguments: Some([first, second]),
                ..
            } => {
                let number = self.intern(*name, names);
                let category: Category = names.get(*name).category;
                self.event(ns, SLICE_BEGIN, |event| {
                    event.number(10, number);
                    event.text(22, category.as_str());
                    annotation(event, "first", |value| value.number(7, *first));
                    annotation(event, "second", |value| value.number(3, *second));
                });
            }
            StepKind::End { cut: Some(cut), .. } => self.event(ns, SLICE_END, |event| {
                annotation(event, "end", |value| value.text(6, cut_text(*cut)));
            }),
            StepKind::Unseen { name, .. } => {
                let text = format!(
                    "{} returns, its call was not recorded",
                    names.get(*name).shown
                );
                self.event(ns, INSTANT, |event| event.text(23, &text));
            }
            StepKind::Mark(text) => self.event(ns, INSTANT, |event| {
                event.text(22, "mark");
                event.text(23, text);
            }),
            StepKind::Lost { count, .. } => self.event(ns, INSTANT, |event| {
                event.text(22, "lost");
                event.text(23, &lost_text(*count));
            }),
            StepKind::Message(message) => {
                let way = if message.received { "from" } else { "to" };
                self.event(ns, INSTANT, |event| {
                    event.text(22, "message");
                    event.text(23, &format!("message {way} {}", message.peer));
                    event.fixed(if message.received { 48 } else { 47 }, message.number);
                    annotation(event, "kind", |value| value.number(3, message.kind));
                    annotation(event, "bytes", |value| value.number(3, message.bytes));
                });
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Names) -> io::Result<()> {
        self.flush()
    }
}
