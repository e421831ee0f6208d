//! The node that this process is: start, end, and what its threads share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use uffd_dsm::stack::StackMap;
use uffd_dsm::window::{self, Arena, Homes, Place, SlotGeometry};
use umbel_wire::{NodeId, ThreadId};

use crate::error::{Error, STATUS_FATAL};
use crate::globals;
use crate::heap::{self, SharedHeap};
use crate::launch::Launch;
use crate::local;
use crate::request::{Reply, Request};
use crate::service::{self, Service};
use crate::sync_table::SyncTable;
use crate::sys::inbox::{Inbox, Taken};
use crate::sys::poll::{Bell, Poll};
use crate::sys::signals::Blocked;
use crate::sys::{fork, process, segv, signals};
use crate::turn::{self, Turn};

/// This process as a node.
pub struct Node {
    /// Its rank.
    pub rank: NodeId,
    /// Nodes in the job.
    pub node_count: u16,
    /// Homes of the shadow stacks.
    pub homes: Homes,
    /// Synchronization objects whose home is here.
    pub sync: SyncTable,
    /// Heap objects whose home is here.
    pub heap: SharedHeap,
    /// Everything else of the node.
    pub turn: Turn,
    /// Whether a launcher started it.
    launched: bool,
    /// Whether the service thread looks for events before it sleeps.
    looks: bool,
    /// For the service thread.
    requests: Inbox<Request>,
    /// Wakes the service thread.
    pub bell: Bell,
    /// The service thread sleeps, or is about to.
    pub service_sleeps: AtomicBool,
    /// Locked with signals blocked: a handler that interrupted who holds it would wait for the service thread, and that for it.
    stacks: Mutex<Stacks>,
    /// Names of threads that the program made without us, downwards from the end of the range.
    next_root: AtomicU64,
}

/// Shadow stacks of this node.
struct Stacks {
    free: Vec<u32>,
    unused: std::ops::Range<u32>,
    maps: BTreeMap<u32, StackMap>,
}

/// A shadow stack in use.
#[derive(Clone, Copy)]
pub struct Stack {
    /// Its index in the window.
    pub index: u32,
    /// What lives in it.
    pub map: StackMap,
    /// Where its slots are.
    pub geometry: SlotGeometry,
}

static NODE: OnceLock<&'static Node> = OnceLock::new();

/// The same, set before a thread of the program can run here. A process forked then finds `NODE` half set for ever.
static MADE: OnceLock<&'static Node> = OnceLock::new();

/// main is the first thread of node 0.
pub const MAIN: ThreadId = ThreadId::new(NodeId(0), 1);

