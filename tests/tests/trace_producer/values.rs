//! Values: plans carried out in real programs, with pointers that lead nowhere.

use umbel_trace_ring::layout::{Clock, Full};
use umbel_trace_ring::plan::{
    Arithmetic, Follow, Instruction, Opcode, PlanHead, RegionState, Request, UNKNOWN_AT_HOOK, op,
};

use umbel_trace_ring::word::Code;

use crate::session::{Folder, How, Outcome, Recorded, Session, run};

/// Bytes that the plan captures behind a pointer.
const BYTES: u32 = 64;

/// The plan with this number: its ops, to the end.
fn plan_of(number: u32, ops: &[u64]) -> Vec<u64> {
    let head = PlanHead {
        payload_words: 64,
        depth: 1,
        regions: 4,
        number,
    };
    [&[head.pack()], ops].concat()
}

/// rbx, whose target is captured; r12; and what lies above the stack pointer, which is r12 too.
fn plan(_: &Request) -> Vec<u64> {
    let ops = [
        op(Opcode::Register, 12, 0, 0),
        op(Opcode::Stack, 7, 8, 8),
        op(Opcode::Register, 3, 0, 0),
        op(Opcode::Shape, 0, 0, 0),
        7,
        op(Opcode::End, 0, 0, 0),
    ];
    let mut words = plan_of(1, &ops);
    // The shape has one instruction.
    words.push(1);
    let instruction = Instruction {
        follow: Follow::Object,
        number: BYTES,
        offset: 0,
        second: 0,
        shape: 0,
        most: 0,
    };
    words.extend(instruction.pack());
    words
}

/// What one event brought along.
#[derive(Debug, PartialEq, Eq)]
struct Probed {
    number: u64,
    pointer: u64,
    /// The words there; `None`: invalid.
    target: Option<Vec<u64>>,
}

impl Probed {
    fn parse(payload: &[u64]) -> Self {
        let [first, number, stack, pointer, count, region @ ..] = payload else {
            panic!("too short: {payload:x?}");
        };
        assert_eq!(*first, 1 | UNKNOWN_AT_HOOK << 32);
        assert_eq!(number, stack);
        let target = match region {
            [] => {
                assert_eq!((*count, *pointer), (0, 0), "only null has no region");
                None
            }
            [address, state, words @ ..] => {
                assert_eq!((*count, address), (1, pointer));
                assert_eq!(*state as u32, BYTES);
                let state = state >> 32;
                if state == RegionState::Captured as u64 {
                    assert_eq!(words.len(), BYTES as usize / 8);
                } else {
                    // Just below its stack pointer there may be memory, but no longer the program's.
                    let is_known = [RegionState::Invalid as u64, RegionState::LeftOut as u64];
                    assert!(is_known.contains(&state), "{state}");
                    assert_eq!(words.len(), 0);
                }
                (!words.is_empty()).then(|| words.to_vec())
            }
            [_] => panic!("a region has two words: {payload:x?}"),
        };
        Self {
            number: *number,
            pointer: *pointer,
            target,
        }
    }

    /// Whether each word is its own address, as the program fills its pages.
    fn is_pattern(&self) -> bool {
        let words = self.target.as_deref().unwrap_or_default();
        let (base, shift) = (self.pointer & !7, 8 * (self.pointer % 8) as u32);
        words.iter().enumerate().all(|(index, &word)| {
            let at = base + 8 * index as u64;
            let expected = match shift {
                0 => at,
                _ => at >> shift | (at + 8) << (64 - shift),
            };
            word == expected
        })
    }
}

fn probed(folder: &Folder, how: How, arguments: &[&str]) -> (Outcome, Recorded, Vec<Probed>) {
    let program = folder.compile("probed.c", &["-O2", "-fcf-protection=none"]);
    let session = Session::start(folder, how);
    let outcome = run(session.command(&program).args(arguments));
    let recorded = session.finish();
    let values = recorded.values();
    let values = values
        .iter()
        .map(|payload| Probed::parse(payload))
        .collect();
    (outcome, recorded, values)
}

