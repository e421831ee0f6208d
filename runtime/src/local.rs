//! What each application thread knows of itself.

use std::cell::{Cell, OnceCell};

use uffd_dsm::window::{self, Arena, Class, Place, TRACKED_PAGES};
use umbel_agents::Reach;
use umbel_wire::event::Why;
use umbel_wire::thread::Frame;
use umbel_wire::{ObjectId, ThreadId};

use crate::chain::PrivateChain;
use crate::modules;
use crate::node::{self, MAIN, Node, Stack};
use crate::recorder;
use crate::request::{Reply, Request};
use crate::sys::abi::{SelfPointer, UmbelSelf};
use crate::sys::{call, fork, process, stubs};

/// A thread of the program that is known to its node.
pub struct Local {
    /// Its name.
    pub thread: ThreadId,
    /// Who created it; nobody created main and the threads that the program made by itself.
    pub father: Option<ThreadId>,
    /// Its shadow stack.
    pub stack: Stack,
    /// Compiled code's view of it; absent in a program without any module of ours.
    own: Option<SelfPointer>,
    /// Stubs that its functions hold, in order.
    stubs: std::cell::RefCell<Vec<u32>>,
    /// The way out of its function, while it runs.
    way_out: Cell<usize>,
    /// Whether somebody else reports its end.
    managed: Cell<bool>,
    /// Whether it may have children.
    pub has_created: Cell<bool>,
    /// An address near the beginning of its ordinary stack; 0: how large that is, isn't known.
    stack_top: usize,
}

thread_local! {
    static LOCAL: OnceCell<Local> = const { OnceCell::new() };
}

/// Calls `body` with the calling thread's record; a thread that the program made by itself gets one now.
pub fn with<T>(body: impl FnOnce(&Local) -> T) -> T {
    LOCAL.with(|local| body(local.get_or_init(adopt)))
}

/// As [`Local::has_room`], of the calling thread; in a signal handler. Not one that is unknown to its node yet.
pub fn has_room() -> bool {
    let has_room = LOCAL.try_with(|local| local.get().is_some_and(Local::has_room));
    has_room.unwrap_or(false)
}

/// Runs main, then waits for every thread that it created.
pub fn run_main_thread(main: impl FnOnce() -> i32) -> i32 {
    attach(MAIN, None, take_stack());
    recorder::thread_began(MAIN, || "main".into());
    let status = main();
    with(|local| {
        local.managed.set(true);
        local.end();
    });
    recorder::thread_ended();
    status
}

/// Runs `code(argument)` as `thread`, a child of `father`, on the calling thread, from creation to end.
pub fn run_thread(
    (thread, father): (ThreadId, ThreadId),
    stack: Stack,
    code: usize,
    argument: u64,
    frames: &[Frame],
) {
    attach(thread, Some(father), stack);
    recorder::thread_began(thread, || recorder::call_text(code, argument));
    let Some(chain) = PrivateChain::rebuild(frames) else {
        node::fatal(
            "a thread's frames do not fit this program: are all nodes running the same binary?",
        )
    };
    with(|local| {
        local.managed.set(true);
        call::call(code, argument, chain.address(), &local.way_out);
        local.end();
        if fork::is_copy() {
            return;
        }
        recorder::thread_ended();
        // Not in a visit: the service thread must look for what comes next, when this one is gone.
        Node::get().submit(Request::Ended {
            thread,
            stack: local.stack.index,
        });
    });
}

/// Ends the calling thread as if its function had returned.
pub fn exit_thread() -> ! {
    let way_out = with(|local| call::Frame::saved(&local.way_out));
    if let Some(saved) = way_out {
        call::unwind(saved)
    }
    // main, or a thread of the program's own making.
    with(Local::end);
    if with(|local| local.thread) == MAIN {
        process::exit(0)
    }
    process::exit_foreign_thread()
}

fn adopt() -> Local {
    let stack = take_stack();
    let thread = Node::get().name_root();
    recorder::thread_began(thread, || "a thread of the program".into());
    record(thread, None, stack, 0)
}

fn attach(thread: ThreadId, father: Option<ThreadId>, stack: Stack) {
    let here = std::ptr::from_ref(&thread).addr();
    let is_known = thread != MAIN || process::stack_limit_bytes() >= THREAD_STACK_BYTES as u64;
    let top = if is_known { here } else { 0 };
    LOCAL.with(|local| {
        let fresh = local.set(record(thread, father, stack, top)).is_ok();
        // A constructor of the program may have used the runtime before main: then it is a root already.
        assert!(fresh || thread == MAIN, "a new thread has no record");
    });
}

fn record(thread: ThreadId, father: Option<ThreadId>, stack: Stack, stack_top: usize) -> Local {
    let own = modules::self_of_this_thread();
    if let Some(own) = own {
        own.set(UmbelSelf {
            small: 0,
            small_limit: window::SLOTS,
            pages: 0,
            shared_small: 0,
            shared_pages: 0,
            small_base: stack.geometry.base as u64,
            view_stride: stack.geometry.view_stride as u64,
            small_objects: stack.map.slots_address() as u64,
        });
    }
    Local {
        thread,
        father,
        stack,
        own,
        stubs: std::cell::RefCell::default(),
        way_out: Cell::new(0),
        managed: Cell::new(false),
        has_created: Cell::new(false),
        stack_top,
    }
}

