//! Why a recording can't be written or read at all.

use std::io;
use std::path::{Path, PathBuf};

/// Why a recording can't be written or read at all. Damage is no error: see [`super::Damage`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no recording of umbel trace (or nothing of it is left); make one with: umbel trace record PROG", .0.display())]
    NoRecording(PathBuf),
    /// The file was written by a later version.
    #[error("{} has version {major} of the recordings' format; this umbel reads versions up to {}: read it with the umbel that wrote it, or a later one", path.display(), super::block::MAJOR)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        major: u16,
    },
}

impl Error {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// What reading and writing give.
pub type Result<T> = std::result::Result<T, Error>;
