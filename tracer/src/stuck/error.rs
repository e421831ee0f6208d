//! Why a process can't be looked at.

use std::io;

/// Why a process can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no process {0}")]
    None(i32),
    /// It ended.
    #[error("process {0} has ended")]
    Ended(i32),
    /// It is the kernel's.
    #[error("{0} is a thread of the kernel: it has no program")]
    Kernel(i32),
    /// It is somebody else's.
    #[error(
        "process {0} doesn't let you look into it: be its user, or root (and in containers: allow ptrace, CAP_SYS_PTRACE)"
    )]
    Forbidden(i32),
    /// Anything else.
    #[error("cannot read {0}: {1}")]
    System(String, #[source] io::Error),
}

/// What looking gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Of something in a process's folder of /proc.
    pub(super) fn of(pid: i32, path: &str, error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => Self::None(pid),
            (io::ErrorKind::PermissionDenied, _) => Self::Forbidden(pid),
            (_, Some(libc::ESRCH)) => Self::Ended(pid),
            _ => Self::System(path.to_owned(), error),
        }
    }
}
