//! The recorder: takes the words of traced programs out of the shared chunks, writes the recording, and patches call sites.
//!
//! ```text
//!  traced programs ── words, journals ──► RECORDING.live ──► taker ──► output ──► recording, live view
//!        ▲                                                     │ news
//!        │ patches through /proc/PID/mem, answers              ▼
//!        └────────────────────────────────────────────────── session ◄── control socket, signals, ends of processes
//! ```

mod cache;
mod clock;
mod coarse;
mod code;
mod control;
mod elf;
mod error;
mod flow;
mod measured;
mod output;
mod patch;
mod process;
mod program;
mod session;
mod sink;
mod sites;
mod skew;
mod sources;
mod sys;
mod taker;
mod trim;
mod values;
mod wake;

pub use clock::point as clock_point;
pub use control::{
    Answer, Control, Notices, REQUEST_BYTES_MAX, Request, SnapshotWishes, Spot, ask,
};
pub use error::Error;
pub use output::Tally;
pub use program::{Untraceable, examine};
pub use session::{Outcome, Program, Session, Settings, control_path, live_path};
pub use sink::Sink;
pub(crate) use sys::pages::there as pages_there;
pub(crate) use sys::robust::list as robust_list;
pub use sys::spawn::with_mask;
pub use umbel_probe::Method;
pub use umbel_values::plan::Wishes;
