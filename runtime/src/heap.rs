//! The shared heap as programs see it: allocation sites and policies, errors, and what a misuse was.
//!
//! An allocation's place in the source and its policy are an `umbel_object` record, made once for each pair, so
//! that heap objects have names and policies as variables do. Which object is where: `uffd_dsm::heap`.
//!
//! Alone, nobody can take rights on a slot that shares its page with others. There a freed slot is cleared; a
//! store to it after that is found when it is buried, together with many, or given out again. Freed pages are made inaccessible if the kernel can.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use uffd_dsm::heap::{Allocated, Freer, Heap, Meaning, Object, Urgency, Wanted};
use uffd_dsm::window::{self, Arena};
use umbel_fault::PAGE_BYTES;
use umbel_wire::event::Why;
use umbel_wire::limits::POLICY_BYTES_MAX;
use umbel_wire::{Message, NodeId, heap as wire};

use crate::error::Error;
use crate::node::{self, Node};
use crate::recorder;
use crate::request::{Reply, Request};
use crate::symbols;
use crate::sys::signals::Blocked;
use crate::sys::{abi, memory, segv};

/// The heap of this node, and the records of its allocations.
pub struct SharedHeap {
    /// Which object is where.
    pub objects: Heap,
    /// By site: policy and record.
    records: RwLock<Records>,
}

type Records = BTreeMap<u64, Vec<(Box<str>, u64)>>;

/// An object as its home described it.
pub struct Description {
    /// Its size.
    pub size_bytes: u64,
    /// Its policy as the program wrote it.
    pub policy: String,
}

/// Largest object: what is above can't be in the window, and sums with it don't overflow.
const BYTES_MAX: u64 = 1 << 46;

impl SharedHeap {
    /// An empty heap, of the node that owns these stacks.
    pub fn new(stacks: std::ops::Range<u32>, shared: bool) -> Self {
        Self {
            objects: Heap::new(stacks, shared),
            records: RwLock::default(),
        }
    }

    fn record(&self, site: u64, policy: &str) -> u64 {
        let find = |records: &Records| {
            let of_site = records.get(&site)?.iter();
            let mut same = of_site.filter(|(known, _)| **known == *policy);
            same.next().map(|(_, record)| *record)
        };
        let known = self.records.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = find(&known) {
            return record;
        }
        drop(known);
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have come first.
        find(&records).unwrap_or_else(|| {
            let record = abi::heap_record(site, policy);
            records
                .entry(site)
                .or_default()
                .push((policy.into(), record));
            record
        })
    }
}

/// A new object of the calling thread's node, all zero: its address, or an errno.
pub fn allocate(bytes: u64, align: u64, policy: &str, site: u64) -> Result<usize, i32> {
    if !align.is_power_of_two() || policy.len() > POLICY_BYTES_MAX {
        return Err(libc::EINVAL);
    }
    if bytes > BYTES_MAX || align > BYTES_MAX {
        return Err(libc::ENOMEM);
    }
    let node = Node::get();
    node.refuse_copy("allocated shared memory");
    let wanted = Wanted {
        bytes,
        align,
        record: node.heap.record(site, policy),
    };
    let _blocked = Heap::wants_pages(&wanted).then(Blocked::new);
    let allocated = node
        .heap
        .objects
        .allocate(wanted, |count, arena| node.take_chunks(count, arena))
        .ok_or(libc::ENOMEM)?;
    if !node.distributed() {
        renew(allocated, bytes);
    }
    Ok(allocated.address)
}

/// Ends an object of any node's heap.
pub fn free(address: usize, site: u64) {
    let node = Node::get();
    node.refuse_copy("freed shared memory");
    let home = home_of(address, "dist_free", site);
    if home != node.rank {
        node.submit(Request::Heap {
            home,
            address: address as u64,
            site,
            reply: None,
        });
        return;
    }
    let freer = Freer {
        site,
        node: node.rank,
    };
    if !node.distributed() {
        clear_alone(address);
    }
    let freed = {
        let _blocked = blocked_in_pages(address);
        node.heap.objects.free(address, freer)
    };
    match freed {
        Err(meaning) => node::fatal(&misuse(address, "dist_free", freer, meaning)),
        Ok(urgency) if !node.distributed() => {
            if urgency == Urgency::Now || slot_alone(address).is_none() {
                bury_alone();
            }
        }
        Ok(Urgency::Known) => {}
        Ok(urgency) => node.submit(Request::HeapFreed(urgency)),
    }
}

