//! A memory file, its views, and the rights of their pages.

mod by_signals;
mod by_userfaultfd;
mod reached;
mod shown;
mod waiters;

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::{OwnedFd, RawFd};

use crate::PAGE_BYTES;
use crate::backend::{self, Backend};
use crate::error::{Error, OUR_FAULT};
use crate::signals;
use crate::sys::map::{Mapping, Part, Word, memory_file};
use crate::sys::posts::Posts;
use crate::sys::windows::{self, Reports};
use by_signals::Signals;
use by_userfaultfd::Userfaultfd;
use reached::{Reached, Way};

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
/// Lasts until the process ends: closing a userfaultfd would make absent pages silently readable.
pub struct Space {
    backend: Backend,
    file: OwnedFd,
    engine_view: Mapping,
    views: Views,
    driver: Driver,
    reached: RefCell<Reached>,
}

/// How rights are changed, and faults reported.
enum Driver {
    Userfaultfd(Userfaultfd),
    Signals(Signals),
}

impl Space {
    /// Maps the views at their addresses with no rights on any page.
    ///
    /// Fails if another mapping is in the way, if the address-space limit (`ulimit -v`) is too low, or if
    /// no fault backend is allowed.
    pub fn new(layout: &SpaceLayout) -> Result<Self, Error> {
        let (backend, descriptor) = backend::open_best()?;
        Self::with_backend(layout, backend, descriptor)
    }

    fn with_backend(
        layout: &SpaceLayout,
        backend: Backend,
        descriptor: Option<OwnedFd>,
    ) -> Result<Self, Error> {
        // With every backend: a forked child's accesses, and the program's own signals.
        signals::install()?;
        let file = memory_file(c"umbel-window", layout.file_bytes).map_err(|source| {
            Error::system(
                "create the window's memory file",
                source,
                "is memfd_create forbidden here?",
            )
        })?;
        let engine_view = Mapping::new(0, layout.file_bytes as usize, Some((&file, 0)))
            .map_err(|source| Error::system("map the engine view", source, MAPPING_ADVICE))?;
        set_options(&engine_view)?;
        // A userfaultfd wants them accessible; signals are raised where they are not.
        let rights = match descriptor {
            Some(_) => Rights::Write,
            None => Rights::None,
        };
        let views = Views::new(&layout.views, &file, rights)?;
        let driver = match descriptor {
            Some(descriptor) => {
                let posts = match backend.faults_are_signals() {
                    true => Some(make_posts()?),
                    false => None,
                };
                let reports = posts.map(|posts| Reports {
                    posts,
                    signal: libc::SIGBUS,
                });
                windows::add(views.distances(&engine_view), reports);
                let driver = Userfaultfd::new(backend, descriptor, &layout.views, posts)?;
                Driver::Userfaultfd(driver)
            }
            None => Driver::Signals(Signals::new(backend, &views, &engine_view)?),
        };
        Ok(Self {
            backend,
            file,
            engine_view,
            views,
            driver,
            reached: RefCell::default(),
        })
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Descriptors that become readable when a thread faults.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let (kernel, posts) = match &self.driver {
            Driver::Userfaultfd(driver) => (Some(driver.descriptors()), None),
            Driver::Signals(driver) => (None, Some(driver.descriptor())),
        };
        kernel.into_iter().flatten().chain(posts)
    }

    /// Whether the kernel tells which pages of tracked views were written.
    pub fn tracks_writes(&self) -> bool {
        match &self.driver {
            Driver::Userfaultfd(driver) => driver.tracker().is_some(),
            Driver::Signals(_) => false,
        }
    }

    /// The pages of a range of a tracked view that have rights and were written since the last call (or since they
    /// got their rights), added as runs of addresses. What is stored after they were found counts for the next
    /// call; what was stored before is in the file when this returns.
    pub fn take_written(
        &self,
        range: Range<usize>,
        written: &mut Vec<Range<usize>>,
    ) -> Result<(), Error> {
        let tracker = match &self.driver {
            Driver::Userfaultfd(driver) => driver.tracker(),
            Driver::Signals(_) => None,
        };
        match tracker {
            Some(tracker) => tracker.take_written(range, written),
            None => {
                written.push(range);
                Ok(())
            }
        }
    }

