//! Coherence protocol, directory and synchronization objects, as pure state machines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cache;
mod copyset;
mod directory;
mod effect;
mod entry;
mod homes;
pub mod limits;
mod machine;
pub mod sync;
mod violation;

pub use cache::CopyState;
pub use copyset::Copyset;
pub use effect::{Effect, Outgoing};
pub use entry::{Counters, Entry, Holding};
pub use homes::{HomeMap, Homes};
pub use machine::{Config, Machine};
pub use sync::{SyncEffect, SyncHome};
pub use violation::Violation;
