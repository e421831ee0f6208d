//! Streams to the peers and to the launcher: non-blocking, with bytes waiting in both directions.

use std::io;
use std::sync::atomic::{Ordering, fence};

use bytes::{Bytes, BytesMut};
use uffd_dsm::{Link, Payload, PeerTraffic};
use umbel_wire::codec::{Batch, Batcher, Next, Put, Tail};
use umbel_wire::event::{self, What};
use umbel_wire::limits::HEADER_BYTES;
use umbel_wire::{Coherence, Message, NodeId, ObjectId, codec};

use crate::recorder;
use crate::sys::poll::{Ready, Sources};
use crate::transport::{End, Ends, Stream};

/// One stream. Reads all that is there; writes once per turn of the loop what was queued in it (a batch).
pub struct Socket {
    stream: Stream,
    /// Bytes that arrived and were not taken yet.
    incoming: BytesMut,
    /// A batch that is being taken, message by message.
    batch: Option<(Bytes, Batch)>,
    outgoing: Vec<u8>,
    /// How much of `outgoing` was written already.
    written: usize,
    /// Joins what is queued and not yet being written.
    batcher: Batcher,
    /// How often more was said to follow in this turn.
    parts: u32,
    /// The loop tells when there is room to write again.
    waits_for_room: bool,
    /// Why no more comes.
    end: Option<End>,
    /// Messages queued, messages taken, bytes written since the start; those that were joined count by themselves.
    pub sent: u64,
    /// See above.
    pub received: u64,
    /// See above.
    pub bytes_sent: u64,
    /// Messages queued; those that were joined count as one.
    pub messages_sent: u64,
}

impl Socket {
    /// Takes over a stream that does not block.
    pub fn new(ends: Ends) -> Self {
        Self {
            stream: Stream::new(ends),
            incoming: BytesMut::new(),
            batch: None,
            outgoing: Vec::new(),
            written: 0,
            batcher: Batcher::default(),
            parts: 0,
            waits_for_room: false,
            end: None,
            sent: 0,
            received: 0,
            bytes_sent: 0,
            messages_sent: 0,
        }
    }

    /// Registers with the loop: for bytes that arrive.
    pub fn register(&mut self, sources: &Sources, token: u64) -> io::Result<()> {
        sources.add(self.stream.descriptor(), token)
    }

    /// Asks the loop for an event when there is room, but only while bytes wait for it: otherwise the loop
    /// would never sleep.
    pub fn watch_room(&mut self, sources: &Sources, token: u64) -> io::Result<()> {
        if self.waits_for_room == self.pending()
            || self.closed()
            || !self.stream.socket_tells_of_room()
        {
            return Ok(());
        }
        self.waits_for_room = self.pending();
        let ready = match self.waits_for_room {
            true => Ready::BytesOrRoom,
            false => Ready::Bytes,
        };
        sources.change(self.stream.descriptor(), token, ready)
    }

    /// Bytes to be sent at the end of this turn; append only.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Bytes that arrived and were not taken yet.
    pub fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    fn traffic_to(&self, rank: usize) -> PeerTraffic {
        PeerTraffic {
            rank: rank as u16,
            messages: self.messages_sent,
            bytes: self.bytes_sent,
        }
    }

    /// Whether the other side has closed and everything it sent was read.
    pub fn closed(&self) -> bool {
        self.end.is_some()
    }

    /// Reads all that has arrived, after an event.
    pub fn fill(&mut self) {
        self.read(true);
    }

    /// Reads what can be had without an event; whether there was anything. `ask`: also by a system call.
    fn look(&mut self, ask: bool) -> bool {
        let may_have = self.stream.has_bytes() || (ask && !self.stream.has_ring());
        may_have && self.read(false)
    }

    fn read(&mut self, readable: bool) -> bool {
        if self.closed() {
            return false;
        }
        let before = self.incoming.len();
        self.end = self.stream.read(&mut self.incoming, readable).err();
        self.closed() || self.incoming.len() > before
    }

