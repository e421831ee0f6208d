//! Triggers that ask for texts, bit fields and enumerators, in a real C++ program.

use super::Folder;
use super::triggers::marks;

#[test]
fn texts_bit_fields_and_enumerators_are_compared_in_the_program() {
    for flags in [&["-O0"][..], &["-O2"]] {
        let folder = Folder::compile("texts", flags);
        for (condition, fires) in [
            (r#"opened.path == "/data/17.txt""#, 1),
            (r#"opened.path == "/data/1?.txt""#, 9),
            // 50 to 53 have others.
            (r#"opened.path == "*.DB""#, 9),
            (r#"opened.path == "*.db""#, 0),
            (r"opened.path == /\.db$/i", 9),
            (r"opened.path == /^.data.(3|4)/", 22),
            // Null, and what can't be read to where it is decided, are neither.
            (r#"opened.path != "/data/*""#, 2),
            (r#"opened.path == "last!""#, 1),
            (r#"opened.path == "zzzzzz*""#, 1),
            (r"opened.path == /^z*$/", 0),
            ("opened.path == null", 1),
            // 5, 54 and 55: both ends of `and` are judged.
            (
                r#"opened.path == "/data/5*" and opened.path == "*[45].txt""#,
                3,
            ),
            // An array, with and without a 0 at its end; `this` and what it points to.
            (r#"seen.one->name == "n7?""#, 10),
            (r#"seen.one->name == "eightbig""#, 1),
            (r#"seen.one->name == "eightbig?*""#, 0),
            (r#"seen.one->title == "odd""#, 50),
            (
                r#"said.text == "an even number, too long to lie within""#,
                50,
            ),
            (r#"said.part == "/data" and said.text == "*even*""#, 50),
            (
                r#"Named::rank.this->title == "odd" and Named::rank.n < 10"#,
                5,
            ),
            (
                r#"Named::rank.title == "odd" and Named::rank.name == "n9""#,
                1,
            ),
            (r#"answer returns == "yes\n""#, 4),
            (r#"answer returns != "yes*""#, 96),
            ("seen.one->flags.ready == 1", 50),
            ("seen.one->flags.balance < -6", 14),
            (
                "seen.one->flags.balance == 7 and seen.one->flags.ready == true",
                6,
            ),
            ("seen.one->flags.wide == 0x8000000003", 1),
            ("seen.one->flags.wide >= 549755813984.0", 4),
            ("seen.one->flags.colour == BLUE", 34),
            ("seen.one->flags.colour != Colour::BLUE", 66),
            ("seen.one->flags.colour == paint::Colour::RED", 66),
            ("seen.one->flags.colour > RED", 34),
        ] {
            let trigger = format!("when {condition} then mark \"here\"");
            let outcome = folder.record(&["--trigger", &trigger], &[]);
            assert_eq!(outcome.status, Some(0), "{flags:?} {condition}: {outcome}");
            let count = marks(&folder).iter().filter(|text| *text == "here").count();
            assert_eq!(count, fires, "{flags:?} {condition}: {outcome}");
        }
    }
}

#[test]
fn what_is_no_text_is_told_with_what_it_is() {
    let folder = Folder::compile("texts", &["-O0"]);
    for (condition, reason) in [
        (
            r#"seen.one == "x""#,
            "one is no text: it is of type Named *",
        ),
        (
            r#"seen.one->flags.ready == "x""#,
            "is no text: it is of type unsigned int",
        ),
        (
            r#"seen.one->title.size == "x""#,
            "there is no member size; there",
        ),
        (
            r#"seen.two == "x""#,
            "it has no variable two there; there is one",
        ),
        (
            "seen.one->flags.colour == paint::PINK",
            "has no enumerator paint::PINK; there are",
        ),
        (
            "seen.one->flags.colour == ink::RED",
            "has no enumerator ink::RED; there are",
        ),
        ("seen.one->flags.colour.x == 1", "a bit field has no parts"),
        ("seen.one->title == 1", "one.title is no number"),
    ] {
        let trigger = format!("when {condition} then mark \"here\"");
        let outcome = folder.record(&["--trigger", &trigger], &[]);
        assert!(outcome.stderr.contains(reason), "{condition}: {outcome}");
    }
    for (condition, reason) in [
        (r#"opened.path < "x""#, "texts are compared by == and !="),
        (r"opened.path == /a(/", "no regular expression"),
        (
            r"opened.path == /[^a]*a[^b]{200}/",
            "too large to be judged in the program",
        ),
    ] {
        let trigger = format!("when {condition} then mark \"here\"");
        let outcome = folder.record(&["--trigger", &trigger], &[]);
        assert_eq!(outcome.status, Some(2), "{condition}: {outcome}");
        assert!(outcome.stderr.contains(reason), "{condition}: {outcome}");
    }
}
