//! What the launcher passed on: rank, size, sockets.
//!
//! | variable | meaning |
//! |---|---|
//! | UMBEL_RANK | this node's rank |
//! | UMBEL_SIZE | nodes in the job |
//! | UMBEL_LINKS | descriptors of the sockets to the peers, by rank, separated by commas; `-` at the own place |
//! | UMBEL_RINGS | descriptors of the memory shared with each peer, likewise; without it the bytes go over the sockets |
//! | UMBEL_CONTROL | descriptor of the socket to the launcher |
//! | UMBEL_JOB | the job's secret, 32 hexadecimal digits |
//! | UMBEL_STATS | 1: send statistics at the end |
//! | UMBEL_TIMELINE | 1: record threads, faults, waits and messages, and send them while the job runs |
//! | UMBEL_SPIN_US | microseconds for which the service thread looks for events before it sleeps (default 0) |
//! | UMBEL_HOLD_US | microseconds for which a copy granted to write can't be recalled, one to read for a quarter of that (default 100) |
//! | UMBEL_WRITE_TRACKING | 1: large weak arrays are placed in the tracked arena if the kernel can tell which pages were written; set by the user |
//! | UMBEL_CACHE_BYTES | bytes of other nodes' objects that this node keeps copies of at most; 0: no limit (default) |
//! | UMBEL_CONSISTENCY | `weak` (default) or `sequential`: of objects whose source says nothing |
//! | UMBEL_PROTOCOL | `auto` (default) or a protocol: of objects whose source says nothing |
//!
//! The first six are removed from the environment, so that programs started by this one run alone.

use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

use umbel_ring::{Memory, Side};
use umbel_wire::limits::NODES_MAX;

use crate::error::Error;
use crate::policy::{self, Defaults};
use crate::sys::process::{inherited, inherited_socket, take_variable as take};
use crate::transport::{Ends, Rings};

/// A node's place in its job.
pub struct Launch {
    /// This node.
    pub rank: u16,
    /// Nodes in the job.
    pub node_count: u16,
    /// What the links to the peers are made of, by rank.
    pub links: Vec<Option<Ends>>,
    /// Socket to the launcher.
    pub control: Option<Ends>,
    /// The job's secret.
    pub job: [u8; 16],
    /// Whether statistics are wanted.
    pub stats: bool,
    /// Whether what happens is recorded.
    pub timeline: bool,
    /// Minimum hold in nanoseconds.
    pub hold_ns: u64,
    /// How long the service thread may spin, in nanoseconds.
    pub spin_ns: u64,
    /// Bytes of copies of other nodes' objects; 0: no limit.
    pub cache_bytes: u64,
    /// Whether large weak arrays are placed where the kernel tells which pages were written.
    pub tracks_writes: bool,
    /// Of objects whose source says nothing.
    pub defaults: Defaults,
}

/// Minimum hold: below it most grants are taken away again before their thread has run (DESIGN.md §3).
const HOLD_US_DEFAULT: u64 = 100;

impl Launch {
    /// Reads and clears the environment. Called once, before the program's main.
    pub fn from_environment() -> Result<Self, Error> {
        let Some(rank) = take("UMBEL_RANK") else {
            return Ok(Self::alone());
        };
        let rank: u16 = parse("UMBEL_RANK", &rank)?;
        let node_count: u16 = parse("UMBEL_SIZE", &take("UMBEL_SIZE").unwrap_or_default())?;
        if rank >= node_count || usize::from(node_count) > NODES_MAX {
            let reason =
                format!("rank {rank} of {node_count} nodes, at most {NODES_MAX} are possible");
            return Err(Error::Launch {
                variable: "UMBEL_RANK",
                reason,
            });
        }
        let control: RawFd = parse("UMBEL_CONTROL", &take("UMBEL_CONTROL").unwrap_or_default())?;
        let control = adopt("UMBEL_CONTROL", control)?;
        let links = take_links(rank, node_count)?;
        Ok(Self {
            rank,
            node_count,
            links,
            control: Some(Ends {
                socket: control,
                rings: None,
            }),
            job: parse_job(&take("UMBEL_JOB").unwrap_or_default())?,
            stats: std::env::var("UMBEL_STATS").is_ok_and(|value| value == "1"),
            timeline: std::env::var("UMBEL_TIMELINE").is_ok_and(|value| value == "1"),
            hold_ns: from_us("UMBEL_HOLD_US", HOLD_US_DEFAULT)?,
            spin_ns: from_us("UMBEL_SPIN_US", 0)?,
            cache_bytes: number("UMBEL_CACHE_BYTES", 0)?,
            tracks_writes: std::env::var("UMBEL_WRITE_TRACKING").is_ok_and(|value| value == "1"),
            defaults: Defaults {
                consistency: word("UMBEL_CONSISTENCY", policy::consistency)?
                    .unwrap_or(Defaults::BUILT_IN.consistency),
                protocol: word("UMBEL_PROTOCOL", policy::protocol_or_auto)?.flatten(),
            },
        })
    }

