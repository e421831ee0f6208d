//! One node as the machine's driver sees it: a machine, its outbox, memory, and rights.

mod ahead;
mod gather;
mod places;

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, OperationKind, Protocol, Token};

use super::data::Cells;
use crate::subject::{Config, Counters, Effect, HomeMap, Homes, Machine, Outgoing, Violation};
use places::{Bytes, index_of};

pub use places::{Fixed, Place, Value};

/// Objects of one node are numbered from `rank << HOMES.objects_per_node_log2`.
pub const HOMES: Homes = Homes {
    objects_per_node_log2: 3,
};

/// The `index`-th object of a home.
pub const fn object_of(home: u16, index: u64) -> ObjectId {
    ObjectId(((home as u64) << HOMES.objects_per_node_log2) + index)
}

/// The home of an object.
pub fn home_of(object: ObjectId) -> usize {
    usize::from(HOMES.home(object).0)
}

/// What carrying out one effect means for the world outside the node.
#[derive(Clone, Debug)]
pub enum Done<V, const N: usize> {
    /// Nothing.
    Local,
    /// A message leaves.
    Send(NodeId, Coherence<Cells<V, N>>),
    /// Rights are now `to`.
    Access {
        /// The object.
        object: ObjectId,
        /// Before.
        from: Option<Access>,
        /// After.
        to: Option<Access>,
    },
    /// Waiting threads may retry.
    Woken(ObjectId),
    /// A hold has begun.
    Hold(ObjectId),
    /// The object's life at its home is over.
    Retired(ObjectId),
    /// A reclaim is complete.
    Reclaimed(Token),
    /// An operation was run on the home's bytes; it found this.
    Ran {
        /// The object.
        object: ObjectId,
        /// Who asked.
        from: NodeId,
        /// As it said.
        token: Token,
        /// What was done.
        operation: Operation,
        /// What was there.
        found: V,
    },
    /// A flush is complete.
    Flushed(Token),
    /// The answer to an operation asked for here.
    Operated(Token, u64),
    /// An object asked for here is sequential now.
    Strengthened(Token),
    /// The machine refuses a message that it had postponed.
    Refused(Violation),
}

/// What the machine is to be told when every effect is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reply<D> {
    Resumed(ObjectId),
    TakenUp(NodeId, Coherence<D>),
    Operated {
        object: ObjectId,
        from: NodeId,
        token: Token,
        result: u64,
    },
}

/// A machine with its driver: effects wait in the outbox and are carried out one at a time, so that
/// threads can run between any two of them.
#[derive(Clone, Debug)]
pub struct Node<V, const N: usize> {
    /// The machine under test.
    pub machine: Machine<Homes>,
    /// Per object, in the order of the world's list.
    pub places: Vec<Place<V, N>>,
    /// Effects not carried out yet.
    pub outbox: VecDeque<Effect<Cells<V, N>>>,
    replies: VecDeque<Reply<Cells<V, N>>>,
    /// Messages that came too early, in order of arrival.
    pub postponed: Vec<(NodeId, Coherence<Cells<V, N>>)>,
    /// The last message's sender and object, if its effects are put off and others may join them.
    put_off: Option<(NodeId, ObjectId)>,
    /// Shared by all states: a state is cloned for every step out of it.
    objects: Arc<[Fixed]>,
    /// Counters tell states apart that behave alike.
    forgets_counters: bool,
}

impl<V: Hash, const N: usize> Hash for Node<V, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.machine.hash(state);
        self.places.hash(state);
        self.outbox.hash(state);
        self.replies.hash(state);
        self.postponed.hash(state);
        self.put_off.hash(state);
    }
}

impl<V: Value, const N: usize> Node<V, N> {
    /// A node at the start: it can write what it is home to, and has nothing else. Its counters stay 0.
    pub fn new(config: Config<Homes>, objects: &Arc<[Fixed]>) -> Self {
        Self {
            forgets_counters: true,
            ..Self::counting(config, objects)
        }
    }