fn with_plan(probe: u32) -> How {
    How {
        plan: Some(plan),
        probe,
        ..How::default()
    }
}

/// Hostile pointers, with another thread that maps and unmaps: nothing crashes, nothing is wrong, and the program's own
/// handler gets its own faults before and after.
#[track_caller]
fn nothing_hurts(probe: u32, count: u64) {
    let folder = Folder::new();
    let (outcome, recorded, values) =
        probed(&folder, with_plan(probe), &["many", &count.to_string()]);
    let outcome = outcome.must_succeed();
    let pages = outcome.number("pages");
    assert_eq!(outcome.number("faults"), 3);
    assert!(outcome.stdout.ends_with("faults 6\n"), "{}", outcome.stdout);
    // Two more in each of the six own faults.
    let events = count + count / 4 + 12;
    assert_eq!((recorded.calls(), recorded.lost()), (events, 0));
    assert_eq!(values.len() as u64, events);
    assert_eq!(recorded.requests, 1);
    let (mut read, mut invalid) = (0, 0);
    for value in &values {
        let offset = value.pointer.wrapping_sub(pages);
        match &value.target {
            Some(_) if offset < 4 * 4096 => assert!(value.is_pattern(), "{value:x?}"),
            Some(_) => read += 1,
            None => {
                invalid += 1;
                assert!(
                    offset > 4 * 4096 - u64::from(BYTES),
                    "there is memory: {value:x?}"
                );
            }
        }
        assert!(
            value.target.is_none() || !(4 * 4096..6 * 4096).contains(&offset),
            "no memory is there: {value:x?}"
        );
    }
    assert!(
        read > events / 64 && invalid > events / 8,
        "{read} {invalid}"
    );
}

/// Runs a mode that captures these numbers; whether their pointers lead anywhere.
#[track_caller]
fn numbers(arguments: &[&str], expected: &[(u64, bool)]) -> (Outcome, Recorded) {
    let folder = Folder::new();
    let (outcome, recorded, values) = probed(&folder, with_plan(0), arguments);
    let found: Vec<(u64, bool)> = values
        .iter()
        .map(|value| (value.number, value.target.is_some()))
        .collect();
    assert_eq!(found, expected, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        values
            .iter()
            .all(|value| value.target.is_none() || value.is_pattern())
    );
    (outcome, recorded)
}

#[test]
fn a_fault_of_the_program_is_still_its_end() {
    let (outcome, _) = numbers(&["default"], &[(0, false)]);
    assert_eq!(outcome.signal, Some(11));
}

#[test]
fn where_signals_are_blocked_the_kernel_reads() {
    let handler = [(3, false), (4, true)];
    let mut expected = vec![(5, false), (6, true), (7, false)];
    expected.extend(handler);
    expected.extend([(8, false); 3]);
    expected.extend(handler);
    let (outcome, _) = numbers(&["blocked"], &expected);
    assert_eq!(outcome.must_succeed().number("handlers"), 2);
}

#[test]
fn a_small_stack_for_handlers_is_enough() {
    let (outcome, _) = numbers(&["small"], &[(3, false), (4, true)].repeat(100));
    assert_eq!(outcome.must_succeed().number("handlers"), 100);
}

#[test]
fn a_program_that_forbids_itself_system_calls_lives_on() {
    let folder = Folder::new();
    let (outcome, _, values) = probed(&folder, with_plan(0), &["sandbox"]);
    let outcome = outcome.must_succeed();
    assert_eq!(outcome.number("sandboxed"), 1);
    let read = |value: &&Probed| value.target.is_some();
    // Whoever has the plan already needs no system call for it.
    assert_eq!(values.iter().filter(read).count(), 101);
    assert_eq!(values.len(), 102);
}

