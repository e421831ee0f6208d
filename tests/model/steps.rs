//! Every step that a state can take.

use umbel_wire::{Access, ObjectId};

use super::node::home_of;
use super::scenario::{CELL_COUNT, Declared, Scenario};
use super::world::{ModelNode, Sent, Step, World};
use crate::subject::CopyState;

impl World {
    /// Steps of the protocol: what happens by itself, whatever the threads do.
    pub fn protocol_steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        for (rank, node) in self.nodes.iter().enumerate() {
            if self.budgets[rank].parts > 0 && self.lost != Some(rank) && node.may_flush() {
                let units = node.units_to_flush();
                steps.extend(units.into_iter().map(|unit| Step::SendPart(rank, unit)));
            }
            if !node.is_free() {
                steps.push(Step::CarryOut(rank));
                let joins = |from: &usize| match self.links[*from][rank].front() {
                    Some(Sent::Message(message)) => node.may_gather(*from, message),
                    Some(Sent::News(_) | Sent::Task(..) | Sent::Fence(_) | Sent::Fenced(_))
                    | None => false,
                };
                let senders = (0..self.nodes.len()).filter(joins);
                steps.extend(senders.map(|from| Step::Deliver(from, rank)));
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
            let objects = scenario.objects.iter().map(|declared| declared.object);
            let held = objects.filter(|object| node.place(*object).holds > 0);
            steps.extend(held.map(|object| Step::HoldExpires(rank, object)));
            let objects = scenario.objects.iter().map(|declared| declared.object);
            let pinned = objects.filter(|object| node.place(*object).pinned.is_some());
            steps.extend(pinned.map(|object| Step::Unpin(rank, object)));
        }
        steps
    }

    /// Steps of the program: what threads may do, and what a driver may do for them.
    pub fn program_steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        for (rank, node) in self.present() {
            for (index, declared) in scenario.objects.iter().enumerate() {
                self.stores(scenario, rank, index, &mut steps);
                if node.is_free() && !self.knows_home_lost(rank, declared.object) {
                    self.faults(scenario, rank, index, &mut steps);
                    self.requests(rank, index, declared, &mut steps);
                }
            }
            if node.is_free() && self.budgets[rank].flushes > 0 {
                steps.push(Step::Flush(rank));
            }
            let others =
                (0..self.nodes.len()).filter(|other| *other != rank && self.lost != Some(*other));
            if node.is_free() && self.budgets[rank].news > 0 {
                steps.extend(others.clone().map(|other| Step::Tell(rank, other)));
            }
            if node.is_free() && self.budgets[rank].tasks > 0 {
                steps.extend(others.map(|other| Step::Ask(rank, other)));
            }
        }
        for (index, declared) in scenario.objects.iter().enumerate() {
            self.home_steps(scenario, index, declared, &mut steps);
        }
        if self.lost.is_none() {
            steps.extend(scenario.may_lose.map(Step::Lose));
        }
        steps
    }

    fn stores(&self, scenario: &Scenario, rank: usize, index: usize, steps: &mut Vec<Step>) {
        let declared = &scenario.objects[index];
        if self.nodes[rank].places[index].view != Some(Access::Write) {
            return;
        }
        let is_allowed =
            |cell: &usize| declared.may_write(rank, *cell) && self.stores_left[index][*cell] > 0;
        steps.extend(
            (0..CELL_COUNT)
                .filter(is_allowed)
                .map(|cell| Step::Store(rank, declared.object, cell)),
        );
    }

    fn faults(&self, scenario: &Scenario, rank: usize, index: usize, steps: &mut Vec<Step>) {
        let declared = &scenario.objects[index];
        if self.faults_left[rank] == 0 {
            return;
        }
        let writes = (0..CELL_COUNT)
            .any(|cell| declared.may_write(rank, cell) && self.stores_left[index][cell] > 0);
        let place = &self.nodes[rank].places[index];
        for access in [Access::Read, Access::Write] {
            let waits = match access {
                Access::Read => place.reader_waits,
                Access::Write => place.writer_waits,
            };
            let is_stray = waits || place.view >= Some(access);
            let is_wanted = writes || access == Access::Read;
            if is_wanted && (scenario.stray_faults || !is_stray) {
                steps.push(Step::Fault(rank, declared.object, access));
            }
        }
    }

    /// What a node may ask of objects of other homes, and of its own machine.
    fn requests(&self, rank: usize, index: usize, declared: &Declared, steps: &mut Vec<Step>) {
        let (node, budget) = (&self.nodes[rank], self.budgets[rank]);
        let object = declared.object;
        if budget.strengthens > 0 && !self.is_sequential[index] {
            steps.push(Step::Strengthen(rank, object));
        }
        if budget.pins > 0 && node.place(object).pinned.is_none() {
            steps.push(Step::Pin(rank, object, Access::Read));
            steps.push(Step::Pin(rank, object, Access::Write));
        }
        if budget.aheads > 0 {
            steps.push(Step::WriteAhead(rank, object));
        }
        if home_of(object) == rank {
            return;
        }
        if budget.evictions > 0 && node.machine.copy_state(object) != CopyState::Invalid {
            steps.push(Step::Evict(rank, object));
        }
        if budget.prefetches > 0 && node.machine.copy_state(object) == CopyState::Invalid {
            steps.push(Step::Prefetch(rank, object, Access::Read));
            steps.push(Step::Prefetch(rank, object, Access::Write));
        }
        if budget.operations > 0 && self.is_sequential[index] {
            steps.push(Step::Operate(rank, object));
        }
    }

    fn home_steps(
        &self,
        scenario: &Scenario,
        index: usize,
        declared: &Declared,
        steps: &mut Vec<Step>,
    ) {
        let object = declared.object;
        let home = home_of(object);
        if self.lost == Some(home) || !self.nodes[home].is_free() {
            return;
        }
        if !self.reclaiming[index] && self.reclaims_left[index] > 0 {
            steps.push(Step::Reclaim(object));
        }
        if self.budgets[home].switches > 0 && is_shared(&self.nodes[home], object) {
            let switch = |protocol| Step::Switch(object, protocol);
            steps.extend(scenario.protocols.iter().copied().map(switch));
        }
    }
}

fn is_shared(home: &ModelNode, object: ObjectId) -> bool {
    home.machine.entry(object).is_some()
}