fn take_stack() -> Stack {
    let node = Node::get();
    node.refuse_copy("used sharable objects in a new thread");
    match node.take_stack() {
        Ok(Some((stack, new))) => {
            if new && !fork::is_copy() {
                node.submit(Request::Stack {
                    stack: stack.index,
                    map: stack.map,
                });
            }
            stack
        }
        Ok(None) => node::fatal("too many threads: every shadow stack of this node is in use"),
        Err(error) => node::fatal(&format!(
            "cannot get memory for a shadow stack: {error}; raise `ulimit -v`, or allow more memory to be \
             promised than there is (vm.overcommit_memory)"
        )),
    }
}

impl Local {
    /// Whether the calling thread, which this is, runs on its ordinary stack and has much of that left.
    pub fn has_room(&self) -> bool {
        let here = std::ptr::from_ref(&self).addr();
        let used = self.stack_top.checked_sub(here);
        used.is_some_and(|used| used < THREAD_STACK_BYTES / 2)
    }

    /// Compiled code's counters.
    pub fn counters(&self) -> UmbelSelf {
        self.own.map_or(EMPTY, SelfPointer::get)
    }

    /// Changes them.
    pub fn update(&self, change: impl FnOnce(&mut UmbelSelf)) {
        if let Some(own) = self.own {
            let mut value = own.get();
            change(&mut value);
            own.set(value);
        }
    }

    /// From now on, scopes that end take their objects back: others may know what lives here now.
    pub fn share_all(&self) {
        self.update(|own| {
            own.shared_small = own.shared_small.max(own.small);
            own.shared_pages = own.shared_pages.max(own.pages);
        });
    }

    /// From now on, others may know the object at this place, if it is on this thread's own stack.
    pub fn share(&self, place: Place) {
        if place.stack == self.stack.index {
            self.update(|own| match place.arena {
                Arena::Small(_) => own.shared_small = own.shared_small.max(place.number + 1),
                Arena::Pages | Arena::Tracked => {
                    own.shared_pages = own.shared_pages.max(place.number + 1)
                }
            });
        }
    }

    /// The end of a scope whose objects others may know.
    pub fn leave(&self, marks: Reach) {
        if fork::is_copy() {
            // The objects, and whoever knows of them, are the node's.
            return;
        }
        // Others may know more than threads were told at their creation: an address handed over later.
        self.update(|own| own.shared_pages = own.shared_pages.max(self.stack.map.lent_pages()));
        let own = self.counters();
        let range = |arena, from: u64, to: u64| {
            let first = Place {
                stack: self.stack.index,
                arena,
                number: from,
            }
            .id();
            first..ObjectId(first.0 + to.saturating_sub(from))
        };
        let objects = [
            range(Arena::Small(Class::LINE), marks.small, own.shared_small),
            range(Arena::Pages, marks.pages, own.shared_pages),
            range(
                Arena::Tracked,
                marks.pages,
                own.shared_pages.min(TRACKED_PAGES),
            ),
        ];
        let reply = Reply::new();
        let request = Request::Leave {
            father: self.thread,
            above: marks,
            objects,
            reply: reply.clone(),
        };
        let _why = recorder::because(Why::ScopeEnd, 0);
        Node::get().wait_for(Some(request), &reply);
        self.stack.map.take_back_pages(marks.pages);
        self.update(|own| {
            own.shared_small = own.shared_small.min(marks.small);
            own.shared_pages = own.shared_pages.min(marks.pages);
        });
    }

    /// Waits for all children, and forgets them.
    pub fn join_all(&self) {
        if !self.has_created.get() || fork::is_copy() {
            return;
        }
        let reply = Reply::new();
        let request = Request::JoinAll {
            father: self.thread,
            reply: reply.clone(),
        };
        let _why = recorder::because(Why::Join, 0);
        Node::get().wait_for(Some(request), &reply);
        self.has_created.set(false);
    }

    /// Remembers a stub until the function that made it ends.
    pub fn hold_stub(&self, stub: u32) {
        self.stubs.borrow_mut().push(stub);
    }

    /// How many stubs are held.
    pub fn stub_mark(&self) -> usize {
        self.stubs.borrow().len()
    }

    /// Gives back the stubs above the mark.
    pub fn drop_stubs(&self, mark: usize) {
        let mut held = self.stubs.borrow_mut();
        let mark = mark.min(held.len());
        stubs::put(held.drain(mark..));
    }

    fn end(&self) {
        self.join_all();
        let own = self.counters();
        if own.shared_small > 0 || own.shared_pages > 0 {
            self.leave(Reach::default());
        }
        self.update(|own| {
            own.small = 0;
            own.pages = 0;
        });
        self.drop_stubs(0);
    }
}

/// The end of a thread that the program made by itself.
impl Drop for Local {
    fn drop(&mut self) {
        if !self.managed.get() && self.thread != MAIN && !fork::is_copy() {
            self.end();
            recorder::thread_ended();
            self.update(|own| own.small_limit = 0);
            Node::get().submit(Request::Ended {
                thread: self.thread,
                stack: self.stack.index,
            });
        }
    }
}

/// As large as main's by default.
pub const THREAD_STACK_BYTES: usize = 8 << 20;

const EMPTY: UmbelSelf = UmbelSelf {
    small: 0,
    small_limit: 0,
    pages: 0,
    shared_small: 0,
    shared_pages: 0,
    small_base: 0,
    view_stride: 0,
    small_objects: 0,
};
