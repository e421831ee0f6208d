//! Sums for the report: by variable, by node, by pair of nodes, over time.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use umbel_wire::ObjectId;
use umbel_wire::event::Why;

use super::heat::{Axis, Row};
use super::slices::{Doing, Message, Shown, Slice, Variable};

/// What the records of a job add up to.
pub struct Tally {
    pub axis: Axis,
    pub variables: BTreeMap<Rc<Variable>, Activity>,
    pub nodes: Vec<NodeTimes>,
    /// Messages and bytes by sender and receiver.
    pub messages: BTreeMap<(u16, u16), (u64, u64)>,
    /// The end of the last that was seen.
    pub end_ns: u64,
    /// Who wrote an object last, as far as it had to ask for that.
    last_writers: HashMap<ObjectId, u16>,
    unknown: Rc<Variable>,
}

/// What happened to one variable.
#[derive(Default)]
pub struct Activity {
    pub lanes: BTreeMap<u16, Lane>,
    /// How often a node had to ask for the right to write after another had it.
    pub turns: BTreeMap<(u16, u16), u64>,
}

/// What one node had to do with a variable.
#[derive(Default)]
pub struct Lane {
    pub reads: u64,
    pub writes: u64,
    pub waited_ns: u64,
    pub bytes: u64,
    pub faults_over_time: Row,
    pub bytes_over_time: Row,
}

/// Where the threads of a node spent their time.
#[derive(Clone, Debug, Default)]
pub struct NodeTimes {
    pub threads: u64,
    /// Sum of the threads' lives.
    pub lived_ns: u64,
    /// Of that, waiting for memory.
    pub faulted_ns: u64,
    pub waits: BTreeMap<Why, (u64, u64)>,
}

/// Variables told apart; more are added up.
const VARIABLES_MAX: usize = 10_000;

/// Objects whose last writer is remembered.
const WRITERS_MAX: usize = 1 << 20;

impl Tally {
    pub fn new(start_ns: u64) -> Self {
        Self {
            axis: Axis::new(start_ns),
            variables: BTreeMap::new(),
            nodes: Vec::new(),
            messages: BTreeMap::new(),
            end_ns: start_ns,
            last_writers: HashMap::new(),
            unknown: Rc::new(Variable {
                name: "(others)".into(),
                size_bytes: 0,
                home: 0,
            }),
        }
    }

    pub fn start(&mut self, node_count: usize) {
        self.nodes = vec![NodeTimes::default(); node_count];
    }

    pub fn add(&mut self, shown: &Shown) {
        match shown {
            Shown::Row { .. } | Shown::Arrow { .. } => {}
            Shown::Slice(slice) => self.add_slice(slice),
            Shown::Message(message) => self.add_message(message),
        }
    }

    fn add_slice(&mut self, slice: &Slice) {
        let ns = slice.ended_ns - slice.began_ns;
        let column = self.axis.column(slice.began_ns);
        self.end_ns = self.end_ns.max(slice.ended_ns);
        let Some(node) = self.nodes.get_mut(usize::from(slice.rank)) else {
            return;
        };
        match &slice.doing {
            Doing::Running { .. } => {
                node.threads += 1;
                node.lived_ns += ns;
            }
            Doing::Waiting { why, .. } => {
                let wait = node.waits.entry(*why).or_default();
                wait.0 += 1;
                wait.1 += ns;
            }
            Doing::Faulting {
                object,
                variable,
                write,
            } => {
                node.faulted_ns += ns;
                let axis = self.axis;
                let turn = write.then(|| self.turn(*object, slice.rank)).flatten();
                let activity = self.activity(variable.as_ref());
                if let Some(before) = turn {
                    *activity.turns.entry((before, slice.rank)).or_default() += 1;
                }
                let lane = activity.lanes.entry(slice.rank).or_default();
                *(if *write {
                    &mut lane.writes
                } else {
                    &mut lane.reads
                }) += 1;
                lane.waited_ns += ns;
                lane.faults_over_time.add(&axis, column, 1);
            }
        }
    }

    /// Who wrote before, if it was another node.
    fn turn(&mut self, object: ObjectId, rank: u16) -> Option<u16> {
        if self.last_writers.len() >= WRITERS_MAX {
            self.last_writers.clear();
        }
        let before = self.last_writers.insert(object, rank)?;
        (before != rank).then_some(before)
    }

    fn add_message(&mut self, message: &Message) {
        let (rank, peer) = (message.rank, message.traffic.peer.0);
        let bytes = u64::from(message.traffic.bytes);
        if message.is_sent {
            let sum = self.messages.entry((rank, peer)).or_default();
            sum.0 += 1;
            sum.1 += bytes;
        } else if message.traffic.object.is_some() {
            let column = self.axis.column(message.at_ns);
            let axis = self.axis;
            let activity = self.activity(message.variable.as_ref());
            let lane = activity.lanes.entry(rank).or_default();
            lane.bytes += bytes;
            lane.bytes_over_time.add(&axis, column, bytes);
        }
    }

    fn activity(&mut self, variable: Option<&Rc<Variable>>) -> &mut Activity {
        let variable = match variable {
            Some(variable)
                if self.variables.len() < VARIABLES_MAX
                    || self.variables.contains_key(variable) =>
            {
                variable.clone()
            }
            Some(_) | None => self.unknown.clone(),
        };
        self.variables.entry(variable).or_default()
    }
}

impl Activity {
    pub fn reads(&self) -> u64 {
        self.lanes.values().map(|lane| lane.reads).sum()
    }

    pub fn writes(&self) -> u64 {
        self.lanes.values().map(|lane| lane.writes).sum()
    }

    pub fn faults(&self) -> u64 {
        self.reads() + self.writes()
    }

    pub fn bytes(&self) -> u64 {
        self.lanes.values().map(|lane| lane.bytes).sum()
    }

    pub fn waited_ns(&self) -> u64 {
        self.lanes.values().map(|lane| lane.waited_ns).sum()
    }

    /// Nodes whose lane has what is asked for.
    pub fn nodes(&self, has: impl Fn(&Lane) -> bool) -> Vec<u16> {
        let lanes = self.lanes.iter().filter(|(_, lane)| has(lane));
        lanes.map(|(rank, _)| *rank).collect()
    }
}
