//! Threads: `dist_thr_*` and what the plugin makes of `dist_thr_create`.

use umbel_wire::event::Why;
use umbel_wire::thread::CodeRef;
use umbel_wire::{NodeId, ThreadId};

use crate::chain;
use crate::local::{self, Local};
use crate::modules;
use crate::node::{MAIN, Node};
use crate::recorder;
use crate::request::{Reply, Request};
use crate::sys::{abi, process, stubs};
use umbel_agents::Reach;

/// A thread function as found: its code, its record (0 if none) and its chain.
struct Target {
    code: usize,
    record: usize,
    chain: usize,
}

/// A thread function that the source names directly: the plugin passes its record.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_thr_create(
    record: usize,
    descriptor: usize,
    node: i32,
    argument: i64,
) -> u64 {
    let code = abi::function(record).code;
    let chain = if descriptor == 0 {
        0
    } else {
        abi::descriptor(descriptor).0
    };
    finish(create(
        Target {
            code,
            record,
            chain,
        },
        node,
        argument,
    ))
}

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_main_is_void() {
    crate::node::main_is_void();
}

/// A thread function given as a pointer: the address of an ordinary function or of a stub.
#[unsafe(no_mangle)]
pub extern "C" fn umbel_thr_create(node: i32, function: usize, argument: i64) -> u64 {
    let (code, chain) = stubs::find(function).unwrap_or((function, 0));
    let record = modules::function_with_code(code).unwrap_or(0);
    finish(create(
        Target {
            code,
            record,
            chain,
        },
        node,
        argument,
    ))
}

/// `dist_thr_create` where the macro of `umbel.h` is out of sight.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_create(function: usize, argument: i64) -> u64 {
    umbel_thr_create(-1, function, argument)
}

/// `dist_thr_create_on`, likewise.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_create_on(node: i32, function: usize, argument: i64) -> u64 {
    if node < 0 {
        return finish(Err(libc::EINVAL));
    }
    umbel_thr_create(node, function, argument)
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_join(thread: u64) -> i32 {
    let (waiter, father) = local::with(|local| (local.thread, local.father));
    let thread = ThreadId(thread);
    // Neither can end before the caller has.
    if thread == MAIN || Some(thread) == father {
        return libc::EDEADLK;
    }
    if thread.creator().0 >= Node::get().node_count || thread.sequence() == 0 {
        return libc::ESRCH;
    }
    let reply = Reply::new();
    let request = Request::Join {
        waiter,
        thread,
        reply: reply.clone(),
    };
    let _why = recorder::because(Why::Join, thread.0);
    -(Node::get().wait_for(Some(request), &reply) as i32)
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_join_all() -> i32 {
    local::with(Local::join_all);
    0
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_self() -> u64 {
    local::with(|local| local.thread).0
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn dist_thr_exit() -> ! {
    local::exit_thread()
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_thr_node() -> i32 {
    i32::from(Node::get().rank.0)
}

/// See `umbel.h`.
#[unsafe(no_mangle)]
pub extern "C" fn dist_node_count() -> i32 {
    i32::from(Node::get().node_count)
}

fn create(target: Target, node: i32, argument: i64) -> Result<u64, i32> {
    let runtime = Node::get();
    let node = match node {
        -1 => None,
        node => match u16::try_from(node) {
            Ok(rank) if rank < runtime.node_count => Some(NodeId(rank)),
            _ => return Err(libc::EINVAL),
        },
    };
    let code = modules::name(target.code).ok_or(libc::EINVAL)?;
    let (function, frames) = if target.record == 0 {
        if target.chain != 0 {
            return Err(libc::EINVAL);
        }
        (CodeRef::default(), Vec::new())
    } else {
        let record = abi::function(target.record);
        let chain = if record.has_chain { target.chain } else { 0 };
        let name = modules::name(target.record).ok_or(libc::EINVAL)?;
        (name, chain::capture(record.frame, chain)?)
    };
    let reply = Reply::new();
    let request = local::with(|local| {
        let own = local.counters();
        let tops = Reach {
            small: own.small,
            pages: own.pages,
        };
        let reach = chain::reach(&frames, argument as u64, local.stack.index, tops);
        local.share_all();
        local.has_created.set(true);
        Request::Spawn {
            father: local.thread,
            node,
            code,
            function,
            argument: argument as u64,
            frames,
            reach,
            reply: reply.clone(),
        }
    });
    let _why = recorder::because(Why::Create, 0);
    match runtime.wait_for(Some(request), &reply) {
        thread if thread > 0 => Ok(thread as u64),
        error => Err(-(error as i32)),
    }
}

fn finish(result: Result<u64, i32>) -> u64 {
    result.unwrap_or_else(|errno| {
        process::set_errno(errno);
        0
    })
}
