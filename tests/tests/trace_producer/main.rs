//! The preloaded library in real programs: everything they do is recorded, and nothing they do changes.

mod figures;
mod plain;
mod session;
