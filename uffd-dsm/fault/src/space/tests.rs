//! The three rights of a page, on the real kernel.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;

mod instructions;

/// Runs a test on every backend that is usable here; each time with a window of its own, away from other tests'
/// (they run in parallel).
fn on_every_backend(test: impl Fn(Space, usize)) {
    static NEXT: AtomicUsize = AtomicUsize::new(0x2000_0000_0000);
    for backend in Backend::ORDER {
        let Ok(descriptor) = backend.open() else {
            continue;
        };
        let address = NEXT.fetch_add(1 << 30, Ordering::Relaxed);
        let layout = SpaceLayout {
            file_bytes: 1 << 20,
            views: (0..2)
                .map(|i| View {
                    address: address + (i << 20),
                    len: 1 << 20,
                    file_offset: 0,
                    is_tracked: false,
                })
                .collect(),
        };
        println!("on {}", backend.name());
        let space = Space::with_backend(&layout, backend, descriptor);
        test(space.expect("the backend was opened"), address);
    }
}

/// Runs `access` on another thread and serves its faults by `rights` until it is done; the faults seen.
fn serve(space: &mut Space, rights: Rights, access: impl FnOnce() + Send) -> Vec<Fault> {
    let done = AtomicBool::new(false);
    let mut seen = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            access();
            done.store(true, Ordering::Release);
        });
        let mut faults = Vec::new();
        while !done.load(Ordering::Acquire) {
            space.take_faults(&mut faults).unwrap();
            for fault in &faults {
                space.set_rights(fault.address, 1, rights).unwrap();
                seen.push(*fault);
            }
        }
    });
    seen
}

fn load(address: usize) -> u8 {
    crate::sys::testing::load(address)
}

fn store(address: usize, value: u8) {
    crate::sys::testing::store(address, value);
}

#[test]
fn first_load_faults_once_and_sees_what_the_engine_wrote() {
    on_every_backend(|mut space, address| {
        space.write(5, &[42]);
        let faults = serve(&mut space, Rights::Read, || {
            assert_eq!(load(address + 5), 42)
        });
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!((faults[0].address, faults[0].write), (address, false));
        assert!(
            serve(&mut space, Rights::Read, || assert_eq!(
                load(address + 5),
                42
            ))
            .is_empty()
        );
    });
}

#[test]
fn a_store_to_a_read_only_page_faults_as_a_write() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 1, Rights::Read).unwrap();
        let faults = serve(&mut space, Rights::Write, || store(address + 9, 7));
        assert!(!faults.is_empty());
        assert!(
            faults
                .iter()
                .all(|fault| fault.write && fault.address == address),
            "{faults:?}"
        );
        let mut byte = [0];
        space.read(9, &mut byte);
        assert_eq!(byte, [7]);
    });
}

#[test]
fn downgrade_keeps_the_bytes_and_makes_stores_fault() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 1, Rights::Write).unwrap();
        assert!(serve(&mut space, Rights::Write, || store(address, 1)).is_empty());
        space.set_rights(address, 1, Rights::Read).unwrap();
        assert!(serve(&mut space, Rights::Write, || assert_eq!(load(address), 1)).is_empty());
        assert!(!serve(&mut space, Rights::Write, || store(address, 2)).is_empty());
    });
}

#[test]
fn revoke_keeps_the_bytes_in_the_file() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 4, Rights::Write).unwrap();
        serve(&mut space, Rights::Write, || store(address + 4096, 3));
        space.set_rights(address, 4, Rights::None).unwrap();
        let mut byte = [0];
        space.read(4096, &mut byte);
        assert_eq!(byte, [3]);
        let faults = serve(&mut space, Rights::Read, || {
            assert_eq!(load(address + 4096), 3)
        });
        assert_eq!(faults.len(), 1);
    });
}

#[test]
fn rights_of_two_views_of_one_page_are_independent() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 1, Rights::Write).unwrap();
        serve(&mut space, Rights::Write, || store(address + 64, 8));
        let other = address + (1 << 20);
        let faults = serve(&mut space, Rights::Read, || assert_eq!(load(other + 64), 8));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!((faults[0].address, faults[0].write), (other, false));
        space.set_rights(other, 1, Rights::None).unwrap();
        assert!(
            serve(&mut space, Rights::Read, || assert_eq!(
                load(address + 64),
                8
            ))
            .is_empty()
        );
    });
}

#[test]
fn one_call_maps_a_run_over_pages_that_are_mapped_already_and_holes() {
    on_every_backend(|mut space, address| {
        space
            .set_rights(address + 2 * 4096, 1, Rights::Read)
            .unwrap();
        space.set_rights(address, 16, Rights::Write).unwrap();
        let faults = serve(&mut space, Rights::Write, || {
            (0..16).for_each(|page| store(address + page * 4096, 1))
        });
        assert!(faults.is_empty(), "{faults:?}");
    });
}

