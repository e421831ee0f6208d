//! What one machine does, effect by effect.

use umbel_coherence::{Config, Counters, Effect, Holding, Homes, Machine, Outgoing};
use umbel_wire::{Access, Coherence, Consistency, Mode, NodeId, ObjectId, Protocol, Token};

const OBJECT: ObjectId = ObjectId(3);
const READ: Access = Access::Read;
const WRITE: Access = Access::Write;
const MODE: Mode = Mode {
    consistency: Consistency::Sequential,
    protocol: Protocol::Invalidate,
};

/// A home (node 0) and what it did since it was asked last.
struct Home {
    machine: Machine<Homes>,
}

impl Home {
    fn new(minimum_hold: bool) -> Self {
        let homes = Homes {
            objects_per_node_log2: 4,
        };
        Self {
            machine: Machine::new(Config {
                node: NodeId(0),
                homes,
                node_count: 8,
                minimum_hold,
                forwards: false,
            }),
        }
    }

    fn fault(&mut self, access: Access) -> Vec<Effect<u64>> {
        let mut out = Vec::new();
        self.machine.on_fault(OBJECT, access, &mut (), &mut out);
        out
    }

    fn receive(&mut self, from: u16, message: Coherence<u64>) -> Vec<Effect<u64>> {
        let mut out = Vec::new();
        self.machine
            .on_message(NodeId(from), message, &mut (), &mut out)
            .expect("the transcript is legal");
        out
    }

    fn get(&mut self, from: u16, access: Access) -> Vec<Effect<u64>> {
        self.receive(
            from,
            Coherence::Get {
                object: OBJECT,
                access,
                prefetch: false,
            },
        )
    }

    fn recalled(&mut self, from: u16, data: u64) -> Vec<Effect<u64>> {
        self.receive(
            from,
            Coherence::Recalled {
                object: OBJECT,
                data,
            },
        )
    }

    fn invalidated(&mut self, from: u16) -> Vec<Effect<u64>> {
        self.receive(
            from,
            Coherence::Invalidated {
                object: OBJECT,
                diff: None,
            },
        )
    }

    fn hold_expired(&mut self) -> Vec<Effect<u64>> {
        let mut out = Vec::new();
        self.machine.on_hold_expired(OBJECT, &mut (), &mut out);
        out
    }

    fn reclaim(&mut self) -> Vec<Effect<u64>> {
        let mut out = Vec::new();
        self.machine
            .reclaim(ObjectId(0)..ObjectId(16), Token(9), &mut (), &mut out);
        out
    }

    fn counters(&self) -> Counters {
        self.machine
            .entry(OBJECT)
            .expect("the object is shared")
            .counters()
    }
}

fn access(access: Option<Access>) -> Effect<u64> {
    Effect::SetAccess {
        object: OBJECT,
        access,
    }
}

fn wake() -> Effect<u64> {
    Effect::Wake { object: OBJECT }
}

fn store(data: u64) -> Effect<u64> {
    Effect::Store {
        object: OBJECT,
        data,
    }
}

fn hold() -> Effect<u64> {
    Effect::Hold { object: OBJECT }
}

fn grant(to: u16, access: Access, with_data: bool) -> Effect<u64> {
    Effect::Send {
        to: NodeId(to),
        message: Outgoing::Grant {
            object: OBJECT,
            access,
            mode: MODE,
            with_data,
        },
    }
}

fn recall(to: u16, keep_read: bool) -> Effect<u64> {
    Effect::Send {
        to: NodeId(to),
        message: Outgoing::Recall {
            object: OBJECT,
            keep_read,
            forward: None,
        },
    }
}

fn invalidate(to: u16) -> Effect<u64> {
    Effect::Send {
        to: NodeId(to),
        message: Outgoing::Invalidate {
            object: OBJECT,
            end_of_life: false,
        },
    }
}

fn withdraw(to: u16) -> Effect<u64> {
    Effect::Send {
        to: NodeId(to),
        message: Outgoing::Invalidate {
            object: OBJECT,
            end_of_life: true,
        },
    }
}

#[test]
fn the_homes_own_fault_on_an_unshared_object_leaves_no_entry() {
    let mut home = Home::new(true);
    assert_eq!(home.fault(READ), [access(Some(WRITE)), wake()]);
    assert_eq!(home.machine.entry_count(), 0);
}

#[test]
fn the_home_revokes_before_it_grants() {
    let mut home = Home::new(false);
    assert_eq!(
        home.get(1, READ),
        [access(Some(READ)), grant(1, READ, true)]
    );
    assert_eq!(
        home.get(2, READ),
        [grant(2, READ, true)],
        "its view is low enough"
    );
    assert_eq!(
        home.get(3, WRITE),
        [invalidate(1), invalidate(2)],
        "to all at once"
    );
    assert_eq!(home.invalidated(2), []);
    assert_eq!(home.invalidated(1), [access(None), grant(3, WRITE, true)]);
    let expected = Counters {
        read_faults: 2,
        write_faults: 1,
        invalidations: 2,
        recalls: 0,
        grants_with_data: 3,
        ..Counters::default()
    };
    assert_eq!(home.counters(), expected);
}

#[test]
fn a_reader_that_is_still_listed_upgrades_without_bytes() {
    let mut home = Home::new(false);
    home.get(1, READ);
    assert_eq!(home.get(1, WRITE), [access(None), grant(1, WRITE, false)]);
}

#[test]
fn a_reader_invalidated_meanwhile_upgrades_with_bytes() {
    let mut home = Home::new(false);
    home.get(1, READ);
    home.get(2, WRITE);
    assert_eq!(
        home.get(1, WRITE),
        [],
        "asked before the invalidation reached it"
    );
    assert_eq!(
        home.invalidated(1),
        [access(None), grant(2, WRITE, true), recall(2, false)]
    );
    assert_eq!(home.recalled(2, 5), [store(5), grant(1, WRITE, true)]);
}

