//! Mutexes, semaphores, barriers and condition variables: each call is one request to the object's home.

use std::cell::Cell;

use umbel_fault::PAGE_BYTES;
use umbel_wire::NodeId;
use umbel_wire::sync::{SyncKey, SyncOp};

use crate::capi_keys::{LOCAL_BIT, MODULE_LOG2, key_in_window};
use crate::happens_before::{count_release, releases};
use crate::held::{self, UNANSWERED};
use crate::local;
use crate::modules;
use crate::node::Node;
use crate::recorder;
use crate::request::{Reply, Request};

/// The name and the home of the object at `address`.
fn resolve(address: usize) -> (SyncKey, NodeId) {
    let node = Node::get();
    if let Some(place) = node.place_at(address) {
        // The home's record must go when the scope ends, though no thread may ever see the object.
        local::with(|local| local.share(place));
        let offset = (address % PAGE_BYTES) as u64;
        return (
            key_in_window(place.id(), offset),
            node.homes.home_of_stack(place.stack),
        );
    }
    match modules::name(address) {
        Some(code) => (
            SyncKey(u64::from(code.module) << MODULE_LOG2 | code.offset),
            NodeId(0),
        ),
        // A private local or malloc'd: only this node's threads can mean it.
        None => (SyncKey(LOCAL_BIT | address as u64), node.rank),
    }
}

fn request(address: usize, op: SyncOp) -> i32 {
    if address == 0 {
        return -libc::EINVAL;
    }
    let (key, home) = resolve(address);
    ask(key, home, op)
}

fn ask(key: SyncKey, home: NodeId, op: SyncOp) -> i32 {
    let node = Node::get();
    node.refuse_copy("used a synchronization object");
    let thread = local::with(|local| local.thread);
    let _why = recorder::because(recorder::why_of(op), key.0);
    if releases(op) {
        count_release();
    }
    if home == node.rank {
        // One request for what is to be sent and for the wait: a visit, or the bell, once.
        let has_to_send = Cell::new(false);
        let result = node.sync.run(
            thread,
            key,
            op,
            || has_to_send.set(true),
            |reply| {
                let ahead = || meets(op).then_some(Request::FlushAhead);
                let send = has_to_send.take().then_some(Request::SendSync);
                node.wait_for(send.or_else(ahead), reply)
            },
        );
        if has_to_send.get() {
            node.hand_over(Request::SendSync);
        }
        return result;
    }
    if UNANSWERED.begin() {
        if held::must_succeed(key, op) {
            node.hand_over(Request::Sync {
                thread,
                key,
                home,
                op,
                reply: None,
            });
            return 0;
        }
        UNANSWERED.end();
    }
    let reply = Reply::new();
    let request = Request::Sync {
        thread,
        key,
        home,
        op,
        reply: Some(reply.clone()),
    };
    let result = node.wait_for(Some(request), &reply) as i32;
    held::learn(key, op, result);
    result
}

/// Whether who waits here releases what he wrote to those who come after him.
fn meets(op: SyncOp) -> bool {
    op == SyncOp::BarrierWait && Node::get().distributed()
}

/// For calls that only succeed or fail.
fn status(result: i32) -> i32 {
    if result < 0 { -result } else { 0 }
}

fn init(address: usize, attributes: usize, op: SyncOp) -> i32 {
    if attributes != 0 {
        return libc::EINVAL;
    }
    status(request(address, op))
}

macro_rules! calls {
    ($($name:ident => $op:expr;)*) => {
        $(
            /// See `umbel.h`.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(object: usize) -> i32 {
                status(request(object, $op))
            }
        )*
    };
}

calls! {
    dist_mutex_lock => SyncOp::MutexLock;
    dist_mutex_trylock => SyncOp::MutexTryLock;
    dist_mutex_unlock => SyncOp::MutexUnlock;
    dist_mutex_destroy => SyncOp::MutexDestroy;
    dist_sem_wait => SyncOp::SemWait;
    dist_sem_trywait => SyncOp::SemTryWait;
    dist_sem_post => SyncOp::SemPost;
    dist_sem_destroy => SyncOp::SemDestroy;
    dist_barrier_destroy => SyncOp::BarrierDestroy;
    dist_cond_signal => SyncOp::CondSignal;
    dist_cond_broadcast => SyncOp::CondBroadcast;
    dist_cond_destroy => SyncOp::CondDestroy;
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_mutex_init(mutex: usize, attributes: usize) -> i32 {
    init(mutex, attributes, SyncOp::MutexInit)
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_sem_init(sem: usize, _shared: i32, value: u32) -> i32 {
    status(request(sem, SyncOp::SemInit(value)))
}

/// See `umbel.h`.
///
/// # Safety
/// `value` is null or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dist_sem_getvalue(sem: usize, value: *mut i32) -> i32 {
    let result = request(sem, SyncOp::SemGetValue);
    if result < 0 {
        return -result;
    }
    if value.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: by the contract above.
    unsafe { value.write(result) };
    0
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_barrier_init(barrier: usize, attributes: usize, count: u32) -> i32 {
    init(barrier, attributes, SyncOp::BarrierInit(count))
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_barrier_wait(barrier: usize) -> i32 {
    match request(barrier, SyncOp::BarrierWait) {
        0 => 0,
        1 => SERIAL_THREAD,
        error => -error,
    }
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_cond_init(cond: usize, attributes: usize) -> i32 {
    init(cond, attributes, SyncOp::CondInit)
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_cond_wait(cond: usize, mutex: usize) -> i32 {
    if cond == 0 || mutex == 0 {
        return libc::EINVAL;
    }
    let (cond, cond_home) = resolve(cond);
    let (mutex, mutex_home) = resolve(mutex);
    if cond_home == mutex_home {
        return status(ask(cond, cond_home, SyncOp::CondWait { mutex }));
    }
    // Two homes: join the queue before the mutex is released, so that no signal is missed.
    for (key, home, op) in [
        (cond, cond_home, SyncOp::CondEnqueue),
        (mutex, mutex_home, SyncOp::MutexUnlock),
        (cond, cond_home, SyncOp::CondBlock),
        (mutex, mutex_home, SyncOp::MutexLock),
    ] {
        let result = ask(key, home, op);
        if result < 0 {
            return -result;
        }
    }
    0
}

const SERIAL_THREAD: i32 = -1;
