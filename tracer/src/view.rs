//! What people look at: the live call tree, replay, the terminal view. [`story`] is what they and the exporters show.

pub mod calls;
pub mod live;
pub mod names;
pub mod replay;
pub mod select;
pub mod steps;
pub mod story;
pub mod text;
pub mod tui;
pub mod units;
pub mod values;
