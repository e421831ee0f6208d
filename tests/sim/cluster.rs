//! Nodes, links and clocks of one run, in virtual time.

mod checks;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use umbel_coherence::{SyncBranches, SyncHome};
use umbel_wire::sync::Sync;
use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Protocol, Token};

use super::barriers;
use super::coverage::Coverage;
use super::history::{Event, History};
use super::observe;
use super::plan::{Accident, CELL_COUNT, Plan};
use super::program::Cell;
use super::random::Random;
use super::threads::{Lock, Thread, Wait};
use crate::model::node::{Done, Fixed, result_of};
use crate::model::{Cells, Node, home_of};

/// A node of the simulator.
pub type SimNode = Node<u64, CELL_COUNT>;

/// A message of the simulator.
pub type Message = Coherence<Cells<u64, CELL_COUNT>>;

/// Steps of one run before it counts as a livelock: some hundred times what the longest plan needs.
const STEPS_MAX: u64 = 3_000_000;

/// What a node's service thread takes, one after the other.
#[derive(Clone, Debug)]
pub enum Input {
    /// A thread of this node faulted.
    Fault(ObjectId, Access),
    /// A message arrived.
    Message(usize, Message),
    /// A hold is over.
    HoldExpired(ObjectId),
    /// A thread releases.
    Flush(Token),
    /// A thread comes to the barrier.
    Meet(usize),
    /// A message about the barrier arrived.
    Sync(usize, Sync),
    /// What this names departs to a node.
    Depart(Token, usize),
    /// A thread operates at the object's home.
    Operate(ObjectId, Token, Operation),
    /// A thread needs the object to be sequential.
    Strengthen(ObjectId, Token),
    /// There is no room for the copy.
    Evict(ObjectId),
    /// A thread may want it soon.
    Prefetch(ObjectId, Access),
    /// The home's protocol changes.
    Switch(ObjectId, Protocol),
    /// A scope is left.
    Reclaim(ObjectId),
    /// A node is gone.
    NodeLost(usize),
}

/// What happens at a point of virtual time.
#[derive(Clone, Debug)]
enum Happening {
    /// The oldest message of a link arrives.
    Arrival { from: usize, to: usize },
    /// An input comes from within the node or from its links' supervision.
    Input(usize, Input),
    /// The service thread is done with what it did and looks for more.
    Service(usize),
    /// A thread runs.
    Thread(usize, usize),
    /// A node vanishes.
    Loss(usize),
}

pub(super) struct Member {
    pub(super) node: SimNode,
    inbox: VecDeque<Input>,
    is_serving: bool,
    pub(super) is_lost: bool,
    /// The lost node it was told of.
    lost_peer: Option<usize>,
    pub(super) threads: Vec<Thread>,
    /// Its parts of the barrier, if that is another node's.
    pub(super) branches: SyncBranches,
}

/// What travels on a link.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Coherence(Message),
    Sync(Sync),
}

struct Link {
    in_flight: VecDeque<Packet>,
    last_arrival_ns: u64,
}

/// One run.
pub struct Cluster {
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) now_ns: u64,
    /// Breaks ties of time, so that a seed fixes the order.
    sequence: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    pub(super) members: Vec<Member>,
    links: Vec<Vec<Link>>,
    reclaiming: BTreeSet<ObjectId>,
    strengthening: BTreeSet<(usize, ObjectId, Token)>,
    /// Objects that were made sequential.
    strengthened: BTreeSet<ObjectId>,
    /// Operations that were asked for and not run.
    pub(super) operating: BTreeSet<Token>,
    pub(super) locks: Vec<Lock>,
    /// Where the threads meet; node 0's.
    pub(super) barriers: SyncHome,
    /// Messages about the barrier that wait for a flush of their node.
    pub(super) departing: BTreeMap<Token, (usize, Sync)>,
    /// Threads that came to the barrier, and that went on.
    pub(super) met: (usize, usize),
    pub(super) next_value: u64,
    next_token: u64,
    /// What the threads saw.
    pub history: History,
    /// What was reached.
    pub coverage: Coverage,
}

