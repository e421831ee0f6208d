//! The service thread: one loop over the userfaultfd, the links, the launcher's socket, a timer and the
//! application threads' requests. It owns all of the node's state.

mod barriers;
mod departures;
mod heap;
mod peers;
mod pins;
mod recording;
mod requests;
mod shutdown;
mod visits;
mod wait;

use std::collections::BTreeMap;

use uffd_dsm::heap::Run;
use uffd_dsm::{Engine, EngineConfig, Event, Link};
use umbel_agents::Threads;
use umbel_coherence::SyncBranches;
use umbel_fault::Backend;
use umbel_wire::thread::Thread;
use umbel_wire::{NodeId, ObjectId, ThreadId, Token};

use crate::atomics::{SEQUENTIAL, note_remote};
use crate::error::Error;
use crate::happens_before;
use crate::launch::Launch;
use crate::links::{Links, Socket};
use crate::local::THREAD_STACK_BYTES;
use crate::node::{MAIN, Node};
use crate::policy;
use crate::request::{HeapReply, Reply};
use crate::sync_table::Remote;
use crate::sys::calls;
use crate::sys::poll::{Poll, Sources};
use crate::sys::process::{self, Timer};
use crate::sys::starter::Starter;

/// Everything a node is made of: its service thread's, but for the visits of others (`turn.rs`).
pub struct Service {
    node: &'static Node,
    rank: NodeId,
    node_count: u16,
    job: [u8; 16],
    stats_wanted: bool,
    sources: Sources,
    timer: Timer,
    armed_ns: u64,
    engine: Option<Engine>,
    links: Links,
    /// Peers that have proved to be of this job.
    greeted: Vec<bool>,
    control: Option<Socket>,
    threads: Threads,
    /// Makes those that run here.
    starter: Starter,
    /// Requests whose answer is on its way.
    waiting: BTreeMap<Token, Waiting>,
    next_token: u64,
    /// Its parts of other nodes' barriers.
    branches: SyncBranches,
    /// What waits for a flush.
    departures: departures::Departures,
    /// Threads that were started here, main included.
    threads_started: u64,
    /// Those of them that have not ended.
    threads_alive: usize,
    /// What happened and was not sent to the launcher yet.
    recording: recording::Recording,
    /// How long to look for events before sleeping, in nanoseconds, as launched.
    spin_ns: u64,
    /// Turns since the kernel was last asked for events.
    turns_unasked: u32,
    /// Names of thread functions by thread, for messages about lost nodes: of threads created here.
    names: BTreeMap<ThreadId, String>,
    /// When to see to freed heap objects; 0: there are none.
    freed_deadline_ns: u64,
    /// Freed heap objects whose copies are being taken back.
    burying: BTreeMap<Token, Run>,
    /// Those without copies that a thread was in the way of.
    unburied: Vec<Run>,
    /// Answered when every peer has greeted.
    start: Option<Reply>,
    /// Answered when the launcher has ended the job.
    exit: Option<Reply>,
}

/// What happens when a token comes back.
enum Waiting {
    /// The answer goes to a thread.
    Reply(Reply),
    /// The answer goes to a thread, and its ended children are forgotten.
    JoinAll(Reply, ThreadId),
    /// As Reply, but first the answer is filled in.
    Heap(Reply, HeapReply),
    /// The children that reach into a scope have ended: take its objects back next.
    Leave(Reply, [std::ops::Range<ObjectId>; 3]),
    /// The answer goes to a thread, and the unit is known to be sequential.
    Strengthen(Reply, Option<ObjectId>),
    /// One of the parts of a scope was taken back.
    Reclaim(requests::ReclaimParts),
}

/// What is ready, beside the links, which go by rank.
/// Somebody has rung.
pub const REQUESTS: u64 = u64::MAX;
const FAULTS: u64 = u64::MAX - 1;
const TIMER: u64 = u64::MAX - 2;
const CONTROL: u64 = u64::MAX - 3;

