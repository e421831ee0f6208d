//! State of a small cluster, and every step it can take.

use std::collections::VecDeque;

use umbel_wire::{Access, Coherence, ObjectId, Token};

use super::node::{Done, Node, home_of};
use crate::subject::Effect;

/// Whether a copy of an object's bytes is the last one written. Writing makes every other copy stale,
/// wherever it is; so the numbers of writes need no bound and the state space is finite all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bytes {
    /// The last value written.
    Newest,
    /// Any older value.
    Stale,
}

/// What to explore.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Nodes of the cluster.
    pub node_count: u16,
    /// The objects used.
    pub objects: Vec<ObjectId>,
    /// Whether grants come with a hold.
    pub minimum_hold: bool,
    /// Faults per node; `None`: any number.
    pub faults_per_node: Option<u8>,
    /// Reclaims per object; `None`: any number.
    pub reclaims_per_object: Option<u8>,
    /// Whether faults happen though the view allows the access already, or the thread waits already.
    pub stray_faults: bool,
    /// A node that may be lost at any time.
    pub may_lose: Option<usize>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A thread faults, or a fault is reported late or twice.
    Fault(usize, ObjectId, Access),
    /// A thread stores; its view allows it.
    Store(usize, ObjectId),
    /// The oldest message of a link arrives: from, to.
    Deliver(usize, usize),
    /// A hold ends.
    HoldExpires(usize, ObjectId),
    /// The home leaves the object's scope.
    Reclaim(ObjectId),
    /// The node's driver carries out effects, up to the next point where a thread's store matters.
    CarryOut(usize),
    /// A node vanishes; what was on its links is gone.
    Lose(usize),
    /// A node learns that another was lost.
    Learn(usize),
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

/// Everything that distinguishes one moment from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes by rank.
    pub nodes: Vec<Node<Bytes>>,
    /// `links[from][to]`, oldest message first.
    pub links: Vec<Vec<VecDeque<Coherence<Bytes>>>>,
    faults_left: Vec<u8>,
    reclaims_left: Vec<u8>,
    /// Reclaims in progress, per object.
    reclaiming: Vec<bool>,
    /// The node that was lost.
    lost: Option<usize>,
    /// Nodes that have not learnt of it.
    unaware: Vec<bool>,
}

impl World {
    /// The cluster before anybody faults.
    pub fn new(scenario: &Scenario) -> Self {
        let count = usize::from(scenario.node_count);
        let bytes = |is_home: bool| if is_home { Bytes::Newest } else { Bytes::Stale };
        let node = |rank| {
            Node::new(
                rank,
                scenario.node_count,
                scenario.minimum_hold,
                &scenario.objects,
                bytes,
            )
        };
        Self {
            nodes: (0..scenario.node_count).map(node).collect(),
            links: vec![vec![VecDeque::new(); count]; count],
            faults_left: vec![scenario.faults_per_node.unwrap_or(1); count],
            reclaims_left: vec![scenario.reclaims_per_object.unwrap_or(1); scenario.objects.len()],
            reclaiming: vec![false; scenario.objects.len()],
            lost: None,
            unaware: vec![false; count],
        }
    }

