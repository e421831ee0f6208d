use std::time::Duration;

use proptest::prelude::*;
use umbel_values::{Comparison, Operand, Operator, Path, RETURN, Step};

use super::{
    Action, Active, At, CaseId, Counts, Facts, Limit, Setting, ThreadName, Trigger, Watch, Watched,
    WatchedModule,
};
use crate::filter::Names;

fn parsed(text: &str) -> Trigger {
    Trigger::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Where and what the error is.
fn refused(text: &str) -> (usize, String) {
    let error = Trigger::parse(text).expect_err("this is no trigger");
    (error.column, error.message)
}

fn facts(depth: u64) -> Facts<'static> {
    Facts {
        depth,
        duration_ns: None,
        count: 1,
        tid: 7,
        thread: "worker-1",
    }
}

#[test]
fn a_trigger_says_when_and_what() {
    let trigger =
        parsed("when f.n > 1000 and depth < 5 then snapshot, enable g*, stop recording after 10 s");
    let [case] = &trigger.cases[..] else {
        panic!("one way: {trigger:?}")
    };
    assert_eq!((case.function.text(), case.at), ("f", At::Call));
    let expected = Comparison {
        left: Path {
            variable: "n".into(),
            steps: Vec::new(),
        },
        operator: Operator::Greater,
        right: Operand::Integer(1000),
    };
    assert_eq!(case.values, [expected]);
    assert_eq!(case.limits, [Limit::Depth(Operator::Less, 5)]);
    assert!(case.is_true(&facts(4)) && !case.is_true(&facts(5)));
    let actions: Vec<_> = trigger
        .actions
        .iter()
        .map(|deferred| (deferred.action.clone(), deferred.after))
        .collect();
    assert_eq!(
        actions,
        [
            (Action::Snapshot, Duration::ZERO),
            (Action::Filter("g*".into()), Duration::ZERO),
            (Action::Stop, Duration::from_secs(10)),
        ]
    );
    assert!(trigger.holds() && case.is_judged_inside(true));
}

#[test]
fn functions_are_named_as_in_filters() {
    for (text, name, is_meant) in [
        ("when parse_* then stop", "parse_line", true),
        ("when parse_* then stop", "lex", false),
        ("when /^lex_/ then stop", "lex_next", true),
        ("when /LEX/i then stop", "lex_next", true),
        ("when ns::Box::put then stop", "ns::Box::put", true),
        (
            "when Box<int, char>::put.n == 1 then stop",
            "Box<int, char>::put",
            true,
        ),
        ("when \"operator new\" then stop", "operator new", true),
        ("when \"depth\" returns then stop", "depth", true),
        ("when * and depth > 3 then stop", "anything", true),
    ] {
        let trigger = parsed(text);
        let function = &trigger.cases[0].function;
        assert_eq!(
            function.matches(&Names::new(name)),
            is_meant,
            "{text}: {name}"
        );
    }
}

#[test]
fn paths_lead_into_variables() {
    let trigger = parsed(
        "when f.*p->next.items[3] != null and f.c == '\\n' and f.x >= -1.5e3 and f.color == RED and f.i < f.n.m then mark \"a \\\"b\\\"\"",
    );
    let values = &trigger.cases[0].values;
    let steps = [
        Step::Member("next".into()),
        Step::Member("items".into()),
        Step::Index(3),
        Step::Target,
    ];
    assert_eq!(values[0].left.steps, steps);
    let right: Vec<_> = values.iter().map(|value| value.right.clone()).collect();
    let limit = Path {
        variable: "n".into(),
        steps: vec![Step::Member("m".into())],
    };
    assert_eq!(
        right,
        [
            Operand::Integer(0),
            Operand::Integer(10),
            Operand::Float(-1500.0),
            Operand::Name("RED".into()),
            Operand::Path(limit),
        ]
    );
    assert_eq!(trigger.actions[0].action, Action::Mark("a \"b\"".into()));
}

#[test]
fn texts_and_enumerators_are_named() {
    let trigger = parsed(
        "when f.path == \"a \\\"b\\\" *\" and f.p->name != /\\.db$/i and f.c == ns::Color::RED then stop",
    );
    let right: Vec<String> = trigger.cases[0]
        .values
        .iter()
        .map(|value| value.right.to_string())
        .collect();
    assert_eq!(right, ["\"a \\\"b\\\" *\"", "/\\.db$/i", "ns::Color::RED"]);
    assert!(trigger.is_judged_inside());
}

