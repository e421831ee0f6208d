//! A program whose data is larger than the cache.

#[path = "../engine/home.rs"]
#[allow(dead_code, reason = "the engine's other tests use the rest")]
mod home;
#[path = "../engine/node.rs"]
#[allow(dead_code, reason = "the engine's other tests use the rest")]
mod node;

use home::Home;
use node::{foreign_stack, load, node, page, store};

/// Pages that the engine keeps at most.
const CACHE_PAGES: u64 = 64;
/// What engines of this file keep at most.
pub const CACHE_BYTES: u64 = CACHE_PAGES * 4096;
const PAGES: u64 = 4 * CACHE_PAGES;

#[test]
fn data_four_times_the_cache_is_right_and_the_cache_stays_within_its_bound() {
    for exclusive in [false, true] {
        let mut node = node();
        let mut home = Home {
            exclusive,
            ..Home::default()
        };
        let first = page(foreign_stack(), 0);
        let address = first.page_address();
        let mut used_max = 0;
        for round in 1..4 {
            node.run(
                move || {
                    for number in 0..PAGES {
                        let byte = address + number as usize * 4096 + (number * 13 % 4096) as usize;
                        assert_eq!(load(byte), (round - 1) as u8 * 10, "page {number}");
                        store(byte, round as u8 * 10);
                    }
                },
                |message| home.answer(message),
            );
            used_max = used_max.max(node.engine.copy_bytes());
            assert!(
                node.engine.copy_bytes() <= CACHE_PAGES * 4096,
                "{} bytes",
                node.engine.copy_bytes()
            );
        }
        assert!(used_max > 0);
        let gone = home.count("leave") + home.count("return");
        assert!(gone >= 3 * PAGES - CACHE_PAGES, "{:?}", home.counts);
        node.flush(|message| home.answer(message));
        let written = |(number, page): (u64, &Vec<u8>)| page[(number * 13 % 4096) as usize] == 30;
        let left = (0..PAGES)
            .zip(home.pages.values())
            .filter(|page| !written(*page))
            .count();
        // What only this node has is still here.
        assert!(
            left <= if exclusive { CACHE_PAGES as usize } else { 0 },
            "{left} pages"
        );
    }
}

#[test]
fn copies_that_are_used_again_and_again_stay() {
    let mut node = node();
    let mut home = Home::default();
    let first = page(foreign_stack(), 0);
    let address = first.page_address();
    node.run(
        move || {
            for number in 1..8 * CACHE_PAGES {
                // Scattered: no stream.
                let scattered = 1 + number * 769 % 16_384;
                load(address + scattered as usize * 4096);
                load(address);
            }
        },
        |message| home.answer(message),
    );
    let gets = home.counts["get"];
    assert!(
        gets <= 8 * CACHE_PAGES + CACHE_PAGES / 4,
        "page 0 was fetched {} times",
        gets + 1 - 8 * CACHE_PAGES
    );
}
