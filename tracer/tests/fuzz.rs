//! Fuzzing of the readers of recordings: whatever the bytes, no panic, no endless loop, no memory without bound; and what is
//! whole in a cut file is read.
//!
//! A short run of a fixed seed is an ordinary test. `cargo xtask fuzz --seconds N` runs longer with a new seed, through
//! `UMBEL_FUZZ_SECONDS` and `UMBEL_FUZZ_SEED`.

mod recordings;

use std::io;
use std::time::{Duration, Instant};

use recordings::{Random, Temporary, random_events, write_small};
use umbel_tracer::recording::block::{FILE_HEADER_BYTES, HEADER_BYTES, Header, MAGIC};
use umbel_tracer::recording::codec::{Decoder, Encoder, Visit};
use umbel_tracer::recording::{Damage, Event, Recording};
use umbel_tracer::report::{Profile, Selection, TextOptions};
use umbel_tracer::view::replay::replay;
use umbel_tracer::view::select::Selection as ReplaySelection;
use umbel_tracer::view::story::Story;

const SEED: u64 = 0x2010_0831;
/// Rounds of the short run: some seconds of an unoptimized build.
const SHORT_ROUNDS: u64 = 60;
/// Mutants of a file, and of a block's body, in a round.
const ROUND_FILES: u64 = 4;
const ROUND_BODIES: u64 = 40;

