//! Producers and a recorder on one file, in one process.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use umbel_trace_ring::layout::{Clock, Full, Kind, Mode};
use umbel_trace_ring::word::{Code, Word};
use umbel_trace_ring::{ChunkInfo, Error, Live, Process, Producer, Setup, Taker, Untaken, Which};

const PROCESS: Process = Process {
    serial: 7,
    pid: 70,
    page: 3,
};

/// A file of this test, removed when it ends.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let file = format!("umbel-ring-{name}-{}.live", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    fn path(&self) -> CString {
        CString::new(self.0.as_os_str().as_encoded_bytes()).expect("a path has no 0")
    }

    fn create(&self, chunks: u64, when_full: Full) -> Live {
        let setup = Setup {
            buffer_bytes: chunks * umbel_trace_ring::CHUNK_BYTES as u64,
            when_full,
            clock: Clock::Tsc,
            ticks_per_second: 0,
            first_mode: Mode::Record,
            session: *b"a session's name",
        };
        Live::create(&self.path(), &setup).expect("the temporary folder has room")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn call(function: u64) -> u64 {
    Word::Call { function, time: 0 }.pack()
}

/// Calls with counted addresses, and times that pass 65536 now and then.
fn record(producer: &Producer, live: &Live, calls: std::ops::Range<u64>, clock: &AtomicU64) -> u64 {
    let now = || clock.fetch_add(700, Ordering::Relaxed);
    let mut lost = 0;
    for number in calls {
        let word = call(0x10000 + number);
        if producer.event(live, word, now).is_ok() {
            continue;
        }
        if producer.next_chunk(live, &PROCESS, Kind::Events, now()) {
            producer
                .event(live, word, now)
                .expect("a new chunk has room");
        } else {
            producer.lose(live, &PROCESS, now());
            lost += 1;
        }
    }
    lost
}

/// What a recorder has: each thread's words by position.
#[derive(Default)]
struct Recorded(BTreeMap<(u64, u64), u64>);

impl Recorded {
    fn sink(&mut self) -> impl FnMut(&ChunkInfo, u64, &[u64]) + '_ {
        |info, position, words| {
            for (index, &word) in words.iter().enumerate() {
                let place = (info.thread, position + index as u64);
                assert_eq!(self.0.insert(place, word), None, "{place:?} came twice");
            }
        }
    }

    fn words(&self) -> Vec<u64> {
        self.0.values().copied().collect()
    }

    /// The numbers of the calls, and how many are lost by the `Lost` words; times don't go back.
    fn calls(&self) -> (Vec<u64>, u64) {
        let words = self.words();
        let (mut calls, mut lost, mut upper, mut last) = (Vec::new(), 0, 0, 0);
        let mut rest = &words[..];
        while let Some((&word, more)) = rest.split_first() {
            rest = more;
            match Word::parse(word) {
                Word::Call { function, time } => {
                    let ticks = upper | u64::from(time);
                    assert!(ticks > last, "the time goes back from {last} to {ticks}");
                    last = ticks;
                    calls.push(function - 0x10000);
                }
                Word::Special {
                    code,
                    payload_words,
                } => {
                    let payload = &more[..usize::from(payload_words)];
                    rest = &more[usize::from(payload_words)..];
                    if code == Code::Time as u16 {
                        upper = payload[0] & !0xffff;
                    } else if code == Code::Lost as u16 {
                        assert!(payload[0] <= payload[1]);
                        lost += payload[2];
                    }
                }
                Word::Return { .. } => panic!("nobody returned"),
            }
        }
        (calls, lost)
    }
}

#[test]
fn every_call_is_taken_once_and_in_order() {
    let file = File::new("order");
    let live = file.create(8, Full::Drop);
    let (producer, clock, mut taker) = (Producer::new(), AtomicU64::new(1), Taker::new());
    producer.begin(1, 70);
    let mut recorded = Recorded::default();
    for round in 0..50 {
        let start = round * 1000;
        assert_eq!(record(&producer, &live, start..start + 1000, &clock), 0);
        taker.take(&live, Which::All, &mut recorded.sink());
    }
    producer.retire(&live, &PROCESS);
    let taken = taker.take(&live, Which::All, &mut recorded.sink());
    assert_eq!((taken.freed, taken.used), (1, 0));
    assert_eq!(recorded.calls(), ((0..50_000).collect(), 0));
}

#[test]
fn what_finds_no_chunk_is_counted_in_its_place() {
    let file = File::new("lost");
    let live = file.create(4, Full::Drop);
    let (producer, clock, mut taker) = (Producer::new(), AtomicU64::new(1), Taker::new());
    producer.begin(1, 70);
    let lost = record(&producer, &live, 0..40_000, &clock);
    assert!(lost > 0);
    assert_eq!(live.page(3).lost.load(Ordering::Relaxed), lost);
    let mut recorded = Recorded::default();
    taker.take(&live, Which::All, &mut recorded.sink());
    assert_eq!(record(&producer, &live, 40_000..40_010, &clock), 0);
    taker.take(&live, Which::All, &mut recorded.sink());
    let (calls, told) = recorded.calls();
    assert_eq!(told, lost);
    assert_eq!(calls.len() as u64 + lost, 40_010);
    assert_eq!(calls.last(), Some(&40_009));
    assert_eq!(live.page(3).lost.load(Ordering::Relaxed), 0);
}

