//! A memory file, its views, and the rights of their pages.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use userfaultfd::{Event, EventBuffer, FaultKind, ReadWrite, RegisterMode, Uffd};

use crate::PAGE_BYTES;
use crate::backend::{self, Backend};
use crate::error::Error;
use crate::signals;
use crate::sys::map::{Mapping, Word, memory_file};
use crate::sys::uffd;
use crate::tracking::{Tracker, write_tracking};

/// What a page of a view allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Every access faults.
    None,
    /// Stores fault.
    Read,
    /// Nothing faults.
    Write,
}

/// One mapping of a part of the file at a fixed address.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// First address; a multiple of the page size.
    pub address: usize,
    /// Length in bytes.
    pub len: usize,
    /// Where in the file the view begins, in bytes.
    pub file_offset: u64,
    /// Whether the kernel should tell which pages were written, if it can: such a page has all rights or none.
    pub is_tracked: bool,
}

/// What to map.
#[derive(Clone, Debug)]
pub struct SpaceLayout {
    /// Bytes of the memory file.
    pub file_bytes: u64,
    /// The views; adjacent ones are registered with one call.
    pub views: Vec<View>,
}

/// An access that a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Start of the page accessed.
    pub address: usize,
    /// Whether it was a store (or an atomic operation, also one that fails to store).
    pub write: bool,
    /// Who waits: gettid(2) of the thread.
    pub thread: u32,
}

/// Memory whose pages' rights this process controls, and whose bytes it can always reach.
///
/// Lasts until the process ends: closing the userfaultfd would make absent pages silently readable.
pub struct Space {
    uffd: Uffd,
    /// Of the tracked views.
    tracker: Option<Tracker>,
    backend: Backend,
    file: OwnedFd,
    engine_view: Mapping,
    views: Vec<(View, Mapping)>,
    events: EventBuffer,
}

impl Space {
    /// Maps the views at their addresses with no rights on any page.
    ///
    /// Fails if another mapping is in the way, if the address-space limit (`ulimit -v`) is too low, or if
    /// no fault backend is allowed.
    pub fn new(layout: &SpaceLayout) -> Result<Self, Error> {
        let (backend, descriptor) = backend::open_best()?;
        signals::install()?;
        let uffd = crate::sys::adopt(descriptor);
        let file = memory_file(c"umbel-window", layout.file_bytes).map_err(|source| {
            Error::system(
                "create the window's memory file",
                source,
                "is memfd_create forbidden here?",
            )
        })?;
        let advice = "raise `ulimit -v`, or see /proc/self/maps for what is in the way";
        let engine_view = Mapping::new(0, layout.file_bytes as usize, Some((&file, 0)))
            .map_err(|source| Error::system("map the engine view", source, advice))?;
        let mut views = Vec::with_capacity(layout.views.len());
        for view in &layout.views {
            let mapping = Mapping::new(view.address, view.len, Some((&file, view.file_offset)))
                .map_err(|source| {
                    Error::system(
                        format!("map the window at {:#x}", view.address),
                        source,
                        advice,
                    )
                })?;
            signals::add_window(view.address..view.address + view.len);
            views.push((*view, mapping));
        }
        for mapping in views
            .iter()
            .map(|(_, mapping)| mapping)
            .chain([&engine_view])
        {
            for option in [
                libc::MADV_DONTDUMP,
                libc::MADV_DONTFORK,
                libc::MADV_NOHUGEPAGE,
            ] {
                mapping.advise(option).map_err(|source| {
                    Error::system("set the window's options", source, "this kernel is too old")
                })?;
            }
        }
        let mode = RegisterMode::MISSING | RegisterMode::MINOR | RegisterMode::WRITE_PROTECT;
        let tracker = match write_tracking() {
            Ok(()) => Tracker::open(backend).ok(),
            Err(_) => None,
        };
        for (address, len, is_tracked) in runs(&layout.views) {
            let uffd = match &tracker {
                Some(tracker) if is_tracked => &tracker.uffd,
                Some(_) | None => &uffd,
            };
            uffd.register_with_mode(address as *mut libc::c_void, len, mode)
                .map_err(|error| {
                    Error::system(
                        "register the window with userfaultfd",
                        io::Error::other(error),
                        "Linux 5.19 or newer is needed",
                    )
                })?;
        }
        Ok(Self {
            uffd,
            tracker,
            backend,
            file,
            engine_view,
            views,
            events: EventBuffer::new(limits::EVENTS_PER_READ),
        })
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Descriptors that become readable when a thread faults.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.uffds().map(Uffd::as_raw_fd)
    }