#[test]
fn where_there_is_no_clock_any_more_a_message_says_that_nothing_is_recorded() {
    let folder = Folder::new();
    let (outcome, recorded, values) = probed(&folder, with_plan(0), &["strict"]);
    let outcome = outcome.must_succeed();
    assert_eq!(outcome.number("sandboxed"), 1);
    assert!(outcome.stderr.contains("nothing more is recorded"));
    assert_eq!((recorded.calls(), values.len()), (1, 1));
}

#[test]
fn a_child_captures_by_its_parents_plans() {
    let mut expected = vec![(12, true), (13, false), (14, true)];
    expected.extend([(1, false), (2, true)].repeat(3));
    let (outcome, recorded) = numbers(&["fork"], &expected);
    assert_eq!(outcome.must_succeed().number("child"), 0);
    assert_eq!(recorded.requests, 1);
}

#[test]
fn without_an_answer_a_program_goes_on_without_values() {
    let folder = Folder::new();
    let how = How {
        plan: Some(|_| Vec::new()),
        ..How::default()
    };
    let (outcome, recorded, values) = probed(&folder, how, &["small"]);
    outcome.must_succeed();
    assert_eq!((values.len(), recorded.calls()), (0, 200));
    assert_eq!(recorded.requests, 1, "a plan of nothing is remembered");
}

#[test]
fn every_clock_and_a_full_buffer_do_with_values() {
    let folder = Folder::new();
    for (clock, when_full) in [
        (Clock::Coarse, Full::Wait),
        (Clock::Monotonic, Full::Drop),
        (Clock::Tsc, Full::Overwrite),
    ] {
        let how = How {
            clock,
            when_full,
            ..with_plan(0)
        };
        let (outcome, recorded, values) = probed(&folder, how, &["small"]);
        outcome.must_succeed();
        assert_eq!(
            (recorded.calls(), values.len()),
            (200, 200),
            "{clock:?} {when_full:?}"
        );
    }
}

#[test]
fn a_million_hostile_pointers_are_captured_guarded() {
    nothing_hurts(0, 1_000_000);
}

#[test]
fn hostile_pointers_are_captured_by_the_kernel() {
    nothing_hurts(1, 100_000);
}

#[test]
fn hostile_pointers_are_captured_by_the_victim() {
    nothing_hurts(2, 10_000);
}

/// rbx: what it leads to, and what lies a page behind that.
fn two_targets(_: &Request) -> Vec<u64> {
    let ops = [
        op(Opcode::Register, 3, 0, 0),
        op(Opcode::Shape, 0, 0, 0),
        5,
        op(Opcode::End, 0, 0, 0),
    ];
    let mut words = plan_of(1, &ops);
    words.push(2);
    for second in [0, 4096] {
        let instruction = Instruction {
            follow: Follow::Object,
            number: BYTES,
            offset: 0,
            second,
            shape: 0,
            most: 0,
        };
        words.extend(instruction.pack());
    }
    words
}

/// Each of the two: what could be read, or that nothing was there; those that were left out aside.
fn two_of(payload: &[u64]) -> Vec<Probed> {
    let [_, pointer, count, regions @ ..] = payload else {
        panic!("too short: {payload:x?}");
    };
    let mut rest = regions;
    let mut both = Vec::new();
    for number in 0..*count {
        let [address, head, behind @ ..] = rest else {
            panic!("a region has two words: {payload:x?}");
        };
        assert_eq!(*address, pointer.wrapping_add(4096 * number));
        assert_eq!(*head as u32, BYTES);
        let is_captured = head >> 32 == RegionState::Captured as u64;
        let (words, behind) = behind.split_at(if is_captured { 8 } else { 0 });
        rest = behind;
        if is_captured || head >> 32 == RegionState::Invalid as u64 {
            both.push(Probed {
                number,
                pointer: *address,
                target: is_captured.then(|| words.to_vec()),
            });
        }
    }
    assert!(rest.is_empty(), "{payload:x?}");
    both
}