#[test]
fn a_flight_recorder_keeps_the_newest() {
    let file = File::new("flight");
    let live = file.create(6, Full::Overwrite);
    let (producer, clock) = (Producer::new(), AtomicU64::new(1));
    producer.begin(1, 70);
    assert_eq!(record(&producer, &live, 0..200_000, &clock), 0);
    let mut recorded = Recorded::default();
    Untaken::open(&file.path())
        .and_then(|untaken| untaken.read(&mut recorded.sink()))
        .expect("the file is whole");
    let (calls, _) = recorded.calls();
    let kept = calls.len() as u64;
    assert!(kept > 3 * 8000, "{kept}");
    assert_eq!(calls, (200_000 - kept..200_000).collect::<Vec<_>>());
}

#[test]
fn what_the_dead_leave_is_taken() {
    let file = File::new("dead");
    let live = file.create(8, Full::Drop);
    let (producer, clock, mut taker) = (Producer::new(), AtomicU64::new(1), Taker::new());
    producer.begin(1, 70);
    record(&producer, &live, 0..10_000, &clock);
    let mut unread = Recorded::default();
    Untaken::open(&file.path())
        .and_then(|untaken| untaken.read(&mut unread.sink()))
        .expect("the file is whole");
    taker.retire_dead(&live, 3, |tid| tid == 70);
    let mut recorded = Recorded::default();
    let taken = taker.take(&live, Which::All, &mut recorded.sink());
    assert_eq!((taken.freed, taken.used), (2, 0));
    assert_eq!(recorded.calls(), ((0..10_000).collect(), 0));
    assert_eq!(unread.words(), recorded.words());
}

#[test]
fn growing_gives_chunks() {
    let file = File::new("grow");
    let live = file.create(300, Full::Drop);
    assert_eq!(live.chunk_count(), 256);
    assert_eq!(live.grow(1000), Ok(300));
    assert_eq!(live.grow(1), Err(Error::NoMoreChunks));
    let other = Live::open_for_tracing(&file.path()).expect("it is there");
    assert_eq!(other.chunk_count(), 300);
}

#[test]
fn files_that_are_not_ours_are_refused() {
    let file = File::new("refused");
    let open = || Live::open_for_tracing(&file.path()).map(drop);
    let read = || Untaken::open(&file.path()).map(drop);
    assert!(matches!(
        open(),
        Err(Error::System {
            errno: libc::ENOENT,
            ..
        })
    ));
    std::fs::write(&file.0, b"text").expect("the temporary folder has room");
    assert_eq!((open(), read()), (Err(Error::NotLive), Err(Error::NotLive)));
    std::fs::write(&file.0, vec![0; 5 << 20]).expect("the temporary folder has room");
    assert_eq!((open(), read()), (Err(Error::NotLive), Err(Error::NotLive)));
    std::fs::remove_file(&file.0).expect("it is there");
    let live = file.create(8, Full::Drop);
    live.header().version.store(99, Ordering::Relaxed);
    assert_eq!(open(), Err(Error::Version { found: 99 }));
    live.header()
        .version
        .store(umbel_trace_ring::layout::VERSION, Ordering::Relaxed);
    live.header().chunk_count.store(4000, Ordering::Relaxed);
    assert_eq!(open(), Err(Error::Damaged));
    assert_eq!(live.chunk_count(), 8, "the recorder believes only itself");
}

#[test]
fn a_file_cut_off_is_read_as_far_as_it_goes() {
    let file = File::new("cut");
    let live = file.create(8, Full::Drop);
    let (producer, clock) = (Producer::new(), AtomicU64::new(1));
    producer.begin(1, 70);
    record(&producer, &live, 0..20_000, &clock);
    drop(live);
    let end = umbel_trace_ring::CHUNKS_OFFSET as u64;
    for bytes in [
        end + 100_001,
        end + 64 * 1024,
        end + 77,
        end,
        end - 9000,
        5000,
    ] {
        let open = std::fs::File::options()
            .write(true)
            .open(&file.0)
            .expect("it is there");
        open.set_len(bytes).expect("files can be shortened");
        let mut recorded = Recorded::default();
        Untaken::open(&file.path())
            .and_then(|untaken| untaken.read(&mut recorded.sink()))
            .expect("what is there can be read");
        let (calls, _) = recorded.calls();
        assert_eq!(calls, (0..calls.len() as u64).collect::<Vec<_>>());
        assert_eq!(bytes > end + 200, !calls.is_empty());
    }
}

#[test]
fn nonsense_in_the_file_harms_nobody() {
    let file = File::new("nonsense");
    let live = file.create(8, Full::Drop);
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state.rotate_right(8)
    };
    let mut taker = Taker::new();
    for _ in 0..200 {
        for (index, entry) in live.table().iter().enumerate() {
            entry.store(random() & !0xfc, Ordering::Relaxed);
            let header = live.mapping().chunk(index);
            header.kind.store(random() as u32 % 3, Ordering::Relaxed);
            for field in [
                &header.process,
                &header.thread,
                &header.number,
                &header.taken,
                &header.words_before,
            ] {
                field.store(random(), Ordering::Relaxed);
            }
            for word in live.mapping().words(index) {
                word.store(random() & random(), Ordering::Relaxed);
            }
        }
        live.header()
            .chunk_count
            .store(random() as u32, Ordering::Relaxed);
        let mut words = 0;
        taker.take(&live, Which::All, &mut |_, _, taken| words += taken.len());
        taker.retire_dead(&live, random() as usize % 16, |_| true);
        assert!(words <= 8 * umbel_trace_ring::CHUNK_WORDS);
    }
}
