//! Comparing an object with its twin, as every flush does for every dirty unit.
//!
//! Estimate, at 3.5 GHz, all in the first two caches:
//! equal, 64 B: one comparison of a line, 4 loads of 16 bytes a side => ~3 ns.
//! equal, 4 KiB: 64 lines, 8 loads of 16 bytes each at 2 a cycle => ~80 ns.
//! every 10th word changed, 4 KiB: ~45 lines differ, their 8 words are compared singly (~8 ns) and 51 runs of
//! 8 bytes are written (~6 ns) => ~750 ns.
//! all changed, 4 KiB: 512 words at ~2 ns, one copy (60 ns) and an allocation => ~1100 ns.
//!
//! Last measured (`cargo bench -p uffd-dsm --bench diff`, 2 processors of a VM, others at work, 2026-11-22):
//! equal 15 and 113 ns, one word of 64 B 32 ns, every 10th word 734 ns, all 1075 ns.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use uffd_dsm::diff;

fn compare(criterion: &mut Criterion) {
    for (name, len, changed_every) in [
        ("equal", 64, 0),
        ("equal", 4096, 0),
        ("one_word", 64, 8),
        ("every_10th_word", 4096, 10),
        ("all", 4096, 1),
    ] {
        let twin = vec![1_u8; len];
        let mut current = twin.clone();
        for (index, word) in current.chunks_mut(8).enumerate() {
            if changed_every > 0 && index % changed_every == 0 {
                word.fill(2);
            }
        }
        criterion.bench_with_input(BenchmarkId::new(name, len), &current, |bencher, current| {
            bencher.iter(|| diff::between(black_box(current), black_box(&twin), 0));
        });
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
