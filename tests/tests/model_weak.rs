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
    two_caches_write_invalidate: two_caches_write(Invalidate) => (6721, 29, 475);
    two_caches_write_migratory: two_caches_write(Migratory) => (19_880, 36, 317);
    two_caches_write_read_only: two_caches_write(ReadOnly) => (8631, 29, 649);
    two_caches_write_update: two_caches_write(Update) => (4617, 27, 467);
    home_and_cache_write_invalidate: home_and_cache_write(Invalidate) => (6125, 26, 522);
    home_and_cache_write_migratory: home_and_cache_write(Migratory) => (19_835, 32, 377);
    home_and_cache_write_read_only: home_and_cache_write(ReadOnly) => (8308, 26, 812);
    home_and_cache_write_update: home_and_cache_write(Update) => (4160, 23, 528);
    one_cache_writes_often_invalidate: one_cache_writes_often(Invalidate) => (11_283, 35, 894);
    one_cache_writes_often_migratory: one_cache_writes_often(Migratory) => (28_617, 38, 676);
    one_cache_writes_often_update: one_cache_writes_often(Update) => (5915, 30, 888);
    two_nodes_write_often_invalidate: two_nodes_write_often(Invalidate) => (10_590, 25, 1984);
    two_nodes_write_often_migratory: two_nodes_write_often(Migratory) => (9501, 23, 633);
    two_nodes_write_often_read_only: two_nodes_write_often(ReadOnly) => (13_620, 26, 2785);
    two_nodes_write_often_update: two_nodes_write_often(Update) => (7606, 23, 2011);

    a_copy_that_is_not_written_rests: a_copy_rests() => (9481, 34, 1662);

    copies_converge_after_a_race_invalidate: a_race(Invalidate) => (139_438, 39, 16_678);
    copies_converge_after_a_race_update: a_race(Update) => (78_812, 27, 13_892);
    copies_converge_after_a_race_with_the_home_invalidate: a_race_with_the_home(Invalidate) => (11_297, 25, 1726);
    copies_converge_after_a_race_with_the_home_update: a_race_with_the_home(Update) => (9365, 24, 1749);

    a_flag_at_the_datas_home_invalidate: a_flag(Invalidate, 0) => (85_447, 43, 1922);
    a_flag_at_the_writer_invalidate: a_flag(Invalidate, 1) => (133_195, 42, 3391);
    a_flag_at_a_third_node_invalidate: a_flag(Invalidate, 2) => (82_907, 47, 2061);
    a_flag_at_the_datas_home_update: a_flag(Update, 0) => (75_316, 38, 1845);
    a_flag_at_the_writer_update: a_flag(Update, 1) => (102_431, 41, 3362);
    a_flag_at_a_third_node_update: a_flag(Update, 2) => (69_178, 41, 1939);
    a_flag_of_the_home_at_home: a_flag_of_the_home(Invalidate, 0) => (101_623, 39, 2879);
    a_flag_of_the_home_elsewhere: a_flag_of_the_home(Invalidate, 1) => (99_986, 42, 2805);
    a_flag_of_the_home_elsewhere_update: a_flag_of_the_home(Update, 1) => (84_514, 42, 2679);

    news_goes_around_invalidate: news(Invalidate, 0) => (398_389, 38, 5475);
    news_goes_around_update: news(Update, 0) => (214_286, 32, 3967);
    news_goes_around_another_home: news(Invalidate, 2) => (480_836, 42, 6006);
    news_in_a_row_invalidate: news_in_a_row(Invalidate, 0) => (127_432, 37, 1894);
    news_in_a_row_update: news_in_a_row(Update, 0) => (60_699, 28, 1343);
    news_in_a_row_another_home: news_in_a_row(Invalidate, 2) => (115_069, 37, 1894);
    news_and_then_a_flag: news_and_a_flag(Invalidate, 0) => (99_981, 32, 1794);
    news_of_the_home_too: news_of_the_home(Update) => (194_873, 32, 3966);
    news_and_then_a_flag_of_the_writer: news_and_a_flag(Invalidate, 1) => (242_819, 33, 3217);
    restored_by_two_nodes: two_nodes_restore(Invalidate) => (47_426, 30, 6958);
    news_and_then_a_flag_elsewhere: news_and_a_flag(Update, 2) => (134_180, 32, 2192);

    held_two_caches_write: held(faults(two_caches_write(Invalidate), 3)) => (33_086, 40, 3360);
    tracked_two_caches_write_invalidate: tracked(two_caches_write(Invalidate)) => (6805, 30, 359);
    tracked_two_caches_write_update: tracked(two_caches_write(Update)) => (5315, 27, 323);

    reclaimed_two_caches_write_invalidate: reclaimed(faults(two_caches_write(Invalidate), 2)) => (193_405, 43, 7645);
    reclaimed_two_caches_write_update: reclaimed(faults(two_caches_write(Update), 2)) => (171_443, 37, 6907);
    reclaimed_home_and_cache_write: reclaimed(faults(home_and_cache_write(Invalidate), 2)) => (173_865, 39, 7252);
    lost_cache_invalidate: lost(two_caches_write(Invalidate), 1) => (12_731, 32, 757);
    lost_cache_update: lost(two_caches_write(Update), 1) => (8431, 28, 719);
    lost_home_invalidate: lost(two_caches_write(Invalidate), 0) => (10_540, 29, 756);
    lost_home_update: lost(two_caches_write(Update), 0) => (8344, 27, 745);
    lost_cache_while_the_home_writes: lost(home_and_cache_write(Invalidate), 1) => (10_675, 28, 777);

    sequential_migratory: one_object_stray(Migratory) => (4790, 21, 11);
    sequential_read_only: one_object_stray(ReadOnly) => (16_949, 25, 20);
    sequential_remote: one_object_stray(Remote) => (14_700, 25, 17);
    sequential_migratory_held: held(one_object(Migratory)) => (5493, 23, 11);
    sequential_read_only_held: held(one_object(ReadOnly)) => (13_868, 31, 20);
    sequential_migratory_lost: lost(one_object(Migratory), 1) => (6069, 21, 18);

    evictions_sequential: evictions(faults(one_object(Invalidate), 2), 1) => (79_622, 28, 801);
    evictions_migratory: evictions(faults(one_object(Migratory), 2), 1) => (38_625, 27, 481);
    evictions_invalidate: evictions(faults(two_caches_write(Invalidate), 2), 1) => (249_409, 42, 9505);
    evictions_update: evictions(faults(two_caches_write(Update), 2), 1) => (214_204, 36, 8129);
    prefetches_served: prefetches(faults(one_object(Invalidate), 1), 1, true) => (13_486, 20, 235);
    prefetches_denied: prefetches(faults(one_object(Invalidate), 1), 1, false) => (4832, 20, 136);
    prefetches_weak: prefetches(faults(two_caches_write(Invalidate), 1), 1, true) => (32_556, 37, 3126);
    prefetches_lost: lost(prefetches(faults(one_object(Invalidate), 1), 1, true), 0) => (16_804, 20, 500);

    switches_sequential: switches(faults(one_object(Invalidate), 2), 1) => (92_486, 24, 1328);
    switches_weak: switches(faults(two_caches_write(Invalidate), 2), 1) => (132_215, 39, 14_057);
    switches_weak_home: switches(faults(home_and_cache_write(Update), 2), 1) => (85_869, 35, 10_042);

    operations_flag: faults(operations_as_flags(Update), 1) => (359_361, 28, 4690);
    operations_remote: operations(Remote) => (276_292, 27, 976);

    strengthened_by_a_cache: strengthened(faults(two_caches_write(Invalidate), 2), 1) => (192_639, 45, 5532);
    strengthened_by_the_home: strengthened(faults(two_caches_write(Invalidate), 2), 0) => (120_425, 43, 5532);
    strengthened_update: strengthened(faults(two_caches_write(Update), 2), 2) => (165_578, 39, 4845);
    strengthened_home_writes: strengthened(faults(home_and_cache_write(Invalidate), 2), 1) => (168_034, 41, 5345);
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
        evictions_home_writes: evictions(faults(home_and_cache_write(Invalidate), 2), 1) => (174_091, 39, 8140);
        #[ignore = "takes minutes"]
        evictions_reclaimed: reclaimed(evictions(faults(two_caches_write(Invalidate), 1), 1)) => (157_156, 28, 3092);
        #[ignore = "takes minutes"]
        evictions_lost: lost(evictions(faults(two_caches_write(Invalidate), 2), 1), 0) => (433_064, 42, 20_548);
        #[ignore = "takes minutes"]
        switches_weak_two_nodes: switches(two_nodes_write_often(Update), 2) => (251_799, 36, 30_124);
        #[ignore = "takes minutes"]
        operations_invalidate: operations(Invalidate) => (276_292, 27, 976);
        #[ignore = "takes minutes"]
        operations_as_flags_invalidate: faults(operations_as_flags(Invalidate), 1) => (359_467, 28, 4522);
        #[ignore = "takes minutes"]
        operations_lost_cache: lost(faults(operations(Remote), 1), 1) => (362_406, 27, 1676);
        #[ignore = "takes minutes"]
        operations_lost_home: lost(faults(operations(Remote), 1), 0) => (314_300, 29, 3103);
        #[ignore = "takes minutes"]
        operations_reclaimed: reclaimed(faults(operations(Remote), 1)) => (1_341_463, 29, 4480);
        #[ignore = "takes minutes"]
        strengthened_lost: lost(strengthened(faults(two_caches_write(Invalidate), 2), 1), 2) => (373_505, 46, 9241);
        #[ignore = "takes minutes"]
        news_goes_around_migratory: news(Migratory, 0) => (922_703, 36, 8046);
        #[ignore = "takes minutes"]
        news_of_objects_of_two_homes: news_of_two_homes(Invalidate) => (904_807, 36, 5452);
        #[ignore = "takes minutes"]
        news_of_objects_of_two_homes_update: news_of_two_homes(Update) => (678_203, 29, 4537);
    }
}
