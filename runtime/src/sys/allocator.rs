//! The memory of this library itself, apart from the program's.
//!
//! With malloc(3) a node could stop for ever: a thread of the program is interrupted in there, holding its lock; the handler
//! uses a shared object, and waits for the service thread, which waits for the lock. (Memory goes from thread to thread
//! here, so an arena for each doesn't help.) So nothing here takes a lock: free blocks of one size are a stack, changed
//! by one compare-and-swap of its head and a count of its changes. A thread that stops anywhere keeps nobody from
//! going on.
//!
//! Sizes are powers of two and the numbers halfway between, from 16 bytes to 1 MiB. Larger blocks are mappings of their own.
//! Memory of the others is never given back to the machine: links are read in blocks that may have been taken.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

struct Blocks;

#[global_allocator]
static BLOCKS: Blocks = Blocks;

/// A stack of free blocks: the address of its top in the lower half, the count of changes in the upper.
#[repr(align(16))]
struct Stack(UnsafeCell<u128>);

// SAFETY: every access is atomic.
unsafe impl Sync for Stack {}

static STACKS: [Stack; CLASSES] = [const { Stack(UnsafeCell::new(0)) }; CLASSES];

/// A size that blocks have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class(usize);

impl Class {
    /// Of the smallest blocks that do; nothing if none does.
    fn of(layout: Layout) -> Option<Self> {
        let bytes = layout.size().max(MIN_BYTES);
        // The sizes between powers of two have the lowest alignment.
        let bytes = match layout.align() {
            align if align <= MIN_BYTES => bytes,
            align => bytes.max(align).next_power_of_two(),
        };
        if bytes > MAX_BYTES || layout.align() > PAGE_BYTES {
            return None;
        }
        let power = (bytes - 1).checked_ilog2().map_or(0, |log| log + 1) as usize;
        let is_between = bytes <= 3 << power >> 2 && power > MIN_LOG;
        Some(Self((power - MIN_LOG) * 2 - usize::from(is_between)))
    }

    /// Bytes of its blocks.
    fn bytes(self) -> usize {
        let power = MIN_LOG + self.0.div_ceil(2);
        match self.0 % 2 {
            0 => 1 << power,
            _ => 3 << power >> 2,
        }
    }

    fn stack(self) -> &'static Stack {
        &STACKS[self.0]
    }

    /// A block; null if the machine has no memory.
    fn take(self) -> *mut u8 {
        loop {
            let block = self.stack().pop();
            if !block.is_null() {
                return block;
            }
            if !self.refill() {
                return ptr::null_mut();
            }
        }
    }

    /// Gets more memory from the machine.
    fn refill(self) -> bool {
        let bytes = self.bytes();
        let span = SPAN_BYTES.max(bytes);
        let start = map(span);
        if start.is_null() {
            return false;
        }
        let last = span / bytes - 1;
        for index in 0..last {
            // SAFETY: within the span, with room for a whole block behind it.
            let [block, next] = [index, index + 1].map(|index| unsafe { start.add(index * bytes) });
            link(block).store(next as u64, Ordering::Relaxed);
        }
        // SAFETY: as above.
        let last = unsafe { start.add(last * bytes) };
        self.stack().push(start, last);
        true
    }
}

impl Stack {
    fn halves(&self) -> &[AtomicU64; 2] {
        // SAFETY: as large, less aligned; the words are only used atomically.
        unsafe { &*self.0.get().cast::<[AtomicU64; 2]>() }
    }

    /// What may be its head: [`Stack::replace`] tells.
    fn guess(&self) -> (u64, u64) {
        let [top, count] = self.halves();
        // Acquire: the link of that block is read behind it.
        (top.load(Ordering::Acquire), count.load(Ordering::Relaxed))
    }

    /// Makes `new` the top, if nothing has changed since the head was `old`; else what it is now.
    fn replace(&self, old: (u64, u64), new: u64) -> Result<(), (u64, u64)> {
        let (mut top, mut count) = old;
        // A full fence: publishes the links of what is pushed, and sees those of what will be popped. The compiler keeps
        // RBX, where the new value's lower half has to be, for itself.
        // SAFETY: aligned, live for ever; every x86-64 that runs this kernel has the instruction.
        unsafe {
            asm!(
                "xchg rbx, {new}",
                "lock cmpxchg16b [rdi]",
                "mov rbx, {new}",
                new = inout(reg) new => _,
                in("rdi") self.0.get(),
                in("rcx") old.1.wrapping_add(1),
                inout("rax") top,
                inout("rdx") count,
                options(nostack),
            );
        }
        match (top, count) == old {
            true => Ok(()),
            false => Err((top, count)),
        }
    }

    fn pop(&self) -> *mut u8 {
        let mut head = self.guess();
        while head.0 != 0 {
            let top = head.0 as *mut u8;
            // If somebody has taken the block, this is any number, and the head has changed.
            let next = link(top).load(Ordering::Relaxed);
            match self.replace(head, next) {
                Ok(()) => return top,
                Err(now) => head = now,
            }
        }
        ptr::null_mut()
    }

