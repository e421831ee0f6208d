//! Tables as text.

use std::io::{self, Write};

/// A table: columns of numbers to the right, the last one, a name, to the left.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Column {
    title: String,
    importance: u32,
}

/// What the last column gets at least before others are left out.
const NAME_WIDTH_MIN: usize = 24;
const GAP: &str = "  ";

impl Table {
    /// A column; those of the least `importance` are left out first when the terminal is too narrow.
    pub fn column(&mut self, title: &str, importance: u32) {
        self.columns.push(Column {
            title: title.to_owned(),
            importance,
        });
    }

    /// A row: as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Writes it, at most `width` characters wide.
    pub fn write(&self, out: &mut impl Write, width: Option<usize>) -> io::Result<()> {
        let Some(last) = self.columns.len().checked_sub(1) else {
            return Ok(());
        };
        let mut widths: Vec<usize> = (0..=last).map(|column| self.width(column)).collect();
        let mut shown: Vec<usize> = (0..=last).collect();
        if let Some(width) = width {
            let needed = |shown: &[usize], widths: &[usize]| {
                let sum: usize = shown[..shown.len() - 1]
                    .iter()
                    .map(|&c| widths[c] + GAP.len())
                    .sum();
                sum + widths[last].min(NAME_WIDTH_MIN)
            };
            while shown.len() > 1 && needed(&shown, &widths) > width {
                let numbers = shown[..shown.len() - 1].iter().enumerate();
                let least = numbers.min_by_key(|(_, column)| self.columns[**column].importance);
                let Some((place, _)) = least else { break };
                shown.remove(place);
            }
            let numbers: usize = shown[..shown.len() - 1]
                .iter()
                .map(|&c| widths[c] + GAP.len())
                .sum();
            widths[last] = width.saturating_sub(numbers).max(1);
        }
        let titles: Vec<&str> = self
            .columns
            .iter()
            .map(|column| column.title.as_str())
            .collect();
        write_row(out, &titles, &shown, &widths)?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            write_row(out, &cells, &shown, &widths)?;
        }
        Ok(())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        let title = self.columns[column].title.chars().count();
        cells.max().unwrap_or(0).max(title)
    }
}

/// Characters in a line of the terminal; `None`: there is none.
pub fn terminal_width() -> Option<usize> {
    let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
    (columns > 0).then_some(columns.into())
}

fn write_row(
    out: &mut impl Write,
    cells: &[&str],
    shown: &[usize],
    widths: &[usize],
) -> io::Result<()> {
    let Some((&last, numbers)) = shown.split_last() else {
        return Ok(());
    };
    for &column in numbers {
        write!(
            out,
            "{:>width$}{GAP}",
            cells[column],
            width = widths[column]
        )?;
    }
    let name = cells[last];
    if name.chars().count() <= widths[last] {
        return writeln!(out, "{name}");
    }
    // The end of a long name tells more than its namespaces.
    let kept = widths[last].saturating_sub(1);
    let skipped = name.chars().count() - kept;
    writeln!(out, "…{}", name.chars().skip(skipped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(width: Option<usize>) -> String {
        let mut table = Table::default();
        table.column("CALLS", 3);
        table.column("MIN", 1);
        table.column("FUNCTION", 9);
        table.row(vec!["12".into(), "3 us".into(), "main".into()]);
        table.row(vec![
            "1234567".into(),
            "12.34 us".into(),
            "std::vector<some::very::long::name>::f".into(),
        ]);
        let mut out = Vec::new();
        table.write(&mut out, width).expect("to memory");
        String::from_utf8(out).expect("written as text")
    }

    #[test]
    fn numbers_stand_to_the_right_under_their_titles() {
        assert_eq!(
            text(None),
            "  CALLS       MIN  FUNCTION\n     12      3 us  main\n1234567  12.34 us  std::vector<some::very::long::name>::f\n"
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_least_column_and_the_front_of_names() {
        assert_eq!(
            text(Some(34)),
            "  CALLS  FUNCTION\n     12  main\n1234567  …me::very::long::name>::f\n"
        );
        for width in 0..60 {
            let longest = text(Some(width))
                .lines()
                .map(|line| line.chars().count())
                .max();
            assert!(longest <= Some(width.max(1)), "{width}");
        }
    }
}
