//! Whose turn it is: the node's state belongs to one thread at a time.
//!
//! That is the service thread, but while it sleeps a thread of the program may *visit*: carry out its own request, and
//! look for the answer itself. Handing the request to the service thread and the answer back are two switches between
//! threads, 5 us here, where the round trip takes 6.
//!
//! ```text
//! service thread   turn ─ look ─ sleep ················ (wants its turn?) ········ turn
//! visitor                        └─ request ─ look ─ messages ─ answer ─┘ leaves at once
//! ```
//!
//! Where faults are signals, a thread that faults visits, too, from its handler: it serves its own fault.
//!
//! A visitor that waits is the only thread of its node that could run: nobody else is kept from anything. It runs with its signals
//! blocked, for a handler that touches shared memory would wait for the visitor's own turn to end. It leaves as soon as the
//! service thread wants its turn: for faults, timers, the launcher, and requests of others, which only that sees.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use umbel_fault::signals::Waiter;

use crate::local;
use crate::node::Node;
use crate::recorder;
use crate::request::{Reply, Request};
use crate::service::Service;
use crate::sys::fork;
use crate::sys::poll::Uncancelled;
use crate::sys::signals::{self, Blocked};

/// The node's state, and who wants it.
#[derive(Default)]
pub struct Turn {
    service: OnceLock<Mutex<Service>>,
    /// The service thread waits for its turn.
    is_wanted: AtomicBool,
    /// How long to look for events before sleeping, in nanoseconds, as suits what came lately.
    look_ns: AtomicU64,
    /// Since when a visitor had looked in vain that sleeps now; 0: none does.
    gave_up_ns: AtomicU64,
}

/// The state, for as long as this lives.
pub type Held = MutexGuard<'static, Service>;

impl Turn {
    /// The state as it was made.
    pub fn begin(&self, service: Service, look_ns: u64) {
        self.look_ns.store(look_ns, Ordering::Relaxed);
        let fresh = self.service.set(Mutex::new(service)).is_ok();
        assert!(fresh, "a node is started once");
    }

    fn service(&'static self) -> &'static Mutex<Service> {
        self.service
            .get()
            .expect("the state was made before threads that use it")
    }

    /// The service thread's turn, whoever visits.
    pub fn take(&'static self) -> Held {
        let service = self.service();
        let held = service.try_lock().or_else(|_| {
            // Relaxed, as all of this module: hints. The lock orders what they are about.
            self.is_wanted.store(true, Ordering::Relaxed);
            service.lock()
        });
        self.is_wanted.store(false, Ordering::Relaxed);
        held.expect("no code under this lock panics")
    }

    /// Whether a visitor should leave.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// How long to look.
    pub fn look_ns(&self) -> u64 {
        self.look_ns.load(Ordering::Relaxed)
    }

    /// A visitor has looked in vain since then.
    pub fn give_up(&self, began_ns: u64) {
        self.gave_up_ns.store(began_ns, Ordering::Relaxed);
    }

    /// Since when, if something has come only now.
    pub fn gave_up(&self) -> Option<u64> {
        match self.gave_up_ns.load(Ordering::Relaxed) {
            0 => None,
            _ => Some(self.gave_up_ns.swap(0, Ordering::Relaxed)),
        }
    }

    /// What was looked for has come so late that it was slept for. From now on one looks a little longer than that
    /// took, if it was short, and else not so long that it matters.
    pub fn learn(&self, waited_ns: u64, spin_ns: u64) {
        let look_ns = match waited_ns < spin_ns * LOOK_MAX {
            true => 2 * waited_ns,
            false => (self.look_ns() / 2).max(spin_ns / LOOK_MAX),
        };
        self.look_ns.store(look_ns, Ordering::Relaxed);
    }
}

/// A thread looks for at most twice so many times as long as it was told at the start, and at least for that part
/// of it: long enough for steps of computation between two messages, and short enough to be lost in a long wait.
const LOOK_MAX: u64 = 8;

/// A visit of the calling thread.
struct Visit {
    // In the order of their ends.
    service: Held,
    _blocked: Option<Blocked>,
    _uncancelled: Uncancelled,
}

impl Visit {
    /// Nothing, if it is somebody else's turn, or somebody else could run.
    fn begin(node: &'static Node) -> Option<Self> {
        if !node.distributed()
            || node.has_requests()
            || fork::is_copy()
            || !local::with(local::Local::has_room)
        {
            return None;
        }
        let uncancelled = Uncancelled::new();
        let blocked = Blocked::new();
        let service = node.turn.service().try_lock().ok()?;
        service.may_be_visited().then(|| Self {
            service,
            _blocked: Some(blocked),
            _uncancelled: uncancelled,
        })
    }

    /// As `begin`, whoever else could run, from the handler of a fault: signals are blocked.
    fn of_fault(node: &'static Node) -> Option<Self> {
        if node.has_requests()
            || node.turn.is_wanted()
            || signals::handlers_may_nest()
            || !local::has_room()
        {
            return None;
        }
        let uncancelled = Uncancelled::new();
        let service = node.turn.service().try_lock().ok()?;
        Some(Self {
            service,
            _blocked: None,
            _uncancelled: uncancelled,
        })
    }
}

impl Node {
    /// Has a request of the calling thread carried out; it doesn't wait for that.
    pub fn hand_over(&'static self, request: Request) {
        match Visit::begin(self) {
            Some(mut visit) => visit.service.serve(Some(request), None),
            None => self.submit(request),
        }
    }

    /// Has a request of the calling thread carried out, if there is one, and waits for the answer.
    pub fn wait_for(&'static self, request: Option<Request>, reply: &Reply) -> i64 {
        match (Visit::begin(self), request) {
            (Some(mut visit), request) => {
                let _shown = (!reply.is_answered()).then(recorder::wait_began);
                visit.service.serve(request, Some(reply));
            }
            (None, Some(request)) => self.submit(request),
            (None, None) => self.note_waiting(),
        }
        reply.wait()
    }
}

/// Serves what the calling thread has posted, if it may. In a signal handler; `signals::set_server` says what it interrupted,
/// and so it may allocate. It takes no lock that code which accesses shared memory may hold: the service thread takes those
/// locks, too, while such code waits for it.
pub fn serve_fault(waiter: &Waiter<'_>) -> bool {
    let visit = Node::made().and_then(Visit::of_fault);
    match visit {
        Some(mut visit) => {
            visit.service.serve_fault(waiter);
            true
        }
        None => false,
    }
}