    /// Faults that threads wait for now; `true` if there may be more. The same fault may come twice (a
    /// signal handler ran in between), and one access may be several faults.
    pub fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<bool, Error> {
        faults.clear();
        match &mut self.driver {
            Driver::Userfaultfd(driver) => driver.take_faults(faults),
            Driver::Signals(driver) => {
                driver.take_faults(&self.views, faults)?;
                Ok(false)
            }
        }
    }

    /// Gives `pages` pages from `address`, all of one view, these rights and wakes the threads that wait for them.
    ///
    /// Of several pages whose first one refused a store, those that are not mapped may stay so: they fault again.
    ///
    /// Raising rights costs one call for all pages (0.02-0.6 us per page) and no interrupt; lowering them
    /// interrupts the other cores that run this process once per call.
    pub fn set_rights(&self, address: usize, pages: usize, rights: Rights) -> Result<(), Error> {
        let range = address..address + pages * PAGE_BYTES;
        match &self.driver {
            Driver::Userfaultfd(driver) => {
                driver.set_rights(&self.views, &self.engine_view, range, rights)
            }
            Driver::Signals(driver) => driver.set_rights(&self.views, range, rights),
        }
    }

    /// Takes the right to write from `pages` pages from `address`, all of one view, that nobody waits for: those that are
    /// mapped can be read afterwards, the others stay absent. One call, where [`Space::set_rights`] needs three for
    /// pages that are mapped.
    pub fn lower(&self, address: usize, pages: usize) -> Result<(), Error> {
        let range = address..address + pages * PAGE_BYTES;
        match &self.driver {
            Driver::Userfaultfd(driver) => driver.lower(&self.views, range),
            Driver::Signals(driver) => driver.set_rights(&self.views, range, Rights::Read),
        }
    }

    /// Makes the page at `address` show its rights, whatever it costs in mappings, until this is called with `false`: what
    /// the kernel or a device uses can't be shown when it faults.
    pub fn keep(&self, address: usize, is_kept: bool) -> Result<(), Error> {
        match &self.driver {
            // They always show.
            Driver::Userfaultfd(_) => Ok(()),
            Driver::Signals(driver) => driver.keep(&self.views, address, is_kept),
        }
    }

    /// Copies `target.len()` bytes of the file from `file_offset`.
    pub fn read(&self, file_offset: u64, target: &mut [u8]) {
        self.engine_view.read(file_offset as usize, target);
    }

    /// Appends `len` bytes of the file from `file_offset` to `out`.
    pub fn append(&self, file_offset: u64, len: usize, out: &mut Vec<u8>) {
        self.engine_view.append(file_offset as usize, len, out);
    }

    /// Writes whole pages from `address` on, none of which has rights, gives them these rights and wakes the threads
    /// that wait for them.
    ///
    /// Pages that the file has no memory for take 1.3 us each, others 0.5; [`Space::write`] and [`Space::set_rights`]
    /// would take 2.8 us for the former, most of it for a fault of the engine view.
    pub fn fill(&self, address: usize, pages: &[&[u8]], rights: Rights) -> Result<(), Error> {
        assert!(
            pages.iter().all(|page| page.len() == PAGE_BYTES) && rights != Rights::None,
            "whole pages, to be used"
        );
        let (view, _) = self.views.at(address);
        let first = (view.file_offset as usize + (address - view.address)) / PAGE_BYTES;
        let first = first as u64;
        let known = self.reached.borrow().ways(first..first + 1);
        let done = match (&self.driver, &known[..]) {
            (Driver::Userfaultfd(driver), [Way::Unknown(_)]) => {
                driver.fill(&self.views, address, pages, rights)
            }
            (Driver::Userfaultfd(_) | Driver::Signals(_), _) => 0,
        };
        let next = first + done as u64;
        self.reached.borrow_mut().note_present(first..next);
        let pages = &pages[done..];
        if pages.is_empty() {
            return Ok(());
        }
        self.reach(next..next + pages.len() as u64)?;
        for (page, bytes) in (next..).zip(pages) {
            self.write(page * PAGE_BYTES as u64, bytes);
        }
        self.set_rights(address + done * PAGE_BYTES, pages.len(), rights)
    }

