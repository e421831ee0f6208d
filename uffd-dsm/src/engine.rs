//! The driver: carries out the coherence machine's effects on real pages.
//!
//! One thread calls it. A fault comes in from the kernel, a message from a peer, an expired hold from
//! the clock, a request from a thread; each is handed to the machine, and the effects are carried out in order:
//! revoke, then copy, then answer. Any other order loses stores (measured: DESIGN.md §3).
//!
//! Its owner calls it in *turns*: faults, messages and requests as they come, then [`Engine::on_tick`], then the
//! events; only then does what the links hold leave. Revocations of one turn are gathered, so that neighbouring
//! pages cost one interrupt of the other processors ([`turn`]).

mod copies;
mod counts;
mod faults;
mod memory;
mod operate;
mod pins;
mod strengthened;
mod tracked;
mod turn;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::os::fd::RawFd;

use umbel_coherence::{Config, Effect, Machine, Policy, Violation};
use umbel_fault::{Backend, Error, Fault, PAGE_BYTES, Space};
use umbel_wire::codec::Put;
use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Token};

use crate::heap::Heap;
use crate::ids::{IdMap, IdSet};
use crate::payload::Payload;
use crate::sharing::SharingWatch;
use crate::stack::{Found, StackMap};
use crate::stats::StatsTable;
use crate::stream::Streams;
use crate::trace::{Trace, Traced};
use crate::window::{self, Homes, Place};
use copies::Copies;
use memory::ObjectMemory;

/// Where the engine's messages leave. Sending never blocks; a link may hold messages back until the
/// turn of the event loop ends.
pub trait Link {
    /// Queues a message for a peer.
    fn send(&mut self, to: NodeId, message: &Coherence<&dyn Put>);

    /// More of what was queued for a peer follows, and each takes it some time: it may leave now, so that the peer
    /// works while this node does.
    fn more_follows(&mut self, _to: NodeId) {}
}

/// What the engine tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// As [`Effect::Reclaimed`].
    Reclaimed(Token),
    /// As [`Effect::Flushed`].
    Flushed(Token),
    /// As [`Effect::Operated`].
    Operated {
        /// As given to [`Engine::operate`].
        token: Token,
        /// The value before the operation, zero-extended.
        result: u64,
    },
    /// As [`Effect::Strengthened`].
    Strengthened(Token),
    /// As given to [`Engine::pin`]: the range is pinned.
    Pinned(Token),
    /// Whether operations on a foreign object should go to its home, where that has changed.
    Remote {
        /// The object.
        object: ObjectId,
        /// Whether they should.
        remote: bool,
    },
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
    /// A peer sent, some time ago, what the machine now refuses; the link must be closed.
    Refused(Violation),
    /// A peer sent bytes, or an operation, that don't fit the object; the link must be closed.
    BadData {
        /// The peer.
        from: NodeId,
        /// The object.
        object: ObjectId,
    },
}

/// What an engine must know of its node, its job and the program.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The rank of this node.
    pub node: NodeId,
    /// Nodes of the job.
    pub node_count: u16,
    /// How long a granted copy can't be recalled, in nanoseconds.
    pub hold_ns: u64,
    /// Bytes of copies of foreign objects, and of their twins, that this node keeps; 0: no limit.
    pub cache_bytes: u64,
    /// Whether the kernel is to tell which pages of the tracked arena were written, if it can. It costs a look at a
    /// second descriptor for each fault.
    pub tracks_writes: bool,
    /// What the source says of an object of this home.
    pub policy_of: fn(&Found) -> Policy,
    /// How often threads of this node have released something. A hold ends with the next release after it began: its
    /// thread has run, and others may wait for the object that was guarded.
    pub release_count: fn() -> u64,
}

/// A granted copy that stays for now.
#[derive(Clone, Copy, Debug)]
struct Hold {
    deadline_ns: u64,
    /// Releases before it began.
    release_count: u64,
    object: ObjectId,
}

