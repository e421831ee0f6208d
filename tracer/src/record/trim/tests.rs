//! What trimming leaves of a thread's words, compared with what the whole tree says.

use proptest::prelude::*;

use super::*;
use umbel_trace_ring::word::numbers;

use crate::recording::Parser;

fn time(ticks: u64) -> Vec<u64> {
    let word = Word::Special {
        code: Code::Time as u16,
        payload_words: 1,
    };
    vec![word.pack(), ticks]
}

/// Calls (positive) and returns (negative) of functions at these times, as a thread writes them.
fn words(events: &[(i64, u64)]) -> Vec<u64> {
    let mut words = Vec::new();
    let mut upper = None;
    for &(function, ticks) in events {
        if upper != Some(ticks & !LOW) {
            upper = Some(ticks & !LOW);
            words.extend(time(ticks));
        }
        let address = 0x1000 * function.unsigned_abs();
        let time = ticks as u16;
        let word = match function > 0 {
            true => Word::Call {
                function: address,
                time,
            },
            false => Word::Return {
                function: address,
                time,
            },
        };
        words.push(word.pack());
    }
    words
}

/// The events in `words`, with their times.
fn events(words: &[u64]) -> Vec<(i64, u64)> {
    let mut events = Vec::new();
    let mut upper = 0;
    let mut rest = words;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match Word::parse(first) {
            Word::Call { function, time } => {
                events.push(((function / 0x1000) as i64, upper | u64::from(time)))
            }
            Word::Return { function, time } => {
                events.push((-((function / 0x1000) as i64), upper | u64::from(time)))
            }
            Word::Special { payload_words, .. } => {
                upper = rest[0] & !LOW;
                rest = &rest[usize::from(payload_words)..];
            }
        }
    }
    events
}

/// Each event, and its values, as parts of their own: its time once more. `numbers`: in the short form.
fn words_with_values(input: &[(i64, u64)], are_numbers: bool) -> Vec<Vec<u64>> {
    let values = |ticks: u64| {
        let word = Word::Special {
            code: Code::Values as u16,
            payload_words: 2,
        };
        match are_numbers {
            true => vec![numbers(3, 1).expect("both are small"), ticks],
            false => vec![word.pack(), ticks, ticks],
        }
    };
    let each = input
        .iter()
        .flat_map(|event| [words(&[*event]), values(event.1)]);
    each.collect()
}

/// Times of the values in `words`; each must belong to the event before it.
fn times_of_values(words: &[u64]) -> Vec<u64> {
    let (mut last, mut times) = (0, Vec::new());
    Parser::new().parse(words, |_, event| match event.kind {
        Kind::Values(values) => {
            assert_eq!(event.ticks, last);
            assert!(values.contains(&last));
            times.push(event.ticks);
        }
        _ => last = event.ticks,
    });
    times
}

#[test]
fn values_stay_and_go_with_their_events() {
    let input = [
        (1, 0),
        (2, 10),
        (-2, 20),
        (3, 30),
        (4, 40),
        (-4, 200),
        (-3, 210),
        (-1, 400),
    ];
    let trimmed = |limits: &Limits, excluded: u64| {
        let [long, short] = [false, true].map(|are_numbers| {
            let mut trim = Trim::default();
            let mut out = Vec::new();
            for part in words_with_values(&input, are_numbers) {
                trim.add(&part, limits, |function| function == excluded);
                trim.decided(0, limits, |words| out.extend_from_slice(words));
            }
            trim.finish(|words| out.extend_from_slice(words));
            times_of_values(&out)
        });
        assert_eq!(long, short);
        short
    };
    let all = Limits::default();
    assert_eq!(trimmed(&all, 0), input.map(|(_, ticks)| ticks));
    assert_eq!(trimmed(&all, 0x3000), [0, 10, 20, 40, 200, 400]);
    let shallow = Limits {
        depth_max: Some(2),
        ticks_min: None,
    };
    assert_eq!(trimmed(&shallow, 0), [0, 10, 20, 30, 210, 400]);
    let long = Limits {
        depth_max: None,
        ticks_min: Some(100),
    };
    assert_eq!(trimmed(&long, 0), [0, 30, 40, 200, 210, 400]);
}

#[test]
fn excluded_functions_leave_no_trace() {
    let input = [(1, 10), (2, 20), (3, 30), (-3, 40), (-2, 50), (-1, 60)];
    let mut trim = Trim::default();
    trim.add(&words(&input), &Limits::default(), |function| {
        function == 0x2000
    });
    let mut out = Vec::new();
    trim.decided(60, &Limits::default(), |words| out.extend_from_slice(words));
    assert_eq!(events(&out), [(1, 10), (3, 30), (-3, 40), (-1, 60)]);
}

#[test]
fn calls_too_deep_go_with_their_returns() {
    let limits = Limits {
        depth_max: Some(2),
        ticks_min: None,
    };
    let mut trim = Trim::default();
    let input = [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (-4, 5),
        (-3, 6),
        (-2, 7),
        (2, 8),
        (-2, 9),
        (-1, 10),
    ];
    trim.add(&words(&input), &limits, |_| false);
    let mut out = Vec::new();
    trim.decided(10, &limits, |words| out.extend_from_slice(words));
    assert_eq!(
        events(&out),
        [(1, 1), (2, 2), (-2, 7), (2, 8), (-2, 9), (-1, 10)]
    );
}

