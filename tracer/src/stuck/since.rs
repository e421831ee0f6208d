//! Since when each function of a traced program's stack has been there, out of the recording that is being made.
//!
//! A thread's events are read from the last one backwards: a call without a return behind it is still open. The recording says when,
//! the stack says which: a call counts only if it is the next function of the stack, so what longjmp and exceptions cut off does no harm.

use std::path::Path;
use std::time::Duration;

use super::Thread;
use crate::recording::codec::{Decoder, Visit};
use crate::recording::{Event, Kind, Recording, ThreadSerial};

/// Events of one thread that are looked at: beyond, the outer functions stay without a time.
const EVENTS_MAX: usize = 4 << 20;

/// Tells the frames of `threads`, which were looked at `now` (of CLOCK_MONOTONIC), how long they are there; why it can't be told, if it can't.
pub fn tell(pid: i32, recording: &Path, now: Duration, threads: &mut [Thread]) -> Option<String> {
    let opened = match Recording::open(recording) {
        Ok(opened) => opened,
        Err(error) => return Some(error.to_string()),
    };
    let now = now.as_nanos() as u64;
    let is_own = |info: &&crate::recording::ProcessInfo| i64::from(info.pid) == i64::from(pid);
    // A pid may have come again, an exec makes another process of it: the last one is alive.
    let process = opened.processes().iter().rfind(is_own)?.serial;
    for thread in threads {
        let mut infos = opened.threads().iter();
        let is_it = |info: &&crate::recording::ThreadInfo| {
            info.process == process && i64::from(info.tid) == i64::from(thread.tid)
        };
        let Some(info) = infos.rfind(is_it) else {
            continue;
        };
        for (frame, ticks) in open_calls(&opened, info.serial, thread) {
            let then = opened.clock().monotonic_ns(ticks);
            let age = Duration::from_nanos(now.saturating_sub(then));
            thread.frames[frame].since = Some(age);
        }
    }
    None
}

/// Frames of the stack, and when they were called.
fn open_calls(recording: &Recording, serial: ThreadSerial, thread: &Thread) -> Vec<(usize, u64)> {
    let mut found = Vec::new();
    let entries = thread.frames.iter().enumerate();
    let mut wanted = entries
        .filter_map(|(frame, known)| Some((frame, known.entry?)))
        .peekable();
    let Ok(mut decoder) = Decoder::new() else {
        return found;
    };
    let mut buffer = Vec::new();
    let mut closed = 0_u64;
    let mut looked_at = 0;
    for segment in recording.segments(serial).iter().rev() {
        let mut events = Events::default();
        recording.visit(segment, &mut decoder, &mut buffer, &mut events);
        looked_at += events.list.len();
        for (ticks, change) in events.list.into_iter().rev() {
            match change {
                Change::Return => closed += 1,
                Change::Call(_) if closed > 0 => closed -= 1,
                Change::Call(function) => {
                    // Frames between that are not traced have no call in the recording.
                    let mut ahead = wanted.clone();
                    if let Some((frame, _)) = ahead.find(|(_, entry)| *entry == function) {
                        found.push((frame, ticks));
                        wanted = ahead;
                    }
                }
                // What is missing there would shift all that is further out.
                Change::Break => return found,
            }
        }
        if wanted.peek().is_none() || looked_at > EVENTS_MAX {
            break;
        }
    }
    found
}

enum Change {
    Call(u64),
    Return,
    Break,
}

#[derive(Default)]
struct Events {
    addresses: Vec<u64>,
    list: Vec<(u64, Change)>,
}

impl Visit for Events {
    fn function(&mut self, address: u64, _: u64) {
        self.addresses.push(address);
    }

    fn call(&mut self, ticks: u64, function: u32) {
        let address = self.addresses.get(function as usize).copied();
        self.list.push((ticks, Change::Call(address.unwrap_or(0))));
    }

    fn ret(&mut self, ticks: u64, _: u32) {
        self.list.push((ticks, Change::Return));
    }

    fn special(&mut self, event: Event) {
        if matches!(event.kind, Kind::Lost { .. } | Kind::Context(_)) {
            self.list.push((event.ticks, Change::Break));
        }
    }
}
