//! userfaultfd calls that the `userfaultfd` crate lacks: opening with a fallback, newer feature bits,
//! CONTINUE with MODE_WP and its partial result.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::backend::Backend;

/// `struct uffdio_api` of linux/userfaultfd.h.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_continue`.
#[repr(C)]
struct Continue {
    start: u64,
    len: u64,
    mode: u64,
    mapped: i64,
}

const API: u64 = 0xAA;
/// THREAD_ID is informative only; the others are what the three rights need on shared memory.
const FEATURES: u64 = (1 << 5) // MISSING_SHMEM
    | (1 << 8) // THREAD_ID
    | (1 << 10) // MINOR_SHMEM
    | (1 << 12); // WP_HUGETLBFS_SHMEM
/// With these, stores to write-protected pages don't fault: the kernel notes them.
pub const TRACKING: u64 = (1 << 13) // WP_UNPOPULATED
    | (1 << 15); // WP_ASYNC
/// A fault is a SIGBUS of the thread that made it, and no event.
const SIGBUS: u64 = 1 << 7;
const USER_MODE_ONLY: libc::c_int = 1;
const USERFAULTFD_IOC_NEW: libc::c_ulong = 0xAA00;
const UFFDIO_API: libc::c_ulong = 0xC018_AA3F;
const UFFDIO_CONTINUE: libc::c_ulong = 0xC020_AA07;
const CONTINUE_MODE_WP: u64 = 1 << 1;

/// Opens a userfaultfd by this backend and agrees on the features, with `more` than those that every one has;
/// non-blocking, closed on exec.
pub fn open(backend: Backend, more: u64) -> io::Result<OwnedFd> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    let raw = match backend {
        Backend::Device => {
            let device = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/userfaultfd")?;
            // SAFETY: an ioctl on an open descriptor that takes its flags by value.
            unsafe { libc::ioctl(device.as_raw_fd(), USERFAULTFD_IOC_NEW, flags) }
        }
        // SAFETY: a system call that takes its flags by value.
        Backend::Syscall => unsafe { libc::syscall(libc::SYS_userfaultfd, flags) as RawFd },
        // SAFETY: as above.
        Backend::UserMode => unsafe {
            libc::syscall(libc::SYS_userfaultfd, flags | USER_MODE_ONLY) as RawFd
        },
        // They have none.
        Backend::Guard | Backend::Mprotect => {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
    };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
    let signals = match backend.faults_are_signals() {
        true => SIGBUS,
        false => 0,
    };
    let mut api = Api {
        api: API,
        features: FEATURES | signals | more,
        ioctls: 0,
    };
    // SAFETY: `api` is a live uffdio_api that the kernel fills in.
    let result = unsafe { libc::ioctl(descriptor.as_raw_fd(), UFFDIO_API, &mut api as *mut Api) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(descriptor)
}

/// `struct uffdio_copy`.
#[repr(C)]
struct Copy {
    target: u64,
    source: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

const UFFDIO_COPY: libc::c_ulong = 0xC028_AA03;
const COPY_MODE_WP: u64 = 1 << 1;

/// Makes pages that the file has not yet, maps them from `start` on, write-protected or not, and wakes who waits for
/// them. As many of `pages` as lie one behind the other, so that one call does.
///
/// Returns the bytes copied, before an error if there is one; EEXIST: the file has the next page.
pub fn copy_pages(
    descriptor: RawFd,
    start: usize,
    pages: &[&[u8]],
    write_protect: bool,
) -> (usize, io::Result<()>) {
    let source = pages.first().map_or(0, |page| page.as_ptr() as usize);
    let mut len = 0;
    for page in pages {
        if page.as_ptr() as usize != source + len {
            break;
        }
        len += page.len();
    }
    let mut request = Copy {
        target: start as u64,
        source: source as u64,
        len: len as u64,
        mode: if write_protect { COPY_MODE_WP } else { 0 },
        copied: 0,
    };
    // SAFETY: `request` is a live uffdio_copy; its source is made of borrowed slices without gaps; the kernel refuses
    // targets outside the registration.
    let result = unsafe { libc::ioctl(descriptor, UFFDIO_COPY, &mut request as *mut Copy) };
    let copied = usize::try_from(request.copied).unwrap_or(0);
    if result < 0 {
        (copied, Err(io::Error::last_os_error()))
    } else {
        (copied, Ok(()))
    }
}

/// Maps page-cache pages of `start..start + len`, write-protected or not, and wakes who waits for them.
///
/// Returns the bytes mapped before an error, with the error.
pub fn map_pages(
    descriptor: RawFd,
    start: usize,
    len: usize,
    write_protect: bool,
) -> (usize, io::Result<()>) {
    let mut request = Continue {
        start: start as u64,
        len: len as u64,
        mode: if write_protect { CONTINUE_MODE_WP } else { 0 },
        mapped: 0,
    };
    // SAFETY: `request` is a live uffdio_continue; the kernel refuses ranges outside the registration.
    let result = unsafe { libc::ioctl(descriptor, UFFDIO_CONTINUE, &mut request as *mut Continue) };
    let mapped = usize::try_from(request.mapped).unwrap_or(0);
    if result < 0 {
        (mapped, Err(io::Error::last_os_error()))
    } else {
        (mapped, Ok(()))
    }
}
