//! Which way to page faults this machine allows.
//!
//! | order | name | what it needs | a fault is | system calls on absent pages |
//! |---|---|---|---|---|
//! | 1 | `user-mode` | nothing (kernel 5.11) | a SIGBUS | fail with EFAULT |
//! | 2 | `device` | read and write permission on /dev/userfaultfd | read by the service thread | work |
//! | 3 | `syscall` | CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1 | the same | work |
//! | 4 | `guard` | guard pages in shared memory (kernel 6.15) | a SIGSEGV | fail with EFAULT |
//! | 5 | `mprotect` | nothing | a SIGSEGV | fail with EFAULT |
//!
//! Containers often forbid the system call (1, 3) but not the device (2) if it is passed in.
//!
//! The first is the quickest: a thread that gets a signal can serve its fault itself, without two switches to
//! another thread and back (3 us of a read miss of 10.5 in shared memory here). System calls by the C library work with
//! all of them.

use std::io;
use std::os::fd::OwnedFd;

use crate::PAGE_BYTES;
use crate::error::Error;
use crate::space::MADV_GUARD_INSTALL;
use crate::sys::map::{Mapping, memory_file};
use crate::sys::uffd;

/// A way to get page faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// /dev/userfaultfd.
    Device,
    /// userfaultfd(2) for user and kernel faults.
    Syscall,
    /// userfaultfd(2) with UFFD_USER_MODE_ONLY and UFFD_FEATURE_SIGBUS.
    UserMode,
    /// SIGSEGV, with guard pages where there are no rights.
    Guard,
    /// SIGSEGV, with mprotect(2) alone.
    Mprotect,
}

/// What [`probe`] found out about one backend.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// Name as in `UMBEL_FAULT_BACKEND`.
    pub name: String,
    /// Whether a distributed program can run with it.
    pub usable: bool,
    /// What was tried and what the kernel said.
    pub reason: String,
    /// What would make it usable, or better.
    pub fix: Option<String>,
}

impl Backend {
    pub(crate) const ORDER: [Backend; 5] = [
        Backend::UserMode,
        Backend::Device,
        Backend::Syscall,
        Backend::Guard,
        Backend::Mprotect,
    ];

    /// Name as in `UMBEL_FAULT_BACKEND`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Syscall => "syscall",
            Self::UserMode => "user-mode",
            Self::Guard => "guard",
            Self::Mprotect => "mprotect",
        }
    }

    /// Whether system calls fault as code does; elsewhere they fail with EFAULT on pages without rights.
    pub fn kernel_faults(self) -> bool {
        match self {
            Self::Device | Self::Syscall => true,
            Self::UserMode | Self::Guard | Self::Mprotect => false,
        }
    }

    /// Whether a fault is a signal of the thread that made it. Then the thread can serve it by itself:
    /// [`set_server`](crate::signals::set_server).
    pub fn faults_are_signals(self) -> bool {
        match self {
            Self::Device | Self::Syscall => false,
            Self::UserMode | Self::Guard | Self::Mprotect => true,
        }
    }

    /// Whether it can be used here; its userfaultfd, if it has one.
    pub(crate) fn open(self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Device | Self::Syscall | Self::UserMode => uffd::open(self, 0).map(Some),
            Self::Guard => try_guard().map(|()| None),
            Self::Mprotect => Ok(None),
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Device => {
                "give the user access: chmod 0666 /dev/userfaultfd (containers: --device /dev/userfaultfd)"
            }
            Self::Syscall => "run as root, or: sysctl vm.unprivileged_userfaultfd=1",
            Self::UserMode => "needs Linux 5.13 and a seccomp filter that allows userfaultfd",
            Self::Guard => "needs Linux 6.15",
            Self::Mprotect => "nothing is needed",
        }
    }
}

/// Tries every backend, in the order in which a node would choose.
pub fn probe() -> Vec<BackendReport> {
    Backend::ORDER
        .into_iter()
        .map(|backend| match backend.open() {
            Ok(_) => BackendReport {
                name: backend.name().into(),
                usable: true,
                reason: match backend {
                    Backend::Device | Backend::Syscall => {
                        "allowed; has every feature needed".into()
                    }
                    Backend::UserMode | Backend::Guard | Backend::Mprotect => {
                        "allowed; raw system calls on absent shared memory fail with EFAULT".into()
                    }
                },
                fix: None,
            },
            Err(error) => BackendReport {
                name: backend.name().into(),
                usable: false,
                reason: error.to_string(),
                fix: Some(backend.fix().into()),
            },
        })
        .collect()
}

/// Opens the first allowed backend, or the one that `UMBEL_FAULT_BACKEND` names.
/// With its userfaultfd, if it has one.
pub(crate) fn open_best() -> Result<(Backend, Option<OwnedFd>), Error> {
    let forced = std::env::var("UMBEL_FAULT_BACKEND")
        .ok()
        .filter(|name| !name.is_empty() && name != "auto");
    let candidates: Vec<Backend> = match &forced {
        None => Backend::ORDER.to_vec(),
        Some(name) => Backend::ORDER
            .into_iter()
            .filter(|backend| backend.name() == name)
            .collect(),
    };
    if candidates.is_empty() {
        return Err(Error::UnknownBackend(forced.unwrap_or_default()));
    }
    let mut reasons = Vec::new();
    for backend in candidates {
        match backend.open() {
            Ok(descriptor) => return Ok((backend, descriptor)),
            Err(error) => reasons.push(format!("{}: {error}", backend.name())),
        }
    }
    Err(Error::NoBackend {
        reason: reasons.join("; "),
    })
}

/// Whether this kernel puts guard pages into shared memory.
fn try_guard() -> io::Result<()> {
    let file = memory_file(c"umbel-guard", PAGE_BYTES as u64)?;
    let mapping = Mapping::new(0, PAGE_BYTES, Some((&file, 0)))?;
    let result = mapping.advise(MADV_GUARD_INSTALL);
    mapping.unmap();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_says_why_and_unusable_ones_how_to_fix_it() {
        let reports = probe();
        assert_eq!(reports.len(), 5);
        for report in reports {
            assert!(!report.reason.is_empty());
            assert_eq!(report.usable, report.fix.is_none(), "{report:?}");
        }
    }
}