impl Node {
    /// This process's node; the first call starts it.
    pub fn get() -> &'static Node {
        if let Some(node) = NODE.get().or_else(in_copy) {
            return node;
        }
        NODE.get_or_init(|| start().unwrap_or_else(|error| fatal(&error.to_string())))
    }

    /// This process's node, if it was made and its threads may use it.
    pub fn made() -> Option<&'static Node> {
        MADE.get().copied()
    }

    /// Hands a request to the service thread.
    pub fn submit(&self, request: Request) {
        if fork::is_copy() {
            fork::end_copy("called a function of umbel.h that needs the node");
        }
        self.requests.push(request);
        self.wake_service();
    }

    /// Has the service thread look around, if it sleeps.
    pub fn wake_service(&self) {
        // Orders what was done before the look at the flag, as in `Service::sleep` the flag before the look at that.
        fence(Ordering::SeqCst);
        // Relaxed: see above. The swap, so that it is woken once.
        let sleeps = &self.service_sleeps;
        if sleeps.load(Ordering::Relaxed)
            && sleeps.swap(false, Ordering::Relaxed)
            && let Err(error) = self.bell.ring()
        {
            die(&format!("cannot wake the service thread: {error}"));
        }
    }

    /// The calling thread is about to wait for something that comes through the service thread. If that looks for events
    /// while everybody waits, it must know: asleep, it would be woken by the answer only 20 us after that came.
    pub fn note_waiting(&self) {
        if self.looks {
            self.wake_service();
        }
    }

    /// Whether a request waits for the service thread.
    pub fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The requests, for the service thread.
    pub fn take_requests(&self) -> Taken<Request> {
        self.requests.take()
    }

    /// Whether the window is shared with other nodes: pages fault and copies must be taken back.
    pub fn distributed(&self) -> bool {
        self.node_count > 1
    }

    /// Ends a process that the program forked from a node of several: what it asked for has shared objects in it.
    /// Forked from a program alone, it has copies of all of them.
    pub fn refuse_copy(&self, did: &str) {
        if self.distributed() && fork::is_copy() {
            fork::end_copy(did);
        }
    }

    /// The place in the window that a pointer names.
    pub fn place_at(&self, address: usize) -> Option<Place> {
        if self.distributed() {
            Place::at(address)
        } else {
            Place::at_solo(address)
        }
    }

    /// A stack for a new thread; nothing when all are in use. The map is new if nobody had this stack yet.
    pub fn take_stack(&self) -> Result<Option<(Stack, bool)>, std::io::Error> {
        let _blocked = Blocked::new();
        let mut stacks = self.stacks.lock().expect("no code under this lock panics");
        let Some(index) = stacks.free.pop().or_else(|| stacks.unused.next()) else {
            return Ok(None);
        };
        let geometry = if self.distributed() {
            window::shared_geometry(index)
        } else {
            window::solo_geometry(index)
        };
        if let Some(map) = stacks.maps.get(&index) {
            return Ok(Some((
                Stack {
                    index,
                    map: *map,
                    geometry,
                },
                false,
            )));
        }
        if !self.distributed() {
            window::map_solo_stack(index)?;
        }
        let map = StackMap::new()?;
        stacks.maps.insert(index, map);
        Ok(Some((
            Stack {
                index,
                map,
                geometry,
            },
            true,
        )))
    }

    /// Gives a stack back.
    pub fn put_stack(&self, index: u32) {
        let _blocked = Blocked::new();
        self.stacks
            .lock()
            .expect("no code under this lock panics")
            .free
            .push(index);
    }

    /// The first of `count` adjacent stacks for the heap, ready for use as `arena`: the last ones, for threads
    /// take the first ones.
    pub fn take_chunks(&self, count: u32, arena: Arena) -> Option<u32> {
        let _blocked = Blocked::new();
        let mut stacks = self.stacks.lock().expect("no code under this lock panics");
        let first = stacks.unused.end.checked_sub(count)?;
        if first < stacks.unused.start {
            return None;
        }
        if !self.distributed() {
            heap::map_alone(first, count, arena).ok()?;
        }
        stacks.unused.end = first;
        Some(first)
    }

    /// A name for a thread that the program made by pthread_create: it can have children, but no father.
    pub fn name_root(&self) -> ThreadId {
        let last = (1 << ThreadId::SEQUENCE_BITS) - 1;
        ThreadId::new(
            self.rank,
            last - self.next_root.fetch_add(1, Ordering::Relaxed),
        )
    }
}

/// Runs the program: main on node 0, nothing but other nodes' threads elsewhere.
pub fn run_main(main: impl FnOnce() -> i32) -> i32 {
    let node = Node::get();
    globals::program_runs(node);
    if node.rank == NodeId(0) {
        let status = local::run_main_thread(main);
        // Relaxed: main ran on this thread.
        if MAIN_IS_VOID.load(Ordering::Relaxed) {
            0
        } else {
            status
        }
    } else {
        // The service thread ends the process.
        loop {
            std::thread::park();
        }
    }
}

/// What `void main` leaves in the status register means nothing.
static MAIN_IS_VOID: AtomicBool = AtomicBool::new(false);

/// The program's main declared so.
pub fn main_is_void() {
    MAIN_IS_VOID.store(true, Ordering::Relaxed);
}