impl Cluster {
    /// The cluster of a plan, before anything happens; `random` decides the rest.
    pub fn new(plan: Plan, random: Random) -> Self {
        let count = usize::from(plan.node_count);
        let objects: Arc<[Fixed]> = plan.objects.clone().into();
        let member = |rank: u16| Member {
            node: Node::counting(plan.config(rank), &objects),
            inbox: VecDeque::new(),
            is_serving: false,
            is_lost: false,
            lost_peer: None,
            threads: plan.threads[usize::from(rank)]
                .iter()
                .map(|program| Thread::new(program))
                .collect(),
            branches: SyncBranches::new(NodeId(rank)),
        };
        let link = || Link {
            in_flight: VecDeque::new(),
            last_arrival_ns: 0,
        };
        let mut cluster = Self {
            members: (0..plan.node_count).map(member).collect(),
            links: (0..count)
                .map(|_| (0..count).map(|_| link()).collect())
                .collect(),
            random,
            now_ns: 0,
            sequence: 0,
            agenda: BinaryHeap::new(),
            happenings: Vec::new(),
            reclaiming: BTreeSet::new(),
            strengthening: BTreeSet::new(),
            strengthened: BTreeSet::new(),
            operating: BTreeSet::new(),
            locks: plan.locks.iter().map(|_| Lock::default()).collect(),
            barriers: barriers::of_all(&plan),
            departing: BTreeMap::new(),
            met: (0, 0),
            next_value: 1,
            next_token: 1 << 32,
            history: History::default(),
            coverage: Coverage::default(),
            plan,
        };
        cluster.schedule_start();
        cluster
    }

    /// Runs until nothing is left to happen, checking every rule on the way.
    pub fn run(&mut self) -> Result<(), String> {
        let mut steps = 0;
        while let Some(Reverse((at_ns, _, index))) = self.agenda.pop() {
            self.now_ns = at_ns;
            steps += 1;
            if steps > STEPS_MAX {
                return Err(format!(
                    "every program ends: livelock of {:?}",
                    self.unfinished()
                ));
            }
            match self.happenings[index].take().expect("each happens once") {
                Happening::Arrival { from, to } => self.arrive(from, to),
                Happening::Input(rank, input) => self.enqueue(rank, input),
                Happening::Service(rank) => self.serve(rank)?,
                Happening::Thread(rank, thread) => self.run_thread(rank, thread),
                Happening::Loss(rank) => self.lose(rank),
            }
        }
        self.check_end()
    }

    fn schedule_start(&mut self) {
        for rank in 0..self.members.len() {
            for thread in 0..self.members[rank].threads.len() {
                let (low, high) = self.plan.think_ns;
                let at_ns = self.random.between(low, high);
                self.at(at_ns, Happening::Thread(rank, thread));
            }
        }
        for (at_ns, accident) in self.plan.accidents.clone() {
            let (rank, input) = match accident {
                Accident::Reclaim(object) => (home_of(object), Input::Reclaim(object)),
                Accident::Evict(rank, object) => (rank, Input::Evict(object)),
                Accident::Prefetch(rank, object, access) => (rank, Input::Prefetch(object, access)),
                Accident::Switch(object, protocol) => {
                    (home_of(object), Input::Switch(object, protocol))
                }
                Accident::Strengthen(rank, object) => {
                    (rank, Input::Strengthen(object, self.token()))
                }
                Accident::Loss(rank) => {
                    self.at(at_ns, Happening::Loss(rank));
                    continue;
                }
            };
            self.at(at_ns, Happening::Input(rank, input));
        }
    }

    /// A name no other request of the run has.
    pub(super) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn at(&mut self, at_ns: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda
            .push(Reverse((at_ns, self.sequence, self.happenings.len())));
        self.happenings.push(Some(happening));
    }

    fn after(&mut self, (low, high): (u64, u64), happening: Happening) {
        let at_ns = self.now_ns + self.random.between(low, high);
        self.at(at_ns, happening);
    }

    /// The thread goes on after a time within these bounds.
    pub(super) fn resume_thread(&mut self, delay_ns: (u64, u64), rank: usize, thread: usize) {
        self.after(delay_ns, Happening::Thread(rank, thread));
    }

    fn arrive(&mut self, from: usize, to: usize) {
        // Nothing in flight: the link was closed meanwhile.
        match self.links[from][to].in_flight.pop_front() {
            Some(Packet::Coherence(message)) => self.enqueue(to, Input::Message(from, message)),
            Some(Packet::Sync(message)) => self.enqueue(to, Input::Sync(from, message)),
            None => {}
        }
    }

    pub(super) fn enqueue(&mut self, rank: usize, input: Input) {
        let member = &mut self.members[rank];
        if member.is_lost {
            return;
        }
        member.inbox.push_back(input);
        if !member.is_serving {
            member.is_serving = true;
            self.after(self.plan.service_ns, Happening::Service(rank));
        }
    }

