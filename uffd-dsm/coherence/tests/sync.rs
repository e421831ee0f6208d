//! Synchronization objects, told as transcripts: who asks, who is answered.

use std::collections::{BTreeMap, VecDeque};

use umbel_coherence::{SyncEffect, SyncHome};
use umbel_wire::sync::{SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

const EPERM: i32 = -1;
const EAGAIN: i32 = -11;
const EBUSY: i32 = -16;
const EINVAL: i32 = -22;
const EDEADLK: i32 = -35;
const EOVERFLOW: i32 = -75;
const EOWNERDEAD: i32 = -130;

const MUTEX: SyncKey = SyncKey(0x10);
const COND: SyncKey = SyncKey(0x20);
const SEM: SyncKey = SyncKey(0x30);
const BARRIER: SyncKey = SyncKey(0x40);

/// A home whose threads have the number of their node, and of their token.
struct Home(SyncHome);

impl Default for Home {
    /// No thread is its own.
    fn default() -> Self {
        Self(SyncHome::new(NodeId(0)))
    }
}

impl Home {
    /// Thread `thread` asks; who is answered with what, in order.
    fn ask(&mut self, thread: u16, key: SyncKey, op: SyncOp) -> Vec<(u16, i32)> {
        let mut out = Vec::new();
        let (node, token) = (NodeId(thread), Token(u64::from(thread)));
        self.0
            .on_request(node, token, ThreadId::new(node, 1), key, op, &mut out);
        answers(&out)
    }

    fn forget(&mut self, keys: std::ops::Range<SyncKey>) -> Vec<(u16, i32)> {
        let mut out = Vec::new();
        self.0.forget(keys, &mut out);
        answers(&out)
    }

    fn lose(&mut self, node: u16) -> Vec<(u16, i32)> {
        let mut out = Vec::new();
        self.0.on_node_lost(NodeId(node), &mut out);
        answers(&out)
    }
}

fn answers(out: &[SyncEffect]) -> Vec<(u16, i32)> {
    let answer = |effect: &SyncEffect| {
        let SyncEffect::Reply { to, token, result } = effect else {
            panic!("each thread is of another node, and they are few: {effect:?}");
        };
        assert_eq!(
            u64::from(to.0),
            token.0,
            "the reply goes where the token came from"
        );
        (to.0, *result)
    };
    out.iter().map(answer).collect()
}

#[test]
fn a_mutex_is_handed_over_in_order_of_arrival() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, MUTEX, SyncOp::MutexLock), [(1, 0)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexLock), []);
    assert_eq!(home.ask(3, MUTEX, SyncOp::MutexLock), []);
    assert_eq!(home.ask(1, MUTEX, SyncOp::MutexUnlock), [(2, 0), (1, 0)]);
    assert_eq!(
        home.ask(1, MUTEX, SyncOp::MutexLock),
        [],
        "behind those who waited"
    );
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexUnlock), [(3, 0), (2, 0)]);
    assert_eq!(home.ask(3, MUTEX, SyncOp::MutexUnlock), [(1, 0), (3, 0)]);
}

#[test]
fn a_mutex_checks_its_owner() {
    let mut home = Home::default();
    assert_eq!(
        home.ask(1, MUTEX, SyncOp::MutexUnlock),
        [(1, EPERM)],
        "nobody holds it"
    );
    home.ask(1, MUTEX, SyncOp::MutexLock);
    assert_eq!(home.ask(1, MUTEX, SyncOp::MutexLock), [(1, EDEADLK)]);
    assert_eq!(home.ask(1, MUTEX, SyncOp::MutexTryLock), [(1, EBUSY)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexTryLock), [(2, EBUSY)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexUnlock), [(2, EPERM)]);
}

#[test]
fn a_held_mutex_is_neither_destroyed_nor_initialised() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, EBUSY)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexInit), [(2, EBUSY)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::SemInit(1)), [(2, EBUSY)]);
    home.ask(1, MUTEX, SyncOp::MutexUnlock);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, 0)]);
    assert_eq!(home.0.record_count(), 0);
}

