//! Rules as they are written, right and wrong.

use umbel_values::plan::{Chosen, Elements, End, Part};
use umbel_values::{Path, Step};

use super::Rule;
use crate::filter::Names;

fn one(text: &str) -> Rule {
    let mut rules = Rule::parse(text).expect(text);
    assert_eq!(rules.len(), 1, "{text}");
    rules.remove(0)
}

fn part(text: &str) -> Part {
    let rule = one(&format!("f:{text}"));
    match rule.chosen.as_slice() {
        [Chosen::Part(part)] => part.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

fn path(variable: &str, steps: &[Step]) -> Path {
    Path {
        variable: variable.into(),
        steps: steps.to_vec(),
    }
}

fn matches(text: &str, function: &str) -> bool {
    one(text).pattern.matches(&Names::new(function))
}

#[test]
fn a_rule_has_a_function_and_variables() {
    let rule = one("f:a, b.c ,*p[0..8]");
    let texts = rule.chosen.iter().map(|chosen| match chosen {
        Chosen::Part(part) => &*part.text,
        Chosen::All => "all",
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["a", "b.c", "*p[0..8]"]);
    assert_eq!(one("f:*").chosen, [Chosen::All]);
    assert_eq!(one("f:").chosen, []);
    assert_eq!(Rule::parse("f:a; g*:b;").expect("two rules").len(), 2);
}

#[test]
fn functions_are_named_as_in_filters() {
    assert!(matches("f:a", "f"));
    assert!(!matches("f:a", "ff"));
    assert!(matches("pa*:a", "parse"));
    assert!(matches("/^PARSE/i:a", "parse_all"));
    assert!(matches("/a\\/|b:/:x", "b:"));
    assert!(matches("A::f:a", "_ZN1A1fEi"));
    assert!(matches("*::f:a", "_ZN1A1fEi"));
    assert!(matches("\"f\":a", "f"));
    assert!(matches("std::vector<ns::a>::f:x", "std::vector<ns::a>::f"));
    assert!(matches("operator<:x", "operator<"));
}

#[test]
fn variables_are_paths() {
    let member = |name: &str| Step::Member(name.into());
    assert_eq!(part("a").path, path("a", &[]));
    assert_eq!(part("a.b->c").path, path("a", &[member("b"), member("c")]));
    assert_eq!(
        part("a[3].b").path,
        path("a", &[Step::Index(3), member("b")])
    );
    assert_eq!(
        part("**p.q").path,
        path("p", &[member("q"), Step::Target, Step::Target])
    );
    let range = part("*p[0..8]");
    assert_eq!(range.path, path("p", &[Step::Target]));
    let to_8 = Elements {
        from: 0,
        to: End::At(8),
    };
    assert_eq!(range.elements, Some(to_8.clone()));
    assert_eq!(part("p[ ..8 ]").elements, Some(to_8));
    let counted = Elements {
        from: 2,
        to: End::Variable(path("s", &[member("n")])),
    };
    assert_eq!(part("p[2..s.n]").elements, Some(counted));
    assert!(part("p@text").is_text);
    assert_eq!(&*part("p[0..4]@text").text, "p[0..4]");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, column, expected) in [
        ("", 1, "a rule"),
        ("f", 2, "expected `:`"),
        (":a", 1, "a function's name"),
        ("f:a,", 5, "a variable"),
        ("f:a b", 5, "expected `.`"),
        ("f:a.", 5, "a member's name"),
        ("f:a[x]", 5, "a number"),
        ("f:a[3", 6, "expected `]`, or `..`"),
        ("f:a[0..8", 9, "expected `]`"),
        ("f:a[8..8]", 8, "above 8"),
        ("f:a[0..99999]", 8, "65536 are allowed"),
        ("f:a[0..b[0..2]]", 8, "not a range"),
        ("f:a[0..8].b", 10, "stands at the end"),
        ("f:a@number", 5, "expected `text`"),
        ("f:*********a", 3, "more than 8"),
        ("/f:a", 1, "second `/`"),
        ("/(/:a", 1, "no regular expression"),
        ("\"f:a", 1, "second `\""),
        ("f[:a", 1, "no pattern"),
        ("f:a;g", 6, "expected `:`"),
        ("ü:ä, 9", 6, "a variable"),
        ("f:-1", 3, "a variable"),
        ("f:a[-1]", 5, "a number"),
    ] {
        let error = Rule::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{error}");
        assert!(error.message.contains(expected), "{error}");
        assert_eq!(error.text, text);
    }
    let long = format!("f:{}", "a".repeat(5000));
    let error = Rule::parse(&long).expect_err("it is too long");
    assert!(error.to_string().contains("4096 are allowed"), "{error}");
}

/// Cut off and torn: read or refused, always soon.
#[test]
fn whatever_is_written_is_read_or_refused() {
    let text = "A::f<int>(int):a, b.c[3]->d ,**p[0..n.m]@text;/x\\/y/i:*;\"q\":ü";
    let characters: Vec<char> = text.chars().collect();
    for from in 0..characters.len() {
        for to in from..=characters.len() {
            let _ = Rule::parse(&characters[from..to].iter().collect::<String>());
        }
    }
    assert!(Rule::parse(text).is_ok());
}