impl Service {
    /// Sets a node up: the window, its registration, the loop.
    pub fn new(node: &'static Node, poll: &Poll, launch: Launch) -> Result<Self, Error> {
        let rank = NodeId(launch.rank);
        policy::set_defaults(launch.defaults);
        let engine = match launch.node_count {
            1 => None,
            node_count => {
                let mut engine = Engine::new(EngineConfig {
                    node: rank,
                    node_count,
                    hold_ns: launch.hold_ns,
                    cache_bytes: launch.cache_bytes,
                    tracks_writes: launch.tracks_writes,
                    policy_of: policy::of,
                    release_count: happens_before::release_count,
                })?;
                engine.set_heap(&node.heap.objects);
                engine.set_pages_together(policy::pages_together);
                engine.set_watching(launch.stats);
                if !engine.backend().kernel_faults() {
                    calls::bounce();
                }
                Some(engine)
            }
        };
        let mut threads = Threads::new(rank, launch.node_count);
        let first = threads.name_root();
        debug_assert!(rank != NodeId(0) || first == MAIN);
        let mut service = Self {
            node,
            rank,
            node_count: launch.node_count,
            job: launch.job,
            stats_wanted: launch.stats,
            sources: poll
                .sources()
                .map_err(Error::system("copy the event loop's descriptor"))?,
            timer: Timer::new().map_err(Error::system("make a timer"))?,
            armed_ns: 0,
            engine,
            greeted: launch.links.iter().map(Option::is_none).collect(),
            links: Links::new(launch.links),
            control: launch.control.map(Socket::new),
            threads,
            starter: Starter::new(THREAD_STACK_BYTES)
                .map_err(Error::system("start a thread that makes threads"))?,
            waiting: BTreeMap::new(),
            next_token: 0,
            branches: SyncBranches::new(rank),
            departures: departures::Departures::default(),
            threads_started: u64::from(rank == NodeId(0)),
            threads_alive: usize::from(rank == NodeId(0)),
            recording: recording::Recording::default(),
            spin_ns: launch.spin_ns,
            turns_unasked: 0,
            names: BTreeMap::new(),
            freed_deadline_ns: 0,
            burying: BTreeMap::new(),
            unburied: Vec::new(),
            start: None,
            exit: None,
        };
        service
            .register()
            .map_err(Error::system("register with the event loop"))?;
        Ok(service)
    }

    /// Whether page faults come to threads as signals.
    pub fn faults_are_signals(&self) -> bool {
        let backend = self.engine.as_ref().map(Engine::backend);
        backend.is_some_and(Backend::faults_are_signals)
    }

    fn register(&mut self) -> std::io::Result<()> {
        let sources = &self.sources;
        if let Some(engine) = &self.engine {
            for descriptor in engine.descriptors() {
                sources.add(descriptor, FAULTS)?;
            }
        }
        sources.add(self.timer.descriptor(), TIMER)?;
        for (rank, socket) in self.links.sockets.iter_mut().enumerate() {
            if let Some(socket) = socket {
                socket.register(sources, rank as u64)?;
            }
        }
        match &mut self.control {
            Some(socket) => socket.register(sources, CONTROL),
            None => Ok(()),
        }
    }

    /// Runs the node on the calling thread; `started` is answered when the program may begin. Returns only in a
    /// program alone, when the process ends.
    pub fn run(node: &'static Node, mut poll: Poll, started: &Reply) {
        process::block_signals();
        let mut service = node.turn.take();
        process::prefer_to_run_soon(service.looks());
        service.start = Some(started.clone());
        if crate::recorder::is_on() {
            service.start_recording();
        }
        service.greet();
        if let Err(error) = service.watch_room() {
            service.fail(&format!("cannot register with the event loop: {error}"));
        }
        loop {
            let (mut held, found) = wait::wait(service, &mut poll);
            let done = found
                .map_err(Error::system("wait for events"))
                .and_then(|found| held.turn(found, &mut poll));
            if let Err(error) = done {
                held.fail(&error.to_string());
            }
            service = held;
        }
    }

    fn turn(&mut self, found: bool, poll: &mut Poll) -> Result<(), Error> {
        while let Some(ready) = poll.next() {
            match ready {
                REQUESTS => {}
                TIMER => self.timer.acknowledge(),
                FAULTS => {
                    self.with_engine(|engine, links| engine.on_faults(process::now_ns(), links))?
                }
                CONTROL => self.on_control()?,
                rank => self.on_link(NodeId(rank as u16))?,
            }
        }
        if found {
            self.take_messages()?;
        }
        self.on_requests()?;
        self.end_turn()
    }

    /// What has arrived from all peers.
    fn take_messages(&mut self) -> Result<(), Error> {
        (0..self.node_count).try_for_each(|rank| self.on_messages(NodeId(rank)))
    }

    /// What follows from what this turn has done leaves.
    fn end_turn(&mut self) -> Result<(), Error> {
        self.see_to_freed()?;
        self.with_engine(|engine, links| engine.on_tick(process::now_ns(), links))?;
        self.on_engine_events()?;
        self.flush_departures()?;
        self.links.flush();
        self.record_turn();
        if let Some(control) = &mut self.control {
            control.flush();
        }
        self.watch_room()
            .map_err(Error::system("register with the event loop"))?;
        self.arm_timer()
    }