/// Gives an object another size: its address, perhaps a new one, or an errno.
pub fn reallocate(address: usize, bytes: u64, site: u64) -> Result<usize, i32> {
    let node = Node::get();
    node.refuse_copy("resized shared memory");
    let home = home_of(address, "dist_realloc", site);
    let is_resized = home == node.rank && {
        let _blocked = blocked_in_pages(address);
        node.heap.objects.resize(address, bytes)
    };
    if is_resized {
        return Ok(address);
    }
    let old = describe(address, home, site);
    let new = allocate(bytes, ALIGN, &old.policy, site)?;
    memory::copy(address, new, old.size_bytes.min(bytes) as usize);
    free(address, site);
    Ok(new)
}

/// Alignment of every object.
pub const ALIGN: u64 = 16;

fn home_of(address: usize, call: &str, site: u64) -> NodeId {
    let node = Node::get();
    let Some(place) = node.place_at(address) else {
        let freer = Freer {
            site,
            node: node.rank,
        };
        node::fatal(&misuse(address, call, freer, Meaning::Nothing))
    };
    let home = node.homes.home_of_stack(place.stack);
    // A stray pointer into the share of nobody: this node says so as well as any other.
    if home.0 < node.node_count {
        home
    } else {
        node.rank
    }
}

fn describe(address: usize, home: NodeId, site: u64) -> Description {
    let node = Node::get();
    if home == node.rank {
        let freer = Freer { site, node: home };
        return find(address, freer).unwrap_or_else(|text| node::fatal(&text));
    }
    let reply = Reply::new();
    let answer = std::sync::Arc::new(std::sync::Mutex::new(None));
    node.submit(Request::Heap {
        home,
        address: address as u64,
        site,
        reply: Some((reply.clone(), answer.clone())),
    });
    let _why = recorder::because(Why::Memory, address as u64);
    reply.wait();
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    answer
        .take()
        .expect("the service thread answers after it has filled it in")
}

/// The live object at `address` of this node, for somebody who wants to change its size; what he did wrong, if
/// there is none.
pub fn find(address: usize, asker: Freer) -> Result<Description, String> {
    let meaning = {
        let _blocked = blocked_in_pages(address);
        Node::get().heap.objects.meaning(address)
    };
    match meaning {
        Meaning::Live(object) if object.address == address => Ok(Description {
            size_bytes: object.size_bytes,
            policy: abi::object_attribute(object.record as usize),
        }),
        meaning => Err(misuse(address, "dist_realloc", asker, meaning)),
    }
}

/// No handler of the program runs while the calling thread looks for an object that takes whole pages: `uffd_dsm::heap` says
/// why.
fn blocked_in_pages(address: usize) -> Option<Blocked> {
    let is_in_pages = Node::get().heap.objects.is_in_pages(address);
    is_in_pages.then(Blocked::new)
}

/// The message to another node that a request stands for.
pub fn message(address: u64, site: u64, token: Option<umbel_wire::Token>) -> Message {
    Message::Heap(match token {
        None => wire::Heap::Free { address, site },
        Some(token) => wire::Heap::Find {
            token,
            address,
            site,
        },
    })
}

/// What was wrong with a call about `address`.
pub fn misuse(address: usize, call: &str, caller: Freer, meaning: Meaning) -> String {
    let here = place_text(caller);
    match meaning {
        Meaning::Nothing => format!(
            "{call} of {address:#x} {here}: no object of the shared heap was ever there; was it a variable, or \
             made by malloc?"
        ),
        Meaning::Live(object) if object.address == address => {
            // Another thread freed it meanwhile and a third has it now.
            format!(
                "{call} of {address:#x} {here}: the {} is in use",
                object_text(object)
            )
        }
        Meaning::Live(object) => format!(
            "{call} of {address:#x} {here}: that is {} bytes into the {}; only the address that the \
             allocation returned names it",
            address - object.address,
            object_text(object),
        ),
        Meaning::Freed(object, freer) if call == "dist_free" => format!(
            "double free: {address:#x} was freed {here}, and before that {}; it was the {}",
            place_text(freer),
            object_text(object),
        ),
        Meaning::Freed(object, freer) => format!(
            "use after free: {call} of {address:#x} {here}, which was freed {}; it was the {}",
            place_text(freer),
            object_text(object),
        ),
    }
}

