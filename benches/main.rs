//! Measures and prints the table: `cargo xtask bench [--quick]` builds everything and starts this.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use umbel_benches::programs::Workshop;
use umbel_benches::{
    Effort, distributed, estimates, growth, local, patterns, peers, raw, table, trace,
};

/// Measures and prints the table; start it with `cargo xtask bench`.
#[derive(Parser)]
struct Options {
    /// Where `umbel` is installed.
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,
    /// Folder for the programs.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// What criterion has measured; left out of the table without this.
    #[arg(long, value_name = "DIR")]
    criterion: Option<PathBuf>,
    /// Short runs.
    #[arg(long)]
    quick: bool,
    /// Only the patterns of sharing under each protocol, in a table of their own.
    #[arg(long)]
    patterns: bool,
    /// Only the comparison with MPI and the floor over a transport; may be given several times.
    #[arg(long, value_name = "TRANSPORT")]
    peers: Vec<peers::Transport>,
    /// Only the tracer beside other tracers; a folder with the programs' sources.
    #[arg(long, value_name = "SOURCES")]
    trace: Option<PathBuf>,
    /// Others' programs under the tracer: is all as it is without? A folder with their sources.
    #[arg(long, value_name = "SOURCES")]
    third_party: Option<PathBuf>,
    /// Of a comparison only the rows that have this in their names.
    #[arg(long, value_name = "WORDS", default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, first, processor] = &arguments[..]
        && first == raw::PARTNER
    {
        return raw::be_partner(processor);
    }
    let options = Options::parse();
    let effort = if options.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    if let Some(sources) = &options.trace {
        let umbel = options.prefix.join("bin/umbel");
        let table = trace::table(&umbel, sources, &options.output, effort, &options.only)?;
        print!("{table}");
        return Ok(());
    }
    if let Some(sources) = &options.third_party {
        let umbel = options.prefix.join("bin/umbel");
        let quick = options.quick;
        let (table, is_right) =
            trace::third_party(&umbel, sources, &options.output, quick, &options.only)?;
        print!("{table}");
        anyhow::ensure!(
            is_right,
            "the tracer changes what programs do, or loses calls"
        );
        return Ok(());
    }
    let workshop = Workshop::new(&options.prefix, &options.output)?;
    if options.patterns {
        print!("{}", patterns::table(&workshop, effort)?);
        return Ok(());
    }
    if !options.peers.is_empty() {
        for transport in options.peers {
            println!(
                "{}",
                peers::table(&workshop, effort, transport, &options.only)?
            );
        }
        return Ok(());
    }
    let mut rows = local::rows(&workshop, effort)?;
    rows.extend(distributed::rows(&workshop, effort)?);
    rows.extend(growth::rows(&workshop, effort)?);
    if let Some(folder) = &options.criterion {
        rows.extend(estimates::rows(folder)?);
    }
    print!("{}", table::render(&rows));
    Ok(())
}
