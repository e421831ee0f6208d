//! Signals that the command answers itself while a program runs.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// Signals by which a user ends what runs.
pub const ENDING_SIGNALS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Those of them that were not ignored when we were started (nohup, a shell's background job): it stays so. Blocked, they
/// would be queued all the same.
pub fn ending_signals() -> Result<SigSet> {
    let ignored = ignored_signals()?;
    let heeded = ENDING_SIGNALS
        .into_iter()
        .filter(|&signal| ignored & (1 << (signal as i32 - 1)) == 0);
    Ok(heeded.collect())
}

/// Bit n - 1 is set if signal n is ignored.
fn ignored_signals() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let digits = line.context("no line SigIgn")?.trim();
    Ok(u64::from_str_radix(digits, 16)?)
}
