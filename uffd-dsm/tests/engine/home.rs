//! A home that a test plays: it has the bytes of every page and grants whatever is asked for.

use std::collections::BTreeMap;

use uffd_dsm::diff;
use umbel_wire::{Access, Coherence, Consistency, Mode, ObjectId, Protocol};

use crate::node::page_data;

/// Home of weak pages; each kind of message is counted.
#[derive(Default)]
pub struct Home {
    pub pages: BTreeMap<ObjectId, Vec<u8>>,
    pub counts: BTreeMap<&'static str, u64>,
    /// Bytes of diffs and of pages that came back.
    pub bytes_back: u64,
    /// Grants that make the copy the only one, to who wants to write.
    pub exclusive: bool,
}

impl Home {
    pub fn answer(&mut self, message: &Coherence<Vec<u8>>) -> Vec<Coherence<Vec<u8>>> {
        let object = message.object();
        let (name, answer) = match message {
            Coherence::Get {
                access, prefetch, ..
            } => {
                let page = self.pages.entry(object).or_insert_with(|| vec![0; 4096]);
                let exclusive = self.exclusive && *access == Access::Write;
                let grant = Coherence::Grant {
                    object,
                    access: if exclusive {
                        Access::Write
                    } else {
                        Access::Read
                    },
                    mode: Mode {
                        consistency: Consistency::Weak,
                        protocol: Protocol::Invalidate,
                    },
                    data: Some(page_data(page)),
                };
                (if *prefetch { "ahead" } else { "get" }, grant)
            }
            Coherence::Flush {
                sequence,
                leave,
                diff,
                ..
            } => {
                if let Some(diff) = diff {
                    self.merge(object, diff);
                }
                (
                    if *leave { "leave" } else { "flush" },
                    flushed(object, *sequence),
                )
            }
            Coherence::Return { sequence, data, .. } => {
                self.bytes_back += data.len() as u64;
                self.pages.insert(object, data[2..].to_vec());
                ("return", flushed(object, *sequence))
            }
            other => panic!("{other:?}"),
        };
        *self.counts.entry(name).or_default() += 1;
        vec![answer]
    }

    pub fn merge(&mut self, object: ObjectId, diff: &[u8]) {
        self.bytes_back += diff.len() as u64;
        let page = self.pages.get_mut(&object).expect("it was granted");
        for run in diff::runs(diff, 4096) {
            let run = run.expect("the engine makes diffs that fit");
            page[run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
        }
    }

    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

pub fn flushed(object: ObjectId, sequence: u64) -> Coherence<Vec<u8>> {
    Coherence::Flushed {
        object,
        sequence,
        exclusive: false,
    }
}
