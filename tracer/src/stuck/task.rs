//! What /proc says of processes and threads.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::error::{Error, Result};

/// A process.
pub struct Process {
    pid: i32,
    /// Its command line.
    pub command: Vec<String>,
    /// How long it has been running.
    pub age: Duration,
}

/// A thread.
pub struct Task {
    /// Its process.
    pub pid: i32,
    /// Its id.
    pub tid: i32,
    /// Its name.
    pub name: String,
    /// The letter of its state: R, S, D, T, t, Z, X.
    pub state: char,
    /// Processor time it took so far.
    pub cpu: Duration,
    /// Where it waits in the kernel.
    pub call: SystemCall,
    /// Since when it isn't running.
    pub asleep: Option<Duration>,
}

/// What `/proc/PID/task/TID/syscall` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemCall {
    /// It waits in a system call.
    Waits {
        /// Which.
        number: i64,
        /// Its arguments.
        arguments: [u64; 6],
        /// The program's stack pointer.
        stack: u64,
        /// Where the program goes on.
        pc: u64,
    },
    /// It waits, but for no system call: a page fault.
    Faults {
        /// The program's stack pointer.
        stack: u64,
        /// Where the program goes on.
        pc: u64,
    },
    /// It runs.
    Runs,
    /// Nobody says.
    Unknown,
}

impl Process {
    /// Process `pid`.
    pub fn read(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).map_err(|error| Error::of(pid, &path, error))?;
        let fields = fields(&stat);
        let state = fields.first().and_then(|field| field.chars().next());
        if state == Some('Z') {
            return Err(Error::Ended(pid));
        }
        let path = format!("/proc/{pid}/cmdline");
        let command = fs::read(&path).map_err(|error| Error::of(pid, &path, error))?;
        let started = fields.get(19).and_then(|field| field.parse().ok());
        let uptime = fs::read_to_string("/proc/uptime").ok();
        let uptime = uptime.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        let age = uptime
            .zip(started)
            .map(|(uptime, started): (f64, u64)| uptime - ticks(started).as_secs_f64());
        Ok(Self {
            pid,
            command: words(&command),
            age: Duration::from_secs_f64(age.unwrap_or_default().max(0.0)),
        })
    }

    /// Its threads, by their ids.
    pub fn tasks(&self) -> Result<Vec<i32>> {
        let path = format!("/proc/{}/task", self.pid);
        let gone = |error| Error::of(self.pid, &path, error);
        let entries = fs::read_dir(&path).map_err(gone)?.flatten();
        let mut tasks: Vec<i32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        tasks.sort_unstable();
        Ok(tasks)
    }
}

impl Task {
    /// A thread; `None`: it is gone.
    pub fn read(pid: i32, tid: i32, clocks: &mut Clocks) -> Option<Self> {
        let folder = format!("/proc/{pid}/task/{tid}");
        let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
        let fields = fields(&stat);
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
        let state = fields.first()?.chars().next()?;
        // Field 39: the processor it was last on.
        let processor = fields.get(36).and_then(|field| field.parse().ok());
        let asleep = match (state, processor) {
            ('S' | 'D', Some(processor)) => clocks
                .now(processor)
                .zip(last_ran(&folder))
                .map(|(now, then)| now.saturating_sub(then)),
            _ => None,
        };
        Some(Self {
            pid,
            tid,
            name: name(&stat),
            state,
            cpu: ticks(number(11).unwrap_or(0) + number(12).unwrap_or(0)),
            call: SystemCall::read(pid, tid),
            asleep,
        })
    }
}

/// The scheduler's clocks: each processor has its own, and they go apart by what the hypervisor and interrupts took from them.
pub struct Clocks {
    own: Option<CpuSet>,
    times: HashMap<usize, Option<Duration>>,
}

impl Clocks {
    /// None read yet.
    pub fn new() -> Self {
        Self {
            own: sched_getaffinity(Pid::from_raw(0)).ok(),
            times: HashMap::new(),
        }
    }

