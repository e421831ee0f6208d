//! Which gcc is in use.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Major version of `gcc`, for which the plugin must have been made.
pub fn major(gcc: &OsStr) -> Result<u32> {
    let shown = gcc.display();
    let output = Command::new(gcc)
        .args(["-dumpfullversion", "-dumpversion"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| {
            format!("cannot run {shown}; is it installed? --umbel-gcc=GCC names another")
        })?;
    if !output.status.success() {
        bail!(
            "{shown} does not say its version: it is no gcc; --umbel-gcc=GCC names another \
             compiler"
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let major = text
        .trim()
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    major.with_context(|| {
        format!(
            "{shown} says its version is {:?}, not a number",
            text.trim()
        )
    })
}
