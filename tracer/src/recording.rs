//! Recordings: what a session leaves, one file.
//!
//! A [`Writer`] makes it block by block ([`block`] has the frame, [`codec`] the events, [`metadata`] everything else); a
//! [`Recording`] reads it, whole or damaged, finished or not: each block stands alone and says which thread's words it
//! stands for, so what is missing is known by thread, count and time. Descriptions come before the events that
//! need them, never only at the end.

pub mod block;
mod clock;
pub mod codec;
mod damage;
mod error;
mod event;
mod gather;
mod journal;
mod live;
pub mod metadata;
mod reader;
mod scan;
mod varint;
mod writer;

pub use clock::Clock;
pub use damage::Damage;
pub use error::{Error, Result};
pub(crate) use event::special as special_event;
pub use event::{Context, Event, Kind, Message, Parser};
pub(crate) use journal::Told;
pub use live::path_beside;
pub use metadata::{
    Began, ClockKind, ClockPoint, Ended, Image, LostInfo, ModuleGone, ModuleInfo, Name, PlanInfo,
    ProcessEnd, ProcessInfo, ProcessSerial, SessionInfo, ThreadInfo, ThreadSerial, TypesPart,
};
pub(crate) use reader::Segment;
pub use reader::{Events, Recording};
pub use writer::Writer;
