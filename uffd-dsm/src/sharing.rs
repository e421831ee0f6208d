//! False sharing: nodes that write different bytes of one object, and hand it to one another for nothing.
//!
//! Looked at on the home, when the bytes of an object change hands: what differs from the bytes of the last time
//! was written by whoever had it in between. Only the first and the last byte that a node wrote are kept: enough
//! for a name in the source, and cheap.

use std::collections::BTreeMap;

use umbel_wire::{NodeId, ObjectId};

/// The objects that are watched.
#[derive(Debug, Default)]
pub(crate) struct SharingWatch {
    objects: BTreeMap<ObjectId, Watched>,
    /// Bytes sent and received, of every object.
    moved: BTreeMap<ObjectId, u64>,
}

/// Bytes that one node wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The node.
    pub node: NodeId,
    /// First byte, from the start of the object.
    pub first: u64,
    /// Last byte.
    pub last: u64,
}

/// What was seen of an object, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// How often a node wrote after another that had written only different bytes.
    pub disjoint_writes: u64,
    /// Who wrote what, all times together; a few nodes are enough.
    pub writers: Vec<Writer>,
}

#[derive(Debug)]
struct Watched {
    /// As they were when they last changed hands.
    bytes: Vec<u8>,
    /// What the last that wrote has written.
    last: Option<Writer>,
    sharing: Sharing,
}

/// Objects watched at a time: 4 MiB of bytes at most. Those that move most are among the first that move.
const OBJECTS_MAX: usize = 1024;

/// Nodes told of an object.
const WRITERS_MAX: usize = 8;

impl SharingWatch {
    /// The object's bytes leave `holder`, who alone could write them until now. `first_byte`: where in the object
    /// they begin.
    pub(crate) fn on_hand_over(
        &mut self,
        object: ObjectId,
        holder: NodeId,
        bytes: &[u8],
        first_byte: u64,
    ) {
        let is_full = self.objects.len() >= OBJECTS_MAX;
        let Some(watched) = self.objects.get_mut(&object) else {
            if !is_full {
                let bytes = bytes.to_vec();
                let watched = Watched {
                    bytes,
                    last: None,
                    sharing: Sharing::default(),
                };
                self.objects.insert(object, watched);
            }
            return;
        };
        if watched.bytes.len() != bytes.len() {
            watched.bytes = bytes.to_vec();
            return;
        }
        let Some((first, last)) = changed(bytes, &watched.bytes) else {
            return;
        };
        let writer = Writer {
            node: holder,
            first: first_byte + first as u64,
            last: first_byte + last as u64,
        };
        watched.bytes.copy_from_slice(bytes);
        let before = watched.last.replace(writer);
        let is_disjoint = before.is_some_and(|before| {
            before.node != writer.node && (before.last < writer.first || writer.last < before.first)
        });
        watched.sharing.disjoint_writes += u64::from(is_disjoint);
        watched.sharing.note(writer);
    }

    /// Bytes of an object left or came.
    pub(crate) fn count_moved(&mut self, object: ObjectId, bytes: u64) {
        *self.moved.entry(object).or_default() += bytes;
    }

    /// How many, so far.
    pub(crate) fn moved(&self, object: ObjectId) -> u64 {
        self.moved.get(&object).copied().unwrap_or(0)
    }

    /// What was seen of an object.
    pub(crate) fn of(&self, object: ObjectId) -> Option<&Sharing> {
        self.objects.get(&object).map(|watched| &watched.sharing)
    }

    /// Its life is over.
    pub(crate) fn forget(&mut self, object: ObjectId) {
        self.objects.remove(&object);
        self.moved.remove(&object);
    }
}

impl Sharing {
    /// Adds what was seen of another object.
    pub(crate) fn add(&mut self, other: &Self) {
        self.disjoint_writes += other.disjoint_writes;
        for writer in &other.writers {
            self.note(*writer);
        }
    }

    fn note(&mut self, writer: Writer) {
        let has_room = self.writers.len() < WRITERS_MAX;
        let mut writers = self.writers.iter_mut();
        let known = writers.find(|known| known.node == writer.node);
        match known {
            Some(known) => {
                known.first = known.first.min(writer.first);
                known.last = known.last.max(writer.last);
            }
            None if has_room => self.writers.push(writer),
            None => {}
        }
    }
}

/// First and last byte in which the two differ, which are equally long.
fn changed(new: &[u8], old: &[u8]) -> Option<(usize, usize)> {
    // As most bytes are equal, long pieces are compared at once.
    let pieces = || new.chunks(PIECE_BYTES).zip(old.chunks(PIECE_BYTES));
    let first = pieces().position(|(new, old)| new != old)?;
    let last = pieces().rposition(|(new, old)| new != old)?;
    let differs = |index: &usize| new[*index] != old[*index];
    let end = new.len().min((last + 1) * PIECE_BYTES);
    let first = (first * PIECE_BYTES..end).find(differs)?;
    let last = (last * PIECE_BYTES..end).rfind(differs)?;
    Some((first, last))
}

const PIECE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId(7);

    /// Each step: who had the object, and which byte it changed.
    fn seen(steps: &[(u16, Option<usize>)]) -> Sharing {
        let mut watch = SharingWatch::default();
        let mut bytes = [0; 64];
        watch.on_hand_over(OBJECT, NodeId(0), &bytes, 100);
        for (node, byte) in steps {
            if let Some(byte) = byte {
                bytes[*byte] += 1;
            }
            watch.on_hand_over(OBJECT, NodeId(*node), &bytes, 100);
        }
        watch.of(OBJECT).cloned().expect("it moved")
    }

    #[test]
    fn nodes_that_write_bytes_of_their_own_share_falsely() {
        let sharing = seen(&[
            (1, Some(0)),
            (0, Some(8)),
            (1, Some(1)),
            (0, None),
            (1, Some(0)),
        ]);
        assert_eq!(sharing.disjoint_writes, 2);
        let writer = |node, first, last| Writer {
            node: NodeId(node),
            first,
            last,
        };
        assert_eq!(sharing.writers, [writer(1, 100, 101), writer(0, 108, 108)]);
    }

    #[test]
    fn nodes_that_write_the_same_bytes_do_not() {
        let sharing = seen(&[(1, Some(4)), (2, Some(4)), (1, Some(4)), (1, Some(9))]);
        assert_eq!(sharing.disjoint_writes, 0);
    }

    #[test]
    fn the_first_and_the_last_change_are_found_in_any_piece() {
        let old = [0; 200];
        for (first, last) in [(0, 0), (0, 199), (63, 64), (70, 71), (199, 199)] {
            let mut new = old;
            new[first] = 1;
            new[last] = 1;
            assert_eq!(changed(&new, &old), Some((first, last)));
        }
        assert_eq!(changed(&old, &old), None);
    }

    #[test]
    fn what_was_watched_is_forgotten_with_the_objects_life() {
        let mut watch = SharingWatch::default();
        watch.on_hand_over(OBJECT, NodeId(0), &[0; 8], 0);
        watch.forget(OBJECT);
        assert_eq!(watch.of(OBJECT), None);
    }
}