    /// Writes what was queued. What does not fit leaves when there is room.
    /// The number of writes and of bytes that left.
    pub fn flush(&mut self) -> (u64, u64) {
        self.batcher.close();
        let (mut writes, mut bytes) = (0, 0);
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    writes += 1;
                    bytes += count as u64;
                    self.bytes_sent += count as u64;
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

    /// The message that was queued from `start` on; joins it to the one before, if they are of a kind. How many more
    /// messages are queued by that.
    fn queued(&mut self, to: NodeId, object: Option<ObjectId>, start: usize) -> u64 {
        let kind = self.outgoing[start + KIND_OFFSET];
        let joined = self.batcher.join(&mut self.outgoing, start);
        recorder::record(|| {
            What::Sent(event::Traffic {
                peer: to,
                kind,
                object,
                bytes: self.outgoing.len().saturating_sub(start) as u32,
                sequence: self.sent,
            })
        });
        self.sent += 1;
        self.messages_sent += u64::from(!joined);
        u64::from(!joined)
    }

    /// Next message of the batch that is being taken.
    fn next_of_batch(&mut self) -> Result<Option<Taken>, codec::DecodeError> {
        let Some((bytes, batch)) = &mut self.batch else {
            return Ok(None);
        };
        let next = batch.next(bytes)?;
        let taken = next.map(|message| Taken {
            kind: batch.kind(),
            bytes: 0,
            received: Received::Coherence(message.map_ref(|tail| payload(bytes, tail))),
        });
        if taken.is_none() {
            self.batch = None;
        }
        Ok(taken)
    }

    /// Next message of what arrived; if it is a batch, its first.
    fn next_arrived(&mut self) -> Result<Option<Taken>, codec::DecodeError> {
        let Some(len) = codec::next_bytes(&self.incoming)? else {
            return Ok(None);
        };
        let bytes = self.incoming.split_to(len).freeze();
        let received = match codec::decode_next(&bytes)? {
            None => return Ok(None),
            Some((Next::Other(message), _)) => Received::Other(message),
            Some((Next::Coherence(message), _)) => {
                Received::Coherence(message.map_ref(|tail| payload(&bytes, tail)))
            }
            Some((Next::Batch(batch), _)) => {
                self.batch = Some((bytes, batch));
                let first = self.next_of_batch()?;
                return Ok(first.map(|first| Taken {
                    bytes: len,
                    ..first
                }));
            }
        };
        Ok(Some(Taken {
            kind: bytes[KIND_OFFSET],
            bytes: len,
            received,
        }))
    }

    /// Whether bytes still wait to leave.
    pub fn pending(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

/// What a peer sent.
pub enum Received {
    /// About an object; its bytes are where they arrived.
    Coherence(Coherence<Payload>),
    /// Anything else.
    Other(Message),
}

/// A message, and what the recorder wants to know of it.
struct Taken {
    kind: u8,
    /// Of a batch: all of them with the first message.
    bytes: usize,
    received: Received,
}

fn payload(bytes: &Bytes, tail: &Tail<'_>) -> Payload {
    let few = Payload::few(tail.prefix(), tail.rest());
    few.unwrap_or_else(|| Payload::new(tail.prefix(), bytes.slice_ref(tail.rest())))
}

/// The links to all peers.
pub struct Links {
    /// By rank; none at the own place.
    pub sockets: Vec<Option<Socket>>,
    /// There are so few sockets that asking each by a system call is quicker than asking for all.
    asks: bool,
    /// What went to peers that are gone.
    departed: Vec<PeerTraffic>,
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

impl Traffic {
    /// Writes, and bytes that left with them.
    fn add(&mut self, (writes, bytes): (u64, u64)) {
        self.batches_sent += writes;
        self.bytes_sent += bytes;
    }
}

impl Links {
    /// Takes over the streams by rank.
    pub fn new(ends: Vec<Option<Ends>>) -> Self {
        let asks = ends.iter().flatten().count() <= ASKED_MAX;
        let sockets = ends.into_iter().map(|ends| ends.map(Socket::new)).collect();
        Self {
            sockets,
            asks,
            departed: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// Reads what can be had without an event; whether there was anything.
    pub fn look(&mut self) -> bool {
        let asks = self.asks;
        let mut found = false;
        for socket in self.sockets.iter_mut().flatten() {
            found |= socket.look(asks);
        }
        found
    }

    /// Whether a thread other than the service thread can look for bytes without that being woken for them.
    pub fn can_be_watched(&self) -> bool {
        let mut sockets = self.sockets.iter().flatten();
        sockets.all(|socket| socket.stream.has_ring() || self.asks && !socket.waits_for_room)
    }

    /// Such a thread looks from now on, or (`false`) no longer: then, whether it has left something.
    pub fn watch(&mut self, sources: &Sources, is_watched: bool) -> io::Result<bool> {
        let ready = match is_watched {
            true => Ready::Gone,
            false => Ready::Bytes,
        };
        for (rank, socket) in self.sockets.iter().enumerate() {
            if let Some(socket) = socket
                && !socket.stream.has_ring()
                && !socket.waits_for_room
                && !socket.closed()
            {
                sources.change(socket.stream.descriptor(), rank as u64, ready)?;
            }
        }
        if is_watched {
            self.are_awake();
            return Ok(false);
        }
        Ok(self.ask_to_be_rung())
    }

    /// About to sleep: peers with shared memory ring from now on. Whether one has sent something already.
    pub fn ask_to_be_rung(&mut self) -> bool {
        for socket in self.sockets.iter_mut().flatten() {
            socket.stream.ask_to_be_rung();
        }
        fence(Ordering::SeqCst);
        let mut sockets = self.sockets.iter().flatten();
        sockets.any(|socket| socket.stream.has_bytes())
    }

    /// Awake again.
    pub fn are_awake(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            socket.stream.is_awake();
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
            self.traffic.messages_sent += socket.queued(to, object_of(message), start);
        }
    }

    /// Next complete message from a peer; what is wrong with the bytes, if they are no message.
    pub fn next_message(&mut self, from: NodeId) -> Result<Option<Received>, String> {
        let Some(socket) = self
            .sockets
            .get_mut(usize::from(from.0))
            .and_then(Option::as_mut)
        else {
            return Ok(None);
        };
        let taken = match socket.next_of_batch() {
            Ok(None) => socket.next_arrived(),
            taken => taken,
        };
        let Some(taken) = taken.map_err(|error| error.to_string())? else {
            return match socket.end {
                Some(End::Corrupt) => Err("it has put its cursor where it can't be".into()),
                Some(End::Closed) | None => Ok(None),
            };
        };
        recorder::record(|| {
            What::Received(event::Traffic {
                peer: from,
                kind: taken.kind,
                object: match &taken.received {
                    Received::Coherence(message) => Some(message.object()),
                    Received::Other(message) => object_of(message),
                },
                bytes: taken.bytes as u32,
                sequence: socket.received,
            })
        });
        socket.received += 1;
        self.traffic.messages_received += u64::from(taken.bytes > 0);
        Ok(Some(taken.received))
    }

    /// What went to each peer so far.
    pub fn peers(&self) -> Vec<PeerTraffic> {
        let sockets = self.sockets.iter().enumerate();
        let here = sockets.filter_map(|(rank, socket)| Some(socket.as_ref()?.traffic_to(rank)));
        let mut peers: Vec<PeerTraffic> = self.departed.iter().copied().chain(here).collect();
        peers.sort_unstable_by_key(|peer| peer.rank);
        peers
    }

    /// Drops a peer's link if it is closed and everything that came was taken; what was counted stays.
    pub fn drop_if_closed(&mut self, peer: NodeId) {
        let rank = usize::from(peer.0);
        let closed = self.sockets[rank].take_if(|socket| socket.closed());
        self.departed
            .extend(closed.map(|socket| socket.traffic_to(rank)));
    }

    /// Writes what every link has queued.
    pub fn flush(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            socket.parts = 0;
            let written = socket.flush();
            self.traffic.add(written);
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

/// Bytes queued for a peer that leave before the turn ends: so the peer has something to do meanwhile.
const QUEUED_BYTES_MAX: usize = 128 * 1024;

/// Parts of what follows that leave a socket with one write, which takes 3 us here and 2 us at the peer; the first
/// write has fewer.
const PARTS_PER_WRITE: u32 = 4;
const FIRST_PARTS: u32 = 2;

/// Sockets that are asked one by one while the service thread looks for events: a call each, 0.2 us.
const ASKED_MAX: usize = 3;

/// Where a message's header says what it is.
const KIND_OFFSET: usize = 4;

const _: () = assert!(KIND_OFFSET < HEADER_BYTES);

impl Link for Links {
    fn send(&mut self, to: NodeId, message: &Coherence<&dyn Put>) {
        if let Some(socket) = self
            .sockets
            .get_mut(usize::from(to.0))
            .and_then(Option::as_mut)
        {
            let start = socket.outgoing.len();
            codec::encode_coherence(message, socket.outgoing());
            self.traffic.messages_sent += socket.queued(to, Some(message.object()), start);
            if socket.outgoing.len() - socket.written > QUEUED_BYTES_MAX {
                self.traffic.add(socket.flush());
            }
        }
    }

    fn more_follows(&mut self, to: NodeId) {
        let socket = self.sockets.get_mut(usize::from(to.0));
        if let Some(socket) = socket.and_then(Option::as_mut) {
            socket.parts += 1;
            let is_worth_it = socket.parts % PARTS_PER_WRITE == FIRST_PARTS;
            if socket.stream.has_ring() || is_worth_it {
                self.traffic.add(socket.flush());
            }
        }
    }
}
