//! The preloaded library in real programs: everything they do is recorded, and nothing they do changes.

mod ends;
mod figures;
mod many;
mod plain;
mod session;
mod values;
