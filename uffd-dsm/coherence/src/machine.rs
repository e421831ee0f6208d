//! The machine of one node: sends every input to the cache side or the home side.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Protocol, Token};

use crate::cache::Cache;
use crate::copy::CopyState;
use crate::directory::Directory;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::flush::{Flushes, Waiter};
use crate::homes::HomeMap;
use crate::memory::Memory;
use crate::pin::Pinned;
use crate::requests::Requests;
use crate::sides::Sides;
use crate::turn::{Resume, Turn};
use crate::violation::{self, Violation};

/// What a machine must know of its node and job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config<H> {
    /// The rank of this node.
    pub node: NodeId,
    /// The home of every object.
    pub homes: H,
    /// Nodes of the job; ranks are below.
    pub node_count: u16,
    /// Whether grants come with a minimum hold ([`Effect::Hold`]).
    pub minimum_hold: bool,
    /// Whether owners send what is recalled for a third node straight to it: see *Forwarding*. All nodes of a job
    /// agree. Only where the loss of a node ends the job: [`Machine::on_node_lost`] must not be called then.
    pub forwards: bool,
}

/// Coherence of one node: the copies it has of others' objects, and the directory of its own.
///
/// Every method appends to `out`; the driver carries the effects out in order before the next call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine<H> {
    config: Config<H>,
    cache: Cache,
    directory: Directory,
    requests: Requests,
    flushes: Flushes,
    /// Resumes not called yet, in the order of their effects.
    resumes: VecDeque<(ObjectId, Resume)>,
}

impl<H: HomeMap> Machine<H> {
    /// A machine at the start of the job: no object is shared.
    ///
    /// Panics if `node` is not below `node_count`.
    pub fn new(config: Config<H>) -> Self {
        assert!(
            config.node.0 < config.node_count,
            "rank {} in a job of {}",
            config.node.0,
            config.node_count
        );
        Self {
            config,
            cache: Cache::default(),
            directory: Directory::default(),
            requests: Requests::default(),
            flushes: Flushes::default(),
            resumes: VecDeque::new(),
        }
    }

    /// A thread of this node waits for `access`; called again for the same fault it does no harm.
    ///
    /// Panics if the object has no home in this job: the driver knows stray pointers from objects.
    pub fn on_fault<D: Clone>(
        &mut self,
        object: ObjectId,
        access: Access,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.home_of(object);
        let (mut sides, mut turn) = self.turn(memory, out);
        if home == turn.node {
            sides.directory.on_fault(object, access, &mut turn);
        } else {
            sides.cache.on_fault(home, object, access, &mut turn);
        }
        sides.settle(&mut turn);
    }

    /// Fetches an object of another home before a thread wants it; false where that is of no use: there is a
    /// copy, or it was asked for, or the home is here.
    pub fn prefetch<D>(
        &mut self,
        object: ObjectId,
        access: Access,
        out: &mut Vec<Effect<D>>,
    ) -> bool {
        let home = self.home_of(object);
        home != self.config.node && self.cache.prefetch(home, object, access, out)
    }

