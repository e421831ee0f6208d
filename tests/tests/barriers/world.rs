//! The shipping machines, the links between them, and the threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use umbel_coherence::{SyncBranches, SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use super::{Fault, Scenario};

const HOME: NodeId = NodeId(0);
const BARRIER: SyncKey = SyncKey(8);

/// A request of no thread at the barrier.
const OTHER: Token = Token(999);

/// What a search has met.
pub type Met = BTreeSet<&'static str>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Thread {
    node: NodeId,
    left: u32,
    waits: bool,
}

/// How often each thread has come, as far as somebody has heard. Empty if the scenario doesn't ask.
type News = Vec<u32>;

#[derive(Clone, Hash)]
pub struct World {
    home: SyncHome,
    others: Vec<SyncBranches>,
    links: BTreeMap<(NodeId, NodeId), VecDeque<(Sync, News)>>,
    threads: Vec<Thread>,
    /// Of each node.
    heard: Vec<News>,
    lost: Option<NodeId>,
    is_lost_noticed: bool,
    was_reset: bool,
    was_forgotten: bool,
    remaking: Remaking,
    /// How many have come, gone on, and been the serial thread.
    came: u32,
    went_on: u32,
    serial: u32,
}

/// A thread that has gone on from the last round destroys the barrier, and makes it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Remaking {
    NotYet,
    Destroys(NodeId),
    Makes,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Come(usize),
    Deliver(NodeId, NodeId),
    Lose(NodeId),
    Notice,
    Reset,
    Remake(NodeId),
    Forget,
}

impl World {
    pub fn new(scenario: &Scenario) -> Self {
        let thread = |node: &u16| Thread {
            node: NodeId(*node),
            left: scenario.rounds,
            waits: false,
        };
        let news = match scenario.is_news_checked {
            true => vec![0; scenario.threads.len()],
            false => Vec::new(),
        };
        let mut world = Self {
            home: SyncHome::with_branches(HOME, scenario.branches).exchanging(scenario.exchanges),
            others: (1..scenario.nodes)
                .map(|rank| SyncBranches::new(NodeId(rank)))
                .collect(),
            links: BTreeMap::new(),
            threads: scenario.threads.iter().map(thread).collect(),
            heard: vec![news; usize::from(scenario.nodes)],
            lost: None,
            is_lost_noticed: false,
            was_reset: false,
            was_forgotten: false,
            remaking: Remaking::NotYet,
            came: 0,
            went_on: 0,
            serial: 0,
        };
        world.operate(SyncOp::BarrierInit(scenario.count));
        for thread in 0..scenario.count as usize {
            world.take(scenario, Step::Come(thread), &mut Met::new());
        }
        while let Some(step) = world.deliveries().first() {
            world.take(scenario, *step, &mut Met::new());
        }
        world
    }

    /// The home's thread does something that is answered at once, with 0.
    fn operate(&mut self, op: SyncOp) {
        let mut out = Vec::new();
        let thread = ThreadId::new(HOME, 999);
        self.home
            .on_request(HOME, OTHER, thread, BARRIER, op, &mut out);
        let own = out
            .pop_if(|effect| matches!(effect, SyncEffect::Reply { token, .. } if *token == OTHER));
        let result = own.map(|effect| match effect {
            SyncEffect::Reply { result, .. } => result,
            SyncEffect::Send { .. } => unreachable!("it is a reply"),
        });
        assert_eq!(result, Some(0), "{op:?}");
        self.carry_out(None, HOME, out);
    }

    fn deliveries(&self) -> Vec<Step> {
        let links = self.links.iter().filter(|(_, queue)| !queue.is_empty());
        links
            .map(|((from, to), _)| Step::Deliver(*from, *to))
            .collect()
    }

    pub fn is_at_rest(&self, scenario: &Scenario) -> bool {
        self.deliveries().is_empty() && !self.steps(scenario).contains(&Step::Notice)
    }

