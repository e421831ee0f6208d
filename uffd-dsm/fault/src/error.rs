//! What the world can do to the fault machinery.

use std::io;

/// An operation that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No backend is allowed here.
    #[error("cannot get page faults reported: {reason}; run `umbel doctor`")]
    NoBackend {
        /// Every backend tried, and what it answered.
        reason: String,
    },
    /// `UMBEL_FAULT_BACKEND` names something else.
    #[error(
        "UMBEL_FAULT_BACKEND={0} is unknown; use device, syscall, user-mode, guard or mprotect"
    )]
    UnknownBackend(String),
    /// A system call failed.
    #[error("cannot {operation}: {source}; {advice}")]
    System {
        /// What was tried, with its object.
        operation: String,
        /// What the kernel said.
        source: io::Error,
        /// What the user can do.
        advice: &'static str,
    },
}

/// Advice where there is none.
pub(crate) const OUR_FAULT: &str = "this is a fault in Umbel or the kernel";

impl Error {
    pub(crate) fn system(
        operation: impl Into<String>,
        source: io::Error,
        advice: &'static str,
    ) -> Self {
        Self::System {
            operation: operation.into(),
            source,
            advice,
        }
    }
}
