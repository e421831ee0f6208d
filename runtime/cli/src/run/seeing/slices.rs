//! Pairs what began with what ended, and who sent with who received.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use umbel_wire::ObjectId;
use umbel_wire::event::{Event, Traffic, What, Why};

/// A variable as its home named it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable {
    pub name: String,
    pub size_bytes: u64,
    pub home: u16,
}

/// Something to show. Slices of one thread nest: a fault or a wait within the thread's life.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A row for a thread.
    Row {
        rank: u16,
        thread: u32,
        name: Rc<str>,
        is_service: bool,
    },
    Slice(Slice),
    Message(Message),
    /// Both ends of a message.
    Arrow {
        kind: u8,
        from: (u16, u32),
        to: (u16, u32),
        sent_ns: u64,
        received_ns: u64,
    },
}

/// What a thread did from one time to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    pub rank: u16,
    pub thread: u32,
    pub began_ns: u64,
    pub ended_ns: u64,
    /// It has not ended: the job has.
    pub is_cut: bool,
    pub doing: Doing,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Doing {
    Running {
        name: Rc<str>,
    },
    Faulting {
        object: ObjectId,
        variable: Option<Rc<Variable>>,
        write: bool,
    },
    Waiting {
        why: Why,
        key: u64,
    },
}

/// One end of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub rank: u16,
    /// The service thread.
    pub thread: u32,
    pub is_sent: bool,
    pub traffic: Traffic,
    pub variable: Option<Rc<Variable>>,
    pub at_ns: u64,
    /// When to draw its end: before the next one begins.
    pub ended_ns: u64,
}

/// What is open.
#[derive(Default)]
pub struct Slices {
    tracks: BTreeMap<(u16, u32), Track>,
    faulting: HashMap<(u16, ObjectId), Vec<u32>>,
    variables: HashMap<ObjectId, Rc<Variable>>,
    /// By node: the service thread, and its last message, whose end is not known yet.
    services: BTreeMap<u16, (u32, Option<Message>)>,
    /// Who sent, and when, by sender, receiver, sequence.
    sent: HashMap<(u16, u16, u64), (u32, u64)>,
}

struct Track {
    name: Option<Rc<str>>,
    began_ns: u64,
    open: Option<(u64, Doing)>,
}

/// Messages on their way: more than that are lost at one end, or sent to a node that died.
const SENT_MAX: usize = 1 << 18;

/// Variables known at a time, as many as a node tells of.
const VARIABLES_MAX: usize = 1 << 21;

/// How long a message is drawn: handling one takes some microseconds.
const MESSAGE_NS: u64 = 2_000;

impl Slices {
    pub fn add(&mut self, rank: u16, event: Event, out: &mut Vec<Shown>) {
        let at_ns = event.at_ns;
        match event.what {
            What::ThreadBegan { thread, id, name } => {
                let is_service = id.0 == 0;
                let name: Rc<str> = name.into();
                out.push(Shown::Row {
                    rank,
                    thread,
                    name: name.clone(),
                    is_service,
                });
                if is_service {
                    self.services.entry(rank).or_default().0 = thread;
                    return;
                }
                // Its number was another thread's, whose end was lost.
                self.end_thread(rank, thread, at_ns, out);
                let track = Track {
                    name: Some(name),
                    began_ns: at_ns,
                    open: None,
                };
                self.tracks.insert((rank, thread), track);
            }
            What::ThreadEnded { thread } => self.end_thread(rank, thread, at_ns, out),
            What::FaultBegan {
                thread,
                object,
                write,
            } => {
                let variable = None;
                let fault = Doing::Faulting {
                    object,
                    variable,
                    write,
                };
                self.begin(rank, thread, at_ns, fault, out);
                let threads = self.faulting.entry((rank, object)).or_default();
                threads.push(thread);
            }
            What::FaultEnded { object } => {
                let threads = self.faulting.remove(&(rank, object));
                for thread in threads.unwrap_or_default() {
                    self.end_if(rank, thread, at_ns, out, |doing| {
                        matches!(doing, Doing::Faulting { object: open, .. } if *open == object)
                    });
                }
            }
            What::WaitBegan { thread, why, key } => {
                self.begin(rank, thread, at_ns, Doing::Waiting { why, key }, out);
            }
            What::WaitEnded { thread } => self.end_if(rank, thread, at_ns, out, |doing| {
                matches!(doing, Doing::Waiting { .. })
            }),
            What::Sent(traffic) => self.message(rank, true, traffic, at_ns, out),
            What::Received(traffic) => self.message(rank, false, traffic, at_ns, out),
            What::Named {
                object,
                size_bytes,
                name,
            } => {
                if self.variables.len() >= VARIABLES_MAX {
                    self.variables.clear();
                }
                let variable = Variable {
                    name,
                    size_bytes,
                    home: rank,
                };
                self.variables.insert(object, Rc::new(variable));
            }
        }
    }

