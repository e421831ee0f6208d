//! Benches and comparisons.
