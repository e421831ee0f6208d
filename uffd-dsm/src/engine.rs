//! The driver: carries out the coherence machine's effects on real pages.
//!
//! One thread calls it. A fault comes in from the kernel, a message from a peer, an expired hold from
//! the clock; each is handed to the machine, and the effects are carried out in order: revoke, then
//! copy, then answer. Any other order loses stores (measured: DESIGN.md §3).
//!
//! An object's bytes travel with their place in the page: 2 bytes of offset, then the bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::os::fd::RawFd;

use umbel_coherence::{Config, Effect, HomeMap, Machine, Violation};
use umbel_fault::{Backend, Error, Fault, PAGE_BYTES, Rights, Space};
use umbel_wire::{Access, Coherence, NodeId, ObjectId, Token};

use crate::heap::{Directory, Heap};
use crate::stack::StackMap;
use crate::stats::{ObjectStats, StatsTable};
use crate::trace::{Trace, Traced};
use crate::window::{self, Arena, Homes, Place};

/// Where the engine's messages leave. Sending never blocks; a link may hold messages back until the
/// turn of the event loop ends.
pub trait Link {
    /// Queues a message for a peer.
    fn send(&mut self, to: NodeId, message: &Coherence<&[u8]>);
}

/// What the engine tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// As [`Effect::Reclaimed`].
    Reclaimed(Token),
    /// A thread accessed an address of the window that belongs to no node, to none of its node's stacks, or to
    /// an object of the heap that was freed. Nobody got any right by it.
    WildAccess {
        /// Where the thread runs.
        node: NodeId,
        /// The page accessed.
        address: usize,
        /// Whether it was a store.
        write: bool,
    },
    /// A peer sent bytes that fit no object; the link must be closed.
    BadData(ObjectId),
}

/// The distributed shared memory of one node.
pub struct Engine {
    pub(crate) space: Space,
    node: NodeId,
    node_count: u16,
    homes: Homes,
    machine: Machine<Homes>,
    effects: Vec<Effect<Vec<u8>>>,
    /// What lives where, of this node's objects.
    pub(crate) directory: Directory,
    /// Which bytes of a foreign page are the object's, as its home said.
    extents: BTreeMap<ObjectId, (u16, u16)>,
    /// Holds in force, oldest first: all last equally long.
    holds: VecDeque<(u64, ObjectId)>,
    hold_ns: u64,
    /// Somebody may wait for holds that end up to this time: the others need no timer.
    awaited_until_ns: u64,
    faults: Vec<Fault>,
    /// Objects that threads of this node wait for.
    awaited: BTreeSet<ObjectId>,
    events: VecDeque<Event>,
    stats: StatsTable,
    trace: Trace,
    read_faults: u64,
    write_faults: u64,
}

impl Engine {
    /// Reserves the window and registers it. `hold_ns`: how long a granted copy can't be recalled.
    pub fn new(node: NodeId, node_count: u16, hold_ns: u64) -> Result<Self, Error> {
        let homes = Homes::new(node_count);
        Ok(Self {
            space: Space::new(&window::layout())?,
            node,
            node_count,
            homes,
            machine: Machine::new(Config {
                node,
                homes,
                node_count,
                minimum_hold: hold_ns > 0,
            }),
            effects: Vec::new(),
            directory: Directory::default(),
            extents: BTreeMap::new(),
            holds: VecDeque::new(),
            hold_ns,
            awaited_until_ns: 0,
            faults: Vec::new(),
            awaited: BTreeSet::new(),
            events: VecDeque::new(),
            stats: StatsTable::default(),
            trace: Trace::default(),
            read_faults: 0,
            write_faults: 0,
        })
    }

    /// The fault backend in use.
    pub fn backend(&self) -> Backend {
        self.space.backend()
    }

    /// Descriptor that becomes readable when a thread faults.
    pub fn descriptor(&self) -> RawFd {
        self.space.descriptor()
    }

