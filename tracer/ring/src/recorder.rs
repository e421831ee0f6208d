//! What the recorder does with the shared file, besides taking words: the processes, the bell, the filters.

use core::sync::atomic::Ordering;
use core::time::Duration;

use crate::layout::{FILTERS_MAX, Mode, PageState};
use crate::sys::{futex_wait, futex_wake};
use crate::{Error, FILTERS_BYTES, FILTERS_OFFSET, Live, PROCESSES_MAX, Result};

/// A process page that is taken, as it was read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its index.
    pub index: usize,
    /// The process.
    pub pid: u32,
    /// Its serial; an exec makes a new one.
    pub serial: u64,
    /// When it began, in clock ticks of /proc/PID/stat (field 22).
    pub started: u64,
    /// Questions it has asked.
    pub asked: u32,
    /// The last one answered.
    pub answered: u32,
    /// Events it dropped that no `Lost` word tells of yet.
    pub lost: u64,
}

impl Live {
    /// The processes there are.
    pub fn pages(&self) -> impl Iterator<Item = Page> + '_ {
        (0..PROCESSES_MAX).filter_map(|index| self.page_now(index))
    }

    /// The process on page `index`, if it is complete: its serial and pid are written before the page says so.
    pub fn page_now(&self, index: usize) -> Option<Page> {
        let page = self.page(index);
        if page.state.load(Ordering::Acquire) != PageState::Taken as u32 {
            return None;
        }
        let serial = page.serial.load(Ordering::Acquire);
        (serial != 0).then(|| Page {
            index,
            pid: page.pid.load(Ordering::Relaxed),
            serial,
            started: page.started.load(Ordering::Relaxed),
            asked: page.asked.load(Ordering::Acquire),
            answered: page.answered.load(Ordering::Relaxed),
            lost: page.lost.load(Ordering::Relaxed),
        })
    }

    /// What the hooks of a process do from now on.
    pub fn set_mode(&self, index: usize, mode: Mode) {
        self.page(index).mode.store(mode as u32, Ordering::Release);
    }

    /// Answers the question `asked` of a process: call sites are patched, filters stand.
    pub fn answer(&self, index: usize, asked: u32) {
        let answered = &self.page(index).answered;
        answered.store(asked, Ordering::Release);
        futex_wake(answered);
    }

    /// Gives the page of a dead process back. Its chunks come first ([`crate::Taker::retire_dead`], [`crate::Taker::take`]).
    pub fn free_page(&self, index: usize, serial: u64) {
        let page = self.page(index);
        if page.serial.load(Ordering::Acquire) == serial {
            page.serial.store(0, Ordering::Relaxed);
            page.filter_count.store(0, Ordering::Relaxed);
            page.region.store(0, Ordering::Relaxed);
            page.lost.store(0, Ordering::Relaxed);
            page.state.store(PageState::Free as u32, Ordering::Release);
        }
    }

    /// Rings of the bell so far: read before one looks, and given to [`Live::wait_bell`] afterwards.
    pub fn rings(&self) -> u32 {
        self.header().bell.load(Ordering::Acquire)
    }

    /// Sleeps until the bell has rung since `seen`, at most `timeout`.
    pub fn wait_bell(&self, seen: u32, timeout: Duration) {
        let header = self.header();
        header.recorder_sleeps.store(1, Ordering::SeqCst);
        // SeqCst with `ring`: either it sees that we sleep, or the kernel sees that the bell has changed.
        if header.bell.load(Ordering::SeqCst) == seen {
            futex_wait(&header.bell, seen, timeout);
        }
        header.recorder_sleeps.store(0, Ordering::SeqCst);
    }

    /// Rings the recorder's bell.
    pub fn ring(&self) {
        let header = self.header();
        header.bell.fetch_add(1, Ordering::SeqCst);
        if header.recorder_sleeps.load(Ordering::SeqCst) != 0 {
            futex_wake(&header.bell);
        }
    }

    /// Sets the coarse clock.
    pub fn set_coarse(&self, ticks: u64) {
        self.header().coarse_ticks.store(ticks, Ordering::Relaxed);
    }

    /// Tells programs how to read memory that may not be there: `umbel_probe::Method`.
    pub fn set_probe(&self, method: u32) {
        self.header().probe.store(method, Ordering::Relaxed);
    }

    /// Tells everybody how fast the clock is.
    pub fn set_ticks_per_second(&self, ticks: u64) {
        self.header()
            .ticks_per_second
            .store(ticks, Ordering::Relaxed);
    }

    /// Events that nobody could write down at all.
    pub fn lost_without_chunk(&self) -> u64 {
        self.header().lost_without_chunk.load(Ordering::Relaxed)
    }

    /// Whether any process has the file mapped besides the recorder: one that was forked a moment ago may have no page yet.
    /// The caller has SIGIO blocked.
    pub fn is_shared(&self) -> bool {
        self.file
            .as_ref()
            .is_some_and(|file| file.is_open_elsewhere())
    }

    /// The recorder ends in good order: nobody waits for it any more.
    pub fn ended(&self) {
        self.header().recorder_pid.store(0, Ordering::Release);
        let freed = &self.header().freed;
        freed.fetch_add(1, Ordering::SeqCst);
        futex_wake(crate::sys::low_half(freed));
    }

    /// Excludes functions where call sites can't be patched: bit `n` of `bitmap` stands for address `begin + n`. `slot` numbers
    /// the modules of a process from 0, without gaps; `offset` is where the bitmap goes among all bitmaps of the session, a
    /// multiple of 8 that is the caller's to choose. A bitmap that stands is changed by writing it anew.
    ///
    /// # Errors
    /// No room for it, or no space.
    pub fn set_bitmap(
        &self,
        index: usize,
        slot: usize,
        begin: u64,
        offset: u64,
        bitmap: &[u8],
    ) -> Result<()> {
        let file = self.file.as_ref().ok_or(Error::NotLive)?;
        if slot >= FILTERS_MAX || offset + bitmap.len() as u64 > FILTERS_BYTES as u64 {
            return Err(Error::NoMoreChunks);
        }
        file.write_at(bitmap, FILTERS_OFFSET as u64 + offset)
            .map_err(Error::system("write the bitmap of excluded functions"))?;
        let page = self.page(index);
        let filter = &page.filters[slot];
        filter.bytes.store(0, Ordering::Release);
        filter.offset.store(offset, Ordering::Release);
        filter.begin.store(begin, Ordering::Release);
        filter
            .bytes
            .store(8 * bitmap.len() as u64, Ordering::Release);
        page.filter_count
            .fetch_max(slot as u32 + 1, Ordering::Release);
        Ok(())
    }

    /// Excludes nothing in a process.
    pub fn clear_bitmaps(&self, index: usize) {
        let page = self.page(index);
        // The hooks look at the first without counting.
        page.filters[0].bytes.store(0, Ordering::Release);
        page.filter_count.store(0, Ordering::Release);
    }
}
