//! Rights as page-table states: the userfaultfd backends.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use userfaultfd::{Event, EventBuffer, FaultKind, ReadWrite, RegisterMode, Uffd};

use super::waiters::Waiters;
use super::{Fault, Rights, View, Views, populate};
use crate::PAGE_BYTES;
use crate::backend::Backend;
use crate::error::{Error, OUR_FAULT};
use crate::sys::map::Mapping;
use crate::sys::posts::{Posted, Posts};
use crate::sys::uffd;
use crate::tracking::{Tracker, write_tracking};

pub(super) struct Userfaultfd {
    uffd: Uffd,
    /// Of the tracked views.
    tracker: Option<Tracker>,
    events: EventBuffer,
    /// Pages that threads wait to write and that were mapped, write-protected, when they faulted. Raising the rights of
    /// such a page takes one call instead of three.
    protected: RefCell<Vec<usize>>,
    /// Who waits, if faults come as signals.
    signalled: Option<RefCell<Signalled>>,
}

struct Signalled {
    posts: &'static Posts,
    waiters: Waiters,
    /// Empty; kept for its memory.
    taken: Vec<Posted>,
}

impl Userfaultfd {
    /// Registers the views.
    pub(super) fn new(
        backend: Backend,
        descriptor: OwnedFd,
        views: &[View],
        posts: Option<&'static Posts>,
    ) -> Result<Self, Error> {
        let uffd = crate::sys::adopt(descriptor);
        let mode = RegisterMode::MISSING | RegisterMode::MINOR | RegisterMode::WRITE_PROTECT;
        let wants_tracker = views.iter().any(|view| view.is_tracked);
        let tracker = match wants_tracker && write_tracking().is_ok() {
            true => Tracker::open(backend).ok(),
            false => None,
        };
        for (address, len, is_tracked) in runs(views) {
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
            events: EventBuffer::new(EVENTS_PER_READ),
            protected: RefCell::default(),
            signalled: posts.map(|posts| {
                RefCell::new(Signalled {
                    posts,
                    waiters: Waiters::default(),
                    taken: Vec::new(),
                })
            }),
        })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let posts = self.signalled.iter();
        let posts = posts.map(|signalled| signalled.borrow().posts.descriptor());
        self.reporting().map(Uffd::as_raw_fd).chain(posts)
    }

    /// Those of which faults are read.
    fn reporting(&self) -> impl Iterator<Item = &Uffd> {
        let tracked = self.tracker.iter().map(|tracker| &tracker.uffd);
        let all = std::iter::once(&self.uffd).chain(tracked);
        all.filter(|_| self.signalled.is_none())
    }

    pub(super) fn tracker(&self) -> Option<&Tracker> {
        self.tracker.as_ref()
    }

    fn uffd_of(&self, views: &Views, address: usize) -> &Uffd {
        match &self.tracker {
            Some(tracker) if views.at(address).0.is_tracked => &tracker.uffd,
            Some(_) | None => &self.uffd,
        }
    }

    /// Adds faults; `true` if there may be more.
    pub(super) fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<bool, Error> {
        let mut is_more = false;
        let protected = self.protected.get_mut();
        if let Some(signalled) = &mut self.signalled {
            signalled.get_mut().take_faults(faults, protected);
            return Ok(false);
        }
        let tracked = self.tracker.iter().map(|tracker| &tracker.uffd);
        for uffd in std::iter::once(&self.uffd).chain(tracked) {
            is_more |= read_faults(uffd, &mut self.events, faults, protected)?;
        }
        Ok(is_more)
    }

    pub(super) fn set_rights(
        &self,
        views: &Views,
        engine_view: &Mapping,
        range: Range<usize>,
        rights: Rights,
    ) -> Result<(), Error> {
        let tracked = match rights {
            Rights::Read if self.tracker.is_some() => views.at(range.start).0.is_tracked,
            Rights::None | Rights::Read | Rights::Write => false,
        };
        assert!(!tracked, "stores to a tracked page can't be refused");
        let pages = range.clone();
        match rights {
            Rights::None => {
                let mut protected = self.protected.borrow_mut();
                protected.retain(|page| !range.contains(page));
                revoke(views, range)
            }
            Rights::Read => self.map(views, engine_view, range, true),
            Rights::Write if self.was_protected(&range) => {
                // Wakes too. What is behind the first page is taken to be as it is; a page that isn't mapped after all
                // faults again, which is right, and cheaper than a call for each to find out.
                self.protect(views, range.start, range.len(), false)
            }
            Rights::Write => self.map(views, engine_view, range, false),
        }?;
        if rights != Rights::None {
            self.wake_signalled(&pages);
        }
        Ok(())
    }

    /// Those whom the kernel doesn't wake.
    fn wake_signalled(&self, range: &Range<usize>) {
        if let Some(signalled) = &self.signalled {
            signalled.borrow_mut().waiters.wake(range);
        }
    }

    /// Takes the right to write from those pages that are mapped; nobody is woken.
    pub(super) fn lower(&self, views: &Views, range: Range<usize>) -> Result<(), Error> {
        self.protect(views, range.start, range.len(), true)
    }

    /// Whether the first page of the range is known to be mapped, write-protected.
    fn was_protected(&self, range: &Range<usize>) -> bool {
        let mut protected = self.protected.borrow_mut();
        let is_known = protected.contains(&range.start);
        if is_known {
            protected.retain(|page| !range.contains(page));
        }
        is_known
    }

    /// Makes, writes and maps those of the pages that the file has no memory for yet, as many of the first ones as
    /// there are; how many that was.
    pub(super) fn fill(
        &self,
        views: &Views,
        address: usize,
        pages: &[&[u8]],
        rights: Rights,
    ) -> usize {
        let mut done = 0;
        let is_tracked = views.at(address).0.is_tracked;
        while done < pages.len() && !is_tracked {
            let (copied, result) = uffd::copy_pages(
                self.uffd.as_raw_fd(),
                address + done * PAGE_BYTES,
                &pages[done..],
                rights == Rights::Read,
            );
            done += copied / PAGE_BYTES;
            match result {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && copied > 0 => {}
                // Mostly because the file has the page; whatever it is, the other way will tell.
                Err(_) => break,
            }
        }
        self.wake_signalled(&(address..address + done * PAGE_BYTES));
        done
    }

    pub(super) fn wake(&self, views: &Views, address: usize) -> Result<(), Error> {
        if self.signalled.is_some() {
            self.wake_signalled(&(address..address + PAGE_BYTES));
            return Ok(());
        }
        self.uffd_of(views, address)
            .wake(address as *mut libc::c_void, PAGE_BYTES)
            .map_err(|error| uffd_error("wake a thread", error))
    }

    fn map(
        &self,
        views: &Views,
        engine_view: &Mapping,
        range: Range<usize>,
        write_protect: bool,
    ) -> Result<(), Error> {
        let end = range.end;
        let descriptor = self.uffd_of(views, range.start).as_raw_fd();
        let mut next = range.start;
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
                        self.protect(views, next, end - next, write_protect)?;
                        protected = true;
                    }
                    self.wake(views, next)?;
                    next += PAGE_BYTES;
                }
                // Never written: the file has a hole here.
                Some(libc::EFAULT) if !populated => {
                    populate(views, engine_view, next, end - next)?;
                    populated = true;
                }
                _ => {
                    return Err(Error::system(
                        format!("map the page at {next:#x}"),
                        error,
                        OUR_FAULT,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Pages of the range that are not mapped stay so.
    fn protect(
        &self,
        views: &Views,
        address: usize,
        len: usize,
        write_protect: bool,
    ) -> Result<(), Error> {
        let start = address as *mut libc::c_void;
        let uffd = self.uffd_of(views, address);
        let result = if write_protect {
            uffd.write_protect(start, len)
        } else {
            uffd.remove_write_protection(start, len, true)
        };
        result.map_err(|error| uffd_error("change a page's protection", error))
    }
}

impl Signalled {
    /// Adds what was posted.
    fn take_faults(&mut self, faults: &mut Vec<Fault>, protected: &mut Vec<usize>) {
        self.posts.take(&mut self.taken);
        for posted in self.taken.drain(..) {
            let mut open = 0;
            for (index, need) in posted.needs().enumerate() {
                if need.is_mapped && need.write && !protected.contains(&need.address) {
                    protected.push(need.address);
                }
                open |= 1 << index;
                faults.push(Fault {
                    address: need.address,
                    write: need.write,
                    thread: posted.thread(),
                });
            }
            self.waiters.add(posted, open);
        }
    }
}

fn revoke(views: &Views, range: Range<usize>) -> Result<(), Error> {
    let (view, mapping) = views.at(range.start);
    let offset = range.start - view.address;
    let result = match mapping.advise_range(offset, range.len(), libc::MADV_DONTNEED) {
        // The program locked its memory (mlockall).
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            mapping.advise_range(offset, range.len(), MADV_DONTNEED_LOCKED)
        }
        result => result,
    };
    result.map_err(|source| Error::system("revoke a page", source, OUR_FAULT))
}

fn read_faults(
    uffd: &Uffd,
    events: &mut EventBuffer,
    faults: &mut Vec<Fault>,
    protected: &mut Vec<usize>,
) -> Result<bool, Error> {
    let before = faults.len();
    let error = |error| Error::system("read page faults", io::Error::other(error), OUR_FAULT);
    for event in uffd.read_events(events).map_err(error)? {
        // No other event was asked for.
        if let Event::Pagefault {
            kind,
            rw,
            addr,
            thread_id,
        } = event.map_err(error)?
        {
            let page = addr as usize & !(PAGE_BYTES - 1);
            if kind == FaultKind::WriteProtected && !protected.contains(&page) {
                protected.push(page);
            }
            faults.push(Fault {
                address: page,
                write: rw == ReadWrite::Write || kind == FaultKind::WriteProtected,
                thread: thread_id.as_raw() as u32,
            });
        }
    }
    Ok(faults.len() - before == EVENTS_PER_READ)
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
    Error::system(operation, io::Error::other(error), OUR_FAULT)
}

/// Faults taken with one read: more threads than this wait for the next turn.
const EVENTS_PER_READ: usize = 32;
const MADV_DONTNEED_LOCKED: libc::c_int = 24;
