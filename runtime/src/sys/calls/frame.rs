//! The private memory of one call, and what must be copied back when it has returned.
//!
//! No allocator and no lock: a call may be made in a signal handler, or between fork and exec.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::vectors;

/// Private copies of a call's arguments.
///
/// Not to be moved once something was taken from it. If the call never returns (the thread is cancelled in it, or it
/// is an exec after vfork), a block is lost; what fits into `inline` never is.
pub struct Frame {
    inline: [MaybeUninit<u128>; INLINE_BYTES / ALIGN],
    used: usize,
    /// The newest; each names the one before.
    blocks: *mut Block,
    backs: [Option<Back>; BACKS_MAX],
}

/// What goes back into shared memory after the call.
#[derive(Clone, Copy)]
pub struct Back {
    /// Where the program wants it.
    pub target: *mut u8,
    /// Where the call has put it.
    pub private: *mut u8,
    /// Bytes, or elements, that there are.
    pub count: usize,
    /// How much of it is new.
    pub extent: Extent,
}

/// How much of a [`Back`] a call has written.
#[derive(Clone, Copy)]
pub enum Extent {
    /// All of it if the call succeeded; otherwise what differs.
    Whole,
    /// As many units of this many bytes as the call's result says.
    Counted(usize),
    /// As many bytes as the call has written there.
    Named(*const libc::socklen_t),
    /// An iovec array, filled in order up to the call's result.
    Vector,
    /// A message header, filled up to the call's result.
    Message,
    /// Message headers whose lengths alone are new, as many as the call's result says.
    Lengths,
    /// Message headers with lengths, as many as the call's result says.
    Messages,
}

/// Memory of its own mapping.
#[repr(C, align(16))]
struct Block {
    before: *mut Block,
    /// Of the mapping.
    bytes: usize,
    /// From its start.
    used: usize,
}

const ALIGN: usize = 16;
/// A path, a header and some structs. A signal handler on a stack of its own must have room for it.
const INLINE_BYTES: usize = 1024;
/// Arguments of a call.
const BACKS_MAX: usize = 6;
/// What most large calls need; kept when a call is done.
const BLOCK_BYTES: usize = 256 << 10;
/// As many threads are in such calls at a time without mapping memory.
static KEPT: [AtomicPtr<Block>; 8] = [const { AtomicPtr::new(ptr::null_mut()) }; 8];

impl Frame {
    /// One with nothing in it.
    pub fn new() -> Self {
        Self {
            inline: [MaybeUninit::uninit(); INLINE_BYTES / ALIGN],
            used: 0,
            blocks: ptr::null_mut(),
            backs: [None; BACKS_MAX],
        }
    }

    /// Private memory, aligned to 16 bytes, until `self` is dropped. None: the system has no more.
    pub fn take(&mut self, bytes: usize) -> Option<*mut u8> {
        let bytes = bytes.checked_next_multiple_of(ALIGN)?;
        if bytes <= INLINE_BYTES - self.used {
            let start = self.inline.as_mut_ptr().cast::<u8>();
            // SAFETY: `used` is within `inline`, by the comparison above at each step.
            let taken = unsafe { start.add(self.used) };
            self.used += bytes;
            return Some(taken);
        }
        // SAFETY: null, or a live block of this frame's.
        let room = unsafe { self.blocks.as_ref() }.map_or(0, |block| block.bytes - block.used);
        if room < bytes {
            let block = Block::take(bytes.checked_add(size_of::<Block>())?)?;
            // SAFETY: just taken, nobody else's.
            unsafe { (*block).before = self.blocks };
            self.blocks = block;
        }
        // SAFETY: not null now, and this frame's alone.
        let block = unsafe { &mut *self.blocks };
        // SAFETY: there is room behind `used`, as was compared or asked for.
        let taken = unsafe { ptr::from_mut(block).cast::<u8>().add(block.used) };
        block.used += bytes;
        Some(taken)
    }

