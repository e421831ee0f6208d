//! State of a small cluster, and what each step does to it.

mod asked;
mod stores;
mod tasks;

use std::collections::VecDeque;
use std::sync::Arc;

use umbel_wire::{Access, Coherence, ObjectId, Protocol, Token};

use super::data::Cells;
use super::knowledge::{FIRST, Knowledge, Versions};
use super::node::{Done, Fixed, INCREMENT, Node, home_of};
use super::scenario::{Budget, CELL_COUNT, Scenario};
use crate::subject::Violation;

pub use asked::Asked;
pub use tasks::Tasks;

/// A node of the model.
pub type ModelNode = Node<u8, CELL_COUNT>;

/// A message of the model.
pub type Message = Coherence<Cells<u8, CELL_COUNT>>;

/// What is on a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// A message of the machine.
    Message(Message),
    /// News: who gets it must see all of this.
    News(Versions),
    /// A task by its number, and what its thread knew.
    Task(u8, Versions),
    /// Asks for an answer when the sender's tasks up to this one are done.
    Fence(u8),
    /// That answer.
    Fenced(u8),
}

impl Sent {
    /// Whether it is a message about this object.
    pub fn is_about(&self, object: ObjectId) -> bool {
        match self {
            Self::Message(message) => message.object() == object,
            Self::News(_) | Self::Task(..) | Self::Fence(_) | Self::Fenced(_) => false,
        }
    }
}

/// News, or a task, that waits for a flush.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct News {
    from: usize,
    token: Token,
    to: usize,
    /// What the teller knew when it asked.
    knew: Versions,
    /// The task's number.
    task: Option<u8>,
}

/// Tokens of a node's operations; those of flushes are below.
const OPERATION_TOKENS: u64 = 16;

/// Tokens of a node's news.
const NEWS_TOKENS: u64 = 48;

/// Tokens of a node's requests for sequential objects.
const STRENGTHEN_TOKENS: u64 = 32;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A thread faults, or a fault is reported late or twice.
    Fault(usize, ObjectId, Access),
    /// A thread stores into a cell; its view allows it.
    Store(usize, ObjectId, usize),
    /// A thread releases: what this node's threads stored must become visible.
    Flush(usize),
    /// A thread of the first node has news for a thread of the second: what it knows came before.
    Tell(usize, usize),
    /// A thread of the first node asks something of the second, and goes on without the answer.
    Ask(usize, usize),
    /// A thread pins an object for such accesses, if the node has the rights.
    Pin(usize, ObjectId, Access),
    /// It lets go.
    Unpin(usize, ObjectId),
    /// The driver lets threads write what they can read.
    WriteAhead(usize, ObjectId),
    /// The driver sends what was written of one object before it flushes the others.
    SendPart(usize, ObjectId),
    /// A copy is dropped for want of room.
    Evict(usize, ObjectId),
    /// The driver asks for what a thread may want soon.
    Prefetch(usize, ObjectId, Access),
    /// A thread adds one to the first cell, at the object's home.
    Operate(usize, ObjectId),
    /// A thread needs the object to be sequential.
    Strengthen(usize, ObjectId),
    /// The home switches.
    Switch(ObjectId, Protocol),
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
#[derive(Clone, Debug, Hash)]
pub struct World {
    /// The nodes by rank; a step changes one, and the next state shares the others.
    pub nodes: Vec<Arc<ModelNode>>,
    /// `links[from][to]`, oldest message first.
    pub links: Vec<Arc<Vec<VecDeque<Sent>>>>,
    /// The newest version of every cell. Of a sequential object every view shows it.
    pub latest: Vec<[u8; CELL_COUNT]>,
    /// Whether the object is sequential by now.
    pub is_sequential: Vec<bool>,
    /// What each node must see.
    pub knowledge: Arc<Knowledge>,
    /// Operations, and requests for sequential objects, under way.
    pub asked: Vec<Asked>,
    /// News that has not departed.
    pub telling: Vec<News>,
    /// Tasks, by who asked them.
    tasks: Vec<Tasks>,
    pub(super) faults_left: Vec<u8>,
    pub(super) stores_left: Vec<[u8; CELL_COUNT]>,
    pub(super) reclaims_left: Vec<u8>,
    pub(super) budgets: Vec<Budget>,
    /// Reclaims in progress, per object.
    pub(super) reclaiming: Vec<bool>,
    /// The node that was lost.
    pub(super) lost: Option<usize>,
    /// Nodes that have not learnt of it.
    pub(super) unaware: Vec<bool>,
}

