//! Why a session can't begin.

use std::io;
use std::path::PathBuf;

/// Why a session can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another recorder writes this recording.
    #[error("{} is being recorded; choose another file with -o, or end that session: umbel trace ctl -s {} stop", .0.display(), .0.display())]
    InUse(PathBuf),
    /// The shared file can't be made.
    #[error("{}: {source}", path.display())]
    Live {
        /// The file.
        path: PathBuf,
        /// Why.
        source: umbel_trace_ring::Error,
    },
    /// The recording can't be made.
    #[error(transparent)]
    Recording(#[from] crate::recording::Error),
    /// The system refuses something.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A path that no file can have.
    #[error("{} is no path", .0.display())]
    Path(PathBuf),
}

impl Error {
    pub(super) fn system(what: &'static str, path: PathBuf, source: io::Error) -> Self {
        Self::System { what, path, source }
    }
}
