//! Operations that need another node, beside ping-pong of the same bytes between two blocking processes.
//!
//! Each round measures both, once with the nodes on processors of their own and once where the scheduler
//! wants them: it often puts a pair that talks on one processor, which makes a wake ten times cheaper.
//! Last measured (`cargo xtask bench`, 2 cores of an AMD EPYC in a VM under load, 2026-11-21), processors of their own / free: read miss
//! 64 B 48 / 22 us (1.71 / 2.73 round trips), 4 KiB 54 / 27 us, upgrade 48 / 23 us, hand-over 47 / 21 us, mutex
//! 103 / 17 us, barrier 77 / 24 us, thread 79 / 52 us; first touch at home 2.9 us a page.
//!
//! A figure is the median over the rounds of a run's median; the ratio is the median of the rounds' ratios.

use anyhow::{Context, Result};
use umbel_wire::limits::HEADER_BYTES;

use crate::Effort;
use crate::programs::{On, Results, Workshop, median};
use crate::raw::{Partner, local_thread};
use crate::table::{Goal, Row};

/// An operation between two nodes.
struct Operation {
    name: &'static str,
    title: &'static str,
    /// Bytes of the messages there and back.
    request: usize,
    answer: usize,
    /// With a thread's creation and join on one node added to the round trip.
    with_thread: bool,
    /// Nanoseconds on two processors, and where the scheduler decides.
    estimates_ns: [f64; 2],
    goal: Goal,
}

const GET: usize = HEADER_BYTES + 9;
const GRANT: usize = HEADER_BYTES + 10;
const RECALL: usize = HEADER_BYTES + 9;
const RECALLED: usize = HEADER_BYTES + 8;
/// An object's bytes travel behind their offset.
const OFFSET: usize = 2;
const SYNC_REQUEST: usize = HEADER_BYTES + 33;
const SYNC_REPLY: usize = HEADER_BYTES + 12;
/// Without frames: the function captures nothing.
const SPAWN: usize = HEADER_BYTES + 50;
const SPAWNED: usize = HEADER_BYTES + 12;

// Two processors: a wake on another processor 22 us, a round trip has two => 44 us; fault to service
// thread and back on the same processor 2.5 us; epoll, read, write at two nodes 4 us; rights 0.6 us at each.
// Where the scheduler decides: half of the wakes stay on one processor => about 2/3 of that.
const OPERATIONS: [Operation; 8] = [
    // 44 + 2.5 + 4 + 1.2 (write-protect at home, map here).
    Operation {
        name: "read_miss_64",
        title: "remote read miss, 64 B",
        request: GET,
        answer: GRANT + OFFSET + 64,
        with_thread: false,
        estimates_ns: [52e3, 35e3],
        goal: Goal::Ratio(2.0),
    },
    // The same, and 4 KiB copied six times on the way (0.15 us each), once into a page not there yet (2 us).
    Operation {
        name: "read_miss_4096",
        title: "remote read miss, 4 KiB",
        request: GET,
        answer: GRANT + OFFSET + 4096,
        with_thread: false,
        estimates_ns: [55e3, 38e3],
        goal: Goal::Ratio(2.0),
    },
    // As a read miss without bytes; the home's copy goes away (0.8 us).
    Operation {
        name: "write_upgrade_64",
        title: "write upgrade, 64 B",
        request: GET,
        answer: GRANT,
        with_thread: false,
        estimates_ns: [52e3, 35e3],
        goal: Goal::None,
    },
    // Recall and answer: as a read miss.
    Operation {
        name: "hand_over_64",
        title: "ownership hand-over, 64 B",
        request: RECALL,
        answer: RECALLED + OFFSET + 64,
        with_thread: false,
        estimates_ns: [52e3, 35e3],
        goal: Goal::None,
    },
    Operation {
        name: "hand_over_4096",
        title: "ownership hand-over, 4 KiB",
        request: RECALL,
        answer: RECALLED + OFFSET + 4096,
        with_thread: false,
        estimates_ns: [54e3, 37e3],
        goal: Goal::None,
    },
    // A turn of both threads holds two round trips, of the remote unlock and the remote lock, and each call
    // wakes a service thread and is woken by it (2.5 us): (2 * 44 + 4 * 2.5 + 2 * 4) / 2.
    Operation {
        name: "mutex",
        title: "mutex hand-over",
        request: SYNC_REQUEST,
        answer: SYNC_REPLY,
        with_thread: false,
        estimates_ns: [53e3, 36e3],
        goal: Goal::None,
    },
    // One round trip, and the call's two wakes on its own node: 44 + 2.5 + 4.
    Operation {
        name: "barrier",
        title: "barrier, 2 nodes",
        request: SYNC_REQUEST,
        answer: SYNC_REPLY,
        with_thread: false,
        estimates_ns: [51e3, 34e3],
        goal: Goal::None,
    },
    // Spawn and answer 44 us, thread start and end there 25 us (they overlap), Ended 22 us, two calls 5 us.
    Operation {
        name: "thread",
        title: "thread creation with join",
        request: SPAWN,
        answer: SPAWNED,
        with_thread: true,
        estimates_ns: [90e3, 70e3],
        goal: Goal::None,
    },
];

