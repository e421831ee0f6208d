//! Exit statuses of `umbel run` and `umbel trace` that are not the program's own; umbel(1) and `--help` list them.

/// Wrong arguments.
pub const USAGE: u8 = 2;
/// A node could not go on and said why.
pub const NODE_FAILED: u8 = 120;
/// A node died.
pub const NODE_LOST: u8 = 121;
/// The nodes did not all come up in time.
pub const NOT_READY: u8 = 122;
/// The launcher could not do its own work.
pub const LAUNCHER_FAILED: u8 = 123;
/// `umbel trace` could not do its own work, or the program can't be traced.
pub const TRACE_FAILED: u8 = 125;
/// The program can't be executed: the shell's status for this.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such program: the shell's status for this.
pub const NOT_FOUND: u8 = 127;

/// What a shell reports of a process that `signal` killed.
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
