//! What the hooks cost. Asserts nothing: `UMBEL_PREFIX=... cargo test -p umbel-tests --test trace_producer figures -- --ignored --nocapture`

use std::fs;
use std::path::Path;
use std::process::Command;

use umbel_trace_ring::layout::{Clock, Full, Mode};

use crate::session::{Folder, How, Session, run};

/// The ring in C that the library is compared with: stores, a time stamp, no more.
const RING: &str = r"
#include <stdint.h>
#include <stdlib.h>
#include <x86intrin.h>
#define RING (4 << 20)
static __thread uint64_t *base __attribute__((tls_model(`initial-exec`)));
static __thread uint64_t at __attribute__((tls_model(`initial-exec`)));
static void add(void *function, uint64_t bit) {
    if (!base) base = aligned_alloc(4096, RING);
    base[at] = __rdtsc() << 1 | bit;
    base[at + 1] = (uint64_t)function;
    at = (at + 2) & (RING / 8 - 1);
}
void __cyg_profile_func_enter(void *function, void *site) { add(function, 0); (void)site; }
void __cyg_profile_func_exit(void *function, void *site) { add(function, 1); (void)site; }
";

/// Hooks that return.
const EMPTY: &str = r"
void __cyg_profile_func_enter(void *function, void *site) { (void)function; (void)site; }
void __cyg_profile_func_exit(void *function, void *site) { (void)function; (void)site; }
";

fn preloaded(folder: &Folder, name: &str, text: &str) -> std::path::PathBuf {
    let source = folder.join(&format!("{name}.c"));
    fs::write(&source, text.replace('`', "\"")).expect("the folder has room");
    let target = folder.join(&format!("{name}.so"));
    let status = Command::new("gcc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&target)
        .arg(&source)
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    target
}

#[test]
#[ignore = "measures"]
fn figures() {
    let folder = Folder::new();
    let program = folder.compile("fib.c", &["-O2"]);
    let plain = folder.build("fib.c", "plain", &["-O2"]);
    let arguments = ["27", "9"];
    let once = |command: &mut Command| {
        let outcome = run(command.args(arguments)).must_succeed();
        (
            outcome.number("ns") as f64,
            outcome.number("calls") as f64 / 9.0,
        )
    };
    let show = |name: &str, best: f64, base: f64, calls: f64| {
        println!("{name:28} {:6.2} ns per event", (best - base) / calls / 2.0);
    };
    let (base, calls) = once(&mut Command::new(&plain));
    println!("{:28} {:6.2} ns per call", "without hooks", base / calls);
    let with = |library: &Path| once(Command::new(&program).env("LD_PRELOAD", library)).0;
    let empty = preloaded(&folder, "empty", EMPTY);
    let ring = preloaded(&folder, "ring", RING);
    for round in 0..2 {
        println!("round {round}");
        show("empty hooks", with(&empty), base, calls);
        show("ring in C", with(&ring), base, calls);
        let cases = [
            (
                "off",
                How {
                    mode: Mode::Off,
                    ..How::default()
                },
            ),
            (
                "filter without bitmaps",
                How {
                    mode: Mode::Filter,
                    chunks: 64,
                    when_full: Full::Overwrite,
                    ..How::default()
                },
            ),
            (
                "flight, 4 MiB",
                How {
                    chunks: 64,
                    when_full: Full::Overwrite,
                    takes: false,
                    ..How::default()
                },
            ),
            (
                "flight, 64 MiB",
                How {
                    chunks: 1024,
                    when_full: Full::Overwrite,
                    takes: false,
                    ..How::default()
                },
            ),
            (
                "coarse flight, 4 MiB",
                How {
                    chunks: 64,
                    when_full: Full::Overwrite,
                    clock: Clock::Coarse,
                    takes: false,
                    ..How::default()
                },
            ),
            (
                "monotonic flight, 4 MiB",
                How {
                    chunks: 64,
                    when_full: Full::Overwrite,
                    clock: Clock::Monotonic,
                    takes: false,
                    ..How::default()
                },
            ),
            ("every call, wait", How::default()),
        ];
        for (name, how) in cases {
            let session = Session::start(&folder, how);
            let (best, _) = once(&mut session.command(&program));
            drop(session);
            show(name, best, base, calls);
        }
    }
}