#[test]
fn returns_are_asked_for_values_and_durations() {
    let trigger = parsed("slow: when f returns < 0 or (f returns and duration > 10 ms) then stop");
    assert_eq!(trigger.name.as_deref(), Some("slow"));
    let [failed, slow] = &trigger.cases[..] else {
        panic!("two ways: {trigger:?}")
    };
    assert_eq!(&*failed.values[0].left.variable, RETURN);
    assert_eq!((failed.at, slow.at), (At::Return, At::Return));
    assert_eq!(
        slow.limits,
        [Limit::Duration(Operator::Greater, 10_000_000)]
    );
    let took = |duration_ns| Facts {
        duration_ns,
        ..facts(1)
    };
    assert!(slow.is_true(&took(Some(10_000_001))));
    assert!(!slow.is_true(&took(Some(10_000_000))) && !slow.is_true(&took(None)));
    assert_eq!(trigger.actions[0].action, Action::Hold);
}

#[test]
fn not_turns_comparisons_and_joints() {
    let trigger = parsed("when f and not (depth > 3 or thread == \"worker*\") then stop recording");
    let limits = &trigger.cases[0].limits;
    assert_eq!(trigger.cases.len(), 1);
    assert_eq!(limits[0], Limit::Depth(Operator::LessOrEqual, 3));
    assert!(!trigger.cases[0].is_true(&facts(3)));
    assert!(trigger.cases[0].is_true(&Facts {
        thread: "main",
        ..facts(3)
    }));
    let trigger = parsed("when f and not (depth > 3 and count == 2) then stop recording");
    assert_eq!(trigger.cases.len(), 2);
    assert!(!trigger.holds() && !trigger.cases[0].is_judged_inside(false));
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, column, message) in [
        ("f.n > 1 then snapshot", 1, "a trigger begins with `when`"),
        ("when f.n > 1", 13, "expected `and`, `or` or `then`"),
        ("when f.n then snapshot", 10, "expected ==, !="),
        ("when f.n > then snapshot", 12, "expected a number"),
        (
            "when f.n > \"x\" then stop",
            10,
            "texts are compared by == and !=",
        ),
        ("when f.n == \"[z-a]\" then stop", 13, "no pattern"),
        ("when f.n == /(/ then stop", 13, "no regular expression"),
        ("when f.n == /a", 13, "expected a second `/`"),
        ("when f.n == \"a", 13, "expected a second `\"`"),
        ("when f.n == /(a|b)*c[^d]{200}/ then stop", 13, "too large"),
        ("when f.n > 1 then", 18, "expected an action: snapshot"),
        (
            "when f.n > 1 then dance",
            19,
            "expected an action: snapshot",
        ),
        ("when f then snapshot enable g", 22, "expected `,`"),
        ("when depth > 3 then snapshot", 6, "of which function?"),
        (
            "when f and g then snapshot",
            12,
            "one event is of one function",
        ),
        (
            "when f.a < g.b then snapshot",
            12,
            "both sides must be variables of one function",
        ),
        (
            "when f and duration > 1 ms then stop",
            12,
            "a duration is known at the return only",
        ),
        (
            "when f returns and duration > 10 then stop",
            31,
            "expected a time with its unit",
        ),
        ("when not f then stop", 10, "`not` is for comparisons"),
        ("when (f then stop", 9, "expected `)`"),
        ("when f.n > 12zz then stop", 12, "`12zz` is no number"),
        (
            "when f and thread < 3 then stop",
            19,
            "threads are compared by == and !=",
        ),
        ("when /lex then stop", 6, "expected a second `/`"),
        ("when /(/ then stop", 6, "no regular expression"),
        ("when f then mark text", 18, "expected a text in quotes"),
        ("when f then enable", 19, "expected a rule of a filter"),
    ] {
        let (at, found) = refused(text);
        assert!(found.contains(message), "{text}: {found}");
        assert_eq!(at, column, "{text}: {found}");
    }
    let deep = format!("when {}f{} then stop", "(".repeat(1000), ")".repeat(1000));
    assert!(refused(&deep).1.contains("brackets"));
    let wide = format!(
        "when f{} then stop",
        " and (depth > 1 or depth < 9)".repeat(30)
    );
    assert!(refused(&wide).1.contains("ways in which this can be true"));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,80}") {
        let _ = Trigger::parse(&text);
    }

    #[test]
    fn no_row_of_words_is_too_strange(words in prop::collection::vec(prop::sample::select(vec![
        "when", "then", "and", "or", "not", "(", ")", "f", "f.n", "g*", "/x/", ".", "*", "->", "[", "]", "1", "-2.5e", "'x'", "'",
        "\"t\"", "\"", "depth", "duration", "count", "thread", "returns", ">", "==", "<", ",", "after", "10 ms", "snapshot", "enable",
        "stop", "recording", "mark", "core", "é", ":", "==", "/x$/i", "\"*.d\\\"\"", "\"[\"", "/(/", "A::B", "::",
    ]), 0..24)) {
        for joint in ["", " "] {
            let text = words.join(joint);
            if let Ok(trigger) = Trigger::parse(&text) {
                // What was understood is understood so again.
                prop_assert_eq!(Trigger::parse(&trigger.to_string()), Ok(trigger));
            }
        }
    }
}