    /// Pushes blocks that are linked from the first to the last.
    fn push(&self, first: *mut u8, last: *mut u8) {
        let mut head = self.guess();
        loop {
            link(last).store(head.0, Ordering::Relaxed);
            match self.replace(head, first as u64) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// Where a free block names the next.
fn link<'a>(block: *mut u8) -> &'a AtomicU64 {
    // SAFETY: blocks are at least 16 bytes, aligned to that, and stay mapped for ever. One that was taken meanwhile is
    // only read, and what was read is thrown away.
    unsafe { &*block.cast::<AtomicU64>() }
}

// SAFETY: a block of a class has its size and alignment, and is on no stack while it is given out; a mapping is rounded up to
// pages. The layout tells which of the two a block is.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout) {
            Some(class) => class.take(),
            None if layout.align() > PAGE_BYTES => ptr::null_mut(),
            None => map(layout.size()),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { self.alloc(layout) };
        // A new mapping is zero.
        if !block.is_null() && Class::of(layout).is_some() {
            // SAFETY: the block has room for the layout's size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Class::of(layout) {
            Some(class) => class.stack().push(block, block),
            // SAFETY: mapped by `alloc` with this size, and not used any more.
            None => unsafe {
                libc::munmap(block.cast(), layout.size());
            },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is one of a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Class::of(layout), Class::of(new)) {
            (old, new) if old == new && old.is_some() => block,
            (None, None) => remap(block, layout.size(), size),
            (Some(_), _) | (None, Some(_)) => {
                // SAFETY: as the caller promises.
                let target = unsafe { self.alloc(new) };
                if !target.is_null() {
                    let len = layout.size().min(size);
                    // SAFETY: two blocks, each at least so long.
                    unsafe { ptr::copy_nonoverlapping(block, target, len) };
                    // SAFETY: as the caller promises.
                    unsafe { self.dealloc(block, layout) };
                }
                target
            }
        }
    }
}

/// New pages, zero; null if there are none.
fn map(bytes: usize) -> *mut u8 {
    // SAFETY: the kernel chooses a free place.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    match start {
        libc::MAP_FAILED => ptr::null_mut(),
        start => start.cast(),
    }
}

/// A mapping of another size, perhaps elsewhere.
fn remap(block: *mut u8, old_bytes: usize, bytes: usize) -> *mut u8 {
    // SAFETY: the block is a whole mapping of ours.
    let start = unsafe { libc::mremap(block.cast(), old_bytes, bytes, libc::MREMAP_MAYMOVE) };
    match start {
        libc::MAP_FAILED => ptr::null_mut(),
        start => start.cast(),
    }
}

const PAGE_BYTES: usize = 4096;
const MIN_LOG: usize = 4;
const MAX_LOG: usize = 20;
/// Of the smallest blocks, which all are aligned to that.
const MIN_BYTES: usize = 1 << MIN_LOG;
/// Of the largest blocks that are not mappings.
const MAX_BYTES: usize = 1 << MAX_LOG;
/// Powers of two from the smallest to the largest, and what is between.
const CLASSES: usize = (MAX_LOG - MIN_LOG) * 2 + 1;
/// Memory for blocks of one size that is asked for at once.
const SPAN_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::thread;

    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn a_class_has_the_least_room_that_is_enough() {
        for size in 1..=MAX_BYTES {
            let class = Class::of(layout(size, 8)).expect("not too large");
            assert!(class.bytes() >= size);
            assert!(class.0 == 0 || Class(class.0 - 1).bytes() < size, "{size}");
        }
        assert_eq!(Class::of(layout(MAX_BYTES + 1, 8)), None);
        assert_eq!(Class(CLASSES - 1).bytes(), MAX_BYTES);
        for log in 5..=12 {
            let class = Class::of(layout(40, 1 << log)).expect("not too large");
            assert_eq!(class.bytes() % (1 << log), 0, "{log}");
        }
    }

    #[test]
    fn blocks_are_zero_if_asked_and_keep_their_bytes_when_they_grow() {
        for size in [1, 40, 3000, MAX_BYTES, 3 * MAX_BYTES] {
            let old = layout(size, 16);
            // SAFETY: not of size 0.
            let block = unsafe { BLOCKS.alloc_zeroed(old) };
            // SAFETY: as long as was asked for.
            let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(7);
            for new in [size / 2 + 1, size * 5] {
                // SAFETY: its layout is the one it has, at first.
                let moved = unsafe { BLOCKS.alloc_zeroed(old) };
                // SAFETY: as above.
                unsafe { moved.copy_from_nonoverlapping(block, size) };
                // SAFETY: as above.
                let moved = unsafe { BLOCKS.realloc(moved, old, new) };
                // SAFETY: as long as was asked for.
                let bytes = unsafe { std::slice::from_raw_parts(moved, new.min(size)) };
                assert!(bytes.iter().all(|byte| *byte == 7));
                // SAFETY: the layout it has now.
                unsafe { BLOCKS.dealloc(moved, layout(new, 16)) };
            }
            // SAFETY: its layout.
            unsafe { BLOCKS.dealloc(block, old) };
        }
    }

    /// Threads take, mark, check and give blocks of a few sizes: no block is given to two of them.
    #[test]
    fn no_block_is_given_out_twice() {
        let work = |thread: u64| {
            let mut kept: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
            let mut random = thread + 1;
            for step in 0..200_000_u64 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                let key = random >> 60;
                if let Some((block, size)) = kept.remove(&key) {
                    let mark = (block as *mut u64).cast_const();
                    // SAFETY: a block of this thread's.
                    assert_eq!(unsafe { mark.read() }, thread << 32 | key);
                    // SAFETY: as it was taken.
                    unsafe { BLOCKS.dealloc(block as *mut u8, layout(size, 8)) };
                }
                let size = 16 + (step % 3) as usize * 40;
                // SAFETY: not of size 0.
                let block = unsafe { BLOCKS.alloc(layout(size, 8)) };
                // SAFETY: a block of this thread's, with room.
                unsafe { block.cast::<u64>().write(thread << 32 | key) };
                kept.insert(key, (block as usize, size));
            }
        };
        thread::scope(|scope| (0..4).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    }
}
