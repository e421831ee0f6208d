//! The first thing a newcomer sees: Figure 1 of the Shadow Stacks paper, on four nodes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::step::{self, step};
use crate::workspace::{root, target};
use crate::{deps, stage};

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
    step("compile Figure 1", || {
        step::run(&mut compiler(&umbel, &source, &program))
    })?;

    println!();
    println!(
        "Four processes now run it as one machine. Node 0 enters main; each thread it creates"
    );
    println!("starts on the next node. The array has the same address everywhere: who touches it");
    println!(
        "without having its bytes gets a page fault, and the runtime fetches them. The program"
    );
    println!("prints nothing; the table shows what happened.");
    println!();
    println!("    $ umbel run -n 4 --stats ./fig1");
    println!();
    step("run Figure 1 on 4 nodes", || {
        step::run(&mut launcher(&umbel, &program))
    })?;
    println!();
    println!(
        "Three threads ran on three nodes. Each stored to the array and had none of it: three"
    );
    println!(
        "write faults. Each got the array's 1200 bytes; nodes that had it at the same time sent home"
    );
    println!(
        "only the bytes they had written, when their threads ended. main's own function waited for"
    );
    println!("its threads before it gave the array up.");
    println!();
    println!("A program that prints: N queens, by threads that take tasks from a shared queue.");
    println!();
    println!("    $ umbel cc -O2 queens.c -o queens && umbel run -n 4 --stats ./queens");
    println!();
    let source = root()?.join("examples/queens.c");
    let program = target()?.join("demo-queens");
    step("compile N queens", || {
        step::run(&mut compiler(&umbel, &source, &program))
    })?;
    step("run N queens on 4 nodes", || {
        step::run(&mut launcher(&umbel, &program))
    })?;
    println!();
    println!("Both also run without `umbel run`, alone on one node, with the same result. More in");
    println!(
        "examples/; `umbel` itself is {}.",
        umbel.strip_prefix(root()?).unwrap_or(&umbel).display()
    );
    Ok(())
}

fn compiler(umbel: &Path, source: &Path, program: &Path) -> Command {
    let mut command = Command::new(umbel);
    command
        .args(["cc", "-O2"])
        .arg(source)
        .arg("-o")
        .arg(program);
    command
}

fn launcher(umbel: &Path, program: &Path) -> Command {
    let mut command = Command::new(umbel);
    command.args(["run", "-n", "4", "--stats"]).arg(program);
    command
}