    /// Ends what is open.
    pub fn finish(&mut self, end_ns: u64, out: &mut Vec<Shown>) {
        for (_, (_, last)) in std::mem::take(&mut self.services) {
            out.extend(last.map(Shown::Message));
        }
        for ((rank, thread), mut track) in std::mem::take(&mut self.tracks) {
            let open = track.open.take();
            let running = track.name.map(|name| Doing::Running { name });
            let began_ns = track.began_ns;
            let both = open
                .into_iter()
                .chain(running.map(|doing| (began_ns, doing)));
            for (began_ns, doing) in both {
                out.push(Shown::Slice(Slice {
                    rank,
                    thread,
                    began_ns,
                    ended_ns: end_ns.max(began_ns),
                    is_cut: true,
                    doing: self.named(doing),
                }));
            }
        }
    }

    fn begin(&mut self, rank: u16, thread: u32, at_ns: u64, doing: Doing, out: &mut Vec<Shown>) {
        // The end of what came before was recorded a little late, or lost.
        self.end_if(rank, thread, at_ns, out, |_| true);
        // A thread that the program made by itself has no beginning.
        let track = self.tracks.entry((rank, thread)).or_insert(Track {
            name: None,
            began_ns: at_ns,
            open: None,
        });
        track.open = Some((at_ns, doing));
    }

    fn end_if(
        &mut self,
        rank: u16,
        thread: u32,
        at_ns: u64,
        out: &mut Vec<Shown>,
        is_meant: impl FnOnce(&Doing) -> bool,
    ) {
        let track = self.tracks.get_mut(&(rank, thread));
        let open = track.and_then(|track| track.open.take_if(|(_, doing)| is_meant(doing)));
        if let Some((began_ns, doing)) = open {
            out.push(Shown::Slice(Slice {
                rank,
                thread,
                began_ns,
                ended_ns: at_ns.max(began_ns),
                is_cut: false,
                doing: self.named(doing),
            }));
        }
    }

    fn end_thread(&mut self, rank: u16, thread: u32, at_ns: u64, out: &mut Vec<Shown>) {
        self.end_if(rank, thread, at_ns, out, |_| true);
        let Some(track) = self.tracks.remove(&(rank, thread)) else {
            return;
        };
        if let Some(name) = track.name {
            out.push(Shown::Slice(Slice {
                rank,
                thread,
                began_ns: track.began_ns,
                ended_ns: at_ns.max(track.began_ns),
                is_cut: false,
                doing: Doing::Running { name },
            }));
        }
    }

    /// The home names an object when it is asked for it: before the fault has ended.
    fn named(&self, doing: Doing) -> Doing {
        match doing {
            Doing::Faulting { object, write, .. } => Doing::Faulting {
                object,
                variable: self.variables.get(&object).cloned(),
                write,
            },
            doing => doing,
        }
    }

