//! One direction: a writer, a reader, and when each rings the other.
//!
//! ```text
//!             tail (reader's)        head (writer's)         both only grow; head - tail bytes are under way
//!   ────────────┬──────────────────────┬──────────────
//!      read     │   written, not read  │     free
//! ```
//!
//! Who has nothing to do says so, looks once more, and sleeps; who has done something looks whether the other said
//! so. Between the two steps of each is a sequentially consistent fence, so that at least one of the two sees the
//! other's first step (Dekker): either the sleeper finds work, or it is rung.
//!
//! | | first | fence | then |
//! |---|---|---|---|
//! | reader about to sleep | `reader_sleeps = 1` | | is `head` where it was? |
//! | writer that wrote | `head = ..` | | was `reader_sleeps` 1? make it 0 and ring |
//! | writer without room | `writer_waits = 1` | | is `tail` where it was? |
//! | reader that read | `tail = ..` | | was `writer_waits` 1? make it 0 and ring |

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use crossbeam_utils::CachePadded;

/// A word that both processes see. The second implementation is the tests'.
pub trait Word {
    /// As of an atomic integer.
    fn load(&self, order: Ordering) -> u64;
    /// As of an atomic integer.
    fn store(&self, value: u64, order: Ordering);
    /// As of an atomic integer.
    fn swap(&self, value: u64, order: Ordering) -> u64;
    /// Sequentially consistent.
    fn fence();
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    #[inline]
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.swap(value, order)
    }

    #[inline]
    fn fence() {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// What both sides of a ring see beside its bytes; all zero at first.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Cursors<W> {
    /// Bytes ever written. The writer's.
    head: CachePadded<W>,
    /// Bytes ever read. The reader's.
    tail: CachePadded<W>,
    /// 1: the reader wants to be rung when there are bytes.
    reader_sleeps: CachePadded<W>,
    /// 1: the writer wants to be rung when there is room.
    writer_waits: CachePadded<W>,
}

impl<W> Cursors<W> {
    /// With these four words.
    pub fn of(words: [W; 4]) -> Self {
        let [head, tail, reader_sleeps, writer_waits] = words.map(CachePadded::new);
        Self {
            head,
            tail,
            reader_sleeps,
            writer_waits,
        }
    }
}

/// Memory of a ring, seen by its writer or its reader.
pub trait RingMemory {
    /// Its words.
    type Word: Word;
    /// What both see.
    fn cursors(&self) -> &Cursors<Self::Word>;
    /// How many bytes it holds, a power of two.
    fn capacity(&self) -> usize;
    /// Copies bytes to this offset; they end inside.
    fn put(&self, offset: usize, bytes: &[u8]);
    /// Appends so many bytes from this offset; they end inside.
    fn get(&self, offset: usize, len: usize, target: &mut BytesMut);
}

/// The other side has set its cursor where it can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The writing side.
#[derive(Debug)]
pub struct Writer<M> {
    memory: M,
    head: u64,
    /// As last seen.
    tail: u64,
}

