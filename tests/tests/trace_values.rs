//! Values of whole recordings that take more than one frame, or more than a frame: what callers' callers know, calls through pointers,
//! variables of threads, functions in functions. Each value is one that the program must have had, at any optimization.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::{Value as Json, json};
use umbel_tests::cluster::{LIMIT, holds_within, new_folder, start, umbel};
use umbel_tests::traced::{Traced, compile, programs};
use umbel_tracer::stuck::{Frame, Limits, Wishes, look};

/// A call or a return of a function.
struct Event {
    function: String,
    is_call: bool,
    values: Json,
}

impl Event {
    /// The value of an argument or local; `None`: it isn't known.
    fn value(&self, name: &str) -> Option<&Json> {
        let lists = ["arguments", "locals"].map(|kind| self.values[kind].as_array());
        let mut all = lists.into_iter().flatten().flatten();
        let found = all.find(|variable| variable["name"] == name)?;
        (found["value"]["absent"].is_null()).then_some(&found["value"])
    }
}

/// All events of a program, recorded with all values.
#[track_caller]
fn events(traced: &Traced) -> Vec<Event> {
    let recording = traced.file("recording");
    let outcome = start(&mut traced.record(&recording, &["--values=all"]), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let mut command = umbel(&["trace", "export", "--format", "jsonl"]);
    let outcome = start(command.arg(&recording), b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let lines: Vec<Json> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let name_of = |id: &Json| {
        let mut functions = lines.iter().filter(|line| line["type"] == "function");
        let found = functions.find(|line| line["id"] == *id);
        found
            .and_then(|line| line["name"].as_str())
            .unwrap_or("")
            .to_owned()
    };
    let is_event = |line: &&Json| line["type"] == "begin" || line["type"] == "end";
    let events = lines.iter().filter(is_event).map(|line| Event {
        function: name_of(&line["id"]),
        is_call: line["type"] == "begin",
        values: line["values"].clone(),
    });
    events.collect()
}

fn number(value: &Json) -> i64 {
    let text = value.as_str().unwrap_or_default();
    text.parse()
        .unwrap_or_else(|_| panic!("{value} is no number"))
}

const LEVELS: [&str; 4] = ["-O0", "-O1", "-O2", "-O3"];

#[test]
fn arguments_that_only_callers_callers_know_are_shown() {
    for level in LEVELS {
        let events = events(&compile("values/entries.c", level));
        let of = |name: &'static str| {
            let returns = events.iter().filter(|event| !event.is_call);
            returns.filter(move |event| event.function == name)
        };
        let mut firsts = Vec::new();
        for fourth in of("fourth") {
            // It was given these by `third`, which doesn't keep them: nor does who has called that.
            let values = ["first", "second", "third"].map(|name| fourth.value(name));
            let values = values.map(|value| number(value.unwrap_or_else(|| panic!("{level}"))));
            assert_eq!(values[1..], [17, 18], "{level}");
            firsts.push(values[0]);
        }
        assert_eq!(firsts, [0, 1000, 2000, 3000, 4000], "{level}");
        // Called through a pointer in a register, which tells who is called; through one in memory, which doesn't.
        for name in ["act", "other"] {
            let kinds = of(name).map(|event| {
                let is_in_memory = event.value("self").is_some_and(|own| own["ptr"] != "0x0");
                (is_in_memory, event.value("kind").map(number))
            });
            for (is_in_memory, kind) in kinds {
                let expected = if is_in_memory { 3 } else { 4 };
                let may_be_gone = is_in_memory && level != "-O0";
                assert!(
                    kind == Some(expected) || may_be_gone && kind.is_none(),
                    "{level} {name}: {kind:?}"
                );
            }
        }
    }
}

#[test]
fn each_thread_has_its_own_thread_local_variables() {
    for level in LEVELS {
        let traced = compile("values/entries.c", level);
        let events = events(&traced);
        let returns = events
            .iter()
            .filter(|event| !event.is_call && event.function == "counted");
        let mut calls: Vec<(i64, Json)> = returns
            .map(|event| {
                let calls = event.value("calls").map(number);
                let name = event.value("name").cloned().unwrap_or_default();
                (
                    calls.unwrap_or_else(|| panic!("{level}")),
                    name["to"].clone(),
                )
            })
            .collect();
        calls.sort_by_key(|(calls, _)| *calls);
        let numbers: Vec<i64> = calls.iter().map(|(calls, _)| *calls).collect();
        assert_eq!(numbers, [101, 102, 102, 103, 104, 104, 105, 106], "{level}");
        let text = json!({ "text": "mine", "complete": true });
        // gcc knows that nobody changes it.
        let may_be_gone = level != "-O0";
        let is_right = |name: &Json| *name == text || may_be_gone && name.is_null();
        let mut names = calls.iter().map(|(_, name)| name);
        assert!(names.all(is_right), "{level}: {calls:?}");
    }
}

#[test]
fn a_function_in_a_function_shows_its_variables_and_those_around_it() {
    for level in LEVELS {
        let events = events(&compile("values/nested.c", level));
        let (mut inner, mut compared) = (0, 0);
        for event in &events {
            let name = event.function.split('.').next().unwrap_or_default();
            match (name, event.is_call) {
                ("inner", true) => assert!(event.value("q").is_some(), "{level}"),
                ("inner", false) => {
                    inner += 1;
                    let known =
                        ["total", "own", "unshared", "n", "row"].map(|name| event.value(name));
                    if let [Some(total), Some(own), Some(unshared), Some(n), Some(row)] = known {
                        let n = number(n);
                        assert_eq!(number(total), 11 * n + 5, "{level}");
                        assert_eq!((number(own), number(unshared)), (n + 6, n + 77), "{level}");
                        assert_eq!(number(&row[2]), n + 2, "{level}");
                    } else {
                        // gcc has put something else where the chain was.
                        assert!(level != "-O0", "{known:?}");
                    }
                }
                // It's called by the C library: nothing but its chain leads to the function around it.
                ("compare", false) => {
                    compared += 1;
                    let row = event.value("numbers").and_then(Json::as_array);
                    let row = row.unwrap_or_else(|| panic!("{level}"));
                    let sum: i64 = row.iter().map(number).sum();
                    assert!(sum % 10 == 0 && row.len() == 4, "{level}: {row:?}");
                }
                _ => {}
            }
        }
        assert!(inner == 4 && compared >= 24, "{level}: {inner} {compared}");
    }
}

/// A program that runs until the test ends.
struct Running(Child, PathBuf);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

#[test]
fn stuck_threads_show_what_only_callers_know_and_their_own_variables() {
    for level in LEVELS {
        let folder = new_folder();
        let source = programs().join("stuck/handed.c");
        let program = folder.join("handed");
        let mut gcc = Command::new("gcc");
        gcc.args(["-g", "-Wall", "-Wextra", level, "-pthread", "-o"]);
        let status = gcc.arg(&program).arg(&source).status();
        assert!(status.is_ok_and(|status| status.success()), "{gcc:?}");
        let child = Command::new(&program).spawn();
        let running = Running(child.expect("it was just compiled"), folder);
        let wishes = Wishes {
            frames: 32,
            limits: Some(Limits::default()),
            // What is known without stopping them.
            never_stop: true,
        };
        let expected = [("1000", "42"), ("2000", "42")];
        let expected = expected.map(|(first, mine)| (first.to_owned(), mine.to_owned()));
        let mut shown = Vec::new();
        holds_within(LIMIT, || {
            let report = look(running.0.id() as i32, &wishes);
            let threads = report.map(|report| report.threads).unwrap_or_default();
            shown = threads
                .iter()
                .map(|thread| handed(&thread.frames))
                .collect();
            shown.sort();
            shown == expected
        });
        assert_eq!(shown, expected, "{level}");
    }
}

/// `first` of `third`, which has forgotten it, and the thread's own variable.
fn handed(frames: &[Frame]) -> (String, String) {
    let value = |function: &str, name: &str| {
        let mut frames = frames.iter();
        let frame = frames.find(|frame| frame.function.as_deref() == Some(function))?;
        let mut variables = frame.arguments.iter().chain(&frame.locals);
        let found = variables.find(|variable| variable.name == name)?;
        Some(found.value.to_string())
    };
    let text = |function, name| value(function, name).unwrap_or_default();
    (text("third", "first"), text("waiting", "mine"))
}

#[test]
fn virtual_bases_of_what_pointers_lead_to_are_shown() {
    for level in ["-O0", "-O2"] {
        let events = events(&compile("values/classes.cc", level));
        let mut calls = events
            .iter()
            .filter(|event| event.is_call && event.function.ends_with("both::sum"));
        let object = calls.find_map(|event| Some(event.value("this")?["to"].clone()));
        let object = object.unwrap_or_else(|| panic!("{level}: it is called"));
        // Both of its bases have the one, which lies where their tables of virtual functions say.
        let text = object.to_string();
        let bases = text.matches("\"id\":").count();
        assert!(bases == 2 && !text.contains("absent"), "{level}: {text}");
    }
}