    /// One thing at a time: the next effect, or else the next input.
    fn serve(&mut self, rank: usize) -> Result<(), String> {
        if self.members[rank].is_lost {
            return Ok(());
        }
        if self.members[rank].node.is_free() || self.may_gather(rank) {
            if let Some(input) = self.members[rank].inbox.pop_front() {
                self.take(rank, input)?;
            }
        } else {
            self.carry_out(rank)?;
        }
        let member = &mut self.members[rank];
        if member.node.is_free() && member.inbox.is_empty() {
            member.is_serving = false;
        } else {
            self.after(self.plan.service_ns, Happening::Service(rank));
        }
        self.check_views(rank)
    }

    /// Whether the next input joins what is put off.
    fn may_gather(&self, rank: usize) -> bool {
        let Member { node, inbox, .. } = &self.members[rank];
        match inbox.front() {
            Some(Input::Message(from, message)) => {
                self.plan.gathers() && node.may_gather(*from, message)
            }
            Some(_) | None => false,
        }
    }

    fn take(&mut self, rank: usize, input: Input) -> Result<(), String> {
        match input {
            Input::Meet(thread) => return self.meet(rank, thread),
            Input::Sync(from, message) => return self.take_sync(rank, from, message),
            _ => {}
        }
        let lost_peer = self.members[rank].lost_peer;
        let is_home_lost = |object| lost_peer == Some(home_of(object));
        let node = &mut self.members[rank].node;
        let before = observe::Before::new(node, rank, &input);
        let mut lost = Vec::new();
        match input.clone() {
            // The driver knows of the loss: it does not ask a lost home, it ends the thread.
            Input::Fault(object, _) | Input::Operate(object, ..) if is_home_lost(object) => {
                lost.push(object);
            }
            Input::Strengthen(object, _) | Input::Evict(object) | Input::Prefetch(object, _)
                if is_home_lost(object) => {}
            Input::Fault(object, access) => node.fault(object, access),
            Input::Message(from, message) => {
                let taken = match self.plan.gathers() {
                    true => node.message_to_gather(from, message),
                    false => node.message(from, message),
                };
                taken.map_err(|violation| format!("every message is expected: {violation}"))?;
            }
            Input::HoldExpired(object) => node.hold_expired(object),
            Input::Flush(token) => node.flush(token, None),
            Input::Depart(token, to) => node.flush(token, Some(to)),
            Input::Meet(_) | Input::Sync(..) => unreachable!("these are taken above"),
            Input::Operate(object, token, operation) => {
                self.operating.insert(token);
                node.operate(object, token, operation);
            }
            Input::Strengthen(object, token) => {
                self.strengthening.insert((rank, object, token));
                node.strengthen(object, token);
            }
            Input::Evict(object) => {
                if home_of(object) != rank {
                    node.evict(object);
                }
            }
            Input::Prefetch(object, access) => {
                node.prefetch(object, access);
            }
            Input::Switch(object, protocol) => {
                if node.machine.entry(object).is_some() {
                    node.set_protocol(object, protocol);
                }
            }
            Input::Reclaim(object) => {
                // A scope is left once.
                if !self.reclaiming.insert(object) {
                    return Ok(());
                }
                node.reclaim(object, Token(object.0));
            }
            Input::NodeLost(gone) => {
                lost = node.node_lost(gone);
                self.members[rank].lost_peer = Some(gone);
                self.end_operations(rank, gone);
            }
        }
        let node = &self.members[rank].node;
        if before.leaves_entry(node, rank, &input) {
            return Err("a home's fault on an unshared object leaves no entry".to_owned());
        }
        before.reach(node, rank, &input, &lost, &mut self.coverage);
        for object in lost {
            self.lose_object(rank, object);
        }
        Ok(())
    }

    fn carry_out(&mut self, rank: usize) -> Result<(), String> {
        let had_effects = !self.members[rank].node.outbox.is_empty();
        let done = self.members[rank].node.carry_out();
        if !had_effects {
            observe::reach_reply(&self.members[rank].node, &mut self.coverage);
        }
        match done {
            Done::Local => {}
            Done::Refused(violation) => {
                return Err(format!("every message is expected: {violation}"));
            }
            Done::Send(to, message) => {
                self.send(rank, usize::from(to.0), Packet::Coherence(message));
            }
            Done::Access { object, from, to } => {
                let is_held = self.members[rank].node.place(object).holds > 0;
                if to < from && is_held && self.plan.keeps_holds() {
                    return Err(format!(
                        "a hold keeps what was granted: node {rank} lost {from:?} of {object:?}"
                    ));
                }
                self.check_rights(object)?;
            }
            Done::Woken(object) => self.wake(rank, object),
            Done::Hold(object) => {
                let hold_ns = self.plan.hold_ns.expect("holds are on");
                self.after(
                    (hold_ns, hold_ns),
                    Happening::Input(rank, Input::HoldExpired(object)),
                );
            }
            Done::Ran {
                object,
                token,
                found,
                operation,
                ..
            } => self.ran(object, token, found, operation)?,
            Done::Flushed(token) => self.flushed(rank, token)?,
            Done::Operated(token, result) => self.operated(rank, token, result)?,
            Done::Strengthened(token) => self.strengthened(rank, token)?,
            Done::Retired(object) => {
                self.strengthened.remove(&object);
                self.reset(rank, object);
            }
            Done::Reclaimed(token) => self.reclaimed(rank, ObjectId(token.0))?,
        }
        Ok(())
    }

