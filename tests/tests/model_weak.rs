//! Weak objects, and what else there is beside sequential ones, in every reachable state of small clusters.
//!
//! The numbers of states are pinned, as in `model.rs`.

use umbel_tests::model::scenarios::*;
use umbel_tests::model::{Explored, Scenario, explore};
use umbel_wire::Protocol::{Invalidate, Migratory, ReadOnly, Remote, Update};

/// More than the largest scenario: a search that runs away stops before memory does.
const STATES_MAX: usize = 1_500_000;

#[track_caller]
fn check(scenario: &Scenario, (states, depth, at_rest): (usize, usize, usize)) {
    let explored =
        explore(scenario, STATES_MAX).unwrap_or_else(|counterexample| panic!("{counterexample:?}"));
    let expected = Explored {
        states,
        depth,
        at_rest,
    };
    assert_eq!(explored, expected, "the reachable states changed");
}

/// A test for each line: scenario => (states, depth, states at rest).
macro_rules! explored {
    ($($(#[$attribute:meta])* $name:ident: $scenario:expr => $expected:expr;)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                check(&$scenario, $expected);
            }
        )*
    };
}

explored! {
    two_caches_write_invalidate: two_caches_write(Invalidate) => (9855, 30, 501);
    two_caches_write_migratory: two_caches_write(Migratory) => (28_170, 37, 317);
    two_caches_write_read_only: two_caches_write(ReadOnly) => (11_923, 30, 675);
    two_caches_write_update: two_caches_write(Update) => (7181, 29, 467);
    home_and_cache_write_invalidate: home_and_cache_write(Invalidate) => (7781, 33, 522);
    home_and_cache_write_migratory: home_and_cache_write(Migratory) => (26_382, 32, 377);
    home_and_cache_write_read_only: home_and_cache_write(ReadOnly) => (10_012, 33, 812);
    home_and_cache_write_update: home_and_cache_write(Update) => (5488, 28, 528);
    one_cache_writes_often_invalidate: one_cache_writes_often(Invalidate) => (16_816, 44, 894);
    one_cache_writes_often_migratory: one_cache_writes_often(Migratory) => (39_753, 39, 676);
    one_cache_writes_often_update: one_cache_writes_often(Update) => (9289, 30, 888);
    two_nodes_write_often_invalidate: two_nodes_write_often(Invalidate) => (10_590, 25, 1984);
    two_nodes_write_often_migratory: two_nodes_write_often(Migratory) => (9501, 23, 633);
    two_nodes_write_often_read_only: two_nodes_write_often(ReadOnly) => (13_620, 26, 2785);
    two_nodes_write_often_update: two_nodes_write_often(Update) => (7606, 23, 2011);

    a_copy_that_is_not_written_rests: a_copy_rests() => (9481, 34, 1662);

    copies_converge_after_a_race_invalidate: a_race(Invalidate) => (188_400, 39, 16_818);
    copies_converge_after_a_race_update: a_race(Update) => (119_772, 38, 14_370);
    copies_converge_after_a_race_with_the_home_invalidate: a_race_with_the_home(Invalidate) => (11_297, 25, 1726);
    copies_converge_after_a_race_with_the_home_update: a_race_with_the_home(Update) => (9365, 24, 1749);

    a_flag_at_the_datas_home_invalidate: a_flag(Invalidate, 0) => (103_253, 43, 1922);
    a_flag_at_the_writer_invalidate: a_flag(Invalidate, 1) => (156_118, 43, 3400);
    a_flag_at_a_third_node_invalidate: a_flag(Invalidate, 2) => (102_292, 47, 2061);
    a_flag_at_the_datas_home_update: a_flag(Update, 0) => (90_348, 41, 1845);
    a_flag_at_the_writer_update: a_flag(Update, 1) => (121_060, 44, 3380);
    a_flag_at_a_third_node_update: a_flag(Update, 2) => (85_862, 41, 1939);
    a_flag_of_the_home_at_home: a_flag_of_the_home(Invalidate, 0) => (101_623, 39, 2879);
    a_flag_of_the_home_elsewhere: a_flag_of_the_home(Invalidate, 1) => (114_892, 42, 2805);
    a_flag_of_the_home_elsewhere_update: a_flag_of_the_home(Update, 1) => (97_022, 42, 2679);

    news_goes_around_invalidate: news(Invalidate, 0) => (504_768, 43, 5513);
    news_goes_around_update: news(Update, 0) => (296_158, 32, 3967);
    news_goes_around_another_home: news(Invalidate, 2) => (662_110, 42, 6566);
    news_in_a_row_invalidate: news_in_a_row(Invalidate, 0) => (162_368, 39, 1894);
    news_in_a_row_update: news_in_a_row(Update, 0) => (86_070, 31, 1343);
    news_in_a_row_another_home: news_in_a_row(Invalidate, 2) => (147_308, 39, 1894);
    news_and_then_a_flag: news_and_a_flag(Invalidate, 0) => (109_662, 34, 1794);
    news_of_the_home_too: news_of_the_home(Update) => (272_667, 32, 3966);
    news_and_then_a_flag_of_the_writer: news_and_a_flag(Invalidate, 1) => (304_588, 40, 3217);
    restored_by_two_nodes: two_nodes_restore(Invalidate) => (47_426, 30, 6958);
    news_and_then_a_flag_elsewhere: news_and_a_flag(Update, 2) => (160_223, 37, 2192);

    held_two_caches_write: held(faults(two_caches_write(Invalidate), 3)) => (46_066, 40, 3594);
    gathered_flag_invalidate: gathered(a_flag(Invalidate, 0)) => (131_260, 47, 1922);
    gathered_flag_update: gathered(a_flag(Update, 0)) => (115_645, 44, 1845);
    gathered_flag_first_invalidate: gathered(a_flag_first(Invalidate)) => (131_640, 47, 1922);
    gathered_flag_first_update: gathered(a_flag_first(Update)) => (116_150, 44, 1845);
    gathered_flag_of_the_home: gathered(a_flag_of_the_home(Invalidate, 0)) => (141_031, 47, 2879);
    gathered_news_and_a_flag: gathered(news_and_a_flag(Invalidate, 0)) => (144_784, 37, 1794);
    gathered_copy_rests: gathered(a_copy_rests_beside_a_flag()) => (69_184, 32, 9636);
    gathered_two_objects_held: gathered(held(faults(two_objects(), 1))) => (4041, 18, 119);

    parts_two_nodes_write_often_invalidate: in_parts(two_nodes_write_often(Invalidate), 2) => (203_598, 32, 9934);
    parts_two_nodes_write_often_update: in_parts(two_nodes_write_often(Update), 2) => (163_229, 33, 5112);
    parts_home_and_cache_write: in_parts(home_and_cache_write(Invalidate), 1) => (39_843, 35, 1203);
    parts_home_and_cache_write_update: in_parts(home_and_cache_write(Update), 1) => (25_173, 35, 930);
    parts_flag_invalidate: in_parts(a_flag(Invalidate, 0), 1) => (191_835, 44, 2540);
    parts_flag_update: in_parts(a_flag(Update, 1), 1) => (203_161, 46, 4010);
    parts_flag_of_the_home: in_parts(a_flag_of_the_home(Invalidate, 0), 1) => (213_840, 40, 3641);
    parts_news_and_a_flag: in_parts(news_and_a_flag(Invalidate, 0), 1) => (157_356, 35, 2451);

    tracked_two_caches_write_invalidate: tracked(two_caches_write(Invalidate)) => (10_333, 34, 359);
    tracked_two_caches_write_update: tracked(two_caches_write(Update)) => (8567, 31, 323);

    reclaimed_two_caches_write_invalidate: reclaimed(faults(two_caches_write(Invalidate), 2)) => (305_054, 45, 7921);
    reclaimed_two_caches_write_update: reclaimed(faults(two_caches_write(Update), 2)) => (265_681, 37, 6907);
    reclaimed_home_and_cache_write: reclaimed(faults(home_and_cache_write(Invalidate), 2)) => (243_056, 41, 7256);
    lost_cache_invalidate: lost(two_caches_write(Invalidate), 1) => (12_731, 32, 757);
    lost_cache_update: lost(two_caches_write(Update), 1) => (8431, 28, 719);
    lost_home_invalidate: lost(two_caches_write(Invalidate), 0) => (10_540, 29, 756);
    lost_home_update: lost(two_caches_write(Update), 0) => (8344, 27, 745);
    lost_cache_while_the_home_writes: lost(home_and_cache_write(Invalidate), 1) => (10_675, 28, 777);

    sequential_migratory: one_object_stray(Migratory) => (7014, 23, 11);
    sequential_read_only: one_object_stray(ReadOnly) => (21_413, 25, 20);
    sequential_remote: one_object_stray(Remote) => (19_164, 25, 17);
    sequential_migratory_held: held(one_object(Migratory)) => (7717, 26, 11);
    sequential_read_only_held: held(one_object(ReadOnly)) => (16_716, 32, 20);
    sequential_migratory_lost: lost(one_object(Migratory), 1) => (6069, 21, 18);

    evictions_sequential: evictions(faults(one_object(Invalidate), 2), 1) => (96_554, 28, 801);
    evictions_migratory: evictions(faults(one_object(Migratory), 2), 1) => (47_937, 28, 481);
    evictions_invalidate: evictions(faults(two_caches_write(Invalidate), 2), 1) => (327_723, 42, 9795);
    evictions_weak_migratory: evictions(faults(two_caches_write(Migratory), 2), 1) => (315_251, 35, 8046);
    evictions_update: evictions(faults(two_caches_write(Update), 2), 1) => (282_040, 36, 8129);
    prefetches_served: prefetches(faults(one_object(Invalidate), 1), 1, true) => (15_726, 21, 235);
    prefetches_denied: prefetches(faults(one_object(Invalidate), 1), 1, false) => (5200, 20, 136);
    prefetches_weak: prefetches(faults(two_caches_write(Invalidate), 1), 1, true) => (41_353, 37, 3303);
    prefetches_lost: lost(prefetches(faults(one_object(Invalidate), 1), 1, true), 0) => (16_804, 20, 500);

    switches_sequential: switches(faults(one_object(Invalidate), 2), 1) => (113_022, 25, 1328);
    switches_weak: switches(faults(two_caches_write(Invalidate), 2), 1) => (179_467, 39, 14_589);
    switches_weak_home: switches(faults(home_and_cache_write(Update), 2), 1) => (111_752, 35, 10_042);

    operations_flag: faults(operations_as_flags(Update), 1) => (375_563, 28, 4690);
    operations_remote: operations(Remote) => (299_858, 27, 976);

    strengthened_by_a_cache: strengthened(faults(two_caches_write(Invalidate), 2), 1) => (279_930, 46, 5618);
    strengthened_by_the_home: strengthened(faults(two_caches_write(Invalidate), 2), 0) => (178_263, 45, 5618);
    strengthened_update: strengthened(faults(two_caches_write(Update), 2), 2) => (242_454, 35, 4845);
    strengthened_home_writes: strengthened(faults(home_and_cache_write(Invalidate), 2), 1) => (221_088, 42, 5349);

    pinned_one_object: pinned(faults(one_object(Invalidate), 2), &[0, 1]) => (65_866, 28, 734);
    pinned_one_object_held: pinned(held(faults(one_object(Invalidate), 2)), &[1]) => (53_200, 29, 367);
    pinned_migratory: pinned(faults(one_object(Migratory), 2), &[0, 1]) => (39_420, 26, 482);
    pinned_read_only: pinned(faults(one_object(ReadOnly), 2), &[0, 1]) => (66_226, 28, 734);
    pinned_weak: pinned(faults(two_caches_write(Invalidate), 2), &[0, 1]) => (63_812, 42, 5456);
    pinned_evictions: pinned(evictions(faults(one_object(Invalidate), 1), 1), &[1, 2]) => (8084, 23, 337);
    pinned_switches: pinned(switches(faults(one_object(Invalidate), 1), 1), &[0, 1]) => (19_943, 19, 811);
    pinned_strengthened: pinned(strengthened(faults(two_caches_write(Invalidate), 1), 2), &[0, 1]) => (76_833, 32, 2642);
    pinned_reclaimed: pinned(reclaimed(faults(one_object(Invalidate), 1)), &[0, 1]) => (12_450, 19, 322);
    pinned_lost_home: pinned(lost(faults(one_object(Invalidate), 2), 0), &[1]) => (27_369, 25, 730);

    written_ahead_two_caches: written_ahead(faults(two_caches_write(Invalidate), 2), &[1, 2], 1) => (73_025, 40, 7245);
    written_ahead_two_caches_update: written_ahead(faults(two_caches_write(Update), 2), &[1, 2], 1) => (45_781, 35, 5505);
    written_ahead_two_caches_migratory: written_ahead(faults(two_caches_write(Migratory), 2), &[1], 1) => (31_398, 31, 1630);
    written_ahead_home: written_ahead(faults(home_and_cache_write(Invalidate), 2), &[0, 1], 1) => (58_227, 38, 6313);
    written_ahead_home_update: written_ahead(faults(home_and_cache_write(Update), 2), &[0, 1], 1) => (39_806, 35, 4780);
    written_ahead_copy_rests: written_ahead(a_copy_rests(), &[1], 2) => (23_402, 38, 4645);
    written_ahead_tracked: written_ahead(tracked(faults(two_caches_write(Invalidate), 2)), &[1], 1) => (24_497, 35, 1209);
    written_ahead_flag: written_ahead(faults(a_flag(Invalidate, 0), 2), &[1], 1) => (30_081, 38, 1046);
    written_ahead_strengthened: written_ahead(strengthened(faults(two_caches_write(Invalidate), 1), 2), &[1], 1) => (48_710, 34, 1540);
    written_ahead_evictions: written_ahead(evictions(faults(two_caches_write(Invalidate), 1), 1), &[1], 1) => (40_628, 31, 2134);
    written_ahead_reclaimed: written_ahead(reclaimed(faults(two_caches_write(Invalidate), 1)), &[1], 1) => (58_878, 33, 1921);
    written_ahead_switches: written_ahead(switches(faults(home_and_cache_write(Update), 1), 1), &[0, 1], 1) => (88_157, 35, 10_648);
    written_ahead_lost: written_ahead(lost(faults(two_caches_write(Invalidate), 2), 2), &[0, 1], 1) => (89_653, 41, 10_063);

    asking_around: asking(faults(news(Invalidate, 0), 0), &[0, 1]) => (44_951, 15, 778);
    asking_then_a_flag: asking(faults(a_flag(Invalidate, 2), 2), &[1]) => (193_186, 39, 3255);
    asking_then_an_operation: asking(faults(operations(Remote), 0), &[1, 2]) => (80_507, 21, 530);
}

