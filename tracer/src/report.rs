//! Reports: a recording in numbers.
//!
//! ```text
//! Recording ── each thread, all processors ──► Profile: functions, threads, call tree, what is lost
//!                                               ├─► text: tables that fit the terminal
//!                                               ├─► JSON
//!                                               └─► Difference of two
//! ```
//!
//! Times of a function: **total** is the time in which it was on the stack, a recursion counted once; **self** is the part of it
//! in which no traced function that it called was; the distribution (min, average, percentiles, max) is that of its single
//! calls, each from call to return.

mod diff;
mod fast;
mod graph;
mod histogram;
mod ids;
mod json;
mod profile;
mod table;
mod text;
mod thread;
mod tree;

pub use diff::{Difference, DifferenceRow, Numbers};
pub use histogram::Histogram;
pub use profile::{Function, Profile, Selection, Statistics, ThreadRow};
pub use table::{Table, terminal_width};
pub use text::{Sort, TextOptions};
pub use tree::{Node, Tree};
