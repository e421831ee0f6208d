use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::*;

const SITE: u64 = 0x40_1000;
const RECORD: u64 = 0x40_8000;

/// A heap of the stacks 512 to 1023, whose chunks are the last ones.
struct Bench {
    heap: Heap,
    end: Cell<u32>,
}

impl Bench {
    fn new(shared: bool) -> Self {
        Self {
            heap: Heap::new(512..1024, shared),
            end: Cell::new(1024),
        }
    }

    fn try_allocate(&self, bytes: u64, align: u64) -> Option<usize> {
        let wanted = Wanted {
            bytes,
            align,
            record: RECORD,
        };
        let take_chunks = |count, _| {
            let first = self
                .end
                .get()
                .checked_sub(count)
                .filter(|first| *first >= 512)?;
            self.end.set(first);
            Some(first)
        };
        let allocated = self.heap.allocate(wanted, take_chunks)?;
        Some(allocated.address)
    }

    fn allocate(&self, bytes: u64) -> usize {
        self.try_allocate(bytes, 16).unwrap()
    }

    fn free(&self, address: usize) -> Result<Urgency, Meaning> {
        self.heap.free(address, freer(1))
    }

    /// What the service thread does; the pages that were given back.
    fn bury(&self) -> Vec<(Place, u64)> {
        let mut discarded = Vec::new();
        for run in self.heap.take_freed().unwrap() {
            let done: Result<_, Infallible> = self.heap.bury(run, |place, pages| {
                discarded.push((place, pages));
                Ok(())
            });
            assert_eq!(done, Ok(true));
        }
        discarded
    }

    fn exists(&self, address: usize) -> bool {
        self.heap.exists(self.heap.place_at(address).unwrap())
    }
}

fn freer(node: u16) -> Freer {
    Freer {
        site: SITE,
        node: NodeId(node),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (value ^ value >> 31) % bound
    }
}

#[test]
fn live_objects_never_overlap_and_are_aligned() {
    for (shared, seed) in [(true, 1), (false, 2), (true, 3)] {
        let bench = Bench::new(shared);
        let mut random = Random(seed);
        // By address: end.
        let mut live: BTreeMap<usize, usize> = BTreeMap::new();
        for step in 0..20_000 {
            if random.below(3) > 0 {
                let bytes = 1 << random.below(16) | random.below(1 << 12);
                let align = 16 << random.below(if step % 7 == 0 { 12 } else { 2 });
                let address = bench.try_allocate(bytes, align).unwrap();
                assert_eq!(address % align as usize, 0, "seed {seed}, step {step}");
                let end = address + bytes as usize;
                let before = live.range(..end).next_back();
                assert!(
                    before.is_none_or(|(_, before)| *before <= address),
                    "seed {seed}, step {step}: {address:#x}, {bytes} bytes overlap {before:x?}"
                );
                live.insert(address, end);
            } else if let Some(address) = live
                .range(random.below(1 << 47) as usize..)
                .next()
                .or_else(|| live.iter().next())
                .map(|(address, _)| *address)
            {
                let end = live.remove(&address).unwrap();
                let Meaning::Live(object) = bench.heap.meaning(end - 1) else {
                    panic!("seed {seed}, step {step}: {address:#x} does not live");
                };
                assert_eq!((object.address, object.record), (address, RECORD));
                assert_eq!(object.size_bytes as usize, end - address);
                bench.free(address).unwrap();
                assert!(bench.free(address).is_err());
                if random.below(4) == 0 {
                    bench.bury();
                }
            }
        }
        let places = live.keys().map(|address| bench.heap.place_at(*address));
        assert!(places.flatten().all(|place| bench.heap.exists(place)));
    }
}

#[test]
fn an_object_exists_until_the_service_thread_has_seen_its_end() {
    for bytes in [16, 2000, 5000] {
        let bench = Bench::new(true);
        let address = bench.allocate(bytes);
        assert!(bench.exists(address));
        assert_eq!(bench.free(address), Ok(Urgency::Soon));
        assert!(bench.exists(address), "faults of before are being served");
        let runs = bench.heap.take_freed().unwrap();
        assert_eq!(runs.len(), 1);
        assert!(!bench.exists(address));
        assert!(bench.heap.take_freed().unwrap().is_empty());
    }
}

