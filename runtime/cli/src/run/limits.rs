//! Every bound and wait of the launcher, with its reason.

use std::time::Duration;

/// Until all nodes are ready: connecting takes milliseconds, loading a program from a slow disk seconds.
pub const READY_WAIT: Duration = Duration::from_secs(10);

/// From main's end to the last node's: they only unmap memory and write statistics.
pub const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// From a user's signal to the end of rank 0, which may have a handler.
pub const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// A second signal this soon is the same one: `timeout` signals the launcher and its group.
pub const SIGNAL_REPEAT: Duration = Duration::from_millis(250);

/// For the survivors to name the threads of a lost node.
pub const THREADS_WAIT: Duration = Duration::from_millis(500);

/// A node that fails because another died tells us before that death is known: wait for the cause.
pub const CAUSE_WAIT: Duration = Duration::from_millis(100);

/// A terminal shows an unfinished line (a prompt) after this silence.
pub const PROMPT_WAIT: Duration = Duration::from_millis(50);

/// Between two looks at records that wait for those of other nodes: their times differ by milliseconds.
pub const RECORDS_WAIT: Duration = Duration::from_millis(100);

/// An unfinished line is forwarded in parts from here on, so that a node without newlines can't fill memory.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Output waiting for a slow reader; beyond it the nodes' pipes fill and their writes wait.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// One read of a node's pipe: what a pipe holds.
pub const READ_BYTES: usize = 64 * 1024;

/// Last output of a dead node: its pipe's content. More than a pipe holds comes from someone it left behind.
pub const LAST_READS_MAX: usize = 64;

/// A write that poll() called possible takes this much without waiting, on any pipe: PIPE_BUF.
pub const CAREFUL_WRITE_BYTES: usize = 4096;

/// Open files of the launcher at its fullest, while it starts `node_count` nodes.
///
/// When rank r starts, r + 1 nodes have sockets to each of the `node_count - 1 - r` that come after, each with
/// memory beside it if they share some; each node also has a control socket and two pipes; 32 are for
/// everything else.
pub const fn open_files(node_count: usize, shares_memory: bool) -> usize {
    let links = (node_count + 1) * (node_count + 1) / 4 + node_count;
    links * if shares_memory { 2 } else { 1 } + 4 * node_count + 32
}

const _: () = assert!(PROMPT_WAIT.as_millis() < 100, "a prompt feels immediate");
const _: () = assert!(LINE_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(
    THREADS_WAIT.as_millis() + CAUSE_WAIT.as_millis() < 2000,
    "the issue's bound"
);
