//! What happened before what, and what that lets a thread do with a byte.

use super::THREADS;

/// For each thread, up to which of its epochs everything has happened before.
#[derive(Clone, Copy, Default)]
pub struct Clock([u32; THREADS]);

/// A stretch of one thread between two of its releases.
#[derive(Clone, Copy, Default)]
pub struct Epoch {
    thread: usize,
    number: u32,
}

/// One byte of a shared object: its value, its last write, and the reads since then.
#[derive(Clone)]
pub struct Byte {
    pub value: u8,
    /// The mutex under which alone it is changed, and never read before the end.
    pub guard: Option<usize>,
    written: Epoch,
    read: Clock,
}

/// A flag, a turn or a semaphore: raised to 1, 2, 3 and so on, each time after the last.
#[derive(Clone, Default)]
pub struct Signal {
    raised: Vec<(Clock, Epoch)>,
    /// Of a semaphore: how often it has been waited for, and when last.
    taken: usize,
    last_taken: Epoch,
}

impl Clock {
    /// Of a new thread. Epoch 0 is before everything.
    pub fn of(thread: usize) -> Self {
        let mut clock = Self::default();
        clock.0[thread] = 1;
        clock
    }

    /// Where this thread is now.
    pub fn epoch(&self, thread: usize) -> Epoch {
        Epoch {
            thread,
            number: self.0[thread],
        }
    }

    /// What others learn by a release of this thread; its next epoch begins.
    pub fn release(&mut self, thread: usize) -> Self {
        let released = *self;
        self.0[thread] += 1;
        released
    }

    /// What others released has happened before now.
    pub fn acquire(&mut self, released: &Self) {
        for (own, other) in self.0.iter_mut().zip(released.0) {
            *own = other.max(*own);
        }
    }

    fn is_after(&self, epoch: Epoch) -> bool {
        epoch.number <= self.0[epoch.thread]
    }

    fn is_after_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| other <= *own)
    }
}

impl Byte {
    /// Zero, written before everything.
    pub fn new(guard: Option<usize>) -> Self {
        Self {
            value: 0,
            guard,
            written: Epoch::default(),
            read: Clock::default(),
        }
    }

    pub fn may_be_read(&self, now: &Clock) -> bool {
        self.guard.is_none() && now.is_after(self.written)
    }

    pub fn may_be_written(&self, now: &Clock) -> bool {
        self.may_be_read(now) && now.is_after_all(&self.read)
    }

    pub fn read(&mut self, now: Epoch) -> u8 {
        self.read.0[now.thread] = now.number;
        self.value
    }

    pub fn write(&mut self, now: Epoch, value: u8) {
        self.value = value;
        self.written = now;
        // Whoever is after this write is after those reads.
        self.read = Clock::default();
    }
}

impl Signal {
    /// In every run the last raise has happened before.
    pub fn may_be_raised(&self, now: &Clock) -> bool {
        self.raised.last().is_none_or(|(_, by)| now.is_after(*by))
    }

    /// Returns its new value. `released`: what the raising thread released.
    pub fn raise(&mut self, released: Clock, thread: usize) -> usize {
        self.raised.push((released, released.epoch(thread)));
        self.raised.len()
    }

    /// To await it would tell something.
    pub fn has_news(&self, now: &Clock) -> bool {
        !self.may_be_raised(now)
    }

    /// Its value, and what is known by it. It has been raised.
    pub fn last(&self) -> (usize, Clock) {
        let (clock, _) = self.raised.last().expect("it has news");
        (self.raised.len(), *clock)
    }

    /// A semaphore that is above 0, and in every run the last wait has happened before.
    pub fn may_be_taken(&self, now: &Clock) -> bool {
        self.taken < self.raised.len() && now.is_after(self.last_taken)
    }

    /// The k-th wait learns what the k-th post released.
    pub fn take(&mut self, now: Epoch) -> Clock {
        self.last_taken = now;
        self.taken += 1;
        self.raised[self.taken - 1].0
    }
}
