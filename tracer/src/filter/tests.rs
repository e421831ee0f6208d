use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Whether `filter` includes a function of the program that the linker calls `name`.
fn includes(filter: &Filter, name: &str) -> bool {
    includes_in(filter, name, "/home/ada/prog", true, None)
}

fn includes_in(
    filter: &Filter,
    name: &str,
    module: &str,
    is_program: bool,
    source: Option<&str>,
) -> bool {
    filter.includes(&mut Function {
        names: &[Names::new(name)],
        module: Path::new(module),
        is_program,
        source: &mut || source.map(str::to_owned),
    })
}

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn nothing_said_traces_all_but_the_system() {
    let filter = filter("");
    assert!(includes(&filter, "main"));
    assert!(includes(&filter, "_ZN1a1fEi"));
    assert!(!includes(&filter, "_ZNSt6vectorIiSaIiEE9push_backERKi"));
    assert!(!includes_in(
        &filter,
        "inflate",
        "/usr/lib/x86_64-linux-gnu/libz.so.1",
        false,
        None
    ));
    assert!(includes_in(
        &filter,
        "inflate",
        "/opt/lib/libz.so.1",
        false,
        None
    ));
    assert!(includes_in(
        &filter,
        "main",
        "/usr/lib/tool/tool",
        true,
        None
    ));
    assert!(!includes_in(
        &filter,
        "_ZN5boost1fEv",
        "/home/ada/prog",
        true,
        Some("/usr/include/boost/f.hpp")
    ));
    assert!(includes_in(
        &filter,
        "_ZN1a1fEv",
        "/home/ada/prog",
        true,
        Some("/home/ada/a.h")
    ));
}

#[test]
fn with_system_the_system_is_traced_as_the_rest() {
    let filter = filter("with-system");
    assert!(includes(&filter, "_ZNSt6vectorIiSaIiEE9push_backERKi"));
}

#[test]
fn an_inclusion_at_first_excludes_the_rest() {
    let filter = filter("parse; lex_*");
    assert!(includes(&filter, "parse"));
    assert!(includes(&filter, "lex_next"));
    assert!(!includes(&filter, "main"));
}

#[test]
fn the_last_rule_that_matches_decides() {
    let filter = filter("all; !lex_*; lex_main");
    assert!(includes(&filter, "main"));
    assert!(!includes(&filter, "lex_next"));
    assert!(includes(&filter, "lex_main"));
}

#[test]
fn exclusions_alone_leave_the_rest() {
    let mut filter = Filter::default();
    filter
        .add_excluded("lex_*; !lex_main")
        .expect("it is right");
    assert!(includes(&filter, "main"));
    assert!(!includes(&filter, "lex_next"));
    assert!(includes(&filter, "lex_main"));
    let texts: Vec<&str> = filter.rules().map(Rule::text).collect();
    assert_eq!(texts, ["!lex_*", "lex_main"]);
}

#[test]
fn a_name_matches_from_any_of_its_parts_on() {
    // ns::Table<int>::find(int) const
    let name = "_ZNK2ns5TableIiE4findEi";
    for text in [
        "find",
        "Table::find",
        "ns::Table::find",
        "Table<int>::find",
        "ns::Table<int>::find(int) const",
        "_ZNK2ns5TableIiE4findEi",
        "T*::find",
        "fi?d",
        "/^ns::Table.*find/",
        "/TABLE<INT>/i",
        "name:find",
        "file:table.h & find",
    ] {
        let source = Some("/home/ada/src/table.h");
        assert!(
            includes_in(&filter(text), name, "/home/ada/prog", true, source),
            "{text}"
        );
    }
    for text in [
        "fin",
        "able::find",
        "Table",
        "ns",
        "/^find/",
        "file:able.h",
        "file:table.h & lookup",
    ] {
        let source = Some("/home/ada/src/table.h");
        assert!(
            !includes_in(&filter(text), name, "/home/ada/prog", true, source),
            "{text}"
        );
    }
}

#[test]
fn operators_are_names_not_patterns() {
    for (text, name) in [
        ("A::operator*", "_ZN1AmlERKS_"),
        ("A::operator[]", "_ZN1AixEi"),
        ("operator new(unsigned long)", "_Znwm"),
        ("operator<<", "_ZlsRSoRK1A"),
        ("A::operator()", "_ZN1AclEv"),
    ] {
        assert!(includes(&filter(text), name), "{text}");
    }
    assert!(!includes(&filter("A::operator[]"), "_ZN1AmlERKS_"));
}

#[test]
fn files_match_by_the_end_of_their_path() {
    let of = |text: &str| {
        includes_in(
            &filter(text),
            "f",
            "/home/ada/prog",
            true,
            Some("/home/ada/src/lex/next.c"),
        )
    };
    assert!(of("file:next.c"));
    assert!(of("file:lex/*"));
    assert!(of("file:/home/*"));
    assert!(of("file:src/**/*.c"));
    assert!(!of("file:ext.c"));
    assert!(!of("file:/lex/*"));
}

