//! The command's unsafe code: what happens between fork and exec, and random bytes.

pub mod child;
pub mod random;