    /// Has the engine view show pages of the file that are written as a whole next.
    fn reach(&self, pages: Range<u64>) -> Result<(), Error> {
        let ways = self.reached.borrow().ways(pages.clone());
        for way in ways {
            match way {
                Way::Shown(_) => {}
                // A read shows all around it that the file has, up to the next multiple of what it shows at once.
                Way::Present(run) => {
                    let mut page = run.start;
                    while page < run.end {
                        self.engine_view.touch(page as usize * PAGE_BYTES);
                        page = (page + 1).next_multiple_of(SHOWN_TOGETHER);
                    }
                }
                Way::Unknown(run) => {
                    let offset = run.start as usize * PAGE_BYTES;
                    let len = (run.end - run.start) as usize * PAGE_BYTES;
                    populate_file(&self.engine_view, offset, len)?;
                }
            }
        }
        self.reached.borrow_mut().note_shown(pages);
        Ok(())
    }

    /// Copies `source` into the file at `file_offset`.
    pub fn write(&self, file_offset: u64, source: &[u8]) {
        self.engine_view.write(file_offset as usize, source);
    }

    /// `len` bytes of the file from `file_offset`, for many short accesses.
    pub fn part(&self, file_offset: u64, len: usize) -> Part<'_> {
        self.engine_view.part(file_offset as usize, len)
    }

    /// The word of `width` bytes (1, 2, 4 or 8) at `file_offset`, shared with every view; `None` if there is no
    /// such word or it isn't aligned to its width.
    pub fn word(&self, file_offset: u64, width: usize) -> Option<Word<'_>> {
        self.engine_view.word(file_offset as usize, width)
    }

    /// Gives the memory of `len` bytes from `file_offset`, whole pages, back to the machine: they read as zero
    /// from now on. No view may have rights on them.
    pub fn discard(&self, file_offset: u64, len: u64) -> Result<(), Error> {
        let pages = file_offset / PAGE_BYTES as u64..(file_offset + len) / PAGE_BYTES as u64;
        self.reached.borrow_mut().forget(pages);
        crate::sys::map::punch_hole(&self.file, file_offset, len).map_err(|source| {
            Error::system("give memory of dropped copies back", source, OUR_FAULT)
        })
    }

    /// Wakes the threads that wait for the page at `address`; they try their access again.
    pub fn wake(&self, address: usize) -> Result<(), Error> {
        match &self.driver {
            Driver::Userfaultfd(driver) => driver.wake(&self.views, address),
            Driver::Signals(driver) => {
                driver.wake(address);
                Ok(())
            }
        }
    }
}

/// The views with their mappings, in the order of their addresses.
struct Views(Vec<(View, Mapping)>);

impl Views {
    /// Maps them all with these rights.
    fn new(views: &[View], file: &OwnedFd, rights: Rights) -> Result<Self, Error> {
        let mut mapped = Vec::with_capacity(views.len());
        for view in views {
            let source = Some((file, view.file_offset));
            let mapping =
                Mapping::with_rights(view.address, view.len, source, rights).map_err(|source| {
                    Error::system(
                        format!("map the window at {:#x}", view.address),
                        source,
                        MAPPING_ADVICE,
                    )
                })?;
            set_options(&mapping)?;
            mapped.push((*view, mapping));
        }
        Ok(Self(mapped))
    }