    /// The home's bytes are what there is of the object.
    fn reset(&mut self, rank: usize, object: ObjectId) {
        let bytes = self.members[rank].node.place(object).bytes;
        for (index, value) in bytes.into_iter().enumerate() {
            self.history
                .add(self.now_ns, Cell { object, index }, Event::Reset(value));
        }
    }

    fn ran(
        &mut self,
        object: ObjectId,
        token: Token,
        found: u64,
        operation: Operation,
    ) -> Result<(), String> {
        if !self.operating.remove(&token) {
            return Err(format!("an operation is run once: {token:?}"));
        }
        let cell = Cell { object, index: 0 };
        self.history.add(self.now_ns, cell, Event::Load(found));
        let left = result_of(operation, found);
        if left != found {
            self.history.add(self.now_ns, cell, Event::Store(left));
        }
        Ok(())
    }

    fn strengthened(&mut self, rank: usize, token: Token) -> Result<(), String> {
        let is_it =
            |(asker, _, asked): &&(usize, ObjectId, Token)| *asker == rank && *asked == token;
        let Some(asked) = self.strengthening.iter().find(is_it).copied() else {
            return Err(format!("an answer comes once: strengthen {token:?}"));
        };
        self.strengthening.remove(&asked);
        // A life that ended in between ends this, too; a lost home makes nothing sequential.
        let (_, object, _) = asked;
        let is_home_lost = self.members[rank].lost_peer == Some(home_of(object));
        if !self.plan.has_reclaim(object) && !is_home_lost {
            self.strengthened.insert(object);
        }
        self.check_rights(object)
    }

    fn reclaimed(&mut self, rank: usize, object: ObjectId) -> Result<(), String> {
        self.reclaiming.remove(&object);
        let others =
            (0..self.members.len()).filter(|other| *other != rank && !self.members[*other].is_lost);
        for other in others {
            if self.members[other].node.place(object).view.is_some() {
                return Err(format!(
                    "a reclaimed object is its home's alone: node {other} has {object:?}"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, from: usize, to: usize, packet: Packet) {
        if self.members[to].is_lost {
            return;
        }
        let (low, high) = self.plan.delay_ns;
        let slow = if self.random.chance(self.plan.slow_percent) {
            10
        } else {
            1
        };
        let delay_ns = slow * self.random.between(low, high);
        let link = &mut self.links[from][to];
        // In order within the link, in any order between links.
        link.last_arrival_ns = link.last_arrival_ns.max(self.now_ns + delay_ns);
        link.in_flight.push_back(packet);
        let at_ns = link.last_arrival_ns;
        self.at(at_ns, Happening::Arrival { from, to });
    }

    /// Closes its links; what was in flight is gone. Every other node is told at once, as one that
    /// finds its link closed is, and takes it in its own time.
    fn lose(&mut self, gone: usize) {
        self.members[gone].is_lost = true;
        self.strengthening.retain(|(asker, ..)| *asker != gone);
        for other in 0..self.members.len() {
            self.links[gone][other].in_flight.clear();
            self.links[other][gone].in_flight.clear();
            if other != gone {
                self.enqueue(other, Input::NodeLost(gone));
            }
        }
    }

    fn lose_object(&mut self, rank: usize, object: ObjectId) {
        if home_of(object) == rank {
            self.reset(rank, object);
            return;
        }
        for thread in &mut self.members[rank].threads {
            let is_lost = match thread.waits {
                Wait::Fault(waited) | Wait::Operation(_, waited) => waited == object,
                Wait::Nothing | Wait::Flush(_) | Wait::Lock | Wait::Barrier => false,
            };
            if is_lost {
                thread.end();
            }
        }
    }

    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, member)| !member.is_lost)
    }
}
