//! The `umbel` command: one file per subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cc;
mod doctor;
mod layout;
mod run;
mod signals;
mod status;
mod sys;
mod trace;

/// Runs GNU-C programs with nested functions on several nodes as if they were one machine.
///
/// Compile with `umbel cc`, run with `umbel run`; `umbel doctor` says what this machine lacks.
#[derive(Parser)]
#[command(
    name = "umbel",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  umbel cc -O2 fig1.c -o fig1      compile: gcc's own arguments, unchanged C
  umbel run -n 4 ./fig1            run on 4 nodes; rank 0 runs main
  umbel run -n 4 --tag ./fig1      the same, each output line with its node
  umbel run -n 4 --stats ./fig1    the same, then a table of what moved between nodes
  ./fig1                           alone on one node, with the same result
  umbel trace record ./prog        every call of a program built with -finstrument-functions
  umbel doctor                     can programs run here, and if not, why

`umbel COMMAND --help` explains a command with examples; see also umbel(1).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Options>),
    Cc(cc::Options),
    Trace(Box<trace::Options>),
    Doctor(doctor::Options),
}

fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Run(options) => run::run(*options),
        Command::Cc(options) => cc::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Trace(options) => trace::run(&options),
    };
    ExitCode::from(status)
}