    #[cfg(test)]
    fn ranges(&self) -> Vec<Range<usize>> {
        let views = self.0.iter();
        views
            .map(|(view, _)| view.address..view.address + view.len)
            .collect()
    }

    /// Where they are, with what must be added to an address to get the engine view's.
    fn distances(&self, engine_view: &Mapping) -> Vec<(Range<usize>, usize)> {
        let views = self.0.iter().map(|(view, _)| {
            let there = engine_view.start() + view.file_offset as usize;
            let range = view.address..view.address + view.len;
            (range, there.wrapping_sub(view.address))
        });
        views.collect()
    }

    fn at(&self, address: usize) -> &(View, Mapping) {
        &self.0[self.page(address).0]
    }

    /// The view that an address is in, and the page's number in it.
    fn page(&self, address: usize) -> (usize, usize) {
        let after = self.0.partition_point(|(view, _)| view.address <= address);
        let index = after.wrapping_sub(1);
        let entry = self.0.get(index);
        let (view, _) = entry
            .filter(|(view, _)| address - view.address < view.len)
            .expect("the address was checked by the window");
        (index, (address - view.address) / PAGE_BYTES)
    }

    fn page_count(&self, view: usize) -> usize {
        self.0[view].0.len / PAGE_BYTES
    }

    fn protect(&self, view: usize, pages: Range<usize>, rights: Rights) -> io::Result<()> {
        let (_, mapping) = &self.0[view];
        mapping.protect(pages.start * PAGE_BYTES, pages.len() * PAGE_BYTES, rights)
    }

    fn guard(&self, view: usize, pages: Range<usize>) -> io::Result<()> {
        self.advise(view, pages, MADV_GUARD_INSTALL)
    }

    fn unguard(&self, view: usize, pages: Range<usize>) -> io::Result<()> {
        self.advise(view, pages, MADV_GUARD_REMOVE)
    }

    fn advise(&self, view: usize, pages: Range<usize>, advice: libc::c_int) -> io::Result<()> {
        let (_, mapping) = &self.0[view];
        mapping.advise_range(pages.start * PAGE_BYTES, pages.len() * PAGE_BYTES, advice)
    }
}

/// Where handlers post faults, for ever.
fn make_posts() -> Result<&'static Posts, Error> {
    let posts = Posts::new().map_err(|source| {
        Error::system(
            "make the event descriptor of page faults",
            source,
            "raise `ulimit -n`",
        )
    })?;
    Ok(Box::leak(Box::new(posts)))
}

/// Gets memory for pages of a view, and shows it in the engine view.
fn populate(views: &Views, engine_view: &Mapping, address: usize, len: usize) -> Result<(), Error> {
    let (view, _) = views.at(address);
    let offset = view.file_offset as usize + (address - view.address);
    populate_file(engine_view, offset, len)
}

/// The same, for a part of the file.
fn populate_file(engine_view: &Mapping, offset: usize, len: usize) -> Result<(), Error> {
    engine_view
        .advise_range(offset, len, MADV_POPULATE_WRITE)
        .map_err(|source| {
            Error::system(
                "get memory for shared objects",
                source,
                "the machine is out of memory",
            )
        })
}

/// Not in core files, not in children, no huge pages.
fn set_options(mapping: &Mapping) -> Result<(), Error> {
    for option in [
        libc::MADV_DONTDUMP,
        libc::MADV_DONTFORK,
        libc::MADV_NOHUGEPAGE,
    ] {
        mapping.advise(option).map_err(|source| {
            Error::system("set the window's options", source, "this kernel is too old")
        })?;
    }
    Ok(())
}

/// Pages that the kernel shows with one read fault, of those that the file has (fault_around_bytes; another number
/// costs time only).
const SHOWN_TOGETHER: u64 = 16;
const MADV_POPULATE_WRITE: libc::c_int = 23;
const MAPPING_ADVICE: &str = "raise `ulimit -v`, or see /proc/self/maps for what is in the way";
pub(crate) const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;

#[cfg(test)]
mod tests;
