//! Sockets to the peers and to the launcher: non-blocking, with bytes waiting in both directions.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdStream;

use bytes::{Buf, BytesMut};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use uffd_dsm::Link;
use umbel_wire::{Coherence, Message, NodeId, codec};

/// One socket. Reads until it would block; writes once per turn of the loop what was queued in it (a batch).
pub struct Socket {
    stream: UnixStream,
    /// Where a read lands before it is appended: growing `incoming` in place would clear it first.
    landing: Box<[u8]>,
    incoming: BytesMut,
    outgoing: Vec<u8>,
    /// How much of `outgoing` was written already.
    written: usize,
    /// The loop tells when there is room to write again.
    waits_for_room: bool,
    /// The other side has closed.
    closed: bool,
}

/// Bytes asked for by one read: many small messages or a few pages.
const READ_BYTES: usize = 64 * 1024;

impl Socket {
    /// Takes over a socket that does not block.
    pub fn new(stream: StdStream) -> Self {
        Self {
            stream: UnixStream::from_std(stream),
            landing: vec![0; READ_BYTES].into_boxed_slice(),
            incoming: BytesMut::with_capacity(READ_BYTES),
            outgoing: Vec::new(),
            written: 0,
            waits_for_room: false,
            closed: false,
        }
    }

    /// Registers with the loop: for bytes that arrive.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE)
    }

    /// Asks the loop for an event when there is room, but only while bytes wait for it: otherwise the loop
    /// would wake each time that the other side reads what we sent.
    pub fn watch_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.waits_for_room == self.pending() || self.closed {
            return Ok(());
        }
        self.waits_for_room = self.pending();
        let interest = if self.waits_for_room {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        registry.reregister(&mut self.stream, token, interest)
    }

    /// Bytes to be sent at the end of this turn; append only.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Bytes that arrived and were not taken yet.
    pub fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    /// Whether the other side has closed and everything it sent was read.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Reads all that has arrived.
    pub fn fill(&mut self) {
        while !self.closed {
            match self.stream.read(&mut self.landing) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    self.incoming.extend_from_slice(&self.landing[..count]);
                    if count < READ_BYTES {
                        // A short read of a stream has emptied it; more raises a new event.
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A reset peer is a dead peer.
                Err(_) => self.closed = true,
            }
        }
    }

    /// Writes what was queued. What does not fit leaves when the socket becomes writable.
    /// The number of writes and of bytes that left.
    pub fn flush(&mut self) -> (u64, u64) {
        let (mut writes, mut bytes) = (0, 0);
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    writes += 1;
                    bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (writes, bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer is gone; what it sent before that, its reason perhaps, is still to be read.
                Err(_) => self.written = self.outgoing.len(),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        (writes, bytes)
    }

    /// Whether bytes still wait to leave.
    pub fn pending(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

/// The links to all peers.
pub struct Links {
    /// By rank; none at the own place.
    pub sockets: Vec<Option<Socket>>,
    /// Counts since the start.
    pub traffic: Traffic,
}

/// What went over the links.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Messages queued for peers.
    pub messages_sent: u64,
    /// Writes.
    pub batches_sent: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Messages taken.
    pub messages_received: u64,
}

impl Links {
    /// Takes over the sockets by rank.
    pub fn new(streams: Vec<Option<StdStream>>) -> Self {
        let sockets = streams
            .into_iter()
            .map(|stream| stream.map(Socket::new))
            .collect();
        Self {
            sockets,
            traffic: Traffic::default(),
        }
    }

    /// Queues a message for a peer.
    pub fn send_message(&mut self, to: NodeId, message: &Message) {
        if let Some(socket) = self
            .sockets
            .get_mut(usize::from(to.0))
            .and_then(Option::as_mut)
        {
            codec::encode(message, socket.outgoing());
            self.traffic.messages_sent += 1;
        }
    }

    /// Next complete message from a peer; what is wrong with the bytes, if they are no message.
    pub fn next_message(&mut self, from: NodeId) -> Result<Option<Message>, String> {
        let Some(socket) = self
            .sockets
            .get_mut(usize::from(from.0))
            .and_then(Option::as_mut)
        else {
            return Ok(None);
        };
        match codec::decode(socket.incoming()) {
            Ok(None) => Ok(None),
            Ok(Some((message, taken))) => {
                socket.incoming().advance(taken);
                self.traffic.messages_received += 1;
                Ok(Some(message))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes what every link has queued.
    pub fn flush(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            let (writes, bytes) = socket.flush();
            self.traffic.batches_sent += writes;
            self.traffic.bytes_sent += bytes;
        }
    }
}

impl Link for Links {
    fn send(&mut self, to: NodeId, message: &Coherence<&[u8]>) {
        if let Some(socket) = self
            .sockets
            .get_mut(usize::from(to.0))
            .and_then(Option::as_mut)
        {
            codec::encode_coherence(message, socket.outgoing());
            self.traffic.messages_sent += 1;
        }
    }
}
