//! Weak arrays whose written pages the kernel tells.

use std::time::{Duration, Instant};

use uffd_dsm::window::{Arena, Place};
use umbel_wire::{Access, Coherence};

use crate::home::{Home, flushed};
use crate::node::{Node, WEAK, foreign_stack, load, node, own_stack, page, store};

fn tracked(stack: u32, number: u64) -> Place {
    Place {
        stack,
        arena: Arena::Tracked,
        number,
    }
}

/// Whether this kernel can; elsewhere the arena is as the page arena, and its tests say nothing.
fn can_track() -> bool {
    let tracking = umbel_fault::write_tracking();
    if let Err(reason) = tracking {
        eprintln!("not tested: {reason}");
    }
    tracking.is_ok()
}

fn load_all(node: &mut Node, home: &mut Home, first: usize, pages: usize) {
    node.run(
        move || (0..pages).fold(0, |all, page| all | load(first + page * 4096)),
        |message| home.answer(message),
    );
}

/// Touches the first byte of every `step`-th page.
fn store_some(
    node: &mut Node,
    home: &mut Home,
    first: usize,
    pages: usize,
    step: usize,
    value: u8,
) {
    node.run(
        move || {
            let touched = (0..pages).step_by(step);
            touched.for_each(|page| store(first + page * 4096, value));
        },
        |message| home.answer(message),
    );
}

/// Ends the copies' lives: they would be written for ever, and other tests want an engine without such.
fn end(node: &mut Node, home: Home) {
    for object in home.pages.into_keys() {
        node.receive(Coherence::Invalidate {
            object,
            end_of_life: true,
        });
    }
    node.turn();
    let _ = node.take_sent();
}

#[test]
fn stores_never_fault_and_a_flush_sends_the_written_pages_only() {
    if !can_track() {
        return;
    }
    let mut node = node();
    let mut home = Home::default();
    let first = tracked(foreign_stack(), 64);
    let address = first.page_address();
    load_all(&mut node, &mut home, address, 100);
    for (round, step) in [7, 50, 1, 33].into_iter().enumerate() {
        let value = round as u8 + 1;
        let faults = node.engine.fault_counts();
        store_some(&mut node, &mut home, address, 100, step, value);
        assert_eq!(node.engine.fault_counts(), faults);
        let before = home.count("flush");
        node.flush(|message| home.answer(message));
        let touched = 100_usize.div_ceil(step) as u64;
        assert_eq!(home.count("flush") - before, touched);
        node.flush(|message| home.answer(message));
        assert_eq!(
            home.count("flush") - before,
            touched,
            "nothing was written since"
        );
        for page in (0..100).step_by(step) {
            let object = tracked(first.stack, 64 + page).id();
            assert_eq!(home.pages[&object][0], value);
        }
    }
    end(&mut node, home);
}

#[test]
fn no_store_is_lost_beside_flushes_that_go_on() {
    if !can_track() {
        return;
    }
    let mut node = node();
    let mut home = Home::default();
    let first = tracked(foreign_stack(), 0);
    let address = first.page_address();
    load_all(&mut node, &mut home, address, 64);
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_millis(300);
        let mut values = [0_u8; 64];
        let mut next: usize = 1;
        while Instant::now() < end {
            next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let page = next >> 40 & 63;
            values[page] = values[page].wrapping_add(1);
            store(address + page * 4096 + 9, values[page]);
        }
        sender.send(values)
    });
    let values = loop {
        node.flush(|message| home.answer(message));
        if let Ok(values) = done.try_recv() {
            break values;
        }
    };
    node.flush(|message| home.answer(message));
    for (number, value) in values.iter().enumerate() {
        let object = tracked(first.stack, number as u64).id();
        assert_eq!(home.pages[&object][9], *value, "page {number}");
    }
    end(&mut node, home);
}

#[test]
fn an_invalidated_copy_hands_over_what_no_scan_has_seen() {
    if !can_track() {
        return;
    }
    let mut node = node();
    let mut home = Home::default();
    let place = tracked(foreign_stack(), 4);
    let address = place.page_address();
    load_all(&mut node, &mut home, address, 1);
    node.flush(|message| home.answer(message));
    store_some(&mut node, &mut home, address, 1, 1, 33);
    node.receive(Coherence::Invalidate {
        object: place.id(),
        end_of_life: false,
    });
    node.turn();
    let sent = node.take_sent();
    let [
        Coherence::Invalidated {
            diff: Some((sequence, diff)),
            ..
        },
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(diff, &[0, 33]);
    node.receive(flushed(place.id(), *sequence));
    node.turn();
    home.pages.remove(&place.id());
    end(&mut node, home);
    assert!(node.engine.is_clean());
}

/// The places of the tracked arena that no known object takes are sequential, as one is that was strengthened.
#[test]
fn who_reads_a_sequential_page_gets_the_only_copy() {
    let mut node = node();
    let stack = own_stack(&mut node, 1, WEAK);
    let (there, elsewhere) = (tracked(stack, 7), page(stack, 7));
    for (place, granted) in [(there, Access::Write), (elsewhere, Access::Read)] {
        node.receive(Coherence::Get {
            object: place.id(),
            access: Access::Read,
            prefetch: false,
        });
        node.turn();
        let sent = node.take_sent();
        let is_right = matches!(sent[..], [Coherence::Grant { access, .. }] if access == granted);
        assert!(is_right, "{sent:?}");
    }
}

/// Estimate for 16,384 pages: the scan 11 us and more for what was written; with protection a fault of 2.7 us
/// for each written page. `--nocapture` shows the figures; `--ignored`, for it takes seconds.
#[test]
#[ignore]
fn figures_of_a_flush_of_64_mib() {
    let mut node = node();
    const PAGES: usize = 16_384;
    for arena in [Arena::Pages, Arena::Tracked] {
        let mut home = Home::default();
        let place = Place {
            stack: foreign_stack(),
            arena,
            number: 0,
        };
        let address = place.page_address();
        load_all(&mut node, &mut home, address, PAGES);
        for _ in 0..20 {
            node.flush(|message| home.answer(message));
        }
        for (percent, step) in [(0, None), (1, Some(100)), (10, Some(10)), (100, Some(1))] {
            let mut best = (Duration::MAX, Duration::MAX);
            let mut faults = 0;
            for round in 0..5 {
                let before = node.engine.fault_counts().1;
                let start = Instant::now();
                if let Some(step) = step {
                    store_some(&mut node, &mut home, address, PAGES, step, 2 * round + 1);
                }
                let stored = start.elapsed();
                faults = node.engine.fault_counts().1 - before;
                let start = Instant::now();
                node.flush(|message| home.answer(message));
                best = (best.0.min(stored), best.1.min(start.elapsed()));
                // The ordinary arena's copies become read-only again.
                for _ in 0..10 {
                    node.flush(|message| home.answer(message));
                }
            }
            println!(
                "{arena:?} {percent} %: stores {:?}, flush {:?}, {faults} write faults",
                best.0, best.1
            );
        }
        end(&mut node, home);
    }
}
