use std::collections::BTreeSet;

use super::*;

fn arenas() -> impl Iterator<Item = Arena> {
    Class::all()
        .map(Arena::Small)
        .chain([Arena::Pages, Arena::Tracked])
}

fn places() -> impl Iterator<Item = Place> {
    let stacks = [0, 1, 63, STACKS - 1];
    stacks.into_iter().flat_map(move |stack| {
        arenas().flat_map(move |arena| {
            let last = arena.count() - 1;
            let numbers = [0, 1, 15, 16, 17, 1023, 1024, 1025, 6_536, last];
            numbers.into_iter().map(move |number| Place {
                stack,
                arena,
                number,
            })
        })
    })
}

fn line_places() -> impl Iterator<Item = Place> {
    places().filter(|place| place.arena == Arena::Small(Class::LINE))
}

#[test]
fn number_and_address_name_the_same_place() {
    let last = ObjectId(u64::from(STACKS) << STACK_SHIFT);
    assert_eq!(Place::of(last), None);
    let beyond = TRACKED_CODE << ARENA_SHIFT | TRACKED_PAGES;
    assert_eq!(Place::of(ObjectId(beyond)), None);
    for place in places() {
        assert_eq!(Place::of(place.id()), Some(place));
        assert_eq!(
            Place::at(place.address()),
            Some(place),
            "{:#x}",
            place.address()
        );
        assert_eq!(
            Place::at(place.page_address() + PAGE_BYTES - 1),
            Some(place)
        );
    }
}

#[test]
fn no_two_slots_share_a_virtual_page_or_a_byte() {
    for arena in arenas() {
        let slots: Vec<Place> = (0..3000)
            .map(|number| Place {
                stack: 3,
                arena,
                number,
            })
            .collect();
        let pages: BTreeSet<usize> = slots.iter().map(|slot| slot.page_address()).collect();
        assert_eq!(pages.len(), slots.len(), "{arena:?}");
        let mut starts: Vec<u64> = slots
            .iter()
            .map(|slot| slot.page_file_offset() + slot.offset_in_page() as u64)
            .collect();
        starts.sort_unstable();
        let unit = arena.unit_bytes() as u64;
        assert!(starts.is_sorted_by(|a, b| a + unit <= *b), "{arena:?}");
    }
}

#[test]
fn no_two_arenas_share_a_byte_of_the_file_or_an_address() {
    let ends = |arena: Arena| {
        let place = |stack, number| Place {
            stack,
            arena,
            number,
        };
        (place(0, 0), place(STACKS - 1, arena.count() - 1))
    };
    let mut file_end = 0;
    let mut address_end = 0;
    for arena in arenas() {
        let (first, last) = ends(arena);
        assert!(first.page_file_offset() >= file_end, "{arena:?}");
        assert!(first.page_address() >= address_end, "{arena:?}");
        file_end = last.page_file_offset() + PAGE_BYTES as u64;
        address_end = last.page_address() + PAGE_BYTES;
    }
    assert_eq!(file_end, layout(true).file_bytes);
}

#[test]
fn every_place_lies_in_the_view_that_maps_it() {
    let views = layout(true).views;
    assert_eq!(views.len(), 128);
    for place in places() {
        let address = place.page_address();
        let view = views
            .iter()
            .find(|view| (view.address..view.address + view.len).contains(&address))
            .unwrap();
        let offset = view.file_offset + (address - view.address) as u64;
        assert_eq!(offset, place.page_file_offset(), "{place:?}");
    }
}

#[test]
fn sixteen_neighbours_are_one_run_of_pages() {
    for arena in arenas() {
        let first = Place {
            stack: 0,
            arena,
            number: 32,
        };
        for i in 0..GROUP_PAGES {
            let slot = Place {
                number: 32 + i,
                ..first
            };
            let expected = first.page_address() + i as usize * PAGE_BYTES;
            assert_eq!(slot.page_address(), expected, "{arena:?}");
        }
    }
}

#[test]
fn a_size_takes_the_smallest_slot_that_holds_it() {
    let slot_of = |bytes| Class::for_bytes(bytes).map(Class::slot_bytes);
    for (bytes, slot) in [(1, 64), (64, 64), (65, 128), (1025, 2048), (2048, 2048)] {
        assert_eq!(slot_of(bytes), Some(slot));
    }
    assert_eq!(slot_of(2049), None);
}

#[test]
fn compiled_code_computes_the_same_address() {
    for place in line_places() {
        let address = shared_geometry(place.stack).slot_address(place.number);
        assert_eq!(address, place.address());
    }
}

#[test]
fn alone_every_slot_is_found_by_its_address() {
    for place in places() {
        let address = place.solo_address();
        let last_byte = address + place.arena.unit_bytes() - 1;
        assert_eq!(Place::at_solo(address), Some(place));
        assert_eq!(Place::at_solo(last_byte), Some(place));
    }
    for place in line_places() {
        let address = solo_geometry(place.stack).slot_address(place.number);
        assert_eq!(address, place.solo_address());
    }
}

#[test]
fn every_stack_has_one_home() {
    for node_count in [1, 2, 3, 4, 7, 8, 100] {
        let homes = Homes::new(node_count);
        for node in 0..node_count {
            let stacks = homes.stacks(NodeId(node));
            assert!(stacks.end <= STACKS && !stacks.is_empty());
            assert!(
                stacks
                    .clone()
                    .all(|stack| homes.home_of_stack(stack) == NodeId(node))
            );
        }
    }
}

#[test]
fn addresses_outside_are_refused() {
    let between = SMALL_BASE + VIEW_BYTES;
    let after_small = SMALL_BASE + VIEWS * VIEW_STRIDE;
    let after = TRACKED_BASE + TRACKED_ARENA_BYTES;
    for address in [
        0,
        0x1000,
        SMALL_BASE - 1,
        between,
        after_small,
        PAGE_BASE - 1,
        after,
        usize::MAX,
    ] {
        assert_eq!(Place::at(address), None, "{address:#x}");
    }
}