    /// Lets this node's threads write a weak object that they can read, before they want to: no message, and no thread is
    /// woken. False where that is not all it takes, or is of no use.
    pub fn write_ahead<D: Clone>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) -> bool {
        let home = self.home_of(object);
        let (sides, mut turn) = self.turn(memory, out);
        if home == turn.node {
            sides.directory.write_ahead(object, &mut turn)
        } else {
            sides.cache.write_ahead(object, &mut turn)
        }
    }

    /// A message arrived from `from`. After a `Violation` nothing has changed.
    pub fn on_message<D: Clone>(
        &mut self,
        from: NodeId,
        message: Coherence<D>,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) -> Result<(), Violation> {
        let object = message.object();
        let home = self.config.homes.home(object);
        let name = violation::name(&message);
        let refuse = |state| Violation {
            from,
            object,
            state,
            message: name,
        };
        if from == self.config.node || from.0 >= self.config.node_count {
            return Err(refuse("not for that sender"));
        }
        if let Coherence::Recall {
            forward: Some(forward),
            ..
        } = &message
            && (forward.node.0 >= self.config.node_count || forward.node == from)
        {
            return Err(refuse("not for that requester"));
        }
        let (mut sides, mut turn) = self.turn(memory, out);
        sides
            .on_message(from, home, message, &mut turn)
            .map_err(refuse)?;
        sides.settle(&mut turn);
        Ok(())
    }

    /// The minimum hold asked for by one [`Effect::Hold`] is over.
    pub fn on_hold_expired<D: Clone>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.config.homes.home(object);
        let (mut sides, mut turn) = self.turn(memory, out);
        if home == turn.node {
            sides.directory.on_hold_expired(object, &mut turn);
        } else {
            sides.cache.on_hold_expired(home, object, &mut turn);
        }
        sides.settle(&mut turn);
    }

    /// Keeps the rights that this node's threads have to an object until [`Machine::on_hold_expired`] is called for it,
    /// once for each pin. See [`Pinned`] for what to do if that is not possible.
    ///
    /// Panics if the object has no home in this job.
    pub fn pin<D>(&mut self, object: ObjectId, access: Access, memory: &dyn Memory<D>) -> Pinned {
        let home = self.home_of(object);
        if home == self.config.node {
            self.directory.pin(object, access, memory)
        } else {
            self.cache.pin(object, access)
        }
    }

    /// Whether the end of a hold of this object, and nothing else, lets something go on: a request at its
    /// home, or a message put off by its holder. Without that, holds may expire late.
    pub fn awaits_hold(&self, object: ObjectId) -> bool {
        if self.config.homes.home(object) == self.config.node {
            self.directory.awaits_hold(object, self.config.node)
        } else {
            self.cache.awaits_hold(object)
        }
    }

    /// Answers each with [`Effect::Flushed`] when everything that this node's threads wrote before this call is
    /// visible everywhere; at once if nothing is on its way.
    ///
    /// Who has news for one node alone names it: then the answer comes as soon as that node will see everything
    /// before what is sent to it behind the effects so far, and everybody else sees it: `flush`'s head says why
    /// that is enough.
    pub fn flush<D: Clone>(
        &mut self,
        asked: &[(Token, Option<NodeId>)],
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let units = self.units_to_flush(memory);
        self.send_written(&units, memory, out);
        self.await_flushes(asked, memory, out);
    }

    /// What a flush has to look at.
    ///
    /// A flush of many can be made in parts, whose effects are carried out one by one: [`Machine::send_written`] of each
    /// part of these, then [`Machine::await_flushes`], with no other input between them.
    pub fn units_to_flush<D>(&self, memory: &mut dyn Memory<D>) -> Vec<ObjectId> {
        self.flushes.units(memory)
    }

    /// At most how many units a flush has to look at.
    pub fn unit_count(&self) -> usize {
        self.flushes.unit_count()
    }

    /// Sends what was written of these. Nobody waits for it yet.
    pub fn send_written<D: Clone>(
        &mut self,
        units: &[ObjectId],
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        sides.send_written_of(units, &mut turn);
        sides.settle(&mut turn);
    }

    /// Answers each as [`Machine::flush`] does, for what was sent before.
    pub fn await_flushes<D: Clone>(
        &mut self,
        asked: &[(Token, Option<NodeId>)],
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        for (token, to) in asked {
            turn.flushes.wait(Waiter::Caller(*token), *to);
        }
        sides.settle(&mut turn);
    }

    /// The driver asks something of `to`, and the thread goes on without the answer: whoever hears of what it
    /// does next must find that done. A number for [`Machine::end_debt`].
    pub fn begin_debt(&mut self, to: NodeId) -> u64 {
        self.flushes.begin_debt(to)
    }

    /// The nodes whose debts something waits for: a driver that was not promised their answers asks for them now.
    pub fn awaited_debtors(&self) -> Vec<NodeId> {
        self.flushes.awaited_debtors().into_iter().collect()
    }

    /// Whether a node still has to say that it shows what was written here: it will, whatever else is sent to it.
    pub fn is_owed_by(&self, node: NodeId) -> bool {
        self.flushes.is_owed_by(node)
    }

    /// The answer to what the driver asked has come.
    pub fn end_debt<D: Clone>(
        &mut self,
        number: u64,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        turn.flushes.done(number);
        sides.settle(&mut turn);
    }

    /// Whether a flush would be answered at once, for there is nothing to look at.
    pub fn is_clean(&self) -> bool {
        self.flushes.is_clean()
    }

    /// The effects before an [`Effect::Resume`] of this object are carried out.
    ///
    /// Panics if none was asked for.
    pub fn on_resumed<D: Clone>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let place = self.resumes.iter().position(|(other, _)| *other == object);
        let found = place.and_then(|place| self.resumes.remove(place));
        let (_, reason) = found.expect("the driver answers a Resume");
        let home = self.config.homes.home(object);
        let (mut sides, mut turn) = self.turn(memory, out);
        sides.on_resumed(object, home, reason, &mut turn);
        sides.settle(&mut turn);
    }

    /// Whether [`Machine::on_resumed`] will flush: a driver may begin with that, by [`Machine::send_written`].
    pub fn flushes_when_resumed(&self, object: ObjectId) -> bool {
        let mut resumes = self.resumes.iter();
        let found = resumes.find(|(other, _)| *other == object);
        found.is_some_and(|(_, reason)| matches!(reason, Resume::GiveBack | Resume::Grant))
    }

    /// An [`Effect::Operate`] was carried out; `result` is the value before.
    ///
    /// Panics if none was asked for.
    pub fn on_operated<D: Clone>(
        &mut self,
        object: ObjectId,
        from: NodeId,
        token: Token,
        result: u64,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        let directory = &mut sides.directory;
        if directory.on_operated(object, from, token, result, &mut turn) {
            sides.flush(Waiter::Home(object), &mut turn);
        }
        sides.settle(&mut turn);
    }

    /// Runs an atomic operation on an object of another home, after a flush; answers with
    /// [`Effect::Operated`].
    ///
    /// Panics if the home is here, or `token` is in use.
    pub fn operate<D: Clone>(
        &mut self,
        object: ObjectId,
        token: Token,
        operation: Operation,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.home_of(object);
        assert_ne!(home, self.config.node, "the home's threads use their own");
        let (mut sides, mut turn) = self.turn(memory, out);
        sides.requests.operate(object, token, operation);
        sides.flush(Waiter::Operation(token), &mut turn);
        sides.settle(&mut turn);
    }

    /// Makes an object of any home sequential for the rest of its life; answers with
    /// [`Effect::Strengthened`].
    ///
    /// Panics if `token` is in use.
    pub fn strengthen<D: Clone>(
        &mut self,
        object: ObjectId,
        token: Token,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let home = self.home_of(object);
        let (mut sides, mut turn) = self.turn(memory, out);
        if home == turn.node {
            sides
                .directory
                .on_strengthen(home, object, token, &mut turn)
                .expect("a thread waits for one thing at a time");
        } else if sides.cache.is_known_sequential(object) {
            turn.out.push(Effect::Strengthened { token });
        } else {
            sides.requests.strengthen(home, object, token, &mut turn);
        }
        sides.settle(&mut turn);
    }

    /// Gives the copy of an object of another home back, to make room; false if it is busy or there is none.
    pub fn evict<D: Clone>(
        &mut self,
        object: ObjectId,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) -> bool {
        let home = self.config.homes.home(object);
        let (mut sides, mut turn) = self.turn(memory, out);
        let is_begun = sides.cache.evict(home, object, &mut turn);
        sides.settle(&mut turn);
        is_begun
    }

    /// Changes the protocol of a shared object of this home, as soon as no work is in progress; one that is
    /// not shared has none. It stays so: the home chooses no more.
    pub fn set_protocol<D: Clone>(
        &mut self,
        object: ObjectId,
        protocol: Protocol,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        sides.directory.set_protocol(object, protocol, &mut turn);
        sides.settle(&mut turn);
    }

    /// The life of these objects of this home is over: withdraws every copy, without their bytes, and
    /// answers with [`Effect::Reclaimed`], at once if nothing is shared.
    ///
    /// Panics if `token`, or the reclaim of one of the objects, is in progress.
    pub fn reclaim<D: Clone>(
        &mut self,
        objects: Range<ObjectId>,
        token: Token,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) {
        let (mut sides, mut turn) = self.turn(memory, out);
        sides.directory.reclaim(objects, token, &mut turn);
        sides.settle(&mut turn);
    }

    /// Goes on without `node`. Returns the objects whose newest bytes, or whose home, this node can no
    /// longer reach: those `node` owned, and those of its own that a thread here waits for.
    ///
    /// The home's older bytes take the place of the lost ones: a driver that cannot accept that ends
    /// the job instead of carrying the effects out.
    ///
    /// Panics if [`Config::forwards`].
    pub fn on_node_lost<D: Clone>(
        &mut self,
        node: NodeId,
        memory: &mut dyn Memory<D>,
        out: &mut Vec<Effect<D>>,
    ) -> Vec<ObjectId> {
        // A grant lost with the owner that sent it leaves home and requester with different beliefs.
        assert!(
            !self.config.forwards,
            "nodes that forward are lost together"
        );
        let (mut sides, mut turn) = self.turn(memory, out);
        let mut lost = sides.directory.on_node_lost(node, &mut turn);
        let homes = sides.homes;
        let is_lost = |object| homes.home(object) == node;
        sides.cache.on_home_lost(is_lost, &mut lost, &mut turn);
        sides.requests.on_home_lost(is_lost, &mut lost, &mut turn);
        turn.flushes.forgive(node);
        sides.settle(&mut turn);
        lost
    }

    /// What the machine was made with.
    pub fn config(&self) -> &Config<H> {
        &self.config
    }

    /// The directory entry of an object, if it is this node's and has been shared.
    pub fn entry(&self, object: ObjectId) -> Option<&Entry> {
        self.directory.entry(object)
    }

    /// All directory entries, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (ObjectId, &Entry)> {
        self.directory.entries()
    }

    /// Starts a new window of observation: sets every entry's counters to 0.
    pub fn reset_counters(&mut self) {
        self.directory.reset_counters();
    }

    /// Whether any object of the range has a directory entry: one of them is or was shared.
    pub fn has_entries(&self, objects: Range<ObjectId>) -> bool {
        self.directory.has_entries(objects)
    }

    /// How many directory entries there are.
    pub fn entry_count(&self) -> usize {
        self.directory.len()
    }

    /// How many objects of other homes have a copy here or are asked for.
    pub fn copy_count(&self) -> usize {
        self.cache.len()
    }

    /// State of an object of another home.
    pub fn copy_state(&self, object: ObjectId) -> CopyState {
        self.cache.state(object)
    }

    /// What this node's threads may do with an object; the view has this much or less.
    pub fn rights(&self, object: ObjectId) -> Option<Access> {
        if self.config.homes.home(object) == self.config.node {
            self.directory
                .entry(object)
                .map_or(Some(Access::Write), Entry::home_rights)
        } else {
            self.cache.state(object).rights()
        }
    }

    fn home_of(&self, object: ObjectId) -> NodeId {
        let home = self.config.homes.home(object);
        assert!(
            home.0 < self.config.node_count,
            "object {:#x} has no home",
            object.0
        );
        home
    }

    fn turn<'a, D>(
        &'a mut self,
        memory: &'a mut dyn Memory<D>,
        out: &'a mut Vec<Effect<D>>,
    ) -> (Sides<'a, H>, Turn<'a, D>) {
        let sides = Sides {
            homes: &self.config.homes,
            cache: &mut self.cache,
            directory: &mut self.directory,
            requests: &mut self.requests,
        };
        let turn = Turn {
            node: self.config.node,
            minimum_hold: self.config.minimum_hold,
            forwards: self.config.forwards,
            flushes: &mut self.flushes,
            resumes: &mut self.resumes,
            memory,
            out,
        };
        (sides, turn)
    }
}