impl World {
    /// The cluster before anybody faults.
    pub fn new(scenario: &Scenario) -> Self {
        let count = usize::from(scenario.node_count);
        let fixed = scenario.objects.iter().map(|declared| Fixed {
            object: declared.object,
            policy: declared.policy,
            exists: declared.exists,
            tracks_writes: declared.tracks_writes,
        });
        let fixed: Arc<[Fixed]> = fixed.collect();
        let node = |rank| {
            let mut node = Node::new(scenario.config(rank), &fixed);
            for (declared, place) in scenario.objects.iter().zip(&mut node.places) {
                if home_of(declared.object) == usize::from(rank) {
                    place.bytes = [FIRST; CELL_COUNT];
                }
            }
            node
        };
        let object_count = scenario.objects.len();
        let mut budgets = scenario.budgets.clone();
        budgets.resize(count, Budget::default());
        Self {
            nodes: (0..scenario.node_count).map(node).map(Arc::new).collect(),
            links: (0..count)
                .map(|_| Arc::new(vec![VecDeque::new(); count]))
                .collect(),
            latest: vec![[FIRST; CELL_COUNT]; object_count],
            is_sequential: scenario
                .objects
                .iter()
                .map(|declared| !declared.is_weak())
                .collect(),
            knowledge: Arc::new(Knowledge::new(scenario)),
            asked: Vec::new(),
            telling: Vec::new(),
            tasks: vec![Tasks::default(); count],
            faults_left: vec![scenario.faults_per_node.unwrap_or(1); count],
            stores_left: vec![[scenario.stores_per_cell.unwrap_or(1); CELL_COUNT]; object_count],
            reclaims_left: vec![scenario.reclaims_per_object.unwrap_or(1); object_count],
            budgets,
            reclaiming: vec![false; object_count],
            lost: None,
            unaware: vec![false; count],
        }
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
            Step::Store(rank, object, cell) => {
                self.store(scenario, rank, scenario.index_of(object), cell);
                super::checks::always(self, scenario)
            }
            Step::Flush(rank) => {
                self.budgets[rank].flushes -= 1;
                let is_used = |token: &Token| self.knowledge.is_flushing(rank, *token);
                let token = (0..).map(Token).find(|token| !is_used(token));
                let token = token.expect("tokens are many");
                self.knowledge_mut().flush_began(scenario, rank, token);
                self.node_mut(rank).flush(token, None);
                self.settle(scenario, rank)
            }
            Step::Tell(rank, to) => {
                self.budgets[rank].news -= 1;
                self.tell(rank, to, None);
                self.settle(scenario, rank)
            }
            Step::Ask(rank, to) => {
                self.budgets[rank].tasks -= 1;
                self.ask_task(rank, to);
                self.settle(scenario, rank)
            }
            Step::Pin(rank, object, access) => {
                let is_done = self.node_mut(rank).pin(object, access);
                self.budgets[rank].pins -= u8::from(is_done);
                Ok(())
            }
            Step::Unpin(rank, object) => {
                self.node_mut(rank).unpin(object);
                self.settle(scenario, rank)
            }
            Step::WriteAhead(rank, object) => {
                let is_done = self.node_mut(rank).write_ahead(object);
                self.budgets[rank].aheads -= u8::from(is_done);
                self.settle(scenario, rank)
            }
            Step::SendPart(rank, object) => {
                self.budgets[rank].parts -= 1;
                self.node_mut(rank).send_part(object);
                self.settle(scenario, rank)
            }
            Step::Evict(rank, object) => {
                let is_done = self.node_mut(rank).evict(object);
                self.budgets[rank].evictions -= u8::from(is_done);
                self.settle(scenario, rank)
            }
            Step::Prefetch(rank, object, access) => {
                let is_done = self.node_mut(rank).prefetch(object, access);
                self.budgets[rank].prefetches -= u8::from(is_done);
                self.settle(scenario, rank)
            }
            Step::Operate(rank, object) => {
                self.budgets[rank].operations -= 1;
                let token = self.ask(scenario, rank, object, OPERATION_TOKENS);
                self.node_mut(rank).operate(object, token, INCREMENT);
                self.settle(scenario, rank)
            }
            Step::Strengthen(rank, object) => {
                self.budgets[rank].strengthens -= 1;
                let token = self.ask(scenario, rank, object, STRENGTHEN_TOKENS);
                self.node_mut(rank).strengthen(object, token);
                self.settle(scenario, rank)
            }
            Step::Switch(object, protocol) => {
                let rank = home_of(object);
                self.budgets[rank].switches -= 1;
                self.node_mut(rank).set_protocol(object, protocol);
                self.settle(scenario, rank)
            }
            Step::Deliver(from, rank) => {
                let sent = self
                    .link_mut(from, rank)
                    .pop_front()
                    .expect("the step was listed");
                match sent {
                    Sent::News(knew) => self.knowledge_mut().learnt(rank, &knew),
                    Sent::Task(number, knew) => self.task_arrives(from, rank, number, &knew),
                    Sent::Fence(newest) => self.send(rank, from, Sent::Fenced(newest)),
                    Sent::Fenced(newest) => self.end_debts(rank, from, newest),
                    Sent::Message(message) => {
                        let node = self.node_mut(rank);
                        let taken = match scenario.gathers {
                            true => node.message_to_gather(from, message),
                            false => node.message(from, message),
                        };
                        taken.map_err(unexpected)?;
                    }
                }
                self.settle(scenario, rank)
            }
            Step::HoldExpires(rank, object) => {
                self.node_mut(rank).hold_expired(object);
                self.settle(scenario, rank)
            }
            Step::Reclaim(object) => {
                let index = scenario.index_of(object);
                if scenario.reclaims_per_object.is_some() {
                    self.reclaims_left[index] -= 1;
                }
                self.reclaiming[index] = true;
                self.node_mut(home_of(object))
                    .reclaim(object, Token(index as u64));
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
    pub fn present(&self) -> impl Iterator<Item = (usize, &ModelNode)> {
        self.nodes
            .iter()
            .map(Arc::as_ref)
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

    pub(super) fn knowledge_mut(&mut self) -> &mut Knowledge {
        Arc::make_mut(&mut self.knowledge)
    }

    fn link_mut(&mut self, from: usize, to: usize) -> &mut VecDeque<Sent> {
        &mut Arc::make_mut(&mut self.links[from])[to]
    }

    fn node_mut(&mut self, rank: usize) -> &mut ModelNode {
        Arc::make_mut(&mut self.nodes[rank])
    }

    /// What is sent to a lost node is gone.
    fn send(&mut self, from: usize, to: usize, sent: Sent) {
        if self.lost != Some(to) {
            self.link_mut(from, to).push_back(sent);
        }
    }

    /// A thread of `rank` has news for one of `to`, with a task or alone: it departs behind a flush.
    fn tell(&mut self, rank: usize, to: usize, task: Option<u8>) {
        let is_used = |token: &Token| {
            let mut waiting = self.telling.iter();
            waiting.any(|news| news.from == rank && news.token == *token)
        };
        let token = (NEWS_TOKENS..).map(Token).find(|token| !is_used(token));
        let token = token.expect("tokens are many");
        self.telling.push(News {
            from: rank,
            token,
            to,
            knew: self.knowledge.known(rank).clone(),
            task,
        });
        self.node_mut(rank).flush(token, Some(to));
    }

    /// A driver that knows of the loss ends the thread instead of asking a lost home.
    pub(super) fn knows_home_lost(&self, rank: usize, object: ObjectId) -> bool {
        self.is_home_lost(object) && !self.unaware[rank]
    }

    fn lose(&mut self, scenario: &Scenario, gone: usize) {
        self.nodes[gone] = Arc::new(self.nodes[gone].gone());
        for other in 0..self.nodes.len() {
            self.link_mut(gone, other).clear();
            self.link_mut(other, gone).clear();
            self.unaware[other] = other != gone;
        }
        self.lost = Some(gone);
        self.budgets[gone] = Budget::default();
        self.knowledge_mut().lost(gone);
        self.asked.retain(|asked| asked.rank != gone);
        self.telling.retain(|news| news.from != gone);
        for (index, declared) in scenario.objects.iter().enumerate() {
            self.reclaiming[index] &= !self.is_home_lost(declared.object);
        }
    }

    fn learn(&mut self, scenario: &Scenario, rank: usize) {
        self.unaware[rank] = false;
        let gone = self.lost.expect("a node was lost");
        for object in self.node_mut(rank).node_lost(gone) {
            let index = scenario.index_of(object);
            if home_of(object) == rank {
                // The home's older bytes take the place of the lost ones.
                self.begin_anew(scenario, index);
            } else {
                let place = self.node_mut(rank).place_mut(object);
                place.reader_waits = false;
                place.writer_waits = false;
            }
        }
        self.tasks_forgiven(rank, gone);
        // Threads that wait for results of the lost home end as those that faulted.
        let is_lost = |asked: &Asked| {
            asked.rank == rank && asked.home == gone && asked.token.0 < STRENGTHEN_TOKENS
        };
        self.asked.retain(|asked| !is_lost(asked));
    }

    fn fault(&mut self, rank: usize, object: ObjectId, access: Access) -> Result<(), Broken> {
        let node = self.node_mut(rank);
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
        while !self.nodes[rank].is_free() && !self.nodes[rank].is_put_off() {
            if self.nodes[rank]
                .next_touches()
                .is_some_and(|object| self.nodes[rank].place(object).view == Some(Access::Write))
            {
                return Ok(());
            }
            if self.budgets[rank].parts > 0 && self.nodes[rank].may_flush() {
                return Ok(());
            }
            self.carry_out(scenario, rank)?;
        }
        self.send_fences(rank);
        super::checks::always(self, scenario)
    }

    fn carry_out(&mut self, scenario: &Scenario, rank: usize) -> Result<(), Broken> {
        match self.node_mut(rank).carry_out() {
            Done::Local | Done::Woken(_) | Done::Hold(_) => {}
            Done::Refused(violation) => return Err(unexpected(violation)),
            Done::Send(to, message) => {
                self.send(rank, usize::from(to.0), Sent::Message(message));
            }
            Done::Access { object, from, to } => {
                super::checks::pin_is_kept(self, scenario, rank, object, to)?;
                super::checks::hold_is_kept(self, scenario, rank, object, from, to)?;
            }
            Done::Ran {
                object,
                from,
                token,
                found,
                ..
            } => self.ran(scenario, object, usize::from(from.0), token, found)?,
            Done::Flushed(token) if token.0 >= NEWS_TOKENS => {
                let is_it = |news: &News| news.from == rank && news.token == token;
                let Some(place) = self.telling.iter().position(is_it) else {
                    return Err(Broken {
                        rule: "an answer comes once",
                        detail: format!("news {token:?} of node {rank}"),
                    });
                };
                let News { to, knew, task, .. } = self.telling.remove(place);
                match task {
                    Some(number) => self.task_departs(rank, number, knew),
                    None => self.send(rank, to, Sent::News(knew)),
                }
            }
            Done::Flushed(token) => {
                let reclaiming = self.reclaiming.clone();
                if !self.knowledge_mut().flush_ended(rank, token, &reclaiming) {
                    return Err(Broken {
                        rule: "an answer comes once",
                        detail: format!("flush {token:?} of node {rank}"),
                    });
                }
            }
            Done::Operated(token, result) => self.answered(rank, token, Some(result))?,
            Done::Strengthened(token) => self.answered(rank, token, None)?,
            Done::Retired(object) => {
                let index = scenario.index_of(object);
                self.is_sequential[index] = !scenario.objects[index].is_weak();
                self.begin_anew(scenario, index);
            }
            Done::Reclaimed(token) => {
                let index = usize::try_from(token.0).expect("tokens are indices");
                self.reclaiming[index] = false;
                super::checks::is_alone(self, scenario, rank, index)?;
            }
        }
        super::checks::always(self, scenario)
    }
}

fn unexpected(violation: Violation) -> Broken {
    Broken {
        rule: "every message is expected",
        detail: violation.to_string(),
    }
}
