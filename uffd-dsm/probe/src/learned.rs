//! What a thread has learned of memory: where reads have succeeded, and where they have not.
//!
//! A fault costs 2 us, two entries into the kernel with all registers saved and restored; asking the kernel (`sys::ask`) costs 0.1 us
//! if memory is there, and half of a fault if not. So what may well not be there is asked for: what lies in a region where nothing was
//! read so far, and pages that could not be read before. All else is read at once. These are hints: whatever they say, reads are guarded.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of a region: 16 pages. What programs have lies together, what stray pointers lead to doesn't.
const REGION_BITS: u32 = 16;

const PAGE_BITS: u32 = 12;

/// Regions that are known at one time: 32 MiB.
const REGIONS: usize = 512;

/// New regions in a row that were there: then the next ones are read unasked, until one isn't there. A program that walks through
/// gigabytes would be asked about at each step; this way a fault comes at most once in so many regions, and they pay for it.
const TRUSTED: u32 = 64;

/// Regions by their lowest bits: the number of one where something was read, and in the upper 16 bits one for each of its pages that
/// was not there. 0: none.
#[derive(Debug)]
#[repr(C)]
pub struct Learned {
    regions: [AtomicU64; REGIONS],
    /// New regions in a row that were there.
    trust: AtomicU32,
}

/// Region numbers have 31 bits.
const BAD_SHIFT: u32 = 48;

const NUMBER: u64 = (1 << BAD_SHIFT) - 1;

const _: () = assert!(1 << (REGION_BITS - PAGE_BITS) == u64::BITS - BAD_SHIFT);

impl Learned {
    /// Nothing yet: zeroes.
    pub const fn new() -> Self {
        Self {
            regions: [const { AtomicU64::new(0) }; REGIONS],
            trust: AtomicU32::new(0),
        }
    }

    #[inline]
    fn region(&self, address: u64) -> &AtomicU64 {
        &self.regions[(address >> REGION_BITS) as usize % REGIONS]
    }

    /// Is there memory at all of `bytes` (at least 1), as far as is known? Of what spans two regions nothing is.
    #[inline]
    pub fn is_likely(&self, address: u64, bytes: usize) -> bool {
        let last = address.wrapping_add(bytes as u64 - 1);
        let known = self.region(address).load(Ordering::Relaxed);
        // Pages up to the last one, less those before the first; of no use in two regions.
        let pages = (2u64 << page_in_region(last)).wrapping_sub(1 << page_in_region(address));
        last >> REGION_BITS == address >> REGION_BITS
            && known & NUMBER == address >> REGION_BITS
            && known >> BAD_SHIFT & pages == 0
    }

    /// Is a page that isn't likely to be there read unasked?
    pub fn is_trusted(&self, address: u64) -> bool {
        let known = self.region(address).load(Ordering::Relaxed);
        known & NUMBER != address >> REGION_BITS && self.trust.load(Ordering::Relaxed) >= TRUSTED
    }

    /// The page at `address` was there.
    pub fn was_there(&self, address: u64) {
        let region = self.region(address);
        let known = region.load(Ordering::Relaxed);
        if known & NUMBER == address >> REGION_BITS {
            let bad = 1 << (BAD_SHIFT + page_in_region(address));
            return region.store(known & !bad, Ordering::Relaxed);
        }
        region.store(address >> REGION_BITS, Ordering::Relaxed);
        let trust = self.trust.load(Ordering::Relaxed);
        self.trust.store(trust.saturating_add(1), Ordering::Relaxed);
    }

    /// The page at `address` was not there.
    pub fn was_not_there(&self, address: u64) {
        self.trust.store(0, Ordering::Relaxed);
        let region = self.region(address);
        let known = region.load(Ordering::Relaxed);
        // Others are asked for anyway.
        if known & NUMBER == address >> REGION_BITS {
            let bad = 1 << (BAD_SHIFT + page_in_region(address));
            region.store(known | bad, Ordering::Relaxed);
        }
    }
}

impl Default for Learned {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn page_in_region(address: u64) -> u32 {
    (address >> PAGE_BITS) as u32 % (1 << (REGION_BITS - PAGE_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: u64 = 0x7f12_3456_0000;

    #[test]
    fn nothing_is_likely_before_it_was_read() {
        let learned = Learned::new();
        assert!(!learned.is_likely(REGION, 8));
        learned.was_there(REGION + 0x3008);
        assert!(learned.is_likely(REGION, 8) && learned.is_likely(REGION + 0xfff8, 8));
        assert!(learned.is_likely(REGION, 0x10000));
        assert!(!learned.is_likely(REGION - 1, 1) && !learned.is_likely(REGION + 0x10000, 1));
    }

    #[test]
    fn a_page_that_was_not_there_is_asked_for_and_its_neighbours_are_not() {
        let learned = Learned::new();
        learned.was_there(REGION);
        learned.was_not_there(REGION + 0x2abc);
        assert!(!learned.is_likely(REGION + 0x2000, 1) && !learned.is_likely(REGION + 0x2fff, 1));
        assert!(learned.is_likely(REGION + 0x1fff, 1) && learned.is_likely(REGION + 0x3000, 1));
        assert!(!learned.is_likely(REGION + 0x1fff, 2) && !learned.is_likely(REGION, 0x10000));
        learned.was_there(REGION + 0x2000);
        assert!(learned.is_likely(REGION, 0x10000));
    }

    #[test]
    fn the_last_page_of_a_region_is_one_too() {
        let learned = Learned::new();
        learned.was_there(REGION);
        learned.was_not_there(REGION + 0xffff);
        assert!(!learned.is_likely(REGION + 0xf000, 8) && learned.is_likely(REGION + 0xeff8, 8));
    }

    #[test]
    fn what_spans_two_regions_is_asked_for() {
        let learned = Learned::new();
        learned.was_there(REGION);
        learned.was_there(REGION + 0x10000);
        assert!(!learned.is_likely(REGION + 0xfffc, 8));
    }

    #[test]
    fn after_many_new_regions_that_were_there_the_next_is_read_unasked_until_one_is_not() {
        let learned = Learned::new();
        for region in 0..u64::from(TRUSTED) {
            assert!(!learned.is_trusted(REGION + (region << REGION_BITS)));
            learned.was_there(REGION + (region << REGION_BITS));
        }
        let next = REGION + (u64::from(TRUSTED) << REGION_BITS);
        assert!(learned.is_trusted(next));
        learned.was_not_there(REGION);
        assert!(!learned.is_trusted(next));
    }

    #[test]
    fn a_page_that_was_not_there_is_never_trusted() {
        let learned = Learned::new();
        learned.was_there(REGION);
        learned.was_not_there(REGION);
        for region in 1..=u64::from(TRUSTED) {
            learned.was_there(REGION + (region << REGION_BITS));
        }
        assert!(!learned.is_trusted(REGION));
    }
}
