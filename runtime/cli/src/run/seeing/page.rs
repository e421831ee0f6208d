//! The report's page.

use std::collections::BTreeMap;

use umbel_wire::event::Why;

use super::super::stats::JobStats;
use super::super::stats_table::bytes;
use super::findings::{Finding, is_ordinary, time};
use super::html::{counted, escape, grouped, with_code};
use super::map::heat;
use super::scale::Scale;
use super::table::table;
use super::tally::{NodeTimes, Tally};

/// What the page is about.
pub struct Job<'a> {
    pub command: &'a str,
    pub duration_ns: u64,
    pub stats: &'a JobStats,
    pub lost: u64,
    pub findings: &'a [Finding],
}

/// Nodes told apart in maps and matrix.
pub const NODES_SHOWN_MAX: usize = 24;

const STYLE: &str = include_str!("report.css");

const SCRIPT: &str = include_str!("report.js");

pub fn page(job: &Job, tally: &mut Tally) -> String {
    let mut out = String::new();
    out += "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">";
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    out += &format!("<title>umbel: {}</title>", escape(job.command));
    out += &format!("<style>\n{STYLE}</style></head><body>\n");
    summary(&mut out, job, tally);
    findings(&mut out, job);
    nodes(&mut out, job, tally);
    table(&mut out, job, tally);
    heat(&mut out, tally);
    matrix(&mut out, job, tally);
    out += &format!("<script>\n{SCRIPT}</script>\n</body></html>\n");
    out
}

fn summary(out: &mut String, job: &Job, tally: &Tally) {
    let nodes = &job.stats.nodes;
    let sum = |of: fn(&super::super::stats::NodeStats) -> u64| nodes.iter().map(of).sum::<u64>();
    let threads = sum(|node| node.threads).max(tally.nodes.iter().map(|node| node.threads).sum());
    let faults: u64 = tally
        .variables
        .values()
        .map(|activity| activity.faults())
        .sum();
    let messages = sum(|node| node.messages_sent)
        .max(tally.messages.values().map(|(messages, _)| messages).sum());
    let moved =
        sum(|node| node.bytes_sent).max(tally.messages.values().map(|(_, bytes)| bytes).sum());
    let batches = sum(|node| node.batches_sent);
    *out += &format!("<header><h1><code>{}</code></h1><dl>", escape(job.command));
    let mut fact = |name: &str, value: String| {
        *out += &format!("<div><dd>{value}</dd><dt>{name}</dt></div>");
    };
    fact("from start to end", time(job.duration_ns));
    fact("nodes", tally.nodes.len().to_string());
    fact("threads", threads.to_string());
    fact("faults: accesses that had to wait", grouped(faults));
    fact("messages", grouped(messages));
    if batches > 0 {
        let ratio = messages as f64 / batches as f64;
        fact("messages per write", format!("{ratio:.1}"));
    }
    fact("sent between nodes", bytes(moved));
    *out += "</dl></header>\n";
    if job.lost > 0 {
        *out += &format!(
            "<p class=\"warning\">{} events are missing: they were recorded faster than they could be \
             written. Counts here are too low.</p>\n",
            grouped(job.lost)
        );
    }
}

fn findings(out: &mut String, job: &Job) {
    *out += "<section><h2>What stands out</h2>\n";
    if job.findings.is_empty() {
        *out += "<p>Nothing: no variable moved back and forth, and no thread waited for long.</p>";
    } else {
        *out += "<ol class=\"findings\">";
        for (index, finding) in job.findings.iter().enumerate() {
            let number = index + 1;
            *out += &format!("<li id=\"f{number}\">{}</li>", with_code(&finding.text));
        }
        *out += "</ol>";
    }
    *out += "</section>\n";
}

/// Where the threads' time went.
fn nodes(out: &mut String, job: &Job, tally: &Tally) {
    *out += "<section><h2>Where each node's threads spent their time</h2>\n";
    *out += "<p class=\"note\">Sums over all threads of a node. Memory: a thread touched a variable whose bytes \
             were on another node, and waited for them.</p><div class=\"bars\">";
    let mut parts_used = BTreeMap::new();
    for (rank, node) in tally.nodes.iter().enumerate().take(NODES_SHOWN_MAX) {
        let parts = parts_of(node);
        let whole: u64 = parts.iter().map(|(_, _, ns)| ns).sum();
        *out += &format!("<span>node {rank}</span><div class=\"bar\">");
        for (class, name, ns) in &parts {
            if *ns == 0 || whole == 0 {
                continue;
            }
            parts_used.insert(*class, *name);
            let share = 100.0 * *ns as f64 / whole as f64;
            *out += &format!(
                "<i class=\"p{class}\" style=\"width:{share:.2}%\" title=\"{name}: {} ({share:.0} %)\"></i>",
                time(*ns)
            );
        }
        let threads = counted(node.threads, "thread");
        let faults = job
            .stats
            .nodes
            .iter()
            .find(|stats| usize::from(stats.rank) == rank);
        let faults = faults.map_or(0, |stats| stats.read_faults + stats.write_faults);
        let faults = match faults {
            0 => String::new(),
            count => format!(", {}", counted(count, "fault")),
        };
        *out += &format!("</div><span>{} in {threads}{faults}</span>", time(whole));
    }
    *out += "</div><p class=\"legend\">";
    for (class, name) in parts_used {
        *out += &format!("<span><i class=\"p{class}\"></i>{name}</span>");
    }
    *out += "</p>";
    if tally.nodes.len() > NODES_SHOWN_MAX {
        *out += &format!(
            "<p class=\"note\">The first {NODES_SHOWN_MAX} of {} nodes.</p>",
            tally.nodes.len()
        );
    }
    *out += "</section>\n";
}

