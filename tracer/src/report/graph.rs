//! The call graph: of each function, who called it and whom it called, and how often.

use std::collections::HashMap;
use std::io::{self, Write};

use super::profile::Profile;

/// Callers, or functions called, in one line.
const NAMES_MAX: usize = 16;

/// How often each was called, the most frequent first; `None` is the thread's beginning.
type Counts = Vec<(Option<u32>, u64)>;

impl Profile {
    /// The call graph as text, the functions that were called most often first, at most `limit` of them. It is in the profile if the
    /// call tree was wanted.
    pub fn write_graph(&self, limit: usize, out: &mut impl Write) -> io::Result<()> {
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        let nodes = tree.nodes();
        let mut edges: HashMap<(Option<u32>, u32), u64> = HashMap::new();
        for node in nodes.iter().skip(1) {
            let is_first = node.parent == 0;
            let caller = (!is_first).then(|| nodes[node.parent as usize].function);
            *edges.entry((caller, node.function)).or_default() += node.calls;
        }
        let mut callers: HashMap<u32, Counts> = HashMap::new();
        let mut called: HashMap<u32, Counts> = HashMap::new();
        for ((caller, function), calls) in edges {
            callers.entry(function).or_default().push((caller, calls));
            if let Some(caller) = caller {
                let entry = called.entry(caller).or_default();
                entry.push((Some(function), calls));
            }
        }
        let total = |function: &u32| -> u64 {
            let of = callers.get(function).into_iter().flatten();
            of.map(|(_, calls)| calls).sum()
        };
        let mut functions: Vec<(u64, u32)> = callers
            .keys()
            .map(|function| (total(function), *function))
            .collect();
        functions.sort_by_key(|(calls, function)| {
            (u64::MAX - calls, self.name(Some(*function)).to_owned())
        });
        for (calls, function) in functions.iter().take(limit) {
            writeln!(out, "  {}: {calls}", self.name(Some(*function)))?;
            self.write_counts("called by", callers.get(function), out)?;
            self.write_counts("calls", called.get(function), out)?;
        }
        match functions.len().checked_sub(limit) {
            Some(more @ 1..) => writeln!(out, "  and {more} functions more"),
            _ => Ok(()),
        }
    }

    fn write_counts(
        &self,
        title: &str,
        counts: Option<&Counts>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Some(counts) = counts else {
            return Ok(());
        };
        let mut counts = counts.clone();
        counts.sort_by_key(|(function, calls)| (u64::MAX - calls, self.name(*function).to_owned()));
        let shown = counts.iter().take(NAMES_MAX);
        let shown: Vec<String> = shown
            .map(|(function, calls)| format!("{} {calls}", self.name(*function)))
            .collect();
        let more = match counts.len().checked_sub(NAMES_MAX) {
            Some(more @ 1..) => format!(" and {more} more"),
            _ => String::new(),
        };
        writeln!(out, "      {title} {}{more}", shown.join(", "))
    }

    fn name(&self, function: Option<u32>) -> &str {
        let function = function.and_then(|number| self.functions.get(number as usize));
        function.map_or("(the thread's first)", |function| &function.name)
    }
}
