//! Which pages of a range were written: `PAGEMAP_SCAN` (Linux 6.7).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`: pages that were written.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    categories: u64,
}

const PAGEMAP_SCAN: libc::c_ulong = 0xC060_6610;
const WP_MATCHING: u64 = 1 << 0;
const CHECK_WPASYNC: u64 = 1 << 1;
const PAGE_IS_WRITTEN: u64 = 1 << 1;
const PAGE_IS_PRESENT: u64 = 1 << 3;

/// Finds the pages of `start..end` that are mapped and were written since they were write-protected (a page that
/// never was counts as written), and write-protects them in the same step. Returns how many regions were found and
/// where the search ended: at `end`, or where `regions` was full.
pub fn take_written(
    pagemap: &File,
    start: usize,
    end: usize,
    regions: &mut [Region],
) -> io::Result<(usize, usize)> {
    let mut arguments = ScanArguments {
        size: size_of::<ScanArguments>() as u64,
        flags: WP_MATCHING | CHECK_WPASYNC,
        start: start as u64,
        end: end as u64,
        vec: regions.as_mut_ptr() as u64,
        vec_len: regions.len() as u64,
        category_mask: PAGE_IS_WRITTEN | PAGE_IS_PRESENT,
        return_mask: PAGE_IS_WRITTEN,
        ..ScanArguments::default()
    };
    // SAFETY: `arguments` is a live pm_scan_arg; `vec` and `vec_len` name the borrowed slice.
    let found = unsafe {
        libc::ioctl(
            pagemap.as_raw_fd(),
            PAGEMAP_SCAN,
            &mut arguments as *mut ScanArguments,
        )
    };
    match usize::try_from(found) {
        Ok(found) => Ok((found, arguments.walk_end as usize)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
