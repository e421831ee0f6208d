//! What all threads share, and what each has of its own.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use umbel_trace_ring::layout::{Header, ProcessPage};
use umbel_trace_ring::{Live, PAGE_BYTES, Process, Producer};

/// Pages that the hooks read, at addresses known when this was linked. Zeroes at first: [`umbel_trace_ring::layout::Mode::Off`].
#[repr(C, align(4096))]
pub struct Pages {
    process: UnsafeCell<[u8; PAGE_BYTES]>,
    header: UnsafeCell<[u8; PAGE_BYTES]>,
    gate: UnsafeCell<[u8; PAGE_BYTES]>,
}

// SAFETY: read through atomics.
unsafe impl Sync for Pages {}

/// The process's page and the file's head are mapped over the first two; the third is a private page that a child of fork finds
/// wiped.
pub static PAGES: Pages = Pages {
    process: UnsafeCell::new([0; PAGE_BYTES]),
    header: UnsafeCell::new([0; PAGE_BYTES]),
    gate: UnsafeCell::new([0; PAGE_BYTES]),
};

/// Offsets in [`PAGES`], for the hooks.
pub const MODE: usize = offset_of!(ProcessPage, mode);
/// See [`MODE`].
pub const FILTER_COUNT: usize = offset_of!(ProcessPage, filter_count);
/// See [`MODE`].
pub const FILTERS: usize = offset_of!(ProcessPage, filters);
/// See [`MODE`].
pub const COARSE_TICKS: usize = PAGE_BYTES + offset_of!(Header, coarse_ticks);
/// See [`MODE`].
pub const GATE: usize = 2 * PAGE_BYTES;

/// Which hooks are right: 0 also in a child of fork that doesn't know it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Gate {
    /// None: look what is the matter.
    Closed = 0,
    /// Time from the TSC.
    Tsc = 1,
    /// Time from the shared file.
    Coarse = 2,
    /// Time from the kernel, by the slow path.
    Monotonic = 3,
}

/// Added to the gate where values are captured.
pub const WITH_VALUES: u32 = 4;

/// The gate's word.
pub fn gate() -> &'static AtomicU32 {
    // SAFETY: a page of ours, which is always mapped; read and written as an atomic only.
    unsafe { AtomicU32::from_ptr(PAGES.gate.get().cast()) }
}

/// Addresses of the three pages.
pub fn page_addresses() -> [usize; 3] {
    [
        PAGES.process.get() as usize,
        PAGES.header.get() as usize,
        PAGES.gate.get() as usize,
    ]
}

/// This process's page as the hooks see it.
pub fn page() -> &'static ProcessPage {
    // SAFETY: zeroes or a process page, both of atomics alone.
    unsafe { &*PAGES.process.get().cast() }
}

/// Where the bitmaps of excluded functions are mapped; 0: nowhere.
pub static FILTER_BASE: AtomicU64 = AtomicU64::new(0);

/// A thread's own: zeroes at first.
#[repr(C)]
pub struct Thread {
    /// Its chunks; the hooks know that this is first.
    pub producer: Producer,
    /// 1 while the end of the thread will be told to us.
    pub armed: AtomicU32,
    /// 1 when modules may have come since the last look.
    pub modules_due: AtomicU32,
    /// Where values are captured to: [`umbel_trace_ring::plan::Scratch`]; 0: not there yet.
    pub scratch: AtomicU64,
    /// Captures that were begun: a handler that captures changes it.
    pub captures: AtomicU32,
    /// Whether SIGSEGV and SIGBUS can be taken: [`crate::signals::Taking`].
    pub taking: AtomicU32,
    /// When the handlers of both were last looked at: [`crate::signals::verify_now_and_then`].
    pub verified: AtomicU64,
    /// The stack for signal handlers, as the program set it up: address, bytes.
    pub signal_stack: [AtomicU64; 2],
}

const _: () = assert!(size_of::<Thread>() <= 192);
const _: () = assert!(offset_of!(Producer, cursor) == 0 && offset_of!(Producer, empty) == 8);
const _: () = assert!(offset_of!(Producer, time_upper) == 16);

// Initial-exec: a preloaded library's place is fixed when the program starts. Three cache lines of zeroes.
global_asm!(
    ".pushsection .tbss.umbel_trace_thread,\"awT\",@nobits",
    ".balign 64",
    ".globl umbel_trace_thread",
    ".hidden umbel_trace_thread",
    ".type umbel_trace_thread,@object",
    ".size umbel_trace_thread,192",
    "umbel_trace_thread:",
    ".zero 192",
    ".popsection",
);

/// The calling thread's.
pub fn thread() -> &'static Thread {
    let address: *const Thread;
    // SAFETY: reads the thread pointer and adds the offset of the symbol above.
    unsafe {
        asm!(
            "mov {address}, qword ptr fs:[0]",
            "add {address}, qword ptr [rip + umbel_trace_thread@GOTTPOFF]",
            address = out(reg) address,
            options(nostack, readonly)
        );
    }
    // SAFETY: 192 bytes of the thread's own memory, all atomics; 'static for whoever runs on this thread.
    unsafe { &*address }
}

struct Place(UnsafeCell<MaybeUninit<Live>>);

// SAFETY: written once, before `LIVE` points to it.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));
static LIVE: AtomicPtr<Live> = AtomicPtr::new(core::ptr::null_mut());

/// The shared file, if there is a session.
pub fn live() -> Option<&'static Live> {
    // SAFETY: null, or the place below, which is never changed again.
    unsafe { LIVE.load(Ordering::Acquire).as_ref() }
}

/// Begins the session: once, by the constructor.
pub fn set_live(live: Live) -> &'static Live {
    // SAFETY: only the constructor comes here, and only once: nobody else has the place.
    let live = unsafe { (*PLACE.0.get()).write(live) };
    LIVE.store(core::ptr::from_mut(live), Ordering::Release);
    live
}

static SERIAL: AtomicU64 = AtomicU64::new(0);
static PID: AtomicU32 = AtomicU32::new(0);
static PAGE: AtomicU32 = AtomicU32::new(0);

/// This process, as it was named when it got its page.
pub fn process() -> Process {
    Process {
        serial: SERIAL.load(Ordering::Relaxed),
        pid: PID.load(Ordering::Relaxed),
        page: PAGE.load(Ordering::Relaxed) as u16,
    }
}

/// Names this process.
pub fn set_process(process: &Process) {
    SERIAL.store(process.serial, Ordering::Relaxed);
    PID.store(process.pid, Ordering::Relaxed);
    PAGE.store(u32::from(process.page), Ordering::Relaxed);
}