/// What a thread did that used an address of this node where nothing lives, if that was ever a heap object.
pub fn wild_access(node: NodeId, address: usize, write: bool) -> Option<Error> {
    let verb = if write { "wrote to" } else { "read" };
    match Node::get().heap.objects.meaning(address) {
        Meaning::Freed(object, freer) => Some(Error::Heap(format!(
            "use after free: a thread on node {} {verb} the {}, which was freed {}",
            node.0,
            object_text(object),
            place_text(freer),
        ))),
        Meaning::Nothing | Meaning::Live(_) => None,
    }
}

/// The same in a program alone.
pub fn wild_access_alone(address: usize, write: bool) -> Option<Error> {
    wild_access(Node::get().rank, address, write)
}

fn object_text(object: Object) -> String {
    let record = object.record as usize;
    format!(
        "object of {} bytes at {:#x}, allocated at {} on node {}",
        object.size_bytes,
        object.address,
        symbols::name(abi::heap_site(record)),
        Node::get().rank.0,
    )
}

fn place_text(freer: Freer) -> String {
    format!("at {} on node {}", symbols::name(freer.site), freer.node.0)
}

/// Alone: makes a new object's place usable again, and finds stores to it after it was freed.
fn renew(allocated: Allocated, bytes: u64) {
    let Allocated { address, before } = allocated;
    if slot_alone(address).is_none() {
        memory::unguard(address, (bytes as usize).next_multiple_of(PAGE_BYTES));
    }
    if let Some((object, freer)) = before {
        check_unused(object, freer);
    }
}

/// Ends the program if a freed small object, which was cleared, was written to.
fn check_unused(object: Object, freer: Freer) {
    if !memory::is_zero(object.address, object.size_bytes as usize) {
        node::fatal(&format!(
            "use after free: the {} was written to after it was freed {}",
            object_text(object),
            place_text(freer),
        ));
    }
}

/// Alone: clears the slot of a live object, before it is freed.
fn clear_alone(address: usize) {
    if let Some(bytes) = slot_alone(address)
        && let Meaning::Live(object) = Node::get().heap.objects.meaning(address)
        && object.address == address
    {
        memory::zero(address, bytes);
    }
}

/// Alone: bytes of the slot that holds `address`; nothing in the page arena and outside.
fn slot_alone(address: usize) -> Option<usize> {
    match Node::get().place_at(address)?.arena {
        Arena::Small(class) => Some(class.slot_bytes()),
        Arena::Pages | Arena::Tracked => None,
    }
}

/// Alone: what the service thread and the engine do together otherwise.
fn bury_alone() {
    let heap = &Node::get().heap.objects;
    for run in heap.take_freed().into_iter().flatten() {
        if run.first.arena != Arena::Pages {
            for place in run.places() {
                if let Meaning::Freed(object, freer) = heap.meaning(place.solo_address()) {
                    check_unused(object, freer);
                }
            }
        }
        let done: Result<_, std::convert::Infallible> = heap.bury(run, |first, pages| {
            let start = first.solo_address() & !(PAGE_BYTES - 1);
            memory::discard(start, pages as usize * PAGE_BYTES);
            if first.arena == Arena::Pages {
                segv::watch();
                memory::guard(start, pages as usize * PAGE_BYTES);
            }
            Ok(())
        });
        let Ok(_) = done;
    }
}

/// Makes an arena of stacks usable in a program alone.
pub fn map_alone(first: u32, count: u32, arena: Arena) -> std::io::Result<()> {
    (first..first + count).try_for_each(|stack| window::map_solo(stack, arena))
}
