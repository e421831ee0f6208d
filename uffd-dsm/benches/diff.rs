//! Comparing an object with its twin, as every flush does for every dirty unit, and finding the runs of a diff, as
//! every merge does.
//!
//! Estimate, at 3.5 GHz, all in the first two caches:
//! equal, 64 B: one line, 4 comparisons of 16 bytes => ~3 ns, and 5 ns for the table of lines.
//! equal, 4 KiB: 64 lines of 4 comparisons and 4 masks => ~80 ns.
//! every 10th word changed, 4 KiB: that, and 51 runs at ~4 ns => ~300 ns.
//! all changed, 4 KiB: that, a copy of each line, one of all (60 ns), and an allocation => ~300 ns.
//! doubles, 6 bytes of every word changed: 512 runs at ~3 ns => ~1.7 us; to find them again ~2 ns each.
//!
//! Last measured (`cargo bench -p uffd-dsm --bench diff`, 2 processors of a VM, others at work, 2026-11-22):
//! equal 12 and 81 ns, one word of 64 B 35 ns, every 10th word 455 ns, all 430 ns, doubles 1.8 us; runs of doubles 930 ns.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use uffd_dsm::diff;

fn compare(criterion: &mut Criterion) {
    for (name, len, changed_every) in [
        ("equal", 64, 0),
        ("equal", 4096, 0),
        ("one_word", 64, 8),
        ("every_10th_word", 4096, 10),
        ("all", 4096, 1),
        ("doubles", 4096, 1),
    ] {
        let bytes_changed = if name == "doubles" { 6 } else { 8 };
        let mut twin = vec![1_u8; len];
        let mut versions = [twin.clone(), twin.clone()];
        for (index, word) in versions[1].chunks_mut(8).enumerate() {
            if changed_every > 0 && index % changed_every == 0 {
                word[..bytes_changed].fill(2);
            }
        }
        let mut turn = 0;
        let mut diff = Vec::new();
        criterion.bench_function(&format!("{name}/{len}"), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let current = &versions[turn % 2];
                let read = |offset: usize, line: &mut [u8]| {
                    line.copy_from_slice(&current[offset..][..line.len()]);
                };
                diff::take(black_box(&mut twin), 0, diff::ALL_LINES, read, &mut diff)
            });
        });
        let Some(diff) = diff::between(&versions[1], &versions[0], 0) else {
            continue;
        };
        criterion.bench_function(&format!("runs/{name}/{len}"), |bencher| {
            bencher.iter(|| {
                let runs = diff::runs(black_box(&diff), len).flatten();
                runs.map(|run| run.offset + run.bytes.len()).sum::<usize>()
            });
        });
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
