//! The engine on real pages: its node is 1 of 2, and each test plays node 0.

mod cache;
mod node;
mod sequential;
mod streams;
