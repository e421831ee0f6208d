//! The fault machinery: rights of a memory range's pages, and who accesses what it has no right to.
//!
//! A [`Space`] is a sparse memory file mapped several times: once as the always-writable *engine view*,
//! and as the views that programs use. With userfaultfd, rights are page-table states of those views, and no mapping is
//! ever split (measured: `notes` in DESIGN.md §3):
//!
//! | access of a page | page-table state | entered by |
//! |---|---|---|
//! | none | absent | `MADV_DONTNEED`; the bytes stay in the file |
//! | read | mapped, write-protected | `UFFDIO_CONTINUE` with `MODE_WP`, or `UFFDIO_WRITEPROTECT` |
//! | write | mapped | `UFFDIO_CONTINUE`, or `UFFDIO_WRITEPROTECT` cleared |
//!
//! Who is told of an access, says `backend.rs`: the service thread, by the userfaultfd; or the thread itself, by a signal
//! ([`signals`]).
//!
//! Pages of *tracked* views have only the first and the last: [`tracking`](WriteTracking).
//!
//! Where userfaultfd is forbidden, rights are protections and guard pages (`space/shown.rs`), and accesses raise
//! SIGSEGV.
//!
//! All unsafe code of the memory is in `sys/`.

mod backend;
mod decode;
mod error;
mod redirect;
pub mod signals;
mod space;
mod sys;
mod tracking;

pub use backend::{Backend, BackendReport, probe};
pub use error::Error;
pub use space::{Fault, Rights, Space, SpaceLayout, View};
pub use sys::lines::{LINE_BYTES, changed_bytes};
pub use sys::map::{Part, Word, private_memory, zeroed_words};
pub use tracking::{WriteTracking, write_tracking};

/// Bytes of a page. x86-64 has no other base page.
pub const PAGE_BYTES: usize = 4096;