#[test]
fn an_object_is_of_the_kind_it_was_made() {
    let mut home = Home::default();
    home.ask(1, SEM, SyncOp::SemInit(1));
    for op in [
        SyncOp::MutexLock,
        SyncOp::BarrierWait,
        SyncOp::CondSignal,
        SyncOp::CondEnqueue,
        SyncOp::MutexDestroy,
    ] {
        assert_eq!(home.ask(2, SEM, op), [(2, EINVAL)], "{op:?}");
    }
    home.ask(1, MUTEX, SyncOp::MutexLock);
    for op in [
        SyncOp::SemWait,
        SyncOp::SemPost,
        SyncOp::CondWait { mutex: MUTEX },
        SyncOp::CondDestroy,
    ] {
        assert_eq!(home.ask(1, MUTEX, op), [(1, EINVAL)], "{op:?}");
    }
    assert_eq!(
        home.ask(1, COND, SyncOp::CondWait { mutex: SEM }),
        [(1, EINVAL)]
    );
    assert_eq!(
        home.ask(1, SEM, SyncOp::MutexInit),
        [(1, 0)],
        "an idle object's memory may serve anew"
    );
}

#[test]
fn a_semaphore_lets_as_many_through_as_were_posted() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, SEM, SyncOp::SemInit(1)), [(1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemWait), [(1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemTryWait), [(1, EAGAIN)]);
    assert_eq!(home.ask(2, SEM, SyncOp::SemWait), []);
    assert_eq!(home.ask(3, SEM, SyncOp::SemWait), []);
    assert_eq!(home.ask(1, SEM, SyncOp::SemGetValue), [(1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemDestroy), [(1, EBUSY)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemInit(5)), [(1, EBUSY)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemPost), [(2, 0), (1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemPost), [(3, 0), (1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemPost), [(1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemGetValue), [(1, 1)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemDestroy), [(1, 0)]);
}

#[test]
fn a_semaphore_does_not_overflow() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, SEM, SyncOp::SemInit(1 << 31)), [(1, EINVAL)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemInit(i32::MAX as u32)), [(1, 0)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemPost), [(1, EOVERFLOW)]);
    assert_eq!(home.ask(1, SEM, SyncOp::SemGetValue), [(1, i32::MAX)]);
}

#[test]
fn a_barrier_lets_its_count_go_on_together_again_and_again() {
    let mut home = Home::default();
    home.ask(1, BARRIER, SyncOp::BarrierInit(3));
    for _ in 0..2 {
        assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierWait), []);
        assert_eq!(home.ask(2, BARRIER, SyncOp::BarrierWait), []);
        assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierDestroy), [(1, EBUSY)]);
        assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierInit(2)), [(1, EBUSY)]);
        assert_eq!(
            home.ask(3, BARRIER, SyncOp::BarrierWait),
            [(1, 0), (2, 0), (3, 1)],
            "the last is the serial one"
        );
    }
    assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierDestroy), [(1, 0)]);
}

#[test]
fn a_barrier_must_be_initialised() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierWait), [(1, EINVAL)]);
    assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierDestroy), [(1, EINVAL)]);
    assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierInit(0)), [(1, EINVAL)]);
    assert_eq!(
        home.ask(1, BARRIER, SyncOp::BarrierInit(u32::MAX)),
        [(1, EAGAIN)]
    );
    assert_eq!(home.0.record_count(), 0);
    home.ask(1, BARRIER, SyncOp::BarrierInit(1));
    assert_eq!(home.ask(1, BARRIER, SyncOp::BarrierWait), [(1, 1)]);
}

#[test]
fn a_signalled_thread_is_answered_when_it_holds_the_mutex() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexLock), []);
    assert_eq!(
        home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX }),
        [(2, 0)],
        "gives the mutex up"
    );
    assert_eq!(
        home.ask(2, COND, SyncOp::CondSignal),
        [(2, 0)],
        "thread 2 still holds it"
    );
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexUnlock), [(1, 0), (2, 0)]);
    assert_eq!(home.ask(1, MUTEX, SyncOp::MutexUnlock), [(1, 0)]);
}