/// Calls (positive) and returns (negative) of functions at these times, as a thread writes them.
fn words(events: &[(i64, u64)]) -> Vec<u64> {
    use umbel_trace_ring::word::{Code, Word};
    let mut words = Vec::new();
    for &(function, ticks) in events {
        let time_word = Word::Special {
            code: Code::Time as u16,
            payload_words: 1,
        };
        words.extend([time_word.pack(), ticks]);
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

/// The trigger, set as number 1; function 2 is called `f`.
fn set(text: &str) -> ([Active; 1], Watched) {
    use std::sync::Arc;
    let active = [Active {
        id: 1,
        trigger: Arc::new(parsed(text)),
    }];
    let cases = active[0].cases_of(&Names::new("f"));
    let watched = Watched {
        modules: vec![WatchedModule {
            addresses: 0x1000..0x1_0000,
            bias: 0x1000,
            functions: Arc::new([(0x1000, cases)].into()),
        }],
    };
    (active, watched)
}

/// When a trigger on function 2 fires in a thread that does this; a tick is a millisecond.
fn fires(text: &str, events: &[(i64, u64)]) -> Vec<u64> {
    let (active, watched) = set(text);
    let setting = Setting {
        active: &active,
        watched: &watched,
        off_since: None,
    };
    let thread = ThreadName {
        tid: 1,
        name: "main",
    };
    let words = words(events);
    let mut fired = Vec::new();
    // As two slices at every place where one may end.
    for cut in (0..=words.len()).step_by(3) {
        let (mut watch, mut counts) = (Watch::default(), Counts::default());
        let mut times = Vec::new();
        for slice in [&words[..cut], &words[cut..]] {
            let nanoseconds = |ticks: u64| ticks * 1_000_000;
            let (found, _) = watch.add(slice, &setting, &mut counts, thread, nanoseconds);
            times.extend(found.into_iter().map(|(_, fired)| fired.ticks));
        }
        assert!(cut == 0 || times == fired, "{text}: cut at {cut}");
        fired = times;
    }
    fired
}

#[test]
fn triggers_fire_where_their_conditions_are_true() {
    let events = [
        (1, 10),
        (2, 20),
        (2, 30),
        (-2, 35),
        (-2, 60),
        (2, 70),
        (-2, 71),
        (-1, 80),
    ];
    for (text, times) in [
        ("when f then stop recording", &[20, 30, 70][..]),
        ("when f returns then stop recording", &[35, 60, 71]),
        ("when f and depth == 3 then stop recording", &[30]),
        (
            "when f returns and depth == 2 then stop recording",
            &[60, 71],
        ),
        (
            "when f returns and duration >= 5 ms then stop recording",
            &[35, 60],
        ),
        ("when f and count == 2 then stop recording", &[30]),
        (
            "when f and depth == 2 and count == 2 then stop recording",
            &[70],
        ),
        ("when f and thread != \"m*\" then stop recording", &[]),
        // What the program itself judges is not judged again.
        ("when f.n > 3 then stop recording", &[]),
        ("when g then stop recording", &[]),
    ] {
        assert_eq!(fires(text, &events), times, "{text}");
    }
    // The program's own verdict comes behind the event, and counts with its depth and duration.
    use umbel_trace_ring::word::{Code, Word};
    let verdict = |ticks: u64| {
        let head = Word::Special {
            code: Code::Triggered as u16,
            payload_words: 2,
        };
        vec![
            head.pack(),
            ticks,
            CaseId {
                trigger: 1,
                case: 0,
            }
            .to_word(),
        ]
    };
    let inside = "when f returns and depth == 2 and duration > 20 ms then stop";
    let (active, watched) = set(inside);
    let setting = Setting {
        active: &active,
        watched: &watched,
        off_since: None,
    };
    let mut row = words(&[(1, 10), (2, 20), (2, 30), (-2, 35)]);
    row.extend(verdict(35));
    row.extend(words(&[(-2, 60)]));
    row.extend(verdict(60));
    let thread = ThreadName {
        tid: 1,
        name: "main",
    };
    let (found, _) =
        Watch::default().add(&row, &setting, &mut Counts::default(), thread, |ticks| {
            ticks * 1_000_000
        });
    let found: Vec<_> = found
        .iter()
        .map(|(_, fired)| (fired.ticks, fired.is_true))
        .collect();
    assert_eq!(found, [(35, false), (60, true)]);
    // An exception left two frames: the return of the outer tells.
    let events = [(2, 1), (1, 2), (2, 3), (-2, 9), (2, 10), (1, 11), (-2, 20)];
    assert_eq!(
        fires("when f returns and duration >= 10 ms then stop", &events),
        [] as [u64; 0]
    );
    assert_eq!(
        fires(
            "when f returns and duration >= 10 ms then stop recording",
            &events
        ),
        [20]
    );
}
