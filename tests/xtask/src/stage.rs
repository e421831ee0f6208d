//! Builds everything and puts it under a prefix; runtime/cli/src/layout.rs has the table of places.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::deps::gcc_major;
use crate::step::{output_of, run, step};
use crate::workspace::{cargo, root, staged, target};

/// Versions of gcc that get a plugin where their headers are installed, besides the default gcc.
const GCC_MAJORS: [u32; 2] = [12, 11];

/// Installs into the target folder; the prefix.
pub fn stage() -> Result<PathBuf> {
    let prefix = staged()?;
    install(&prefix)?;
    Ok(prefix)
}

/// Builds everything and installs it under `prefix`.
pub fn install(prefix: &Path) -> Result<()> {
    step("build the runtime and the command", || {
        run(&mut cargo(&[
            "build",
            "--release",
            "-p",
            "umbel-runtime",
            "-p",
            "umbel-cli",
            "-p",
            "umbel-trace-preload",
        ])?)
    })?;
    let compilers = compilers()?;
    for gcc in &compilers {
        step(&format!("build the plugin for {gcc}"), || build_plugin(gcc))?;
    }
    step(&format!("install into {}", prefix.display()), || {
        copy_all(prefix, &compilers)
    })
}

/// Compilers that a plugin can be built for; the default gcc first.
pub fn compilers() -> Result<Vec<String>> {
    let default = gcc_major("gcc")?;
    let named = format!("gcc-{default}");
    let mut compilers = vec![match gcc_major(&named) {
        Ok(_) => named,
        Err(_) => "gcc".into(),
    }];
    for major in GCC_MAJORS.into_iter().filter(|major| *major != default) {
        let gcc = format!("gcc-{major}");
        if has_plugin_headers(&gcc) {
            compilers.push(gcc);
        }
    }
    Ok(compilers)
}

/// The plugin for `gcc` as make builds it.
pub fn built_plugin(gcc: &str) -> Result<PathBuf> {
    let major = gcc_major(gcc)?;
    Ok(plugin_output()?.join(format!("umbel_gcc{major}.so")))
}

/// make in the plugin's folder, for `gcc`.
pub fn make_plugin(gcc: &str) -> Result<Command> {
    let mut make = Command::new("make");
    make.arg("-s").arg("-C").arg(root()?.join("cc-plugin"));
    make.arg(format!(
        "-j{}",
        std::thread::available_parallelism().map_or(1, usize::from)
    ));
    make.args(["--no-print-directory", "CXX=g++"]);
    make.arg(format!("GCC={gcc}"));
    make.arg(format!("OUT={}", plugin_output()?.display()));
    Ok(make)
}

fn build_plugin(gcc: &str) -> Result<()> {
    run(&mut make_plugin(gcc)?)
}

fn plugin_output() -> Result<PathBuf> {
    Ok(target()?.join("cc-plugin"))
}

fn has_plugin_headers(gcc: &str) -> bool {
    let folder = output_of(Command::new(gcc).arg("-print-file-name=plugin"));
    folder.is_ok_and(|folder| Path::new(&folder).join("include/gcc-plugin.h").is_file())
}

fn copy_all(prefix: &Path, compilers: &[String]) -> Result<()> {
    let root = root()?;
    let release = target()?.join("release");
    let libraries = prefix.join("lib/umbel");
    let headers = prefix.join("include/umbel");
    copy(&release.join("umbel"), &prefix.join("bin"))?;
    copy(&release.join("libumbel.so"), &libraries)?;
    copy(&release.join("libumbel_trace.so"), &libraries)?;
    copy(&plugin_output()?.join("umbel_crt.o"), &libraries)?;
    for gcc in compilers {
        copy(&built_plugin(gcc)?, &libraries)?;
    }
    copy(&root.join("runtime/include/umbel.h"), &headers)?;
    copy(&root.join("runtime/include/umbel_abi.h"), &headers)?;
    copy(
        &root.join("runtime/cli/umbel.1"),
        &prefix.join("share/man/man1"),
    )
}

/// Copies `file` into `folder` under its own name. Programs that run from the old one keep it.
fn copy(file: &Path, folder: &Path) -> Result<()> {
    let copying = || -> Result<()> {
        let name = file.file_name().context("a file has a name")?;
        fs::create_dir_all(folder)?;
        let part = folder.join(format!(".{}.{}", name.display(), std::process::id()));
        fs::copy(file, &part)?;
        fs::rename(&part, folder.join(name))?;
        Ok(())
    };
    copying().with_context(|| format!("copying {} into {}", file.display(), folder.display()))
}
