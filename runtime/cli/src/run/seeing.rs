//! What the nodes recorded, as a timeline and as a report.
//!
//! ```text
//! node ── Control::Events, ten times a second ──► Order (by time, over all nodes)
//!                                                   └─► Slices (begin + end, names, sender + receiver)
//!                                                         ├─► Timeline: --timeline FILE, written as it comes
//!                                                         └─► Tally:    --report FILE.html, written at the end
//! ```

use std::path::PathBuf;

use clap::Args;
use nix::time::{ClockId, clock_gettime};
use umbel_wire::event::Event;

use super::stats::JobStats;
use order::Order;
use report::Report;
use slices::{Shown, Slices};
use timeline::Timeline;

mod findings;
mod heat;
mod html;
mod map;
mod order;
mod page;
mod report;
mod scale;
mod slices;
mod table;
mod tally;
mod timeline;

/// Files to write.
#[derive(Args)]
pub struct SeeingOptions {
    /// Write what each thread did, when, to FILE: faults by variable, waits, messages. Open it in
    /// https://ui.perfetto.dev or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,

    /// Write a page to FILE that shows which variables moved between which nodes, and when. It is one file
    /// that any browser opens.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// What is made of a job's records.
pub struct Seeing {
    order: Order,
    slices: Slices,
    timeline: Option<Timeline>,
    report: Option<Report>,
    /// By node: records that it had no room for.
    lost: Vec<u64>,
    /// For the user.
    messages: Vec<String>,
    /// When to look next.
    next_ns: u64,
}

impl SeeingOptions {
    /// Whether the nodes have to record.
    pub fn wants_records(&self) -> bool {
        self.timeline.is_some() || self.report.is_some()
    }

    /// Whether statistics are needed.
    pub fn wants_stats(&self) -> bool {
        self.report.is_some()
    }

    /// Opens the files; before anything is started.
    pub fn open(&self, command: &str) -> Result<Option<Seeing>, String> {
        if !self.wants_records() {
            return Ok(None);
        }
        if self.timeline.is_some() && self.timeline == self.report {
            return Err("--timeline and --report need two different files".into());
        }
        let start_ns = now_ns();
        let timeline = self.timeline.as_deref();
        let report = self.report.as_deref();
        Ok(Some(Seeing {
            order: Order::default(),
            slices: Slices::default(),
            timeline: timeline
                .map(|path| Timeline::create(path, start_ns))
                .transpose()?,
            report: report
                .map(|path| Report::create(path, command, start_ns))
                .transpose()?,
            lost: Vec::new(),
            messages: Vec::new(),
            next_ns: 0,
        }))
    }
}

impl Seeing {
    /// The nodes run in these processes.
    pub fn start(&mut self, pids: &[i32]) {
        self.lost = vec![0; pids.len()];
        if let Some(timeline) = &mut self.timeline {
            timeline.start(pids);
        }
        if let Some(report) = &mut self.report {
            report.start(pids.len());
        }
    }

    /// What a node recorded; `lost` since its start.
    pub fn accept(&mut self, rank: u16, lost: u64, events: Vec<Event>) {
        if let Some(count) = self.lost.get_mut(usize::from(rank)) {
            *count = lost;
        }
        self.order.push(rank, events);
    }

    /// Whether something waits for its time.
    pub fn is_waiting(&self) -> bool {
        !self.order.is_empty()
    }

    /// Shows what every node has had time to tell of; what the user should know.
    pub fn show(&mut self) -> Vec<String> {
        let now_ns = now_ns();
        if now_ns >= self.next_ns {
            self.next_ns = now_ns + LOOK_NS;
            let events = self.order.take_until(now_ns.saturating_sub(HOLD_NS));
            self.show_all(events);
        }
        std::mem::take(&mut self.messages)
    }

    /// The job is over: the rest, and the report.
    pub fn finish(&mut self, stats: &JobStats) -> Vec<String> {
        let events = self.order.take_until(u64::MAX);
        self.show_all(events);
        let end_ns = now_ns();
        let mut shown = Vec::new();
        self.slices.finish(end_ns, &mut shown);
        self.hand_on(shown);
        for (rank, lost) in self.lost.iter().enumerate().filter(|(_, lost)| **lost > 0) {
            self.messages.push(format!(
                "umbel: node {rank} recorded faster than it could be written: {lost} events are missing"
            ));
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.note_lost(&self.lost, end_ns);
            self.messages.extend(timeline.write());
        }
        if let Some(report) = self.report.take() {
            self.messages.extend(report.write(stats, &self.lost));
        }
        std::mem::take(&mut self.messages)
    }

    fn show_all(&mut self, events: Vec<(u16, Event)>) {
        let mut shown = Vec::new();
        for (rank, event) in events {
            self.slices.add(rank, event, &mut shown);
        }
        self.hand_on(shown);
        if let Some(timeline) = &mut self.timeline {
            self.messages.extend(timeline.write());
        }
    }

    fn hand_on(&mut self, shown: Vec<Shown>) {
        for one in &shown {
            if let Some(timeline) = &mut self.timeline {
                timeline.add(one);
            }
            if let Some(report) = &mut self.report {
                report.add(one);
            }
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC, which all nodes on a machine share.
fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// Between two looks at what has come.
const LOOK_NS: u64 = 50_000_000;

/// How long an event waits for others that happened before it on other nodes: they send ten chunks a second.
const HOLD_NS: u64 = 300_000_000;
