//! Tasks: what a thread asks of another node and doesn't wait for, as the post of a semaphore.
//!
//! The driver here does what the shipping one does (`runtime/src/service/departures.rs`): a task departs as news
//! does, is a debt of the machine until it is known to be done, and a fence asks for that where something waits.

use super::{Sent, World};
use crate::model::knowledge::Versions;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// What the machine calls its debt; `None` when that has ended.
    debt: Option<u64>,
    /// Who does it.
    to: usize,
    is_sent: bool,
    is_done: bool,
}

/// Tasks of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tasks {
    /// Oldest first; their numbers count from 1.
    asked: Vec<Task>,
    /// By the node asked, the number of the newest task that the last fence was for.
    fenced: Vec<(usize, u8)>,
}

impl World {
    /// A thread of `rank` asks a task of `to`; nothing has left.
    pub(super) fn ask_task(&mut self, rank: usize, to: usize) {
        let debt = self.node_mut(rank).begin_debt(to);
        let tasks = &mut self.tasks[rank];
        tasks.asked.push(Task {
            debt: Some(debt),
            to,
            is_sent: false,
            is_done: false,
        });
        let number = count(tasks.asked.len());
        self.knowledge_mut().asked(rank, number);
        self.tell(rank, to, Some(number));
    }

    pub(super) fn task_departs(&mut self, rank: usize, number: u8, knew: Versions) {
        let task = &mut self.tasks[rank].asked[usize::from(number) - 1];
        task.is_sent = true;
        let to = task.to;
        self.send(rank, to, Sent::Task(number, knew));
    }

    pub(super) fn task_arrives(&mut self, from: usize, rank: usize, number: u8, knew: &Versions) {
        self.tasks[from].asked[usize::from(number) - 1].is_done = true;
        self.knowledge_mut().learnt(rank, knew);
    }

    /// The answer of `from` to a fence behind this task: all that was asked before is done.
    pub(super) fn end_debts(&mut self, rank: usize, from: usize, newest: u8) {
        let asked = self.tasks[rank].asked.iter_mut().take(newest.into());
        let of_it = asked.filter(|task| task.to == from);
        let ended: Vec<u64> = of_it.filter_map(|task| task.debt.take()).collect();
        self.node_mut(rank).end_debts(&ended);
    }

    /// Asks for the answers that something waits for.
    pub(super) fn send_fences(&mut self, rank: usize) {
        for to in self.nodes[rank].awaited_debtors() {
            let tasks = &self.tasks[rank];
            let is_due = |task: &Task| task.to == to && task.is_sent && task.debt.is_some();
            let Some(newest) = tasks.asked.iter().rposition(is_due) else {
                continue;
            };
            let newest = count(newest + 1);
            let fenced = tasks.fenced.iter().find(|(other, _)| *other == to);
            if fenced.is_none_or(|(_, fenced)| *fenced < newest) {
                let tasks = &mut self.tasks[rank];
                tasks.fenced.retain(|(other, _)| *other != to);
                tasks.fenced.push((to, newest));
                self.send(rank, to, Sent::Fence(newest));
            }
        }
    }

    /// A node learnt that another is gone, and its machine forgave it all debts.
    pub(super) fn tasks_forgiven(&mut self, rank: usize, gone: usize) {
        for task in &mut self.tasks[rank].asked {
            if task.to == gone {
                task.debt = None;
            }
        }
    }

    /// A task of this node that is not done among the first `known`; those of a lost node will never be.
    pub fn undone(&self, rank: usize, known: u8) -> Option<&Task> {
        let known = self.tasks[rank].asked.iter().take(known.into());
        known
            .filter(|task| self.lost != Some(task.to))
            .find(|task| !task.is_done)
    }
}

fn count(number: usize) -> u8 {
    u8::try_from(number).expect("tasks are few")
}