    pub fn steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = self.deliveries();
        let is_remade = matches!(self.remaking, Remaking::NotYet | Remaking::Done);
        for (index, thread) in self.threads.iter().enumerate() {
            // With news, twins have heard and been heard of differently.
            let twin = !scenario.is_news_checked && self.threads[..index].contains(thread);
            if !thread.waits && thread.left > 0 && !twin && is_remade {
                steps.push(Step::Come(index));
            }
        }
        match self.lost {
            None => {
                let mortal = scenario.mortal.iter();
                steps.extend(mortal.map(|rank| Step::Lose(NodeId(*rank))));
            }
            Some(lost) if !self.is_lost_noticed => {
                let link = self.links.get(&(lost, HOME));
                if link.is_none_or(VecDeque::is_empty) {
                    steps.push(Step::Notice);
                }
            }
            Some(_) => {}
        }
        let nobody_waits = self.threads.iter().all(|thread| !thread.waits);
        if scenario.is_reset && !self.was_reset && nobody_waits {
            steps.push(Step::Reset);
        }
        if scenario.is_remade && self.remaking == Remaking::NotYet && self.is_round_over() {
            let gone_on = self.threads.iter().filter(|thread| !thread.waits);
            let nodes: BTreeSet<NodeId> = gone_on.map(|thread| thread.node).collect();
            steps.extend(nodes.into_iter().map(Step::Remake));
        }
        if scenario.is_forgotten && !self.was_forgotten {
            steps.push(Step::Forget);
        }
        steps
    }

    /// All have come to the last round, and who doesn't wait has gone on from it. For scenarios without threads too many.
    fn is_round_over(&self) -> bool {
        let left = self.threads[0].left;
        let all_came = self.threads.iter().all(|thread| thread.left == left);
        let one_went_on = self.threads.iter().any(|thread| !thread.waits);
        all_came && one_went_on
    }

    pub fn take(&mut self, scenario: &Scenario, step: Step, met: &mut Met) {
        let fault = scenario.fault;
        match step {
            Step::Come(index) => {
                self.threads[index].waits = true;
                self.threads[index].left -= 1;
                self.came += 1;
                let node = self.threads[index].node;
                if let Some(count) = self.heard[usize::from(node.0)].get_mut(index) {
                    *count += 1;
                }
                self.come(fault, index, met);
            }
            Step::Deliver(from, to) => {
                let queue = self.links.get_mut(&(from, to));
                let (message, news) = queue
                    .and_then(VecDeque::pop_front)
                    .expect("the link was not empty");
                self.links.retain(|_, queue| !queue.is_empty());
                if let Some(message) = self.spoil(fault, to, message) {
                    let heard = self.heard[usize::from(to.0)].iter_mut();
                    heard
                        .zip(news)
                        .for_each(|(count, told)| *count = told.max(*count));
                    self.deliver(fault, from, to, message, met);
                }
            }
            Step::Lose(node) => {
                self.lost = Some(node);
                self.threads.iter_mut().for_each(|thread| {
                    if thread.node == node {
                        (thread.left, thread.waits) = (0, false);
                    }
                });
                self.links.retain(|(_, to), _| *to != node);
            }
            Step::Notice => {
                self.is_lost_noticed = true;
                let mut out = Vec::new();
                let lost = self.lost.expect("one is lost");
                self.home.on_node_lost(lost, &mut out);
                self.carry_out(fault, HOME, out);
            }
            Step::Reset => {
                self.was_reset = true;
                self.operate(SyncOp::BarrierDestroy);
                self.operate(SyncOp::BarrierInit(scenario.count));
            }
            Step::Remake(node) => {
                if self.threads.iter().any(|thread| thread.waits) {
                    met.insert("destroyed by who went on before the home knew");
                }
                self.remaking = Remaking::Destroys(node);
                self.ask(fault, node, SyncOp::BarrierDestroy);
            }
            Step::Forget => {
                self.was_forgotten = true;
                let mut out = Vec::new();
                let keys = BARRIER..SyncKey(BARRIER.0 + 1);
                self.home.forget(keys, &mut out);
                self.carry_out(fault, HOME, out);
            }
        }
        if let Remaking::Makes = self.remaking {
            self.remaking = Remaking::Done;
            self.operate(SyncOp::BarrierInit(scenario.count));
        }
        let rounds = self.came / scenario.count;
        assert!(
            self.went_on <= rounds * scenario.count,
            "nobody goes on before all have come"
        );
        if scenario.is_news_checked {
            self.check_news(scenario);
        }
    }

    /// Who has come n times, and gone on, has heard of as many as n rounds take; of everybody's n-th time, if there are no others.
    fn check_news(&self, scenario: &Scenario) {
        for thread in self.threads.iter().filter(|thread| !thread.waits) {
            let rounds = scenario.rounds - thread.left;
            let heard = &self.heard[usize::from(thread.node.0)];
            let sum: u32 = heard.iter().sum();
            let is_exact = self.threads.len() == scenario.count as usize;
            let is_known = !is_exact || heard.iter().all(|count| *count >= rounds);
            assert!(
                sum >= rounds * scenario.count && is_known,
                "what was written before is seen after"
            );
        }
    }

    /// The message as it arrives, if it does.
    fn spoil(&self, fault: Option<Fault>, to: NodeId, message: Sync) -> Option<Sync> {
        let has_part =
            |to: NodeId| to == HOME || self.others[usize::from(to.0) - 1].part_count() > 0;
        match (fault, message) {
            (Some(Fault::Untold), Sync::Dissolved { .. }) => None,
            (Some(Fault::Impatient), Sync::Arrived { .. }) if !has_part(to) => None,
            (Some(Fault::Unanswered), Sync::Withdrawn { .. }) => None,
            (Some(Fault::Boastful), Sync::Dissolved { key, plan, rounds }) => {
                let rounds = rounds + 1;
                Some(Sync::Dissolved { key, plan, rounds })
            }
            _ => Some(message),
        }
    }

    fn come(&mut self, fault: Option<Fault>, index: usize, met: &mut Met) {
        let node = self.threads[index].node;
        let (token, thread) = (Token(index as u64), ThreadId::new(node, index as u64 + 1));
        let op = SyncOp::BarrierWait;
        let mut out = Vec::new();
        if node == HOME {
            self.home
                .on_request(HOME, token, thread, BARRIER, op, &mut out);
            note_home(&out, met);
        } else {
            let part = &mut self.others[usize::from(node.0) - 1];
            if !part.wait(token, thread, BARRIER, &mut out) {
                if part.part_count() > 0 {
                    met.insert("a thread without a place");
                }
                let message = Sync::Request {
                    token,
                    thread,
                    key: BARRIER,
                    op,
                };
                out.push(SyncEffect::Send { to: HOME, message });
            } else if out.iter().any(is_reply) {
                met.insert("released ahead of time");
            }
        }
        self.carry_out(fault, node, out);
    }

    /// No thread of the barrier asks its home.
    fn ask(&mut self, fault: Option<Fault>, node: NodeId, op: SyncOp) {
        let (token, thread) = (OTHER, ThreadId::new(node, 999));
        let mut out = Vec::new();
        if node == HOME {
            self.home
                .on_request(HOME, token, thread, BARRIER, op, &mut out);
        } else {
            let key = BARRIER;
            let message = Sync::Request {
                token,
                thread,
                key,
                op,
            };
            out.push(SyncEffect::Send { to: HOME, message });
        }
        self.carry_out(fault, node, out);
    }

    fn deliver(
        &mut self,
        fault: Option<Fault>,
        from: NodeId,
        to: NodeId,
        message: Sync,
        met: &mut Met,
    ) {
        let mut out = Vec::new();
        match message {
            Sync::Reply { token, result } => self.answer(token, result),
            Sync::Request {
                token,
                thread,
                key,
                op,
            } => {
                self.home.on_request(from, token, thread, key, op, &mut out);
                note_home(&out, met);
            }
            Sync::Arrived { key, plan, .. } if to == HOME => {
                self.home.on_arrived(from, key, plan, &mut out);
                note_home(&out, met);
                if out.is_empty() {
                    met.insert("an arrival that waits, or is old");
                }
            }
            Sync::Withdrawn { key, plan } => {
                met.insert("a release that is back");
                self.home.on_withdrawn(from, key, plan, &mut out);
            }
            message => {
                let part = &mut self.others[usize::from(to.0) - 1];
                let parts = part.part_count();
                let before = part.clone();
                part.on_message(from, message, &mut out);
                let answers = out.iter().any(is_reply);
                let asks = out.iter().any(|effect| {
                    let SyncEffect::Send { message, .. } = effect else {
                        return false;
                    };
                    matches!(message, Sync::Request { .. })
                });
                match message {
                    Sync::Arrived { .. } if parts == 0 => met.insert("an early arrival"),
                    Sync::Arrived { .. } if answers => met.insert("released ahead of time"),
                    Sync::Dissolved { .. } if answers => met.insert("a release overtaken"),
                    Sync::Dissolved { .. } if asks => met.insert("waiters that ask after all"),
                    Sync::Released { .. } if answers => met.insert("a round along the tree"),
                    Sync::Withdraw { .. } if out.is_empty() => met.insert("a release used"),
                    _ => false,
                };
                if let (Some(Fault::Keeping), Sync::Withdraw { .. }) = (fault, message) {
                    *part = before;
                }
            }
        }
        self.carry_out(fault, to, out);
    }

    fn carry_out(&mut self, fault: Option<Fault>, node: NodeId, out: Vec<SyncEffect>) {
        for effect in out {
            let (to, message) = match effect {
                SyncEffect::Reply { to, token, result } if to == node => {
                    self.answer(token, result);
                    continue;
                }
                SyncEffect::Reply { to, token, result } => (to, Sync::Reply { token, result }),
                SyncEffect::Send { to, message } => (to, message),
            };
            if let (Some(Fault::Hasty), Sync::Withdraw { key, plan }) = (fault, message) {
                let mut out = Vec::new();
                self.home.on_withdrawn(to, key, plan, &mut out);
                self.carry_out(fault, node, out);
                continue;
            }
            if self.lost != Some(to) {
                let mut news = self.heard[usize::from(node.0)].clone();
                if let (Some(Fault::Unflushed), Sync::Released { .. }) = (fault, message) {
                    news.clear();
                }
                let link = self.links.entry((node, to)).or_default();
                let is_twice = fault == Some(Fault::Twice) && node == HOME;
                if let (true, Sync::Released { .. }) = (is_twice, message) {
                    link.push_back((message, news.clone()));
                }
                link.push_back((message, news));
            }
        }
    }

    fn answer(&mut self, token: Token, result: i32) {
        if token == OTHER {
            let Remaking::Destroys(_) = self.remaking else {
                unreachable!("nobody else asked")
            };
            assert_eq!(
                result, 0,
                "a barrier that nobody waits at may be destroyed by who went on"
            );
            self.remaking = Remaking::Makes;
            return;
        }
        let thread = &mut self.threads[token.0 as usize];
        assert!(
            thread.waits || self.lost == Some(thread.node),
            "an answer comes once"
        );
        if result >= 0 && thread.waits {
            self.went_on += 1;
            self.serial += u32::from(result == 1);
        }
        assert!(result >= 0 || self.was_forgotten, "refused: {result}");
        thread.waits = false;
    }

    pub fn check_at_rest(&self, scenario: &Scenario) {
        let waiting = self.threads.iter().filter(|thread| thread.waits).count();
        if self.was_forgotten {
            assert_eq!(waiting, 0, "a wait that does not end");
            return;
        }
        assert!(
            waiting < scenario.count as usize,
            "{waiting} wait for each other"
        );
        assert!(
            matches!(self.remaking, Remaking::NotYet | Remaking::Done),
            "a destruction that does not end"
        );
        if self.lost.is_none() {
            assert_eq!(self.serial * scenario.count, self.went_on, "serial threads");
        }
    }
}

fn is_reply(effect: &SyncEffect) -> bool {
    matches!(effect, SyncEffect::Reply { .. })
}

/// What the home did.
fn note_home(out: &[SyncEffect], met: &mut Met) {
    for effect in out {
        match effect {
            SyncEffect::Send { message, .. } => match message {
                Sync::Withdraw { .. } => met.insert("a release asked back"),
                _ => false,
            },
            SyncEffect::Reply { .. } => false,
        };
    }
}
