//! The call tree as text: of recordings that were made by hand, and while they grow.

mod common;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use umbel_trace_ring::word::{Code, Word};
use umbel_tracer::recording::{
    ClockKind, Ended, ModuleInfo, ProcessInfo, ProcessSerial, Recording, SessionInfo, ThreadInfo,
    ThreadSerial,
};
use umbel_tracer::view::live::LiveView;
use umbel_tracer::view::replay::replay;
use umbel_tracer::view::select::{Selection, pattern};
use umbel_tracer::view::story::Story;
use umbel_tracer::view::text::{TextOptions, Times};

use common::{Folder, function, of_everything, record};

fn replayed(name: &str, selection: &Selection, options: TextOptions) -> String {
    let folder = Folder::new(name);
    let path = folder.0.join("r.trace");
    record(&path, &of_everything());
    let recording = Recording::open(&path).expect("just written");
    let mut out = Vec::new();
    replay(&Story::new(&recording), selection, options, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn leaves_take_one_line_and_cut_frames_say_why() {
    let selection = Selection {
        threads: vec!["#1".into()],
        ..Selection::default()
    };
    let expected = r#"main() {
  ns::Box::put() {
    leaf();  10 ns
  }  300 ns  /* ns::Box::put */
  work() {
    a "b"; <c>();  100 ns  /* left by longjmp */
  }  200 ns  /* work, left by longjmp */
  work() {
    thrower();  200 ns  /* left without return */
  }  300 ns  /* work */
  write fault at 0x7000 {
    -> node 3: kind 7, 4096 bytes
  }  100 ns  /* fault */
  /* phase "2" */
  ... 12 events lost ...
  /* demo+0x1060 returns, its call was not recorded */
  work();  1 ns  /* still open */
}  2.0 us  /* main, still open */
"#;
    assert_eq!(
        replayed("replay", &selection, TextOptions::default()),
        expected
    );
}

#[test]
fn what_is_not_selected_is_left_out() {
    let functions = vec![pattern("ns::*").expect("a pattern")];
    let selection = Selection {
        functions,
        ..Selection::default()
    };
    let expected = "ns::Box::put() {\n  leaf();  10 ns\n}  300 ns  /* ns::Box::put */\n";
    assert!(
        replayed("function", &selection, TextOptions::default()).contains("ns::Box::put() {\n")
    );
    let selection = Selection {
        threads: vec!["demo".into()],
        ..selection
    };
    assert_eq!(
        replayed("function-1", &selection, TextOptions::default()),
        expected
    );
    let selection = Selection {
        depth_max: Some(1),
        threads: vec!["40".into()],
        ..Selection::default()
    };
    let shallow = replayed("depth", &selection, TextOptions::default());
    assert_eq!(shallow.lines().count(), 5, "{shallow}");
    assert!(shallow.contains("main() {\n  /* phase"), "{shallow}");
    let selection = Selection {
        from_ns: 1_150,
        to_ns: Some(1_400),
        threads: vec!["#1".into()],
        ..Selection::default()
    };
    let expected = "main() {  /* began earlier */\n  ns::Box::put() {  /* began earlier */\n    leaf();  10 ns\n";
    assert_eq!(
        replayed("time", &selection, TextOptions::default()),
        expected
    );
}

#[test]
fn columns_say_when_and_which_thread_and_where() {
    let options = TextOptions {
        places: true,
        times: Times::Since(1_000),
        ..TextOptions::default()
    };
    let text = replayed("columns", &Selection::default(), options);
    let first = text.lines().next().expect("not empty");
    assert_eq!(
        first,
        "     0.000000000             demo 40      | main() {  /* demo.cc:1 */"
    );
    assert!(
        text.contains("     0.000001050         worker 1 41      | work() {  /* demo.cc:11 */\n"),
        "{text}"
    );
    let options = TextOptions {
        color: true,
        ..TextOptions::default()
    };
    let colored = replayed("colors", &Selection::default(), options);
    assert!(
        colored.contains("\x1b[32mleaf\x1b[0m();  \x1b[33m10 ns\x1b[0m\n"),
        "{colored}"
    );
}

/// A terminal: the test sees what comes, and may hold it up.
struct Terminal {
    text: Arc<Mutex<Vec<u8>>>,
    began: Sender<()>,
    go_on: Option<Receiver<()>>,
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let held_up = self.go_on.take();
        if let Some(go_on) = &held_up {
            let _ = self.began.send(());
            go_on.recv().expect("the test says when");
        }
        self.text
            .lock()
            .expect("nobody panics")
            .extend_from_slice(bytes);
        // Only now: who is told looks at the text.
        if held_up.is_none() {
            let _ = self.began.send(());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Session {
    view: LiveView,
    text: Arc<Mutex<Vec<u8>>>,
    began: Receiver<()>,
    go_on: Sender<()>,
}

const PROCESS: ProcessSerial = ProcessSerial(1);
const THREAD: ThreadSerial = ThreadSerial(1);

fn session(is_held_up: bool) -> Session {
    let text = Arc::new(Mutex::new(Vec::new()));
    let (began_sender, began) = channel();
    let (go_on, waits) = channel();
    let terminal = Terminal {
        text: Arc::clone(&text),
        began: began_sender,
        go_on: is_held_up.then_some(waits),
    };
    let info = SessionInfo {
        clock: ClockKind::Monotonic,
        ..SessionInfo::default()
    };
    let view = LiveView::start(info, TextOptions::default(), Box::new(terminal)).expect("a thread");
    let executable = "/nowhere/demo".to_string();
    view.process(&ProcessInfo {
        serial: PROCESS,
        pid: 40,
        executable: executable.clone(),
        ..ProcessInfo::default()
    });
    view.module(&ModuleInfo {
        process: PROCESS,
        bias: common::BIAS,
        begin: common::BIAS,
        end: common::BIAS + 0x9000,
        path: executable,
        ..ModuleInfo::default()
    });
    view.thread(&ThreadInfo {
        serial: THREAD,
        process: PROCESS,
        tid: 40,
        ..ThreadInfo::default()
    });
    Session {
        view,
        text,
        began,
        go_on,
    }
}

fn time(ticks: u64) -> [u64; 2] {
    [
        Word::Special {
            code: Code::Time as u16,
            payload_words: 1,
        }
        .pack(),
        ticks,
    ]
}

fn call(time: u16, index: usize) -> u64 {
    Word::Call {
        function: function(index),
        time,
    }
    .pack()
}

fn ret(time: u16, index: usize) -> u64 {
    Word::Return {
        function: function(index),
        time,
    }
    .pack()
}

impl Session {
    fn words(&self, words: &[u64]) {
        self.view
            .words(THREAD, PROCESS, 0..words.len() as u64, words);
    }

    fn text(&self) -> String {
        String::from_utf8(self.text.lock().expect("nobody panics").clone()).expect("text")
    }
}

#[test]
fn a_running_function_is_shown_before_it_returns() {
    let session = session(false);
    session.words(&[&time(0x10000)[..], &[call(1, 0), call(2, 1)]].concat());
    session.began.recv().expect("main is shown");
    // It is the leaf so far: only when nothing more comes is it known to go on.
    while !session.text().contains("demo+0x1010() {\n") {
        session.began.recv().expect("the held back call is shown");
    }
    session.words(&[ret(9, 1)]);
    session.view.ended(PROCESS, 0, Ended::Signal(9));
    session.view.finish(0x10000 + 20);
    let shown = session.view.shown();
    assert_eq!((shown.skipped, shown.lost), (0, 0));
    let text = session.text();
    assert!(text.contains("  }  7 ns  /* demo+0x1010 */\n"), "{text}");
    assert!(
        text.contains("/* process 40 was killed by SIGKILL */\n"),
        "{text}"
    );
    assert!(
        text.ends_with("}  19 ns  /* demo+0x1000, still open */\n"),
        "{text}"
    );
    assert!(
        shown.warnings[0].contains("/nowhere/demo"),
        "{:?}",
        shown.warnings
    );
}

#[test]
fn a_slow_terminal_loses_lines_and_says_how_many() {
    let session = session(true);
    session.words(&[&time(0)[..], &[call(1, 0)]].concat());
    session
        .began
        .recv()
        .expect("the first line is being written");
    // The printing thread is held up: the queue fills, and the rest is counted.
    let calls: Vec<u64> = (0..4096).flat_map(|_| [call(2, 1), ret(2, 1)]).collect();
    let rounds = 300;
    for _ in 0..rounds {
        session.words(&calls);
    }
    session.go_on.send(()).expect("it waits");
    // As soon as there's room again, the view goes on, and says what it left out.
    let mut more = 0;
    while !session.text().contains("calls are not shown") {
        session.words(&[call(3, 2), ret(3, 2)]);
        more += 1;
        session.began.recv().expect("it goes on");
    }
    session.words(&[ret(4, 0)]);
    session.view.finish(5);
    let shown = session.view.shown();
    let text = session.text();
    let is_leaf = |line: &&str| line.contains("demo+0x1010();") || line.contains("demo+0x1020();");
    let leaves = text.lines().filter(is_leaf).count() as u64;
    assert!(shown.skipped > 0);
    assert_eq!(leaves + shown.skipped, rounds * 4096 + more);
    assert!(
        text.ends_with("}  3 ns  /* demo+0x1000 */\n"),
        "{}",
        &text[text.len() - 500..]
    );
}

#[test]
fn whoever_left_the_end_out_does_not_say_what_is_open() {
    let session = session(true);
    session.words(&[&time(0)[..], &[call(1, 0)]].concat());
    session
        .began
        .recv()
        .expect("the first line is being written");
    let calls: Vec<u64> = (0..4096).flat_map(|_| [call(2, 1), ret(2, 1)]).collect();
    let rounds = 200;
    for _ in 0..rounds {
        session.words(&calls);
    }
    session.words(&[&calls[..], &[ret(4, 0)]].concat());
    session.go_on.send(()).expect("it waits");
    session.view.finish(5);
    let (shown, text) = (session.view.shown(), session.text());
    let leaves = text
        .lines()
        .filter(|line| line.contains("demo+0x1010();"))
        .count() as u64;
    assert_eq!(leaves + shown.skipped, (rounds + 1) * 4096);
    let end = &text[text.len() - 200..];
    assert!(
        end.ends_with("calls are not shown: the output is slower than the program ...\n"),
        "{end}"
    );
    assert!(!text.contains("still open"), "{end}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let view = LiveView::start(
        SessionInfo::default(),
        TextOptions::default(),
        Box::new(Closed),
    )
    .expect("a thread");
    view.words(THREAD, PROCESS, 0..3, &[time(0)[0], 0, call(1, 0)]);
    view.finish(1);
    assert!(view.shown().error.is_none());
}
