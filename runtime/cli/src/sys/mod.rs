//! The command's unsafe code: what happens between fork and exec, signals, and random bytes.

pub mod child;
pub mod pipe;
pub mod random;
pub mod real_time;
