//! What happened to the objects of a node, by source name.

use std::collections::BTreeMap;

use serde::Serialize;
use umbel_coherence::Counters;
use umbel_wire::Protocol;

use crate::stack::Found;

/// Counters of all objects with one declaration, at one home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The protocol that served one of them last.
    pub protocol: Option<Protocol>,
    /// How often two nodes in a row wrote different bytes of one object, and nothing but the object made them
    /// exchange it (false sharing).
    pub disjoint_writes: u64,
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
        extent_bytes: u64,
    ) -> &mut ObjectStats {
        let (record, size_bytes) = found.map_or((0, 0), |found| (found.record, found.size_bytes));
        let row = self.rows.entry((record, size_bytes)).or_default();
        row.record = record;
        row.size_bytes = size_bytes;
        row.read_faults += u64::from(counters.read_faults);
        row.write_faults += u64::from(counters.write_faults);
        row.invalidations += u64::from(counters.invalidations);
        row.bytes +=
            (u64::from(counters.grants_with_data) + u64::from(counters.recalls)) * extent_bytes;
        row
    }

    pub(crate) fn into_rows(self) -> Vec<ObjectStats> {
        self.rows.into_values().collect()
    }
}
