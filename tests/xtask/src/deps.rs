//! Debian packages that building and testing need: missing ones are installed when root, and
//! otherwise named in the command that installs them.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::step::{output_of, run, step};

/// A package, and a pattern of others that serve as well.
struct Need {
    package: String,
    or: Option<&'static str>,
}

/// What building needs: the compilers, and libclang for the userfaultfd crate's bindings.
pub fn for_building() -> Result<()> {
    provide(
        "packages for building",
        &[
            need("gcc"),
            need("g++"),
            need("make"),
            need("binutils"),
            need("linux-libc-dev"),
            Need {
                package: "libclang1-14".into(),
                or: Some("libclang1-[0-9]*"),
            },
            Need {
                package: "libclang-common-14-dev".into(),
                or: Some("libclang-common-[0-9]*-dev"),
            },
        ],
    )?;
    // Only now is there surely a gcc that says its version.
    let major = gcc_major("gcc")?;
    provide("plugin headers", &[need(format!("gcc-{major}-plugin-dev"))])
}

/// What the tests need besides.
pub fn for_testing() -> Result<()> {
    for_building()?;
    let names = ["gdb", "python3", "babeltrace2"];
    provide("packages for testing", &names.map(need))
}

/// What others use today, to be measured beside ours.
pub fn for_peers() -> Result<()> {
    let names = ["openmpi-bin", "libopenmpi-dev", "mpich", "libmpich-dev"];
    provide("packages for comparisons", &names.map(need))
}

/// Other tracers, to be measured beside ours, and what builds the programs that are traced.
pub fn for_tracers() -> Result<()> {
    let names = ["uftrace", "lttng-tools", "liblttng-ust1", "tcl", "xz-utils"];
    provide("packages for comparing tracers", &names.map(need))
}

/// What builds the programs that are tested under the tracer.
pub fn for_third_party() -> Result<()> {
    let names = ["cmake", "tcl", "xz-utils"];
    provide("packages for others' programs", &names.map(need))
}

/// What the quarter of GCC's own tests that CI runs needs: their source.
pub fn for_conformance_quarter() -> Result<()> {
    provide(
        "GCC's own tests",
        &[need("gcc-12-source"), need("xz-utils")],
    )
}

/// What all of GCC's own tests need: their source, and the second compiler.
pub fn for_conformance() -> Result<()> {
    for_testing()?;
    provide(
        "packages for conformance",
        &[
            need("gcc-12-source"),
            need("xz-utils"),
            need("python3"),
            need("gcc-12"),
            need("gcc-12-plugin-dev"),
            need("gcc-11"),
            need("g++-11"),
            need("gcc-11-plugin-dev"),
        ],
    )
}

/// Major version of `gcc`.
pub fn gcc_major(gcc: &str) -> Result<u32> {
    let version = output_of(Command::new(gcc).arg("-dumpversion"))?;
    match version.split('.').next().map(str::parse) {
        Some(Ok(major)) => Ok(major),
        Some(Err(_)) | None => bail!("{gcc} -dumpversion says {version:?}, not a version"),
    }
}

fn need(package: impl Into<String>) -> Need {
    Need {
        package: package.into(),
        or: None,
    }
}

fn provide(what: &str, needs: &[Need]) -> Result<()> {
    if Command::new("dpkg-query")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!(
            "no dpkg-query here: taking for granted what Debian calls {}",
            names(needs)
        );
        return Ok(());
    }
    let missing: Vec<&str> = needs
        .iter()
        .filter(|need| !is_provided(need))
        .map(|need| need.package.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if output_of(Command::new("id").arg("-u"))? != "0" {
        bail!(
            "{what} are missing; install them with\n  sudo apt-get update && sudo apt-get install \
             -y --no-install-recommends {}",
            missing.join(" ")
        );
    }
    step(&format!("installing {}", missing.join(" ")), || {
        run(apt_get().arg("update"))?;
        run(apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&missing))
    })
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    if env::var_os("LC_ALL").is_none() {
        command.env("LC_ALL", "C");
    }
    command
}

fn is_provided(need: &Need) -> bool {
    let is_installed = |pattern: &str| {
        let mut query = Command::new("dpkg-query");
        query
            .args(["-W", "-f", "${db:Status-Status}\\n", pattern])
            .stderr(Stdio::null());
        let output = query
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default();
        String::from_utf8_lossy(&output)
            .lines()
            .any(|line| line == "installed")
    };
    is_installed(&need.package) || need.or.is_some_and(is_installed)
}

fn names(needs: &[Need]) -> String {
    let names: Vec<&str> = needs.iter().map(|need| need.package.as_str()).collect();
    names.join(" ")
}
