//! Coherence protocol, directory and synchronization objects, as pure state machines.
//!
//! This page is the overview, the rules and why they hold; the states and messages are tables at the heads of the
//! modules, and [`sync`] has its own specification. A machine does no I/O: it takes an input and writes [`Effect`]s,
//! which its driver carries out in order before it gives the next input, and it asks its driver's [`Memory`]. The same
//! machine runs under the driver in `uffd-dsm`, under the model checker and under the simulator (`tests/`), where
//! every rule below is checked.
//!
//! | module | what its tables say |
//! |---|---|
//! | `cache`, `leave` | copies: the sequential protocol, prefetch, eviction |
//! | `weak` | copies of weak objects |
//! | `directory`, `grant` | the home: the sequential protocol, `migratory`, `read_only` |
//! | `round` | the home: weak objects, `invalidate` and `update` |
//! | `forward` | owners that send to the requester what is recalled for it |
//! | `withdraw`, `requests` | operations at the home (`remote`), strengthening |
//! | `auto` | how the home chooses |
//! | `ahead` | rights to write before a thread needs them |
//! | `pin` | holds without an end |
//! | `life` | the end of an object's life, lost nodes |
//! | `flush` | who waits for which diffs |
//!
//! # Messages
//!
//! Every object has a *home* ([`HomeMap`]), which keeps its directory [`Entry`]. Every message travels between a
//! cache and a home, but for grants that an owner forwards:
//!
//! | message | way | meaning |
//! |---|---|---|
//! | `Get(access)` | cache to home | a thread needs access; or, as a prefetch, might |
//! | `Grant(access, mode, bytes?)` | home, or owner, to cache | the answer; without bytes if the read copy is current |
//! | `Deny` | home to cache | the answer to a prefetch that is not worth serving |
//! | `Recall(keep_read, forward?)`, `Recalled(bytes)` | home to owner, back | give the newest bytes back, become a reader or lose the copy; send them to the requester, too |
//! | `Invalidate(end_of_life)`, `Invalidated(diff?)` | home to copy, back | drop the copy; what the home has not comes along |
//! | `Flush(diff, leave)`, `Return(bytes)` | cache to home | what was written to a weak copy; the copy is dropped, too |
//! | `Flushed(exclusive)` | home to cache | the answer: it is in every copy |
//! | `Update(diff)`, `Updated(leave)` | home to copy, back | somebody wrote this |
//! | `Operate`, `Operated` | cache to home, back | run an atomic operation |
//! | `Strengthen`, `Strengthened` | cache to home, back | make the object sequential |
//!
//! One object is thus the business of pairs (cache, home), and a link keeps the order of its messages:
//! this is what leaves no races (see *Upgrades*). A miss takes two messages if the home has the newest bytes, and if a
//! third node owns them three (Get, Recall, Grant), with a fourth beside them (Recalled). Forwarding is the one case where
//! three links meet; what can come too early there is postponed, as if its own link were slow: see `forward`.
//!
//! # Sequential objects
//!
//! Sequential consistency by write-invalidate, after Li and Hudak (TOCS '89, fixed distributed manager)
//! with the three states of an MSI cache: one writer or many readers.
//!
//! # Weak objects
//!
//! Release consistency, eager, with a home: many nodes write at once, each beside a *twin*, and the differences are
//! merged at the home. Twins and diffs are those of Munin (Carter, Bennett, Zwaenepoel, SOSP '91), a home that
//! merges is that of Zhou, Iftode, Li (OSDI '96). We differ in when: a flush makes every copy current before it is
//! answered, and nothing is done at an acquire.
//!
//! The first store to a shared weak copy makes a twin; no message. A *flush* ([`Machine::flush`]) sends the diff of
//! every copy that was written, and is answered when all copies are current: dropped (`invalidate`), or merged
//! (`update`). The driver flushes before anything leaves the node that may tell another thread to go on: what
//! synchronization says, the beginning and the end of threads. The machine itself flushes before the bytes of a
//! *sequential* object leave the node, and before an operation or its result does: a flag is enough to announce
//! data. An object that one node has alone is never flushed: there is nobody to tell.
//!
//! # Rules
//!
//! 1. *One writer or many readers.* Wherever a view of a sequential object allows stores, no other view allows
//!    anything. Proof: the home grants a write only when every copy but the requester's was answered for, and an
//!    answer is sent after the rights were taken; it grants nothing while it awaits an answer.
//! 2. *A load sees the last store.* Bytes of a sequential object move only after its threads can store no longer
//!    (`SetAccess` before `Send`: revoke, then copy, then answer), and are stored before they are exposed.
//! 3. *Every wait ends.* Each message is answered without waiting for another message of the same object,
//!    except at the home, whose waits are for answers of that kind or for holds; so the waits make no circle. Bytes
//!    of sequential objects wait for flushes, flushes wait for answers about weak objects, and these wait for no flush.
//!    A round ends, for nobody joins it twice.
//! 4. *Owner and copyset exclude each other*, and never list the home.
//! 5. *A flush is visible.* When a flush is answered, every view that can be read shows what this node's threads had
//!    stored before they asked, or later stores. Proof: the diff is in the home's page before anything else is done
//!    for it; each copy has it, or is gone, before the home answers; who fetches later gets the home's page.
//! 6. *Announced data is there.* Who sees a store to a sequential object sees the weak stores that its thread made
//!    before. Proof: the rights to the sequential object are taken, then everything is flushed, then its bytes go.
//! 7. *Copies end alike.* When nothing is under way and nothing is unflushed, all copies of an object are equal, even
//!    if threads raced. Proof: each gets the diffs in the order in which the home merged them; see `round`.
//! 8. *Nothing leaves but diffs.* Bytes that leave are those of the twin, where there is one ([`Outgoing::seal`]).
//!
//! # Upgrades
//!
//! A reader's Get(Write) is granted without bytes if and only if the home still lists it. Listed means
//! that the home sent it a read grant and no Invalidate since. The Grant goes behind that read grant on
//! the same link, so it finds that very copy in place, state Upgrading. Had the home sent an Invalidate, it
//! would have waited for Invalidated before anything else, the cache would be in FetchWrite, and the home
//! would list it no longer: the grant carries bytes. A copy that is Upgrading is not evicted.
//!
//! # Crossings
//!
//! What a copy sends by itself (Flush, Return) may cross what the home sends. A Flush is merged when it comes; the
//! home's Invalidate, Update or Recall is answered all the same, but for a Recall that finds the bytes gone: the
//! Return is its answer. A node that has dropped its copy asks again only when the home has answered that it knows.
//! Who left on Updated(leave), which it says by a Flush, too, may get updates that were sent before; it answers them.
//! So who asks for an object has nothing of the home's before it that is about an earlier copy.
//!
//! # Holds
//!
//! With [`Config::minimum_hold`] a grant begins a hold ([`Effect::Hold`]), so that the thread it woke gets to
//! use it; without one, 70 % of grants were stolen before the first access. Until the driver says
//! [`Machine::on_hold_expired`], a cache puts off Recall and Invalidate, and a home puts off requests that
//! would lower its own rights. What is put off is done when the last of the copy's holds has expired. Nobody
//! holds against the end of a life, and nobody holds what many may have: weak copies beside others, and what is
//! `read_only`. A hold left over from a life that ended may end a hold of the next life early, never late.
//!
//! # End of life
//!
//! [`Machine::reclaim`] ends the life of a range at its home: after the request in progress, before those that
//! wait, every copy is withdrawn without its bytes; then the entry goes ([`Effect::Retire`]), and when the last
//! of the range has gone, [`Effect::Reclaimed`]. What the bytes are then is whatever the home had. A request
//! that waited, through a pointer beyond the object's life, begins a new one: no thread hangs by it.
//!
//! # Lost nodes
//!
//! [`Machine::on_node_lost`] goes on as if the node had answered all it owed and asked for nothing. Bytes that
//! only it had are listed; the home's older ones take their place. Flushes to a lost home count as answered.
//! With [`Config::forwards`] that is no choice: a grant that is lost with its owner leaves the home believing that the
//! requester has it. Such a job ends with its first lost node.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ahead;
mod auto;
mod cache;
mod copy;
mod directory;
mod effect;
mod entry;
mod flush;
mod forward;
mod grant;
mod homes;
mod leave;
mod life;
pub mod limits;
mod machine;
mod memory;
mod numbers;
mod pin;
mod record;
mod requests;
mod round;
mod sides;
pub mod sync;
mod table;
mod turn;
mod violation;
mod weak;
mod withdraw;

pub use copy::CopyState;
pub use effect::{Effect, Outgoing};
pub use entry::{Counters, Entry, Holding};
pub use homes::{HomeMap, Homes};
pub use machine::{Config, Machine};
pub use memory::{Memory, Policy};
pub use pin::Pinned;
pub use sync::{SyncBranches, SyncEffect, SyncHome};
pub use violation::Violation;
