//! Faults that signal handlers post for the service thread, and sleep on; or that they serve by themselves.
//!
//! A list of cells that lie on the handlers' stacks: a handler allocates nothing and takes no lock. It only grows at its
//! head, and the service thread takes it as a whole, so no cell can be taken out and put back between two looks
//! at the head.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::steps::Step;

/// A page that an access needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Start of the page.
    pub address: usize,
    /// Whether it is stored to.
    pub write: bool,
    /// Whether the access was refused a page that is there.
    pub is_mapped: bool,
}

/// What one instruction needs: page addresses, with the other fields of a [`Need`] in the lowest bits. It lies on a
/// handler's stack, which may be small.
#[derive(Debug)]
pub struct Needs {
    list: [usize; NEEDS_MAX],
    len: usize,
}

impl Needs {
    /// One page.
    pub fn new(first: Need) -> Self {
        let mut needs = Self {
            list: [0; NEEDS_MAX],
            len: 0,
        };
        needs.add(first);
        needs
    }

    /// Adds a page, or the store to it; not more than there is room for: the access faults again.
    pub fn add(&mut self, need: Need) {
        let bits = usize::from(need.write) * WRITE + usize::from(need.is_mapped) * MAPPED;
        let mut known = self.list[..self.len].iter_mut();
        if let Some(known) = known.find(|known| **known & !(WRITE | MAPPED) == need.address) {
            *known |= bits;
        } else if self.len < NEEDS_MAX {
            self.list[self.len] = need.address | bits;
            self.len += 1;
        }
    }

    /// The pages.
    pub fn iter(&self) -> impl Iterator<Item = Need> {
        self.list[..self.len].iter().map(|page| Need {
            address: page & !(WRITE | MAPPED),
            write: page & WRITE != 0,
            is_mapped: page & MAPPED != 0,
        })
    }
}

struct Cell {
    next: *const Cell,
    /// The futex its thread sleeps on: [`AWAKE`], [`ASLEEP`] or [`DONE`].
    state: AtomicU32,
    thread: u32,
    needs: *const Needs,
    /// Set before [`DONE`], if the access is to be made on the engine view.
    step: AtomicPtr<Step>,
}

/// Where handlers post.
pub struct Posts {
    head: AtomicPtr<Cell>,
    /// Becomes readable when something was posted.
    event: OwnedFd,
    /// What it was rung and not read, or more: of a ring that is about to come.
    unread: AtomicU64,
}

