//! What stands out in a job, in plain sentences. Names and code are between backquotes.

use umbel_wire::event::Why;

use super::super::stats::JobStats;
use super::super::stats_table::bytes;
use super::slices::Variable;
use super::tally::{Activity, Tally};

/// A sentence or two, and how much time it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub weight_ns: u64,
    pub text: String,
    /// Name of the variable that it is about, for the table.
    pub variable: Option<String>,
}

/// Sentences shown: nobody reads more.
const FINDINGS_MAX: usize = 8;

/// Of these, about single variables.
const VARIABLES_TOLD_MAX: usize = 5;

/// Hand-overs from which on taking turns is a pattern.
const TURNS_MIN: u64 = 8;

/// The weightiest first.
pub fn findings(stats: &JobStats, tally: &Tally) -> Vec<Finding> {
    let mut all = Vec::new();
    for (variable, activity) in &tally.variables {
        let about = about_variable(variable, activity, stats);
        all.extend(about.map(|text| Finding {
            weight_ns: activity.waited_ns(),
            text,
            variable: Some(variable.name.clone()),
        }));
    }
    all.extend(about_waits(tally));
    all.extend(about_senders(tally));
    all.sort_by_key(|finding| std::cmp::Reverse(finding.weight_ns));
    leave_out_rest(&mut all);
    all
}

/// Keeps the first that are about variables, and says how many more there are.
fn leave_out_rest(all: &mut Vec<Finding>) {
    let count = all
        .iter()
        .filter(|finding| finding.variable.is_some())
        .count();
    let mut left = VARIABLES_TOLD_MAX;
    all.retain(|finding| {
        let is_kept = finding.variable.is_none() || left > 0;
        left -= usize::from(finding.variable.is_some() && left > 0);
        is_kept
    });
    all.truncate(FINDINGS_MAX);
    if count > VARIABLES_TOLD_MAX {
        all.push(Finding {
            weight_ns: 0,
            text: format!(
                "{} more variables are used in ways like these; the table is sorted by the time that threads \
                 waited for them.",
                count - VARIABLES_TOLD_MAX
            ),
            variable: None,
        });
    }
}

fn about_variable(variable: &Variable, activity: &Activity, stats: &JobStats) -> Option<String> {
    let name = &variable.name;
    let waited = time(activity.waited_ns());
    let turns: u64 = activity.turns.values().sum();
    let row = stats.objects.iter().find(|row| {
        row.name == *name && row.size == variable.size_bytes && row.home == variable.home
    });
    let writers = activity.nodes(|lane| lane.writes > 0);
    let readers = activity.nodes(|lane| lane.reads > 0 && lane.writes == 0);
    let protocol = row.map_or("", |row| row.protocol.as_str());
    if turns >= TURNS_MIN {
        let mut text = format!(
            "`{name}` is written by {} in turn: it changed hands {turns} times, and threads waited {waited} for it.",
            nodes(&writers)
        );
        if let Some(hint) = row.and_then(|row| row.hint()) {
            text += &format!(" {hint}");
        } else if variable.size_bytes > 64 {
            text += " If each of them writes a part of its own, give each part a variable of its own, or \
                      work on a private copy and store the result once.";
        } else {
            text += " Fewer, larger steps between the writes make it move less: for instance a private sum that \
                      is added once.";
        }
        return Some(text);
    }
    let writes = activity.writes();
    let reads = activity.reads();
    if let [writer] = writers[..]
        && writes >= 4
        && !readers.is_empty()
        && reads >= writes / 2
        && protocol != "update"
    {
        return Some(format!(
            "`{name}` is written by node {writer} and read by {} again after its writes ({reads} reads had to \
             wait, {waited} in all). `__attribute__((shadow(\"update\")))` sends the new bytes along instead.",
            nodes(&readers)
        ));
    }
    if writes <= 1 && reads >= 16 && readers.len() > 1 {
        return Some(format!(
            "`{name}` ({}) is only read, by {}: {reads} fetches, {waited} of waiting. That is the price of the \
             first copy; it grows with the number of nodes, not with the work.",
            bytes(variable.size_bytes),
            nodes(&readers)
        ));
    }
    None
}

