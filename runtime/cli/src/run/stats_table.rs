//! Statistics of a job as tables.

use super::stats::JobStats;

/// A table of objects, one of nodes.
pub fn table(job: &JobStats) -> String {
    let mut objects = Table::new(&[
        "object",
        "size",
        "count",
        "home",
        "read faults",
        "write faults",
        "invalidations",
        "moved",
    ]);
    for row in &job.objects {
        objects.row([
            row.name.clone(),
            bytes(row.size),
            row.count.to_string(),
            row.home.to_string(),
            row.read_faults.to_string(),
            row.write_faults.to_string(),
            row.invalidations.to_string(),
            bytes(row.bytes),
        ]);
    }
    let mut nodes = Table::new(&[
        "node",
        "threads",
        "read faults",
        "write faults",
        "messages sent",
        "batches",
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
            bytes(node.bytes_sent),
            node.messages_received.to_string(),
        ]);
    }
    let mut text = match job.objects.is_empty() {
        true => "no object was shared between threads\n".into(),
        false => objects.text(),
    };
    text.push('\n');
    text += &nodes.text();
    for error in &job.unreadable {
        text += &format!("a node's statistics are missing: {error}\n");
    }
    text.trim_end().into()
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

    fn text(&self) -> String {
        let column_count = self.0[0].len();
        let width = |column: usize| {
            let widths = self.0.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..column_count).map(width).collect();
        let mut text = String::new();
        for row in &self.0 {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => text += &format!("{cell:<width$}"),
                    _ => text += &format!("  {cell:>width$}"),
                }
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
        let document = br#"{"rank":0,"threads":2,"read_faults":3,"messages_sent":12,"bytes_sent":2048,"objects":[
            {"name":"main:a","size":1200,"home":0,"read_faults":3,"write_faults":10,"bytes":4096}]}"#;
        let expected = "\
object     size  count  home  read faults  write faults  invalidations    moved
main:a  1.2 KiB      1     0            3            10              0  4.0 KiB

node  threads  read faults  write faults  messages sent  batches  bytes sent  messages received
0           2            3             0             12        0     2.0 KiB                  0";
        assert_eq!(table(&merge(&[document.to_vec()])), expected);
    }
}
