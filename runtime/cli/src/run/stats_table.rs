//! Statistics of a job as tables.

use super::stats::{JobStats, ObjectStats};

/// A table of objects, one of nodes, and hints.
pub fn table(job: &JobStats, has_colour: bool) -> String {
    let objects = objects(job);
    let mut nodes = Table::new(&[
        "node",
        "threads",
        "read faults",
        "write faults",
        "messages sent",
        "batches",
        "messages per batch",
        "bytes sent",
        "messages received",
    ]);
    for node in &job.nodes {
        nodes.row([
            node.rank.to_string(),
            node.threads.to_string(),
            node.read_faults.to_string(),
            node.write_faults.to_string(),
            node.messages_sent.to_string(),
            node.batches_sent.to_string(),
            ratio(node.messages_sent, node.batches_sent),
            bytes(node.bytes_sent),
            node.messages_received.to_string(),
        ]);
    }
    let mut text = match job.objects.is_empty() {
        true => "no object was shared between threads\n".into(),
        false => objects.text(has_colour),
    };
    text.push('\n');
    text += &nodes.text(has_colour);
    text += &hints(job, has_colour);
    for error in &job.unreadable {
        text += &format!("a node's statistics are missing: {error}\n");
    }
    text.trim_end().into()
}

/// Columns that a job has nothing to say in are left out.
fn objects(job: &JobStats) -> Table {
    type Cell = fn(&ObjectStats) -> String;
    let always: [(&str, Cell); 4] = [
        ("object", |row| row.name.clone()),
        ("size", |row| bytes(row.size)),
        ("count", |row| row.count.to_string()),
        ("home", |row| row.home.to_string()),
    ];
    let protocol: [(&str, Cell); 3] = [
        ("consistency", |row| row.consistency.clone()),
        ("protocol", |row| row.protocol.clone()),
        ("switches", |row| row.switches.to_string()),
    ];
    let faults: [(&str, Cell); 3] = [
        ("read faults", |row| row.read_faults.to_string()),
        ("write faults", |row| row.write_faults.to_string()),
        ("invalidations", |row| row.invalidations.to_string()),
    ];
    let weak: [(&str, Cell); 3] = [
        ("flushes", |row| row.flushes.to_string()),
        ("updates", |row| row.updates.to_string()),
        ("operations", |row| row.operations.to_string()),
    ];
    let moved: [(&str, Cell); 1] = [("moved", |row| bytes(row.bytes))];
    let has_protocol = job.objects.iter().any(|row| !row.protocol.is_empty());
    let is_used = |(_, cell): &&(&str, Cell)| job.objects.iter().any(|row| cell(row) != "0");
    let columns: Vec<&(&str, Cell)> = always
        .iter()
        .chain(protocol.iter().filter(|_| has_protocol))
        .chain(&faults)
        .chain(weak.iter().filter(is_used))
        .chain(&moved)
        .collect();
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut table = Table::new(&heads);
    for row in &job.objects {
        table
            .0
            .push(columns.iter().map(|(_, cell)| cell(row)).collect());
    }
    table
}

/// What to change in the source.
fn hints(job: &JobStats, has_colour: bool) -> String {
    let mut text = String::new();
    for (name, hint) in job
        .objects
        .iter()
        .filter_map(|row| Some((&row.name, row.hint()?)))
    {
        text += &match has_colour {
            true => format!("\n\x1b[33m{name}\x1b[0m: {hint}\n"),
            false => format!("\n{name}: {hint}\n"),
        };
    }
    text
}

/// `1.4`; a dash for none.
fn ratio(messages: u64, batches: u64) -> String {
    match batches {
        0 => "-".into(),
        _ => format!("{:.1}", messages as f64 / batches as f64),
    }
}

/// Rows of cells; the first column to the left, the others to the right.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new(head: &[&str]) -> Self {
        Self(vec![head.iter().map(|cell| (*cell).to_owned()).collect()])
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(cells.into());
    }

    /// The head is bold on a terminal.
    fn text(&self, has_colour: bool) -> String {
        let column_count = self.0[0].len();
        let width = |column: usize| {
            let widths = self.0.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..column_count).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.0.iter().enumerate() {
            let is_bold = has_colour && index == 0;
            if is_bold {
                text += "\x1b[1m";
            }
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => text += &format!("{cell:<width$}"),
                    _ => text += &format!("  {cell:>width$}"),
                }
            }
            if is_bold {
                text += "\x1b[0m";
            }
            text.push('\n');
        }
        text
    }
}

/// `bytes` with three digits or so: "17 B", "1.2 KiB", "340 MiB".
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        // 1023.95 would be shown as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match value < 99.95 {
        true => format!("{value:.1} {unit}"),
        false => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::merge;
    use super::*;

    #[test]
    fn sizes_have_human_units() {
        let shown = [0, 1023, 1024, 1229, 102_400, 1_048_575, 1 << 20, 3 << 40].map(bytes);
        let expected = [
            "0 B", "1023 B", "1.0 KiB", "1.2 KiB", "100 KiB", "1.0 MiB", "1.0 MiB", "3.0 TiB",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_line_up() {
        let document = br#"{"rank":0,"threads":2,"read_faults":3,"messages_sent":12,"batches_sent":5,"bytes_sent":2048,"objects":[
            {"name":"main:a","size":1200,"home":0,"read_faults":3,"write_faults":10,"bytes":4096}]}"#;
        let expected = "\
object     size  count  home  read faults  write faults  invalidations    moved
main:a  1.2 KiB      1     0            3            10              0  4.0 KiB

node  threads  read faults  write faults  messages sent  batches  messages per batch  bytes sent  messages received
0           2            3             0             12        5                 2.4     2.0 KiB                  0";
        assert_eq!(table(&merge(&[document.to_vec()]), false), expected);
    }

    #[test]
    fn protocols_are_shown_where_nodes_tell_them_and_hints_name_the_variable() {
        let document = br#"{"rank":0,"objects":[
            {"name":"main:a","size":16,"protocol":"invalidate","consistency":"sequential","switches":1,
             "falsely_shared":9,"writers":[[1,0,7],[2,8,8]],"operations":4}]}"#;
        let text = table(&merge(&[document.to_vec()]), true);
        let head = "object  size  count  home  consistency    protocol  switches  read faults  write faults  \
                    invalidations  operations  moved";
        assert!(
            text.starts_with(&format!("\x1b[1m{head}\x1b[0m\n")),
            "{text}"
        );
        let hint = "\x1b[33mmain:a\x1b[0m: False sharing, 9 times: node 1 bytes 0 to 7, node 2 byte 8. \
                    `__attribute__((shadow(\"weak\")))` lets them write at once; if it has to stay sequential, make \
                    it a variable for each.";
        assert!(text.ends_with(hint), "{text}");
    }
}
