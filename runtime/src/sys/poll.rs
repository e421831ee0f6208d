//! What the service thread sleeps on, what wakes it, and reading from sockets without clearing buffers first.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An epoll set. Level-triggered: what a look found and read without it raises no event afterwards.
pub struct Poll {
    descriptor: OwnedFd,
    ready: [libc::epoll_event; EVENTS_PER_TURN],
    count: usize,
}

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 128;

impl Poll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes its argument by value.
        let raw = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        Ok(Self {
            descriptor: owned(raw)?,
            ready: [libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_TURN],
            count: 0,
        })
    }

    /// Adds a descriptor: `token` is ready while there is something to read.
    pub fn add(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, libc::EPOLLIN)
    }

    /// Adds a bell: `token` is ready once for each time that it was rung.
    pub fn add_bell(&self, bell: &Bell, token: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, bell.0.as_raw_fd(), token, interest)
    }

    /// Whether `token` is also ready while there is room to write.
    pub fn watch_room(&self, descriptor: RawFd, token: u64, watch: bool) -> io::Result<()> {
        let interest = match watch {
            true => libc::EPOLLIN | libc::EPOLLOUT,
            false => libc::EPOLLIN,
        };
        self.control(libc::EPOLL_CTL_MOD, descriptor, token, interest)
    }

    /// Waits until something is ready; not at all if `sleep` is false. Interrupted: nothing is.
    pub fn wait(&mut self, sleep: bool) -> io::Result<bool> {
        self.count = 0;
        let timeout_ms = if sleep { -1 } else { 0 };
        // SAFETY: the kernel writes at most so many events to the array.
        let count = unsafe {
            libc::epoll_wait(
                self.descriptor.as_raw_fd(),
                self.ready.as_mut_ptr(),
                EVENTS_PER_TURN as libc::c_int,
                timeout_ms,
            )
        };
        match usize::try_from(count) {
            Ok(count) => self.count = count,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
        Ok(self.count > 0)
    }

    /// Forgets what the last wait found.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// What the last wait found, one by one.
    pub fn next(&mut self) -> Option<u64> {
        self.count = self.count.checked_sub(1)?;
        Some(self.ready[self.count].u64)
    }

    fn control(
        &self,
        operation: libc::c_int,
        descriptor: RawFd,
        token: u64,
        interest: libc::c_int,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest as u32,
            u64: token,
        };
        // SAFETY: `event` is live; a wrong descriptor gives an error.
        let result = unsafe {
            libc::epoll_ctl(
                self.descriptor.as_raw_fd(),
                operation,
                descriptor,
                &mut event,
            )
        };
        check(result)
    }
}

/// Wakes who waits in a [`Poll`].
pub struct Bell(OwnedFd);

impl Bell {
    /// One that was not rung.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes its arguments by value.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        owned(raw).map(Self)
    }

    /// Rings. Nobody ever reads the count: 2^64 rings are more than there is time for.
    pub fn ring(&self) -> io::Result<()> {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes from a live buffer of the given length.
        let count = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Reads up to `count_max` bytes from a socket to the end of a buffer; 0: the other side has closed.
pub fn receive(socket: RawFd, target: &mut Vec<u8>, count_max: usize) -> io::Result<usize> {
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

fn owned(raw: RawFd) -> io::Result<OwnedFd> {
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made it and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
