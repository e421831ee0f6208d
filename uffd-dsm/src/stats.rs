//! What happened to the objects of a node, by source name.

use std::collections::BTreeMap;

use serde::Serialize;
use umbel_coherence::Counters;
use umbel_wire::{Consistency, Mode, Protocol};

use crate::sharing::Sharing;
use crate::stack::Found;

/// Counters of all objects with one declaration, at one home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectStats {
    /// Address of the declaration's `umbel_object`; 0 if unknown.
    pub record: u64,
    /// Size in bytes; 0 when only the record knows.
    pub size_bytes: u64,
    /// Read accesses granted, the home's own included.
    pub read_faults: u64,
    /// Write accesses granted, the home's own included.
    pub write_faults: u64,
    /// Read copies dropped because somebody wrote.
    pub invalidations: u64,
    /// Bytes sent between nodes.
    pub bytes: u64,
    /// Differences that writers sent, the home's own included.
    pub flushes: u64,
    /// Differences sent to copies.
    pub updates: u64,
    /// Operations run for other nodes.
    pub operations: u64,
    /// Changes of the protocol.
    pub switches: u64,
    /// Mode of the unit with most requests, and how many it had.
    pub mode: Option<(Mode, u64)>,
    /// Nodes that wrote different bytes of one object.
    pub sharing: Sharing,
}

/// Statistics of a node, as `umbel run --stats` receives them.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStats {
    /// The node.
    pub rank: u16,
    /// Threads that ran there, main included.
    pub threads: u64,
    /// Faults served for its threads: loads.
    pub read_faults: u64,
    /// Faults served for its threads: stores.
    pub write_faults: u64,
    /// Messages sent to other nodes.
    pub messages_sent: u64,
    /// Writes to sockets: each carries one or more messages.
    pub batches_sent: u64,
    /// Bytes sent to other nodes.
    pub bytes_sent: u64,
    /// Messages received from other nodes.
    pub messages_received: u64,
    /// What went to each peer.
    pub peers: Vec<PeerTraffic>,
    /// Objects whose home is here.
    pub objects: Vec<ObjectRow>,
}

/// What one node sent another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PeerTraffic {
    /// The other node.
    pub rank: u16,
    /// Messages sent to it.
    pub messages: u64,
    /// Bytes sent to it.
    pub bytes: u64,
}

/// One object's line in [`NodeStats`].
#[derive(Clone, Debug, Serialize)]
pub struct ObjectRow {
    /// `function:variable`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// The node that keeps its directory entry.
    pub home: u16,
    /// As in [`ObjectStats`].
    pub read_faults: u64,
    /// As in [`ObjectStats`].
    pub write_faults: u64,
    /// As in [`ObjectStats`].
    pub invalidations: u64,
    /// As in [`ObjectStats`].
    pub bytes: u64,
    /// As in [`ObjectStats`].
    pub flushes: u64,
    /// As in [`ObjectStats`].
    pub updates: u64,
    /// As in [`ObjectStats`].
    pub operations: u64,
    /// As in [`ObjectStats`].
    pub switches: u64,
    /// Of the object, or of its unit with most requests.
    pub consistency: &'static str,
    /// Of the object, or of its unit with most requests.
    pub protocol: &'static str,
    /// How often nodes that wrote different bytes handed an object over.
    pub falsely_shared: u64,
    /// Which bytes each wrote: node, first, last.
    pub writers: Vec<(u16, u64, u64)>,
}

impl ObjectRow {
    /// `name` and `size`: of the declaration.
    pub fn new(name: String, size: u64, home: u16, stats: &ObjectStats) -> Self {
        let mode = stats.mode.map(|(mode, _)| mode);
        let writers = stats.sharing.writers.iter();
        Self {
            name,
            size,
            home,
            read_faults: stats.read_faults,
            write_faults: stats.write_faults,
            invalidations: stats.invalidations,
            bytes: stats.bytes,
            flushes: stats.flushes,
            updates: stats.updates,
            operations: stats.operations,
            switches: stats.switches,
            consistency: mode.map_or("", |mode| consistency_name(mode.consistency)),
            protocol: mode.map_or("", |mode| protocol_name(mode.protocol)),
            falsely_shared: stats.sharing.disjoint_writes,
            writers: writers
                .map(|writer| (writer.node.0, writer.first, writer.last))
                .collect(),
        }
    }
}

/// As attributes have it.
fn consistency_name(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Weak => "weak",
        Consistency::Sequential => "sequential",
    }
}

/// As attributes have it.
fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Invalidate => "invalidate",
        Protocol::Migratory => "migratory",
        Protocol::ReadOnly => "read_only",
        Protocol::Update => "update",
        Protocol::Remote => "remote",
    }
}

/// Sums by declaration.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatsTable {
    rows: BTreeMap<(u64, u64), ObjectStats>,
}

impl StatsTable {
    pub(crate) fn add(
        &mut self,
        found: Option<Found>,
        counters: &Counters,
        mode: Mode,
    ) -> &mut ObjectStats {
        let (record, size_bytes) = found.map_or((0, 0), |found| (found.record, found.size_bytes));
        let row = self.rows.entry((record, size_bytes)).or_default();
        row.record = record;
        row.size_bytes = size_bytes;
        row.read_faults += u64::from(counters.read_faults);
        row.write_faults += u64::from(counters.write_faults);
        row.invalidations += u64::from(counters.invalidations);
        row.flushes += u64::from(counters.flushes);
        row.updates += u64::from(counters.updates);
        row.operations += u64::from(counters.operations);
        row.switches += u64::from(counters.switches);
        let requests = u64::from(counters.read_faults) + u64::from(counters.write_faults);
        if row.mode.is_none_or(|(_, most)| requests > most) {
            row.mode = Some((mode, requests));
        }
        row
    }

    pub(crate) fn into_rows(self) -> Vec<ObjectStats> {
        self.rows.into_values().collect()
    }
}
