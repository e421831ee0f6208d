//! The project's own commands. `cargo xtask demo` and `cargo xtask test` need nothing but cargo on a
//! fresh machine: what is missing they install, or say how to.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod backend_table;
mod backends;
mod bench;
mod conformance;
mod demo;
mod deps;
mod oracle;
mod sources;
mod stage;
mod step;
mod test;
mod third_party;
mod workspace;

/// Umbel's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile the program of the Shadow Stacks paper's Figure 1 and run it on four nodes.
    Demo,
    /// Run every test: packages, plugin, examples, and a quarter of GCC's own nested-function tests.
    Test,
    /// Build everything and put it under DIR: command, runtime, plugins, headers, manual page.
    Install {
        /// Where to: DIR/bin/umbel and so on.
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
    },
    /// Build everything into the target folder, where the tests find it.
    Stage,
    /// Run what touches shared memory on every fault backend, without privileges, and where userfaultfd is refused.
    Backends {
        /// A part of the tests, on the backends that `cargo xtask test` does not take: what CI runs.
        #[arg(long)]
        quick: bool,
        /// Only in this setting: device, syscall, user-mode, guard, mprotect, unprivileged, refused.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
    },
    /// Measure, and print estimate, figure and ratio.
    Bench {
        /// Only this part.
        part: Option<bench::Part>,
        /// Short runs, to see that everything works.
        #[arg(long)]
        quick: bool,
        /// For the program that measures.
        #[arg(last = true)]
        options: Vec<String>,
    },
    /// Run somebody else's tests through `umbel cc`.
    Conformance {
        #[command(subcommand)]
        suite: Suite,
    },
    /// The tracer's longer tests.
    Trace {
        #[command(subcommand)]
        test: TraceTest,
    },
    /// Compare the values that the tracer captures with gdb's, event by event.
    Oracle(oracle::Options),
    /// Fuzz whatever reads bytes from outside, each time with a new seed.
    Fuzz {
        /// How long.
        #[arg(long, value_name = "N", default_value = "60")]
        seconds: u64,
        /// Repeat the run that printed this seed.
        #[arg(long, value_name = "SEED")]
        seed: Option<u64>,
    },
    /// Install the packages that building and testing need, or say how to.
    Deps,
}

#[derive(Subcommand)]
enum TraceTest {
    /// Others' programs, from Debian's sources: output, status and calls are those without the tracer.
    ThirdParty {
        /// Only what `cargo xtask test` runs: two small ones.
        #[arg(long)]
        quick: bool,
        /// Only those with this in their names.
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
    },
}

#[derive(Subcommand)]
enum Suite {
    /// GCC's own tests with nested functions, all of them, with gcc 12 and gcc 11.
    Gcc {
        /// Only what `cargo xtask test` runs: a fixed quarter at -O0 and -O2 with the default gcc.
        #[arg(long)]
        quarter: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo => demo::run(),
        Command::Test => test::run(),
        Command::Install { prefix } => {
            deps::for_building()?;
            stage::install(&prefix)?;
            println!("installed; try: {}/bin/umbel doctor", prefix.display());
            Ok(())
        }
        Command::Stage => {
            deps::for_building()?;
            stage::stage().map(drop)
        }
        Command::Backends { quick, only } => backends::run(quick, &only),
        Command::Bench {
            part,
            quick,
            options,
        } => bench::run(part, quick, &options),
        Command::Conformance {
            suite: Suite::Gcc { quarter: false },
        } => conformance::full(),
        Command::Conformance {
            suite: Suite::Gcc { quarter: true },
        } => {
            deps::for_testing()?;
            conformance::quarter(&stage::stage()?)
        }
        Command::Trace {
            test: TraceTest::ThirdParty { quick, only },
        } => {
            deps::for_building()?;
            third_party::run(&stage::stage()?, quick, only.as_deref())
        }
        Command::Oracle(options) => {
            deps::for_testing()?;
            // As for the tests: what is staged already.
            let prefix = match env::var_os("UMBEL_PREFIX") {
                Some(prefix) => prefix.into(),
                None => stage::stage()?,
            };
            oracle::run(&prefix, &options)
        }
        Command::Fuzz { seconds, seed } => test::fuzz(seconds, seed),
        Command::Deps => deps::for_testing(),
    }
}
