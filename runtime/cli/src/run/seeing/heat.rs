//! Amounts over time, in columns that get wider as the job goes on.

/// Columns of a heat map: as many as can be told apart.
pub const COLUMNS: usize = 120;

/// Width of the first column: what the shortest job fills some of.
const FIRST_WIDTH_NS: u64 = 50_000;

/// The common time axis of all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    start_ns: u64,
    pub width_ns: u64,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    cells: Vec<u64>,
    width_ns: u64,
}

impl Axis {
    pub fn new(start_ns: u64) -> Self {
        Self {
            start_ns,
            width_ns: FIRST_WIDTH_NS,
        }
    }

    /// The column of a time; the axis grows as far as needed.
    pub fn column(&mut self, at_ns: u64) -> usize {
        let since_ns = at_ns.saturating_sub(self.start_ns);
        while since_ns / self.width_ns >= COLUMNS as u64 {
            self.width_ns *= 2;
        }
        (since_ns / self.width_ns) as usize
    }

    /// Columns up to `at_ns`, at least one.
    pub fn used(&self, at_ns: u64) -> usize {
        let since_ns = at_ns.saturating_sub(self.start_ns);
        (since_ns.div_ceil(self.width_ns) as usize).clamp(1, COLUMNS)
    }
}

impl Default for Row {
    fn default() -> Self {
        Self {
            cells: vec![0; COLUMNS],
            width_ns: FIRST_WIDTH_NS,
        }
    }
}

impl Row {
    pub fn add(&mut self, axis: &Axis, column: usize, amount: u64) {
        self.fit(axis);
        self.cells[column] += amount;
    }

    /// The cells on this axis.
    pub fn cells(&mut self, axis: &Axis) -> &[u64] {
        self.fit(axis);
        &self.cells
    }

    /// The axis has grown since: pairs of columns become one.
    fn fit(&mut self, axis: &Axis) {
        while self.width_ns < axis.width_ns {
            for column in 0..COLUMNS {
                let pair = |index: usize| self.cells.get(index).copied().unwrap_or(0);
                self.cells[column] = pair(2 * column) + pair(2 * column + 1);
            }
            self.width_ns *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_that_grows_loses_no_amount() {
        let mut axis = Axis::new(1000);
        let mut row = Row::default();
        for step in 0..1000_u64 {
            let column = axis.column(1000 + step * 40_000);
            row.add(&axis, column, step);
        }
        let sum: u64 = row.cells(&axis).iter().sum();
        assert_eq!(sum, 999 * 1000 / 2);
        assert_eq!(axis.width_ns, 400_000);
        assert_eq!(axis.used(1000 + 999 * 40_000), 100);
        // The last column has the last ten steps.
        assert_eq!(row.cells(&axis)[99], (990..1000).sum::<u64>());
    }
}
