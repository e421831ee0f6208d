//! One node as the machine's driver sees it: a machine, its outbox, memory, and rights.

use std::collections::VecDeque;
use std::sync::Arc;

use umbel_wire::{Access, Coherence, NodeId, ObjectId, Token};

use crate::subject::{Config, Counters, Effect, HomeMap, Homes, Machine, Violation};

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

/// What a node has of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place<V> {
    /// What the engine view shows.
    pub bytes: V,
    /// What the threads' view allows.
    pub view: Option<Access>,
    /// A thread waits to load.
    pub reader_waits: bool,
    /// A thread waits to store.
    pub writer_waits: bool,
    /// Holds begun and not expired.
    pub holds: u8,
}

/// What carrying out one effect means for the world outside the node.
#[derive(Clone, Debug)]
pub enum Done<V> {
    /// Nothing.
    Local,
    /// A message leaves.
    Send(NodeId, Coherence<V>),
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
}

/// A machine with its driver: effects wait in the outbox and are carried out one at a time, so that
/// threads can run between any two of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node<V> {
    /// The machine under test.
    pub machine: Machine<Homes>,
    /// Per object, in the order of the world's list.
    pub places: Vec<Place<V>>,
    /// Effects not carried out yet.
    pub outbox: VecDeque<Effect<V>>,
    /// Shared by all states: a state is cloned for every step out of it.
    objects: Arc<[ObjectId]>,
    /// Counters tell states apart that behave alike.
    forgets_counters: bool,
}

impl<V: Clone + std::fmt::Debug> Node<V> {
    /// A node at the start: it can write what it is home to, and has nothing else. Its counters stay 0.
    pub fn new(
        node: u16,
        node_count: u16,
        minimum_hold: bool,
        objects: &[ObjectId],
        bytes: impl Fn(bool) -> V,
    ) -> Self {
        Self {
            forgets_counters: true,
            ..Self::counting(node, node_count, minimum_hold, objects, bytes)
        }
    }

    /// As `new`, with counters.
    pub fn counting(
        node: u16,
        node_count: u16,
        minimum_hold: bool,
        objects: &[ObjectId],
        bytes: impl Fn(bool) -> V,
    ) -> Self {
        let config = Config {
            node: NodeId(node),
            homes: HOMES,
            node_count,
            minimum_hold,
        };
        let place = |object: &ObjectId| {
            let is_home = home_of(*object) == usize::from(node);
            Place {
                bytes: bytes(is_home),
                view: is_home.then_some(Access::Write),
                reader_waits: false,
                writer_waits: false,
                holds: 0,
            }
        };
        Self {
            machine: Machine::new(config),
            places: objects.iter().map(place).collect(),
            outbox: VecDeque::new(),
            objects: objects.into(),
            forgets_counters: false,
        }
    }

    /// What the node has of an object.
    pub fn place(&self, object: ObjectId) -> &Place<V> {
        &self.places[self.index(object)]
    }

    /// What the node has of an object, to be changed.
    pub fn place_mut(&mut self, object: ObjectId) -> &mut Place<V> {
        let index = self.index(object);
        &mut self.places[index]
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
        self.input(|machine, out| machine.on_fault(object, access, &mut (), out));
    }

    /// A message arrives.
    pub fn message(&mut self, from: usize, message: Coherence<V>) -> Result<(), Violation> {
        let from = NodeId(u16::try_from(from).expect("worlds are small"));
        self.input(|machine, out| machine.on_message(from, message, &mut (), out))
    }

    /// A hold is over.
    pub fn hold_expired(&mut self, object: ObjectId) {
        self.place_mut(object).holds -= 1;
        self.input(|machine, out| machine.on_hold_expired(object, &mut (), out));
    }

    /// The scope of one object is left at its home.
    pub fn reclaim(&mut self, object: ObjectId, token: Token) {
        self.input(|machine, out| {
            machine.reclaim(object..ObjectId(object.0 + 1), token, &mut (), out)
        });
    }

    /// Another node is gone; returns the objects that went with it.
    pub fn node_lost(&mut self, node: usize) -> Vec<ObjectId> {
        let node = NodeId(u16::try_from(node).expect("worlds are small"));
        self.input(|machine, out| machine.on_node_lost(node, &mut (), out))
    }

    /// Carries out the next effect. Panics if there is none.
    pub fn carry_out(&mut self) -> Done<V> {
        match self.outbox.pop_front().expect("the caller saw an effect") {
            Effect::Send { to, message } => {
                Done::Send(to, message.seal(|object| self.place(object).bytes.clone()))
            }
            Effect::Store { object, data } => {
                self.place_mut(object).bytes = data;
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
            Effect::Retire { object, .. } => Done::Retired(object),
            Effect::Reclaimed { token } => Done::Reclaimed(token),
            Effect::Twin { .. }
            | Effect::DropTwin { .. }
            | Effect::Merge { .. }
            | Effect::Resume { .. }
            | Effect::Operate { .. }
            | Effect::Flushed { .. }
            | Effect::Operated { .. }
            | Effect::Strengthened { .. } => unreachable!("every object is sequential"),
        }
    }

    fn input<R>(&mut self, input: impl FnOnce(&mut Machine<Homes>, &mut Vec<Effect<V>>) -> R) -> R {
        assert!(
            self.outbox.is_empty(),
            "the driver carries out all effects before the next input"
        );
        let mut out = Vec::new();
        let result = input(&mut self.machine, &mut out);
        self.outbox = out.into();
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

    fn index(&self, object: ObjectId) -> usize {
        self.objects
            .iter()
            .position(|known| *known == object)
            .expect("the world lists its objects")
    }
}
