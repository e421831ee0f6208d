//! How much memory copies of foreign objects take, and making room.
//!
//! With a bound, physical pages that hold foreign bytes are counted, and twins. A turn that ends above the bound
//! gives memory back: first that of copies which are gone already, then clean copies in the order in which they came,
//! then written ones, whose bytes go home. A copy gets a second chance: its rights are taken on this node, and only if
//! no thread wanted it by the time it is the oldest again does it go. The order of arrival with a second chance
//! comes near to least-recently-used without looking at every access.

use std::collections::VecDeque;

use umbel_coherence::CopyState;
use umbel_fault::{Error, PAGE_BYTES, Rights};
use umbel_wire::ObjectId;

use super::memory::place;
use super::{Engine, Link};
use crate::ids::{FrameMap, IdMap};

/// Copies of foreign objects, if their memory is bounded.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// 0: not bounded, and nothing is noted.
    bytes_max: u64,
    /// With the time at which each was last shown to threads that waited for it.
    known: IdMap<u64>,
    /// Oldest first; may name copies that are gone.
    clean: VecDeque<ObjectId>,
    written: VecDeque<ObjectId>,
    /// Copies on each physical page that holds foreign bytes, by its place in the file.
    frames: FrameMap<u32>,
    /// Those of them that hold none any more.
    empty: Vec<u64>,
}

impl Copies {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            ..Self::default()
        }
    }

    /// Bytes of a foreign object were stored here.
    pub(super) fn add(&mut self, object: ObjectId) {
        if self.bytes_max == 0 || self.known.contains_key(&object) {
            return;
        }
        self.known.insert(object, 0);
        *self.frames.entry(frame(object)).or_default() += 1;
        self.clean.push_back(object);
    }

    /// The copy is gone; its bytes need not stay.
    pub(super) fn remove(&mut self, object: ObjectId) {
        if self.known.remove(&object).is_none() {
            return;
        }
        let frame = frame(object);
        if let Some(count) = self.frames.get_mut(&frame) {
            *count -= 1;
            if *count == 0 {
                self.empty.push(frame);
            }
        }
    }

    /// Threads that waited for the copy go on.
    pub(super) fn note_shown(&mut self, object: ObjectId, now_ns: u64) {
        if let Some(shown_ns) = self.known.get_mut(&object) {
            *shown_ns = now_ns;
        }
    }

    /// Whether threads that waited for the copy may not have used it yet.
    fn is_new(&self, object: ObjectId, now_ns: u64) -> bool {
        let shown_ns = self.known.get(&object).copied().unwrap_or(0);
        shown_ns > 0 && now_ns < shown_ns + NEW_NS
    }

    /// How many copies may be asked for ahead of their use.
    pub(super) fn ahead_max(&self) -> usize {
        match self.bytes_max {
            0 => usize::MAX,
            bytes_max => (bytes_max / PAGE_BYTES as u64 / AHEAD_SHARE) as usize,
        }
    }

    fn bytes(&self, twin_bytes: usize) -> u64 {
        (self.frames.len() * PAGE_BYTES + twin_bytes) as u64
    }

    fn is_above(&self, twin_bytes: usize) -> bool {
        // What is asked for now arrives before the next turn ends.
        let bound = self.bytes_max - self.bytes_max / MARGIN_SHARE;
        self.bytes_max > 0 && self.bytes(twin_bytes) > bound
    }

    /// Empty pages, as runs: (place in the file, bytes).
    fn take_empty(&mut self) -> Vec<(u64, u64)> {
        let mut empty = std::mem::take(&mut self.empty);
        empty.sort_unstable();
        empty.dedup();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for frame in empty {
            // Used again since.
            if self.frames.get(&frame) != Some(&0) {
                continue;
            }
            self.frames.remove(&frame);
            match runs.last_mut() {
                Some((start, len)) if *start + *len == frame => *len += PAGE_BYTES as u64,
                _ => runs.push((frame, PAGE_BYTES as u64)),
            }
        }
        runs
    }
}

impl Engine {
    /// Bytes that copies of foreign objects and all twins take, if they are bounded.
    pub fn copy_bytes(&self) -> u64 {
        self.copies.bytes(self.memory.twins.bytes())
    }

