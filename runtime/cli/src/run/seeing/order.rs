//! Events of all nodes, in order of time.

use umbel_wire::event::Event;

/// Events that wait for earlier ones of other nodes.
#[derive(Default)]
pub struct Order {
    waiting: Vec<(u16, Event)>,
}

impl Order {
    pub fn push(&mut self, rank: u16, events: Vec<Event>) {
        self.waiting
            .extend(events.into_iter().map(|event| (rank, event)));
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the events before `at_ns`, sorted. One that comes later than it should is in the next answer.
    pub fn take_until(&mut self, at_ns: u64) -> Vec<(u16, Event)> {
        // Stable: events of one thread at the same time keep their order.
        self.waiting.sort_by_key(|(_, event)| event.at_ns);
        let count = self
            .waiting
            .partition_point(|(_, event)| event.at_ns < at_ns);
        self.waiting.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use umbel_wire::event::What;

    use super::*;

    fn event(at_ns: u64, thread: u32) -> Event {
        let what = What::WaitEnded { thread };
        Event { at_ns, what }
    }

    #[test]
    fn chunks_of_two_nodes_become_one_sequence() {
        let mut order = Order::default();
        order.push(1, vec![event(5, 0), event(20, 1)]);
        order.push(0, vec![event(3, 2), event(5, 3), event(30, 4)]);
        let times = |events: Vec<(u16, Event)>| -> Vec<_> {
            let key = |(rank, event): (u16, Event)| (event.at_ns, rank);
            events.into_iter().map(key).collect()
        };
        assert_eq!(times(order.take_until(20)), [(3, 0), (5, 1), (5, 0)]);
        assert_eq!(times(order.take_until(u64::MAX)), [(20, 1), (30, 0)]);
        assert!(order.is_empty());
    }
}