    /// Has the loop tell when there is room for the bytes that did not leave.
    fn watch_room(&mut self) -> std::io::Result<()> {
        for (rank, socket) in self.links.sockets.iter_mut().enumerate() {
            if let Some(socket) = socket {
                socket.watch_room(&self.sources, rank as u64)?;
            }
        }
        match &mut self.control {
            Some(socket) => socket.watch_room(&self.sources, CONTROL),
            None => Ok(()),
        }
    }

    fn with_engine(
        &mut self,
        body: impl FnOnce(&mut Engine, &mut dyn Link) -> Result<(), uffd_dsm::Error>,
    ) -> Result<(), Error> {
        match &mut self.engine {
            Some(engine) => Ok(body(engine, &mut self.links)?),
            None => Ok(()),
        }
    }

    fn on_engine_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.engine.as_mut().and_then(Engine::next_event) {
            match event {
                Event::Reclaimed(token) => self.on_reclaimed(token)?,
                Event::Flushed(token) => self.on_flushed(token),
                Event::Operated { token, result } => self.answer(token, result as i64)?,
                Event::Strengthened(token) | Event::Pinned(token) => self.answer(token, 0)?,
                Event::Remote { object, remote } => note_remote(object, remote),
                Event::WildAccess {
                    node,
                    address,
                    write,
                } => {
                    if let Some(error) = crate::heap::wild_access(node, address, write) {
                        return Err(error);
                    }
                    let verb = if write { "wrote to" } else { "read" };
                    return Err(Error::WildAccess {
                        node: node.0,
                        verb,
                        address,
                    });
                }
                Event::Refused(violation) => {
                    return Err(Error::Peer {
                        rank: violation.from.0,
                        reason: violation.to_string(),
                    });
                }
                Event::BadData { from, object } => {
                    let reason = format!("what it sent for object {:#x} does not fit it", object.0);
                    return Err(Error::Peer {
                        rank: from.0,
                        reason,
                    });
                }
            }
        }
        Ok(())
    }

    fn arm_timer(&mut self) -> Result<(), Error> {
        let deadline_ns = self
            .engine
            .as_ref()
            .and_then(Engine::next_deadline_ns)
            .into_iter()
            .chain((self.freed_deadline_ns != 0).then_some(self.freed_deadline_ns))
            .min()
            .unwrap_or(0);
        let deadline_ns = match (deadline_ns, self.recording_due_ns()) {
            (0, due_ns) => due_ns,
            (deadline_ns, 0) => deadline_ns,
            (deadline_ns, due_ns) => deadline_ns.min(due_ns),
        };
        if deadline_ns != self.armed_ns {
            self.timer
                .set(deadline_ns)
                .map_err(Error::system("set the timer"))?;
            self.armed_ns = deadline_ns;
        }
        Ok(())
    }

    /// A token for an answer that comes later.
    fn wait_for(&mut self, waiting: Waiting) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.waiting.insert(token, waiting);
        token
    }

    /// The answer to a token; goes on with what waited for it.
    fn answer(&mut self, token: Token, result: i64) -> Result<(), Error> {
        match self.waiting.remove(&token) {
            // A peer may answer a thread that is gone only if it invents tokens.
            None => {}
            Some(Waiting::Reply(reply) | Waiting::Heap(reply, _)) => reply.send(result),
            Some(Waiting::JoinAll(reply, father)) => {
                self.threads.collect(father);
                reply.send(0);
            }
            Some(Waiting::Leave(reply, objects)) => self.reclaim(reply, objects)?,
            Some(Waiting::Strengthen(reply, unit)) => {
                if let Some(unit) = unit {
                    SEQUENTIAL.insert(unit);
                }
                reply.send(result);
            }
            Some(Waiting::Reclaim(parts)) => parts.done(),
        }
        Ok(())
    }

    /// What synchronization objects of this node have to say to others.
    fn send_sync(&mut self) {
        for remote in self.node.sync.take_remote() {
            let Remote {
                to,
                message,
                acquires,
            } = remote;
            let message = umbel_wire::Message::Sync(message);
            if acquires {
                self.depart(to, message);
            } else {
                self.links.send_message(to, &message);
            }
        }
    }

    fn carry_out_threads(&mut self, effects: Vec<umbel_agents::Effect>) -> Result<(), Error> {
        use umbel_agents::Effect;
        for effect in effects {
            match effect {
                Effect::ChildrenEnded { token } => self.answer(token, 0)?,
                Effect::Joined { joiner, result } if joiner.node == self.rank => {
                    self.answer(joiner.token, i64::from(result))?;
                }
                Effect::Joined { joiner, result } => {
                    let joined = Thread::Joined {
                        token: joiner.token,
                        result,
                    };
                    self.depart(joiner.node, umbel_wire::Message::Thread(joined));
                }
            }
        }
        Ok(())
    }
}
