//! `umbel run`: starts a job's nodes on this machine and sees it through.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use umbel_wire::limits::NODES_MAX;

use crate::status;
use crate::sys::real_time;
use job::{Job, Plan};
use memory::MemoryOptions;
use output::Outputs;
pub use output::allows_colour;
use processors::Shares;
use program::Program;
use seeing::{Seeing, SeeingOptions};
use transport::{SHM_NODES_MAX, Transport};

mod control;
mod job;
mod limits;
pub mod memory;
mod node;
mod output;
mod processors;
pub mod program;
mod seeing;
mod sink;
mod stats;
mod stats_table;
mod transport;

/// Runs a program on several nodes; rank 0 runs `main`, its status is the job's.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel run -n 4 ./fig1                 4 nodes: processes on this machine
  umbel run -n 4 ./sort -r < numbers    standard input goes to rank 0, the other nodes read nothing
  umbel run -n 4 --tag ./fig1           output lines begin with their node: [2] ...
  umbel run -n 4 --stats ./fig1         then which objects moved, how often, and how many bytes
  umbel run -n 4 --stats --stats-format json ./fig1 2> log    the same as one line of JSON
  umbel run -n 4 --report fig1.html ./fig1      a page that says what to improve; any browser opens it
  umbel run -n 4 --timeline fig1.json ./fig1    every fault, wait and message, for ui.perfetto.dev
  umbel run -n 4 --trace fig1.trace ./fig1      each call on each node; then: umbel trace report fig1.trace
  umbel run -n 4 --cache 64M ./fig1             at most 64 MiB of other nodes' data on each node
  umbel run -n 4 --consistency sequential --protocol invalidate ./fig1    is it the memory model?

The program comes from `umbel cc`. A name without a slash is looked up in PATH.
Output is forwarded in whole lines, so lines of two nodes never mix.

Ctrl-C and signals to the launcher reach rank 0, whose end is the job's; if it has not ended
after 2 seconds, or at a second signal, all nodes are killed. No process stays behind, whatever dies.

Exit status: that of main, or
  2        wrong arguments
  120      a node could not go on; its message says why
  121      a node died; the message says which, how, and what ran there
  122      the nodes were not ready in time
  123      the launcher itself failed
  126      the program is no executable made by `umbel cc`
  127      there is no such program
  128+N    rank 0, or the job as a whole, was ended by signal N (130 after Ctrl-C)")]
pub struct Options {
    /// Nodes to start.
    #[arg(short = 'n', long = "nodes", value_name = "N", default_value = "1", value_parser = node_count)]
    node_count: usize,

    /// Begin each line of output with its node: "[2] ...".
    #[arg(long)]
    tag: bool,

    /// After the run, show what moved between nodes, per object and per node, on standard error.
    #[arg(long)]
    stats: bool,

    /// How --stats shows it.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        requires = "stats"
    )]
    stats_format: StatsFormat,

    /// Record each call on all nodes, with waits, faults and messages among them, for `umbel trace report FILE` and its
    /// like. Calls are seen if the program was built by `umbel cc -g -finstrument-functions`.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// With --trace: as `umbel trace record --values`, --args, --trigger, --filter.
    #[command(flatten)]
    tracing: RunTracing,

    #[command(flatten)]
    seeing: SeeingOptions,

    #[command(flatten)]
    memory: MemoryOptions,

    /// What the nodes' messages travel over.
    #[arg(long, value_name = "NAME", env = "UMBEL_TRANSPORT", hide_env = true)]
    transport: Option<Transport>,

    /// Let the nodes run on all processors. Otherwise each keeps to its share, if there are enough and
    /// real-time priority is allowed (root, or `ulimit -r 1`).
    #[arg(long)]
    no_bind: bool,

    /// Program to run.
    #[arg(value_name = "PROG", required = true)]
    program: OsString,

    /// Its arguments.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// What `umbel run --trace` hands on to the recorder, which says what is wrong with it.
#[derive(Args)]
struct RunTracing {
    /// With --trace: values that are captured with each call: none, args, locals, all.
    #[arg(long, value_name = "WHAT", requires = "trace")]
    values: Option<String>,

    /// With --trace: capture of FUNCTION these variables, and no others; `umbel trace record --help` tells more.
    #[arg(long = "args", value_name = "FUNCTION:VAR,VAR...", requires = "trace")]
    rules: Vec<String>,

    /// With --trace: do something when something happens; `umbel trace ctl trigger --help` has the language.
    #[arg(long = "trigger", value_name = "TRIGGER", requires = "trace")]
    triggers: Vec<String>,

    /// With --trace: trace only functions that match RULES.
    #[arg(
        long = "filter",
        value_name = "RULES",
        requires = "trace",
        allow_hyphen_values = true
    )]
    filters: Vec<String>,
}