    /// A private copy.
    ///
    /// # Safety
    /// `source` has that many bytes.
    pub unsafe fn copy(&mut self, source: *const u8, bytes: usize) -> Option<*mut u8> {
        let copy = self.take(bytes)?;
        // SAFETY: by the contract above; what was taken is nobody else's.
        unsafe { ptr::copy_nonoverlapping(source, copy, bytes) };
        Some(copy)
    }

    /// Has something copied back after the call.
    pub fn give_back(&mut self, back: Back) {
        let free = self.backs.iter_mut().find(|slot| slot.is_none());
        *free.expect("no call has more arguments") = Some(back);
    }

    /// After the call: copies back. `count` is its result, if it succeeded.
    ///
    /// # Safety
    /// The targets are what the program gave to the call.
    pub unsafe fn leave(&self, count: Option<usize>) {
        // Lengths come after what they are the lengths of, and are needed first.
        for back in self.backs.iter().rev().flatten() {
            // SAFETY: by the contract above.
            unsafe { back.run(count) };
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        while !self.blocks.is_null() {
            let block = self.blocks;
            // SAFETY: a live block of this frame's.
            self.blocks = unsafe { (*block).before };
            // SAFETY: it is off the list, and the call that used it is over.
            unsafe { Block::put(block) };
        }
    }
}

impl Back {
    /// # Safety
    /// As of [`Frame::leave`].
    unsafe fn run(&self, count: Option<usize>) {
        let &Self {
            target,
            private,
            count: there,
            extent,
        } = self;
        match (extent, count) {
            (Extent::Whole, None) => {
                for i in 0..there {
                    // SAFETY: `private` has that many bytes.
                    let new = unsafe { element(private, i) };
                    // SAFETY: as many as `target`.
                    if unsafe { element(target, i) } != new {
                        // SAFETY: as above.
                        unsafe { put(&new, target.wrapping_add(i), 1) };
                    }
                }
            }
            (_, None) => {}
            // SAFETY: both have that many bytes.
            (Extent::Whole, Some(_)) => unsafe { put(private, target, there) },
            (Extent::Counted(unit), Some(count)) => {
                let bytes = there.min(count.saturating_mul(unit));
                // SAFETY: no more than both have.
                unsafe { put(private, target, bytes) }
            }
            (Extent::Named(length), Some(_)) => {
                // SAFETY: the program's own pointer to the length; the call has used it.
                let bytes = there.min(unsafe { *length } as usize);
                // SAFETY: no more than both have.
                unsafe { put(private, target, bytes) }
            }
            (Extent::Vector, Some(count)) => {
                // SAFETY: both are iovec arrays of that many elements.
                unsafe { vectors::scatter(target.cast(), private.cast(), there, count) };
            }
            (Extent::Message, Some(count)) => {
                // SAFETY: both are message headers.
                unsafe { vectors::message_back(target.cast(), private.cast(), count) };
            }
            (Extent::Lengths, Some(count)) => {
                // SAFETY: both are arrays of that many headers.
                unsafe { vectors::lengths_back(target.cast(), private.cast(), there.min(count)) };
            }
            (Extent::Messages, Some(count)) => {
                // SAFETY: both are arrays of that many headers.
                unsafe { vectors::messages_back(target.cast(), private.cast(), there.min(count)) };
            }
        }
    }
}

/// # Safety
/// The array has it.
pub unsafe fn element<T: Copy>(array: *const T, index: usize) -> T {
    // SAFETY: by the contract above.
    let place = unsafe { array.add(index) };
    // SAFETY: by the contract above.
    unsafe { place.read() }
}

/// Sets an element of private memory.
///
/// # Safety
/// The array has it.
pub unsafe fn set<T: Copy>(array: *mut T, index: usize, value: T) {
    // SAFETY: by the contract above.
    let place = unsafe { array.add(index) };
    // SAFETY: by the contract above.
    unsafe { place.write(value) };
}

/// # Safety
/// Both have that many bytes.
pub unsafe fn put(private: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: by the contract above; private memory and what the program gave do not overlap.
    unsafe { ptr::copy_nonoverlapping(private, target, bytes) };
}

impl Block {
    /// A block with room for `bytes`, its head included.
    fn take(bytes: usize) -> Option<*mut Block> {
        let kept = (bytes <= BLOCK_BYTES)
            .then(|| {
                KEPT.iter()
                    // Acquire: pairs with the Release in `put`; what the last user wrote is over.
                    .map(|kept| kept.swap(ptr::null_mut(), Ordering::Acquire))
                    .find(|block| !block.is_null())
            })
            .flatten();
        let block = match kept {
            Some(block) => block,
            None => Self::map(bytes.max(BLOCK_BYTES))?,
        };
        // SAFETY: a block that nobody else has.
        unsafe { (*block).used = size_of::<Block>() };
        Some(block)
    }

