//! Statistics of a job: the nodes' documents added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one node sends at its end.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NodeStats {
    pub rank: u16,
    /// Threads that ran there, main included.
    pub threads: u64,
    /// Faults of those threads: loads.
    pub read_faults: u64,
    /// Faults of those threads: stores.
    pub write_faults: u64,
    pub messages_sent: u64,
    pub batches_sent: u64,
    pub bytes_sent: u64,
    pub messages_received: u64,
    /// What it sent to each other node.
    pub peers: Vec<PeerTraffic>,
    #[serde(skip_serializing)]
    objects: Vec<ObjectStats>,
}

/// What one node sent another.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PeerTraffic {
    pub rank: u16,
    pub messages: u64,
    pub bytes: u64,
}

/// Objects of one name, size and home.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ObjectStats {
    pub name: String,
    /// Bytes of one object.
    pub size: u64,
    pub home: u16,
    /// How many objects the row adds up.
    #[serde(default = "one")]
    pub count: u64,
    pub read_faults: u64,
    pub write_faults: u64,
    pub invalidations: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// `weak` or `sequential`; empty if the node does not tell.
    pub consistency: String,
    /// The protocol at the end; `mixed` if the objects of the row differ.
    pub protocol: String,
    /// How often the protocol changed by itself.
    pub switches: u64,
    /// Differences that writers sent to the home.
    pub flushes: u64,
    /// Differences that the home sent to copies.
    pub updates: u64,
    /// Operations run at the home for others.
    pub operations: u64,
    /// Times that nodes wrote different bytes of one object in turn.
    pub falsely_shared: u64,
    /// Which bytes each node wrote then: node, first, last.
    pub writers: Vec<(u16, u64, u64)>,
}

/// A job's statistics: nodes by rank, objects with most traffic first.
#[derive(Debug, Default, Serialize)]
pub struct JobStats {
    pub nodes: Vec<NodeStats>,
    pub objects: Vec<ObjectStats>,
    /// Documents that could not be read; shown, because their numbers are missing.
    pub unreadable: Vec<String>,
}

/// Adds up the nodes' documents.
///
/// A node counts what happened to an object there, so the same object may be in several documents:
/// a row's count is the largest number of such objects that one node knows.
pub fn merge(documents: &[Vec<u8>]) -> JobStats {
    let mut job = JobStats::default();
    let mut objects = BTreeMap::<(String, u64, u16), ObjectStats>::new();
    for document in documents {
        let mut node: NodeStats = match serde_json::from_slice(document) {
            Ok(node) => node,
            Err(error) => {
                job.unreadable.push(error.to_string());
                continue;
            }
        };
        let mut counts = BTreeMap::<(String, u64, u16), u64>::new();
        for object in node.objects.drain(..) {
            let key = (object.name.clone(), object.size, object.home);
            *counts.entry(key.clone()).or_default() += object.count;
            objects.entry(key).or_default().add(object);
        }
        for (key, count) in counts {
            let row = objects.entry(key).or_default();
            row.count = row.count.max(count);
        }
        job.nodes.push(node);
    }
    job.nodes.sort_by_key(|node| node.rank);
    job.objects = objects.into_values().collect();
    // Stable: rows of equal traffic stay in order of their names.
    job.objects
        .sort_by_key(|object| std::cmp::Reverse((object.bytes, object.faults())));
    job
}

/// One line of JSON.
pub fn json(job: &JobStats) -> String {
    serde_json::to_string(job).expect("names and numbers are always JSON")
}

/// A node that lists each object by itself need not say how many they are.
fn one() -> u64 {
    1
}

impl ObjectStats {
    fn add(&mut self, other: Self) {
        self.name = other.name;
        self.size = other.size;
        self.home = other.home;
        self.read_faults += other.read_faults;
        self.write_faults += other.write_faults;
        self.invalidations += other.invalidations;
        self.bytes += other.bytes;
        agree(&mut self.consistency, other.consistency);
        agree(&mut self.protocol, other.protocol);
        self.switches += other.switches;
        self.flushes += other.flushes;
        self.updates += other.updates;
        self.operations += other.operations;
        self.falsely_shared += other.falsely_shared;
        for (node, first, last) in other.writers {
            match self.writers.iter_mut().find(|writer| writer.0 == node) {
                Some(writer) => *writer = (node, writer.1.min(first), writer.2.max(last)),
                None => self.writers.push((node, first, last)),
            }
        }
        self.writers.sort_unstable();
    }

    /// What to do about nodes that write different bytes of one object, between backquotes what to write.
    pub fn hint(&self) -> Option<String> {
        if self.falsely_shared < FALSE_SHARING_MIN || self.writers.len() < 2 {
            return None;
        }
        let parts = self
            .writers
            .iter()
            .take(4)
            .map(|(node, first, last)| match first == last {
                true => format!("node {node} byte {first}"),
                false => format!("node {node} bytes {first} to {last}"),
            });
        let parts: Vec<String> = parts.collect();
        Some(format!(
            "False sharing, {} times: {}. `__attribute__((shadow(\"weak\")))` lets them write at once; if it \
             has to stay sequential, make it a variable for each.",
            self.falsely_shared,
            parts.join(", ")
        ))
    }

    fn faults(&self) -> u64 {
        self.read_faults + self.write_faults
    }
}

/// Times that an object must have been handed over for nothing before it is worth a word: fewer cost less than
/// reading about it.
const FALSE_SHARING_MIN: u64 = 3;

/// Equal, or not told by one of the two, or mixed.
fn agree(own: &mut String, other: String) {
    if own.is_empty() {
        *own = other;
    } else if !other.is_empty() && *own != other {
        *own = "mixed".into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_size_and_home_add_up() {
        let documents = [
            br#"{"rank":1,"messages_sent":5,"objects":[
                {"name":"main:a","size":8,"home":0,"read_faults":1,"bytes":8},
                {"name":"main:a","size":8,"home":0,"read_faults":2,"bytes":8},
                {"name":"main:b","size":8,"home":0,"write_faults":9,"bytes":800}]}"#
                .to_vec(),
            br#"{"rank":0,"messages_sent":7,"objects":[
                {"name":"main:a","size":8,"home":0,"invalidations":4,"bytes":1},
                {"name":"main:a","size":8,"home":1}]}"#
                .to_vec(),
            b"not json".to_vec(),
        ];
        let job = merge(&documents);
        let rows: Vec<_> = job
            .objects
            .iter()
            .map(|row| (row.name.as_str(), row.home, row.count, row.bytes))
            .collect();
        let expected = [
            ("main:b", 0, 1, 800),
            ("main:a", 0, 2, 17),
            ("main:a", 1, 1, 0),
        ];
        assert_eq!(rows, expected);
        assert_eq!(
            (job.objects[1].read_faults, job.objects[1].invalidations),
            (3, 4)
        );
        assert_eq!(
            job.nodes.iter().map(|node| node.rank).collect::<Vec<_>>(),
            [0, 1]
        );
        assert_eq!(job.unreadable.len(), 1);
    }
}
