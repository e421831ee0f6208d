//! One node's process as the launcher sees it, and how the nodes are started.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::control::ControlSocket;
use super::job::Plan;
use super::processors::cpu_set;
use super::transport::{End, Maker, unix_pair};
use crate::sys::child::{ChildSetup, on_exec};
use crate::sys::random;

/// A node that was started.
pub struct Node {
    pub rank: u16,
    child: Child,
    /// How its process ended, once it has been reaped.
    pub end: Option<ExitStatus>,
    pub control: ControlSocket,
    /// Standard output and error, until their end.
    pub pipes: [Option<File>; 2],
    pub is_ready: bool,
    /// Answered `Lost` with its threads.
    pub has_answered: bool,
}

impl Node {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub fn is_alive(&self) -> bool {
        self.end.is_none()
    }

    /// Sends `signal` unless the process was reaped: its number may be another's since.
    pub fn kill(&self, signal: Signal) {
        if self.is_alive() {
            // It can only have ended meanwhile; then there is nothing to do.
            let _ = kill(self.pid(), signal);
        }
    }

    /// Reaps the process if it has ended; true the first time.
    pub fn try_reap(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.end = self.child.try_wait().ok().flatten();
        self.end.is_some()
    }

    /// Reaps the process, waiting for its end.
    pub fn reap(&mut self) {
        if self.end.is_none() {
            self.end = self.child.wait().ok();
        }
    }
}

/// Starts every node of `plan`; on failure those already started are killed.
pub fn start_all(plan: &Plan, mask: &SigSet) -> Result<Vec<Node>> {
    let job = random::secret().context("cannot make the job's secret")?;
    let job: String = job.iter().map(|byte| format!("{byte:02x}")).collect();
    let maker = Maker::new(plan.transport).context("cannot make links between nodes")?;
    let mut links: Vec<Links> = (0..plan.node_count).map(|_| Links::default()).collect();
    let mut nodes = Vec::new();
    for rank in 0..plan.node_count {
        let result = start(plan, rank, &maker, &mut links, &job, mask);
        match result.with_context(|| format!("cannot start node {rank}")) {
            Ok(node) => nodes.push(node),
            Err(error) => {
                nodes
                    .iter()
                    .for_each(|node: &Node| node.kill(Signal::SIGKILL));
                nodes.iter_mut().for_each(Node::reap);
                return Err(error);
            }
        }
    }
    Ok(nodes)
}

/// How long a node with processors of its own spins before it sleeps: a round trip to a peer that is awake takes
/// 5 to 30 us.
const SPIN_US: &str = "50";

/// A node's ends of its links to lower ranks, in rank order.
#[derive(Default)]
struct Links(Vec<End>);

fn start(
    plan: &Plan,
    rank: usize,
    maker: &Maker,
    links: &mut [Links],
    job: &str,
    mask: &SigSet,
) -> Result<Node> {
    // Links to lower ranks were made when those started; links to higher ranks are made now.
    let mut ends: Vec<Option<End>> = links[rank].0.drain(..).map(Some).collect();
    ends.push(None);
    for higher in &mut links[rank + 1..] {
        let (ours, theirs) = maker.link().context("cannot make a link")?;
        ends.push(Some(ours));
        higher.0.push(theirs);
    }
    let (control, node_control) = unix_pair()?;

    let mut command = Command::new(&plan.program.path);
    command
        .arg0(&plan.program.name)
        .args(&plan.arguments)
        .env("UMBEL_RANK", padded(rank))
        .env("UMBEL_SIZE", plan.node_count.to_string())
        .env("UMBEL_LINKS", numbers(&ends, |end| Some(&end.socket)))
        .env("UMBEL_RINGS", numbers(&ends, |end| end.memory.as_ref()))
        .env("UMBEL_CONTROL", number(&node_control))
        .env("UMBEL_JOB", job)
        .env_remove("UMBEL_STATS")
        .env_remove("UMBEL_TIMELINE")
        .stdin(match rank {
            0 => Stdio::inherit(),
            _ => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs(plan.environment.iter().cloned());
    let ends = ends.into_iter().flatten();
    let mut inherited: Vec<OwnedFd> = ends
        .flat_map(|end| std::iter::once(end.socket).chain(end.memory))
        .collect();
    inherited.push(node_control);
    let share = plan.shares.of_node(rank);
    if !share.is_empty() && std::env::var_os("UMBEL_SPIN_US").is_none() {
        command.env("UMBEL_SPIN_US", SPIN_US);
    }
    on_exec(
        &mut command,
        ChildSetup {
            inherited,
            mask: *mask,
            ignores_keys: rank != 0,
            processors: cpu_set(share),
        },
    );
    let mut child = command.spawn()?;
    let out = child.stdout.take().map(OwnedFd::from);
    let err = child.stderr.take().map(OwnedFd::from);
    Ok(Node {
        rank: u16::try_from(rank).context("rank above 65535")?,
        child,
        end: None,
        control: ControlSocket::new(control)?,
        pipes: [non_blocking(out)?, non_blocking(err)?],
        is_ready: false,
        has_answered: false,
    })
}

/// A descriptor of each end, by rank.
fn numbers(ends: &[Option<End>], descriptor: impl Fn(&End) -> Option<&OwnedFd>) -> String {
    let numbers = ends.iter().map(|end| {
        let descriptor = end.as_ref().and_then(&descriptor);
        descriptor.map_or("-".into(), number)
    });
    numbers.collect::<Vec<_>>().join(",")
}

fn number(descriptor: &OwnedFd) -> String {
    padded(descriptor.as_raw_fd())
}

/// Equally long on every node: the kernel puts the environment above the stack, and a program may find `argv` of
/// all nodes at the same addresses, as it finds its functions and constants.
fn padded(number: impl std::fmt::Display) -> String {
    format!("{number:05}")
}

fn non_blocking(pipe: Option<OwnedFd>) -> io::Result<Option<File>> {
    // Only our end: the node's own stays as programs expect it.
    if let Some(pipe) = &pipe {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok(pipe.map(File::from))
}
