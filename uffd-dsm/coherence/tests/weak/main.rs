//! Weak objects, and what else is not the plain sequential protocol: transcripts and refusals.

mod ahead;
mod auto;
mod copy;
mod flags;
mod forward;
mod home;
mod modes;
mod refusals;
mod transcript;
