//! Which pages of a process are there: `PAGEMAP_SCAN` (Linux 6.7), which passes over empty memory however large it is.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_count: u64,
    pages_max: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    told: u64,
}

/// `struct page_region`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;

/// Regions that one call tells of.
const REGIONS: usize = 512;

/// The pages of `range` that are in memory, and those that are swapped out if `with_swapped`, in order. `pagemap` is the process's.
///
/// # Errors
/// The kernel doesn't know the call, or the process has ended.
pub fn there(pagemap: &File, range: Range<u64>, with_swapped: bool) -> io::Result<Vec<Range<u64>>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut regions = [Region::default(); REGIONS];
    let mut start = range.start;
    while start < range.end {
        let mut arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            start,
            end: range.end,
            regions: regions.as_mut_ptr() as u64,
            regions_count: regions.len() as u64,
            any_of: PAGE_IS_PRESENT | if with_swapped { PAGE_IS_SWAPPED } else { 0 },
            ..Arguments::default()
        };
        // SAFETY: `arguments` is a live pm_scan_arg, and names `regions` with its length.
        let count = unsafe {
            libc::ioctl(
                pagemap.as_raw_fd(),
                PAGEMAP_SCAN,
                &mut arguments as *mut Arguments,
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for region in &regions[..count.min(REGIONS)] {
            match found.last_mut() {
                Some(last) if last.end == region.start => last.end = region.end,
                _ => found.push(region.start..region.end),
            }
        }
        if arguments.walk_end <= start {
            break;
        }
        start = arguments.walk_end;
    }
    Ok(found)
}
