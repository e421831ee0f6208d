//! Every bound of the wire format, with its reason.

/// Bytes of a message header.
pub const HEADER_BYTES: usize = 8;

/// Longest body: a thread creation with the deepest chain of frames; an object's data is at most a page.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a page: no unit of coherence is larger.
pub const PAGE_BYTES: usize = 4096;

/// Longest data of one unit of coherence: a page, and 2 bytes that say where in it the bytes belong.
pub const DATA_BYTES_MAX: usize = PAGE_BYTES + 2;

/// Messages of one batch: what a phase of a program writes leaves in few of them, and one is soon handled.
pub const BATCH_MESSAGES_MAX: usize = 4096;

/// Longest body of a batch: 64 pages, and room for what stands before them.
pub const BATCH_BODY_BYTES_MAX: usize = 64 * PAGE_BYTES + 192;

/// Bytes before each run of changed bytes in a diff: its offset and its length.
pub const RUN_HEADER_BYTES: usize = 4;

/// Longest diff: every second byte changed, each a run of its own. Runs can't be joined over an unchanged
/// byte: another node may have written it. A page changed from end to end takes less: one run.
pub const DIFF_BYTES_MAX: usize = PAGE_BYTES / 2 * (RUN_HEADER_BYTES + 1);

/// Frames of one static chain: GCC's own limit on nesting is far lower in practice.
pub const FRAMES_MAX: usize = 64;

/// Bytes of one frame record. A captured scalar takes 8; VLA bounds and descriptors add a few words.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a source name or message text.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Bytes of a heap object's policy: all its words, each once, are less.
pub const POLICY_BYTES_MAX: usize = 256;

/// Lines of one list in a control message: the threads of a lost node; a user reads no more.
pub const LINES_MAX: usize = 256;

/// Longest body on a node's socket to its launcher: statistics of some 100,000 distinct object names.
pub const CONTROL_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest event that a node records: a name of 255 bytes and its fields.
pub const EVENT_BYTES_MAX: usize = 288;

/// Events of one message: some 100 KiB, so that a launcher that reads it is never busy for long.
pub const EVENTS_MAX: usize = 4096;

/// Branches of a node in the tree along which nodes meet at a barrier. A message more takes 0.7 us, a level more two
/// links of 5 to 10 us: with 4, a tree of 16 nodes costs what asking one home does, and larger ones less.
pub const BARRIER_BRANCHES_MAX: usize = 4;

/// Nodes of a job: what the 16-bit rank allows, less room for markers.
pub const NODES_MAX: usize = 4096;

const _: () = assert!(FRAME_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(DATA_BYTES_MAX + 64 < BODY_BYTES_MAX);
const _: () = assert!(DIFF_BYTES_MAX + 64 < BODY_BYTES_MAX);
const _: () = assert!(PAGE_BYTES + RUN_HEADER_BYTES <= DIFF_BYTES_MAX);
const _: () = assert!(LINES_MAX * (TEXT_BYTES_MAX + 2) + 2 <= CONTROL_BODY_BYTES_MAX);