    /// Whether the kernel tells which pages of tracked views were written.
    pub fn tracks_writes(&self) -> bool {
        self.tracker.is_some()
    }

    /// The pages of a range of a tracked view that have rights and were written since the last call (or since they
    /// got their rights), added as runs of addresses. What is stored after they were found counts for the next
    /// call; what was stored before is in the file when this returns.
    pub fn take_written(
        &self,
        range: Range<usize>,
        written: &mut Vec<Range<usize>>,
    ) -> Result<(), Error> {
        match &self.tracker {
            Some(tracker) => tracker.take_written(range, written),
            None => {
                written.push(range);
                Ok(())
            }
        }
    }

    fn uffds(&self) -> impl Iterator<Item = &Uffd> {
        let tracked = self.tracker.iter().map(|tracker| &tracker.uffd);
        std::iter::once(&self.uffd).chain(tracked)
    }

    fn uffd_of(&self, address: usize) -> &Uffd {
        match &self.tracker {
            Some(tracker) if self.view_of(address).0.is_tracked => &tracker.uffd,
            Some(_) | None => &self.uffd,
        }
    }

    /// Faults that threads wait for now; `true` if there may be more. The same fault may come twice (a
    /// signal handler ran in between).
    pub fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<bool, Error> {
        faults.clear();
        let mut is_more = false;
        let tracked = self.tracker.iter().map(|tracker| &tracker.uffd);
        for uffd in std::iter::once(&self.uffd).chain(tracked) {
            let before = faults.len();
            read_faults(uffd, &mut self.events, faults)?;
            is_more |= faults.len() - before == limits::EVENTS_PER_READ;
        }
        Ok(is_more)
    }

    /// Gives `pages` pages from `address` these rights and wakes the threads that wait for them.
    ///
    /// Raising rights costs one call for all pages (0.02-0.6 us per page) and no interrupt; lowering them
    /// interrupts the other cores that run this process once per call.
    pub fn set_rights(&self, address: usize, pages: usize, rights: Rights) -> Result<(), Error> {
        match rights {
            Rights::Read if self.tracks_writes() => assert!(
                !self.view_of(address).0.is_tracked,
                "stores to a tracked page can't be refused"
            ),
            Rights::None | Rights::Read | Rights::Write => {}
        }
        match rights {
            Rights::None => self.revoke(address, pages),
            Rights::Read => self.map(address, pages, true),
            Rights::Write => self.map(address, pages, false),
        }
    }

    /// Copies `target.len()` bytes of the file from `file_offset`.
    pub fn read(&self, file_offset: u64, target: &mut [u8]) {
        self.engine_view.read(file_offset as usize, target);
    }

    /// Copies `source` into the file at `file_offset`.
    pub fn write(&self, file_offset: u64, source: &[u8]) {
        self.engine_view.write(file_offset as usize, source);
    }

