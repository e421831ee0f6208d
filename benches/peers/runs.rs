//! The programs of this folder: compiled once, started in turns.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use super::Transport;
use crate::Effort;
use crate::programs::{Results, Workshop, results_of};

/// What one round measured, in nanoseconds or whatever the row counts: by "program.figure".
pub type Figures = BTreeMap<String, f64>;

/// A program of ours: its name in the rows, its source, and what it is told besides how many operations to do.
const OURS: [(&str, &str, &[&str]); 5] = [
    ("faults", "peers/faults.c", &[]),
    ("locks", "peers/locks.c", &[]),
    ("cached", "peers/locks.c", &["16384"]),
    ("meet", "peers/meet.c", &[]),
    ("bulk", "peers/bulk.c", &[]),
];

/// Somebody else's library: its name in the rows, its compiler, and how two ranks start over a transport.
struct Peer {
    name: &'static str,
    compiler: &'static str,
    source: &'static str,
    start: fn(Transport) -> Option<Command>,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "openmpi",
        compiler: "mpicc.openmpi",
        source: "peers/mpi.c",
        start: open_mpi,
    },
    Peer {
        name: "mpich",
        compiler: "mpicc.mpich",
        source: "peers/mpi.c",
        start: mpich,
    },
];

/// The floor.
const RAW: &str = "raw";

/// A name in the rows for the better one of the two MPI libraries.
const MPI: &str = "mpi";

/// A program, compiled.
struct Program {
    name: &'static str,
    path: PathBuf,
}

/// Everything that the rows need, compiled.
pub struct Runs {
    raw: PathBuf,
    ours: Vec<(Program, &'static [&'static str])>,
    peers: Vec<(Program, &'static Peer)>,
    missing: Vec<&'static str>,
}

impl Runs {
    /// Compiles what is `needed`, by the names in the rows.
    pub fn prepare(workshop: &Workshop, needed: impl Fn(&str) -> bool) -> Result<Self> {
        let mut runs = Self {
            raw: workshop.compile_by("gcc", "peers/raw.c", &["-O2", "-pthread"])?,
            ours: Vec::new(),
            peers: Vec::new(),
            missing: Vec::new(),
        };
        for (name, source, arguments) in OURS {
            if needed(name) {
                let path = workshop.umbel_cc(source, &["-O2"])?;
                runs.ours.push((Program { name, path }, arguments));
            }
        }
        for peer in &PEERS {
            if !is_installed(peer.compiler) {
                runs.missing.push(peer.name);
            } else if needed(peer.name) || needed(MPI) {
                let path = workshop.compile_by(peer.compiler, peer.source, &["-O2"])?;
                let name = peer.name;
                runs.peers.push((Program { name, path }, peer));
            }
        }
        Ok(runs)
    }

    /// What can't be compared with here.
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Runs everything once.
    pub fn round(
        &self,
        workshop: &Workshop,
        effort: Effort,
        transport: Transport,
    ) -> Result<Figures> {
        let _turn = take_turn()?;
        let operations = effort.operations.to_string();
        let transport_name = transport.to_string();
        let mut figures = Figures::new();
        let mut raw = Command::new(&self.raw);
        raw.args([&transport_name, &operations]);
        add(&mut figures, RAW, results_of(&mut raw)?);
        for (program, more) in &self.ours {
            let mut arguments = vec![operations.as_str()];
            arguments.extend_from_slice(more);
            let environment = [("UMBEL_TRANSPORT", transport_name.as_str())];
            let results = workshop.run_in(&program.path, 2, &arguments, &environment)?;
            add(&mut figures, program.name, results);
        }
        for (program, peer) in &self.peers {
            if let Some(mut command) = (peer.start)(transport) {
                command.arg(&program.path).arg(&operations);
                add(&mut figures, peer.name, results_of(&mut command)?);
            }
        }
        add_better(&mut figures);
        Ok(figures)
    }
}

fn add(figures: &mut Figures, program: &str, results: Results) {
    let named = |(name, sample): (String, crate::programs::Sample)| {
        (format!("{program}.{name}"), sample.median)
    };
    figures.extend(results.into_iter().map(named));
}

/// For each figure of an MPI library the better one of both: both are times.
fn add_better(figures: &mut Figures) {
    let mut better = Figures::new();
    for (name, &figure) in figures.iter() {
        if let Some((program, rest)) = name.split_once('.')
            && PEERS.iter().any(|peer| peer.name == program)
        {
            better
                .entry(format!("{MPI}.{rest}"))
                .and_modify(|best| *best = figure.min(*best))
                .or_insert(figure);
        }
    }
    figures.append(&mut better);
}

/// Two ranks that bind themselves. Over TCP its windows use shared memory all the same: mpi.c leaves them out.
fn open_mpi(transport: Transport) -> Option<Command> {
    let layer = match transport {
        Transport::Tcp => "tcp,self",
        Transport::Shm => "vader,self",
        Transport::Unix => return None,
    };
    let mut command = bounded("mpirun.openmpi");
    command.args(["--allow-run-as-root", "--bind-to", "none", "-np", "2"]);
    command.args(["--mca", "pml", "ob1", "--mca", "btl", layer]);
    if transport == Transport::Tcp {
        command.env("PEERS_WITHOUT_WINDOWS", "1");
    }
    Some(command)
}

fn mpich(transport: Transport) -> Option<Command> {
    let mut command = bounded("mpirun.mpich");
    command.args(["-np", "2"]);
    match transport {
        // Its own shared memory off, and UCX's.
        Transport::Tcp => command
            .env("UCX_TLS", "tcp,self")
            .env("UCX_NET_DEVICES", "lo")
            .env("MPIR_CVAR_NOLOCAL", "1"),
        Transport::Shm => command.env("UCX_TLS", "posix,self"),
        Transport::Unix => return None,
    };
    Some(command)
}

/// A command that ends within a time: MPI launchers wait for ever for a rank that hangs.
fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([RUN_SECONDS_MAX, program]);
    command.stdin(Stdio::null());
    command
}

fn is_installed(compiler: &str) -> bool {
    let mut version = Command::new(compiler);
    let version = version.arg("-show").stdout(Stdio::null());
    version.stderr(Stdio::null()).status().is_ok()
}

/// The processors belong to one bench at a time: all of this machine take turns, round by round.
fn take_turn() -> Result<Flock<File>> {
    let path = std::env::temp_dir().join("umbel-bench-turn");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive);
    lock.map_err(|(_, error)| error)
        .with_context(|| format!("locking {}", path.display()))
}

const RUN_SECONDS_MAX: &str = "60";
