//! The launcher with real processes: a test double of libumbel keeps the contract's other side.

mod ends;
mod launcher;
mod output;
mod refusals;
mod seeing;
mod signals;
mod terminal;