// First touch at home. What the kernel does by itself for private memory is beside it.
/// Fault to service thread and back 2.5 us, 16 pages mapped by one call (0.5 + 16 * 0.07 us).
const SMALL_FAULT_NS: f64 = 4.1e3;
/// 64 pages: each found and cleared (0.9 us) and mapped (0.07 us).
const TOUCH_RUN_NS: f64 = 65e3;
/// 65 us / 64.
const TOUCH_PAGE_NS: f64 = 1e3;

/// Measures; one row per operation and placement.
pub fn rows(workshop: &Workshop, effort: Effort) -> Result<Vec<Row>> {
    let flags = ["-O2"];
    let objects = workshop.umbel_cc("dist/objects.c", &flags)?;
    let sync = workshop.umbel_cc("dist/sync.c", &flags)?;
    let mut rows = touch(workshop)?;
    for (index, (placement, on)) in [("2 processors", On::Nodes(2)), ("free", On::NodesFree(2))]
        .into_iter()
        .enumerate()
    {
        let mut rounds: Vec<[Vec<f64>; 3]> =
            OPERATIONS.iter().map(|_| Default::default()).collect();
        let mut partner = Partner::start(matches!(on, On::Nodes(_)))?;
        for _ in 0..effort.rounds {
            let mut results = workshop.run(&objects, on, &[effort.operations])?;
            results.extend(workshop.run(&sync, on, &[effort.operations])?);
            for (operation, [measured, beside, ratios]) in OPERATIONS.iter().zip(&mut rounds) {
                let ours = find(&results, operation.name)?;
                let mut theirs =
                    partner.round_trips(operation.request, operation.answer, effort.operations)?;
                if operation.with_thread {
                    theirs += local_thread(effort.operations);
                }
                measured.push(ours);
                beside.push(theirs);
                ratios.push(ours / theirs);
            }
        }
        for (operation, [measured, beside, ratios]) in OPERATIONS.iter().zip(rounds) {
            let bytes = format!("ping-pong {} -> {} B", operation.request, operation.answer);
            let name = if operation.with_thread {
                format!("{bytes} + thread")
            } else {
                bytes
            };
            rows.push(Row {
                what: format!("{}, {placement}", operation.title),
                estimate_ns: operation.estimates_ns[index],
                measured_ns: median(measured),
                beside: Some((name, median(beside))),
                ratio: Some(median(ratios)),
                goal: operation.goal,
            });
        }
    }
    Ok(rows)
}

fn touch(workshop: &Workshop) -> Result<Vec<Row>> {
    let program = workshop.umbel_cc("dist/touch.c", &["-O2"])?;
    let results = workshop.run(&program, On::Nodes(2), &[])?;
    let row =
        |what: &str, name: &str, estimate_ns, beside: &str, beside_name: &str| -> Result<Row> {
            let (measured_ns, beside_ns) = (find(&results, name)?, find(&results, beside)?);
            Ok(Row {
                what: what.into(),
                estimate_ns,
                measured_ns,
                beside: Some((beside_name.into(), beside_ns)),
                ratio: Some(measured_ns / beside_ns),
                goal: Goal::None,
            })
        };
    Ok(vec![
        row(
            "fault at home, 16 small objects at hand",
            "small_fault",
            SMALL_FAULT_NS,
            "plain_page",
            PRIVATE,
        )?,
        row(
            "first touch at home, 64 pages",
            "touch_run",
            TOUCH_RUN_NS,
            "plain_run",
            "the same, private memory",
        )?,
        row(
            "first touch at home, per page",
            "touch_page",
            TOUCH_PAGE_NS,
            "plain_page",
            PRIVATE,
        )?,
    ])
}

const PRIVATE: &str = "fault on private memory";

fn find(results: &Results, name: &str) -> Result<f64> {
    results
        .get(name)
        .map(|sample| sample.median)
        .with_context(|| format!("the program has not measured {name}"))
}
