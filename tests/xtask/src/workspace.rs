//! Folders of the project, and cargo.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The workspace's folder.
pub fn root() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
    let root = Path::new(&manifest).ancestors().nth(2);
    Ok(root
        .context("xtask lies two folders below the root")?
        .to_owned())
}

/// Cargo's output.
pub fn target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        // Cargo takes a relative one from where it was called, and so do we.
        Some(target) => Ok(env::current_dir()?.join(target)),
        None => Ok(root()?.join("target")),
    }
}

/// Where `stage` installs: a prefix like any other.
pub fn staged() -> Result<PathBuf> {
    Ok(target()?.join("umbel"))
}

/// cargo, in the workspace's folder.
pub fn cargo(arguments: &[&str]) -> Result<Command> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = heeding_keys(cargo);
    command.current_dir(root()?).args(arguments);
    Ok(command)
}

/// `program`, with the keyboard's signals as they are by default: what a script starts in the background ignores them, and so would
/// the programs that tests send them to.
pub fn heeding_keys(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,QUIT").arg(program);
    command
}