    /// The time on a processor, read once, by going there; `None`: we may not run there.
    fn now(&mut self, processor: usize) -> Option<Duration> {
        let own = self.own;
        *self.times.entry(processor).or_insert_with(|| {
            let own = own?;
            let mut there = CpuSet::new();
            there.set(processor).ok()?;
            sched_setaffinity(Pid::from_raw(0), &there).ok()?;
            let time = last_ran("/proc/thread-self");
            sched_setaffinity(Pid::from_raw(0), &own).ok()?;
            time
        })
    }
}

impl SystemCall {
    /// Of a thread, now.
    pub fn read(pid: i32, tid: i32) -> Self {
        match fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")) {
            Ok(text) => Self::parse(&text),
            Err(_) => Self::Unknown,
        }
    }

    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let hex = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        let parsed = match words[..] {
            ["running"] => Some(Self::Runs),
            ["-1", stack, pc] => hex(stack)
                .zip(hex(pc))
                .map(|(stack, pc)| Self::Faults { stack, pc }),
            [number, .., stack, pc] if words.len() == 9 => {
                let mut arguments = [0; 6];
                for (argument, word) in arguments.iter_mut().zip(&words[1..7]) {
                    *argument = hex(word).unwrap_or(0);
                }
                number
                    .parse()
                    .ok()
                    .zip(hex(stack).zip(hex(pc)))
                    .map(|(number, (stack, pc))| Self::Waits {
                        number,
                        arguments,
                        stack,
                        pc,
                    })
            }
            _ => None,
        };
        parsed.unwrap_or(Self::Unknown)
    }
}

/// Whether reading `/proc/PID/maps` and memory would be refused.
pub fn open_maps(pid: i32) -> Result<String> {
    let path = format!("/proc/{pid}/maps");
    let maps = fs::read_to_string(&path).map_err(|error| Error::of(pid, &path, error))?;
    match maps.is_empty() {
        // A process that has ended has none either.
        true if Process::read(pid)?.command.is_empty() => Err(Error::Kernel(pid)),
        true => Err(Error::Ended(pid)),
        false => Ok(maps),
    }
}

/// Fields behind the name, which may hold anything: the state is the first.
fn fields(stat: &str) -> Vec<&str> {
    let behind = stat.rfind(')').map_or(0, |at| at + 1);
    stat[behind..].split_whitespace().collect()
}

fn name(stat: &str) -> String {
    let begin = stat.find('(').map_or(0, |at| at + 1);
    let end = stat.rfind(')').unwrap_or(stat.len());
    stat.get(begin..end).unwrap_or_default().to_owned()
}

fn words(command: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(command);
    let words = text.trim_end_matches('\0').split('\0');
    words
        .filter(|_| !command.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Clock ticks as time: the kernel tells times to programs in hundredths of a second on every machine.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(10))
}

/// When a thread was last put on a processor or taken from it, by the scheduler's clock.
fn last_ran(folder: &str) -> Option<Duration> {
    let text: io::Result<String> = fs::read_to_string(format!("{folder}/sched"));
    let text = text.ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("se.exec_start"))?;
    let milliseconds: f64 = line.rsplit(':').next()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "12 (a) R 1 (b)) S 1 2 3";
        assert_eq!(name(stat), "a) R 1 (b)");
        assert_eq!(fields(stat)[..2], ["S", "1"]);
    }

    #[test]
    fn what_the_kernel_says_of_system_calls() {
        let waits = SystemCall::parse("230 0x0 0x1 0x2 0x3 0x4 0x5 0x7ffe 0x7fd6\n");
        let expected = SystemCall::Waits {
            number: 230,
            arguments: [0, 1, 2, 3, 4, 5],
            stack: 0x7ffe,
            pc: 0x7fd6,
        };
        assert_eq!(waits, expected);
        assert_eq!(SystemCall::parse("running\n"), SystemCall::Runs);
        let faults = SystemCall::Faults {
            stack: 0x10,
            pc: 0x20,
        };
        assert_eq!(SystemCall::parse("-1 0x10 0x20"), faults);
        assert_eq!(SystemCall::parse(""), SystemCall::Unknown);
    }
}
