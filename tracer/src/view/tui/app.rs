//! What the user sees and what keys do.

use std::collections::BTreeSet;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::calls::ROOT;
use super::super::names::NameId;
use super::model::Model;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Threads, and the calls in them by their stacks.
    Tree,
    /// The functions.
    Functions,
    /// One thread over time.
    Time,
}

/// The state.
pub struct App {
    pub(super) model: Model,
    pub(super) tab: Tab,
    is_done: bool,
    /// Open nodes of the tree: thread and node.
    pub(super) unfolded: BTreeSet<(usize, u32)>,
    /// Lines of the tree.
    pub(super) lines: Vec<TreeLine>,
    pub(super) tree_at: usize,
    /// Functions in the order shown.
    pub(super) functions: Vec<NameId>,
    pub(super) functions_at: usize,
    pub(super) sort: Sort,
    /// The thread in the time line.
    pub(super) thread: usize,
    /// Times shown in it.
    pub(super) window_ns: (u64, u64),
    /// Its first depth.
    pub(super) depth: u32,
    /// What is searched for; `None`: nothing is being typed.
    pub(super) typing: Option<String>,
    pub(super) searched: String,
}

/// A line of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreeLine {
    pub(super) thread: usize,
    pub(super) node: u32,
    pub(super) depth: u32,
}

/// Order of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    SelfTime,
    Total,
    Calls,
    Name,
}

/// Lines that page keys move.
const PAGE: usize = 20;

/// The narrowest time line, in nanoseconds.
const WINDOW_NS_MIN: u64 = 100;

impl App {
    /// Shows the tree first, threads unfolded.
    pub fn new(model: Model) -> Self {
        let unfolded = (0..model.threads.len())
            .map(|thread| (thread, ROOT))
            .collect();
        let window_ns = model.span_ns;
        let mut app = Self {
            model,
            tab: Tab::Tree,
            is_done: false,
            unfolded,
            lines: Vec::new(),
            tree_at: 0,
            functions: Vec::new(),
            functions_at: 0,
            sort: Sort::SelfTime,
            thread: 0,
            window_ns,
            depth: 0,
            typing: None,
            searched: String::new(),
        };
        app.make_lines();
        app.sort_functions();
        app
    }

