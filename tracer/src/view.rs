//! What people look at: the live call tree, replay, the terminal view. [`story`] is what they and the exporters show.

pub mod names;
pub mod steps;
pub mod story;
