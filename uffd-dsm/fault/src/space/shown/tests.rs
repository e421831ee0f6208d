//! Told and shown rights on real mappings, and how many mappings they take.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::space::View;
use crate::sys::map::memory_file;

const BACKENDS: [Backend; 2] = [Backend::Guard, Backend::Mprotect];
const VIEW_PAGES: usize = 1024;

/// A view of its own for each test; nothing, if the backend isn't usable here.
fn views(backend: Backend) -> Option<(Views, OwnedFd)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0x3000_0000_0000);
    backend.open().ok()?;
    let address = NEXT.fetch_add(1 << 30, Ordering::Relaxed);
    let len = VIEW_PAGES * PAGE_BYTES;
    let file = memory_file(c"shown", len as u64).expect("a small memory file");
    let view = View {
        address,
        len,
        file_offset: 0,
        is_tracked: false,
    };
    let views = Views::new(&[view], &file, Rights::None).expect("nothing else is mapped there");
    Some((views, file))
}

/// The mappings of a view, as the kernel lists them: (first page, pages, permissions).
fn mappings(views: &Views) -> Vec<(usize, usize, String)> {
    let range = &views.ranges()[0];
    let text = std::fs::read_to_string("/proc/self/maps").expect("it can be read");
    let mut found = Vec::new();
    for line in text.lines() {
        let (bounds, rest) = line.split_once(' ').expect("a line has fields");
        let (start, end) = bounds.split_once('-').expect("it begins with a range");
        let number = |text| usize::from_str_radix(text, 16).expect("it is hexadecimal");
        let (start, end) = (number(start), number(end));
        if range.contains(&start) {
            let first = (start - range.start) / PAGE_BYTES;
            found.push((first, (end - start) / PAGE_BYTES, rest[..2].to_string()));
        }
    }
    found
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn mappings_are_counted_as_the_kernel_counts_them_and_stay_within_the_budget() {
    const BUDGET: usize = 60;
    for backend in BACKENDS {
        let Some((views, _file)) = views(backend) else {
            continue;
        };
        let start = views.ranges()[0].start;
        let mut shown = Shown::new(backend, BUDGET);
        let mut told: HashMap<usize, Rights> = HashMap::new();
        let mut numbers = Numbers(7);
        let mut is_hidden = false;
        for step in 0..1000 {
            let first = numbers.below(VIEW_PAGES);
            let count = 1 + numbers.below(3).min(VIEW_PAGES - first - 1);
            let rights = [Rights::None, Rights::Read, Rights::Write][numbers.below(3)];
            let address = start + first * PAGE_BYTES;
            shown
                .set(&views, address..address + count * PAGE_BYTES, rights)
                .expect("there are mappings enough");
            told.extend((first..first + count).map(|page| (page, rights)));
            for (page, rights) in &told {
                let page = shown.page(0, *page);
                assert_eq!(page.told, *rights);
                assert!(page.shown() <= page.told);
                is_hidden |= page.shown() < page.told;
            }
            assert!(
                shown.change_count <= BUDGET + 4 * CHUNK_PAGES,
                "{} in step {step}",
                shown.change_count
            );
            if step % 100 == 0 {
                let mapped = mappings(&views);
                assert_eq!(mapped.len(), shown.change_count + 1, "in step {step}");
                check_protection(&shown, &mapped);
            }
        }
        assert!(
            is_hidden,
            "the budget was never used up on {}",
            backend.name()
        );
    }
}

fn check_protection(shown: &Shown, mapped: &[(usize, usize, String)]) {
    for (first, count, permissions) in mapped {
        let expected = match permissions.as_str() {
            "--" => Rights::None,
            "r-" => Rights::Read,
            _ => Rights::Write,
        };
        for page in *first..first + count {
            assert_eq!(shown.page(0, page).protection, expected, "page {page}");
        }
    }
}

#[test]
fn what_was_hidden_is_shown_again_with_its_neighbours() {
    for backend in BACKENDS {
        let Some((views, _file)) = views(backend) else {
            continue;
        };
        let start = views.ranges()[0].start;
        let mut shown = Shown::new(backend, usize::MAX);
        let eight = start..start + 8 * PAGE_BYTES;
        shown.set(&views, eight, Rights::Write).expect("one call");
        let chunk = chunk_pages(&views, ChunkId { view: 0, number: 0 });
        shown
            .protect(&views, &chunk, Rights::None)
            .expect("one call");
        assert_eq!(shown.page(0, 3).shown(), Rights::None);
        assert!(
            shown
                .show_again(&views, start + 3 * PAGE_BYTES)
                .expect("one call")
        );
        for page in 0..8 {
            assert_eq!(shown.page(0, page).shown(), Rights::Write);
        }
        assert_eq!(shown.page(0, 8).shown(), Rights::None);
    }
}

#[test]
fn a_page_that_was_never_told_anything_costs_no_mapping() {
    for backend in BACKENDS {
        let Some((views, _file)) = views(backend) else {
            continue;
        };
        let start = views.ranges()[0].start;
        let mut shown = Shown::new(backend, usize::MAX);
        let page = start + 5 * PAGE_BYTES;
        shown
            .set(&views, page..page + PAGE_BYTES, Rights::None)
            .expect("nothing is to be done");
        assert_eq!(mappings(&views).len(), 1);
        assert_eq!(shown.told(&views, page), Rights::None);
    }
}

#[test]
fn a_page_that_is_kept_stays_shown_above_the_budget() {
    for backend in BACKENDS {
        let Some((views, _file)) = views(backend) else {
            continue;
        };
        let start = views.ranges()[0].start;
        let mut shown = Shown::new(backend, 4);
        let page = |number: usize| start + number * PAGE_BYTES;
        shown
            .set(&views, page(1)..page(2), Rights::Read)
            .expect("there are mappings enough");
        shown.keep(&views, page(1), true).expect("it is shown");
        for number in (CHUNK_PAGES..VIEW_PAGES - 1).step_by(2) {
            shown
                .set(&views, page(number)..page(number + 1), Rights::Read)
                .expect("there are mappings enough");
        }
        assert_eq!(shown.page(0, 1).shown(), Rights::Read);
        assert_eq!(shown.page(0, CHUNK_PAGES).shown(), Rights::None);
    }
}