#[test]
fn whoever_frees_wrongly_learns_what_the_address_means() {
    for (shared, bytes) in [(true, 40), (false, 40), (true, 9000), (false, 9000)] {
        let bench = Bench::new(shared);
        let address = bench.allocate(bytes);
        let object = Object {
            address,
            size_bytes: bytes,
            record: RECORD,
        };
        assert_eq!(bench.free(address + 16), Err(Meaning::Live(object)));
        assert_eq!(bench.free(0x1000), Err(Meaning::Nothing));
        bench.free(address).unwrap();
        let freed = Meaning::Freed(object, freer(1));
        assert_eq!(bench.heap.free(address, freer(2)), Err(freed));
        bench.bury();
        assert_eq!(bench.heap.free(address, freer(2)), Err(freed));
        assert_eq!(bench.heap.meaning(address + 39), freed);
    }
    let bench = Bench::new(true);
    let address = bench.allocate(64);
    let never = Place::at(address).map(|place| Place {
        number: 999,
        ..place
    });
    assert_eq!(bench.free(never.unwrap().address()), Err(Meaning::Nothing));
}

#[test]
fn slots_are_used_again_in_the_order_in_which_they_were_freed_and_late() {
    let bench = Bench::new(true);
    let first: Vec<usize> = (0..70_000).map(|_| bench.allocate(64)).collect();
    for address in &first {
        bench.free(*address).unwrap();
    }
    bench.bury();
    let second: Vec<usize> = (0..70_000).map(|_| bench.allocate(64)).collect();
    let again = second.iter().position(|address| *address == first[0]);
    assert_eq!(again, Some(0), "70,000 wait: more than must");
    let waiting = 1 << 16;
    // They leave the queue 64 at a time.
    let reused = (70_000_usize - waiting).next_multiple_of(64);
    assert_eq!(second[..reused], first[..reused]);
    let first: BTreeSet<usize> = first.into_iter().collect();
    assert!(
        second[reused..]
            .iter()
            .all(|address| !first.contains(address))
    );
}

#[test]
fn memory_goes_back_when_a_physical_page_holds_nothing_any_more() {
    let bench = Bench::new(true);
    // Four groups of slots of 512 bytes: 8 views of 16 pages each.
    let objects: Vec<usize> = (0..4 * 128).map(|_| bench.allocate(500)).collect();
    for address in &objects[..256] {
        if *address != objects[5] {
            bench.free(*address).unwrap();
        }
    }
    let pages: u64 = bench.bury().iter().map(|(_, pages)| pages).sum();
    assert_eq!(pages, 31, "one of two groups' pages holds a live object");
    bench.free(objects[5]).unwrap();
    let [(place, 1)] = bench.bury()[..] else {
        panic!("the last page goes with its last object");
    };
    assert_eq!(
        place.page_file_offset(),
        Place::at(objects[5]).unwrap().page_file_offset()
    );

    let large = bench.allocate(1 << 20);
    bench.free(large).unwrap();
    assert_eq!(bench.bury(), [(Place::at(large).unwrap(), 256)]);
}

#[test]
fn a_first_touch_never_reaches_a_freed_neighbour() {
    let bench = Bench::new(true);
    let slots: Vec<usize> = (0..16).map(|_| bench.allocate(64)).collect();
    let place = |index: usize| Place::at(slots[index]).unwrap();
    assert_eq!(bench.heap.first_touch(place(5), 16), 0..16);
    for index in [3, 9] {
        bench.free(slots[index]).unwrap();
    }
    bench.bury();
    assert_eq!(bench.heap.first_touch(place(5), 16), 4..9);
    let first = bench.allocate(3 * 4096);
    let second = Place::at(bench.allocate(100 * 4096)).unwrap();
    assert_eq!(bench.heap.first_touch(Place::at(first).unwrap(), 64), 0..3);
    assert_eq!(bench.heap.first_touch(second, 64), 3..64);
}

