//! What a probe costs, alone: a loop of reads less a loop of nothing, in nanoseconds, a name and a figure each line. The table of
//! `cargo xtask bench trace` has them.

use std::hint::black_box;
use std::ptr;
use std::time::Duration;

use umbel_probe::{Learned, Reads, Unread, chain};

/// The handler of both signals.
unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's.
    if !unsafe { chain::is_ours(info, context) } {
        // SAFETY: the kernel's.
        unsafe { chain::pass_on(signal, info, context) };
    }
}

/// Bursts of each kind: the best one was the least disturbed.
const BURSTS: u32 = 40;

fn main() {
    assert!(chain::install(on_fault) && chain::can_take());
    let calls = std::env::args().nth(1).and_then(|calls| calls.parse().ok());
    let calls: u32 = calls.unwrap_or(100_000);
    let learned = Learned::new();
    let object = [7u64; 8];
    let there = object.as_ptr() as u64;
    let gone = nothing_there();
    let event = Reads::new(Some(&learned));
    assert_eq!(load(&event, there), Ok(7));
    assert_eq!(load(&event, gone), Err(Unread::Invalid));
    let nothing = least(calls, || black_box(there));
    let first = |learned| {
        // Each time another event: what the one before knew is forgotten.
        least(calls / 100, || load(&Reads::new(learned), gone)) - nothing
    };
    let valid = least(calls, || load(&event, there)) - nothing;
    let valid_64 = least(calls, || copy(&event, there)) - nothing;
    let known = least(calls, || load(&event, gone)) - nothing;
    println!("valid {valid:.2}\nvalid_64 {valid_64:.2}\nknown {known:.2}");
    println!("first {:.2}", first(Some(&learned)));
    println!("first_unasked {:.2}", first(None));
}

/// A page that nobody may read.
fn nothing_there() -> u64 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, where the kernel likes.
    unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) as u64 }
}

fn load(reads: &Reads<'_>, from: u64) -> Result<u64, Unread> {
    // SAFETY: `main` has seen that both signals can be taken, and `on_fault` is their handler.
    unsafe { reads.load(black_box(from)) }
}

fn copy(reads: &Reads<'_>, from: u64) -> Result<(), Unread> {
    let mut to = [0u64; 8];
    // SAFETY: as in `load`; `to` has 64 bytes.
    let read = unsafe { reads.copy(black_box(from), to.as_mut_ptr().cast(), 64) };
    black_box(&to);
    read
}

/// Nanoseconds of processor time of a call.
fn least<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..BURSTS {
        let begin = thread_time();
        for _ in 0..calls {
            black_box(call());
        }
        let took = (thread_time() - begin).as_nanos() as f64 / f64::from(calls);
        least = least.min(took);
    }
    least
}

fn thread_time() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` lives here.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
