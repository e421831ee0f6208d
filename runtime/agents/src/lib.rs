//! Manager agents of the threads that one node created: life cycle, termination dependency, placement.
//!
//! A thread's record lives on the node of its father, from creation until it is joined or the father
//! has ended. A thread's state runs `Starting -> Running -> Ended`; a refused creation removes it.
//!
//! The termination dependency (Groh, Pizka, Rudolph, §2.1) appears as [`Threads::wait_children`]: before
//! a function's objects are released, every child that can [reach](Reach) them has ended; before a
//! thread ends, all its children have.
//!
//! First version: threads are placed round robin and stay where they are; the address space is
//! shared out in equal regions (`uffd_dsm::window`), so agents delegate none yet.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use umbel_wire::{NodeId, ThreadId, Token};

/// How far up its father's shadow stacks a thread can reach: it may use objects below these marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Slots of the small stack.
    pub small: u64,
    /// Pages of the page stack.
    pub pages: u64,
}

impl Reach {
    /// Whether a thread with this reach can use anything at or above `marks`.
    pub fn passes(self, marks: Reach) -> bool {
        self.small > marks.small || self.pages > marks.pages
    }
}

/// Who waits for a thread's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joiner {
    /// The waiting thread's node.
    pub node: NodeId,
    /// Its request there.
    pub token: Token,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A join is over: 0, or -errno.
    Joined {
        /// Whom to tell.
        joiner: Joiner,
        /// 0, or -errno.
        result: i32,
    },
    /// The children that [`Threads::wait_children`] waited for have ended.
    ChildrenEnded {
        /// As in the call.
        token: Token,
    },
}

/// A message about a thread that is in no such state; the peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The thread named.
    pub thread: ThreadId,
    /// What was wrong.
    pub what: &'static str,
}

/// Records of the threads that this node's threads created.
#[derive(Debug)]
pub struct Threads {
    node: NodeId,
    node_count: u16,
    next_node: u16,
    next_sequence: u64,
    children: BTreeMap<ThreadId, Child>,
    families: BTreeMap<ThreadId, Vec<ThreadId>>,
    waits: Vec<Wait>,
}

#[derive(Clone, Debug)]
struct Child {
    father: ThreadId,
    node: NodeId,
    reach: Reach,
    state: State,
    joiner: Option<Joiner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    father: ThreadId,
    /// Only children that reach above these marks; all if absent.
    above: Option<Reach>,
    token: Token,
}

impl Threads {
    /// No threads yet. Round robin begins at the next node, so that a first child leaves its father's node.
    pub fn new(node: NodeId, node_count: u16) -> Self {
        Self {
            node,
            node_count,
            next_node: (node.0 + 1) % node_count.max(1),
            next_sequence: 1,
            children: BTreeMap::new(),
            families: BTreeMap::new(),
            waits: Vec::new(),
        }
    }

    /// A name for a thread that nobody created here: main, or one the program made by other means.
    pub fn name_root(&mut self) -> ThreadId {
        let thread = ThreadId::new(self.node, self.next_sequence);
        self.next_sequence += 1;
        thread
    }

    /// Next node in turn.
    pub fn place(&mut self) -> NodeId {
        let node = NodeId(self.next_node);
        self.next_node = (self.next_node + 1) % self.node_count.max(1);
        node
    }

    /// A child of `father`, to be started on `node`.
    pub fn create(&mut self, father: ThreadId, node: NodeId, reach: Reach) -> ThreadId {
        let thread = self.name_root();
        let child = Child {
            father,
            node,
            reach,
            state: State::Starting,
            joiner: None,
        };
        self.children.insert(thread, child);
        self.families.entry(father).or_default().push(thread);
        thread
    }

    /// The chosen node's answer. A refused thread vanishes.
    pub fn on_spawned(
        &mut self,
        from: NodeId,
        thread: ThreadId,
        result: i32,
    ) -> Result<(), Violation> {
        let child = self.child_on(from, thread)?;
        // A short thread may have ended before its creation was answered: links keep order, but an end on
        // this very node is told directly.
        if child.state == State::Starting {
            child.state = State::Running;
        }
        if result != 0 {
            self.forget(thread);
        }
        Ok(())
    }

