//! The first thing a newcomer sees: Figure 1 of the Shadow Stacks paper, on four nodes.

use std::process::Command;

use anyhow::{Result, bail};

use crate::step::{self, step};
use crate::workspace::{root, target};
use crate::{deps, stage};

/// Statuses of `umbel run` that are not main's: its own, and those of the signals of a crash.
const FAILURES: [i32; 12] = [2, 120, 121, 122, 123, 126, 127, 132, 134, 135, 137, 139];

pub fn run() -> Result<()> {
    deps::for_building()?;
    let prefix = stage::stage()?;
    let umbel = prefix.join("bin/umbel");
    let source = root()?.join("examples/fig1.c");
    let program = target()?.join("demo-fig1");

    println!();
    println!("This is the program of the Shadow Stacks paper's Figure 1. Its main has an array,");
    println!("and nested functions that read and write it run as threads:");
    println!();
    for line in std::fs::read_to_string(&source)?.lines() {
        println!("    {line}");
    }
    println!();
    println!("`umbel cc` is gcc with a plugin: what the nested functions use becomes sharable.");
    println!();
    println!("    $ umbel cc -O2 fig1.c -o fig1");
    println!();
    let mut compile = Command::new(&umbel);
    compile
        .args(["cc", "-O2"])
        .arg(&source)
        .arg("-o")
        .arg(&program);
    step("compile Figure 1", || step::run(&mut compile))?;

    println!();
    println!(
        "Four processes now run it as one machine. Rank 0 enters main; each thread it creates"
    );
    println!("starts on another node. The array has the same address everywhere: who touches it");
    println!(
        "without having its bytes gets a page fault, and the runtime fetches them. Lines begin"
    );
    println!("with the node that wrote them; the table at the end says which objects moved.");
    println!();
    println!("    $ umbel run -n 4 --tag --stats ./fig1");
    println!();
    step("run Figure 1 on 4 nodes", || {
        let mut launcher = Command::new(&umbel);
        launcher
            .args(["run", "-n", "4", "--tag", "--stats"])
            .arg(&program);
        let status = launcher.status()?;
        match status.code() {
            Some(code) if !FAILURES.contains(&code) => Ok(()),
            Some(_) | None => bail!("umbel run: {status}"),
        }
    })?;

    println!();
    println!("The same program without `umbel run`, alone on one node:");
    println!();
    println!("    $ ./fig1");
    println!();
    step("run Figure 1 alone", || {
        let status = Command::new(&program).status()?;
        match status.code() {
            Some(_) => Ok(()),
            None => bail!("fig1: {status}"),
        }
    })?;
    println!();
    println!("Its main returns nothing, so its exit status means nothing. For programs that print");
    println!("what they computed, see examples/; all of them run under `cargo xtask test`.");
    Ok(())
}