#[test]
fn short_calls_go_and_long_ones_stay_with_their_callers() {
    let limits = Limits {
        depth_max: None,
        ticks_min: Some(100),
    };
    let mut trim = Trim::default();
    let input = [
        (1, 0),
        (2, 10),
        (3, 20),
        (-3, 30),
        (-2, 40),
        (4, 70_000),
        (-4, 70_200),
        (5, 70_210),
        (-5, 70_220),
        (-1, 70_300),
    ];
    trim.add(&words(&input), &limits, |_| false);
    let mut out = Vec::new();
    trim.decided(70_300, &limits, |words| out.extend_from_slice(words));
    assert_eq!(
        events(&out),
        [(1, 0), (4, 70_000), (-4, 70_200), (-1, 70_300)]
    );
}

#[test]
fn a_young_call_is_held_until_it_is_old_enough() {
    let limits = Limits {
        depth_max: None,
        ticks_min: Some(100),
    };
    let mut trim = Trim::default();
    let input = words(&[(1, 0), (2, 90)]);
    trim.add(&input, &limits, |_| false);
    let mut first = Vec::new();
    trim.decided(120, &limits, |words| first.extend_from_slice(words));
    assert_eq!(events(&first), [(1, 0)]);
    assert!(!trim.is_empty());
    trim.decided(200, &limits, |words| first.extend_from_slice(words));
    assert_eq!(events(&first), [(1, 0), (2, 90)]);
    assert!(trim.is_empty());
}

#[test]
fn a_longjmp_ends_the_calls_above() {
    let limits = Limits {
        depth_max: Some(2),
        ticks_min: None,
    };
    let jump = |code: Code| {
        let word = Word::Special {
            code: code as u16,
            payload_words: 2,
        };
        [word.pack(), 5, 0x77]
    };
    let mut trim = Trim::default();
    let mut input = words(&[(1, 1)]);
    input.extend(jump(Code::SetJump));
    input.extend(words(&[(2, 2), (3, 3), (4, 4)]));
    input.extend(jump(Code::LongJump));
    input.extend(words(&[(5, 6), (-5, 7)]));
    trim.add(&input, &limits, |_| false);
    let mut out = Vec::new();
    trim.finish(|words| out.extend_from_slice(words));
    let calls: Vec<i64> = events_without_jumps(&out);
    assert_eq!(calls, [1, 2, 5, -5]);
}

fn events_without_jumps(words: &[u64]) -> Vec<i64> {
    events(words)
        .into_iter()
        .map(|(function, _)| function)
        .collect()
}

/// A tree's events: nested calls with random durations.
fn tree() -> impl Strategy<Value = Vec<(i64, u64)>> {
    proptest::collection::vec((any::<bool>(), 1_i64..6, 1_u64..60_000), 0..60).prop_map(|steps| {
        let (mut open, mut ticks, mut events) = (Vec::<i64>::new(), 0, Vec::new());
        for (is_call, function, duration) in steps {
            ticks += duration;
            match (is_call, open.pop()) {
                (false, Some(function)) => events.push((-function, ticks)),
                (_, popped) => {
                    open.extend(popped);
                    open.push(function);
                    events.push((function, ticks));
                }
            }
        }
        while let Some(function) = open.pop() {
            ticks += 1;
            events.push((-function, ticks));
        }
        events
    })
}

/// The same decided with the whole tree at hand.
fn model(events: &[(i64, u64)], limits: &Limits, excluded: &[u64]) -> Vec<(i64, u64)> {
    let mut open: Vec<usize> = Vec::new();
    let mut keep = vec![false; events.len()];
    let is_out = |function: i64| excluded.contains(&function.unsigned_abs());
    for (index, &(function, ticks)) in events.iter().enumerate() {
        if is_out(function) {
            continue;
        }
        if function > 0 {
            open.push(index);
            continue;
        }
        let Some(call) = open.pop() else { continue };
        let is_deep = limits
            .depth_max
            .is_some_and(|depth| open.len() >= depth as usize);
        let is_short = limits
            .ticks_min
            .is_some_and(|least| ticks - events[call].1 < least);
        keep[call] = !is_deep && !is_short;
        keep[index] = keep[call];
    }
    let kept = events.iter().zip(keep).filter(|(_, keep)| *keep);
    kept.map(|(event, _)| *event).collect()
}

proptest! {
    #[test]
    fn what_is_left_is_what_the_whole_tree_says(
        tree in tree(), depth in proptest::option::of(1_u32..5), least in proptest::option::of(1_u64..100_000),
        excluded in proptest::collection::vec(1_u64..6, 0..3), cut in 1_usize..9,
    ) {
        let limits = Limits { depth_max: depth, ticks_min: least };
        let mut trim = Trim::default();
        let mut out = Vec::new();
        let mut last = 0;
        for part in tree.chunks(cut) {
            // Each part begins with its time: payloads stay whole.
            trim.add(&words(part), &limits, |function| excluded.contains(&(function / 0x1000)));
            last = part.last().map_or(last, |event| event.1);
            trim.decided(last, &limits, |words| out.extend_from_slice(words));
        }
        trim.finish(|words| out.extend_from_slice(words));
        prop_assert_eq!(events(&out), model(&tree, &limits, &excluded));
    }

    #[test]
    fn any_words_can_be_taken(words in proptest::collection::vec(any::<u64>(), 0..200)) {
        let limits = Limits { depth_max: Some(3), ticks_min: Some(9) };
        let mut trim = Trim::default();
        trim.add(&words, &limits, |_| false);
        trim.decided(0, &limits, |_| {});
    }
}