/// Minutes: `cargo test -p umbel-tests --test model_weak -- --ignored`.
mod deep {
    use super::*;

    explored! {
        #[ignore = "takes minutes"]
        a_flag_back_and_forth_invalidate: a_flag_back_and_forth(Invalidate, Invalidate) => (1_438_441, 41, 78_305);
        #[ignore = "takes minutes"]
        a_flag_back_and_forth_update: a_flag_back_and_forth(Update, Migratory) => (1_120_168, 42, 65_817);
        #[ignore = "takes minutes"]
        evictions_home_writes: evictions(faults(home_and_cache_write(Invalidate), 2), 1) => (204_684, 40, 8162);
        #[ignore = "takes minutes"]
        evictions_reclaimed: reclaimed(evictions(faults(two_caches_write(Invalidate), 1), 1)) => (203_160, 30, 3132);
        #[ignore = "takes minutes"]
        evictions_lost: lost(evictions(faults(two_caches_write(Invalidate), 2), 1), 0) => (433_064, 42, 20_548);
        #[ignore = "takes minutes"]
        switches_weak_two_nodes: switches(two_nodes_write_often(Update), 2) => (243_844, 36, 29_644);
        #[ignore = "takes minutes"]
        operations_invalidate: operations(Invalidate) => (299_858, 27, 976);
        #[ignore = "takes minutes"]
        operations_as_flags_invalidate: faults(operations_as_flags(Invalidate), 1) => (375_745, 28, 4522);
        #[ignore = "takes minutes"]
        operations_lost_cache: lost(faults(operations(Remote), 1), 1) => (362_406, 27, 1676);
        #[ignore = "takes minutes"]
        operations_lost_home: lost(faults(operations(Remote), 1), 0) => (314_300, 29, 3103);
        #[ignore = "takes minutes"]
        operations_reclaimed: reclaimed(faults(operations(Remote), 1)) => (1_443_587, 29, 4480);
        #[ignore = "takes minutes"]
        strengthened_lost: lost(strengthened(faults(two_caches_write(Invalidate), 2), 1), 2) => (373_505, 46, 9241);
        #[ignore = "takes minutes"]
        gathered_two_objects: gathered(two_objects()) => (813_150, 31, 1720);
        #[ignore = "takes minutes"]
        news_goes_around_migratory: news(Migratory, 0) => (1_108_828, 36, 8046);
        #[ignore = "takes minutes"]
        news_of_objects_of_two_homes: news_of_two_homes(Invalidate) => (1_061_061, 36, 5452);
        #[ignore = "takes minutes"]
        news_of_objects_of_two_homes_update: news_of_two_homes(Update) => (820_589, 36, 4537);
        #[ignore = "takes minutes"]
        pinned_remote: pinned(faults(operations(Remote), 1), &[1]) => (559_719, 29, 1808);
        #[ignore = "takes minutes"]
        asking_beside_news: asking(faults(news(Invalidate, 0), 1), &[1]) => (1_000_665, 32, 7505);
        #[ignore = "takes minutes"]
        asking_beside_news_update: asking(faults(news(Update, 2), 1), &[1]) => (632_351, 27, 5059);
        #[ignore = "takes minutes"]
        asking_lost: asking(lost(faults(a_flag(Invalidate, 0), 2), 2), &[1]) => (394_178, 35, 6084);
        #[ignore = "takes minutes"]
        asking_lost_home: asking(lost(faults(a_flag(Invalidate, 0), 2), 0), &[1]) => (254_110, 36, 11_819);
        #[ignore = "takes minutes"]
        asking_then_a_flag_at_home: asking(faults(a_flag(Invalidate, 0), 2), &[1]) => (168_454, 35, 2908);
        #[ignore = "takes minutes"]
        pinned_weak_migratory: pinned(faults(two_caches_write(Migratory), 2), &[0, 1]) => (156_004, 35, 6380);
        #[ignore = "takes minutes"]
        pinned_lost_cache: pinned(lost(faults(one_object(Invalidate), 2), 1), &[0, 2]) => (119_490, 29, 1272);
    }
}