/// Class of the colour, name, time.
fn parts_of(node: &NodeTimes) -> Vec<(u8, &'static str, u64)> {
    let waited = |is_meant: &dyn Fn(Why) -> bool| -> u64 {
        let waits = node.waits.iter().filter(|(why, _)| is_meant(**why));
        waits.map(|(_, (_, ns))| ns).sum()
    };
    let ordinary = waited(&is_ordinary);
    let kinds = [
        (2, "mutex", waited(&|why| why == Why::Mutex)),
        (3, "barrier", waited(&|why| why == Why::Barrier)),
        (4, "semaphore", waited(&|why| why == Why::Semaphore)),
        (5, "condition", waited(&|why| why == Why::Condition)),
    ];
    let all_waits = waited(&|_| true);
    let named: u64 = kinds.iter().map(|(_, _, ns)| ns).sum();
    let other = all_waits - named - ordinary;
    let running = node.lived_ns.saturating_sub(node.faulted_ns + all_waits);
    let mut parts = vec![(0, "running", running), (1, "memory", node.faulted_ns)];
    parts.extend(kinds);
    parts.push((6, "other waits", other));
    parts.push((7, "waiting for threads that it created", ordinary));
    parts
}

fn matrix(out: &mut String, job: &Job, tally: &Tally) {
    let traffic = traffic_of(job.stats, tally);
    if traffic.is_empty() {
        return;
    }
    let count = tally.nodes.len().min(NODES_SHOWN_MAX) as u16;
    let largest = traffic.values().map(|(_, bytes)| *bytes).max().unwrap_or(1);
    let scale = Scale::new(largest.max(1));
    *out += "<section><h2>Who sent how much to whom</h2>\n<p class=\"note\">The stronger the colour, the more bytes.</p><div class=\"wide\"><table class=\"matrix\">";
    *out += "<thead><tr><td></td>";
    for to in 0..count {
        *out += &format!("<th scope=\"col\">to {to}</th>");
    }
    *out += "<th scope=\"col\">all</th></tr></thead><tbody>";
    for from in 0..count {
        *out += &format!("<tr><th scope=\"row\">from {from}</th>");
        for to in 0..count {
            match traffic.get(&(from, to)).copied().unwrap_or_default() {
                (0, _) => *out += "<td class=\"none\">–</td>",
                (messages, sum) => {
                    let step = scale.step(sum.max(1));
                    *out += &format!(
                        "<td class=\"c{step}\"><b>{}</b><small>{}</small></td>",
                        bytes(sum),
                        counted(messages, "message")
                    );
                }
            }
        }
        let own = traffic.iter().filter(|((sender, _), _)| *sender == from);
        let (messages, sum) = own.fold((0, 0), |sum, (_, pair)| (sum.0 + pair.0, sum.1 + pair.1));
        *out += &format!(
            "<td class=\"sum\"><b>{}</b><small>{}</small></td></tr>",
            bytes(sum),
            counted(messages, "message")
        );
    }
    *out += "</tbody></table></div>";
    if tally.nodes.len() > NODES_SHOWN_MAX {
        *out += &format!(
            "<p class=\"note\">The first {NODES_SHOWN_MAX} of {} nodes.</p>",
            tally.nodes.len()
        );
    }
    *out += "</section>\n";
}

/// What the nodes counted; for a node that was killed, what was recorded.
fn traffic_of(stats: &JobStats, tally: &Tally) -> BTreeMap<(u16, u16), (u64, u64)> {
    let mut traffic = tally.messages.clone();
    for node in &stats.nodes {
        for peer in node.peers.iter().filter(|peer| peer.messages > 0) {
            traffic.insert((node.rank, peer.rank), (peer.messages, peer.bytes));
        }
    }
    traffic
}
