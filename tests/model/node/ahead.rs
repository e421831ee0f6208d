//! What a driver does beside faults: pins, rights before they are wanted, and debts.

use umbel_wire::{Access, ObjectId};

use super::{Node, Value, node_id};
use crate::subject::Pinned;

impl<V: Value, const N: usize> Node<V, N> {
    /// A thread pins the object; false if it has to fault first, or can't.
    pub fn pin(&mut self, object: ObjectId, access: Access) -> bool {
        let pinned = self.input(|machine, memory, _| machine.pin(object, access, memory));
        let is_held = pinned == Pinned::Held;
        if is_held {
            self.place_mut(object).pinned = Some(access);
        }
        is_held
    }

    /// It lets go.
    pub fn unpin(&mut self, object: ObjectId) {
        self.place_mut(object).pinned = None;
        self.input(|machine, memory, out| machine.on_hold_expired(object, memory, out));
    }

    /// The driver expects that threads will write what they can read; false if nothing was done.
    pub fn write_ahead(&mut self, object: ObjectId) -> bool {
        self.input(|machine, memory, out| machine.write_ahead(object, memory, out))
    }

    /// A thread asks something of another node and goes on without the answer.
    pub fn begin_debt(&mut self, to: usize) -> u64 {
        self.machine.begin_debt(node_id(to))
    }

    /// These debts are known to be done.
    pub fn end_debts(&mut self, numbers: &[u64]) {
        self.input(|machine, memory, out| {
            for number in numbers {
                machine.end_debt(*number, memory, out);
            }
        });
    }

    /// Whose answers something waits for.
    pub fn awaited_debtors(&self) -> Vec<usize> {
        let debtors = self.machine.awaited_debtors().into_iter();
        debtors.map(|node| usize::from(node.0)).collect()
    }
}
