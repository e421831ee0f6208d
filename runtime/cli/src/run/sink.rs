//! Writing to the launcher's own standard output or error without ever waiting in write(2).
//!
//! The stream may be shared with other processes (a terminal always is), so it is never switched to
//! non-blocking itself: pipes and terminals are opened once more, with a file description of our own.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

use super::limits::{CAREFUL_WRITE_BYTES, QUEUE_BYTES_MAX};

/// Queue of bytes in front of one stream.
pub struct Sink {
    target: Target,
    queue: VecDeque<u8>,
    identity: (u64, u64),
    is_terminal: bool,
}

enum Target {
    /// Our own non-blocking description, or a file that never waits.
    Direct(File),
    /// A socket: asked not to wait at each send.
    Socket(OwnedFd),
    /// A pipe or terminal that can't be opened again: written in parts that poll() vouches for.
    Careful(File),
}

/// Why a stream takes no more.
pub enum Closed {
    /// Its reader is gone: what SIGPIPE would have said.
    NoReader,
    /// The terminal was hung up.
    HungUp,
    /// Anything else, for instance a full disk.
    Failed(io::Error),
}

impl Sink {
    /// In front of the launcher's own `stream`.
    pub fn new(stream: &impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let metadata = file.metadata()?;
        let is_terminal = file.is_terminal();
        let kind = metadata.file_type();
        let target = if kind.is_socket() {
            Target::Socket(file.into())
        } else if kind.is_fifo() || is_terminal {
            match reopened(&file) {
                Ok(own) => Target::Direct(own),
                Err(_) => Target::Careful(file),
            }
        } else {
            Target::Direct(file)
        };
        Ok(Self {
            target,
            queue: VecDeque::new(),
            identity: (metadata.dev(), metadata.ino()),
            is_terminal,
        })
    }

    /// Equal for two streams that are one file.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether nodes may go on writing.
    pub fn has_room(&self) -> bool {
        self.queue.len() < QUEUE_BYTES_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
    }

    /// Throws away what is queued: the stream is closed.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// What poll() should watch while the queue is not empty.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.target {
            Target::Direct(file) | Target::Careful(file) => file.as_fd(),
            Target::Socket(socket) => socket.as_fd(),
        }
    }

    /// Writes as much of the queue as the stream takes now.
    pub fn write(&mut self) -> Result<(), Closed> {
        while !self.queue.is_empty() {
            let (bytes, _) = self.queue.as_slices();
            match self.target.write(bytes) {
                Ok(count) => drop(self.queue.drain(..count)),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                        return Err(Closed::NoReader);
                    }
                    _ if error.raw_os_error() == Some(libc::EIO) && self.is_terminal => {
                        return Err(Closed::HungUp);
                    }
                    _ => return Err(Closed::Failed(error)),
                },
            }
        }
        Ok(())
    }
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Direct(file) => file.write(bytes),
            Self::Socket(socket) => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(socket.as_raw_fd(), bytes, flags)?)
            }
            Self::Careful(file) => {
                let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut ready, PollTimeout::ZERO)? == 0 {
                    return Err(Errno::EAGAIN.into());
                }
                file.write(&bytes[..bytes.len().min(CAREFUL_WRITE_BYTES)])
            }
        }
    }
}

fn reopened(file: &File) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