    /// Steps of the protocol: what happens by itself, whatever the threads do.
    pub fn protocol_steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        for (rank, node) in self.nodes.iter().enumerate() {
            if !node.outbox.is_empty() {
                steps.push(Step::CarryOut(rank));
                continue;
            }
            if self.unaware[rank] {
                steps.push(Step::Learn(rank));
            }
            let arrives = |from: &usize| !self.links[*from][rank].is_empty();
            steps.extend(
                (0..self.nodes.len())
                    .filter(arrives)
                    .map(|from| Step::Deliver(from, rank)),
            );
            let held = scenario
                .objects
                .iter()
                .filter(|object| node.place(**object).holds > 0);
            steps.extend(held.map(|object| Step::HoldExpires(rank, *object)));
        }
        steps
    }

    /// Steps of the program: what threads may do.
    pub fn program_steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        for (rank, node) in self.present() {
            for object in &scenario.objects {
                if node.place(*object).view == Some(Access::Write) {
                    steps.push(Step::Store(rank, *object));
                }
                if !node.outbox.is_empty()
                    || self.faults_left[rank] == 0
                    || self.knows_home_lost(rank, *object)
                {
                    continue;
                }
                for access in [Access::Read, Access::Write] {
                    let place = node.place(*object);
                    let waits = match access {
                        Access::Read => place.reader_waits,
                        Access::Write => place.writer_waits,
                    };
                    let is_stray = waits || place.view >= Some(access);
                    if scenario.stray_faults || !is_stray {
                        steps.push(Step::Fault(rank, *object, access));
                    }
                }
            }
        }
        for (index, object) in scenario.objects.iter().enumerate() {
            let is_free = self.nodes[home_of(*object)].outbox.is_empty();
            let is_present = self.lost != Some(home_of(*object));
            if is_free && is_present && !self.reclaiming[index] && self.reclaims_left[index] > 0 {
                steps.push(Step::Reclaim(*object));
            }
        }
        if self.lost.is_none() {
            steps.extend(scenario.may_lose.map(Step::Lose));
        }
        steps
    }

    /// Takes a step that was listed; an error names the rule that broke on the way.
    pub fn take(&mut self, scenario: &Scenario, step: Step) -> Result<(), Broken> {
        match step {
            Step::Fault(rank, object, access) => {
                if scenario.faults_per_node.is_some() {
                    self.faults_left[rank] -= 1;
                }
                self.fault(rank, object, access)?;
                self.settle(scenario, rank)
            }
            Step::Store(rank, object) => {
                self.write(scenario, rank, object);
                super::checks::always(self, scenario)
            }
            Step::Deliver(from, rank) => {
                let message = self.links[from][rank]
                    .pop_front()
                    .expect("the step was listed");
                self.nodes[rank]
                    .message(from, message)
                    .map_err(|violation| Broken {
                        rule: "every message is expected",
                        detail: violation.to_string(),
                    })?;
                self.settle(scenario, rank)
            }
            Step::HoldExpires(rank, object) => {
                self.nodes[rank].hold_expired(object);
                self.settle(scenario, rank)
            }
            Step::Reclaim(object) => {
                let index = index_of(scenario, object);
                if scenario.reclaims_per_object.is_some() {
                    self.reclaims_left[index] -= 1;
                }
                self.reclaiming[index] = true;
                self.nodes[home_of(object)].reclaim(object, Token(index as u64));
                self.settle(scenario, home_of(object))
            }
            Step::CarryOut(rank) => {
                self.carry_out(scenario, rank)?;
                self.settle(scenario, rank)
            }
            Step::Lose(rank) => {
                self.lose(scenario, rank);
                Ok(())
            }
            Step::Learn(rank) => {
                self.learn(scenario, rank);
                self.settle(scenario, rank)
            }
        }
    }

    /// The nodes that were not lost, with their ranks.
    pub fn present(&self) -> impl Iterator<Item = (usize, &Node<Bytes>)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(rank, _)| self.lost != Some(*rank))
    }

    /// Whether the object's home was lost.
    pub fn is_home_lost(&self, object: ObjectId) -> bool {
        self.lost == Some(home_of(object))
    }

    /// Whether a reclaim of this object is in progress.
    pub fn is_reclaiming(&self, index: usize) -> bool {
        self.reclaiming[index]
    }

    /// A driver that knows of the loss ends the thread instead of asking a lost home.
    fn knows_home_lost(&self, rank: usize, object: ObjectId) -> bool {
        self.is_home_lost(object) && !self.unaware[rank]
    }

    fn lose(&mut self, scenario: &Scenario, gone: usize) {
        let rank = u16::try_from(gone).expect("worlds are small");
        let mut nothing = Node::new(rank, scenario.node_count, false, &scenario.objects, |_| {
            Bytes::Stale
        });
        for place in &mut nothing.places {
            place.view = None;
        }
        self.nodes[gone] = nothing;
        for other in 0..self.nodes.len() {
            self.links[gone][other].clear();
            self.links[other][gone].clear();
            self.unaware[other] = other != gone;
        }
        self.lost = Some(gone);
        for (index, object) in scenario.objects.iter().enumerate() {
            self.reclaiming[index] &= !self.is_home_lost(*object);
        }
    }

    fn learn(&mut self, scenario: &Scenario, rank: usize) {
        self.unaware[rank] = false;
        let gone = self.lost.expect("a node was lost");
        for object in self.nodes[rank].node_lost(gone) {
            if home_of(object) == rank {
                // The home's older bytes take the place of the lost ones.
                self.write(scenario, rank, object);
            } else {
                let place = self.nodes[rank].place_mut(object);
                place.reader_waits = false;
                place.writer_waits = false;
            }
        }
    }

    fn fault(&mut self, rank: usize, object: ObjectId, access: Access) -> Result<(), Broken> {
        let node = &mut self.nodes[rank];
        let was_unshared = home_of(object) == rank && node.machine.entry(object).is_none();
        node.fault(object, access);
        if was_unshared && node.machine.entry(object).is_some() {
            return Err(Broken {
                rule: "a home's fault on an unshared object leaves no entry",
                detail: String::new(),
            });
        }
        Ok(())
    }

    /// Carries out effects as long as no thread of the node could store into the effect's object in
    /// between. What is skipped are orders of independent steps: an effect touches this node alone,
    /// but for a message that only becomes deliverable earlier.
    fn settle(&mut self, scenario: &Scenario, rank: usize) -> Result<(), Broken> {
        while let Some(effect) = self.nodes[rank].outbox.front() {
            if effect
                .object()
                .is_some_and(|object| self.nodes[rank].place(object).view == Some(Access::Write))
            {
                return Ok(());
            }
            self.carry_out(scenario, rank)?;
        }
        super::checks::always(self, scenario)
    }

    fn carry_out(&mut self, scenario: &Scenario, rank: usize) -> Result<(), Broken> {
        match self.nodes[rank].carry_out() {
            Done::Local | Done::Woken(_) | Done::Hold(_) => {}
            Done::Send(to, message) => {
                let to = usize::from(to.0);
                if self.lost != Some(to) {
                    self.links[rank][to].push_back(message);
                }
            }
            Done::Access { object, from, to } => {
                let is_held = self.nodes[rank].place(object).holds > 0;
                // After an object's life, holds left over from it may end those of the next one early.
                let has_lives = scenario.reclaims_per_object != Some(0);
                if to < from && is_held && !has_lives {
                    let detail = format!("node {rank} lost {from:?} of {object:?} during its hold");
                    return Err(Broken {
                        rule: "a hold keeps what was granted",
                        detail,
                    });
                }
            }
            Done::Retired(object) => self.write(scenario, rank, object),
            Done::Reclaimed(token) => {
                let index = usize::try_from(token.0).expect("tokens are indices");
                self.reclaiming[index] = false;
                let holder = self
                    .nodes
                    .iter()
                    .position(|node| node.places[index].view.is_some());
                if holder.is_some_and(|holder| holder != rank) {
                    let detail = format!(
                        "node {holder:?} can still use {:?}",
                        scenario.objects[index]
                    );
                    return Err(Broken {
                        rule: "a reclaimed object is its home's alone",
                        detail,
                    });
                }
            }
        }
        super::checks::always(self, scenario)
    }

    /// The node's bytes of the object become the newest; all others are stale, on the way too. At the
    /// end of a life this is how the next one begins: with whatever the home has.
    fn write(&mut self, scenario: &Scenario, rank: usize, object: ObjectId) {
        let index = index_of(scenario, object);
        for node in &mut self.nodes {
            node.places[index].bytes = Bytes::Stale;
            for effect in &mut node.outbox {
                if let Effect::Store {
                    object: stored,
                    data,
                } = effect
                    && *stored == object
                {
                    *data = Bytes::Stale;
                }
            }
        }
        for message in self.links.iter_mut().flatten().flatten() {
            if message.object() != object {
                continue;
            }
            match message {
                Coherence::Grant {
                    data: Some(data), ..
                }
                | Coherence::Recalled { data, .. } => *data = Bytes::Stale,
                Coherence::Grant { data: None, .. }
                | Coherence::Get { .. }
                | Coherence::Deny { .. }
                | Coherence::Recall { .. }
                | Coherence::Invalidate { .. }
                | Coherence::Invalidated { .. }
                | Coherence::Flush { .. }
                | Coherence::Return { .. }
                | Coherence::Flushed { .. }
                | Coherence::Update { .. }
                | Coherence::Updated { .. }
                | Coherence::Operate { .. }
                | Coherence::Operated { .. }
                | Coherence::Strengthen { .. }
                | Coherence::Strengthened { .. } => {}
            }
        }
        self.nodes[rank].places[index].bytes = Bytes::Newest;
    }
}

fn index_of(scenario: &Scenario, object: ObjectId) -> usize {
    scenario
        .objects
        .iter()
        .position(|known| *known == object)
        .expect("the scenario lists its objects")
}