    /// The thread and all its children have ended.
    pub fn on_ended(
        &mut self,
        from: NodeId,
        thread: ThreadId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Violation> {
        let child = self.child_on(from, thread)?;
        if child.state == State::Ended {
            return Err(Violation {
                thread,
                what: "has ended already",
            });
        }
        child.state = State::Ended;
        let father = child.father;
        if let Some(joiner) = child.joiner.take() {
            self.forget(thread);
            out.push(Effect::Joined { joiner, result: 0 });
        }
        self.settle(father, out);
        Ok(())
    }

    /// `waiter` wants to know when `thread` has ended.
    pub fn join(
        &mut self,
        waiter: ThreadId,
        thread: ThreadId,
        joiner: Joiner,
        out: &mut Vec<Effect>,
    ) {
        let result = match self.children.get_mut(&thread) {
            _ if waiter == thread => -EDEADLK,
            None => -ESRCH,
            Some(child) if child.state == State::Ended => {
                self.forget(thread);
                0
            }
            Some(child) if child.joiner.is_some() => -ESRCH,
            Some(child) => {
                child.joiner = Some(joiner);
                return;
            }
        };
        out.push(Effect::Joined { joiner, result });
    }

    /// Answers `token` when no child of `father` that reaches above the marks (or no child at all) runs.
    pub fn wait_children(
        &mut self,
        father: ThreadId,
        above: Option<Reach>,
        token: Token,
        out: &mut Vec<Effect>,
    ) {
        self.waits.push(Wait {
            father,
            above,
            token,
        });
        self.settle(father, out);
    }

    /// Forgets the ended children of `father`: it has ended, or has joined them all.
    pub fn collect(&mut self, father: ThreadId) {
        let Some(family) = self.families.remove(&father) else {
            return;
        };
        let (ended, alive): (Vec<_>, Vec<_>) = family.into_iter().partition(|thread| {
            self.children
                .get(thread)
                .is_none_or(|c| c.state == State::Ended)
        });
        for thread in ended {
            self.children.remove(&thread);
        }
        if !alive.is_empty() {
            self.families.insert(father, alive);
        }
    }

    /// Threads of this node's making that run on `node`.
    pub fn running_on(&self, node: NodeId) -> impl Iterator<Item = (ThreadId, ThreadId)> + '_ {
        let on_node = move |(_, child): &(&ThreadId, &Child)| {
            child.node == node && child.state != State::Ended
        };
        self.children
            .iter()
            .filter(on_node)
            .map(|(thread, child)| (*thread, child.father))
    }

    fn child_on(&mut self, from: NodeId, thread: ThreadId) -> Result<&mut Child, Violation> {
        let child = self.children.get_mut(&thread).ok_or(Violation {
            thread,
            what: "is unknown",
        })?;
        if child.node != from {
            return Err(Violation {
                thread,
                what: "runs on another node",
            });
        }
        Ok(child)
    }

    fn forget(&mut self, thread: ThreadId) {
        let Some(child) = self.children.remove(&thread) else {
            return;
        };
        if let Some(family) = self.families.get_mut(&child.father) {
            family.retain(|member| *member != thread);
            if family.is_empty() {
                self.families.remove(&child.father);
            }
        }
    }

    fn settle(&mut self, father: ThreadId, out: &mut Vec<Effect>) {
        let mut index = 0;
        while index < self.waits.len() {
            let wait = self.waits[index];
            if wait.father == father && !self.any_alive(wait) {
                self.waits.remove(index);
                out.push(Effect::ChildrenEnded { token: wait.token });
            } else {
                index += 1;
            }
        }
    }

    fn any_alive(&self, wait: Wait) -> bool {
        let family = self
            .families
            .get(&wait.father)
            .map_or(&[][..], Vec::as_slice);
        family
            .iter()
            .filter_map(|thread| self.children.get(thread))
            .any(|child| {
                child.state != State::Ended
                    && wait.above.is_none_or(|marks| child.reach.passes(marks))
            })
    }
}

const ESRCH: i32 = 3;
const EDEADLK: i32 = 35;

#[cfg(test)]
mod tests;
