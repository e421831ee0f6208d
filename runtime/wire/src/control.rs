//! Messages between a node and its launcher (`umbel run`), on a socket of their own.

use alloc::string::String;
use alloc::vec::Vec;

use crate::event::Event;

/// Anything that a node and its launcher tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Node: all links are up and greeted.
    Ready {
        /// The node's rank.
        rank: u16,
    },
    /// Node: the program ended the job with this status (main returned, or `exit` was called anywhere).
    Exit {
        /// Exit status, 0 to 255.
        status: i32,
    },
    /// Node: it can't go on, for this reason; it ends itself next.
    Fatal {
        /// One line for the user.
        text: String,
    },
    /// Launcher: this node died; answer with `Threads`.
    Lost {
        /// The dead node's rank.
        rank: u16,
    },
    /// Node: threads it had started on the lost node, a line of text each.
    Threads {
        /// For instance `example(2), created by thread 0 on node 0`.
        lines: Vec<String>,
    },
    /// Launcher: the job is over; send statistics if they were asked for, then end.
    Shutdown,
    /// Node: its statistics, as JSON.
    Stats {
        /// UTF-8 JSON; the launcher adds the nodes' documents up.
        json: Vec<u8>,
    },
    /// Node: what it recorded since the last message of this kind.
    Events {
        /// Records that it had no room for, since its start.
        lost: u64,
        /// In order for each of its threads; times of different threads may be out of order.
        events: Vec<Event>,
    },
}
