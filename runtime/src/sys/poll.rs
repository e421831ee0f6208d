//! What the service thread sleeps on, what wakes it, and reading from sockets without clearing buffers first.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use bytes::BytesMut;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token, Waker};

/// The loop's sources. Edge-triggered, as mio is: who is told that there is something reads until nothing is left, or
/// comes back by itself. What was read without being told raises no event.
pub struct Poll {
    poll: mio::Poll,
    events: Events,
    ready: Vec<u64>,
}

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 128;

impl Poll {
    /// No sources.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: mio::Poll::new()?,
            events: Events::with_capacity(EVENTS_PER_TURN),
            ready: Vec::with_capacity(EVENTS_PER_TURN),
        })
    }

    /// The sources, which can be changed while somebody waits.
    pub fn sources(&self) -> io::Result<Sources> {
        self.poll.registry().try_clone().map(Sources)
    }

    /// A bell: `token` is ready when it was rung. One for each set.
    pub fn bell(&self, token: u64) -> io::Result<Bell> {
        Waker::new(self.poll.registry(), Token(token as usize)).map(Bell)
    }

    /// Waits until something is ready; not at all if `sleep` is false. Interrupted: nothing is.
    pub fn wait(&mut self, sleep: bool) -> io::Result<bool> {
        self.ready.clear();
        let timeout = (!sleep).then_some(Duration::ZERO);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) => {}
            Ok(()) => {
                let tokens = self.events.iter().map(|event| event.token().0 as u64);
                self.ready.extend(tokens);
            }
        }
        Ok(!self.ready.is_empty())
    }

    /// Forgets what the last wait found.
    pub fn clear(&mut self) {
        self.ready.clear();
    }

    /// What the last wait found, one by one.
    pub fn next(&mut self) -> Option<u64> {
        self.ready.pop()
    }
}

/// What a [`Poll`] waits for.
pub struct Sources(Registry);

/// When a source is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There is something new to read.
    Bytes,
    /// Also when there is room to write.
    BytesOrRoom,
    /// Only when the other side is gone: somebody reads without being told.
    Gone,
}

impl Sources {
    /// Adds a descriptor: `token` is ready when there is something new to read.
    pub fn add(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        let source = &mut SourceFd(&descriptor);
        let registry = &self.0;
        registry.register(source, Token(token as usize), Interest::READABLE)
    }

    /// When `token` is ready from now on. At once, if there is something to read already.
    pub fn change(&self, descriptor: RawFd, token: u64, ready: Ready) -> io::Result<()> {
        let interest = match ready {
            Ready::Bytes => Interest::READABLE,
            Ready::BytesOrRoom => Interest::READABLE | Interest::WRITABLE,
            Ready::Gone => return self.silence(descriptor, token),
        };
        let source = &mut SourceFd(&descriptor);
        let registry = &self.0;
        registry.reregister(source, Token(token as usize), interest)
    }

    /// What mio has no word for: interest in nothing. (Its least, urgent data, is told of with all others.)
    fn silence(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLET as u32,
            u64: token,
        };
        let epoll = self.0.as_raw_fd();
        // SAFETY: `event` is live; wrong descriptors give EBADF.
        let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_MOD, descriptor, &mut event) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Wakes who waits in a [`Poll`].
pub struct Bell(Waker);

impl Bell {
    /// Rings.
    pub fn ring(&self) -> io::Result<()> {
        let _uncancelled = Uncancelled::new();
        self.0.wake()
    }
}

/// While it lives, the calling thread is not cancelled: `write` could be where it ends, and who was to be woken would
/// sleep for ever.
pub struct Uncancelled {
    before: c_int,
}

impl Uncancelled {
    /// From now on.
    pub fn new() -> Self {
        let mut before = 0;
        // SAFETY: takes a number, and fills a live one in.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
        Self { before }
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        // SAFETY: as it was; the old state is not asked for.
        unsafe { pthread_setcancelstate(self.before, std::ptr::null_mut()) };
    }
}

const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// Reads up to `count_max` bytes from a socket to the end of a buffer; 0: the other side has closed.
pub fn receive(socket: RawFd, target: &mut BytesMut, count_max: usize) -> io::Result<usize> {
    target.reserve(count_max);
    let room = target.spare_capacity_mut();
    // SAFETY: the kernel writes at most `count_max` bytes, for which there is room.
    let count = unsafe { libc::recv(socket, room.as_mut_ptr().cast(), count_max, 0) };
    let Ok(count) = usize::try_from(count) else {
        return Err(io::Error::last_os_error());
    };
    let len = target.len() + count;
    // SAFETY: the kernel wrote the bytes up to there.
    unsafe { target.set_len(len) };
    Ok(count)
}