    /// Keeps the memory of copies within its bound; at the end of a turn.
    pub(super) fn make_room(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let mut skipped = 0;
        for _ in 0..LOOKS_PER_TURN {
            if !self.copies.is_above(self.memory.twins.bytes()) {
                return Ok(());
            }
            let runs = self.copies.take_empty();
            if !runs.is_empty() {
                for (start, len) in runs {
                    self.memory.space.discard(start, len)?;
                }
                continue;
            }
            let Some(object) = self.oldest_copy() else {
                return Ok(());
            };
            let stays = self.awaited.contains(&object) || self.pins.contains(object);
            if stays || self.copies.is_new(object, now_ns) {
                self.copies.clean.push_back(object);
                skipped += 1;
                if skipped > self.copies.clean.len() {
                    return Ok(());
                }
                continue;
            }
            let shown = self.machine.rights(object).is_some() && !self.hidden.contains_key(&object);
            if !shown {
                self.evict(object, now_ns, link)?;
            } else {
                self.hide(object, now_ns)?;
            }
        }
        Ok(())
    }

    /// The oldest clean copy; or the oldest one that was written, if there is no clean one, or if most were written:
    /// else what is only read would share what little room those leave, however long nobody has used them.
    fn oldest_copy(&mut self) -> Option<ObjectId> {
        if 2 * self.copies.written.len() > self.copies.known.len()
            && let Some(object) = self.oldest_written()
        {
            return Some(object);
        }
        while let Some(object) = self.copies.clean.pop_front() {
            if !self.copies.known.contains_key(&object) {
                continue;
            }
            if !self.is_written(object) {
                return Some(object);
            }
            self.copies.written.push_back(object);
        }
        self.oldest_written()
    }

    fn oldest_written(&mut self) -> Option<ObjectId> {
        while let Some(object) = self.copies.written.pop_front() {
            if self.copies.known.contains_key(&object) {
                return Some(object);
            }
        }
        None
    }

    fn is_written(&self, object: ObjectId) -> bool {
        matches!(
            self.machine.copy_state(object),
            CopyState::Exclusive | CopyState::Dirty
        )
    }

    /// Takes the rights of a copy, and those of its neighbours that came after it, on this node only.
    fn hide(&mut self, object: ObjectId, now_ns: u64) -> Result<(), Error> {
        let address = place(object).page_address();
        let mut count = 0;
        let mut next = object;
        while let Some(access) = self.machine.rights(next) {
            self.hidden.insert(next, access);
            self.copies.clean.push_back(next);
            count += 1;
            next = ObjectId(object.0 + count);
            let can_follow = count < HIDDEN_TOGETHER_MAX
                && self.copies.clean.front() == Some(&next)
                && self.copies.known.contains_key(&next)
                && !self.hidden.contains_key(&next)
                && !self.awaited.contains(&next)
                && !self.pins.contains(next)
                && !self.copies.is_new(next, now_ns)
                && self.machine.rights(next).is_some()
                && place(next).page_address() == address + count as usize * PAGE_BYTES;
            if !can_follow {
                break;
            }
            self.copies.clean.pop_front();
        }
        self.memory
            .set_rights(address, count as usize, Rights::None)
    }

    /// Gives a copy back. The machine says no if it is busy: then it comes up again later.
    fn evict(&mut self, object: ObjectId, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let goes = self
            .machine
            .evict(object, &mut self.memory, &mut self.effects);
        if !goes {
            self.copies.clean.push_back(object);
            return Ok(());
        }
        self.carry_out(now_ns, link)?;
        if matches!(self.machine.copy_state(object), CopyState::Leaving { .. }) {
            // Its bytes are in a message now, or the home has them. Otherwise they leave after a flush.
            self.copies.remove(object);
        }
        Ok(())
    }
}

/// The physical page that an object is on.
fn frame(object: ObjectId) -> u64 {
    place(object).page_file_offset()
}

/// How long a copy is safe that threads waited for: without that, a cache smaller than what the threads of a node
/// use at once would take each copy before it was used.
const NEW_NS: u64 = 200_000;
/// Copies looked at in a turn: the next one comes soon if this was not enough.
const LOOKS_PER_TURN: usize = 256;
/// Copies hidden with one call.
const HIDDEN_TOGETHER_MAX: u64 = 16;
/// Part of the bound that is kept free for what arrives within a turn.
const MARGIN_SHARE: u64 = 8;
/// Part of the bound that copies may take which nobody has used yet.
const AHEAD_SHARE: u64 = 4;