#[test]
fn a_new_block_is_mapped_together_once_and_not_if_one_of_it_was_freed() {
    let bench = Bench::new(true);
    let objects: Vec<usize> = (0..300).map(|_| bench.allocate(64)).collect();
    let place = |index: usize| Place::at(objects[index]).unwrap();
    assert_eq!(bench.heap.first_block(place(130)), 128..256);
    assert!(bench.heap.first_block(place(131)).is_empty());
    bench.free(objects[7]).unwrap();
    bench.bury();
    assert!(bench.heap.first_block(place(0)).is_empty());
    // Slots of half a page: a group has 32, on 16 pages.
    let large = Place::at(bench.allocate(2000)).unwrap();
    assert_eq!(bench.heap.first_block(large), 0..32);
    let pages = Place::at(bench.allocate(9000)).unwrap();
    assert!(bench.heap.first_block(pages).is_empty());
}

#[test]
fn an_object_larger_than_a_chunk_spans_adjacent_ones() {
    let bench = Bench::new(true);
    let bytes = 9 << 30;
    let address = bench.allocate(bytes);
    assert_eq!(bench.end.get(), 1021);
    let last = address + bytes as usize - 1;
    assert!(bench.exists(address) && bench.exists(last));
    assert!(!bench.exists(last + 4096));
    bench.free(address).unwrap();
    let runs = bench.heap.take_freed().unwrap();
    assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), bytes >> 12);
    assert_eq!(runs.len(), 3);
    assert!(!bench.exists(last));
    assert_eq!(bench.try_allocate(1 << 50, 16), None);
    assert_eq!(bench.try_allocate(u64::MAX, 16), None);
    assert_eq!(bench.allocate(16) % 16, 0, "a refusal breaks nothing");
}

#[test]
fn sizes_change_in_place_only_within_what_travels() {
    let bench = Bench::new(true);
    let small = bench.allocate(200);
    assert!(bench.heap.resize(small, 256) && !bench.heap.resize(small, 257));
    assert!(!bench.heap.resize(small, 64), "a quarter of its slot");
    let page = bench.allocate(3000);
    assert_eq!(bench.heap.extent(Place::at(page).unwrap()), (0, 3008));
    assert!(bench.heap.resize(page, 3008) && !bench.heap.resize(page, 3009));
    let Meaning::Live(object) = bench.heap.meaning(page + 1) else {
        panic!("it lives");
    };
    assert_eq!(object.size_bytes, 3008);
    bench.free(page).unwrap();
    assert!(
        !bench.heap.resize(page, 2000) || matches!(bench.heap.meaning(page), Meaning::Freed(..))
    );
}

#[test]
fn a_race_of_frees_has_one_winner() {
    let bench = Bench::new(true);
    let objects: Vec<usize> = (0..2000).map(|_| bench.allocate(64)).collect();
    let heap = &bench.heap;
    let freed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|node| {
                let objects = &objects;
                scope.spawn(move || {
                    let won = |address: &&usize| heap.free(**address, freer(node)).is_ok();
                    objects.iter().filter(won).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(freed, objects.len());
    let runs = heap.take_freed().unwrap();
    assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), 2000);
}

/// As if a handler had interrupted a thread that holds a lock, and waited for the service thread.
#[test]
fn the_service_thread_comes_back_to_what_a_thread_is_in_the_way_of() {
    let bench = Bench::new(true);
    let own = bench.allocate(64);
    let others = bench.allocate(64);
    bench.free(own).unwrap();
    let freed = bench.heap.freed.lock().unwrap();
    let urgency = bench.heap.free_for_other(others, freer(2)).unwrap();
    assert_eq!(urgency, Urgency::Soon);
    assert_eq!(bench.heap.take_freed(), None);
    drop(freed);
    let runs = bench.heap.take_freed().unwrap();
    assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), 2);
    let bury = |run| {
        let nothing = |_, _| -> Result<(), Infallible> { Ok(()) };
        bench.heap.bury(run, nothing).unwrap()
    };
    let Arena::Small(class) = runs[0].first.arena else {
        unreachable!("64 bytes are a slot")
    };
    let small = bench.heap.small[class.index()].lock().unwrap();
    assert!(!bury(runs[0]));
    drop(small);
    assert!(bury(runs[0]));
}
