//! The engine on real pages: its node is 1 of 2, and each test plays node 0.

#[allow(dead_code, reason = "the tests of the cache use the rest")]
mod home;
mod node;
mod sequential;
mod streams;
mod tracked;
mod weak;

/// No bound: a test must not lose copies for what others did.
pub const CACHE_BYTES: u64 = 0;