    /// The user wants to leave.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && key.code == KeyCode::Char('c') {
            self.is_done = true;
            return;
        }
        if let Some(text) = &mut self.typing {
            match key.code {
                KeyCode::Enter => {
                    self.searched = self.typing.take().unwrap_or_default();
                    self.search();
                }
                KeyCode::Esc => self.typing = None,
                KeyCode::Backspace => {
                    text.pop();
                }
                KeyCode::Char(character) => text.push(character),
                _ => {}
            }
            return;
        }
        match key.code {
            KeyCode::Char('q') => self.is_done = true,
            KeyCode::Char('1') => self.tab = Tab::Tree,
            KeyCode::Char('2') => self.tab = Tab::Functions,
            KeyCode::Char('3') => self.tab = Tab::Time,
            KeyCode::Tab => {
                self.tab = match self.tab {
                    Tab::Tree => Tab::Functions,
                    Tab::Functions => Tab::Time,
                    Tab::Time => Tab::Tree,
                }
            }
            KeyCode::Char('/') => self.typing = Some(String::new()),
            KeyCode::Char('n') => self.search(),
            code => match self.tab {
                Tab::Tree => self.tree_key(code),
                Tab::Functions => self.functions_key(code),
                Tab::Time => self.time_key(code),
            },
        }
    }

    fn tree_key(&mut self, code: KeyCode) {
        let Some(line) = self.lines.get(self.tree_at).copied() else {
            return;
        };
        let id = (line.thread, line.node);
        match code {
            KeyCode::Right | KeyCode::Char('l') => _ = self.unfolded.insert(id),
            KeyCode::Left | KeyCode::Char('h') => {
                if !self.unfolded.remove(&id) {
                    self.tree_at = self.parent_line(line);
                }
            }
            KeyCode::Enter | KeyCode::Char(' ') => {
                if !self.unfolded.remove(&id) {
                    self.unfolded.insert(id);
                }
            }
            KeyCode::Char('e') => self.unfold_hottest(line),
            code => {
                self.tree_at = moved(self.tree_at, self.lines.len(), code);
                return;
            }
        }
        self.make_lines();
    }

    fn functions_key(&mut self, code: KeyCode) {
        if code == KeyCode::Char('s') {
            self.sort = match self.sort {
                Sort::SelfTime => Sort::Total,
                Sort::Total => Sort::Calls,
                Sort::Calls => Sort::Name,
                Sort::Name => Sort::SelfTime,
            };
            self.sort_functions();
            return;
        }
        self.functions_at = moved(self.functions_at, self.functions.len(), code);
    }

    fn time_key(&mut self, code: KeyCode) {
        let (begin, end) = self.window_ns;
        let width = end - begin;
        let (first, last) = self.model.span_ns;
        let step = (width / 4).max(1);
        match code {
            KeyCode::Char('+' | '=') | KeyCode::Char('k') => {
                let width = (width / 2).max(WINDOW_NS_MIN.min(width));
                let middle = begin + (end - begin) / 2;
                self.window_ns = (middle - width / 2, middle - width / 2 + width);
            }
            KeyCode::Char('-') | KeyCode::Char('j') => {
                self.window_ns = (
                    begin.saturating_sub(width / 2).max(first),
                    (end + width / 2).min(last),
                );
            }
            KeyCode::Left | KeyCode::Char('h') => {
                let step = step.min(begin - first);
                self.window_ns = (begin - step, end - step);
            }
            KeyCode::Right | KeyCode::Char('l') => {
                let step = step.min(last.saturating_sub(end));
                self.window_ns = (begin + step, end + step);
            }
            KeyCode::Char('0') => self.window_ns = self.model.span_ns,
            KeyCode::Down => self.depth += 1,
            KeyCode::Up => self.depth = self.depth.saturating_sub(1),
            KeyCode::Char('t') => {
                self.thread = (self.thread + 1) % self.model.threads.len().max(1);
                self.depth = 0;
            }
            _ => {}
        }
    }

    /// From this line down, always into what took longest.
    fn unfold_hottest(&mut self, line: TreeLine) {
        let mut node = line.node;
        loop {
            self.unfolded.insert((line.thread, node));
            match self.model.threads[line.thread].children[node as usize].first() {
                Some(child) => node = *child,
                None => return,
            }
        }
    }

    fn parent_line(&self, line: TreeLine) -> usize {
        let before = self.lines[..self.tree_at].iter();
        before
            .rev()
            .position(|other| other.depth < line.depth)
            .map_or(self.tree_at, |back| self.tree_at - 1 - back)
    }

    fn make_lines(&mut self) {
        self.lines.clear();
        for (thread, data) in self.model.threads.iter().enumerate() {
            // No recursion: a program's stack may be deeper than ours.
            let mut left = vec![TreeLine {
                thread,
                node: ROOT,
                depth: 0,
            }];
            while let Some(line) = left.pop() {
                self.lines.push(line);
                if self.unfolded.contains(&(thread, line.node)) {
                    let children = data.children[line.node as usize].iter().rev();
                    left.extend(children.map(|node| TreeLine {
                        thread,
                        node: *node,
                        depth: line.depth + 1,
                    }));
                }
            }
        }
        self.tree_at = self.tree_at.min(self.lines.len().saturating_sub(1));
    }

    fn sort_functions(&mut self) {
        let model = &self.model;
        let sum = |name: &NameId| model.functions[name.0 as usize];
        let mut functions: Vec<NameId> = (0..model.functions.len() as u32).map(NameId).collect();
        functions.sort_by(|one, other| {
            let (a, b) = (sum(one), sum(other));
            let names = || {
                model
                    .names
                    .get(*one)
                    .shown
                    .cmp(&model.names.get(*other).shown)
            };
            let order = match self.sort {
                Sort::SelfTime => b.self_ns.cmp(&a.self_ns),
                Sort::Total => b.total_ns.cmp(&a.total_ns),
                Sort::Calls => b.calls.cmp(&a.calls),
                Sort::Name => names(),
            };
            order.then_with(names)
        });
        self.functions = functions;
    }

    /// Goes to the next line that has what was searched for.
    fn search(&mut self) {
        if self.searched.is_empty() {
            return;
        }
        let wanted = self.searched.to_lowercase();
        let has = |name: NameId| {
            self.model
                .names
                .get(name)
                .shown
                .to_lowercase()
                .contains(&wanted)
        };
        match self.tab {
            Tab::Functions => {
                let found = next(self.functions_at, self.functions.len(), |at| {
                    has(self.functions[at])
                });
                self.functions_at = found.unwrap_or(self.functions_at);
            }
            Tab::Tree | Tab::Time => {
                let is_it = |at: usize| {
                    let TreeLine { thread, node, .. } = self.lines[at];
                    node != ROOT && has(self.model.threads[thread].tree.nodes()[node as usize].name)
                };
                self.tree_at = next(self.tree_at, self.lines.len(), is_it).unwrap_or(self.tree_at);
            }
        }
    }
}

/// The next of `count` behind `at` that is wanted, from the beginning again after the last.
fn next(at: usize, count: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    (1..=count)
        .map(|step| (at + step) % count)
        .find(|index| is_it(*index))
}

fn moved(at: usize, count: usize, code: KeyCode) -> usize {
    let last = count.saturating_sub(1);
    match code {
        KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => (at + PAGE).min(last),
        KeyCode::PageUp => at.saturating_sub(PAGE),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => at,
    }
}