    /// As `new`, with counters.
    pub fn counting(config: Config<Homes>, objects: &Arc<[Fixed]>) -> Self {
        let node = config.node.0;
        let place = |fixed: &Fixed| Place {
            bytes: [V::default(); N],
            twin: None,
            view: (home_of(fixed.object) == usize::from(node)).then_some(Access::Write),
            reader_waits: false,
            writer_waits: false,
            holds: 0,
            pinned: None,
        };
        Self {
            machine: Machine::new(config),
            places: objects.iter().map(place).collect(),
            outbox: VecDeque::new(),
            replies: VecDeque::new(),
            postponed: Vec::new(),
            put_off: None,
            objects: Arc::clone(objects),
            forgets_counters: false,
        }
    }

    /// A node that is gone: it can do nothing.
    pub fn gone(&self) -> Self {
        let mut gone = Self::new(self.machine.config().clone(), &self.objects);
        for place in &mut gone.places {
            place.view = None;
        }
        gone
    }

    /// What the node has of an object.
    pub fn place(&self, object: ObjectId) -> &Place<V, N> {
        &self.places[index_of(&self.objects, object)]
    }

    /// What the node has of an object, to be changed.
    pub fn place_mut(&mut self, object: ObjectId) -> &mut Place<V, N> {
        &mut self.places[index_of(&self.objects, object)]
    }

    /// Whether the driver has done all that the machine told it.
    pub fn is_free(&self) -> bool {
        self.outbox.is_empty() && self.replies.is_empty()
    }

    /// A thread faults; it waits until woken.
    pub fn fault(&mut self, object: ObjectId, access: Access) {
        let place = self.place_mut(object);
        if place.view < Some(access) {
            match access {
                Access::Read => place.reader_waits = true,
                Access::Write => place.writer_waits = true,
            }
        }
        self.input(|machine, memory, out| machine.on_fault(object, access, memory, out));
    }

    /// A message arrives.
    pub fn message(
        &mut self,
        from: usize,
        message: Coherence<Cells<V, N>>,
    ) -> Result<(), Violation> {
        let from = node_id(from);
        self.input(|machine, memory, out| machine.on_message(from, message, memory, out))
    }

    /// A hold is over.
    pub fn hold_expired(&mut self, object: ObjectId) {
        self.place_mut(object).holds -= 1;
        self.input(|machine, memory, out| machine.on_hold_expired(object, memory, out));
    }

    /// The scope of one object is left at its home.
    pub fn reclaim(&mut self, object: ObjectId, token: Token) {
        let objects = object..ObjectId(object.0 + 1);
        self.input(|machine, memory, out| machine.reclaim(objects, token, memory, out));
    }

    /// Another node is gone; returns the objects that went with it.
    pub fn node_lost(&mut self, node: usize) -> Vec<ObjectId> {
        let node = node_id(node);
        self.input(|machine, memory, out| machine.on_node_lost(node, memory, out))
    }

    /// A thread releases: to everybody, or to one node.
    pub fn flush(&mut self, token: Token, to: Option<usize>) {
        let asked = [(token, to.map(node_id))];
        self.input(|machine, memory, out| machine.flush(&asked, memory, out));
    }

    /// Whether a flush may begin now, by a thread or by what the machine waits to hear: a driver may begin with a part of it.
    pub fn may_flush(&self) -> bool {
        let flushes = match self.replies.front() {
            Some(Reply::Resumed(object)) => self.machine.flushes_when_resumed(*object),
            Some(Reply::TakenUp(..) | Reply::Operated { .. }) => false,
            None => true,
        };
        self.outbox.is_empty() && flushes
    }

    /// What a flush would look at.
    pub fn units_to_flush(&self) -> Vec<ObjectId> {
        let mut places = self.places.clone();
        let mut memory = Bytes {
            objects: &self.objects,
            places: &mut places,
        };
        self.machine.units_to_flush(&mut memory)
    }

    /// The driver sends what was written of one object; nobody waits for that yet.
    pub fn send_part(&mut self, object: ObjectId) {
        self.input_amid(|machine, memory, out| machine.send_written(&[object], memory, out));
    }