    /// The word of `width` bytes (1, 2, 4 or 8) at `file_offset`, shared with every view; `None` if there is no
    /// such word or it isn't aligned to its width.
    pub fn word(&self, file_offset: u64, width: usize) -> Option<Word<'_>> {
        self.engine_view.word(file_offset as usize, width)
    }

    /// Gives the memory of `len` bytes from `file_offset`, whole pages, back to the machine: they read as zero
    /// from now on. No view may have rights on them.
    pub fn discard(&self, file_offset: u64, len: u64) -> Result<(), Error> {
        crate::sys::map::punch_hole(&self.file, file_offset, len).map_err(|source| {
            Error::system(
                "give memory of dropped copies back",
                source,
                "this is a fault in Umbel or the kernel",
            )
        })
    }

    /// Wakes the threads that wait for the page at `address`; they try their access again.
    pub fn wake(&self, address: usize) -> Result<(), Error> {
        self.uffd_of(address)
            .wake(address as *mut libc::c_void, PAGE_BYTES)
            .map_err(|error| uffd_error("wake a thread", error))
    }

    fn revoke(&self, address: usize, pages: usize) -> Result<(), Error> {
        let (view, mapping) = self.view_of(address);
        let len = pages * PAGE_BYTES;
        let result = match mapping.advise_range(address - view.address, len, libc::MADV_DONTNEED) {
            // The program locked its memory (mlockall).
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                mapping.advise_range(address - view.address, len, MADV_DONTNEED_LOCKED)
            }
            result => result,
        };
        result.map_err(|source| {
            Error::system(
                "revoke a page",
                source,
                "this is a fault in Umbel or the kernel",
            )
        })
    }

    fn map(&self, address: usize, pages: usize, write_protect: bool) -> Result<(), Error> {
        let end = address + pages * PAGE_BYTES;
        let descriptor = self.uffd_of(address).as_raw_fd();
        let mut next = address;
        let mut populated = false;
        let mut protected = false;
        while next < end {
            let (mapped, result) = uffd::map_pages(descriptor, next, end - next, write_protect);
            next += mapped;
            let Err(error) = result else { continue };
            match error.raw_os_error() {
                // Some pages were done; go on with the rest.
                Some(libc::EAGAIN) if mapped > 0 => {}
                // This page is mapped already: only its protection may differ, as may that of the pages behind it;
                // one call for all of them interrupts the other cores once. Whoever waits must be woken.
                Some(libc::EEXIST) | Some(libc::EAGAIN) => {
                    if !protected {
                        self.protect(next, end - next, write_protect)?;
                        protected = true;
                    }
                    self.wake(next)?;
                    next += PAGE_BYTES;
                }
                // Never written: the file has a hole here.
                Some(libc::EFAULT) if !populated => {
                    self.populate(next, end - next)?;
                    populated = true;
                }
                _ => {
                    let advice = "this is a fault in Umbel or the kernel";
                    return Err(Error::system(
                        format!("map the page at {next:#x}"),
                        error,
                        advice,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Pages of the range that are not mapped stay so.
    fn protect(&self, address: usize, len: usize, write_protect: bool) -> Result<(), Error> {
        let start = address as *mut libc::c_void;
        let uffd = self.uffd_of(address);
        let result = if write_protect {
            uffd.write_protect(start, len)
        } else {
            uffd.remove_write_protection(start, len, true)
        };
        result.map_err(|error| uffd_error("change a page's protection", error))
    }

    fn populate(&self, address: usize, len: usize) -> Result<(), Error> {
        let (view, _) = self.view_of(address);
        let offset = view.file_offset as usize + (address - view.address);
        self.engine_view
            .advise_range(offset, len, MADV_POPULATE_WRITE)
            .map_err(|source| {
                Error::system(
                    "get memory for shared objects",
                    source,
                    "the machine is out of memory",
                )
            })
    }

    fn view_of(&self, address: usize) -> &(View, Mapping) {
        let index = self
            .views
            .partition_point(|(view, _)| view.address <= address);
        let entry = index.checked_sub(1).and_then(|index| self.views.get(index));
        entry
            .filter(|(view, _)| address - view.address < view.len)
            .expect("the address was checked by the window")
    }
}

fn read_faults(
    uffd: &Uffd,
    events: &mut EventBuffer,
    faults: &mut Vec<Fault>,
) -> Result<(), Error> {
    let events = uffd.read_events(events).map_err(|error| {
        Error::system(
            "read page faults",
            io::Error::other(error),
            "this is a fault in Umbel or the kernel",
        )
    })?;
    for event in events {
        match event {
            Ok(Event::Pagefault {
                kind,
                rw,
                addr,
                thread_id,
            }) => faults.push(Fault {
                address: addr as usize & !(PAGE_BYTES - 1),
                write: rw == ReadWrite::Write || kind == FaultKind::WriteProtected,
                thread: thread_id.as_raw() as u32,
            }),
            // No other event was asked for.
            Ok(_) => {}
            Err(error) => {
                return Err(Error::system(
                    "read page faults",
                    io::Error::other(error),
                    "this is a fault in Umbel or the kernel",
                ));
            }
        }
    }
    Ok(())
}

/// Adjacent views of one kind as one range each: (address, length, whether they are tracked).
fn runs(views: &[View]) -> Vec<(usize, usize, bool)> {
    let mut runs: Vec<(usize, usize, bool)> = Vec::new();
    for view in views {
        match runs.last_mut() {
            Some((start, len, is_tracked))
                if *start + *len == view.address && *is_tracked == view.is_tracked =>
            {
                *len += view.len;
            }
            _ => runs.push((view.address, view.len, view.is_tracked)),
        }
    }
    runs
}

fn uffd_error(operation: &str, error: userfaultfd::Error) -> Error {
    Error::system(
        operation,
        io::Error::other(error),
        "this is a fault in Umbel or the kernel",
    )
}

mod limits {
    /// Faults taken with one read: more threads than this wait for the next turn.
    pub const EVENTS_PER_READ: usize = 32;
}

const MADV_POPULATE_WRITE: libc::c_int = 23;
const MADV_DONTNEED_LOCKED: libc::c_int = 24;

#[cfg(test)]
mod tests;
