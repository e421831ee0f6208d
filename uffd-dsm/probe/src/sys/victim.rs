//! The victim.
