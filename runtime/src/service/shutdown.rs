//! The launcher's messages, and the end of the node.

use std::time::Duration;

use bytes::Buf;
use uffd_dsm::{Engine, NodeStats, ObjectRow};
use umbel_wire::control::Control;
use umbel_wire::{NodeId, codec};

use super::Service;
use crate::error::{Error, STATUS_FATAL};
use crate::request::Reply;
use crate::sys::{abi, process};

impl Service {
    pub(super) fn send_control(&mut self, message: &Control) {
        if let Some(control) = &mut self.control {
            codec::encode_control(message, control.outgoing());
            control.flush();
        }
    }

    pub(super) fn on_control(&mut self) -> Result<(), Error> {
        let Some(control) = &mut self.control else {
            return Ok(());
        };
        control.fill();
        loop {
            let Some(control) = &mut self.control else {
                return Ok(());
            };
            match codec::decode_control(control.incoming()) {
                Ok(None) => break,
                Ok(Some((message, taken))) => {
                    control.incoming().advance(taken);
                    self.on_control_message(message);
                }
                Err(_) => process::end_now(STATUS_FATAL),
            }
        }
        if self
            .control
            .as_ref()
            .is_some_and(|control| control.closed())
        {
            // The launcher is gone: nobody shows our output or waits for us.
            process::end_now(STATUS_FATAL);
        }
        Ok(())
    }

    fn on_control_message(&mut self, message: Control) {
        match message {
            Control::Lost { rank } => {
                let lines = self.threads_on(NodeId(rank));
                self.send_control(&Control::Threads { lines });
            }
            Control::Shutdown => self.shut_down(),
            // The others go from nodes to the launcher.
            Control::Ready { .. }
            | Control::Exit { .. }
            | Control::Fatal { .. }
            | Control::Threads { .. }
            | Control::Stats { .. }
            | Control::Events { .. } => process::end_now(STATUS_FATAL),
        }
    }

    /// The program has ended here with this status; the launcher decides when the node may go.
    pub(super) fn on_exit(&mut self, status: i32, reply: Reply) {
        if self.control.is_none() {
            reply.send(0);
            return;
        }
        self.exit = Some(reply);
        self.send_control(&Control::Exit {
            status: status & 0xFF,
        });
    }

    /// Something that the job can't survive.
    pub(super) fn fail(&mut self, text: &str) -> ! {
        self.finish_recording();
        if self.control.is_some() {
            self.send_control(&Control::Fatal { text: text.into() });
        } else {
            eprintln!("umbel: {text}");
        }
        process::end_now(STATUS_FATAL)
    }

    fn shut_down(&mut self) {
        self.finish_recording();
        if self.stats_wanted {
            let json = serde_json::to_vec(&self.stats())
                .expect("numbers and strings can always be written");
            self.send_control(&Control::Stats { json });
        }
        while self
            .control
            .as_ref()
            .is_some_and(|control| control.pending() && !control.closed())
        {
            std::thread::sleep(RETRY);
            if let Some(control) = &mut self.control {
                control.flush();
            }
        }
        match self.exit.take() {
            Some(reply) => reply.send(0),
            None => end_quietly(),
        }
    }

    fn threads_on(&self, node: NodeId) -> Vec<String> {
        self.threads
            .running_on(node)
            .map(|(thread, father)| {
                let name = self.names.get(&thread).map_or("a thread", String::as_str);
                let creator = if father == crate::node::MAIN {
                    "main".into()
                } else {
                    format!("a thread ({father})", father = father.0)
                };
                format!("{name}, created by {creator} on node {}", self.rank.0)
            })
            .collect()
    }

    fn stats(&mut self) -> NodeStats {
        let traffic = self.links.traffic;
        let (read_faults, write_faults) = self.engine.as_ref().map_or((0, 0), Engine::fault_counts);
        let rows = self
            .engine
            .as_mut()
            .map(Engine::object_stats)
            .unwrap_or_default();
        NodeStats {
            rank: self.rank.0,
            threads: self.threads_started,
            read_faults,
            write_faults,
            messages_sent: traffic.messages_sent,
            batches_sent: traffic.batches_sent,
            bytes_sent: traffic.bytes_sent,
            messages_received: traffic.messages_received,
            peers: self.links.peers(),
            objects: rows
                .into_iter()
                .map(|row| {
                    let (name, size) = match row.record {
                        0 => ("?".into(), 0),
                        record => abi::object_name(record as usize),
                    };
                    let size = match row.size_bytes {
                        0 => size,
                        size_bytes => size_bytes,
                    };
                    ObjectRow::new(name, size, self.rank.0, &row)
                })
                .collect(),
        }
    }
}

/// Ends a node on which the program did not call exit: writes out its streams, unless a thread that
/// was stopped in the middle holds one of them.
fn end_quietly() -> ! {
    let (done, flushed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        process::flush_streams();
        let _ = done.send(());
    });
    let _ = flushed.recv_timeout(FLUSH_WAIT);
    process::end_now(0)
}

/// How long streams may take to be written out at the end.
const FLUSH_WAIT: Duration = Duration::from_millis(500);

/// Between attempts to hand the last message to a busy launcher.
const RETRY: Duration = Duration::from_millis(1);