    /// Whether peers share memory: a message there is under way for less than a microsecond.
    pub fn has_rings(&self) -> bool {
        let mut links = self.links.iter().flatten();
        links.any(|ends| ends.rings.is_some())
    }

    fn alone() -> Self {
        Self {
            rank: 0,
            node_count: 1,
            links: vec![None],
            control: None,
            job: [0; 16],
            stats: false,
            timeline: false,
            hold_ns: 0,
            spin_ns: 0,
            cache_bytes: 0,
            tracks_writes: false,
            defaults: Defaults::BUILT_IN,
        }
    }
}

fn parse<T: std::str::FromStr>(variable: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Launch {
        variable,
        reason: format!("{text:?} is not a number"),
    })
}

/// The sockets, each with its shared memory if there is any.
fn take_links(rank: u16, node_count: u16) -> Result<Vec<Option<Ends>>, Error> {
    let sockets = take("UMBEL_LINKS").unwrap_or_default();
    let sockets = descriptors("UMBEL_LINKS", &sockets, node_count)?;
    let rings = match take("UMBEL_RINGS") {
        Some(text) => descriptors("UMBEL_RINGS", &text, node_count)?,
        None => vec![None; usize::from(node_count)],
    };
    let mut links = Vec::new();
    for (peer, (socket, memory)) in sockets.into_iter().zip(rings).enumerate() {
        let ends = match (socket, memory) {
            (None, _) => None,
            (Some(socket), memory) => Some(Ends {
                socket: adopt("UMBEL_LINKS", socket)?,
                rings: memory.map(|memory| map(memory, rank, peer)).transpose()?,
            }),
        };
        links.push(ends);
    }
    Ok(links)
}

/// Numbers by rank.
fn descriptors(
    variable: &'static str,
    text: &str,
    node_count: u16,
) -> Result<Vec<Option<RawFd>>, Error> {
    let numbers = text.split(',').map(|text| match text {
        "-" => Ok(None),
        text => parse(variable, text).map(Some),
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    if numbers.len() != usize::from(node_count) {
        let reason = format!("{} links for {node_count} nodes", numbers.len());
        return Err(Error::Launch { variable, reason });
    }
    Ok(numbers)
}

fn map(memory: RawFd, rank: u16, peer: usize) -> Result<Rings, Error> {
    let side = match usize::from(rank) < peer {
        true => Side::Lower,
        false => Side::Higher,
    };
    inherited(memory)
        .and_then(|memory| Memory::open(memory, side))
        .map_err(|error| Error::Launch {
            variable: "UMBEL_RINGS",
            reason: format!("descriptor {memory}: {error}"),
        })
}

fn adopt(variable: &'static str, descriptor: RawFd) -> Result<UnixStream, Error> {
    inherited_socket(descriptor).map_err(|error| Error::Launch {
        variable,
        reason: format!("descriptor {descriptor}: {error}"),
    })
}

fn parse_job(text: &str) -> Result<[u8; 16], Error> {
    let wrong = || Error::Launch {
        variable: "UMBEL_JOB",
        reason: "it is not 32 hexadecimal digits".into(),
    };
    let digits = text.as_bytes();
    if digits.len() != 32 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut job = [0; 16];
    for (byte, pair) in job.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(job)
}

/// Nanoseconds of a variable in microseconds; it stays, for nodes that the program starts.
fn from_us(variable: &'static str, default_us: u64) -> Result<u64, Error> {
    Ok(number(variable, default_us)?.saturating_mul(1000))
}

fn number(variable: &'static str, default: u64) -> Result<u64, Error> {
    match std::env::var(variable) {
        Ok(text) => parse(variable, &text),
        Err(_) => Ok(default),
    }
}

/// A variable whose words `meaning` knows; nothing if it is not set.
fn word<T>(
    variable: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    match meaning(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::Launch {
            variable,
            reason: format!("{text:?} is none of the words that `umbel run --help` lists"),
        }),
    }
}
