//! `--report FILE.html`: one page that needs nothing else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::super::stats::JobStats;
use super::findings::findings;
use super::page::{self, Job};
use super::slices::Shown;
use super::tally::Tally;

/// What the page will show.
pub struct Report {
    file: File,
    path: PathBuf,
    command: String,
    start_ns: u64,
    tally: Tally,
}

impl Report {
    /// Opens the file, so that a wrong name is told before anything runs.
    pub fn create(path: &Path, command: &str, start_ns: u64) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| {
            let advice = match error.kind() {
                std::io::ErrorKind::NotFound => " (is its folder there?)",
                _ => "",
            };
            format!(
                "cannot write the report to {}: {error}{advice}",
                path.display()
            )
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            command: command.to_owned(),
            start_ns,
            tally: Tally::new(start_ns),
        })
    }

    pub fn start(&mut self, node_count: usize) {
        self.tally.start(node_count);
    }

    pub fn add(&mut self, shown: &Shown) {
        self.tally.add(shown);
    }

    /// Writes the page; what went wrong.
    pub fn write(mut self, stats: &JobStats, lost: &[u64]) -> Option<String> {
        let findings = findings(stats, &self.tally);
        let job = Job {
            command: &self.command,
            duration_ns: self.tally.end_ns - self.start_ns,
            stats,
            lost: lost.iter().sum(),
            findings: &findings,
        };
        let text = page::page(&job, &mut self.tally);
        let result = self.file.write_all(text.as_bytes());
        let path = self.path.display();
        result
            .err()
            .map(|error| format!("umbel: cannot write the report to {path}: {error}"))
    }
}