#[test]
fn libraries_match_with_and_without_their_ending() {
    let of = |text: &str| includes_in(&filter(text), "f", "/opt/foo/libfoo.so.1.2", false, None);
    for text in [
        "lib:libfoo",
        "lib:libf*",
        "lib:libfoo.so.1.2",
        "lib:/opt/foo/*",
        "lib:foo/libfoo.so*",
    ] {
        assert!(of(text), "{text}");
    }
    assert!(!of("lib:foo"));
    // A named library of the system is traced.
    let system = filter("lib:libz");
    assert!(includes_in(
        &system,
        "inflate",
        "/usr/lib/libz.so.1",
        false,
        None
    ));
}

#[test]
fn limits_are_no_rules() {
    let filter = filter("depth:3; at-least:1.5us; thread:work*; !thread:worker9");
    assert!(includes(&filter, "main"));
    assert_eq!(filter.limits().depth_max, Some(3));
    assert_eq!(filter.limits().at_least_ns, Some(1500));
    assert!(filter.limits().includes_thread(1, "worker1"));
    assert!(!filter.limits().includes_thread(1, "worker9"));
    assert!(!filter.limits().includes_thread(1, "main"));
}

#[test]
fn threads_are_meant_by_number_too() {
    let filter = filter("!thread:77");
    assert!(!filter.limits().includes_thread(77, "main"));
    assert!(filter.limits().includes_thread(78, "main"));
}

#[test]
fn comments_and_lines_make_a_file() {
    let filter =
        filter("# what the parser does\nparse_*\n\n  !parse_blank ; file:lex.c # & not here\n");
    let texts: Vec<&str> = filter.rules().map(Rule::text).collect();
    assert_eq!(
        texts,
        ["parse_*", "!parse_blank", "file:lex.c # & not here"]
    );
}

#[test]
fn rules_go_by_number_or_text() {
    let mut filter = filter("a; b; c; -d");
    assert!(filter.remove("- d"));
    assert!(filter.remove("2"));
    assert!(filter.remove("c"));
    assert!(!filter.remove("c"));
    assert!(!filter.remove("7"));
    let texts: Vec<&str> = filter.rules().map(Rule::text).collect();
    assert_eq!(texts, ["a"]);
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, column, part) in [
        ("lib:", 5, "a library's name"),
        ("parse; file: ;x", 13, "a source file's name"),
        ("/abc", 1, "a second `/`"),
        ("a\n  /a(/", 3, "no regular expression: unclosed group"),
        ("/usr/include/x.h", 7, "expected `i`, `;` or `&`"),
        ("depth:0", 7, "a number from 1"),
        ("depth:many", 7, "a number from 1"),
        ("at-least:10", 10, "unit"),
        ("!depth:3", 2, "functions and threads only"),
        ("f[", 1, "no pattern"),
        ("!", 2, "a function's name"),
        ("a & ", 5, "expected"),
        ("thread:", 8, "a thread's name"),
    ] {
        let error = Filter::parse(text).expect_err(text);
        assert!(error.message.contains(part), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
    // A filter with an error changes nothing.
    let mut filter = filter("a");
    assert!(filter.add("b; lib:").is_err());
    assert_eq!(filter.rules().count(), 1);
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error(text in "\\PC{0,60}") {
        match Filter::parse(&text) {
            Ok(filter) => { includes(&filter, "_ZN1a1fEi"); }
            Err(error) => prop_assert!(error.column <= error.line.chars().count() + 1),
        }
    }

    #[test]
    fn any_text_of_the_language_s_own_signs_is_a_filter_or_an_error(text in "[!/&;#*?\\[\\]{}()\\\\a-c: \\n]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            includes(&filter, "_ZN1a1fEi");
        }
    }

    #[test]
    fn a_rule_read_again_is_the_same_rule(names in proptest::collection::vec("!?[a-z][a-z_]{0,6}[*]?", 1..5)) {
        let first = filter(&names.join(";"));
        let texts: Vec<&str> = first.rules().map(Rule::text).collect();
        let second = filter(&texts.join("\n"));
        for name in ["a", "ab", "abc", "z_a"] {
            prop_assert_eq!(includes(&first, name), includes(&second, name));
        }
    }

    /// A model of the last-match rule over exact names.
    #[test]
    fn the_last_match_decides_as_in_the_model(rules in proptest::collection::vec((any::<bool>(), 0_usize..3), 0..6)) {
        let names = ["f", "g", "h"];
        let text: Vec<String> = rules.iter().map(|(out, name)| format!("{}{}", if *out { "!" } else { "" }, names[*name])).collect();
        let filter = filter(&text.join(";"));
        for (index, name) in names.iter().enumerate() {
            let decided = rules.iter().rev().find(|(_, rule)| *rule == index);
            let expected = match decided {
                Some((is_out, _)) => !is_out,
                None => rules.first().is_none_or(|(is_out, _)| *is_out),
            };
            prop_assert_eq!(includes(&filter, name), expected);
        }
    }
}