#[test]
fn a_read_leaves_the_owner_a_reader() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    assert_eq!(home.get(2, READ), [recall(1, true)]);
    assert_eq!(home.recalled(1, 5), [store(5), grant(2, READ, true)]);
    let entry = home.machine.entry(OBJECT).expect("the object is shared");
    assert_eq!(entry.holding(), Holding::Shared);
    assert_eq!(entry.copyset(), [NodeId(1), NodeId(2)]);
}

#[test]
fn requests_are_served_in_order_of_arrival() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    assert_eq!(home.get(2, WRITE), [recall(1, false)]);
    assert_eq!(home.get(3, READ), []);
    assert_eq!(home.fault(READ), []);
    assert_eq!(
        home.recalled(1, 5),
        [store(5), grant(2, WRITE, true), recall(2, true)]
    );
    assert_eq!(
        home.recalled(2, 6),
        [store(6), grant(3, READ, true), access(Some(READ)), wake()]
    );
}

#[test]
fn a_homes_waiting_read_is_raised_by_a_write() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    home.get(2, WRITE);
    assert_eq!(home.fault(READ), [], "behind node 2");
    assert_eq!(home.fault(WRITE), [], "joins the read");
    assert_eq!(
        home.recalled(1, 5),
        [store(5), grant(2, WRITE, true), recall(2, false)]
    );
    assert_eq!(home.recalled(2, 6), [store(6), access(Some(WRITE)), wake()]);
}

#[test]
fn the_homes_hold_defers_whoever_would_lower_its_rights() {
    let mut home = Home::new(true);
    home.get(1, WRITE);
    home.fault(READ);
    assert_eq!(
        home.recalled(1, 5),
        [store(5), access(Some(READ)), wake(), hold()]
    );
    assert_eq!(
        home.get(2, READ),
        [grant(2, READ, true)],
        "takes nothing from the home"
    );
    assert_eq!(home.get(3, WRITE), [], "would take the home's copy");
    assert_eq!(home.hold_expired(), [invalidate(1), invalidate(2)]);
}

#[test]
fn a_scope_that_shared_nothing_ends_at_once() {
    let mut home = Home::new(false);
    home.fault(WRITE);
    assert_eq!(home.reclaim(), [Effect::Reclaimed { token: Token(9) }]);
}

#[test]
fn the_end_of_a_life_withdraws_the_owner_without_its_bytes() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    assert_eq!(home.reclaim(), [withdraw(1)]);
    let counters = home.counters();
    let end = [
        Effect::Retire {
            object: OBJECT,
            counters,
            mode: MODE,
        },
        Effect::Reclaimed { token: Token(9) },
    ];
    assert_eq!(home.invalidated(1), end);
    assert_eq!(home.machine.entry_count(), 0);
    assert_eq!(
        home.fault(WRITE),
        [access(Some(WRITE)), wake()],
        "the home's alone again"
    );
}

#[test]
fn a_range_is_reclaimed_when_its_last_object_is() {
    let mut home = Home::new(false);
    let other = ObjectId(5);
    home.get(1, READ);
    home.receive(
        2,
        Coherence::Get {
            object: other,
            access: READ,
            prefetch: false,
        },
    );
    assert_eq!(home.reclaim().len(), 2);
    assert_eq!(home.invalidated(1).len(), 1, "retired");
    let end = home.receive(
        2,
        Coherence::Invalidated {
            object: other,
            diff: None,
        },
    );
    assert_eq!(end.last(), Some(&Effect::Reclaimed { token: Token(9) }));
}

#[test]
fn the_request_in_progress_is_finished_before_a_life_ends() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    home.get(2, WRITE);
    assert_eq!(home.reclaim(), []);
    assert_eq!(
        home.recalled(1, 5),
        [store(5), grant(2, WRITE, true), withdraw(2)]
    );
}

#[test]
fn a_lost_owner_is_listed_and_the_next_is_served() {
    let mut home = Home::new(false);
    home.get(1, WRITE);
    home.get(2, WRITE);
    let mut out: Vec<Effect<u64>> = Vec::new();
    assert_eq!(
        home.machine.on_node_lost(NodeId(1), &mut (), &mut out),
        [OBJECT]
    );
    assert_eq!(out, [grant(2, WRITE, true)]);
}

#[test]
fn a_lost_reader_is_not_waited_for() {
    let mut home = Home::new(false);
    home.get(1, READ);
    home.get(2, READ);
    home.get(3, WRITE);
    home.invalidated(1);
    let mut out: Vec<Effect<u64>> = Vec::new();
    assert_eq!(home.machine.on_node_lost(NodeId(2), &mut (), &mut out), []);
    assert_eq!(out, [access(None), grant(3, WRITE, true)]);
}

#[test]
fn sealing_reads_bytes_only_where_they_travel() {
    let with_data: Outgoing<u64> = Outgoing::Grant {
        object: OBJECT,
        access: READ,
        mode: MODE,
        with_data: true,
    };
    let sealed = with_data.seal(|_| 5);
    assert_eq!(
        sealed,
        Coherence::Grant {
            object: OBJECT,
            access: READ,
            mode: MODE,
            data: Some(5)
        }
    );
    let without: Outgoing<u64> = Outgoing::Grant {
        object: OBJECT,
        access: WRITE,
        mode: MODE,
        with_data: false,
    };
    let sealed = without.seal(|_| -> u64 { panic!("no bytes go along") });
    assert_eq!(
        sealed,
        Coherence::Grant {
            object: OBJECT,
            access: WRITE,
            mode: MODE,
            data: None
        }
    );
}
