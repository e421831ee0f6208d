//! What others use today: MPI in two implementations, and OpenSHMEM.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Figures, Transport, add};
use crate::programs::{Workshop, results_before_end, results_of};

/// A library: its name in the rows, its compiler, its programs, and how two ranks start over a transport.
struct Library {
    name: &'static str,
    compiler: &'static str,
    sources: &'static [&'static str],
    start: fn(Transport) -> Option<Command>,
    /// False where they fail when all is said.
    ends_well: bool,
}

const MPI_SOURCES: &[&str] = &["peers/mpi.c", "peers/mpi_grids.c"];

const LIBRARIES: [Library; 3] = [
    Library {
        name: "openmpi",
        compiler: "mpicc.openmpi",
        sources: MPI_SOURCES,
        start: open_mpi,
        ends_well: true,
    },
    Library {
        name: "mpich",
        compiler: "mpicc.mpich",
        sources: MPI_SOURCES,
        start: mpich,
        ends_well: true,
    },
    Library {
        name: "openshmem",
        compiler: "oshcc",
        sources: &["peers/shmem.c"],
        start: open_shmem,
        ends_well: false,
    },
];

/// The libraries that the table has columns for.
pub const NAMES: [&str; 3] = [LIBRARIES[0].name, LIBRARIES[1].name, LIBRARIES[2].name];

/// In the rows, the better one of the two MPI libraries.
const MPI: &str = "mpi";

/// Their programs, compiled.
#[derive(Default)]
pub struct Libraries {
    programs: Vec<(&'static Library, PathBuf)>,
    /// Compilers that aren't installed here.
    pub missing: Vec<&'static str>,
}

impl Libraries {
    /// Compiles them.
    pub fn prepare(workshop: &Workshop) -> Result<Self> {
        let mut libraries = Self::default();
        for library in &LIBRARIES {
            if !is_installed(library.compiler) {
                libraries.missing.push(library.compiler);
                continue;
            }
            for source in library.sources {
                let program = workshop.compile_by(library.compiler, source, &["-O2"])?;
                libraries.programs.push((library, program));
            }
        }
        Ok(libraries)
    }

    /// Runs each once.
    pub fn measure(
        &self,
        transport: Transport,
        operations: &str,
        figures: &mut Figures,
    ) -> Result<()> {
        for (library, program) in &self.programs {
            let Some(mut command) = (library.start)(transport) else {
                continue;
            };
            command.arg(program).arg(operations);
            let results = match library.ends_well {
                true => results_of(&mut command)?,
                false => results_before_end(&mut command)?,
            };
            add(figures, library.name, results);
        }
        add_better(figures);
        Ok(())
    }
}

/// For each figure of the MPI libraries the better one: all are times.
fn add_better(figures: &mut Figures) {
    let mut better = Figures::new();
    for (name, &figure) in figures.iter() {
        if let Some((library, rest)) = name.split_once('.')
            && matches!(library, "openmpi" | "mpich")
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
    let mut command = mpirun_open_mpi();
    command.args(["--mca", "pml", "ob1", "--mca", "btl", layer]);
    if transport == Transport::Tcp {
        command.env("PEERS_WITHOUT_WINDOWS", "1");
    }
    Some(command)
}

fn mpirun_open_mpi() -> Command {
    let mut command = bounded("mpirun.openmpi");
    command.args(["--allow-run-as-root", "--bind-to", "none", "-np", "2"]);
    command
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

/// Debian's works in shared memory only.
fn open_shmem(transport: Transport) -> Option<Command> {
    let mut command = mpirun_open_mpi();
    command.env("UCX_TLS", "posix,self");
    (transport == Transport::Shm).then_some(command)
}

/// A command that ends within a time: launchers wait for ever for a rank that hangs.
fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([RUN_SECONDS_MAX, program]);
    command.stdin(Stdio::null());
    command
}

fn is_installed(compiler: &str) -> bool {
    let mut version = Command::new(compiler);
    let version = version.arg("--version").stdout(Stdio::null());
    version.stderr(Stdio::null()).status().is_ok()
}

const RUN_SECONDS_MAX: &str = "60";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpi_is_the_better_one_of_both() {
        let figures = [("openmpi.a", 2.0), ("mpich.a", 1.0), ("openmpi.b", 3.0)];
        let named = |(name, figure): (&str, f64)| (name.to_owned(), figure);
        let mut figures: Figures = figures.into_iter().map(named).collect();
        add_better(&mut figures);
        assert_eq!((figures["mpi.a"], figures["mpi.b"]), (1.0, 3.0));
        assert_eq!(figures.len(), 5);
    }
}
