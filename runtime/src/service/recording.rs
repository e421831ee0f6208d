//! Hands what was recorded to the launcher, in chunks, while the job runs.

use std::collections::BTreeMap;

use uffd_dsm::window::Place;
use uffd_dsm::{Engine, Traced};
use umbel_wire::control::Control;
use umbel_wire::event::{Event, What};
use umbel_wire::limits::EVENTS_MAX;
use umbel_wire::{ObjectId, ThreadId, codec};

use super::Service;
use crate::recorder;
use crate::sys::abi;
use crate::sys::process::now_ns;
use crate::sys::tracer;

/// The chunk that is being filled.
#[derive(Default)]
pub(super) struct Recording {
    chunk: Vec<Event>,
    /// When it leaves, full or not.
    due_ns: u64,
    /// Which declaration the launcher was told of, by object.
    named: BTreeMap<ObjectId, (u64, u64)>,
    engine_lost: u64,
    /// The tracer is there, and is told of faults.
    is_traced: bool,
    /// Faults that the tracer was told the begin of.
    open_faults: Vec<(ObjectId, u32)>,
}

/// A user who kills the job misses this much at most; ten chunks a second cost an idle node nothing.
const CHUNK_NS: u64 = 100_000_000;

/// Events of a chunk that leaves before it is due.
const CHUNK_EVENTS: usize = 1024;

/// Bytes for a launcher that is too slow; beyond it records are dropped and counted.
const BACKLOG_BYTES_MAX: usize = 8 << 20;

/// Objects whose names the launcher knows; beyond it they are all told again.
const NAMED_MAX: usize = 1 << 20;

const _: () = assert!(CHUNK_EVENTS < EVENTS_MAX);

impl Service {
    /// Begins to record on this node.
    pub(super) fn start_recording(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.set_tracing(true);
        }
        self.recording.is_traced = tracer::is_there();
        if !recorder::is_kept() {
            return;
        }
        self.recording.due_ns = now_ns() + CHUNK_NS;
        // Not a thread of the program: the row that messages are shown in.
        recorder::thread_began(ThreadId(0), || "messages".into());
    }

    /// When the next chunk leaves; 0 if nothing is recorded.
    pub(super) fn recording_due_ns(&self) -> u64 {
        self.recording.due_ns
    }

    /// Collects what happened in this turn; sends it when it is due.
    pub(super) fn record_turn(&mut self) {
        if self.recording.due_ns == 0 {
            if self.recording.is_traced {
                self.trace_faults();
            }
            return;
        }
        self.collect();
        let now_ns = now_ns();
        if self.recording.chunk.len() >= CHUNK_EVENTS || now_ns >= self.recording.due_ns {
            self.recording.due_ns = now_ns + CHUNK_NS;
            self.send_chunk();
        }
    }

    /// The last chunk.
    pub(super) fn finish_recording(&mut self) {
        if self.recording.due_ns != 0 {
            self.collect();
            self.send_chunk();
        }
    }

    fn collect(&mut self) {
        if let Some(engine) = &mut self.engine {
            let lost = engine.trace_lost();
            recorder::count_lost(lost - self.recording.engine_lost);
            self.recording.engine_lost = lost;
            for traced in engine.take_trace() {
                if self.recording.is_traced {
                    self.trace_fault(&traced);
                }
                self.add(event_of(traced));
            }
        }
        for event in recorder::take() {
            self.add(event);
        }
    }

    /// Tells the tracer alone of this turn's faults: at the turn's end, some microseconds late.
    fn trace_faults(&mut self) {
        let faults = self.engine.as_mut().map(Engine::take_trace);
        for traced in faults.into_iter().flatten() {
            self.trace_fault(&traced);
        }
    }

    fn trace_fault(&mut self, traced: &Traced) {
        let open = &mut self.recording.open_faults;
        match *traced {
            Traced::FaultBegan {
                at_ns,
                thread,
                object,
                write,
            } => {
                // A thread has one fault at a time: the end of the last was not noted.
                for (object, _) in open.extract_if(.., |fault| fault.1 == thread) {
                    recorder::fault_ended(thread, at_ns, address_of(object));
                }
                open.push((object, thread));
                recorder::fault_began(thread, at_ns, address_of(object), write);
            }
            Traced::FaultEnded { at_ns, object } => {
                for (_, thread) in open.extract_if(.., |fault| fault.0 == object) {
                    recorder::fault_ended(thread, at_ns, address_of(object));
                }
            }
        }
    }

    fn add(&mut self, event: Event) {
        match &event.what {
            // The home knows what lives there, and it is asked before anybody can go on.
            What::Received(traffic) => {
                if let Some(object) = traffic.object {
                    self.name(object, event.at_ns);
                }
            }
            What::FaultBegan { object, .. } => self.name(*object, event.at_ns),
            _ => {}
        }
        self.recording.chunk.push(event);
    }

    fn name(&mut self, object: ObjectId, at_ns: u64) {
        let Some(engine) = &self.engine else { return };
        let Some(found @ (record, size_bytes)) = engine.record_of(object) else {
            return;
        };
        if record == 0 || self.recording.named.get(&object) == Some(&found) {
            return;
        }
        if self.recording.named.len() >= NAMED_MAX {
            self.recording.named.clear();
        }
        self.recording.named.insert(object, found);
        let (name, size) = abi::object_name(record as usize);
        self.recording.chunk.push(Event {
            at_ns,
            what: What::Named {
                object,
                size_bytes: if size_bytes == 0 { size } else { size_bytes },
                name,
            },
        });
    }

    fn send_chunk(&mut self) {
        let events = std::mem::take(&mut self.recording.chunk);
        let Some(control) = &mut self.control else {
            return;
        };
        if events.is_empty() {
            return;
        }
        if control.outgoing().len() > BACKLOG_BYTES_MAX {
            recorder::count_lost(events.len() as u64);
            return;
        }
        for part in events.chunks(EVENTS_MAX) {
            let message = Control::Events {
                lost: recorder::lost(),
                events: part.to_vec(),
            };
            codec::encode_control(&message, control.outgoing());
        }
        control.flush();
    }
}

/// Where an object lies.
fn address_of(object: ObjectId) -> u64 {
    Place::of(object).map_or(0, |place| place.address() as u64)
}

fn event_of(traced: Traced) -> Event {
    match traced {
        Traced::FaultBegan {
            at_ns,
            thread,
            object,
            write,
        } => Event {
            at_ns,
            what: What::FaultBegan {
                thread,
                object,
                write,
            },
        },
        Traced::FaultEnded { at_ns, object } => Event {
            at_ns,
            what: What::FaultEnded { object },
        },
    }
}
