//! What a program built by `umbel cc` links against: a node of the distributed machine.
//!
//! ```text
//! application threads ──fault──────────► kernel ──userfaultfd──┐
//!        │                                                     ▼
//!        └──requests (queue + waker)──►  service thread: one mio loop owns
//!                                        engine (memory) · threads · sync objects · links · control
//! ```
//!
//! Each process is one node. Its service thread owns everything that messages touch, but for visits ([`turn`]);
//! application threads reach it by faulting or by a [`request`], and sleep until it answers. A program started
//! without `umbel run` is a node alone: no faults, no links, the same code otherwise.

mod atomics;
mod capi;
mod capi_keys;
mod chain;
mod error;
mod globals;
mod happens_before;
mod heap;
mod held;
mod launch;
mod links;
mod local;
mod modules;
pub mod node;
mod policy;
mod program;
mod recorder;
mod request;
mod service;
mod symbols;
mod sync_table;
mod sys;
mod transport;
mod turn;

pub use error::Error;
