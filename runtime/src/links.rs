//! Sockets to the peers and to the launcher: non-blocking, with bytes waiting in both directions.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdStream;

use bytes::{Buf, BytesMut};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use uffd_dsm::{Link, PeerTraffic};
use umbel_wire::event::{self, What};
use umbel_wire::limits::HEADER_BYTES;
use umbel_wire::{Coherence, Message, NodeId, ObjectId, codec};

use crate::recorder;

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
    /// Messages queued, messages taken, bytes written since the start.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// See above.
    pub bytes_sent: u64,
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
            sent: 0,
            received: 0,
            bytes_sent: 0,
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

    /// The message that was queued from `start` on.
    fn count_sent(&mut self, to: NodeId, object: Option<ObjectId>, start: usize) {
        recorder::record(|| {
            What::Sent(event::Traffic {
                peer: to,
                kind: self.outgoing[start + KIND_OFFSET],
                object,
                bytes: (self.outgoing.len() - start) as u32,
                sequence: self.sent,
            })
        });
        self.sent += 1;
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
            let start = socket.outgoing.len();
            codec::encode(message, socket.outgoing());
            socket.count_sent(to, object_of(message), start);
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
                let kind = socket.incoming[KIND_OFFSET];
                socket.incoming().advance(taken);
                recorder::record(|| {
                    What::Received(event::Traffic {
                        peer: from,
                        kind,
                        object: object_of(&message),
                        bytes: taken as u32,
                        sequence: socket.received,
                    })
                });
                socket.received += 1;
                self.traffic.messages_received += 1;
                Ok(Some(message))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// What went to each peer so far.
    pub fn peers(&self) -> Vec<PeerTraffic> {
        let sockets = self.sockets.iter().enumerate();
        sockets
            .filter_map(|(rank, socket)| {
                let socket = socket.as_ref()?;
                Some(PeerTraffic {
                    rank: rank as u16,
                    messages: socket.sent,
                    bytes: socket.bytes_sent,
                })
            })
            .collect()
    }

    /// Writes what every link has queued.
    pub fn flush(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            let (writes, bytes) = socket.flush();
            socket.bytes_sent += bytes;
            self.traffic.batches_sent += writes;
            self.traffic.bytes_sent += bytes;
        }
    }
}

fn object_of(message: &Message) -> Option<ObjectId> {
    match message {
        Message::Coherence(message) => Some(message.object()),
        Message::Hello(_)
        | Message::Thread(_)
        | Message::Sync(_)
        | Message::Heap(_)
        | Message::Bye => None,
    }
}

/// Where a message's header says what it is.
const KIND_OFFSET: usize = 4;

const _: () = assert!(KIND_OFFSET < HEADER_BYTES);

impl Link for Links {
    fn send(&mut self, to: NodeId, message: &Coherence<&[u8]>) {
        if let Some(socket) = self
            .sockets
            .get_mut(usize::from(to.0))
            .and_then(Option::as_mut)
        {
            let start = socket.outgoing.len();
            codec::encode_coherence(message, socket.outgoing());
            socket.count_sent(to, Some(message.object()), start);
            self.traffic.messages_sent += 1;
        }
    }
}