/// The distributed shared memory of one node.
pub struct Engine {
    pub(crate) memory: ObjectMemory,
    node_count: u16,
    machine: Machine<Homes>,
    effects: Vec<Effect<Payload>>,
    /// The last object whose effects wait for more of their kind; see [`turn`].
    put_off: Option<ObjectId>,
    /// Messages that came too early, in order of arrival.
    early: Vec<(NodeId, Coherence<Payload>)>,
    /// Holds in force, of copies to read and of copies to write: oldest first, for all of a kind last equally long, or
    /// until a thread releases something.
    holds: [VecDeque<Hold>; 2],
    hold_ns: u64,
    release_count: fn() -> u64,
    /// Somebody may wait for holds that end up to this time: the others need no timer.
    awaited_until_ns: u64,
    faults: Vec<Fault>,
    /// Objects that threads of this node wait for.
    awaited: BTreeSet<ObjectId>,
    streams: Streams,
    /// Of stores that need a twin.
    writes: Streams,
    /// Objects asked for before a thread wanted them, and not yet granted or denied.
    asked_ahead: IdSet,
    /// Copies asked for ahead whose fault is wanted: it shows that a thread has come so far.
    marks: IdSet,
    /// Copies that the machine has given rights to and no page table shows: absent until a thread faults.
    hidden: IdMap<Access>,
    /// Pages before and after a copy that its source wants fetched with it.
    together: IdMap<(u64, u64)>,
    copies: Copies,
    /// Foreign objects on which operations go to the home.
    remote: IdSet,
    strengthened: strengthened::Strengthened,
    pins: pins::Pins,
    events: VecDeque<Event>,
    stats: StatsTable,
    /// Who writes what; only if statistics are wanted.
    sharing: Option<SharingWatch>,
    trace: Trace,
    /// Diffs of pages, or answers to them, that were sent in this turn.
    page_flushes: usize,
    read_faults: u64,
    write_faults: u64,
}

impl Engine {
    /// Reserves the window and registers it.
    pub fn new(config: EngineConfig) -> Result<Self, Error> {
        let homes = Homes::new(config.node_count);
        let space = Space::new(&window::layout(config.tracks_writes))?;
        Ok(Self {
            memory: ObjectMemory::new(space, config.node, homes, config.policy_of),
            node_count: config.node_count,
            machine: Machine::new(Config {
                node: config.node,
                homes,
                node_count: config.node_count,
                minimum_hold: config.hold_ns > 0,
                forwards: true,
            }),
            effects: Vec::new(),
            put_off: None,
            early: Vec::new(),
            holds: Default::default(),
            hold_ns: config.hold_ns,
            release_count: config.release_count,
            awaited_until_ns: 0,
            faults: Vec::new(),
            awaited: BTreeSet::new(),
            streams: Streams::default(),
            writes: Streams::default(),
            asked_ahead: IdSet::default(),
            marks: IdSet::default(),
            hidden: IdMap::default(),
            together: IdMap::default(),
            copies: Copies::new(config.cache_bytes),
            remote: IdSet::default(),
            strengthened: strengthened::Strengthened::default(),
            pins: pins::Pins::default(),
            events: VecDeque::new(),
            stats: StatsTable::default(),
            sharing: None,
            trace: Trace::default(),
            page_flushes: 0,
            read_faults: 0,
            write_faults: 0,
        })
    }

    /// The fault backend in use.
    pub fn backend(&self) -> Backend {
        self.memory.space.backend()
    }

