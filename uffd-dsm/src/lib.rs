//! Object-granular distributed shared memory.
//!
//! [`window`] gives every object its address, [`stack`] keeps what lives in each thread's shadow
//! stack, and [`Engine`] drives the coherence machine of `umbel-coherence` with real page rights. The
//! engine knows a [`Link`], never a socket, and runs on one thread.

#![forbid(unsafe_code)]

pub mod diff;
mod engine;
pub mod heap;
mod ids;
mod payload;
mod sharing;
pub mod stack;
mod stats;
mod stream;
mod trace;
mod twins;
pub mod window;

pub use engine::{Engine, EngineConfig, Event, Link};
pub use payload::Payload;
pub use sharing::{Sharing, Writer};
pub use stats::{NodeStats, ObjectRow, ObjectStats, PeerTraffic};
pub use trace::Traced;
pub use umbel_coherence::Policy;
pub use umbel_fault::Error;
