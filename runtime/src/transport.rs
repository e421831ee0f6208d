//! Bytes to and from one peer, or the launcher: a socket, or rings in shared memory with a socket as the bell.
//!
//! | | socket (unix, tcp) | rings (shm) |
//! |---|---|---|
//! | bytes arrive | readable | the reader sees the head; asleep, it is rung: the socket is readable |
//! | room again | writable | the writer is rung: the socket is readable |
//! | the peer is gone | end of the socket | end of the socket, then what is in the ring |

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use bytes::BytesMut;
use umbel_ring::{Corrupt, Memory, Reader, Writer};

use crate::sys::poll::receive;

/// What a link was made of when the node started. None of it blocks.
pub struct Ends {
    /// A connected stream socket, Unix or TCP.
    pub socket: UnixStream,
    /// Shared memory that the bytes go through instead.
    pub rings: Option<Rings>,
}

/// What this side writes and what it reads.
pub type Rings = (Writer<Memory>, Reader<Memory>);

/// One end of a byte stream.
pub struct Stream {
    socket: UnixStream,
    rings: Option<Rings>,
    /// The other side has closed the socket.
    ended: bool,
    /// The last read of the socket has left something there, of which no event will tell.
    has_more: bool,
}

/// Why no more bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side has closed, or is dead, and everything it sent was read.
    Closed,
    /// The other side has scribbled on the ring's cursors.
    Corrupt,
}

impl Stream {
    /// Takes the ends over.
    pub fn new(ends: Ends) -> Self {
        Self {
            socket: ends.socket,
            rings: ends.rings,
            ended: false,
            has_more: false,
        }
    }

    /// What to wait on.
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether the socket tells of room to write; a ring's reader rings.
    pub fn socket_tells_of_room(&self) -> bool {
        self.rings.is_none()
    }

    /// Whether bytes can be looked for without a system call.
    pub fn has_ring(&self) -> bool {
        self.rings.is_some()
    }

    /// Whether there is something to read of which no event will tell: in the ring, or left in the socket.
    pub fn has_bytes(&self) -> bool {
        let in_ring = |(_, reader): &Rings| reader.has_bytes();
        self.has_more || self.rings.as_ref().is_some_and(in_ring)
    }

    /// Reads all that has arrived. Without `readable`, the socket of a ring is left alone.
    pub fn read(&mut self, target: &mut BytesMut, readable: bool) -> Result<(), End> {
        let Some((_, reader)) = &mut self.rings else {
            let left = read_socket(&self.socket, target, READ_BYTES);
            self.has_more = left == Left::More;
            return match left {
                Left::Closed => Err(End::Closed),
                Left::Nothing | Left::More => Ok(()),
            };
        };
        if (readable || self.has_more) && !self.ended {
            // Rings carry no meaning but "look".
            let mut rings = BytesMut::new();
            let left = read_socket(&self.socket, &mut rings, BELL_BYTES);
            self.has_more = left == Left::More;
            self.ended = left == Left::Closed;
        }
        let count = reader.read(target).map_err(|Corrupt| End::Corrupt)?;
        if count > 0 && reader.must_ring() {
            ring(&self.socket);
        }
        // What a dead peer wrote was there before its end of the socket closed.
        match self.ended && !reader.has_bytes() {
            true => Err(End::Closed),
            false => Ok(()),
        }
    }

    /// Writes as many of the bytes as there is room for now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((writer, _)) = &mut self.rings else {
            return self.socket.write(bytes);
        };
        if self.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        loop {
            match writer.write(bytes) {
                Ok(0) => match writer.wait_for_room() {
                    Ok(true) => return Err(ErrorKind::WouldBlock.into()),
                    Ok(false) => {}
                    Err(Corrupt) => return Err(ErrorKind::InvalidData.into()),
                },
                Ok(count) => {
                    if writer.must_ring() {
                        ring(&self.socket);
                    }
                    return Ok(count);
                }
                Err(Corrupt) => return Err(ErrorKind::InvalidData.into()),
            }
        }
    }

    /// About to sleep: as [`Reader::ask_to_be_rung`].
    pub fn ask_to_be_rung(&mut self) {
        if let Some((_, reader)) = &mut self.rings {
            reader.ask_to_be_rung();
        }
    }

    /// Awake again.
    pub fn is_awake(&mut self) {
        if let Some((_, reader)) = &mut self.rings {
            reader.is_awake();
        }
    }
}

/// What a read has left in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Perhaps something.
    More,
    /// Nothing, and nothing will come.
    Closed,
}

/// Reads until nothing is left, or so much that others must have their turn.
fn read_socket(socket: &UnixStream, target: &mut BytesMut, bytes_per_read: usize) -> Left {
    for _ in 0..READS_PER_TURN {
        match receive(socket.as_raw_fd(), target, bytes_per_read) {
            Ok(0) => return Left::Closed,
            // A short read of a stream has emptied it.
            Ok(count) if count < bytes_per_read => return Left::Nothing,
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Left::Nothing,
                ErrorKind::Interrupted => {}
                // A reset peer is a dead peer.
                _ => return Left::Closed,
            },
        }
    }
    Left::More
}

/// Has the other side look at its rings. A full socket holds rings that it has not heard yet, and a closed one
/// is noticed where it is read.
fn ring(mut socket: &UnixStream) {
    let _ = socket.write(&[0]);
}

/// Bytes asked for by one read: many small messages or a few pages.
const READ_BYTES: usize = 64 * 1024;

/// Rings taken with one read.
const BELL_BYTES: usize = 64;

/// Reads of one socket in one turn.
const READS_PER_TURN: usize = 4;
