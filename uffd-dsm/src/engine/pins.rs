//! Ranges whose rights threads keep: for buffers that the kernel or a device uses without a fault.
//!
//! A range is pinned page by page in ascending order, so that two nodes that pin the same pages can't wait for each
//! other. For each page the engine asks for the rights as a fault would; in the input after which they are there it
//! pins them, before anything else can take them. A weak object that others may have copies of is made sequential
//! first: see [`Pinned::Shared`].

use std::collections::VecDeque;

use umbel_coherence::Pinned;
use umbel_fault::{Error, PAGE_BYTES};
use umbel_wire::{Access, ObjectId, Token};

use super::memory::place;
use super::{Engine, Event, Link};
use crate::ids::IdMap;

/// Pins in force, and those that wait for rights.
#[derive(Default)]
pub(super) struct Pins {
    held: IdMap<Held>,
    waiting: VecDeque<Pinning>,
}

/// Pins of one object.
#[derive(Default)]
struct Held {
    count: u32,
    /// Minimum holds of the object that ended meanwhile: the machine, which only counts, is told after the last pin.
    /// One left over from an earlier life of the place would else end a pin.
    holds_over: u32,
}

/// A range being pinned.
struct Pinning {
    token: Token,
    access: Access,
    objects: Vec<ObjectId>,
    /// How many of them are pinned.
    done: usize,
    /// The next one was asked to be made sequential.
    is_strengthening: bool,
}

impl Pins {
    pub(super) fn contains(&self, object: ObjectId) -> bool {
        self.held.contains_key(&object)
    }

    /// A minimum hold is over; whether the machine must not be told yet.
    pub(super) fn outlasts_hold(&mut self, object: ObjectId) -> bool {
        let held = self.held.get_mut(&object);
        held.map(|held| held.holds_over += 1).is_some()
    }

    pub(super) fn is_anything_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Engine {
    /// Gets these rights to all pages of a range, and keeps them until [`Engine::unpin`]; [`Event::Pinned`] when that
    /// is so. False, and nothing happens, if a page is no object's, or pinned too often.
    pub fn pin(
        &mut self,
        range: std::ops::Range<usize>,
        access: Access,
        token: Token,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<bool, Error> {
        let Some(objects) = self.objects_of(range) else {
            return Ok(false);
        };
        let is_too_often = |object: &ObjectId| {
            let held = self.pins.held.get(object);
            held.is_some_and(|held| held.count >= PINS_MAX)
        };
        if objects.iter().any(is_too_often) {
            return Ok(false);
        }
        self.pins.waiting.push_back(Pinning {
            token,
            access,
            objects,
            done: 0,
            is_strengthening: false,
        });
        self.go_on_pinning(now_ns, link)?;
        Ok(true)
    }

    /// Ends a pin of every page of a range; false, and nothing happens, if one of them isn't pinned.
    pub fn unpin(
        &mut self,
        range: std::ops::Range<usize>,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<bool, Error> {
        let objects = self.objects_of(range).unwrap_or_default();
        if objects.is_empty() || !objects.iter().all(|object| self.pins.contains(*object)) {
            return Ok(false);
        }
        self.carry_out(now_ns, link)?;
        for object in objects {
            let mut holds = 1;
            if let Some(held) = self.pins.held.get_mut(&object) {
                held.count -= 1;
                if held.count == 0 {
                    holds += held.holds_over;
                    self.pins.held.remove(&object);
                    let address = place(object).page_address();
                    self.memory.space.keep(address, false)?;
                }
            }
            for _ in 0..holds {
                self.machine
                    .on_hold_expired(object, &mut self.memory, &mut self.effects);
                self.carry_out(now_ns, link)?;
            }
            self.forget_if_gone(object);
            self.note_waiting(object, now_ns);
        }
        Ok(true)
    }

    /// After any input, if anything is being pinned.
    pub(super) fn go_on_pinning(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        for _ in 0..self.pins.waiting.len() {
            let Some(mut pinning) = self.pins.waiting.pop_front() else {
                break;
            };
            while let Some(object) = pinning.objects.get(pinning.done).copied() {
                if !self.pin_next(object, &mut pinning, now_ns, link)? {
                    break;
                }
                let address = place(object).page_address();
                self.memory.space.keep(address, true)?;
                self.pins.held.entry(object).or_default().count += 1;
                pinning.done += 1;
                pinning.is_strengthening = false;
            }
            if pinning.done == pinning.objects.len() {
                self.events.push_back(Event::Pinned(pinning.token));
            } else {
                self.pins.waiting.push_back(pinning);
            }
        }
        Ok(())
    }

    /// Whether the object is pinned now; else what it waits for was asked for.
    fn pin_next(
        &mut self,
        object: ObjectId,
        pinning: &mut Pinning,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<bool, Error> {
        self.carry_out(now_ns, link)?;
        // Asked for again it does no harm; and what is there, but not in the page table, is shown.
        self.awaited.insert(object);
        self.machine
            .on_fault(object, pinning.access, &mut self.memory, &mut self.effects);
        self.carry_out(now_ns, link)?;
        match self.machine.pin(object, pinning.access, &self.memory) {
            Pinned::Held => {
                self.awaited.remove(&object);
                return Ok(true);
            }
            Pinned::Missing => {}
            Pinned::Shared if pinning.is_strengthening => {}
            Pinned::Shared => {
                pinning.is_strengthening = true;
                let token = self.strengthened.next_token();
                self.machine
                    .strengthen(object, token, &mut self.memory, &mut self.effects);
                self.carry_out(now_ns, link)?;
                self.forget_if_gone(object);
            }
        }
        self.note_waiting(object, now_ns);
        Ok(false)
    }

    /// The objects of a range's pages, ascending; nothing if one of them is no object's place.
    fn objects_of(&self, range: std::ops::Range<usize>) -> Option<Vec<ObjectId>> {
        let first = range.start / PAGE_BYTES * PAGE_BYTES;
        let mut pages = (first..range.end).step_by(PAGE_BYTES);
        let object_at = |address| {
            let object = self.object_at(address)?;
            let is_foreign = !self.memory.is_own(object);
            (is_foreign || self.memory.directory.may_use(place(object))).then_some(object)
        };
        pages.try_fold(Vec::new(), |mut objects, address| {
            objects.push(object_at(address)?);
            Some(objects)
        })
    }
}

/// Pins of one object at a time. A hold's counter has room for these and for minimum holds.
const PINS_MAX: u32 = 100;
