//! What becomes of a traced program's records: the recorder takes them out of the shared chunks, a recording keeps
//! them, symbols name them, and reports, views and exporters show them.

pub mod chosen;
pub mod export;
pub mod filter;
mod near;
pub mod record;
pub mod recording;
pub mod report;
pub mod stuck;
pub mod symbols;
pub mod trigger;
mod units;
pub mod view;