#[test]
fn a_signal_wakes_the_longest_waiting_and_a_broadcast_everybody() {
    let mut home = Home::default();
    for thread in 1..=4 {
        home.ask(thread, MUTEX, SyncOp::MutexLock);
        assert_eq!(
            home.ask(thread, COND, SyncOp::CondWait { mutex: MUTEX }),
            []
        );
    }
    assert_eq!(home.ask(9, COND, SyncOp::CondDestroy), [(9, EBUSY)]);
    assert_eq!(home.ask(9, COND, SyncOp::CondInit), [(9, EBUSY)]);
    assert_eq!(
        home.ask(9, COND, SyncOp::CondSignal),
        [(1, 0), (9, 0)],
        "the mutex is free"
    );
    assert_eq!(home.ask(9, COND, SyncOp::CondBroadcast), [(9, 0)]);
    assert_eq!(
        home.ask(9, COND, SyncOp::CondDestroy),
        [(9, 0)],
        "nobody waits for it any more"
    );
    for thread in 1..=3 {
        assert_eq!(
            home.ask(thread, MUTEX, SyncOp::MutexUnlock),
            [(thread + 1, 0), (thread, 0)]
        );
    }
}

#[test]
fn a_signal_without_waiters_is_not_remembered() {
    let mut home = Home::default();
    assert_eq!(home.ask(2, COND, SyncOp::CondSignal), [(2, 0)]);
    home.ask(1, MUTEX, SyncOp::MutexLock);
    assert_eq!(home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX }), []);
}

#[test]
fn waiting_needs_the_mutex() {
    let mut home = Home::default();
    assert_eq!(
        home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX }),
        [(1, EPERM)]
    );
    home.ask(2, MUTEX, SyncOp::MutexLock);
    assert_eq!(
        home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX }),
        [(1, EPERM)]
    );
}

#[test]
fn a_mutex_that_condition_waiters_come_back_for_is_busy() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX });
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, EBUSY)]);
    assert_eq!(home.ask(2, COND, SyncOp::CondSignal), [(1, 0), (2, 0)]);
    home.ask(1, MUTEX, SyncOp::MutexUnlock);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, 0)]);
}

#[test]
fn two_halves_of_a_wait_lose_no_signal() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, COND, SyncOp::CondEnqueue), [(1, 0)]);
    assert_eq!(home.ask(2, COND, SyncOp::CondEnqueue), [(2, 0)]);
    assert_eq!(home.ask(2, COND, SyncOp::CondBlock), []);
    assert_eq!(
        home.ask(3, COND, SyncOp::CondSignal),
        [(3, 0)],
        "for thread 1, between its halves"
    );
    assert_eq!(home.ask(3, COND, SyncOp::CondSignal), [(2, 0), (3, 0)]);
    assert_eq!(home.ask(3, COND, SyncOp::CondDestroy), [(3, 0)]);
    assert_eq!(
        home.ask(1, COND, SyncOp::CondBlock),
        [(1, 0)],
        "also after the variable's end"
    );
    assert_eq!(home.ask(1, COND, SyncOp::CondBlock), [(1, EINVAL)], "once");
}

#[test]
fn a_thread_joins_once() {
    let mut home = Home::default();
    assert_eq!(home.ask(1, COND, SyncOp::CondBlock), [(1, EINVAL)]);
    home.ask(1, COND, SyncOp::CondEnqueue);
    assert_eq!(home.ask(1, COND, SyncOp::CondEnqueue), [(1, EINVAL)]);
    home.ask(2, COND, SyncOp::CondSignal);
    assert_eq!(
        home.ask(1, COND, SyncOp::CondEnqueue),
        [(1, EINVAL)],
        "it was signalled and did not ask yet"
    );
}

#[test]
fn leaving_a_scope_ends_every_wait_in_it() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(2, MUTEX, SyncOp::MutexLock);
    home.ask(3, SEM, SyncOp::SemWait);
    home.ask(4, BARRIER, SyncOp::BarrierInit(2));
    home.ask(4, BARRIER, SyncOp::BarrierWait);
    home.ask(5, COND, SyncOp::CondEnqueue);
    home.ask(5, COND, SyncOp::CondBlock);
    let expected = [(2, EINVAL), (5, EINVAL), (3, EINVAL), (4, EINVAL)];
    assert_eq!(home.forget(MUTEX..SyncKey(BARRIER.0 + 1)), expected);
    assert_eq!(home.0.record_count(), 0);
    assert_eq!(
        home.ask(1, MUTEX, SyncOp::MutexTryLock),
        [(1, 0)],
        "a new object"
    );
}

