//! What the kernel alone costs: two processes that block in read and write on a Unix socket, and a
//! thread that starts and ends.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// A process that answers, and our end of the socket to it.
pub struct Partner {
    child: Child,
    socket: UnixStream,
    placed: bool,
}

/// Argument that makes this program the partner.
pub const PARTNER: &str = "--partner";

/// Longest message.
const BYTES_MAX: usize = 8192;

impl Partner {
    /// Starts it. `placed`: on the second processor, while the callers of [`Partner::round_trips`] run on the first.
    pub fn start(placed: bool) -> Result<Self> {
        let (socket, other) = UnixStream::pair().context("a pair of sockets")?;
        let child = Command::new(std::env::current_exe()?)
            .args([PARTNER, if placed { "1" } else { "free" }])
            .stdin(Stdio::from(OwnedFd::from(other)))
            .spawn()
            .context("starting the partner of the ping-pong")?;
        Ok(Self {
            child,
            socket,
            placed,
        })
    }

    /// Nanoseconds of the median round trip: `request` bytes there, `answer` bytes back.
    pub fn round_trips(&mut self, request: usize, answer: usize, count: usize) -> Result<f64> {
        let before = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
        if self.placed {
            place(0)?;
        }
        let result = self.exchange(request, answer, count);
        sched_setaffinity(Pid::from_raw(0), &before)?;
        result
    }

    fn exchange(&mut self, request: usize, answer: usize, count: usize) -> Result<f64> {
        let mut buffer = [0_u8; BYTES_MAX];
        let mut samples = Vec::with_capacity(count);
        for number in 0..count + WARM_UP {
            buffer[..2].copy_from_slice(&(request as u16).to_le_bytes());
            buffer[2..4].copy_from_slice(&(answer as u16).to_le_bytes());
            let start = Instant::now();
            self.socket.write_all(&buffer[..request])?;
            self.socket.read_exact(&mut buffer[..answer])?;
            if number >= WARM_UP {
                samples.push(start.elapsed().as_nanos() as f64);
            }
        }
        Ok(crate::programs::median(samples))
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It ends when it reads the end of the socket.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// The partner's life: each request says in its first bytes how long it is and how long the answer is.
pub fn be_partner(place_on: &str) -> Result<()> {
    if let Ok(processor) = place_on.parse() {
        place(processor)?;
    }
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut buffer = [0_u8; BYTES_MAX];
    loop {
        let mut received = 0;
        let mut request = 4;
        let mut answer = 0;
        while received < request {
            match socket.read(&mut buffer[received..]) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                result => received += result?,
            }
            if received >= 4 {
                request = usize::from(u16::from_le_bytes([buffer[0], buffer[1]]));
                answer = usize::from(u16::from_le_bytes([buffer[2], buffer[3]]));
            }
        }
        socket.write_all(&buffer[..answer])?;
    }
}

/// Nanoseconds of the median creation and join of a thread that does nothing.
pub fn local_thread(count: usize) -> f64 {
    let once = || {
        let start = Instant::now();
        std::thread::spawn(|| {}).join().expect("it does nothing");
        start.elapsed().as_nanos() as f64
    };
    crate::programs::median((0..count).map(|_| once()).collect())
}

/// Puts the calling thread on one processor; does nothing where there is no such processor.
fn place(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
    Ok(())
}

/// Round trips before the first that counts.
const WARM_UP: usize = 20;
