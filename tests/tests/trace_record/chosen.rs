//! Variables that `--args` chooses: as the user wrote them, with the values that the program gave them, at any optimization.

use serde_json::{Value as Json, json};
use umbel_tests::cluster::{LIMIT, start, umbel};

use super::triggers::marks;
use super::{Folder, Running};

/// What `umbel trace export --format jsonl` says of the first call of a function, and of its return.
struct Call {
    begin: Json,
    end: Json,
}

impl Call {
    #[track_caller]
    fn of(folder: &Folder, function: &str) -> Self {
        let (lines, id) = exported(folder, function);
        let of = |kind: &str| {
            let mut lines = lines.iter();
            let line = lines.find(|line| line["type"] == kind && line["id"] == id);
            line.map_or(Json::Null, |line| line["values"].clone())
        };
        Self {
            begin: of("begin"),
            end: of("end"),
        }
    }

    /// Names and values of what it was called with.
    fn arguments(&self) -> Vec<(String, Json)> {
        named(&self.begin["arguments"])
    }

    /// The same of what it has when it returns: arguments, then locals.
    fn at_return(&self) -> Vec<(String, Json)> {
        let mut all = named(&self.end["arguments"]);
        all.extend(named(&self.end["locals"]));
        all
    }
}

/// All that is exported, and the number of a function.
#[track_caller]
fn exported(folder: &Folder, function: &str) -> (Vec<Json>, Json) {
    let mut command = umbel(&["trace", "export", "--format", "jsonl"]);
    let outcome = start(command.arg(folder.recording()), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let lines: Vec<Json> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let id = lines
        .iter()
        .find(|line| line["type"] == "function" && line["name"] == function)
        .map(|line| line["id"].clone());
    let id = id.unwrap_or_else(|| panic!("{function} was called"));
    (lines, id)
}

fn named(variables: &Json) -> Vec<(String, Json)> {
    let variables = variables.as_array().cloned().unwrap_or_default();
    let named = variables.iter().map(|variable| {
        let name = variable["name"].as_str().unwrap_or_default();
        (name.to_owned(), variable["value"].clone())
    });
    named.collect()
}

fn expected(all: &[(&str, Json)]) -> Vec<(String, Json)> {
    let owned = all.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn text(text: &str, complete: bool) -> Json {
    json!({ "text": text, "complete": complete })
}

const LEVELS: [&str; 2] = ["-O0", "-O2"];

#[test]
fn chosen_parts_have_their_values_and_nothing_else_is_captured() {
    for level in LEVELS {
        let folder = Folder::compile("chosen", &[level]);
        let first = "first:a,b.b.c,*p[0..4],p[2..n],b.b.low,b.b.high,b.next->b.c,b.grid[1][2],b.next->bytes";
        let others =
            "sec*:text@text,bytes[0..3]@text,*rows[1..3],rows[1][3],o->b.c,*o->next; third:return";
        let outcome = folder.record(&["--elements", "3", "--args", first, "--args", others], &[]);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        assert_eq!(outcome.stdout, "3\n");
        assert!(!outcome.stderr.contains("--args"), "{outcome}");
        let first = Call::of(&folder, "first");
        let arguments = expected(&[
            ("a", json!("1")),
            ("b.b.c", json!("5")),
            // All elements that are named, though others are shown up to three.
            ("*p[0..4]", json!(["0", "1", "4", "9"])),
            ("p[2..n]", json!(["4", "9", "16", { "more": 13 }])),
            ("b.b.low", json!("6")),
            ("b.b.high", json!("-7")),
            ("b.next->b.c", json!("9")),
            ("b.grid[1][2]", json!("0")),
            ("b.next->bytes", text("abcd", true)),
        ]);
        assert_eq!(first.arguments(), arguments, "{level}: {outcome}");
        let second = Call::of(&folder, "second").arguments();
        let text_at = &second[0].1;
        assert_eq!(text_at["to"], text("a text", true), "{level}: {text_at}");
        let rest = expected(&[
            ("bytes[0..3]", text("byt", true)),
            ("*rows[1..3]", json!(["9", "16"])),
            ("rows[1][3]", json!("9")),
            ("o->b.c", json!("5")),
        ]);
        assert_eq!(second[1..5], rest, "{level}: {outcome}");
        let next = &second[5];
        assert_eq!(
            (&*next.0, &next.1["b"]),
            ("*o->next", &json!({ "c": "9", "low": "1", "high": "-1" })),
            "{level}"
        );
        let third = Call::of(&folder, "third");
        assert_eq!(third.arguments(), [], "{level}");
        let made = json!({ "c": "3", "low": "5", "high": "-3" });
        assert_eq!(third.end["returned"], made, "{level}");
        assert_eq!(third.at_return(), [], "{level}");
        // No rule speaks of it.
        let main = Call::of(&folder, "main");
        assert_eq!(main.end["returned"], "0", "{level}");
    }
}

#[test]
fn locals_are_there_when_the_function_returns() {
    let folder = Folder::compile("chosen", &["-O0"]);
    let rules = [
        "--values",
        "none",
        "--args",
        "second:o->b.c;third:return.c,made.high,*gone;*irst:*",
    ];
    let outcome = folder.record(&rules, &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let second = Call::of(&folder, "second");
    assert_eq!(second.arguments(), expected(&[("o->b.c", json!("5"))]));
    assert_eq!(second.at_return(), expected(&[("o->b.c", json!("77"))]));
    let third = Call::of(&folder, "third");
    let at_return = expected(&[
        ("return.c", json!("3")),
        ("made.high", json!("-3")),
        ("*gone", json!({ "absent": "invalid 0x8" })),
    ]);
    assert_eq!(third.at_return(), at_return);
    let first = Call::of(&folder, "first");
    let names = |values: Vec<(String, Json)>| {
        let names = values.into_iter().map(|(name, _)| name);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(first.arguments()), "a b p n");
    assert_eq!(names(first.at_return()), "a b p n sum");
    assert_eq!(first.end["returned"], "1786");
    assert_eq!(Call::of(&folder, "main").end, Json::Null);
}

#[test]
fn the_last_rule_that_matches_decides() {
    let folder = Folder::compile("chosen", &["-O2"]);
    folder.record(&["--args", "*:;first:a", "--args", "/^third$/:x"], &[]);
    let names = |function| {
        let arguments = Call::of(&folder, function).arguments();
        let names = arguments.into_iter().map(|(name, _)| name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("first"), ["a"]);
    assert_eq!(names("third"), ["x"]);
    assert!(names("second").is_empty());
}

#[test]
fn what_is_not_there_is_told_at_the_end() {
    let folder = Folder::compile("chosen", &["-O0"]);
    let rules =
        "first:q,b.c,inside,a.b,a[0..2]@text,p[0..q],b[3],*a;second:return,*text;main:rows[5]";
    let outcome = folder.record(&["--args", rules], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    for told in [
        "first:q: there is no variable q; it has a, b, p, n, sum, i, inside",
        "first:b.c: outer has no member c; it has tag, b, next, whole, bytes, grid",
        "first:inside: the block that inside belongs to has ended when it returns",
        "first:a.b: int is no struct, class or union: it has no member b",
        "first:p[0..q]: there is no variable q",
        "first:*a: `*` is for pointers",
        "second:return: it returns nothing",
        "main:rows[5]: there are 2 elements, and 5 is asked for",
    ] {
        let found = outcome.stderr.matches(&format!("--args {told}")).count();
        assert_eq!(found, 1, "{told}: {outcome}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused_before_anything_runs() {
    let folder = Folder::compile("chosen", &[]);
    for (rules, told) in [
        ("first", "column 6: expected `:`"),
        ("first:a[8..2]", "column 12: expected a number above 8"),
        ("first:a;:b", "column 9: expected a function's name"),
    ] {
        let outcome = folder.record(&["--args", rules], &[]);
        assert_eq!(outcome.status, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("--args"), "{outcome}");
        assert!(outcome.stderr.contains(told), "{outcome}");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn a_program_without_debug_information_is_told() {
    let folder = Folder::compile("chosen", &["-g0"]);
    let outcome = folder.record(&[], &[]);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let told = "program was built without -g: no values, no places";
    assert_eq!(outcome.stderr.matches(told).count(), 1, "{outcome}");
    let outcome = folder.record(&["--values", "none"], &[]);
    assert!(!outcome.stderr.contains("without -g"), "{outcome}");
}

#[test]
fn rules_are_set_and_taken_away_while_threads_run() {
    let folder = Folder::compile("workers", &["-O0"]);
    let running = Running::start(&folder, &[]);
    running.rounds();
    assert_eq!(folder.ctl(&["args", "inner:"]), "");
    running.rounds();
    let told = folder.ctl(&["args", "outter:value; inner:"]);
    assert!(
        told.contains("no traced program or library has a function outter: did you mean outer?"),
        "{told}"
    );
    assert_eq!(folder.ctl(&["args", "list"]), "1 outter:value\n2 inner:\n");
    folder.ctl(&["args", "del", "1"]);
    assert_eq!(folder.ctl(&["args", "list"]), "1 inner:\n");
    for (words, reason) in [
        (
            &["args", "inner:a[8..2]"][..],
            "column 12: expected a number above 8",
        ),
        (&["args", "del", "7"], "there is no rule `7`"),
        (&["args", "inner"], "expected a rule after `args`"),
    ] {
        let mut command = umbel(&["trace", "ctl", "-s"]);
        let outcome = start(command.arg(folder.recording()).args(words), b"").wait(LIMIT);
        assert_eq!(outcome.status, Some(1), "{outcome}");
        assert!(outcome.stderr.contains(reason), "{outcome}");
    }
    folder.ctl(&["args", "clear"]);
    assert_eq!(folder.ctl(&["args", "list"]), "");
    running.rounds();
    running.end();
    let (lines, id) = exported(&folder, "inner");
    let calls = lines
        .iter()
        .filter(|line| line["type"] == "begin" && line["id"] == id);
    // In each thread: with, without, and with values again.
    let mut phases: std::collections::HashMap<String, Vec<bool>> = Default::default();
    for call in calls {
        let phases = phases.entry(call["thread"].to_string()).or_default();
        let has_values = call["values"]["arguments"].is_array();
        if phases.last() != Some(&has_values) {
            phases.push(has_values);
        }
    }
    assert!(!phases.is_empty(), "{:?}", lines.get(..20));
    for phases in phases.values() {
        assert_eq!(phases, &[true, false, true]);
    }
    let marks = marks(&folder);
    for text in ["ctl args inner:", "ctl args del 1", "ctl args clear"] {
        assert!(marks.iter().any(|mark| mark == text), "{text}: {marks:?}");
    }
}

#[test]
fn rules_and_triggers_of_functions_that_are_not_there_are_told_with_near_names() {
    let folder = Folder::compile("chosen", &[]);
    let options = [
        "--args",
        "frist:a;first:a;g*:",
        "--trigger",
        "early: when thirt returns or first.a == 3 then mark \"x\"",
    ];
    let outcome = folder.record(&options, &[]);
    for told in [
        "--args frist:a: no traced program or library has a function frist: did you mean first",
        "--args g*:: no traced program or library has a function g*\n",
        "trigger early: no traced program or library has a function thirt: did you mean third",
    ] {
        assert_eq!(outcome.stderr.matches(told).count(), 1, "{told}: {outcome}");
    }
    assert!(!outcome.stderr.contains("a function first"), "{outcome}");
}
