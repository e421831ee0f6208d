//! The launcher's end of a node's control socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use umbel_wire::control::Control;
use umbel_wire::{DecodeError, decode_control, encode_control};

/// Non-blocking, with the start of a message that has not come whole.
pub struct ControlSocket {
    socket: UnixStream,
    received: Vec<u8>,
    is_open: bool,
}

impl ControlSocket {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            received: Vec::new(),
            is_open: true,
        })
    }

    /// Whether the node may still send.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Everything the node has sent since the last call.
    pub fn receive(&mut self) -> Result<Vec<Control>, DecodeError> {
        let mut part = [0; 16 * 1024];
        while self.is_open {
            match self.socket.read(&mut part) {
                Ok(0) => self.is_open = false,
                Ok(count) => self.received.extend_from_slice(&part[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    // Reset: it ended with something of ours unread.
                    _ => self.is_open = false,
                },
            }
        }
        let mut messages = Vec::new();
        let mut taken = 0;
        while let Some((message, bytes)) = decode_control(&self.received[taken..])? {
            messages.push(message);
            taken += bytes;
        }
        self.received.drain(..taken);
        Ok(messages)
    }

    /// Sends `message`. A node that can't take it is dead, or will be killed for not acting on it:
    /// a handful of small messages always fits its socket.
    pub fn send(&mut self, message: &Control) {
        let mut bytes = Vec::new();
        encode_control(message, &mut bytes);
        let _ = self.socket.write_all(&bytes);
    }
}
