//! Views whose written pages the kernel tells afterwards.
//!
//! They belong to a userfaultfd of their own (`UFFD_FEATURE_WP_ASYNC`): stores to their write-protected pages cost
//! 0.6 us in the kernel and no fault of ours. One `PAGEMAP_SCAN` finds what was written and protects it again in
//! the same step (measured: 0.7 ns a page if none was, 2.0 ns if each tenth was). So no right "read" can be
//! given there.
//!
//! Pages are mapped without protection: the first scan counts each as written, and protects it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use userfaultfd::Uffd;

use crate::PAGE_BYTES;
use crate::backend::Backend;
use crate::error::Error;
use crate::sys::pagemap::{self, Region};
use crate::sys::{adopt, uffd};

/// Whether this kernel can tell which pages were written; if not, what it said.
pub type WriteTracking = Result<(), String>;

/// Tries whether stores can be tracked here; asks the kernel once.
pub fn write_tracking() -> &'static WriteTracking {
    static TRACKING: OnceLock<WriteTracking> = OnceLock::new();
    TRACKING.get_or_init(|| {
        let (backend, _) = crate::backend::open_best().map_err(|error| error.to_string())?;
        Tracker::open(backend)
            .map(|_| ())
            .map_err(|error| format!("needs Linux 6.7: {error}"))
    })
}

/// What tracked views are registered with.
pub(crate) struct Tracker {
    pub(crate) uffd: Uffd,
    pagemap: File,
}

impl Tracker {
    pub(crate) fn open(backend: Backend) -> io::Result<Self> {
        let descriptor: OwnedFd = uffd::open(backend, uffd::TRACKING)?;
        let pagemap = File::open("/proc/self/pagemap")?;
        // Refused by kernels without it, whatever the range.
        pagemap::take_written(&pagemap, 0, 0, &mut [Region::default()])?;
        Ok(Self {
            uffd: adopt(descriptor),
            pagemap,
        })
    }

    /// Adds the written pages of the range to `written`, as runs of addresses; they are protected again.
    pub(crate) fn take_written(
        &self,
        range: Range<usize>,
        written: &mut Vec<Range<usize>>,
    ) -> Result<(), Error> {
        let mut regions = [Region::default(); REGIONS_PER_SCAN];
        let mut next = range.start;
        while next < range.end {
            let (found, end) = pagemap::take_written(&self.pagemap, next, range.end, &mut regions)
                .map_err(|source| {
                    Error::system(
                        "find written pages",
                        source,
                        "this is a fault in Umbel or the kernel",
                    )
                })?;
            let found = regions[..found].iter();
            written.extend(found.map(|region| region.start as usize..region.end as usize));
            next = end.max(next + PAGE_BYTES);
        }
        Ok(())
    }
}

/// Runs of written pages taken with one call.
const REGIONS_PER_SCAN: usize = 512;
