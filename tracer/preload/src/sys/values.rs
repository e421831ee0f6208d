//! What capturing needs: the plan region, scratch memory, reading.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use umbel_probe::kernel::{PIECES_MAX, Piece};
use umbel_probe::{Batch, Learned, Method, Reads, guarded, is_hopeless, kernel, victim};
use umbel_trace_ring::plan::{Plans, Probe, Registers, Scratch, Unread};
use umbel_trace_ring::sys::{File, call, is_quiet};

use super::global::Thread;
use super::start::live_path;
use crate::signals::{Taking, taking};

/// Where the plans are mapped; 0: nowhere. The hooks read it.
pub static PLANS: AtomicUsize = AtomicUsize::new(0);

/// This process's plans, if values are wanted.
pub fn plans() -> Option<Plans> {
    match PLANS.load(Ordering::Acquire) {
        0 => None,
        // SAFETY: `set_plans` stored it; it stays mapped for ever.
        address => Some(unsafe { Plans::at(address) }),
    }
}

/// From now on these; those before stay mapped, for threads that are reading them.
pub fn set_plans(plans: Option<Plans>) {
    PLANS.store(plans.map_or(0, |plans| plans.address()), Ordering::Release);
}

/// Maps region `number` of the session's file.
pub fn map_plans(number: u32) -> Option<Plans> {
    let file = File::open(live_path()?, libc::O_RDWR | libc::O_NOFOLLOW).ok()?;
    Plans::map(&file, number).ok()
}

/// The thread's scratch memory; `None`: there's no memory for it.
pub fn scratch(thread: &Thread) -> Option<&'static Scratch> {
    let address = match thread.scratch.load(Ordering::Relaxed) {
        0 => new_scratch(thread)?,
        address => address,
    };
    // SAFETY: mapped by `new_scratch` for this thread: of its size, zeroes at first, atomics; unmapped at the thread's end by
    // `drop_scratch`, where no capture is going on.
    Some(unsafe { &(*(address as *const Private)).scratch })
}

/// What the thread has of its own to read with; `None`: it has no scratch memory yet, or the kernel can't be asked.
#[inline]
fn private(thread: &Thread) -> Option<&'static Private> {
    match thread.scratch.load(Ordering::Relaxed) {
        0 => None,
        _ if is_quiet() => None,
        // SAFETY: see `scratch`.
        address => Some(unsafe { &*(address as *const Private) }),
    }
}

/// Memory that a thread has for capturing: zeroes at first.
#[repr(C)]
struct Private {
    scratch: Scratch,
    learned: Learned,
    batch: Batch,
}

#[cold]
fn new_scratch(thread: &Thread) -> Option<u64> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let arguments = [
        0,
        size_of::<Private>(),
        rights as usize,
        flags as usize,
        usize::MAX,
        0,
    ];
    // SAFETY: new memory, where the kernel likes.
    let address = unsafe { call(libc::SYS_mmap, arguments) }.ok()? as u64;
    // A handler may have been faster: one of the two stays unused until the thread ends, and is lost then.
    thread.scratch.store(address, Ordering::Relaxed);
    Some(address)
}

/// Gives the thread's scratch memory back.
pub fn drop_scratch(thread: &Thread) {
    let address = thread.scratch.swap(0, Ordering::Relaxed);
    if address != 0 {
        let arguments = [address as usize, size_of::<Private>(), 0, 0, 0, 0];
        // SAFETY: mapped by `new_scratch`, and nobody refers to it: the thread is not in a capture.
        let _ = unsafe { call(libc::SYS_munmap, arguments) };
    }
}

static METHOD: AtomicU32 = AtomicU32::new(0);

/// Up to 8 bytes of the stack, if they are in the page that the hook itself uses: its return address lies there, below what `registers`
/// call the stack pointer.
#[inline]
pub fn own_stack(registers: &Registers, from: u64, bytes: usize) -> Option<u64> {
    let own = registers.stack().wrapping_sub(8);
    let is_there = from >> PAGE_BITS == own >> PAGE_BITS && from % PAGE_BYTES <= PAGE_BYTES - 8;
    if !is_there {
        return None;
    }
    let number: u64;
    // SAFETY: reads a page that is there.
    unsafe {
        core::arch::asm!(
            "mov {number}, qword ptr [{from}]",
            from = in(reg) from,
            number = out(reg) number,
            options(nostack, readonly, preserves_flags)
        );
    }
    Some(low_bytes(number, bytes))
}

/// The first bytes of a number.
#[inline]
fn low_bytes(number: u64, bytes: usize) -> u64 {
    match bytes {
        0..8 => number & ((1 << (8 * bytes)) - 1),
        _ => number,
    }
}

/// How memory is read from now on.
pub fn set_method(method: u32) {
    METHOD.store(method, Ordering::Relaxed);
}