impl<M: RingMemory> Writer<M> {
    /// Of a ring that nobody has written yet.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            head: 0,
            tail: 0,
        }
    }

    /// Writes as many of the bytes as there is room for; how many.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let len = self.memory.capacity();
        if len - self.under_way() < bytes.len() {
            self.look()?;
        }
        let count = bytes.len().min(len - self.under_way());
        if count == 0 {
            return Ok(0);
        }
        let offset = self.head as usize & (len - 1);
        let (first, second) = bytes[..count].split_at(count.min(len - offset));
        self.memory.put(offset, first);
        self.memory.put(0, second);
        self.head += count as u64;
        // Release: pairs with the reader's Acquire load; publishes the bytes.
        let head = &self.memory.cursors().head;
        head.store(self.head, Ordering::Release);
        Ok(count)
    }

    /// Whether the reader sleeps and must be rung for what was written before this.
    pub fn must_ring(&self) -> bool {
        M::Word::fence();
        is_set(&*self.memory.cursors().reader_sleeps)
    }

    /// Wants to be rung when there is room; false: there is room now.
    pub fn wait_for_room(&mut self) -> Result<bool, Corrupt> {
        let waits = &self.memory.cursors().writer_waits;
        // Relaxed: the fence orders it before the look. A swap, so that it comes behind what the reader made of the
        // wish before.
        waits.swap(1, Ordering::Relaxed);
        M::Word::fence();
        self.look()?;
        let is_full = self.under_way() == self.memory.capacity();
        if !is_full {
            self.memory
                .cursors()
                .writer_waits
                .store(0, Ordering::Relaxed);
        }
        Ok(is_full)
    }

    fn under_way(&self) -> usize {
        (self.head - self.tail) as usize
    }

    fn look(&mut self) -> Result<(), Corrupt> {
        // Acquire: pairs with the reader's Release store; it has read what will be written over.
        let tail = self.memory.cursors().tail.load(Ordering::Acquire);
        if tail < self.tail || tail > self.head {
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok(())
    }
}

/// The reading side.
#[derive(Debug)]
pub struct Reader<M> {
    memory: M,
    tail: u64,
    /// Whether it has asked to be rung.
    asked: bool,
}

impl<M: RingMemory> Reader<M> {
    /// Of a ring that nobody has read yet.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            tail: 0,
            asked: false,
        }
    }

    /// Whether there are bytes to read, or a cursor that can't be.
    pub fn has_bytes(&self) -> bool {
        // Relaxed: `read` looks again.
        self.memory.cursors().head.load(Ordering::Relaxed) != self.tail
    }

    /// Appends what there is; how many bytes.
    pub fn read(&mut self, target: &mut BytesMut) -> Result<usize, Corrupt> {
        // Acquire: pairs with the writer's Release store; its bytes are there.
        let head = self.memory.cursors().head.load(Ordering::Acquire);
        let len = self.memory.capacity();
        let count = head.wrapping_sub(self.tail);
        if count > len as u64 {
            return Err(Corrupt);
        }
        let count = count as usize;
        if count == 0 {
            return Ok(0);
        }
        let offset = self.tail as usize & (len - 1);
        let first = count.min(len - offset);
        self.memory.get(offset, first, target);
        self.memory.get(0, count - first, target);
        self.tail = head;
        // Release: pairs with the writer's Acquire load; the bytes were copied.
        let tail = &self.memory.cursors().tail;
        tail.store(head, Ordering::Release);
        Ok(count)
    }

    /// Whether the writer waits for room and must be rung for what was read before this.
    pub fn must_ring(&self) -> bool {
        M::Word::fence();
        is_set(&*self.memory.cursors().writer_waits)
    }

    /// Wants to be rung when there are bytes. To be followed by a sequentially consistent fence and then
    /// [`Reader::has_bytes`], before the reader sleeps: one fence does for all rings.
    pub fn ask_to_be_rung(&mut self) {
        self.asked = true;
        // Relaxed: the fence orders it before the look. A swap, so that it comes behind what the writer made of the
        // wish before.
        let sleeps = &self.memory.cursors().reader_sleeps;
        sleeps.swap(1, Ordering::Relaxed);
    }

    /// Awake again: needs no ringing.
    pub fn is_awake(&mut self) {
        if std::mem::take(&mut self.asked) {
            // Relaxed: at worst it is rung for nothing.
            let sleeps = &self.memory.cursors().reader_sleeps;
            sleeps.store(0, Ordering::Relaxed);
        }
    }
}

/// Takes the other side's wish to be rung.
fn is_set(wish: &impl Word) -> bool {
    // Relaxed: the fence before it orders it behind the cursor's store. The swap, so that it is rung once.
    wish.load(Ordering::Relaxed) != 0 && wish.swap(0, Ordering::Relaxed) != 0
}
