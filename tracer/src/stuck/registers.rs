//! How one thread is looked at: as it sleeps, or stopped for a moment.

use super::calls;
use super::frames::{Stack, Walker};
use super::memory::LiveMemory;
use super::stop::{Refusal, stopped};
use super::task::{SystemCall, Task};
use super::unwind::{RSP, Registers};
use super::{Seen, State, Thread, Wishes};
use crate::record::robust_list;

/// A sleeping thread's stack is right if it slept all the while; it is tried so often.
const ATTEMPTS: usize = 3;

/// Looks at a thread; `remarks` get what could not be done.
pub fn look_at(
    task: &Task,
    walker: &Walker,
    wishes: &Wishes,
    is_socket: impl Fn(i32) -> bool,
    remarks: &mut Vec<String>,
) -> Thread {
    let (seen, stack) = see(task, walker, wishes, is_socket, remarks);
    let state = match state(task) {
        State::Blocked { call, .. } if stack.is_held && call == "futex" => State::Held(None),
        state => state,
    };
    Thread {
        tid: task.tid,
        name: task.name.clone(),
        state,
        cpu: task.cpu,
        asleep: task.asleep,
        seen,
        frames: stack.frames,
        cut: stack.cut,
    }
}

fn see(
    task: &Task,
    walker: &Walker,
    wishes: &Wishes,
    is_socket: impl Fn(i32) -> bool,
    remarks: &mut Vec<String>,
) -> (Seen, Stack) {
    let asleep = asleep(task, walker);
    let fails = match task.call {
        SystemCall::Waits {
            number, arguments, ..
        } => {
            let descriptor = calls::descriptor(number, &arguments);
            calls::fails_if_stopped(number, descriptor.is_some_and(is_socket))
        }
        _ => false,
    };
    // Nothing more would be learned, or nothing more may be.
    let is_enough = asleep.as_ref().is_some_and(|stack| stack.is_complete);
    if is_enough || fails || wishes.never_stop || task.state == 'Z' || task.state == 'X' {
        return match asleep {
            Some(stack) => (Seen::Asleep, stack),
            None => (Seen::Not, Stack::cut("it runs, and may not be stopped")),
        };
    }
    walker.memory.forget();
    match stopped(task.tid, walker.modules, walker.memory) {
        Ok(stopped) => (Seen::Stopped(stopped.took), walker.walk(&stopped.registers)),
        Err(Refusal::Ended) => (Seen::Not, Stack::cut("it has ended")),
        Err(refusal) => {
            remarks.push(format!("thread {}: {refusal}", task.tid));
            match asleep {
                Some(stack) => (Seen::Asleep, stack),
                None => (Seen::Not, Stack::cut("it runs, and can't be stopped")),
            }
        }
    }
}

/// The stack of a thread that sleeps, from what the kernel says of it; `None`: it doesn't sleep.
fn asleep(task: &Task, walker: &Walker) -> Option<Stack> {
    let mut call = task.call;
    for _ in 0..ATTEMPTS {
        let mut registers = known(&call)?;
        walker.memory.forget();
        registers.thread = own_block(task.tid, walker.memory);
        let stack = walker.walk(&registers);
        let now = SystemCall::read(task.pid, task.tid);
        if now == call {
            return Some(stack);
        }
        call = now;
    }
    None
}

/// A thread's own address: that of its block, which has the head of its list of robust mutexes in it, and its own address twice.
fn own_block(tid: i32, memory: &LiveMemory) -> Option<u64> {
    let head = robust_list(tid)?;
    let mut places = (0..BLOCK_BYTES_MAX).step_by(8);
    places.find_map(|offset| {
        let block = head.checked_sub(offset)?;
        let is_it = |at| memory.word(block.wrapping_add(at)) == Some(block);
        (is_it(0) && is_it(OWN_OFFSET)).then_some(block)
    })
}

/// Bytes of a thread's block at most.
const BLOCK_BYTES_MAX: u64 = 4096;

/// Where a thread's block has its own address, besides its first word (`tcbhead_t`).
const OWN_OFFSET: u64 = 16;

/// What is known of a sleeping thread's registers: a system call leaves its arguments where they were.
fn known(call: &SystemCall) -> Option<Registers> {
    let mut registers = Registers::default();
    let (stack, pc) = match *call {
        SystemCall::Waits {
            arguments,
            stack,
            pc,
            ..
        } => {
            let [rdi, rsi, rdx, r10, r8, r9] = arguments;
            for (number, value) in [(5, rdi), (4, rsi), (1, rdx), (10, r10), (8, r8), (9, r9)] {
                registers.general[number] = Some(value);
            }
            (stack, pc)
        }
        SystemCall::Faults { stack, pc } => (stack, pc),
        SystemCall::Runs | SystemCall::Unknown => return None,
    };
    registers.general[RSP as usize] = Some(stack);
    registers.pc = pc;
    Some(registers)
}

fn state(task: &Task) -> State {
    match (task.state, task.call) {
        ('T' | 't', _) => State::Stopped,
        ('Z' | 'X', _) => State::Ended,
        (
            letter,
            SystemCall::Waits {
                number, arguments, ..
            },
        ) => State::Blocked {
            call: calls::name(number),
            descriptor: calls::descriptor(number, &arguments),
            is_deaf: letter == 'D',
        },
        (letter @ ('S' | 'D'), SystemCall::Faults { .. }) => State::Blocked {
            call: "a page fault".to_owned(),
            descriptor: None,
            is_deaf: letter == 'D',
        },
        _ => State::Running,
    }
}
