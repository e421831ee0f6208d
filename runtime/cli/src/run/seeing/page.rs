//! The report's page.

use std::collections::BTreeMap;
use std::rc::Rc;

use umbel_wire::event::Why;

use super::super::stats::{JobStats, ObjectStats};
use super::super::stats_table::bytes;
use super::findings::{Finding, is_ordinary, time};
use super::heat::Row;
use super::slices::Variable;
use super::tally::{Lane, NodeTimes, Tally};

/// What the page is about.
pub struct Job<'a> {
    pub command: &'a str,
    pub duration_ns: u64,
    pub end_ns: u64,
    pub stats: &'a JobStats,
    pub lost: u64,
    pub findings: &'a [Finding],
}

/// Lanes of the heat map: what fits a few screens.
const LANES_MAX: usize = 96;
/// Variables of the heat map, if nodes are few.
const HEAT_VARIABLES_MAX: usize = 16;
/// Nodes told apart in maps and matrix.
const NODES_SHOWN_MAX: usize = 24;
/// Rows of the table that are in the page; the others are added up.
const TABLE_ROWS_MAX: usize = 2000;
/// Rows shown before the reader asks for all.
const TABLE_ROWS_FIRST: usize = 30;
/// Steps of the colour scale.
const STEPS: u32 = 5;

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
    heat(&mut out, job, tally);
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
        for finding in job.findings {
            *out += &format!("<li>{}</li>", with_code(&finding.text));
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
        let threads = match node.threads {
            1 => "1 thread".into(),
            count => format!("{count} threads"),
        };
        let faults = job
            .stats
            .nodes
            .iter()
            .find(|stats| usize::from(stats.rank) == rank);
        let faults = faults.map_or(0, |stats| stats.read_faults + stats.write_faults);
        let faults = match faults {
            0 => String::new(),
            count => format!(", {} faults", grouped(count)),
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

fn table(out: &mut String, job: &Job, tally: &Tally) {
    *out += "<section><h2>Variables</h2>\n";
    let rows = rows_of(job.stats, tally);
    if rows.is_empty() {
        *out += "<p>No variable was used by more than one node.</p></section>\n";
        return;
    }
    *out += "<p class=\"note\">Click a column's head to sort by it. Home: the node where a variable was made \
             and that knows who has copies.</p>";
    *out += "<div class=\"wide\"><table id=\"variables\"><thead><tr>";
    let heads = [
        ("variable", "function:name in the source"),
        ("size", "bytes of one such variable"),
        ("count", "how many of them there were"),
        ("home", "node where it was made"),
        (
            "consistency",
            "weak: stores are seen after synchronization; sequential: at once",
        ),
        ("protocol", "how its copies are kept equal"),
        ("switches", "how often the protocol changed by itself"),
        ("read faults", "loads that had to wait for the bytes"),
        (
            "write faults",
            "stores that had to wait for the right to write",
        ),
        ("waited", "time that threads spent in these faults"),
        ("moved", "bytes sent between nodes for it"),
        ("hint", ""),
    ];
    for (head, title) in heads {
        *out += &format!("<th scope=\"col\" title=\"{title}\"><button>{head}</button></th>");
    }
    *out += "</tr></thead><tbody>";
    for (index, row) in rows.iter().take(TABLE_ROWS_MAX).enumerate() {
        let class = if index < TABLE_ROWS_FIRST {
            ""
        } else {
            " class=\"more\""
        };
        *out += &format!("<tr{class}>{}</tr>", row.cells(job));
    }
    *out += "</tbody></table></div>";
    if rows.len() > TABLE_ROWS_FIRST {
        *out += &format!(
            "<p><button id=\"all\">Show all {} variables</button></p>",
            rows.len().min(TABLE_ROWS_MAX)
        );
    }
    if rows.len() > TABLE_ROWS_MAX {
        let rest = &rows[TABLE_ROWS_MAX..];
        let moved: u64 = rest.iter().map(|row| row.object.bytes).sum();
        *out += &format!(
            "<p class=\"note\">{} more variables moved {} in all; `--stats --stats-format json` lists them.</p>",
            rest.len(),
            bytes(moved)
        );
    }
    *out += "</section>\n";
}

/// A line of the table: what the nodes counted, and what the records add.
struct TableRow {
    object: ObjectStats,
    waited_ns: u64,
}

fn rows_of(stats: &JobStats, tally: &Tally) -> Vec<TableRow> {
    let mut waited: BTreeMap<(&str, u64, u16), u64> = BTreeMap::new();
    for (variable, activity) in &tally.variables {
        let key = (variable.name.as_str(), variable.size_bytes, variable.home);
        *waited.entry(key).or_default() += activity.waited_ns();
    }
    let mut rows: Vec<TableRow> = stats
        .objects
        .iter()
        .map(|object| TableRow {
            waited_ns: waited
                .remove(&(object.name.as_str(), object.size, object.home))
                .unwrap_or(0),
            object: object.clone(),
        })
        .collect();
    // A node that was killed sent no statistics.
    for (variable, activity) in &tally.variables {
        let key = (variable.name.as_str(), variable.size_bytes, variable.home);
        if let Some(waited_ns) = waited.remove(&key) {
            rows.push(TableRow {
                object: ObjectStats {
                    name: variable.name.clone(),
                    size: variable.size_bytes,
                    home: variable.home,
                    count: 1,
                    read_faults: activity.reads(),
                    write_faults: activity.writes(),
                    bytes: activity.bytes(),
                    ..ObjectStats::default()
                },
                waited_ns,
            });
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse((row.waited_ns, row.object.bytes)));
    rows
}

impl TableRow {
    fn cells(&self, job: &Job) -> String {
        let object = &self.object;
        let dash = |text: &str| match text {
            "" => "–".to_owned(),
            text => escape(text),
        };
        let number = |value: u64, shown: String| format!("<td data-value=\"{value}\">{shown}</td>");
        let finding = job
            .findings
            .iter()
            .find(|finding| finding.variable.as_ref() == Some(&object.name));
        let hint = object.hint();
        let hint = hint.as_ref().or(finding.map(|finding| &finding.text));
        let mut cells = format!(
            "<th scope=\"row\"><code>{}</code></th>",
            breakable(&object.name)
        );
        cells += &number(object.size, bytes(object.size));
        cells += &number(object.count, grouped(object.count));
        cells += &number(object.home.into(), object.home.to_string());
        cells += &format!("<td class=\"text\">{}</td>", dash(&object.consistency));
        cells += &format!("<td class=\"text\">{}</td>", dash(&object.protocol));
        cells += &number(object.switches, grouped(object.switches));
        cells += &number(object.read_faults, grouped(object.read_faults));
        cells += &number(object.write_faults, grouped(object.write_faults));
        cells += &number(self.waited_ns, time(self.waited_ns));
        cells += &number(object.bytes, bytes(object.bytes));
        cells += &format!(
            "<td class=\"hint\">{}</td>",
            hint.map_or(String::new(), |text| with_code(text))
        );
        cells
    }
}

fn heat(out: &mut String, job: &Job, tally: &mut Tally) {
    let ranks: Vec<u16> = (0..tally.nodes.len().min(NODES_SHOWN_MAX) as u16).collect();
    let mut chosen: Vec<(Rc<Variable>, u64)> = tally
        .variables
        .iter()
        .map(|(variable, activity)| (variable.clone(), activity.faults() + activity.bytes()))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    if chosen.is_empty() {
        return;
    }
    chosen.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let count = (LANES_MAX / ranks.len().max(1)).clamp(3, HEAT_VARIABLES_MAX);
    let rest = chosen.len().saturating_sub(count);
    chosen.truncate(count);
    *out += "<section class=\"heat\"><h2>Which node used what, when</h2>\n";
    *out += "<p class=\"note\">Each line is one node; time goes to the right. Two lines that are dark at the \
             same time: the variable went back and forth between these nodes.</p>";
    *out += "<input type=\"radio\" name=\"heat\" id=\"by-faults\" checked><label for=\"by-faults\">faults</label>";
    *out += "<input type=\"radio\" name=\"heat\" id=\"by-bytes\"><label for=\"by-bytes\">bytes received</label>";
    heat_map(out, job, tally, &chosen, &ranks, &FAULTS);
    heat_map(out, job, tally, &chosen, &ranks, &BYTES);
    if rest > 0 {
        *out +=
            &format!("<p class=\"note\">{rest} more variables had less traffic than these.</p>");
    }
    *out += "</section>\n";
}

/// What a heat map shows.
struct Measure {
    class: &'static str,
    unit: &'static str,
    row: fn(&mut Lane) -> &mut Row,
    text: fn(u64) -> String,
}

const FAULTS: Measure = Measure {
    class: "faults",
    unit: "faults",
    row: |lane| &mut lane.faults_over_time,
    text: grouped,
};

const BYTES: Measure = Measure {
    class: "bytes",
    unit: "received",
    row: |lane| &mut lane.bytes_over_time,
    text: bytes,
};

fn heat_map(
    out: &mut String,
    job: &Job,
    tally: &mut Tally,
    chosen: &[(Rc<Variable>, u64)],
    ranks: &[u16],
    measure: &Measure,
) {
    let axis = tally.axis;
    let used = axis.used(job.end_ns);
    let mut largest = 1;
    for (variable, _) in chosen {
        let lanes = tally
            .variables
            .get_mut(variable)
            .map(|activity| &mut activity.lanes);
        for lane in lanes.into_iter().flat_map(|lanes| lanes.values_mut()) {
            let cells = (measure.row)(lane).cells(&axis);
            largest = cells.iter().copied().fold(largest, u64::max);
        }
    }
    let scale = Scale::new(largest);
    *out += &format!("<div class=\"map {}\">", measure.class);
    *out += &scale.legend(measure, axis.width_ns);
    for (variable, _) in chosen {
        *out += &format!(
            "<div class=\"name\"><code>{}</code><small>{}, home {}</small></div>",
            breakable(&variable.name),
            bytes(variable.size_bytes),
            variable.home
        );
        *out += "<div class=\"ranks\">";
        for rank in ranks {
            *out += &format!("<span>node {rank}</span>");
        }
        *out += "</div>";
        *out += &format!(
            "<svg viewBox=\"0 0 {used} {}\" preserveAspectRatio=\"none\" style=\"height:{}px\">",
            ranks.len(),
            ranks.len() * LANE_PX
        );
        for (line, rank) in ranks.iter().enumerate() {
            *out += &format!(
                "<rect class=\"c0\" x=\"0\" y=\"{line}.06\" width=\"{used}\" height=\".88\"/>"
            );
            let lane = tally
                .variables
                .get_mut(variable)
                .and_then(|activity| activity.lanes.get_mut(rank));
            let Some(lane) = lane else { continue };
            let cells = (measure.row)(lane).cells(&axis);
            for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell > 0) {
                let from = time(column as u64 * axis.width_ns);
                let to = time((column as u64 + 1) * axis.width_ns);
                *out += &format!(
                    "<rect class=\"c{}\" x=\"{column}\" y=\"{line}.06\" width=\"1\" height=\".88\"><title>node {rank}, {from} to {to}: {} {}</title></rect>",
                    scale.step(*cell),
                    (measure.text)(*cell),
                    measure.unit
                );
            }
        }
        *out += "</svg>";
    }
    *out += "<div></div><div></div><div class=\"axis\">";
    let end_ns = used as u64 * axis.width_ns;
    for part in 0..=4 {
        *out += &format!("<span>{}</span>", time(end_ns * part / 4));
    }
    *out += "</div></div>";
}

/// Height of a lane.
const LANE_PX: usize = 15;

/// Steps of equal ratio, so that one busy moment does not hide all others.
struct Scale {
    /// First value of each step.
    starts: Vec<u64>,
    largest: u64,
}

impl Scale {
    fn new(largest: u64) -> Self {
        let mut starts = vec![1];
        for step in 1..STEPS {
            let start = (largest as f64)
                .powf(f64::from(step) / f64::from(STEPS))
                .ceil() as u64;
            if start > starts[starts.len() - 1] && start <= largest {
                starts.push(start);
            }
        }
        Self { starts, largest }
    }

    /// 1 to `STEPS`; the largest value has the last.
    fn step(&self, value: u64) -> usize {
        let above = STEPS as usize - self.starts.len();
        above + self.starts.partition_point(|start| *start <= value)
    }

    fn legend(&self, measure: &Measure, width_ns: u64) -> String {
        let mut text = "<p class=\"legend\"><span><i class=\"c0\"></i>none</span>".to_owned();
        for (index, start) in self.starts.iter().enumerate() {
            let end = self
                .starts
                .get(index + 1)
                .map_or(self.largest, |next| next - 1);
            let (first, last) = ((measure.text)(*start), (measure.text)(end));
            let range = match first == last {
                true => first,
                false => format!("{first} to {last}"),
            };
            text += &format!(
                "<span><i class=\"c{}\"></i>{range}</span>",
                self.step(*start)
            );
        }
        text += &format!("<span>{} in {}</span></p>", measure.unit, time(width_ns));
        text
    }
}

fn matrix(out: &mut String, job: &Job, tally: &Tally) {
    let traffic = traffic_of(job.stats, tally);
    if traffic.is_empty() {
        return;
    }
    let count = tally.nodes.len().min(NODES_SHOWN_MAX) as u16;
    let largest = traffic.values().map(|(_, bytes)| *bytes).max().unwrap_or(1);
    let scale = Scale::new(largest.max(1));
    *out +=
        "<section><h2>Who sent how much to whom</h2>\n<div class=\"wide\"><table class=\"matrix\">";
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
                        "<td class=\"c{step}\"><b>{}</b><small>{} messages</small></td>",
                        bytes(sum),
                        grouped(messages)
                    );
                }
            }
        }
        let own = traffic.iter().filter(|((sender, _), _)| *sender == from);
        let (messages, sum) = own.fold((0, 0), |sum, (_, pair)| (sum.0 + pair.0, sum.1 + pair.1));
        *out += &format!(
            "<td class=\"sum\"><b>{}</b><small>{} messages</small></td></tr>",
            bytes(sum),
            grouped(messages)
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

/// `1 234 567`, with thin spaces.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Text that came from a program, for HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            character => escaped.push(character),
        }
    }
    escaped
}

/// A long name may go on in the next line after its colon.
fn breakable(name: &str) -> String {
    escape(name).replace(':', ":<wbr>")
}

/// Backquotes become code.
fn with_code(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => html += &escape(part),
            _ => html += &format!("<code>{}</code>", escape(part)),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_bring_markup() {
        assert_eq!(
            with_code("`<b>:\"x\"` & more"),
            "<code>&lt;b&gt;:&quot;x&quot;</code> &amp; more"
        );
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_scale_has_as_many_steps_as_it_can_fill() {
        let one = Scale::new(1);
        assert_eq!((one.step(1), one.starts.len()), (5, 1));
        let scale = Scale::new(1000);
        assert_eq!(scale.starts, [1, 4, 16, 64, 252]);
        assert_eq!([1, 3, 4, 1000].map(|value| scale.step(value)), [1, 1, 2, 5]);
    }
}