    /// The driver needs room; false if the machine would not give the copy up now.
    pub fn evict(&mut self, object: ObjectId) -> bool {
        self.input(|machine, memory, out| machine.evict(object, memory, out))
    }

    /// The driver expects that a thread will want this; false if the machine asked for nothing.
    pub fn prefetch(&mut self, object: ObjectId, access: Access) -> bool {
        self.input(|machine, _, out| machine.prefetch(object, access, out))
    }

    /// A thread operates on the first cell, atomically, at the object's home.
    pub fn operate(&mut self, object: ObjectId, token: Token, operation: Operation) {
        self.input(|machine, memory, out| machine.operate(object, token, operation, memory, out));
    }

    /// A thread is about to use the object for an atomic access through a pointer.
    pub fn strengthen(&mut self, object: ObjectId, token: Token) {
        self.input(|machine, memory, out| machine.strengthen(object, token, memory, out));
    }

    /// The home switches.
    pub fn set_protocol(&mut self, object: ObjectId, protocol: Protocol) {
        self.input(|machine, memory, out| machine.set_protocol(object, protocol, memory, out));
    }

    /// Carries out the next effect, or tells the machine what it waits to hear. Panics if there is neither.
    pub fn carry_out(&mut self) -> Done<V, N> {
        self.put_off = None;
        let Some(effect) = self.outbox.pop_front() else {
            return match self.reply() {
                Ok(()) => Done::Local,
                Err(violation) => Done::Refused(violation),
            };
        };
        match effect {
            Effect::Send { to, message } => {
                let read = |object| Cells::whole(self.place(object).clean());
                Done::Send(to, message.seal(read))
            }
            Effect::Store { object, data } => {
                self.place_mut(object).bytes = data.into_whole();
                Done::Local
            }
            Effect::Twin { object } => {
                let place = self.place_mut(object);
                place.twin = Some(place.bytes);
                Done::Local
            }
            Effect::DropTwin { object } => {
                self.place_mut(object).twin = None;
                Done::Local
            }
            Effect::Merge { object, diff } => {
                let place = self.place_mut(object);
                diff.merge(&mut place.bytes, place.twin.as_mut());
                Done::Local
            }
            Effect::SetAccess { object, access } => {
                let place = self.place_mut(object);
                let from = std::mem::replace(&mut place.view, access);
                Done::Access {
                    object,
                    from,
                    to: access,
                }
            }
            Effect::Wake { object } => {
                let place = self.place_mut(object);
                place.reader_waits = false;
                place.writer_waits = false;
                Done::Woken(object)
            }
            Effect::Hold { object } => {
                self.place_mut(object).holds += 1;
                Done::Hold(object)
            }
            Effect::Resume { object } => {
                self.replies.push_back(Reply::Resumed(object));
                Done::Local
            }
            Effect::Postpone { from, message } => {
                self.postponed.push((from, message));
                Done::Local
            }
            Effect::TakeUp { object } => {
                let is_it = |early: &mut (_, Coherence<_>)| early.1.object() == object;
                let early = self.postponed.extract_if(.., is_it);
                let taken_up = early.map(|(from, message)| Reply::TakenUp(from, message));
                self.replies.extend(taken_up);
                Done::Local
            }
            Effect::Operate {
                object,
                from,
                token,
                operation,
            } => self.operate_here(object, from, token, operation),
            Effect::Flushed { token } => Done::Flushed(token),
            Effect::Operated { token, result } => Done::Operated(token, result),
            Effect::Strengthened { token } => Done::Strengthened(token),
            Effect::Retire { object, .. } => Done::Retired(object),
            Effect::Reclaimed { token } => Done::Reclaimed(token),
        }
    }

