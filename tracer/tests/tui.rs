//! The terminal view, on a terminal that is a table of characters.

mod common;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use umbel_tracer::recording::Recording;
use umbel_tracer::view::story::Story;
use umbel_tracer::view::tui::{App, Model};

use common::{Folder, of_everything, record};

struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    fn new(name: &str, width: u16, height: u16) -> Self {
        let folder = Folder::new(name);
        let path = folder.0.join("r.trace");
        record(&path, &of_everything());
        let recording = Recording::open(&path).expect("just written");
        let app = App::new(Model::read(&Story::new(&recording)));
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a table");
        Self { app, terminal }
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            let code = match key {
                '↓' => KeyCode::Down,
                '↑' => KeyCode::Up,
                '→' => KeyCode::Right,
                '←' => KeyCode::Left,
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                other => KeyCode::Char(other),
            };
            self.app.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        self
    }

    fn lines(&mut self) -> Vec<String> {
        self.terminal
            .draw(|frame| self.app.draw(frame))
            .expect("a table takes everything");
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells
            .chunks(width)
            .map(|line| line.concat().trim_end().to_owned())
            .collect()
    }
}

#[test]
fn the_tree_unfolds_to_what_took_longest() {
    let mut screen = Screen::new("tui-tree", 80, 12);
    let lines = screen.press("↓→↓→").lines();
    assert!(
        lines[0].contains("1 call tree") && lines[0].contains("./demo <fast>"),
        "{lines:?}"
    );
    assert!(lines[0].contains("12 events lost"), "{lines:?}");
    assert!(lines[2].starts_with("▾ thread demo 40"), "{lines:#?}");
    assert!(lines[3].starts_with("  ▾ main"), "{lines:#?}");
    assert!(lines[4].starts_with("    ▾ work"), "{lines:#?}");
    assert!(
        lines[4].contains("501 ns") && lines[4].ends_with('3'),
        "{lines:#?}"
    );
    assert!(lines[5].starts_with("        thrower"), "{lines:#?}");
    let lines = screen.press("←").lines();
    assert!(lines[4].starts_with("    ▸ work"), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("thread worker 1 41")),
        "{lines:#?}"
    );
}

#[test]
fn functions_are_sorted_and_found() {
    let mut screen = Screen::new("tui-functions", 80, 12);
    let lines = screen.press("2").lines();
    assert!(lines[1].contains("self▾"), "{lines:#?}");
    // The two threads' calls of `work` are one line; main's own time is the largest of the first thread.
    assert!(
        lines[2].ends_with("main") || lines[2].ends_with("work"),
        "{lines:#?}"
    );
    let lines = screen.press("sss").lines();
    assert!(lines[1].contains("function▾"), "{lines:#?}");
    let names: Vec<&str> = lines[2..lines.len() - 1]
        .iter()
        .filter_map(|line| line.get(52..))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    screen.press("/LEAF\n");
    let buffer_line = chosen_line(&mut screen);
    assert!(buffer_line.contains("leaf"), "{buffer_line}");
}

/// The line that is drawn reversed.
fn chosen_line(screen: &mut Screen) -> String {
    let lines = screen.lines();
    let buffer = screen.terminal.backend().buffer();
    let reversed = (1..buffer.area.height).find(|y| {
        let style = buffer[(0, *y)].style();
        style
            .add_modifier
            .contains(ratatui::style::Modifier::REVERSED)
    });
    lines[usize::from(reversed.expect("a line is chosen"))].clone()
}

#[test]
fn the_time_line_zooms_and_shows_each_thread() {
    let mut screen = Screen::new("tui-time", 100, 12);
    let lines = screen.press("3").lines();
    assert!(
        lines[1].contains("thread demo 40   0 ns to 2.0 us"),
        "{lines:#?}"
    );
    assert!(lines[3].starts_with("main"), "{lines:#?}");
    assert!(lines[4].contains("ns::Box::put"), "{lines:#?}");
    let zoomed = screen.press("++").lines();
    assert!(zoomed[1].contains("750 ns to 1.2 us"), "{zoomed:#?}");
    let back = screen.press("--").lines();
    assert_eq!(back[1], lines[1]);
    let other = screen.press("t").lines();
    assert!(other[1].contains("thread worker 1 41"), "{other:#?}");
    let moved = screen.press("0++→→←").lines();
    assert!(moved[1].contains("to 1.4 us"), "{moved:#?}");
}

#[test]
fn no_size_and_no_key_breaks_it() {
    for (width, height) in [(1, 1), (3, 2), (10, 3), (250, 60)] {
        let mut screen = Screen::new("tui-sizes", width, height);
        for keys in [
            "1↓↓e→←↑",
            "2s↓G",
            "3+++++++++++++++++++++→→→-----t",
            "/x",
            "\n",
            "n",
            "\t↑↑↑↑↑",
        ] {
            screen.press(keys).lines();
        }
        assert!(!screen.app.is_done());
        screen.press("q");
        assert!(screen.app.is_done());
    }
}

#[test]
fn control_c_leaves_also_while_typing() {
    let mut screen = Screen::new("tui-leave", 40, 8);
    screen.press("/abc");
    screen
        .app
        .key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(screen.app.is_done());
}