#[test]
fn a_fault_names_its_thread() {
    on_every_backend(|mut space, address| {
        let thread = AtomicUsize::new(0);
        let faults = serve(&mut space, Rights::Read, || {
            thread.store(crate::sys::thread_id() as usize, Ordering::Relaxed);
            load(address);
        });
        assert_eq!(faults[0].thread as usize, thread.load(Ordering::Relaxed));
    });
}

#[test]
fn one_call_lowers_a_run_and_leaves_absent_pages_to_the_engine() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 3, Rights::Write).unwrap();
        space
            .set_rights(address + 4 * 4096, 4, Rights::Write)
            .unwrap();
        space.set_rights(address, 8, Rights::Read).unwrap();
        let reads = serve(&mut space, Rights::Read, || {
            (0..8).for_each(|page| assert_eq!(load(address + page * 4096), 0))
        });
        assert!(reads.is_empty(), "{reads:?}");
        let writes = serve(&mut space, Rights::Write, || {
            (0..8).for_each(|page| store(address + page * 4096, 1))
        });
        let pages: std::collections::BTreeSet<usize> =
            writes.iter().map(|fault| fault.address).collect();
        assert_eq!(pages.len(), 8, "{writes:?}");
    });
}

#[test]
fn an_operation_of_the_engine_and_a_store_of_a_thread_meet_in_one_word() {
    on_every_backend(|mut space, address| {
        space.set_rights(address, 1, Rights::Write).unwrap();
        serve(&mut space, Rights::Write, || store(address + 8, 40));
        let Some(Word::W4(word)) = space.word(8, 4) else {
            panic!("a word of 4 bytes at 8 is aligned");
        };
        assert_eq!(word.fetch_add(2, Ordering::SeqCst), 40);
        serve(&mut space, Rights::Write, || {
            assert_eq!(load(address + 8), 42)
        });
        assert!(space.word(9, 2).is_none() && space.word(0, 3).is_none());
        assert!(space.word((1 << 20) - 4, 8).is_none() && space.word(1 << 20, 1).is_none());
    });
}

#[test]
fn pages_are_filled_whether_the_file_has_them_and_the_engine_view_shows_them_or_not() {
    on_every_backend(|mut space, address| {
        const PAGES: usize = 40;
        let fill = |space: &Space, first: usize, count: usize, value: u8| {
            let bytes = vec![value; count * PAGE_BYTES];
            let pages: Vec<&[u8]> = bytes.chunks(PAGE_BYTES).collect();
            let start = address + first * PAGE_BYTES;
            space.fill(start, &pages, Rights::Read).unwrap();
        };
        let see = |space: &mut Space, first: usize, count: usize, value: u8| {
            let faults = serve(space, Rights::Read, || {
                for page in first..first + count {
                    let start = address + page * PAGE_BYTES;
                    assert_eq!((load(start), load(start + PAGE_BYTES - 1)), (value, value));
                }
            });
            assert!(faults.is_empty(), "{faults:?}");
        };
        // One that the engine has written is in the way of those that nobody has.
        space.write(7 * PAGE_BYTES as u64, &[9]);
        fill(&space, 0, PAGES, 1);
        see(&mut space, 0, PAGES, 1);
        for value in 2..4 {
            space.set_rights(address, PAGES, Rights::None).unwrap();
            fill(&space, 0, PAGES, value);
            see(&mut space, 0, PAGES, value);
        }
        space.set_rights(address, PAGES, Rights::None).unwrap();
        let (start, len) = (3 * PAGE_BYTES as u64, 20 * PAGE_BYTES as u64);
        space.discard(start, len).unwrap();
        fill(&space, 0, 2, 4);
        fill(&space, 2, PAGES - 2, 5);
        see(&mut space, 0, 2, 4);
        see(&mut space, 2, PAGES - 2, 5);
    });
}

#[test]
fn discarded_pages_are_zero_and_can_be_used_again() {
    on_every_backend(|mut space, address| {
        space.write(4096, &[9; 8192]);
        space.set_rights(address + 4096, 2, Rights::Write).unwrap();
        space.set_rights(address + 4096, 2, Rights::None).unwrap();
        space.discard(4096, 4096).unwrap();
        let mut bytes = [1; 8192];
        space.read(4096, &mut bytes);
        assert_eq!((bytes[0], bytes[4095], bytes[4096]), (0, 0, 9));
        space.write(4096, &[5]);
        let faults = serve(&mut space, Rights::Read, || {
            assert_eq!(load(address + 4096), 5)
        });
        assert_eq!(faults.len(), 1);
    });
}