    /// Descriptors that become readable when a thread faults.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.memory.space.descriptors()
    }

    /// Makes a stack of this node known, before its first object.
    pub fn add_stack(&mut self, stack: u32, map: StackMap) {
        self.memory.directory.add_stack(stack, map);
    }

    /// Makes the node's heap known, before its first object.
    pub fn set_heap(&mut self, heap: &'static Heap) {
        self.memory.directory.set_heap(heap);
    }

    /// Says how to learn how many pages of an object, from its first one on, its source wants fetched together
    /// (`unit(N)`). Without it each page is fetched alone.
    pub fn set_pages_together(&mut self, pages_together_of: fn(&Found) -> u64) {
        self.memory.pages_together_of = pages_together_of;
    }

    /// Next event for the owner, who has made every stack known whose thread has begun to use it.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(event) = self.events.pop_front() {
            match event {
                // The access overtook the news of the stack.
                Event::WildAccess { address, .. } if self.in_known_stack(address) => {}
                _ => return Some(event),
            }
        }
        let misfit = self.memory.take_misfit();
        misfit.map(|(from, object)| Event::BadData { from, object })
    }

    /// A message from a peer. `Err(Ok(..))` is the peer's fault: close the link.
    pub fn on_message(
        &mut self,
        from: NodeId,
        message: Coherence<Payload>,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<Result<(), Violation>, Error> {
        // A hold that is over must not put this off.
        self.expire_holds(now_ns, link)?;
        let object = message.object();
        let can_wait = turn::can_wait(&message);
        // What doesn't fit an object is told of its sender: effects of one sender are gathered.
        let goes_on = |last| object > last && from == self.memory.sender;
        if !can_wait || self.put_off.is_some_and(|last| !goes_on(last)) {
            self.carry_out(now_ns, link)?;
        }
        let asked = match &message {
            Coherence::Get {
                access, prefetch, ..
            } => Place::of(object).map(|place| (place, *access, *prefetch)),
            _ => None,
        }
        .filter(|_| self.memory.is_own(object));
        if let Some((place, access, prefetch)) = asked
            && !prefetch
            && !self.memory.directory.may_use(place)
        {
            self.on_wild_access(from, place.page_address(), access == Access::Write);
            if self.memory.directory.is_in_heap(place) {
                return Ok(Ok(()));
            }
        }
        self.note_arrival(from, &message);
        self.memory.sender = from;
        if let Err(violation) =
            self.machine
                .on_message(from, message, &mut self.memory, &mut self.effects)
        {
            return Ok(Err(violation));
        }
        if let Some((place, _, _)) = asked {
            self.memory.directory.lend(place);
        }
        if can_wait && turn::is_quiet(&self.effects) {
            self.put_off = Some(object);
        } else {
            self.carry_out(now_ns, link)?;
            self.forget_if_gone(object);
        }
        self.note_waiting(object, now_ns);
        if self.pins.is_anything_waiting() {
            // At once: the next message may take what this one brought.
            self.go_on_pinning(now_ns, link)?;
        }
        Ok(Ok(()))
    }

    /// When [`Engine::on_tick`] wants to be called next.
    ///
    /// Only for holds that somebody waits for; the others end with the next call, whenever that is. A timer
    /// for each would interrupt the threads that were just served.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let fronts = self.holds.iter().filter_map(VecDeque::front);
        let deadline_ns = fronts.map(|hold| hold.deadline_ns).min()?;
        (deadline_ns <= self.awaited_until_ns).then_some(deadline_ns)
    }

    /// Ends the turn: the holds that are over, and what was gathered.
    pub fn on_tick(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        self.page_flushes = 0;
        self.carry_out(now_ns, link)?;
        self.expire_holds(now_ns, link)?;
        if self.pins.is_anything_waiting() {
            self.go_on_pinning(now_ns, link)?;
        }
        self.make_room(now_ns, link)
    }

    fn expire_holds(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        let releases = (self.release_count)();
        let is_over = |hold: &Hold| hold.deadline_ns <= now_ns || hold.release_count != releases;
        let next = |holds: &mut VecDeque<Hold>| match holds.front() {
            Some(hold) if is_over(hold) => holds.pop_front(),
            Some(_) | None => None,
        };
        while let Some(hold) = self.holds.iter_mut().find_map(next) {
            let object = hold.object;
            self.carry_out(now_ns, link)?;
            if self.pins.outlasts_hold(object) {
                continue;
            }
            self.machine
                .on_hold_expired(object, &mut self.memory, &mut self.effects);
            self.carry_out(now_ns, link)?;
            self.forget_if_gone(object);
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
        self.carry_out(now_ns, link)?;
        self.machine
            .reclaim(objects, token, &mut self.memory, &mut self.effects);
        self.carry_out(now_ns, link)
    }

    /// Makes everything that this node's threads wrote before this call visible everywhere;
    /// [`Event::Flushed`] for each when that is done. For who has news for one node, as soon as the news can
    /// be sent to it: [`Machine::flush`].
    pub fn flush(
        &mut self,
        asked: &[(Token, Option<NodeId>)],
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        self.carry_out(now_ns, link)?;
        let units = self.machine.units_to_flush(&mut self.memory);
        for part in units.chunks(PART_UNITS) {
            self.machine
                .send_written(part, &mut self.memory, &mut self.effects);
            self.carry_out(now_ns, link)?;
        }
        self.machine
            .await_flushes(asked, &mut self.memory, &mut self.effects);
        self.carry_out(now_ns, link)
    }

    /// As [`Machine::begin_debt`].
    pub fn begin_debt(&mut self, to: NodeId) -> u64 {
        self.machine.begin_debt(to)
    }

    /// As [`Machine::awaited_debtors`].
    pub fn awaited_debtors(&self) -> Vec<NodeId> {
        self.machine.awaited_debtors()
    }

    /// As [`Machine::unit_count`].
    pub fn unit_count(&self) -> usize {
        self.machine.unit_count()
    }

    /// As [`Machine::is_owed_by`].
    pub fn is_owed_by(&self, node: NodeId) -> bool {
        self.machine.is_owed_by(node)
    }

    /// As [`Machine::end_debt`].
    pub fn end_debt(&mut self, number: u64, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        self.carry_out(now_ns, link)?;
        self.machine
            .end_debt(number, &mut self.memory, &mut self.effects);
        self.carry_out(now_ns, link)
    }

    /// Carries out what was gathered in this turn. News that came behind it on a link lets threads go on only then.
    pub fn settle(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        self.carry_out(now_ns, link)
    }

    /// Whether a flush would be done at once, without looking at any object.
    pub fn is_clean(&self) -> bool {
        self.machine.is_clean()
    }

    /// Runs an atomic operation on a foreign object at its home; [`Event::Operated`] tells the result. On an object
    /// of this node's own it must be done in place. `operation.offset` is set here.
    pub fn operate(
        &mut self,
        address: usize,
        token: Token,
        operation: Operation,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let foreign = self
            .object_at(address)
            .filter(|object| !self.memory.is_own(*object));
        let Some(object) = foreign else {
            self.on_wild_access(self.memory.node, address, true);
            return Ok(());
        };
        let operation = Operation {
            offset: (address % PAGE_BYTES) as u16,
            ..operation
        };
        self.carry_out(now_ns, link)?;
        self.machine.operate(
            object,
            token,
            operation,
            &mut self.memory,
            &mut self.effects,
        );
        self.carry_out(now_ns, link)?;
        Ok(())
    }

    /// Makes the object at an address sequential for the rest of its life; [`Event::Strengthened`] when it is.
    pub fn strengthen(
        &mut self,
        address: usize,
        token: Token,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let Some(object) = self.object_at(address) else {
            // The access itself, which follows, tells what it is.
            self.events.push_back(Event::Strengthened(token));
            return Ok(());
        };
        self.carry_out(now_ns, link)?;
        if !self.memory.is_own(object) {
            self.strengthened.insert(object);
        }
        self.machine
            .strengthen(object, token, &mut self.memory, &mut self.effects);
        self.carry_out(now_ns, link)?;
        self.forget_if_gone(object);
        Ok(())
    }

    /// Whether operations on the object at an address should go to its home.
    pub fn is_remote(&self, address: usize) -> bool {
        self.object_at(address)
            .is_some_and(|object| self.remote.contains(&object))
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
        let found = self.memory.find(Place::of(object)?)?;
        Some((found.record, found.size_bytes))
    }

    fn object_at(&self, address: usize) -> Option<ObjectId> {
        let object = Place::at(address)?.id();
        (self.memory.home(object).0 < self.node_count).then_some(object)
    }

    /// After anything that may have left a request waiting for the end of the object's hold.
    fn note_waiting(&mut self, object: ObjectId, now_ns: u64) {
        if self.machine.awaits_hold(object) {
            // Each of its holds began before now.
            self.awaited_until_ns = now_ns + self.hold_ns;
        }
    }

    /// After anything that may have taken the copy of a foreign object.
    fn forget_if_gone(&mut self, object: ObjectId) {
        use umbel_coherence::CopyState;
        if self.memory.is_own(object) || self.machine.copy_state(object) != CopyState::Invalid {
            return;
        }
        self.memory.forget(object);
        self.copies.remove(object);
        self.together.remove(&object);
        self.hidden.remove(&object);
        self.asked_ahead.remove(&object);
        self.marks.remove(&object);
    }
}

/// Units that a flush looks at before what it found is sent: of pages, 3 us of comparing on this node and 8 us of merging at their
/// home, which goes on while this node compares the next.
const PART_UNITS: usize = 16;
