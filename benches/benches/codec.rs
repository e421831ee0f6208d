//! Writing and reading a `Grant` with its bytes, as every remote miss does once at each end.
//!
//! Estimate, at 3.9 GHz:
//! encode 64 B: header, two fields, 66 bytes appended to a vector that has the room => ~10 ns.
//! encode 4 KiB: the same and a copy of 4098 bytes at ~64 B a cycle from and to the second cache => ~60 ns.
//! decode 64 B: checks ~10 ns, a vector for the bytes (malloc and free) ~15 ns => ~30 ns.
//! decode 4 KiB: the same and the copy, into memory that is not in the first cache => ~130 ns.
//!
//! Last measured (`cargo xtask bench`, 2 cores of an AMD EPYC in a VM under load, 2026-11-21): 18, 78, 91, 237 ns.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use umbel_wire::{Access, Coherence, Consistency, Mode, ObjectId, Protocol, codec};

fn grants(criterion: &mut Criterion) {
    for bytes in [64, 4096] {
        let data = vec![7; bytes + OFFSET_BYTES];
        let grant = Coherence::Grant {
            object: ObjectId(0x12_3456),
            access: Access::Read,
            mode: Mode {
                consistency: Consistency::Sequential,
                protocol: Protocol::Invalidate,
            },
            data: Some(&data[..]),
        };
        let mut message = Vec::new();
        codec::encode_coherence(&grant, &mut message);

        let mut out = Vec::with_capacity(2 * message.len());
        criterion.bench_with_input(
            BenchmarkId::new("encode_grant", bytes),
            &grant,
            |bencher, grant| {
                bencher.iter(|| {
                    out.clear();
                    codec::encode_coherence(black_box(grant), &mut out);
                });
            },
        );
        criterion.bench_with_input(
            BenchmarkId::new("decode_grant", bytes),
            &message,
            |bencher, message| {
                bencher.iter(|| codec::decode(black_box(message)).expect("encoded above"));
            },
        );
    }
}

/// The engine sends an object's place in its page before its bytes.
const OFFSET_BYTES: usize = 2;

criterion_group!(benches, grants);
criterion_main!(benches);
