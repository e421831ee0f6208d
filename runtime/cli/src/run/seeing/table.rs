//! The report's table of variables.

use std::collections::BTreeMap;

use super::super::stats::{JobStats, ObjectStats};
use super::super::stats_table::bytes;
use super::findings::time;
use super::html::{breakable, escape, grouped, with_code};
use super::page::Job;
use super::tally::Tally;

/// Rows of the table that are in the page; the others are added up.
const TABLE_ROWS_MAX: usize = 2000;

/// Rows shown before the reader asks for all.
const TABLE_ROWS_FIRST: usize = 30;

pub fn table(out: &mut String, job: &Job, tally: &Tally) {
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
        ("what to do", ""),
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
        let mut findings = job.findings.iter();
        let finding = findings.position(|finding| finding.variable.as_ref() == Some(&object.name));
        let hint = match (object.hint(), finding) {
            (_, Some(index)) => format!("<a href=\"#f{0}\">stands out: {0}</a>", index + 1),
            (Some(hint), None) => with_code(&hint),
            (None, None) => String::new(),
        };
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
        cells += &format!("<td class=\"hint\">{hint}</td>");
        cells
    }
}
