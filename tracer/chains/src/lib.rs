//! Call chains: a thread's calls and returns become a tree of call frames. Pure: no I/O, no clock.
//!
//! [`Chains`] takes one thread's events in their order and tells a [`Sink`] when a call frame begins and when it ends, with
//! its times. Calls without returns and returns without calls are ordinary input: programs jump, throw and are killed, and
//! a recorder may begin late or drop events.
//!
//! | input | what becomes of the frames |
//! |---|---|
//! | call | a frame begins |
//! | return of the innermost function | it ends |
//! | return of a function further out | those above it end, [`Cut::Unwound`]; it ends |
//! | return of a function that isn't there | a frame that began before the recording, or in a gap, ends: [`Cut::BeganUnseen`]. Those that began since then were above it: they end, [`Cut::Unwound`] |
//! | setjmp | the number of frames is remembered with the buffer |
//! | longjmp | the frames above end, [`Cut::Jumped`]; with an unknown buffer none: the next return tells. A buffer of another stack: as swapcontext |
//! | getcontext, setcontext | as setjmp and longjmp |
//! | makecontext | the context stands for a stack without frames |
//! | swapcontext | the frames of this stack end, [`Cut::Suspended`], and those of the other begin again ([`Sink::resumed`]) |
//! | return of the outermost function of a stack that was made with a successor | what follows belongs to the successor's stack |
//! | gap | nothing yet: what returns afterwards tells who has survived it |
//! | end | all that are left end, [`Cut::Open`] |
//!
//! Functions are small numbers that the caller gives out from 0, without holes: the machine keeps a table of them.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod chains;
mod stacks;

pub use chains::{Chains, Cut, Frame, FrameEnded, Sink};
pub use stacks::{Saved, Stacks};