    /// Makes a stack of this node known, before its first object.
    pub fn add_stack(&mut self, stack: u32, map: StackMap) {
        self.directory.add_stack(stack, map);
    }

    /// Makes the node's heap known, before its first object.
    pub fn set_heap(&mut self, heap: &'static Heap) {
        self.directory.set_heap(heap);
    }

    /// Next event for the owner, who has made every stack known whose thread has begun to use it.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(event) = self.events.pop_front() {
            match event {
                // The access overtook the news of the stack.
                Event::WildAccess { address, .. } if self.in_known_stack(address) => {}
                Event::WildAccess { .. } | Event::Reclaimed(_) | Event::BadData(_) => {
                    return Some(event);
                }
            }
        }
        None
    }

    /// Serves the faults that threads wait for. `now_ns`: a monotonic clock.
    pub fn on_faults(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        loop {
            let mut faults = std::mem::take(&mut self.faults);
            let result = self.space.take_faults(&mut faults);
            for fault in &faults {
                self.on_fault(*fault, now_ns, link)?;
            }
            self.faults = faults;
            if !result? {
                return Ok(());
            }
        }
    }

    /// A message from a peer. `Err(Ok(..))` is the peer's fault: close the link.
    pub fn on_message(
        &mut self,
        from: NodeId,
        message: Coherence<Vec<u8>>,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<Result<(), Violation>, Error> {
        // A hold that is over must not put this off.
        self.on_tick(now_ns, link)?;
        let object = message.object();
        let asked = if let Coherence::Get { object, access, .. } = &message {
            Place::of(*object).map(|place| (place, *access))
        } else {
            None
        };
        if let Some((place, access)) = asked
            && self.homes.home(object) == self.node
            && !self.directory.may_use(place)
        {
            self.on_wild_access(from, place.page_address(), access == Access::Write);
            if self.directory.is_in_heap(place) {
                return Ok(Ok(()));
            }
        }
        if let Err(violation) = self
            .machine
            .on_message(from, message, &mut (), &mut self.effects)
        {
            return Ok(Err(violation));
        }
        if let Some((place, _)) = asked {
            self.directory.lend(place);
        }
        self.carry_out(now_ns, link)?;
        self.note_waiting(object, now_ns);
        Ok(Ok(()))
    }

    /// When [`Engine::on_tick`] wants to be called next.
    ///
    /// Only for holds that somebody waits for; the others end with the next call, whenever that is. A timer
    /// for each would interrupt the threads that were just served.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let (deadline, _) = self.holds.front()?;
        (*deadline <= self.awaited_until_ns).then_some(*deadline)
    }

    /// Ends the holds that are over.
    pub fn on_tick(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        while let Some((deadline_ns, object)) = self.holds.front().copied() {
            if deadline_ns > now_ns {
                break;
            }
            self.holds.pop_front();
            self.machine
                .on_hold_expired(object, &mut (), &mut self.effects);
            self.carry_out(now_ns, link)?;
            self.note_waiting(object, now_ns);
        }
        Ok(())
    }

    /// Takes back every copy of a scope's objects; [`Event::Reclaimed`] when that is done.
    pub fn reclaim(
        &mut self,
        objects: Range<ObjectId>,
        token: Token,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        self.machine
            .reclaim(objects, token, &mut (), &mut self.effects);
        self.carry_out(now_ns, link)
    }

    /// Objects of this node that were ever shared: counters by `umbel_object` record.
    pub fn object_stats(&mut self) -> Vec<ObjectStats> {
        let live: Vec<_> = self
            .machine
            .entries()
            .map(|(object, entry)| (object, *entry.counters()))
            .collect();
        let mut table = self.stats.clone();
        for (object, counters) in live {
            self.count(&mut table, object, &counters);
        }
        table.into_rows()
    }

    /// How many objects threads of this node wait for: at most as many as there are threads that wait.
    pub fn waiting_count(&self) -> usize {
        self.awaited.len()
    }

    /// Faults served for threads of this node: (read, write).
    pub fn fault_counts(&self) -> (u64, u64) {
        (self.read_faults, self.write_faults)
    }

    /// Whether faults are recorded from now on.
    pub fn set_tracing(&mut self, is_on: bool) {
        self.trace.switch(is_on);
    }

    /// What was recorded since the last call.
    pub fn take_trace(&mut self) -> Vec<Traced> {
        self.trace.take()
    }

    /// How many records found no room, since the start.
    pub fn trace_lost(&self) -> u64 {
        self.trace.lost()
    }

    /// The `umbel_object` of what lives at an object's place, if its home is here: address and size in bytes (0
    /// when only the record knows).
    pub fn record_of(&self, object: ObjectId) -> Option<(u64, u64)> {
        let place = Place::of(object)?;
        let found = self.directory.find(place)?;
        Some((found.record, found.size_bytes))
    }

    fn on_fault(&mut self, fault: Fault, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let counter = if fault.write {
            &mut self.write_faults
        } else {
            &mut self.read_faults
        };
        *counter += 1;
        let Some(place) = Place::at(fault.address) else {
            self.on_wild_access(self.node, fault.address, fault.write);
            return Ok(());
        };
        let object = place.id();
        let home = self.homes.home(object);
        if home.0 >= self.node_count {
            self.on_wild_access(self.node, fault.address, fault.write);
            return Ok(());
        }
        if home == self.node && !self.directory.may_use(place) {
            self.on_wild_access(self.node, fault.address, fault.write);
            if self.directory.is_in_heap(place) {
                return Ok(());
            }
        }
        if home == self.node && self.install_neighbours(place)? {
            return Ok(());
        }
        let access = if fault.write {
            Access::Write
        } else {
            Access::Read
        };
        self.awaited.insert(object);
        self.trace.add(Traced::FaultBegan {
            at_ns: now_ns,
            thread: fault.thread,
            object,
            write: fault.write,
        });
        self.machine
            .on_fault(object, access, &mut (), &mut self.effects);
        self.carry_out(now_ns, link)?;
        self.note_waiting(object, now_ns);
        Ok(())
    }

    /// After anything that may have left a request waiting for the end of the object's hold.
    fn note_waiting(&mut self, object: ObjectId, now_ns: u64) {
        if self.machine.awaits_hold(object) {
            // Each of its holds began before now.
            self.awaited_until_ns = now_ns + self.hold_ns;
        }
    }

    /// A shadow stack is served all the same: it may be so new that we have not been told of it.
    fn on_wild_access(&mut self, node: NodeId, address: usize, write: bool) {
        self.events.push_back(Event::WildAccess {
            node,
            address,
            write,
        });
    }

    fn in_known_stack(&self, address: usize) -> bool {
        Place::at(address).is_some_and(|place| self.directory.knows_stack(place.stack))
    }

    /// First touch of own memory that nobody shares: maps the neighbours with it, for one fault costs what
    /// mapping dozens of pages costs.
    fn install_neighbours(&mut self, place: Place) -> Result<bool, Error> {
        let numbers = self.directory.first_touch(place);
        let first = Place {
            number: numbers.start,
            ..place
        };
        let count = numbers.end - numbers.start;
        if self
            .machine
            .has_entries(first.id()..ObjectId(first.id().0 + count))
        {
            return Ok(false);
        }
        self.space
            .set_rights(first.page_address(), count as usize, Rights::Write)?;
        Ok(true)
    }

    fn carry_out(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let mut effects = std::mem::take(&mut self.effects);
        // Raising rights also wakes: that spares a call.
        let mut woken = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { to, message } => {
                    let sealed = message.seal(|object| self.read(object));
                    link.send(to, &sealed.as_slices());
                    if let Coherence::Invalidated { object, .. } = sealed {
                        self.extents.remove(&object);
                    }
                }
                Effect::Store { object, data } => self.store(object, &data),
                Effect::SetAccess { object, access } => {
                    let place = place(object);
                    let rights = match access {
                        None => Rights::None,
                        Some(Access::Read) => Rights::Read,
                        Some(Access::Write) => Rights::Write,
                    };
                    self.space.set_rights(place.page_address(), 1, rights)?;
                    woken = access.map(|_| object);
                }
                Effect::Wake { object } => {
                    self.trace.add(Traced::FaultEnded {
                        at_ns: now_ns,
                        object,
                    });
                    self.awaited.remove(&object);
                    if woken != Some(object) {
                        self.space.wake(place(object).page_address())?;
                    }
                }
                Effect::Hold { object } => self.holds.push_back((now_ns + self.hold_ns, object)),
                Effect::Retire {
                    object, counters, ..
                } => {
                    let mut table = std::mem::take(&mut self.stats);
                    self.count(&mut table, object, &counters);
                    self.stats = table;
                }
                Effect::Reclaimed { token } => self.events.push_back(Event::Reclaimed(token)),
                Effect::Twin { .. }
                | Effect::DropTwin { .. }
                | Effect::Merge { .. }
                | Effect::Resume { .. }
                | Effect::Operate { .. }
                | Effect::Flushed { .. }
                | Effect::Operated { .. }
                | Effect::Strengthened { .. } => {
                    unreachable!("every object is sequential and nothing was asked for")
                }
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn extent(&self, object: ObjectId) -> (usize, usize) {
        let place = place(object);
        match place.arena {
            Arena::Small(class) => (place.offset_in_page(), class.slot_bytes()),
            Arena::Pages if self.homes.home(object) == self.node => self.directory.extent(place),
            Arena::Pages => {
                let known = self.extents.get(&object);
                known.map_or((0, PAGE_BYTES), |(offset, len)| {
                    (usize::from(*offset), usize::from(*len))
                })
            }
        }
    }

    fn read(&self, object: ObjectId) -> Vec<u8> {
        let (offset, len) = self.extent(object);
        let mut data = vec![0; OFFSET_BYTES + len];
        data[..OFFSET_BYTES].copy_from_slice(&(offset as u16).to_le_bytes());
        self.space.read(
            place(object).page_file_offset() + offset as u64,
            &mut data[OFFSET_BYTES..],
        );
        data
    }

    fn store(&mut self, object: ObjectId, data: &[u8]) {
        let place = place(object);
        let Some((head, bytes)) = data.split_first_chunk::<OFFSET_BYTES>() else {
            self.events.push_back(Event::BadData(object));
            return;
        };
        let offset = usize::from(u16::from_le_bytes(*head));
        let fits = match place.arena {
            Arena::Small(class) => {
                offset == place.offset_in_page() && bytes.len() == class.slot_bytes()
            }
            Arena::Pages => offset + bytes.len() <= PAGE_BYTES,
        };
        if !fits {
            self.events.push_back(Event::BadData(object));
            return;
        }
        self.space
            .write(place.page_file_offset() + offset as u64, bytes);
        if self.homes.home(object) != self.node && place.arena == Arena::Pages {
            self.extents
                .insert(object, (offset as u16, bytes.len() as u16));
        }
    }

    fn count(
        &self,
        table: &mut StatsTable,
        object: ObjectId,
        counters: &umbel_coherence::Counters,
    ) {
        let place = place(object);
        let found = self.directory.find(place);
        let (_, len) = self.extent(object);
        table.add(found, counters, len as u64);
    }
}

fn place(object: ObjectId) -> Place {
    Place::of(object)
        .expect("the machine names only objects that a fault or a checked message named")
}

/// Bytes before an object's data: its offset in the page.
const OFFSET_BYTES: usize = 2;
