//! What the nodes' links are made of, and how the launcher makes them.
//!
//! | transport | a link is |
//! |---|---|
//! | shm | rings in memory that both nodes share, and a pair of Unix sockets to wake each other |
//! | unix | a pair of connected Unix sockets |
//! | tcp | a connection over the loopback interface, as between machines |
//!
//! Both ends are connected before either node starts, so no address and no name is left that others could use.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use clap::ValueEnum;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use umbel_ring::Memory;

/// Between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Shared memory (default for few nodes)
    Shm,
    /// Unix sockets
    Unix,
    /// TCP over the loopback interface
    Tcp,
}

/// Nodes up to which shared memory is the default: each pair takes half a mebibyte once it has exchanged that much.
pub const SHM_NODES_MAX: usize = 32;

/// One end of a link.
pub struct End {
    pub socket: OwnedFd,
    pub memory: Option<OwnedFd>,
}

/// Makes links.
pub enum Maker {
    Shm,
    Unix,
    /// Listens while links are made, on a port that the kernel chose.
    Tcp(TcpListener),
}

impl Maker {
    pub fn new(transport: Transport) -> io::Result<Self> {
        Ok(match transport {
            Transport::Shm => Self::Shm,
            Transport::Unix => Self::Unix,
            Transport::Tcp => Self::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?),
        })
    }

    /// Both ends of a link, the lower rank's first; closed on exec.
    pub fn link(&self) -> io::Result<(End, End)> {
        let (lower, higher) = match self {
            Self::Shm | Self::Unix => unix_pair()?,
            Self::Tcp(listener) => tcp_pair(listener)?,
        };
        let memory = match self {
            Self::Shm => Some(Memory::create()?),
            Self::Unix | Self::Tcp(_) => None,
        };
        let lower = End {
            socket: lower,
            memory: memory.as_ref().map(OwnedFd::try_clone).transpose()?,
        };
        let higher = End {
            socket: higher,
            memory,
        };
        Ok((lower, higher))
    }
}

/// Two connected Unix sockets.
pub fn unix_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok(pair)
}

fn tcp_pair(listener: &TcpListener) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let own_address = ours.local_addr()?;
    // Anybody on this machine may connect to the port while it is open. Who that is has another address.
    for _ in 0..STRANGERS_MAX {
        let (theirs, address) = listener.accept()?;
        if address == own_address {
            for end in [&ours, &theirs] {
                end.set_nodelay(true)?;
            }
            return Ok((ours.into(), theirs.into()));
        }
    }
    Err(io::Error::other(
        "others keep connecting to the port of the loopback interface that links are made on",
    ))
}

/// Connections by others that are refused before a link is given up: more than the queue of a port holds.
const STRANGERS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_stranger_on_the_port_is_no_end_of_a_link() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let mut stranger = TcpStream::connect(address).expect("it listens");
        let (ours, theirs) = tcp_pair(&listener).expect("a link");
        let (mut ours, mut theirs) = (TcpStream::from(ours), TcpStream::from(theirs));
        ours.write_all(b"hello").expect("it is connected");
        let mut bytes = [0; 5];
        theirs.read_exact(&mut bytes).expect("it came");
        assert_eq!(&bytes, b"hello");
        assert!(ours.nodelay().expect("a socket") && theirs.nodelay().expect("a socket"));
        // Closed without a word.
        assert!(!matches!(stranger.read(&mut bytes), Ok(1..)));
    }
}
