//! Wakes a thread that sleeps in poll.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end that wakes.
#[derive(Clone, Debug)]
pub struct Waker(Arc<UnixStream>);

/// The end that is polled.
#[derive(Debug)]
pub struct Woken(UnixStream);

/// Both.
pub fn pair() -> std::io::Result<(Waker, Woken)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((Waker(Arc::new(waker)), Woken(woken)))
}

impl Waker {
    /// Wakes the other end, now or when it sleeps next.
    pub fn wake(&self) {
        // Full: it will wake anyway.
        let _ = (&*self.0).write(&[1]);
    }
}

impl Woken {
    /// Forgets that it was woken.
    pub fn clear(&mut self) {
        let mut bytes = [0; 256];
        while matches!(self.0.read(&mut bytes), Ok(count) if count == bytes.len()) {}
    }
}

impl AsFd for Woken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