/// Where one piece of an event is there and the other isn't, in either order, each is what it is: also where the kernel reads both together.
#[test]
fn pieces_that_are_read_together_are_what_they_are_alone() {
    let folder = Folder::new();
    let program = folder.compile("probed.c", &["-O2", "-fcf-protection=none"]);
    for probe in [0, 1] {
        let how = How {
            plan: Some(two_targets),
            ..with_plan(probe)
        };
        let session = Session::start(&folder, how);
        let outcome = run(session.command(&program).args(["many", "40000"])).must_succeed();
        let pages = outcome.number("pages");
        let recorded = session.finish();
        // So many events had both, the first alone, the second alone, none.
        let mut seen = [0; 4];
        for payload in &recorded.values() {
            let both = two_of(payload);
            for piece in &both {
                let offset = piece.pointer.wrapping_sub(pages);
                if offset <= 4 * 4096 - u64::from(BYTES) {
                    assert!(piece.is_pattern() && piece.target.is_some(), "{piece:x?}");
                }
                if (4 * 4096..6 * 4096).contains(&offset) {
                    assert_eq!(piece.target, None, "{piece:x?}");
                }
                if (6 * 4096..8 * 4096 - 64).contains(&offset) {
                    let zeroes = Some(vec![0; 8]);
                    assert_eq!(piece.target, zeroes, "{piece:x?}");
                }
            }
            if let [first, second] = &both[..] {
                let are_bad = [first, second].map(|piece| usize::from(piece.target.is_none()));
                seen[2 * are_bad[0] + are_bad[1]] += 1;
            }
        }
        assert!(seen.iter().all(|&count| count > 100), "{probe} {seen:?}");
    }
}

/// The sanitizers' runtime has handlers of its own, by system calls that nobody sees: the program's come before, ours come first.
#[test]
fn sanitized_programs_are_captured_too() {
    let folder = Folder::new();
    let flags = [
        "-O1",
        "-fcf-protection=none",
        "-fsanitize=address,undefined",
    ];
    let program = folder.compile("probed.c", &flags);
    for (mode, faults) in [("many", 6), ("default", 0)] {
        let session = Session::start(&folder, with_plan(0));
        let mut command = session.command(&program);
        // It insists on being the first library; `umbel trace` puts it there.
        command.env("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0");
        let outcome = run(command.args([mode, "20000"]));
        let recorded = session.finish();
        let values = recorded.values();
        assert!(
            values
                .iter()
                .all(|payload| Probed::parse(payload).number < 20_000)
        );
        if mode == "many" {
            assert!(
                outcome.stdout.ends_with(&format!("faults {faults}\n")),
                "{}",
                outcome.stderr
            );
            assert_eq!(values.len(), 20_000 + 5_000 + 12);
        } else {
            assert_eq!(outcome.status, Some(1));
            assert!(
                outcome.stderr.contains("AddressSanitizer:DEADLYSIGNAL"),
                "{}",
                outcome.stderr
            );
            assert_eq!(values.len(), 1);
        }
    }
}

/// Three numbers: two registers, one on the stack.
fn three_numbers(_: &Request) -> Vec<u64> {
    let ops = [
        op(Opcode::Register, 12, 0, 0),
        op(Opcode::Stack, 7, 4, 8),
        op(Opcode::Register, 3, 0, 0),
        op(Opcode::End, 0, 0, 0),
    ];
    plan_of(1, &ops)
}

/// Triggers 5 where r12 is 4, and holds the thread.
fn triggering(_: &Request) -> Vec<u64> {
    let ops = [
        op(Opcode::Push, 12, 0, 0),
        op(Opcode::Constant, 0, 0, 0),
        4,
        op(Opcode::Combine, 0, 0, Arithmetic::Eq as i32),
        op(Opcode::Trigger, 1, 0, 5),
        op(Opcode::End, 0, 0, 0),
    ];
    plan_of(1, &ops)
}

