//! Writing and reading recordings: what each event costs the recorder, and a report.
//!
//! The events are those of a made-up program whose call graph resembles a real one: 300 functions, each calls a few others with
//! fixed habits; times between events are noise of 20 to 150 ticks, which no codec can guess (5 to 7 bits of the stored size;
//! where the counter moves in steps of 26 ticks, as on the machine below, real recordings take a third).
//!
//! Estimate for a chunk of 8000 events, per event, at 3.9 GHz:
//! encode: one look into a hash table in the second cache 2 ns, two bytes appended 2 ns, zstd -1 over 2 bytes that hardly
//! match 4 ns => 8 ns. decode: zstd 1 ns, a branch on the symbol that is guessed wrong each third time 2 ns => 3 ns.
//! report: decode, chain of frames 3 ns, statistics of the function in the second cache 8 ns => 14 ns, 70 M events per second.
//!
//! Last measured (an AMD EPYC in a VM under load 10, 2026-11-22), events of a real program, sqlite: encode 9.2 ns, decode 4.0, report 20; stored 0.24 bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use umbel_tracer::recording::codec::{Decoder, Encoder, Visit};
use umbel_tracer::recording::{Event, ProcessSerial, Recording, SessionInfo, ThreadSerial, Writer};
use umbel_tracer::report::{Profile, Selection};

/// Events of a full chunk.
const CHUNK_EVENTS: usize = 8000;
/// Events of the recording that is reported.
const REPORT_EVENTS: usize = 1_000_000;
const FUNCTIONS: u64 = 300;

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(random) * u128::from(bound)) >> 64) as u64
    }
}

/// Calls (true) and returns of functions at times.
fn program(count: usize) -> Vec<(u64, bool, u64)> {
    let mut random = Random(7);
    let mut stack: Vec<(u64, u64)> = Vec::new();
    let mut ticks = 0;
    (0..count)
        .map(|_| {
            ticks += 20 + random.below(130);
            let (function, calls) = stack.last().copied().unwrap_or((0, 0));
            // A function calls up to three others, mostly the same ones.
            let wanted = match function % 4 {
                0 if stack.len() > 1 => 0,
                leaves => leaves + u64::from(random.below(16) == 0),
            };
            if stack.is_empty() || (calls < wanted && stack.len() < 40) {
                let habit = (function * 7 + calls * 13 + 1) % FUNCTIONS;
                let callee = match random.below(16) {
                    0 => random.below(FUNCTIONS),
                    _ => habit,
                };
                if let Some(top) = stack.last_mut() {
                    top.1 += 1;
                }
                stack.push((callee, 0));
                return (ticks, true, 0x5555_0000_0000 + 48 * callee);
            }
            stack.pop();
            (ticks, false, 0x5555_0000_0000 + 48 * function)
        })
        .collect()
}

fn encode(events: &[(u64, bool, u64)], encoder: &mut Encoder, out: &mut Vec<u8>) {
    for &(ticks, is_call, function) in events {
        match is_call {
            true => encoder.call(ticks, function),
            false => encoder.ret(ticks, function),
        }
    }
    out.clear();
    encoder.finish(out).expect("memory");
}

struct Sum(u64);

impl Visit for Sum {
    fn function(&mut self, address: u64, _: u64) {
        self.0 ^= address;
    }

    fn call(&mut self, ticks: u64, function: u32) {
        self.0 = self.0.wrapping_add(ticks ^ u64::from(function));
    }

    fn ret(&mut self, ticks: u64, function: u32) {
        self.0 = self.0.wrapping_add(ticks ^ u64::from(function));
    }

    fn special(&mut self, _: Event) {}
}

fn recordings(criterion: &mut Criterion) {
    let events = program(CHUNK_EVENTS);
    let mut encoder = Encoder::new().expect("memory");
    let mut body = Vec::new();
    encode(&events, &mut encoder, &mut body);
    let stored = body.len() as f64 / events.len() as f64;
    println!("stored: {stored:.2} bytes per event");

    let mut group = criterion.benchmark_group("recording");
    group.throughput(Throughput::Elements(CHUNK_EVENTS as u64));
    group.bench_function("encode", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| encode(black_box(&events), &mut encoder, &mut out));
    });
    let mut decoder = Decoder::new().expect("memory");
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut sum = Sum(0);
            let count = CHUNK_EVENTS as u32;
            decoder
                .decode(black_box(&body), count, events[0].0, &mut sum)
                .expect("encoded above");
            sum.0
        });
    });

    let path = std::env::temp_dir().join(format!("umbel-bench-{}.trace", std::process::id()));
    let mut writer = Writer::create(&path, &SessionInfo::default()).expect("a temporary file");
    for (chunk, events) in program(REPORT_EVENTS).chunks(CHUNK_EVENTS).enumerate() {
        let events: Vec<Event> = events.iter().map(event).collect();
        let begin = (chunk * CHUNK_EVENTS) as u64;
        let positions = begin..begin + events.len() as u64;
        let (thread, process) = (ThreadSerial(1), ProcessSerial(1));
        writer
            .events(thread, process, positions, &events)
            .expect("a temporary file");
    }
    writer.finish(0).expect("a temporary file");
    let recording = Recording::open(&path).expect("just written");
    group.throughput(Throughput::Elements(REPORT_EVENTS as u64));
    for tree in [false, true] {
        let selection = Selection {
            tree,
            ..Selection::default()
        };
        let name = if tree { "report_tree" } else { "report" };
        group.bench_function(name, |bencher| {
            bencher.iter(|| Profile::of(&recording, &selection).expect("memory"));
        });
    }
    group.finish();
    let _ = std::fs::remove_file(&path);
}

fn event(&(ticks, is_call, function): &(u64, bool, u64)) -> Event {
    use umbel_tracer::recording::Kind;
    let kind = match is_call {
        true => Kind::Call(function),
        false => Kind::Return(function),
    };
    Event { ticks, kind }
}

criterion_group!(benches, recordings);
criterion_main!(benches);