    /// The object of the next effect, where threads that can store into it could tell when it happens.
    pub fn next_touches(&self) -> Option<ObjectId> {
        match self.outbox.front()? {
            Effect::Send { message, .. } => match message {
                Outgoing::Grant {
                    object,
                    with_data: true,
                    ..
                }
                | Outgoing::Recalled { object }
                | Outgoing::Return { object, .. } => Some(*object),
                _ => None,
            },
            Effect::Store { object, .. }
            | Effect::Twin { object }
            | Effect::DropTwin { object }
            | Effect::Merge { object, .. }
            | Effect::SetAccess { object, .. }
            | Effect::Operate { object, .. }
            | Effect::Retire { object, .. } => Some(*object),
            Effect::Wake { .. }
            | Effect::Hold { .. }
            | Effect::Resume { .. }
            | Effect::Postpone { .. }
            | Effect::TakeUp { .. }
            | Effect::Flushed { .. }
            | Effect::Operated { .. }
            | Effect::Strengthened { .. }
            | Effect::Reclaimed { .. } => None,
        }
    }

    fn operate_here(
        &mut self,
        object: ObjectId,
        from: NodeId,
        token: Token,
        operation: Operation,
    ) -> Done<V, N> {
        let place = self.place_mut(object);
        let found = place.bytes[0];
        place.bytes[0] = result_of(operation, found);
        self.replies.push_back(Reply::Operated {
            object,
            from,
            token,
            result: found.into(),
        });
        Done::Ran {
            object,
            from,
            token,
            operation,
            found,
        }
    }

    fn reply(&mut self) -> Result<(), Violation> {
        let reply = self.replies.pop_front();
        match reply.expect("the driver has something to do") {
            Reply::Resumed(object) => {
                self.input_amid(|machine, memory, out| machine.on_resumed(object, memory, out));
            }
            Reply::TakenUp(from, message) => {
                return self.input_amid(|machine, memory, out| {
                    machine.on_message(from, message, memory, out)
                });
            }
            Reply::Operated {
                object,
                from,
                token,
                result,
            } => self.input_amid(|machine, memory, out| {
                machine.on_operated(object, from, token, result, memory, out);
            }),
        }
        Ok(())
    }

    fn input<R>(
        &mut self,
        input: impl FnOnce(
            &mut Machine<Homes>,
            &mut Bytes<'_, V, N>,
            &mut Vec<Effect<Cells<V, N>>>,
        ) -> R,
    ) -> R {
        assert!(
            self.is_free(),
            "the driver carries out all effects before the next input"
        );
        self.input_amid(input)
    }

    /// As `input`, with answers to the machine outstanding.
    fn input_amid<R>(
        &mut self,
        input: impl FnOnce(
            &mut Machine<Homes>,
            &mut Bytes<'_, V, N>,
            &mut Vec<Effect<Cells<V, N>>>,
        ) -> R,
    ) -> R {
        let mut out = Vec::new();
        let mut memory = Bytes {
            objects: &self.objects,
            places: &mut self.places,
        };
        let result = input(&mut self.machine, &mut memory, &mut out);
        self.outbox.extend(out);
        if self.forgets_counters {
            self.machine.reset_counters();
            for effect in &mut self.outbox {
                if let Effect::Retire { counters, .. } = effect {
                    *counters = Counters::default();
                }
            }
        }
        result
    }
}

/// Adds one to the first cell.
pub const INCREMENT: Operation = Operation {
    offset: 0,
    width: 8,
    kind: OperationKind::Add,
    operand: 1,
    expected: 0,
};

/// What an operation leaves where it found this.
pub fn result_of<V: Value>(operation: Operation, found: V) -> V {
    let operand = || V::from(u8::try_from(operation.operand).expect("operands are small"));
    match operation.kind {
        OperationKind::Add => found.next(),
        OperationKind::Store | OperationKind::Exchange => operand(),
        OperationKind::CompareExchange if found.into() == operation.expected => operand(),
        OperationKind::CompareExchange | OperationKind::Load => found,
        OperationKind::Sub
        | OperationKind::And
        | OperationKind::Or
        | OperationKind::Xor
        | OperationKind::Nand => unreachable!("no thread here uses {:?}", operation.kind),
    }
}

/// The rank as messages carry it.
pub fn node_id(rank: usize) -> NodeId {
    NodeId(u16::try_from(rank).expect("worlds are small"))
}
