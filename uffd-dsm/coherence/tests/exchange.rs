//! The last edge of a barrier's tree, told as transcripts: two nodes, word sent ahead, and those who have no place.
//! Every order of messages is tests/tests/barriers.

use umbel_coherence::{SyncBranches, SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

const HOME: NodeId = NodeId(0);
const OTHER: NodeId = NodeId(1);
const BARRIER: SyncKey = SyncKey(0x40);
const EBUSY: i32 = -16;

/// A home and one more node that have met twice. Messages are delivered by the test.
struct Two {
    home: SyncHome,
    other: SyncBranches,
}

/// What a step brings about: messages, by name, and answered threads with their results.
type Told = Vec<(&'static str, u64)>;

impl Two {
    fn new() -> Self {
        let mut two = Self {
            home: SyncHome::new(HOME),
            other: SyncBranches::new(OTHER),
        };
        assert_eq!(two.ask_home(9, SyncOp::BarrierInit(2)), [("done", 9)]);
        for _ in 0..2 {
            assert_eq!(two.ask_home(1, SyncOp::BarrierWait), []);
            let mut out = Vec::new();
            let op = SyncOp::BarrierWait;
            two.home.on_request(
                OTHER,
                Token(2),
                ThreadId::new(OTHER, 2),
                BARRIER,
                op,
                &mut out,
            );
            for effect in out {
                if let SyncEffect::Send { message, .. } = effect {
                    two.other.on_message(HOME, message, &mut Vec::new());
                }
            }
        }
        assert_eq!(two.other.part_count(), 1, "they have a plan");
        two
    }

    /// Thread `thread` of the home asks.
    fn ask_home(&mut self, thread: u64, op: SyncOp) -> Told {
        let mut out = Vec::new();
        let name = ThreadId::new(HOME, thread);
        self.home
            .on_request(HOME, Token(thread), name, BARRIER, op, &mut out);
        told(&out)
    }

    fn come_to_other(&mut self, thread: u64) -> Told {
        let mut out = Vec::new();
        let name = ThreadId::new(OTHER, thread);
        assert!(self.other.wait(Token(thread), name, BARRIER, &mut out));
        told(&out)
    }

    fn tell_other(&mut self, message: Sync) -> Told {
        let mut out = Vec::new();
        self.other.on_message(HOME, message, &mut out);
        told(&out)
    }

    fn home_hears_arrival(&mut self) -> Told {
        let mut out = Vec::new();
        self.home.on_arrived(OTHER, BARRIER, PLAN, &mut out);
        told(&out)
    }

    fn home_hears_withdrawal(&mut self) -> Told {
        let mut out = Vec::new();
        self.home.on_withdrawn(OTHER, BARRIER, PLAN, &mut out);
        told(&out)
    }
}

/// The first of a home.
const PLAN: u64 = 1;

const RELEASED: Sync = Sync::Released {
    key: BARRIER,
    plan: PLAN,
};

const WITHDRAW: Sync = Sync::Withdraw {
    key: BARRIER,
    plan: PLAN,
};

fn told(out: &[SyncEffect]) -> Told {
    let told = |effect: &SyncEffect| match effect {
        SyncEffect::Reply { token, result, .. } => match *result {
            0 => ("done", token.0),
            1 => ("serial", token.0),
            EBUSY => ("busy", token.0),
            other => panic!("thread {} gets {other}", token.0),
        },
        SyncEffect::Send { to, message } => {
            let name = match message {
                Sync::Arrived { .. } => "Arrived",
                Sync::Released { .. } => "Released",
                Sync::Withdraw { .. } => "Withdraw",
                Sync::Withdrawn { .. } => "Withdrawn",
                Sync::Dissolved { .. } => "Dissolved",
                Sync::Request { .. } => "Request",
                other => panic!("nobody sends {other:?}"),
            };
            (name, to.0.into())
        }
    };
    out.iter().map(told).collect()
}

#[test]
fn who_comes_last_goes_on_at_once() {
    let mut two = Two::new();
    for _ in 0..2 {
        assert_eq!(two.ask_home(1, SyncOp::BarrierWait), [("Released", 1)]);
        assert_eq!(two.tell_other(RELEASED), [], "ahead of time");
        assert_eq!(two.come_to_other(2), [("Arrived", 0), ("done", 2)]);
        assert_eq!(two.home_hears_arrival(), [("serial", 1)]);
    }
}

#[test]
fn messages_that_cross_let_both_go_on() {
    let mut two = Two::new();
    assert_eq!(two.ask_home(1, SyncOp::BarrierWait), [("Released", 1)]);
    assert_eq!(two.come_to_other(2), [("Arrived", 0)]);
    assert_eq!(two.home_hears_arrival(), [("serial", 1)], "told once");
    assert_eq!(two.tell_other(RELEASED), [("done", 2)]);
}

#[test]
fn a_thread_without_a_place_takes_the_place_of_one_who_did_not_come() {
    let mut two = Two::new();
    two.ask_home(1, SyncOp::BarrierWait);
    two.tell_other(RELEASED);
    assert_eq!(two.ask_home(3, SyncOp::BarrierWait), [("Withdraw", 1)]);
    assert_eq!(two.ask_home(4, SyncOp::BarrierDestroy), [], "asked once");
    assert_eq!(two.tell_other(WITHDRAW), [("Withdrawn", 0)]);
    let gone_on = [("Dissolved", 1), ("done", 1), ("serial", 3), ("done", 4)];
    assert_eq!(two.home_hears_withdrawal(), gone_on, "in order");
}

#[test]
fn a_thread_without_a_place_is_of_the_next_round_if_the_others_have_gone_on() {
    let mut two = Two::new();
    two.ask_home(1, SyncOp::BarrierWait);
    two.tell_other(RELEASED);
    two.come_to_other(2);
    assert_eq!(two.ask_home(3, SyncOp::BarrierWait), [("Withdraw", 1)]);
    assert_eq!(two.tell_other(WITHDRAW), [], "it was used");
    let next = [("serial", 1), ("Released", 1)];
    assert_eq!(two.home_hears_arrival(), next, "thread 3 has a place there");
    two.tell_other(RELEASED);
    assert_eq!(two.come_to_other(2), [("Arrived", 0), ("done", 2)]);
}

#[test]
fn a_barrier_is_busy_until_it_is_known_that_its_round_is_over() {
    for is_over in [false, true] {
        let mut two = Two::new();
        two.ask_home(1, SyncOp::BarrierWait);
        two.tell_other(RELEASED);
        if is_over {
            two.come_to_other(2);
        }
        assert_eq!(two.ask_home(3, SyncOp::BarrierDestroy), [("Withdraw", 1)]);
        two.tell_other(WITHDRAW);
        if is_over {
            let destroyed = [("serial", 1), ("Dissolved", 1), ("done", 3)];
            assert_eq!(two.home_hears_arrival(), destroyed);
        } else {
            assert_eq!(two.home_hears_withdrawal(), [("busy", 3)]);
            assert_eq!(two.come_to_other(2), [("Arrived", 0)], "the round goes on");
            assert_eq!(two.home_hears_arrival(), [("Released", 1), ("serial", 1)]);
        }
    }
}