#[test]
fn leaving_the_scope_of_a_mutex_ends_the_waits_that_would_come_back_for_it() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX });
    assert_eq!(home.forget(MUTEX..SyncKey(MUTEX.0 + 1)), [(1, EINVAL)]);
    assert_eq!(
        home.ask(2, COND, SyncOp::CondSignal),
        [(2, 0)],
        "nobody is left"
    );
}

#[test]
fn leaving_the_scope_of_a_condition_variable_frees_its_mutex() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX });
    assert_eq!(home.forget(COND..SyncKey(COND.0 + 1)), [(1, EINVAL)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, 0)]);
}

#[test]
fn what_a_lost_node_held_goes_to_the_next() {
    let mut home = Home::default();
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(2, MUTEX, SyncOp::MutexLock);
    home.ask(3, MUTEX, SyncOp::MutexLock);
    assert_eq!(home.lose(2), [], "it only waited");
    assert_eq!(home.lose(1), [(3, EOWNERDEAD)]);
    assert_eq!(home.ask(3, MUTEX, SyncOp::MutexUnlock), [(3, 0)]);
}

#[test]
fn a_lost_node_waits_for_nothing() {
    let mut home = Home::default();
    home.ask(1, SEM, SyncOp::SemWait);
    home.ask(1, MUTEX, SyncOp::MutexLock);
    home.ask(1, COND, SyncOp::CondWait { mutex: MUTEX });
    assert_eq!(home.lose(1), []);
    assert_eq!(home.ask(2, SEM, SyncOp::SemPost), [(2, 0)]);
    assert_eq!(home.ask(2, SEM, SyncOp::SemGetValue), [(2, 1)]);
    assert_eq!(home.ask(2, COND, SyncOp::CondBroadcast), [(2, 0)]);
    assert_eq!(home.ask(2, MUTEX, SyncOp::MutexDestroy), [(2, 0)]);
}

/// The simple model: the whole queue, its first one holding.
#[derive(Default)]
struct QueueModel(VecDeque<u16>);

impl QueueModel {
    fn run(&mut self, thread: u16, op: SyncOp) -> Vec<(u16, i32)> {
        let holder = self.0.front().copied();
        match op {
            SyncOp::MutexLock if holder == Some(thread) => vec![(thread, EDEADLK)],
            SyncOp::MutexTryLock if holder.is_some() => vec![(thread, EBUSY)],
            SyncOp::MutexLock | SyncOp::MutexTryLock => {
                self.0.push_back(thread);
                if holder.is_none() {
                    vec![(thread, 0)]
                } else {
                    vec![]
                }
            }
            SyncOp::MutexUnlock if holder == Some(thread) => {
                self.0.pop_front();
                self.0
                    .front()
                    .map(|next| (*next, 0))
                    .into_iter()
                    .chain([(thread, 0)])
                    .collect()
            }
            SyncOp::MutexUnlock => vec![(thread, EPERM)],
            other => unreachable!("the test does not ask for {other:?}"),
        }
    }
}

#[test]
fn mutexes_are_queues() {
    let mut home = Home::default();
    let mut models: BTreeMap<SyncKey, QueueModel> = BTreeMap::new();
    let mut random: u64 = 1;
    for _ in 0..50_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let key = SyncKey(random >> 33 & 3);
        let thread = u16::try_from(random >> 40 & 7).expect("three bits");
        let model = models.entry(key).or_default();
        if model.0.iter().skip(1).any(|waiter| *waiter == thread) {
            // It waits: it cannot ask.
            continue;
        }
        let op = [
            SyncOp::MutexLock,
            SyncOp::MutexTryLock,
            SyncOp::MutexUnlock,
            SyncOp::MutexUnlock,
        ][usize::try_from(random >> 50 & 3).expect("two bits")];
        assert_eq!(
            home.ask(thread, key, op),
            model.run(thread, op),
            "thread {thread}: {op:?} of {key:?}"
        );
    }
}