impl Posts {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            head: AtomicPtr::new(ptr::null_mut()),
            // SAFETY: the kernel just made this descriptor and nobody else knows it.
            event: unsafe { OwnedFd::from_raw_fd(raw) },
            unread: AtomicU64::new(0),
        })
    }

    pub fn descriptor(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Posts and sleeps until somebody has called [`Posted::finish`]. For signal handlers: no signal handler that may
    /// leave by a jump can run meanwhile, for all are blocked. Returns what [`Posted::redirect`] was given.
    ///
    /// First `serve` may do what the service thread would: take what was posted, and see to it. It tells whether it has.
    pub fn wait(
        &self,
        needs: &Needs,
        serve: impl FnOnce(&Waiter<'_>) -> bool,
    ) -> Option<&'static Step> {
        let mut cell = Cell {
            next: ptr::null(),
            state: AtomicU32::new(AWAKE),
            thread: super::thread_id(),
            needs,
            step: AtomicPtr::new(ptr::null_mut()),
        };
        let this = &raw mut cell;
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: ours alone until it is in the list.
            unsafe { (*this).next = head };
            // Release: publishes the cell; pairs with the swap in `take`.
            match self
                .head
                .compare_exchange_weak(head, this, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // SAFETY: the cell is alive; only its state is looked at while others know it.
        let state = unsafe { &(*this).state };
        // Whoever found the list empty rings for all that come before it is taken.
        // SAFETY: as above.
        let step = unsafe { &(*this).step };
        if !serve(&Waiter { state, step }) && head.is_null() {
            self.ring();
        }
        // Relaxed: it says nothing but that one must be woken.
        let _ = state.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        // Acquire: pairs with the swap in `finish`; what the service thread did to the page is done.
        while state.load(Ordering::Acquire) != DONE {
            futex(state, libc::FUTEX_WAIT, ASLEEP);
        }
        // Relaxed: published by the state.
        let step = step.load(Ordering::Relaxed);
        // SAFETY: null, or a step, which lives for ever.
        unsafe { step.as_ref() }
    }

    fn ring(&self) {
        let one = 1u64;
        // SeqCst, as below: before the ring, for all that may see it.
        self.unread.fetch_add(one, Ordering::SeqCst);
        // It can't fail but by a full counter, which is readable as well.
        // SAFETY: writes a live word to our own descriptor.
        unsafe { libc::write(self.event.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
    }

    /// All that was posted since the last call, oldest first.
    pub fn take(&self, posted: &mut Vec<Posted>) {
        // Before the list is taken: who posts after that finds it empty, and rings again.
        if self.unread.load(Ordering::SeqCst) > 0 {
            let mut count = 0u64;
            // SAFETY: reads into a live word from our own descriptor.
            unsafe { libc::read(self.event.as_raw_fd(), ptr::from_mut(&mut count).cast(), 8) };
            // 0 if the ring has not come yet, or another took it.
            self.unread.fetch_sub(count, Ordering::SeqCst);
        }
        // Acquire: pairs with the exchanges in `wait`; the cells are whole.
        let mut next: *const Cell = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        let first = posted.len();
        while !next.is_null() {
            posted.push(Posted(next));
            // SAFETY: a cell lives until its `finish`.
            next = unsafe { (*next).next };
        }
        posted[first..].reverse();
    }
}

/// The calling thread, which has posted.
pub struct Waiter<'a> {
    state: &'a AtomicU32,
    step: &'a AtomicPtr<Step>,
}

impl Waiter<'_> {
    /// Whether it can try its access again.
    pub fn is_served(&self) -> bool {
        // Acquire: pairs with the swap in `finish`.
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Whether it will make its access on the engine view, and whoever takes the page's rights waits for it: it must not
    /// do that itself before.
    pub fn is_redirected(&self) -> bool {
        self.is_served() && !self.step.load(Ordering::Relaxed).is_null()
    }
}

/// What a thread posted and sleeps on.
pub struct Posted(*const Cell);

// SAFETY: the cell is read by whoever has this, and lives until `finish`, which consumes it.
unsafe impl Send for Posted {}

impl Posted {
    /// What it needs.
    pub fn needs(&self) -> impl Iterator<Item = Need> {
        // SAFETY: the cell lives until `finish`, and its thread doesn't change it while it sleeps.
        let needs = unsafe { &*self.0 }.needs;
        // SAFETY: as the cell.
        unsafe { &*needs }.iter()
    }

    /// Who sleeps.
    pub fn thread(&self) -> u32 {
        // SAFETY: as above.
        unsafe { &*self.0 }.thread
    }

    /// Lets the thread make its access on the engine view.
    pub fn redirect(self, step: &'static Step) {
        // SAFETY: the cell lives until `finish`.
        let place = unsafe { &(*self.0).step };
        place.store(ptr::from_ref(step).cast_mut(), Ordering::Relaxed);
        self.finish();
    }

    /// Lets the thread try its access again.
    pub fn finish(self) {
        // SAFETY: as above; the field is an atomic.
        let state = unsafe { &raw const (*self.0).state };
        // Release: pairs with the loads in `wait` and `is_served`. From now on the cell may be gone.
        // SAFETY: still alive.
        if unsafe { &*state }.swap(DONE, Ordering::Release) != ASLEEP {
            return;
        }
        // The address may be another futex's by now: who sleeps on one looks again when it is woken for nothing.
        // SAFETY: the kernel only compares addresses to wake.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                state,
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
    }
}

/// Waits while the word has a value, or wakes as many threads as that.
pub fn futex(word: &AtomicU32, operation: i32, value: u32) {
    // SAFETY: `word` is a live futex; without a timeout.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            ptr::null::<libc::timespec>(),
        )
    };
}

/// In a page address: it is stored to.
const WRITE: usize = 1;
/// In a page address: it is there.
const MAPPED: usize = 2;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const DONE: u32 = 2;
/// Pages of one access: a gather of 16 elements, each of which crosses the end of a page.
pub const NEEDS_MAX: usize = 32;