    fn map(bytes: usize) -> Option<*mut Block> {
        // SAFETY: new memory anywhere.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return None;
        }
        let block = memory.cast::<Block>();
        // SAFETY: new memory, zero, large enough for the head.
        unsafe { (*block).bytes = bytes };
        Some(block)
    }

    /// Keeps it for the next call, or gives it back to the system; errno stays.
    ///
    /// # Safety
    /// A block that nobody uses any more.
    unsafe fn put(block: *mut Block) {
        // SAFETY: by the contract above.
        let bytes = unsafe { (*block).bytes };
        if bytes == BLOCK_BYTES {
            for kept in &KEPT {
                // Release: pairs with the Acquire in `take`.
                let order = (Ordering::Release, Ordering::Relaxed);
                if kept
                    .compare_exchange(ptr::null_mut(), block, order.0, order.1)
                    .is_ok()
                {
                    return;
                }
            }
        }
        // SAFETY: the whole mapping, which nobody uses any more. It cannot fail, so errno stays.
        unsafe { libc::munmap(block.cast(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_aligned_and_does_not_overlap() {
        let mut frame = Frame::new();
        let sizes = [1, 16, 700, 5000, 200, BLOCK_BYTES - 32, 3 * BLOCK_BYTES, 9];
        let mut taken: Vec<_> = sizes
            .iter()
            .map(|bytes| {
                (
                    frame.take(*bytes).expect("there is memory") as usize,
                    *bytes,
                )
            })
            .collect();
        for (start, bytes) in &taken {
            assert_eq!(start % ALIGN, 0);
            // SAFETY: just taken with that size.
            unsafe { ptr::write_bytes(*start as *mut u8, 1, *bytes) };
        }
        taken.sort_unstable();
        assert!(
            taken
                .windows(2)
                .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
        );
    }

    #[test]
    fn more_than_there_is_can_be_asked_for() {
        let mut frame = Frame::new();
        assert_eq!(frame.take(usize::MAX), None);
        assert_eq!(frame.take(usize::MAX - 64), None);
        assert_eq!(frame.take(1 << 50), None);
        assert!(frame.take(10).is_some());
    }

    #[test]
    fn a_failed_call_writes_nothing_that_it_did_not_change() {
        let mut frame = Frame::new();
        let (mut whole, mut counted) = (*b"as it was", *b"as it was");
        for (target, extent) in [
            (&mut whole, Extent::Whole),
            (&mut counted, Extent::Counted(1)),
        ] {
            // SAFETY: nine bytes.
            let private = unsafe { frame.copy(target.as_ptr(), 9) }.expect("there is memory");
            // SAFETY: the first of them.
            unsafe { put(b"it".as_ptr(), private, 2) };
            frame.give_back(Back {
                target: target.as_mut_ptr(),
                private,
                count: 9,
                extent,
            });
        }
        // SAFETY: the targets are live.
        unsafe { frame.leave(None) };
        assert_eq!((&whole, &counted), (b"it it was", b"as it was"));
        // SAFETY: as above.
        unsafe { frame.leave(Some(1)) };
        assert_eq!(&counted, b"is it was");
    }
}