impl RunTracing {
    /// For `umbel trace record`.
    fn options(&self) -> Vec<String> {
        let several = |name: &str, values: &[String]| {
            let options = values.iter().map(|value| format!("--{name}={value}"));
            options.collect::<Vec<_>>()
        };
        let mut options = several("values", self.values.as_slice());
        options.extend(several("args", &self.rules));
        options.extend(several("trigger", &self.triggers));
        options.extend(several("filter", &self.filters));
        options
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum StatsFormat {
    /// Columns for people.
    Table,
    /// One line of JSON.
    Json,
}

/// Runs the job; the launcher's exit status.
pub fn run(options: Options) -> u8 {
    // Under a recorder already: perhaps the one that `run_traced` has become.
    if let (Some(file), None) = (&options.trace, env::var_os("UMBEL_TRACE_LIVE")) {
        return fail(status::LAUNCHER_FAILED, run_traced(file, &options.tracing));
    }
    let program = match Program::find(&options.program) {
        Ok(program) => program,
        Err(error) => return fail(error.status(), error),
    };
    if let Err(text) = options.memory.check() {
        return fail(status::USAGE, text);
    }
    let transport = match room_for_links(options.node_count, options.transport) {
        Ok(transport) => transport,
        Err(text) => return fail(status::USAGE, text),
    };
    let format = options.stats.then_some(options.stats_format);
    let words = [&options.program].into_iter().chain(&options.arguments);
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let command = format!("umbel run -n {} {}", options.node_count, words.join(" "));
    let seeing = match options.seeing.open(&command) {
        Ok(seeing) => seeing,
        Err(text) => return fail(status::USAGE, text),
    };
    let mut environment = options.memory.environment();
    if options.stats || options.seeing.wants_stats() {
        environment.push(("UMBEL_STATS", "1".into()));
    }
    if seeing.is_some() {
        environment.push(("UMBEL_TIMELINE", "1".into()));
    }
    let plan = Plan {
        program,
        arguments: options.arguments,
        node_count: options.node_count,
        environment,
        // On its share a node's service thread must run at once when something arrives, also under a thread of
        // the program that spins: that takes real-time priority.
        shares: match !options.no_bind && real_time::is_allowed() {
            true => Shares::new(options.node_count),
            false => Shares::default(),
        },
        transport,
    };
    let mut job = match start(&plan, options.tag, seeing) {
        Ok(job) => job,
        Err(error) => return fail(status::LAUNCHER_FAILED, format_args!("{error:#}")),
    };
    job.see_through();
    job.finish_seeing();
    if let Some(format) = format {
        job.show_stats(|documents, has_colour| match format {
            StatsFormat::Table => stats_table::table(&stats::merge(documents), has_colour),
            StatsFormat::Json => stats::json(&stats::merge(documents)),
        });
    }
    job.finish()
}

fn start(plan: &Plan, tags: bool, seeing: Option<Seeing>) -> Result<Job> {
    let outputs = Outputs::new(plan.node_count, tags).context("cannot use standard output")?;
    Job::start(plan, outputs, seeing)
}

/// Becomes a recorder of this very command, so of all nodes; why it can't.
fn run_traced(file: &Path, tracing: &RunTracing) -> io::Error {
    let command = match env::current_exe() {
        Ok(command) => command,
        Err(error) => return error,
    };
    Command::new(&command)
        .args(["trace", "record", "--anyway", "-o"])
        .arg(file)
        .args(tracing.options())
        .arg("--")
        .arg(&command)
        .args(env::args_os().skip(1))
        .exec()
}

fn fail(status: u8, error: impl std::fmt::Display) -> u8 {
    eprintln!("umbel run: {error}");
    status
}

fn node_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a job has at least one node, for instance: umbel run -n 4 ./prog".into()),
        Ok(count) if count > NODES_MAX => Err(format!("a job has at most {NODES_MAX} nodes")),
        Ok(count) => Ok(count),
        Err(_) => Err("give a number of nodes, for instance: umbel run -n 4 ./prog".into()),
    }
}

/// Raises the soft limit of open files to the hard one, and checks that the job fits; the transport to use.
fn room_for_links(node_count: usize, wish: Option<Transport>) -> Result<Transport, String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| format!("cannot read the limit of open files: {errno}"))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .map_err(|errno| format!("cannot raise the limit of open files: {errno}"))?;
    }
    let open_files = |shares_memory| limits::open_files(node_count, shares_memory) as u64;
    let transport = wish.unwrap_or(
        match node_count <= SHM_NODES_MAX && open_files(true) <= hard {
            true => Transport::Shm,
            false => Transport::Unix,
        },
    );
    let shares_memory = transport == Transport::Shm;
    if open_files(shares_memory) <= hard {
        return Ok(transport);
    }
    Err(format!(
        "{node_count} nodes need {} open files in the launcher, the limit is {hard}: \
         start at most {} nodes, or raise the hard limit (ulimit -Hn)",
        open_files(shares_memory),
        most_nodes(hard, shares_memory)
    ))
}

/// Nodes that fit a limit of `open_files`.
pub fn most_nodes(open_files: u64, shares_memory: bool) -> usize {
    let fits = |count: &usize| limits::open_files(*count, shares_memory) as u64 <= open_files;
    (1..=NODES_MAX).take_while(fits).last().unwrap_or(0)
}
