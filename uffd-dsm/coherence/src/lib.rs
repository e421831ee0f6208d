//! Coherence protocol, directory and synchronization objects, as pure state machines.
//!
//! This page is the specification; [`sync`] has its own. A machine does no I/O: it takes an input and
//! writes [`Effect`]s, which its driver carries out in order before it gives the next input. The same
//! machine runs under the driver in `uffd-dsm`, under the model checker and under the simulator
//! (`tests/`), where every rule below is checked.
//!
//! # Protocol
//!
//! Sequential consistency by write-invalidate, after Li and Hudak (TOCS '89, fixed distributed manager)
//! with the three states of an MSI cache. Every object has a *home* ([`HomeMap`]), which keeps its
//! directory [`Entry`]. Every message travels between a cache and a home, never between two caches:
//!
//! | message | way | meaning |
//! |---|---|---|
//! | `Get(access)` | cache to home | a thread needs access |
//! | `Grant(access, bytes?)` | home to cache | the answer; without bytes if the read copy is current |
//! | `Recall(keep_read)` | home to owner | send the newest bytes back, become a reader or lose the copy |
//! | `Recalled(bytes)` | owner to home | the answer |
//! | `Invalidate` | home to reader, or to the owner at the end of the object's life | drop the copy |
//! | `Invalidated` | cache to home | the answer |
//!
//! One object is thus the business of pairs (cache, home), and a link keeps the order of its messages:
//! this is what leaves no races (see *Upgrades*). The price is a fourth message when a third node owns
//! the object (Get, Recall, Recalled, Grant); DESIGN's forwarding from owner to requester would save one
//! of the four in latency and is left for later.
//!
//! # Cache side
//!
//! States of a copy ([`CopyState`]) and what each input does. *V*: a [`Violation`]; nothing changes and the
//! driver closes the link. *show*: `SetAccess` to the state's rights and `Wake`.
//!
//! | state | rights | read fault | write fault | Grant(Read)+bytes | Grant(Write)+bytes | Grant(Write) | Recall | Invalidate |
//! |---|---|---|---|---|---|---|---|---|
//! | Invalid | none | Get(Read), to FetchRead | Get(Write), to FetchWrite | V | V | V | V | V |
//! | FetchRead | none | wait | wait | store, show, to Shared | V | V | V | V |
//! | FetchWrite | none | wait | wait | V | store, show, to Exclusive | V | V | V |
//! | Shared | Read | show | Get(Write), to Upgrading | V | V | V | V | drop, to Invalid |
//! | Upgrading | Read | show | wait | V | V | show, to Exclusive | V | drop, to FetchWrite |
//! | Exclusive | Write | show | show | V | V | V | give back, to Shared or Invalid | drop, to Invalid |
//!
//! *drop*: `SetAccess`, then Invalidated. *give back*: `SetAccess`, then Recalled with the bytes.
//! Grant(Read) without bytes is always V. A Recall or Invalidate during a hold waits for its end (see
//! *Holds*); while one waits, any further message about the object but the end of the hold is V.
//!
//! A write fault in FetchRead waits for the read grant, which wakes every thread; the writer faults
//! again. That costs the messages that remembering it would: a Get once sent cannot be raised.
//!
//! # Home side
//!
//! An object without an entry is **Unshared**: the home has it alone. A fault of the home itself there is
//! answered at once and makes no entry: a stack faults in that way all the time.
//!
//! [`Holding`] says where the newest bytes are; while the home awaits answers the object is *busy*, and
//! requests queue in order of arrival, at most one per node. Requests of the home's own threads queue
//! with the others.
//!
//! | state | home's rights | read request of node n | write request of node n |
//! |---|---|---|---|
//! | Unshared | Write | makes the entry (Home), goes on there | the same |
//! | Home | Write | lower own view to Read, Grant+bytes, to Shared{n} | take own view, Grant+bytes, to Owned(n) |
//! | Shared{c} | Read | Grant+bytes, to Shared{c+n}; n in c: V | Invalidate c-n; none: take own view, Grant, to Owned(n); else Invalidating |
//! | Owned(o) | none | Recall(keep_read), Recalling; n = o: V | Recall, Recalling; n = o: V |
//! | Recalling | none | queues; n = o: V | queues; n = o: V |
//! | Invalidating | Read | queues; n yet to answer: V | queues |
//! | Reclaiming | as Shared, Owned | queues; n = o, or yet to answer: V | queues; n = o: V |
//!
//! | state | Recalled from m | Invalidated from m |
//! |---|---|---|
//! | Recalling(o) | m = o: store, to Shared{o} or Home, grant what was waited for; else V | V |
//! | Invalidating{c} | V | m in c: the last one grants what was waited for; else V |
//! | Reclaiming{c} or (o) | V | m in c, or m = o: the last one ends the life; else V |
//! | Unshared, Home, Shared, Owned | V | V |
//!
//! A second Get of a node that was not answered, a message about an object of another home, a message of
//! a home about an object that is not its own, and a message of the node itself are V in every state. For a
//! request of the home's own threads *Grant* reads: `SetAccess` and `Wake`.
//!
//! # Rules
//!
//! 1. *One writer or many readers.* Wherever a view allows stores, no other view allows anything. Proof: the
//!    home grants a write only when every copy but the requester's was answered for, and an answer is
//!    sent after the rights were taken; it grants nothing while it awaits an answer.
//! 2. *A load sees the last store.* Bytes move from a node only after its threads can store no longer
//!    (`SetAccess` before `Send`: revoke, then copy, then answer), and are stored before they are exposed.
//! 3. *Every wait ends.* Each message is answered without waiting for another message of the same object,
//!    except at the home, whose waits are for answers of that kind or for holds; so the waits make no circle.
//! 4. *Owner and copyset exclude each other*, and never list the home.
//!
//! # Upgrades
//!
//! A reader's Get(Write) is granted without bytes if and only if the home still lists it. Listed means
//! that the home sent it a read grant and no Invalidate since. The Grant goes behind that read grant on
//! the same link, so it finds that very copy in place, state Upgrading. Had the home sent an Invalidate, it
//! would have waited for Invalidated before anything else, the cache would be in FetchWrite, and the home
//! would list it no longer: the grant carries bytes.
//!
//! # Holds
//!
//! With [`Config::minimum_hold`] a grant begins a hold ([`Effect::Hold`]), so that the thread it woke gets to
//! use it; without one, 70 % of grants were stolen before the first access. Until the driver says
//! [`Machine::on_hold_expired`], a cache puts off Recall and Invalidate, and a home puts off requests that
//! would lower its own rights. What is put off is done when the last of the copy's holds has expired. Nobody
//! holds against the end of a life if he owns the object. A hold left over from a life that ended may end a
//! hold of the next life early, never late.
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
//! only it had are listed; the home's older ones take their place.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod auto;
mod cache;
mod copy;
mod copyset;
mod directory;
mod effect;
mod entry;
mod flush;
mod grant;
mod homes;
mod leave;
mod life;
pub mod limits;
mod machine;
mod memory;
mod requests;
mod round;
mod sides;
pub mod sync;
mod turn;
mod violation;
mod weak;
mod withdraw;

pub use copy::CopyState;
pub use copyset::Copyset;
pub use effect::{Effect, Outgoing};
pub use entry::{Counters, Entry, Holding};
pub use homes::{HomeMap, Homes};
pub use machine::{Config, Machine};
pub use memory::{Memory, Policy};
pub use sync::{SyncEffect, SyncHome};
pub use violation::Violation;