/// Ends the job because of something nobody can repair; `text` is for the user.
pub fn fatal(text: &str) -> ! {
    match NODE.get().filter(|node| node.launched && !fork::is_copy()) {
        None => die(text),
        Some(node) => {
            node.submit(Request::Fatal { text: text.into() });
            // The service thread tells the launcher and ends the process; if it can't, end all the same.
            std::thread::sleep(FATAL_WAIT);
            die(text)
        }
    }
}

fn die(text: &str) -> ! {
    eprintln!("umbel: {text}");
    process::end_now(STATUS_FATAL)
}

#[cold]
fn in_copy() -> Option<&'static &'static Node> {
    MADE.get().filter(|_| fork::is_copy())
}

fn start() -> Result<&'static Node, Error> {
    let launch = Launch::from_environment()?;
    fork::watch(launch.rank)
        .map_err(Error::system("map a page that forked processes don't get"))?;
    if launch.timeline {
        crate::recorder::start();
    }
    crate::sys::tracer::find();
    crate::recorder::tell_tracer_of_node(launch.rank.into());
    let (rank, node_count) = (NodeId(launch.rank), launch.node_count);
    let homes = Homes::new(node_count);
    let poll = Poll::new().map_err(Error::system("make the event loop"))?;
    // For the process's life: the service thread uses it before this function is done.
    let node: &'static Node = Box::leak(Box::new(Node {
        rank,
        node_count,
        homes,
        sync: SyncTable::exchanging(rank, !launch.has_rings()),
        heap: SharedHeap::new(homes.stacks(rank), node_count > 1),
        turn: Turn::default(),
        launched: launch.control.is_some(),
        looks: launch.spin_ns > 0,
        requests: Inbox::new(),
        bell: poll
            .bell(service::REQUESTS)
            .map_err(Error::system("make the event loop's bell"))?,
        service_sleeps: AtomicBool::new(false),
        stacks: Mutex::new(Stacks {
            free: Vec::new(),
            unused: thread_stacks(rank, node_count, homes),
            maps: BTreeMap::new(),
        }),
        next_root: AtomicU64::new(0),
    }));
    let _ = MADE.set(node);
    if node.launched {
        // Before the first message: a peer's thread may run here, and exit, while this thread is on its
        // way to main.
        process::line_buffered_stdout();
        process::at_exit(on_exit);
    }
    let look_ns = launch.spin_ns;
    let service = Service::new(node, &poll, launch)?;
    if node.distributed() {
        segv::watch();
    }
    if service.faults_are_signals() {
        signals::keep_faults_unblocked();
    }
    node.turn.begin(service, look_ns);
    umbel_fault::signals::set_server(turn::serve_fault);
    let greeted = Reply::new();
    let answer = greeted.clone();
    std::thread::Builder::new()
        .name("umbel-service".into())
        .spawn(move || Service::run(node, poll, &answer))
        .map_err(Error::system("start the service thread"))?;
    greeted.wait();
    Ok(node)
}

/// The node's shadow stacks but for the one that is reserved for globals.
fn thread_stacks(rank: NodeId, node_count: u16, homes: Homes) -> std::ops::Range<u32> {
    let stacks = homes.stacks(rank);
    let reserved = u32::from(rank == globals::HOME && node_count > 1 && globals::have_room(homes));
    stacks.start + reserved..stacks.end
}

/// The program calls exit, or main has returned: the job ends with this status.
extern "C" fn on_exit(status: i32, _: *mut libc::c_void) {
    if fork::is_copy() {
        // The end of a process that the program forked is nobody's business but its parent's.
        return;
    }
    // Waits, if the thread that starts this node has not been told yet that it is done.
    let node = Node::get();
    process::flush_streams();
    let reply = Reply::new();
    node.submit(Request::Exit {
        status,
        reply: reply.clone(),
    });
    reply.wait();
}

/// How long a dying thread lets the service thread tell the launcher.
const FATAL_WAIT: Duration = Duration::from_millis(500);