    fn message(
        &mut self,
        rank: u16,
        is_sent: bool,
        traffic: Traffic,
        at_ns: u64,
        out: &mut Vec<Shown>,
    ) {
        let (thread, last) = self.services.entry(rank).or_default();
        let thread = *thread;
        if let Some(mut last) = last.take() {
            last.ended_ns = last.ended_ns.min(at_ns.max(last.at_ns + 1));
            out.push(Shown::Message(last));
        }
        let object = traffic.object;
        *last = Some(Message {
            rank,
            thread,
            is_sent,
            traffic,
            variable: object.and_then(|object| self.variables.get(&object).cloned()),
            at_ns,
            ended_ns: at_ns + MESSAGE_NS,
        });
        if is_sent {
            if self.sent.len() >= SENT_MAX {
                self.sent.clear();
            }
            let way = (rank, traffic.peer.0, traffic.sequence);
            self.sent.insert(way, (thread, at_ns));
        } else {
            let way = (traffic.peer.0, rank, traffic.sequence);
            if let Some((sender, sent_ns)) = self.sent.remove(&way) {
                out.push(Shown::Arrow {
                    kind: traffic.kind,
                    from: (traffic.peer.0, sender),
                    to: (rank, thread),
                    sent_ns,
                    received_ns: at_ns.max(sent_ns),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use umbel_wire::{NodeId, ThreadId};

    use super::*;

    const OBJECT: ObjectId = ObjectId(77);

    fn shown(events: Vec<(u16, u64, What)>) -> Vec<Shown> {
        let mut slices = Slices::default();
        let mut out = Vec::new();
        for (rank, at_ns, what) in events {
            slices.add(rank, Event { at_ns, what }, &mut out);
        }
        slices.finish(1000, &mut out);
        out
    }

    fn slices_of(shown: &[Shown]) -> Vec<(u64, u64, bool, String)> {
        let text = |doing: &Doing| match doing {
            Doing::Running { name } => name.to_string(),
            Doing::Faulting {
                variable, write, ..
            } => {
                let name = variable
                    .as_ref()
                    .map_or("?", |variable| variable.name.as_str());
                format!("{name} {write}")
            }
            Doing::Waiting { why, .. } => why.name().into(),
        };
        let slices = shown.iter().filter_map(|shown| match shown {
            Shown::Slice(slice) => Some(slice),
            _ => None,
        });
        slices
            .map(|slice| {
                let text = text(&slice.doing);
                (slice.began_ns, slice.ended_ns, slice.is_cut, text)
            })
            .collect()
    }

    fn began(thread: u32, name: &str) -> What {
        What::ThreadBegan {
            thread,
            id: ThreadId(9),
            name: name.into(),
        }
    }

    fn fault(thread: u32) -> What {
        What::FaultBegan {
            thread,
            object: OBJECT,
            write: true,
        }
    }

    fn wait(thread: u32) -> What {
        What::WaitBegan {
            thread,
            why: Why::Mutex,
            key: 5,
        }
    }

    #[test]
    fn a_fault_has_the_name_that_the_home_gave_while_it_lasted() {
        let named = What::Named {
            object: OBJECT,
            size_bytes: 8,
            name: "main:a".into(),
        };
        let shown = shown(vec![
            (1, 10, began(5, "work(1)")),
            (1, 20, fault(5)),
            (0, 25, named),
            (1, 30, What::FaultEnded { object: OBJECT }),
            (1, 40, What::ThreadEnded { thread: 5 }),
        ]);
        let expected = [
            (20, 30, false, "main:a true".to_owned()),
            (10, 40, false, "work(1)".to_owned()),
        ];
        assert_eq!(slices_of(&shown), expected);
    }

    #[test]
    fn one_end_is_the_end_for_all_who_wait_for_the_object_on_that_node() {
        let shown = shown(vec![
            (1, 20, fault(5)),
            (1, 21, fault(6)),
            (2, 22, fault(7)),
            (1, 30, What::FaultEnded { object: OBJECT }),
        ]);
        let ends: Vec<_> = slices_of(&shown).iter().map(|slice| slice.1).collect();
        assert_eq!(ends, [30, 30, 1000]);
    }

    #[test]
    fn slices_of_a_thread_never_overlap_and_all_end() {
        let shown = shown(vec![
            (0, 10, began(5, "main")),
            (0, 20, fault(5)),
            (0, 30, wait(5)), // the fault's end was recorded late
            (0, 31, What::FaultEnded { object: OBJECT }),
        ]);
        let expected = [
            (20, 30, false, "? true".to_owned()),
            (30, 1000, true, "mutex".to_owned()),
            (10, 1000, true, "main".to_owned()),
        ];
        assert_eq!(slices_of(&shown), expected);
    }

    #[test]
    fn an_arrow_needs_both_ends() {
        let traffic = |peer, sequence| Traffic {
            peer: NodeId(peer),
            kind: 0x10,
            object: None,
            bytes: 17,
            sequence,
        };
        let shown = shown(vec![
            (0, 10, What::Sent(traffic(1, 0))),
            (0, 11, What::Sent(traffic(1, 1))),
            (1, 15, What::Received(traffic(0, 1))),
            (1, 16, What::Received(traffic(0, 2))),
        ]);
        let arrows: Vec<_> = shown
            .iter()
            .filter_map(|shown| match shown {
                Shown::Arrow {
                    sent_ns,
                    received_ns,
                    ..
                } => Some((*sent_ns, *received_ns)),
                _ => None,
            })
            .collect();
        assert_eq!(arrows, [(11, 15)]);
        let ends = shown.iter().filter_map(|shown| match shown {
            Shown::Message(message) => Some((message.at_ns, message.ended_ns)),
            _ => None,
        });
        // Each is drawn to the next on its row at most.
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        assert_eq!(ends, [(10, 11), (11, 2011), (15, 16), (16, 2016)]);
    }
}
