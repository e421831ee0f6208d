//! Rights by mprotect(2) and guard pages: the signal backends.
//!
//! A thread's access raises SIGSEGV; its handler posts what the instruction needs and sleeps until the service thread
//! has given it ([`crate::signals`]). Here is the service thread's side: what the engine *told* each page's rights
//! to be, and who waits. What the page tables show may be less ([`super::shown`]): an access to a page whose told
//! rights suffice is answered by showing them.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

use super::shown::{Shown, change_count_max};
use super::waiters::Waiters;
use super::{Fault, Rights, Views};
use crate::PAGE_BYTES;
use crate::backend::Backend;
use crate::error::{Error, OUR_FAULT};
use crate::signals;
use crate::sys::map::Mapping;
use crate::sys::posts::{Need, Posted, Posts};
use crate::sys::steps::{self, Step};
use crate::sys::windows::{self, Reports};

pub(super) struct Signals {
    posts: &'static Posts,
    /// One thread uses it at a time; no call leaves it borrowed.
    state: RefCell<State>,
}

struct State {
    shown: Shown,
    /// Taken, and not all they need was given since.
    waiting: Waiters,
    /// Accesses on the engine view that may not have ended.
    stepping: Vec<Stepping>,
    /// Empty; kept for its memory.
    taken: Vec<Posted>,
}

/// An access that is made on the engine view.
struct Stepping {
    step: &'static Step,
    needs: Vec<Need>,
}

impl Signals {
    /// Makes the views known to the handlers.
    pub(super) fn new(
        backend: Backend,
        views: &Views,
        engine_view: &Mapping,
    ) -> Result<Self, Error> {
        let posts = super::make_posts()?;
        signals::warm_up()?;
        let reports = Reports {
            posts,
            signal: libc::SIGSEGV,
        };
        windows::add(views.distances(engine_view), Some(reports));
        let mut shown = Shown::new(backend, change_count_max());
        if std::env::var_os(REDIRECT).is_some_and(|value| value == "1") {
            shown.refuse();
        }
        Ok(Self {
            posts,
            state: RefCell::new(State {
                shown,
                waiting: Waiters::default(),
                stepping: Vec::new(),
                taken: Vec::new(),
            }),
        })
    }

    /// As if the kernel had no mappings left.
    #[cfg(test)]
    pub(super) fn refuse(&self) {
        self.state.borrow_mut().shown.refuse();
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.posts.descriptor()
    }

    /// Adds what was posted and isn't there already.
    pub(super) fn take_faults(&self, views: &Views, faults: &mut Vec<Fault>) -> Result<(), Error> {
        let state = &mut *self.state.borrow_mut();
        let mut taken = std::mem::take(&mut state.taken);
        self.posts.take(&mut taken);
        for posted in taken.drain(..) {
            let mut open = 0u32;
            let mut is_shown = true;
            for (index, need) in posted.needs().enumerate() {
                let rights = match need.write {
                    true => Rights::Write,
                    false => Rights::Read,
                };
                if state.shown.told(views, need.address) >= rights {
                    is_shown &= state.shown.show_again(views, need.address).map_err(error)?;
                } else {
                    open |= 1 << index;
                    faults.push(Fault {
                        address: need.address,
                        write: need.write,
                        thread: posted.thread(),
                    });
                }
            }
            match open {
                0 if is_shown => posted.finish(),
                // Not even hiding everything else helps.
                0 => state.redirect(posted),
                open => state.waiting.add(posted, open),
            }
        }
        state.taken = taken;
        Ok(())
    }

    pub(super) fn set_rights(
        &self,
        views: &Views,
        range: Range<usize>,
        rights: Rights,
    ) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        state.end_steps(&range, rights);
        state
            .shown
            .set(views, range.clone(), rights)
            .map_err(error)?;
        if rights != Rights::None {
            state.waiting.wake(&range);
        }
        Ok(())
    }

    pub(super) fn keep(&self, views: &Views, address: usize, is_kept: bool) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        state.shown.keep(views, address, is_kept).map_err(error)
    }

    pub(super) fn wake(&self, address: usize) {
        let mut state = self.state.borrow_mut();
        state.waiting.wake(&(address..address + PAGE_BYTES));
    }
}

impl State {
    /// Has an access made on the engine view: it has the rights.
    fn redirect(&mut self, posted: Posted) {
        self.stepping.retain(|stepping| !stepping.step.is_free());
        let step = steps::give();
        let needs = posted.needs().collect();
        self.stepping.push(Stepping { step, needs });
        posted.redirect(step);
    }

    /// Waits for accesses on the engine view that these rights would forbid.
    fn end_steps(&mut self, range: &Range<usize>, rights: Rights) {
        self.stepping.retain(|stepping| {
            let is_forbidden = |need: &Need| {
                let needed = match need.write {
                    true => Rights::Write,
                    false => Rights::Read,
                };
                range.contains(&need.address) && rights < needed
            };
            if stepping.needs.iter().any(is_forbidden) {
                stepping.step.wait();
            }
            !stepping.step.is_free()
        });
    }
}

/// For tests: every access is made on the engine view.
const REDIRECT: &str = "UMBEL_FAULT_REDIRECT";

fn error(source: io::Error) -> Error {
    Error::system("change the rights of pages", source, OUR_FAULT)
}
