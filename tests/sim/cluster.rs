//! Nodes, links, threads and clocks of one run, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use umbel_wire::{Access, Coherence, ObjectId, Token};

use super::coverage::Coverage;
use super::history::{Event, History};
use super::observe;
use super::plan::{Operation, Plan};
use super::random::Random;
use crate::model::node::Done;
use crate::model::{Node, home_of};

/// Steps of one run before it counts as a livelock: some hundred times what the longest plan needs.
const STEPS_MAX: u64 = 3_000_000;

/// What a node's service thread takes, one after the other.
#[derive(Clone, Debug)]
pub enum Input {
    /// A thread of this node faulted.
    Fault(ObjectId, Access),
    /// A message arrived.
    Message(usize, Coherence<u64>),
    /// A hold is over.
    HoldExpired(ObjectId),
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

struct Thread {
    program: VecDeque<Operation>,
    /// The object it waits for; it retries when woken.
    waits_for: Option<ObjectId>,
}

struct Member {
    node: Node<u64>,
    inbox: VecDeque<Input>,
    is_serving: bool,
    is_lost: bool,
    /// The lost node it was told of.
    lost_peer: Option<usize>,
    threads: Vec<Thread>,
}

struct Link {
    in_flight: VecDeque<Coherence<u64>>,
    last_arrival_ns: u64,
}

/// One run.
pub struct Cluster {
    plan: Plan,
    random: Random,
    now_ns: u64,
    /// Breaks ties of time, so that a seed fixes the order.
    sequence: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    members: Vec<Member>,
    links: Vec<Vec<Link>>,
    reclaiming: BTreeSet<ObjectId>,
    next_value: u64,
    /// What the threads saw.
    pub history: History,
    /// What was reached.
    pub coverage: Coverage,
}

impl Cluster {
    /// The cluster of a plan, before anything happens; `random` decides the rest.
    pub fn new(plan: Plan, random: Random) -> Self {
        let count = usize::from(plan.node_count);
        let member = |rank: u16| Member {
            node: Node::counting(
                rank,
                plan.node_count,
                plan.hold_ns.is_some(),
                &plan.objects,
                |_| 0,
            ),
            inbox: VecDeque::new(),
            is_serving: false,
            is_lost: false,
            lost_peer: None,
            threads: (plan.threads[usize::from(rank)].iter())
                .map(|program| Thread {
                    program: program.iter().copied().collect(),
                    waits_for: None,
                })
                .collect(),
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
            next_value: 1,
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
                return Err("every program ends: livelock".to_owned());
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
        for (at_ns, object) in self.plan.reclaims.clone() {
            self.at(
                at_ns,
                Happening::Input(home_of(object), Input::Reclaim(object)),
            );
        }
        if let Some((at_ns, rank)) = self.plan.loss {
            self.at(at_ns, Happening::Loss(rank));
        }
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

    fn arrive(&mut self, from: usize, to: usize) {
        // Nothing in flight: the link was closed meanwhile.
        if let Some(message) = self.links[from][to].in_flight.pop_front() {
            self.enqueue(to, Input::Message(from, message));
        }
    }

    fn enqueue(&mut self, rank: usize, input: Input) {
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
        if self.members[rank].node.outbox.is_empty() {
            if let Some(input) = self.members[rank].inbox.pop_front() {
                self.take(rank, input)?;
            }
        } else {
            self.carry_out(rank)?;
        }
        let member = &mut self.members[rank];
        if member.node.outbox.is_empty() && member.inbox.is_empty() {
            member.is_serving = false;
        } else {
            self.after(self.plan.service_ns, Happening::Service(rank));
        }
        self.check_rights(rank)
    }

    fn take(&mut self, rank: usize, input: Input) -> Result<(), String> {
        let lost_peer = self.members[rank].lost_peer;
        let node = &mut self.members[rank].node;
        let before = observe::Before::new(node, rank, &input);
        let mut lost = Vec::new();
        match input.clone() {
            // The driver knows of the loss: it does not ask a lost home, it ends the thread.
            Input::Fault(object, _) if lost_peer == Some(home_of(object)) => lost.push(object),
            Input::Fault(object, access) => node.fault(object, access),
            Input::Message(from, message) => {
                node.message(from, message)
                    .map_err(|violation| format!("every message is expected: {violation}"))?;
            }
            Input::HoldExpired(object) => node.hold_expired(object),
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
            }
        }
        if before.leaves_entry(&self.members[rank].node, rank, &input) {
            return Err("a home's fault on an unshared object leaves no entry".to_owned());
        }
        before.reach(
            &self.members[rank].node,
            rank,
            &input,
            &lost,
            &mut self.coverage,
        );
        for object in lost {
            self.lose_object(rank, object);
        }
        Ok(())
    }

    fn carry_out(&mut self, rank: usize) -> Result<(), String> {
        match self.members[rank].node.carry_out() {
            Done::Local => {}
            Done::Send(to, message) => self.send(rank, usize::from(to.0), message),
            Done::Access { object, from, to } => {
                let is_held = self.members[rank].node.place(object).holds > 0;
                // After an object's life, holds left over from it may end those of the next one early.
                if to < from && is_held && self.plan.reclaims.is_empty() {
                    return Err(format!(
                        "a hold keeps what was granted: node {rank} lost {from:?} of {object:?}"
                    ));
                }
            }
            Done::Woken(object) => self.wake(rank, object),
            Done::Hold(object) => {
                let hold_ns = self.plan.hold_ns.expect("holds are on");
                self.after(
                    (hold_ns, hold_ns),
                    Happening::Input(rank, Input::HoldExpired(object)),
                );
            }
            Done::Retired(object) => {
                let value = self.members[rank].node.place(object).bytes;
                self.history.add(self.now_ns, object, Event::Reset(value));
            }
            Done::Reclaimed(token) => {
                let object = ObjectId(token.0);
                self.reclaiming.remove(&object);
                let others = (0..self.members.len())
                    .filter(|other| *other != rank && !self.members[*other].is_lost);
                for other in others {
                    if self.members[other].node.place(object).view.is_some() {
                        return Err(format!(
                            "a reclaimed object is its home's alone: node {other} has {object:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: Coherence<u64>) {
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
        link.in_flight.push_back(message);
        let at_ns = link.last_arrival_ns;
        self.at(at_ns, Happening::Arrival { from, to });
    }

    fn wake(&mut self, rank: usize, object: ObjectId) {
        for thread in 0..self.members[rank].threads.len() {
            if self.members[rank].threads[thread].waits_for == Some(object) {
                self.members[rank].threads[thread].waits_for = None;
                // A wake takes 5 to 45 us on another core (notes: fault costs).
                self.after((500, 45_000), Happening::Thread(rank, thread));
            }
        }
    }

    fn run_thread(&mut self, rank: usize, thread: usize) {
        let member = &mut self.members[rank];
        let Some(operation) = member.threads[thread].program.front().copied() else {
            return;
        };
        if member.is_lost {
            return;
        }
        let object = operation.object();
        let access = match operation {
            Operation::Load(_) => Access::Read,
            Operation::Store(_) | Operation::Increment(_) => Access::Write,
        };
        let place = member.node.place_mut(object);
        if place.view < Some(access) {
            self.wait(rank, thread, object, access);
            return;
        }
        let event = match operation {
            Operation::Load(_) => Event::Load(place.bytes),
            Operation::Store(_) => {
                self.next_value += 1 << 20;
                place.bytes = self.next_value;
                Event::Store(place.bytes)
            }
            Operation::Increment(_) => {
                place.bytes += 1;
                Event::Increment(place.bytes - 1)
            }
        };
        member.threads[thread].program.pop_front();
        self.history.add(self.now_ns, object, event);
        self.after(self.plan.think_ns, Happening::Thread(rank, thread));
    }

    fn wait(&mut self, rank: usize, thread: usize, object: ObjectId, access: Access) {
        self.members[rank].threads[thread].waits_for = Some(object);
        self.enqueue(rank, Input::Fault(object, access));
        if self.random.chance(self.plan.duplicate_percent) {
            self.enqueue(rank, Input::Fault(object, access));
        }
    }

    /// Closes its links; what was in flight is gone. Every other node is told at once, as one that
    /// finds its link closed is, and takes it in its own time.
    fn lose(&mut self, gone: usize) {
        self.members[gone].is_lost = true;
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
            let value = self.members[rank].node.place(object).bytes;
            self.history.add(self.now_ns, object, Event::Reset(value));
            return;
        }
        for thread in &mut self.members[rank].threads {
            if thread.waits_for == Some(object) {
                thread.waits_for = None;
                thread.program.clear();
            }
        }
    }

    /// One writer or many readers; no view above what its machine gave.
    fn check_rights(&self, rank: usize) -> Result<(), String> {
        for object in &self.plan.objects {
            let present = self.members.iter().filter(|member| !member.is_lost);
            let views: Vec<_> = present
                .map(|member| member.node.place(*object).view)
                .collect();
            let writers = views
                .iter()
                .filter(|view| **view == Some(Access::Write))
                .count();
            let holders = views.iter().filter(|view| view.is_some()).count();
            if writers > 1 || (writers == 1 && holders > 1) {
                return Err(format!("one writer or many readers: {object:?} {views:?}"));
            }
            let node = &self.members[rank].node;
            if node.outbox.is_empty() && node.place(*object).view > node.machine.rights(*object) {
                return Err(format!(
                    "a view has no more rights than the machine gave: node {rank} {object:?}"
                ));
            }
        }
        Ok(())
    }

    fn check_end(&self) -> Result<(), String> {
        for (rank, member) in self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| !member.is_lost)
        {
            for thread in &member.threads {
                if !thread.program.is_empty() {
                    return Err(format!(
                        "every program ends: node {rank} waits for {:?}",
                        thread.waits_for
                    ));
                }
            }
        }
        let mut unfinished = self
            .reclaiming
            .iter()
            .filter(|object| !self.members[home_of(**object)].is_lost);
        if let Some(object) = unfinished.next() {
            return Err(format!("every reclaim ends: {object:?}"));
        }
        self.history
            .check()
            .map_err(|error| format!("the history is one memory's: {error}"))
    }
}