/// Memory that nodes share, at the same addresses in all distributed programs (`uffd_dsm::window`).
const SHARED: core::ops::Range<u64> = 0x2000_0000_0000..0x4000_0000_0000;

static DISTRIBUTED: AtomicU32 = AtomicU32::new(0);

/// The program shares memory with other nodes.
pub fn set_distributed() {
    DISTRIBUTED.store(1, Ordering::Relaxed);
}

/// May bytes be shared with other nodes?
fn may_be_shared(from: u64, bytes: usize) -> bool {
    DISTRIBUTED.load(Ordering::Relaxed) != 0
        && from < SHARED.end
        && from.saturating_add(bytes as u64) > SHARED.start
}

/// Are all pages of a range mapped to memory here and now, so that reading them fetches nothing? By the kernel's table of pages.
fn is_here(from: u64, bytes: usize) -> bool {
    pages_table().is_some_and(|table| is_here_by(&table, from, bytes))
}

fn pages_table() -> Option<File> {
    File::open(c"/proc/self/pagemap", libc::O_RDONLY).ok()
}

fn is_here_by(table: &File, from: u64, bytes: usize) -> bool {
    const PRESENT: u64 = 1 << 63;
    let last = from.saturating_add(bytes as u64 - 1) >> PAGE_BITS;
    (from >> PAGE_BITS..=last).all(|page| {
        let mut entry = [0; 8];
        table.read_at(&mut entry, page * 8) == Ok(8) && u64::from_ne_bytes(entry) & PRESENT != 0
    })
}

const PAGE_BITS: u32 = 12;
const PAGE_BYTES: u64 = 1 << PAGE_BITS;

/// Reads for one event, as the thread can now.
pub struct ThreadProbe {
    method: Option<Method>,
    /// The page that the hook's caller has its stack pointer in: there is memory, whatever signals can be taken.
    stack_page: u64,
    reads: Reads<'static>,
    /// Where the kernel puts what it reads together; `None`: it isn't the kernel that reads.
    batch: Option<&'static Batch>,
    /// Something was put there, for this event.
    is_filled: Cell<bool>,
}

/// Pieces of more bytes are read alone.
const TOGETHER_BYTES_MAX: usize = 2048;

impl ThreadProbe {
    /// For a thread whose hook was called with `registers`.
    #[inline]
    pub fn new(thread: &Thread, registers: &Registers) -> Self {
        let method = match Method::from_number(METHOD.load(Ordering::Relaxed)) {
            Method::Guarded if taking(thread, registers) == Taking::Yes => Some(Method::Guarded),
            _ if is_quiet() => None,
            Method::Guarded => Some(Method::Kernel),
            method => Some(method),
        };
        let private = private(thread);
        Self {
            method,
            stack_page: registers.stack() >> PAGE_BITS,
            reads: Reads::new(private.map(|private| &private.learned)),
            batch: match method {
                Some(Method::Kernel) => private.map(|private| &private.batch),
                _ => None,
            },
            is_filled: Cell::new(false),
        }
    }

    /// All in the stack's own page?
    #[inline]
    fn is_own_stack(&self, from: u64, bytes: usize) -> bool {
        from >> PAGE_BITS == self.stack_page
            && from % PAGE_BYTES + bytes as u64 <= PAGE_BYTES
            && !may_be_shared(from, bytes)
    }

    /// Copies to `to`, which has room.
    #[inline]
    fn read(&self, from: u64, to: *mut u8, bytes: usize) -> Result<(), Unread> {
        if is_hopeless(from as usize, bytes) {
            return Err(Unread::Invalid);
        }
        if self.method == Some(Method::Guarded) && !may_be_shared(from, bytes) {
            // SAFETY: `to` has room (the caller's); `taking` says that the thread takes the signals, and whose handler is first.
            return told(unsafe { self.reads.copy(from, to, bytes) });
        }
        self.read_otherwise(from, to, bytes)
    }

    /// The same where the thread itself must not.
    #[cold]
    fn read_otherwise(&self, from: u64, to: *mut u8, bytes: usize) -> Result<(), Unread> {
        if let Some(told) = self.read_before(from, to, bytes) {
            return told;
        }
        let address = from as usize;
        if may_be_shared(from, bytes) {
            // Another node may take it between the two: then it is left out as well.
            let told = match is_here(from, bytes) && !is_quiet() {
                // SAFETY: `to` has room (the caller's).
                true => told(unsafe { kernel::copy(address, to, bytes) }),
                false => Err(Unread::Untold),
            };
            return told.map_err(|_| Unread::Untold);
        }
        if self.is_own_stack(from, bytes) {
            // SAFETY: `to` has room (the caller's); the stack's own page is there.
            unsafe { guarded::copy(address, to, bytes) };
            return Ok(());
        }
        if self.reads.is_known_bad(from) {
            return Err(Unread::Invalid);
        }
        let result = match self.method {
            // SAFETY: `to` has room (the caller's).
            Some(Method::Kernel) => told(unsafe { kernel::copy(address, to, bytes) }),
            // SAFETY: `to` has room (the caller's).
            Some(Method::Victim) => told(unsafe { victim::copy(address, to, bytes) }),
            _ => Err(Unread::Untold),
        };
        // The first page is the bad one only if all bytes are in it.
        let is_one_page = from % PAGE_BYTES + bytes as u64 <= PAGE_BYTES;
        if result == Err(Unread::Invalid) && is_one_page {
            self.reads.note_bad(from);
        }
        result
    }

