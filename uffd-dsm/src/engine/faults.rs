//! Faults of this node's threads.

use std::ops::Range;

use umbel_coherence::{CopyState, Effect};
use umbel_fault::{Error, Fault, Rights};
use umbel_wire::{Access, NodeId, ObjectId};

use super::memory::place;
use super::{Engine, Event, Link};
use crate::payload::Payload;
use crate::stream::{WINDOW_MAX, WRITTEN_AHEAD_MAX, Way};
use crate::trace::Traced;
use crate::window::{Arena, GROUP_PAGES, PAGES, Place, TRACKED_PAGES};

impl Engine {
    /// Serves the faults that threads wait for. `now_ns`: a monotonic clock.
    pub fn on_faults(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        self.carry_out(now_ns, link)?;
        loop {
            let mut faults = std::mem::take(&mut self.faults);
            let result = self.memory.space.take_faults(&mut faults);
            for fault in &faults {
                self.on_fault(*fault, now_ns, link)?;
            }
            self.faults = faults;
            if !result? {
                return Ok(());
            }
        }
    }

    fn on_fault(&mut self, fault: Fault, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let counter = if fault.write {
            &mut self.write_faults
        } else {
            &mut self.read_faults
        };
        *counter += 1;
        let node = self.memory.node;
        let Some(place) = Place::at(fault.address) else {
            self.on_wild_access(node, fault.address, fault.write);
            return Ok(());
        };
        let object = place.id();
        let home = self.memory.home(object);
        if home.0 >= self.node_count {
            self.on_wild_access(node, fault.address, fault.write);
            return Ok(());
        }
        if home == node && !self.memory.directory.may_use(place) {
            self.on_wild_access(node, fault.address, fault.write);
            if self.memory.directory.is_in_heap(place) {
                return Ok(());
            }
        }
        let began = Traced::FaultBegan {
            at_ns: now_ns,
            thread: fault.thread,
            object,
            write: fault.write,
        };
        self.trace.add(began);
        if home == node && self.install_neighbours(place)? {
            self.trace.add(Traced::FaultEnded {
                at_ns: now_ns,
                object,
            });
            return Ok(());
        }
        let access = if fault.write {
            Access::Write
        } else {
            Access::Read
        };
        self.awaited.insert(object);
        let ahead = if home == node {
            None
        } else {
            let window_max = WINDOW_MAX.min(self.copies.ahead_max() as u64 / 2);
            self.streams.on_fault(object, window_max)
        };
        self.strengthen_again(object);
        self.machine
            .on_fault(object, access, &mut self.memory, &mut self.effects);
        if let Some(ahead) = ahead {
            // The home serves them with the fewest calls in rising order, whichever way the stream goes.
            let mut units: Vec<ObjectId> = ahead.units().collect();
            units.sort_unstable();
            for unit in units {
                if self.ask_ahead(place, unit, access) && ahead.is_mark(unit) {
                    self.marks.insert(unit);
                }
            }
        }
        if fault.write {
            self.write_ahead(place);
        }
        self.carry_out(now_ns, link)?;
        self.note_waiting(object, now_ns);
        Ok(())
    }

    /// Lets threads write what comes next, too, if they run through memory that they can read. Twins are made first, then
    /// the rights of all are raised with one call.
    fn write_ahead(&mut self, place: Place) {
        let Some(ahead) = self.writes.on_fault(place.id(), WRITTEN_AHEAD_MAX) else {
            return;
        };
        let has_only_rights = |effect: &Effect<Payload>| {
            matches!(
                effect,
                Effect::Twin { .. } | Effect::SetAccess { .. } | Effect::Wake { .. }
            )
        };
        if !self.effects.iter().all(has_only_rights) {
            return;
        }
        for unit in ahead.units() {
            let goes_on = Place::of(unit)
                .is_some_and(|next| next.stack == place.stack && next.arena == place.arena)
                && !self.hidden.contains_key(&unit)
                && self
                    .machine
                    .write_ahead(unit, &mut self.memory, &mut self.effects);
            if !goes_on {
                break;
            }
        }
        if ahead.way == Way::Up {
            self.effects
                .sort_by_key(|effect| !matches!(effect, Effect::Twin { .. }));
        }
    }

    /// Asks for the pages that the source wants fetched together with this one.
    pub(super) fn fetch_together(&mut self, object: ObjectId) {
        let Some((before, after)) = self.together.get(&object).copied() else {
            return;
        };
        let access = self.machine.rights(object).unwrap_or(Access::Read);
        let first = object.0.saturating_sub(before);
        for page in (first..=object.0 + after).map(ObjectId) {
            self.ask_ahead(place(object), page, access);
        }
    }

    /// Asks for a unit that will be needed soon, if it is in the same arena as `place` and not here.
    fn ask_ahead(&mut self, place: Place, unit: ObjectId, access: Access) -> bool {
        let in_arena = Place::of(unit)
            .is_some_and(|next| next.stack == place.stack && next.arena == place.arena);
        let asks = in_arena
            && !self.strengthened.contains(unit)
            && self.asked_ahead.len() < self.copies.ahead_max()
            && self.machine.copy_state(unit) == CopyState::Invalid
            && self.machine.prefetch(unit, access, &mut self.effects);
        if asks {
            self.asked_ahead.insert(unit);
        }
        asks
    }

    /// A shadow stack is served all the same: it may be so new that we have not been told of it.
    pub(super) fn on_wild_access(&mut self, node: NodeId, address: usize, write: bool) {
        self.events.push_back(Event::WildAccess {
            node,
            address,
            write,
        });
    }

    pub(super) fn in_known_stack(&self, address: usize) -> bool {
        Place::at(address).is_some_and(|place| self.memory.directory.knows_stack(place.stack))
    }

    /// First touch of own memory that nobody shares: maps the neighbours with it, for one fault costs what
    /// mapping dozens of pages costs.
    fn install_neighbours(&mut self, place: Place) -> Result<bool, Error> {
        let unshared = |numbers: &Range<u64>| {
            let first = place.id().0 - place.number;
            let objects = ObjectId(first + numbers.start)..ObjectId(first + numbers.end);
            !self.machine.has_entries(objects)
        };
        let ranges = self.memory.directory.first_touch(place);
        let Some(numbers) = ranges.into_iter().find(unshared) else {
            return Ok(false);
        };
        // Of a small arena only so many are pages of one view.
        let run = match place.arena {
            Arena::Small(_) => GROUP_PAGES,
            Arena::Pages => PAGES,
            Arena::Tracked => TRACKED_PAGES,
        };
        let mut next = numbers.start;
        while next < numbers.end {
            let end = (next / run * run + run).min(numbers.end);
            let first = Place {
                number: next,
                ..place
            };
            self.memory.space.set_rights(
                first.page_address(),
                (end - next) as usize,
                Rights::Write,
            )?;
            next = end;
        }
        Ok(true)
    }
}
