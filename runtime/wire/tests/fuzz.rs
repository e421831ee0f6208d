//! Mutation fuzzing of both decoders: they never panic, never take more than they were given, and
//! what they accept is encoded again byte for byte.
//!
//! A short run of a fixed seed is an ordinary test. `cargo xtask fuzz --seconds N` runs longer with
//! a new seed, through `UMBEL_FUZZ_SECONDS` and `UMBEL_FUZZ_SEED`.

mod messages;
#[path = "messages/queue.rs"]
mod queue;

use std::mem::discriminant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::strategy::{Just, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use queue::{neighbour, next, queued};
use umbel_wire::codec::{decode_control, encode, encode_control};
use umbel_wire::limits::HEADER_BYTES;
use umbel_wire::{Coherence, Message};

/// Messages that mutation starts from, for each decoder.
const SAMPLE_COUNT: usize = 200;
/// Inputs of the short run: about a second of an unoptimized build.
const SHORT_INPUTS: u64 = 300_000;
/// Inputs between two looks at the clock.
const ROUND_INPUTS: u64 = 10_000;
const SEED: u64 = 0x1998_0427;

#[test]
fn mutated_bytes_are_refused_or_encoded_again() {
    let seed = number("UMBEL_FUZZ_SEED").unwrap_or(SEED);
    let seconds = number("UMBEL_FUZZ_SECONDS");
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let long = seconds.map(|seconds| format!("UMBEL_FUZZ_SECONDS={seconds} "));
    let long = long.unwrap_or_default();
    println!("replay: UMBEL_FUZZ_SEED={seed} {long}cargo test -p umbel-wire --test fuzz");

    let mut fuzzer = Fuzzer::new(seed);
    loop {
        for _ in 0..ROUND_INPUTS {
            fuzzer.step();
        }
        match end {
            Some(end) if Instant::now() < end => {}
            None if fuzzer.inputs < SHORT_INPUTS => {}
            Some(_) | None => break,
        }
    }
    let Fuzzer {
        inputs,
        accepted,
        refused,
        short,
        ..
    } = fuzzer;
    println!("{inputs} inputs: {accepted} accepted, {refused} refused, {short} incomplete");
    // Sometimes: the mutations reach all three answers, so none of the checks above is idle.
    assert!(accepted > inputs / 100 && refused > inputs / 100 && short > inputs / 100);
}

struct Fuzzer {
    random: Random,
    links: Vec<Vec<u8>>,
    controls: Vec<Vec<u8>>,
    inputs: u64,
    accepted: u64,
    refused: u64,
    short: u64,
}

enum Answer {
    Accepted(Vec<u8>, usize),
    Refused,
    Short,
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let mut seed_bytes = [0; 32];
        seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut links = samples(&mut runner, messages::message(), encode);
        let batches = vec(neighbour(), 0..12).prop_flat_map(|messages| {
            // Neighbours of one kind are rare among any: the first kind goes on.
            let first = messages.first().map(discriminant);
            let alike = messages.into_iter();
            let alike = alike.filter(move |message| Some(discriminant(message)) == first);
            Just(alike.collect::<Vec<_>>())
        });
        let queue = |messages: &Vec<_>, bytes: &mut Vec<u8>| *bytes = queued(messages);
        let batches = samples(&mut runner, batches, queue);
        links.extend(batches.into_iter().filter(|bytes| !bytes.is_empty()));
        let controls = samples(&mut runner, messages::control(), encode_control);
        Self {
            random: Random(seed | 1),
            links,
            controls,
            inputs: 0,
            accepted: 0,
            refused: 0,
            short: 0,
        }
    }

    fn step(&mut self) {
        let is_control = self.random.below(4) == 0;
        let samples = match is_control {
            true => &self.controls,
            false => &self.links,
        };
        let input = mutate(samples, &mut self.random);
        let answer = catch_unwind(AssertUnwindSafe(|| match is_control {
            true => answer(decode_control(&input), encode_control),
            false => answer(next(&input), |messages, again| match &messages[..] {
                [message] => encode(message, again),
                messages => *again = queued(&messages.iter().map(about_object).collect::<Vec<_>>()),
            }),
        }));
        self.inputs += 1;
        match answer {
            Ok(Answer::Accepted(again, taken)) => {
                assert!(taken <= input.len(), "took too much of {input:02x?}");
                assert_eq!(again, input[..taken], "two encodings of one message");
                self.accepted += 1;
            }
            Ok(Answer::Refused) => self.refused += 1,
            Ok(Answer::Short) => self.short += 1,
            Err(_) => panic!("input {} panics: {input:02x?}", self.inputs),
        }
    }
}

fn about_object(message: &Message) -> Coherence<Vec<u8>> {
    match message {
        Message::Coherence(message) => message.clone(),
        other => panic!("a batch has {other:?}"),
    }
}

fn answer<M, E: std::fmt::Display>(
    decoded: Result<Option<(M, usize)>, E>,
    encode: fn(&M, &mut Vec<u8>),
) -> Answer {
    match decoded {
        Ok(Some((message, taken))) => {
            let mut again = Vec::new();
            encode(&message, &mut again);
            Answer::Accepted(again, taken)
        }
        Ok(None) => Answer::Short,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Answer::Refused
        }
    }
}

fn samples<M: std::fmt::Debug>(
    runner: &mut TestRunner,
    strategy: impl Strategy<Value = M>,
    encode: fn(&M, &mut Vec<u8>),
) -> Vec<Vec<u8>> {
    let mut sample = || {
        let tree = strategy.new_tree(runner).expect("no strategy filters");
        let mut bytes = Vec::new();
        encode(&tree.current(), &mut bytes);
        bytes
    };
    (0..SAMPLE_COUNT).map(|_| sample()).collect()
}

/// A sample with up to 4 changes; half of the time the header is made to fit the new length.
fn mutate(samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = samples[random.below(samples.len())].clone();
    for _ in 0..random.below(5) {
        // Headers and the first fields decide most, so they are hit most.
        let reach = match random.below(2) {
            0 => bytes.len().min(64),
            _ => bytes.len(),
        };
        let at = random.below(reach + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next() as u8),
            4 if at < bytes.len() => {
                bytes.remove(at);
            }
            5 => {
                let other = &samples[random.below(samples.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            _ => {}
        }
    }
    if random.below(2) == 0 && bytes.len() >= HEADER_BYTES {
        let body_bytes = (bytes.len() - HEADER_BYTES) as u32;
        bytes[..4].copy_from_slice(&body_bytes.to_le_bytes());
        bytes[5..8].copy_from_slice(&[umbel_wire::VERSION, 0, 0]);
    }
    bytes
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let value = text.parse().map_err(|error| format!("{variable}: {error}"));
    Some(value.expect("a decimal number"))
}

/// xorshift64*: enough for mutations, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