#[test]
fn mutated_recordings_are_read_as_far_as_they_go() {
    let seed = number("UMBEL_FUZZ_SEED").unwrap_or(SEED);
    let seconds = number("UMBEL_FUZZ_SECONDS");
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let long = seconds.map(|seconds| format!("UMBEL_FUZZ_SECONDS={seconds} "));
    let long = long.unwrap_or_default();
    println!("replay: UMBEL_FUZZ_SEED={seed} {long}cargo test -p umbel-tracer --test fuzz");
    let mut random = Random::new(seed);
    let file = Temporary::new("fuzz");
    let (mut damaged, mut refused, mut rounds) = (0, 0, 0);
    loop {
        write_small(&file.0, &mut random);
        let whole = std::fs::read(&file.0).expect("just written");
        for _ in 0..ROUND_FILES {
            std::fs::write(&file.0, mutate(&whole, &mut random)).expect("a temporary file");
            match Recording::open(&file.0) {
                Ok(recording) => {
                    read_all(&recording);
                    damaged += u64::from(!recording.damage().is_empty());
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        for _ in 0..ROUND_BODIES {
            decode_mutant(&mut random);
        }
        rounds += 1;
        match end {
            Some(end) if Instant::now() < end => {}
            None if rounds < SHORT_ROUNDS => {}
            Some(_) | None => break,
        }
    }
    println!("{rounds} rounds: {damaged} damaged, {refused} refused");
    // Sometimes: the mutations reach both, so none of the checks above is idle.
    assert!(damaged > rounds / 2 && refused > 0);
}

/// Cut recordings of which all reports are made: the others are only read.
const REPORTED_EACH: usize = 64;

#[test]
fn a_recording_cut_at_any_byte_has_all_blocks_before() {
    let file = Temporary::new("cut");
    write_small(&file.0, &mut Random::new(SEED));
    let whole = std::fs::read(&file.0).expect("just written");
    let recording = Recording::open(&file.0).expect("whole");
    assert_eq!(recording.damage(), []);
    let threads: Vec<_> = recording.threads().to_vec();
    let events: Vec<Vec<Event>> = threads
        .iter()
        .map(|thread| recording.events(thread.serial).collect())
        .collect();
    let mut most = 0;
    for length in 0..whole.len() {
        std::fs::write(&file.0, &whole[..length]).expect("a temporary file");
        let recording = Recording::open(&file.0).expect("readable");
        let damage = recording.damage();
        assert!(
            damage.contains(&Damage::Unfinished) || length < FILE_HEADER_BYTES,
            "{length}"
        );
        let mut count = 0;
        for (thread, events) in threads.iter().zip(&events) {
            let mut read: Vec<Event> = recording.events(thread.serial).collect();
            // The block with the cut is told as lost.
            if read.last() != events.get(read.len().wrapping_sub(1)) {
                read.pop();
            }
            assert!(events.starts_with(&read), "cut at {length}");
            count += read.len();
        }
        assert!(count >= most, "cut at {length}: less than with less");
        most = count;
        if length % REPORTED_EACH == 0 {
            read_all(&recording);
        }
    }
    let all: usize = events.iter().map(Vec::len).sum();
    assert_eq!(most, all, "only the end is missing");
}

/// Everything that commands do with a recording.
fn read_all(recording: &Recording) {
    let mut events = 0_u64;
    for thread in recording.threads() {
        events += recording.events(thread.serial).count() as u64;
    }
    assert!(events < 1_000_000, "{events} events in a small file");
    let (story, selection) = (Story::new(recording), ReplaySelection::default());
    let shown = replay(&story, &selection, Default::default(), &mut io::sink());
    shown.expect("a sink takes everything");
    let selection = Selection {
        tree: true,
        ..Selection::default()
    };
    let profile = Profile::of(recording, &selection).expect("memory for decoders");
    let options = TextOptions::default();
    let mut out = Vec::new();
    let memory = "to memory";
    profile.write_head(recording, &mut out).expect(memory);
    profile.write_functions(&options, &mut out).expect(memory);
    profile.write_threads(&options, &mut out).expect(memory);
    profile.write_tree(&options, &mut out).expect(memory);
    profile.write_warnings(&mut out).expect(memory);
    profile
        .write_json(recording, &options, &mut out)
        .expect(memory);
}

/// Some changes; half of the time the checksums of the blocks are made right again, so that what is behind them is reached.
fn mutate(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    if random.below(50) == 0 {
        bytes = (0..random.below(2000))
            .map(|_| random.next() as u8)
            .collect();
    }
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.truncate(at),
            4 => {
                let from = random.below(whole.len());
                let part = whole[from..whole.len().min(from + random.below(300))].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let end = bytes.len().min(at + random.below(300));
                bytes.drain(at..end);
            }
        }
    }
    if random.below(2) == 0 {
        repair(&mut bytes);
    }
    bytes
}

/// Makes the checksums right of whatever looks like a block.
fn repair(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|bytes| bytes == MAGIC) {
        at += found;
        let Some(head) = bytes.get(at..at + HEADER_BYTES) else {
            return;
        };
        let stored = u32::from_le_bytes(head[8..12].try_into().expect("four bytes")) as usize;
        let body = at + HEADER_BYTES;
        if let Some(body_bytes) = bytes.get(body..body.saturating_add(stored)) {
            let crc = crc32fast::hash(body_bytes).to_le_bytes();
            bytes[at + 64..at + 68].copy_from_slice(&crc);
        }
        let crc = crc32fast::hash(&bytes[at..at + 68]).to_le_bytes();
        bytes[at + 68..at + 72].copy_from_slice(&crc);
        at += 4;
    }
}

/// A block's body with changes, past all checksums. What comes out is bounded by what the head says.
fn decode_mutant(random: &mut Random) {
    let mut encoder = Encoder::new().expect("memory");
    for event in random_events(random, 200) {
        encoder.event(&event);
    }
    let mut body = Vec::new();
    let made = encoder.finish(&mut body).expect("memory");
    for _ in 0..random.below(4) {
        let at = random.below(body.len());
        body[at] ^= 1 << random.below(8);
    }
    let mut decoder = Decoder::new().expect("memory");
    let mut count = Count(0);
    let events = made.events + random.below(2) as u32;
    let _ = decoder.decode(&body, events, made.first_ticks, &mut count);
    assert!(count.0 <= events);
    assert!(Header::parse(&[0; HEADER_BYTES]).is_none());
}

struct Count(u32);

impl Visit for Count {
    fn function(&mut self, _: u64, _: u64) {}

    fn call(&mut self, _: u64, _: u32) {
        self.0 += 1;
    }

    fn ret(&mut self, _: u64, _: u32) {
        self.0 += 1;
    }

    fn special(&mut self, _: Event) {
        self.0 += 1;
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let value = text.parse().map_err(|error| format!("{variable}: {error}"));
    Some(value.expect("a decimal number"))
}