    /// From what was read together.
    fn read_before(&self, from: u64, to: *mut u8, bytes: usize) -> Option<Result<(), Unread>> {
        let batch = self.batch.filter(|_| self.is_filled.get())?;
        // SAFETY: `to` has room (the caller's).
        let told = unsafe { batch.copy(from, to, bytes) }.map(told)?;
        Some(told.map_err(|why| match may_be_shared(from, bytes) {
            true => Unread::Untold,
            false => why,
        }))
    }
}

fn told<T>(answer: Result<T, umbel_probe::Unread>) -> Result<T, Unread> {
    answer.map_err(|why| match why {
        umbel_probe::Unread::Invalid => Unread::Invalid,
        umbel_probe::Unread::Untold => Unread::Untold,
    })
}

impl Probe for ThreadProbe {
    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread> {
        if skip + bytes > size_of_val(to) {
            return Err(Unread::Untold);
        }
        if bytes == 0 {
            return Ok(());
        }
        // Atomics may be written through a shared reference; the line above keeps it inside.
        let to = to.as_ptr() as usize + skip;
        self.read(from, to as *mut u8, bytes)
    }

    #[inline]
    fn reads_together(&self) -> bool {
        self.batch.is_some()
    }

    #[cold]
    fn expect(&self, pieces: &[Piece]) {
        // One alone is read when it is asked for.
        let Some(batch) = self.batch.filter(|_| pieces.len() > 1) else {
            return;
        };
        let table = pieces
            .iter()
            .any(|piece| may_be_shared(piece.address as u64, piece.bytes))
            .then(pages_table);
        let is_wanted = |piece: &&Piece| {
            let (from, bytes) = (piece.address as u64, piece.bytes);
            let is_read_otherwise = self.is_own_stack(from, bytes)
                || !(1..=TOGETHER_BYTES_MAX).contains(&bytes)
                || is_hopeless(piece.address, bytes)
                || self.reads.is_known_bad(from);
            // What other nodes have is not asked for.
            let is_here = !may_be_shared(from, bytes)
                || matches!(&table, Some(Some(table)) if is_here_by(table, from, bytes));
            !is_read_otherwise && is_here
        };
        let mut wanted = [Piece::default(); PIECES_MAX];
        let mut count = 0;
        for (place, piece) in wanted.iter_mut().zip(pieces.iter().filter(is_wanted)) {
            *place = *piece;
            count += 1;
        }
        if let Some(wanted) = wanted.get(..count).filter(|_| count > 1) {
            batch.fill(wanted);
            self.is_filled.set(true);
        }
    }

    fn thread_pointer(&self) -> Option<u64> {
        let own: u64;
        // SAFETY: reads the first word of the thread's own block, which has the block's address in it (System V ABI for x86-64).
        unsafe {
            core::arch::asm!(
                "mov {own}, qword ptr fs:[0]",
                own = out(reg) own,
                options(nostack, readonly, preserves_flags)
            );
        }
        Some(own)
    }

    #[inline]
    fn number(&self, from: u64, bytes: usize) -> Result<u64, Unread> {
        let in_page = from % PAGE_BYTES <= PAGE_BYTES - 8;
        let on_stack = self.is_own_stack(from, 8);
        let guarded = self.method == Some(Method::Guarded) && !is_hopeless(from as usize, 8);
        if on_stack {
            // SAFETY: the stack's own page is there.
            let number = unsafe { guarded::load(from as usize) };
            return number
                .map(|number| low_bytes(number, bytes))
                .ok_or(Unread::Invalid);
        }
        if in_page && guarded {
            // SAFETY: `taking` says that the thread takes the signals, and whose handler is first.
            let number = told(unsafe { self.reads.load(from) })?;
            // All 8 are in one page: the rest of them is there too.
            return Ok(low_bytes(number, bytes));
        }
        let word = AtomicU64::new(0);
        self.copy(from, core::slice::from_ref(&word), 0, bytes.min(8))?;
        Ok(word.load(Ordering::Relaxed))
    }
}