#[test]
fn a_condition_triggers_and_holds_its_thread_until_it_is_let_go() {
    let folder = Folder::new();
    let program = folder.compile("probed.c", &["-O2", "-fcf-protection=none"]);
    let how = How {
        plan: Some(triggering),
        ..How::default()
    };
    let session = Session::start(&folder, how);
    run(session.command(&program).arg("small")).must_succeed();
    let recorded = session.finish();
    assert_eq!(recorded.specials(Code::Triggered), 100);
    assert_eq!(recorded.held, 100);
}

/// Only the caller's frame, with its stack pointer.
fn callers(request: &Request) -> Vec<u64> {
    match request.is_caller {
        true => plan_of(
            2,
            &[op(Opcode::Register, 7, 0, 0), op(Opcode::End, 0, 0, 0)],
        ),
        false => plan_of(1, &[op(Opcode::Caller, 14, 0, 0), 0, 0]),
    }
}

#[test]
fn the_first_event_of_a_caller_has_its_frame_too() {
    let folder = Folder::new();
    let program = folder.compile("probed.c", &["-O2", "-fcf-protection=none"]);
    let how = How {
        plan: Some(callers),
        ..How::default()
    };
    let session = Session::start(&folder, how);
    run(session.command(&program).arg("small")).must_succeed();
    let recorded = session.finish();
    let values = recorded.values();
    // The hook's call, and the two calls of who called it.
    assert_eq!((values.len(), recorded.requests), (200, 3));
    for payload in &values {
        let [own, 0, caller, stack, 0] = payload[..] else {
            panic!("two frames: {payload:x?}");
        };
        assert_eq!((own as u32, caller as u32), (1, 2));
        assert!(stack > 0x1000 && stack.is_multiple_of(16));
    }
}

/// What values cost. Asserts nothing: `UMBEL_PREFIX=... cargo test -p umbel-tests --test trace_producer value_figures -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn value_figures() {
    const EVENTS: &str = "400000";
    const BAD: &str = "0x10000";
    let folder = Folder::new();
    let program = folder.compile("probed.c", &["-O2", "-fcf-protection=none"]);
    let ns = |plan: Option<fn(&Request) -> Vec<u64>>, probe: u32, pointer: &[&str]| {
        let how = How {
            plan,
            probe,
            when_full: Full::Overwrite,
            takes: false,
            chunks: 32,
            ..How::default()
        };
        let session = Session::start(&folder, how);
        let mut command = session.command(&program);
        command.arg("time").arg(EVENTS).args(pointer);
        let outcome = run(&mut command).must_succeed();
        session.finish();
        outcome.number("ns") as f64 / EVENTS.parse::<f64>().expect("it is a number")
    };
    let nothing: fn(&Request) -> Vec<u64> = |_| Vec::new();
    for round in 0..3 {
        let bare = ns(None, 0, &[]);
        println!("round {round}: bare event {bare:.1} ns; besides:");
        let show = |name: &str, ns: f64| println!("  {name:40} {:7.1} ns", ns - bare);
        show("nothing captured here", ns(Some(nothing), 0, &[]));
        show("three numbers", ns(Some(three_numbers), 0, &[]));
        show("and 64 bytes: null", ns(Some(plan), 0, &["0"]));
        show("and 64 bytes: there", ns(Some(plan), 0, &[]));
        show(
            "and 64 bytes: can't be an address",
            ns(Some(plan), 0, &["0x8000000000000000"]),
        );
        show("and 64 bytes: not there", ns(Some(plan), 0, &[BAD]));
        show("the same by the kernel: there", ns(Some(plan), 1, &[]));
        show(
            "the same by the kernel: not there",
            ns(Some(plan), 1, &[BAD]),
        );
    }
}