fn about_waits(tally: &Tally) -> Vec<Finding> {
    let mut found = Vec::new();
    let lived_ns: u64 = tally.nodes.iter().map(|node| node.lived_ns).sum();
    let faulted_ns: u64 = tally.nodes.iter().map(|node| node.faulted_ns).sum();
    if lived_ns > 0 && faulted_ns * 10 >= lived_ns {
        let mut names: Vec<_> = tally.variables.iter().collect();
        names.sort_by_key(|(_, activity)| std::cmp::Reverse(activity.waited_ns()));
        let names: Vec<_> = names
            .iter()
            .take(3)
            .map(|(variable, _)| format!("`{}`", variable.name))
            .collect();
        found.push(Finding {
            weight_ns: faulted_ns,
            text: format!(
                "Threads spent {} of their time waiting for memory, most of it for {}.",
                percent(faulted_ns, lived_ns),
                list(&names)
            ),
            variable: None,
        });
    }
    for (rank, node) in tally.nodes.iter().enumerate() {
        // Waiting for children is what main is for.
        let told = |why: &Why| !is_ordinary(*why) && *why != Why::Other;
        let waits = node.waits.iter().filter(|(why, _)| told(why));
        let Some((why, (count, ns))) = waits.max_by_key(|(_, (_, ns))| *ns) else {
            continue;
        };
        if *ns * 4 >= node.lived_ns && *count > 1 {
            found.push(Finding {
                weight_ns: *ns,
                text: format!(
                    "Threads of node {rank} spent {} of their time waiting: {} ({count} times, {} in all).",
                    percent(*ns, node.lived_ns),
                    why.name(),
                    time(*ns)
                ),
                variable: None,
            });
        }
    }
    found
}

/// Waits that say nothing about what is slow.
pub fn is_ordinary(why: Why) -> bool {
    matches!(why, Why::Join | Why::ScopeEnd | Why::Create)
}

fn about_senders(tally: &Tally) -> Option<Finding> {
    let total: u64 = tally.messages.values().map(|(_, bytes)| bytes).sum();
    let sent_by = |rank: usize| -> u64 {
        let own = tally
            .messages
            .iter()
            .filter(|((from, _), _)| usize::from(*from) == rank);
        own.map(|(_, (_, bytes))| bytes).sum()
    };
    let (rank, sent) = (0..tally.nodes.len())
        .map(|rank| (rank, sent_by(rank)))
        .max_by_key(|(_, sent)| *sent)?;
    if tally.nodes.len() < 3 || total < 1 << 20 || sent * 10 < total * 6 {
        return None;
    }
    Some(Finding {
        weight_ns: 0,
        text: format!(
            "Node {rank} sends {} of all bytes: what the others need lives there. Threads that create their own \
             data, or work where it is (`dist_thr_create_on`), spread this.",
            percent(sent, total)
        ),
        variable: None,
    })
}

/// `node 1`, `nodes 1 and 2`, `nodes 0, 1, 2 and 5 more`.
pub fn nodes(ranks: &[u16]) -> String {
    let shown: Vec<String> = ranks.iter().take(4).map(u16::to_string).collect();
    match ranks.len() {
        1 => format!("node {}", shown[0]),
        0..=4 => format!("nodes {}", list(&shown)),
        count => format!("nodes {} and {} more", shown.join(", "), count - 4),
    }
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `12 ns`, `3.4 us`, `56 ms`, `1.2 s`.
pub fn time(ns: u64) -> String {
    let value = ns as f64;
    let (value, unit) = match ns {
        0..1_000 => (value, "ns"),
        1_000..1_000_000 => (value / 1e3, "us"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    match value < 9.95 && unit != "ns" {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", 100.0 * part as f64 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lists_read_well() {
        let times = [0, 999, 1_000, 12_345, 9_960_000, 1_234_567_890].map(time);
        assert_eq!(
            times,
            ["0 ns", "999 ns", "1.0 us", "12 us", "10 ms", "1.2 s"]
        );
        assert_eq!(nodes(&[3]), "node 3");
        assert_eq!(nodes(&[0, 1, 2]), "nodes 0, 1 and 2");
        assert_eq!(nodes(&[0, 1, 2, 3, 4, 5]), "nodes 0, 1, 2, 3 and 2 more");
    }
}
