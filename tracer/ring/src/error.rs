//! What can be wrong with the shared file.

use core::fmt;

/// Shorthand.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a shared file can't be made or used. The path is the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel refused.
    System {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        errno: i32,
    },
    /// It doesn't begin as such a file does, or isn't whole yet.
    NotLive,
    /// Another version of Umbel made it.
    Version {
        /// Its version.
        found: u32,
    },
    /// Its numbers contradict each other, or it is shorter than they say.
    Damaged,
    /// It can't have more chunks.
    NoMoreChunks,
    /// It can't have more capture plans.
    NoMoreRegions,
    /// No process page is free.
    TooManyProcesses,
}

impl Error {
    pub(crate) fn system(operation: &'static str) -> impl FnOnce(i32) -> Self {
        move |errno| Self::System { operation, errno }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::System { operation, errno } => {
                let advice = match errno {
                    libc::ENOSPC => " (no space left): make room, or set a smaller --buffer",
                    libc::EACCES | libc::EPERM => " (not allowed): use a folder that is yours",
                    libc::EEXIST => {
                        " (it is there): another recorder uses it, or it died; move it away"
                    }
                    libc::ENOENT => " (no such file or folder)",
                    libc::ENOMEM => {
                        " (no memory): raise the limit of address space (ulimit -v), or set a smaller --buffer"
                    }
                    _ => "",
                };
                write!(out, "cannot {operation}: errno {errno}{advice}")
            }
            Self::NotLive => out.write_str("not a file that a recorder shares with its programs"),
            Self::Version { found } => write!(
                out,
                "made by another version of Umbel (layout {found}, not {}): use the same one for the recorder and the program",
                crate::layout::VERSION
            ),
            Self::Damaged => out.write_str("damaged: its numbers contradict its length"),
            Self::NoMoreChunks => out.write_str("it has all the chunks it was made for"),
            Self::NoMoreRegions => out.write_str("there is no room for more capture plans"),
            Self::TooManyProcesses => {
                write!(
                    out,
                    "more than {} processes are traced at one time",
                    crate::PROCESSES_MAX
                )
            }
        }
    }
}

impl core::error::Error for Error {}
