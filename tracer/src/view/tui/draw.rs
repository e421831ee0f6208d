//! Draws the state.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::super::calls::ROOT;
use super::super::names::NameId;
use super::super::units::duration;
use super::app::{App, Sort, Tab, TreeLine};

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Colours of frames in the time line: readable with black letters.
const COLORS: [Color; 6] = [
    Color::Green,
    Color::Yellow,
    Color::Cyan,
    Color::Magenta,
    Color::LightBlue,
    Color::LightRed,
];

impl App {
    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame) {
        let [head, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        match self.tab {
            Tab::Tree => self.tree(frame, body),
            Tab::Functions => self.functions(frame, body),
            Tab::Time => self.time(frame, body),
        }
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> Paragraph<'_> {
        let tab = |tab: Tab, text: &'static str| {
            let style = if self.tab == tab {
                CHOSEN
            } else {
                Style::new()
            };
            Span::styled(text, style)
        };
        let mut spans = vec![
            tab(Tab::Tree, " 1 call tree "),
            tab(Tab::Functions, " 2 functions "),
            tab(Tab::Time, " 3 time line "),
            Span::raw("  "),
            Span::styled(
                tame(&self.model.title),
                Style::new().add_modifier(Modifier::BOLD),
            ),
        ];
        if self.model.lost > 0 {
            let text = format!("  {}", crate::export::lost_text(self.model.lost));
            spans.push(Span::styled(text, Style::new().fg(Color::Red)));
        }
        Paragraph::new(Line::from(spans))
    }

    fn foot(&self) -> Paragraph<'_> {
        if let Some(text) = &self.typing {
            return Paragraph::new(format!("search: {text}_   (enter: find, esc: leave)"));
        }
        let keys = match self.tab {
            Tab::Tree => {
                "↑↓ move  →← unfold, fold  e longest path  / search  n next  tab view  q quit"
            }
            Tab::Functions => "↑↓ move  s sort  / search  n next  tab view  q quit",
            Tab::Time => "+- zoom  ←→ move  ↑↓ depth  0 all  t thread  tab view  q quit",
        };
        Paragraph::new(Span::styled(keys, DIM))
    }

    fn tree(&self, frame: &mut Frame, area: Rect) {
        let height = area.height.saturating_sub(1) as usize;
        let first = first_shown(self.tree_at, self.lines.len(), height);
        let rows = self
            .lines
            .iter()
            .enumerate()
            .skip(first)
            .take(height)
            .map(|(at, line)| {
                let style = if at == self.tree_at {
                    CHOSEN
                } else {
                    Style::new()
                };
                self.tree_row(line).style(style)
            });
        let widths = [
            Constraint::Min(20),
            Constraint::Length(10),
            Constraint::Length(6),
            Constraint::Length(10),
            Constraint::Length(12),
        ];
        let head = Row::new(["call", "total", "", "self", "calls"]).style(DIM);
        frame.render_widget(Table::new(rows, widths).header(head), area);
    }

    fn tree_row(&self, line: &TreeLine) -> Row<'_> {
        let thread = &self.model.threads[line.thread];
        let node = &thread.tree.nodes()[line.node as usize];
        let is_leaf = thread.children[line.node as usize].is_empty();
        let sign = match (is_leaf, self.unfolded.contains(&(line.thread, line.node))) {
            (true, _) => "  ",
            (false, true) => "▾ ",
            (false, false) => "▸ ",
        };
        let whole = thread.total_ns();
        let (name, total_ns) = match line.node {
            ROOT => {
                let lane = &thread.lane;
                let node = lane
                    .rank
                    .map_or(String::new(), |rank| format!("node {rank} "));
                (
                    format!("{node}thread {} {}", tame(&lane.name), lane.tid),
                    whole,
                )
            }
            _ => (tame(&self.model.names.get(node.name).shown), node.total_ns),
        };
        let share = format!("{:>4.1}%", 100.0 * total_ns as f64 / whole.max(1) as f64);
        // Deep lines stay readable: what is left of them is the same in all lines around.
        let indent = " ".repeat((2 * line.depth as usize).min(60));
        let (own, calls) = match line.node {
            ROOT => (String::new(), String::new()),
            _ => (duration(node.self_ns), node.calls.to_string()),
        };
        Row::new([
            format!("{indent}{sign}{name}"),
            duration(total_ns),
            share,
            own,
            calls,
        ])
    }

    fn functions(&self, frame: &mut Frame, area: Rect) {
        let height = area.height.saturating_sub(1) as usize;
        let first = first_shown(self.functions_at, self.functions.len(), height);
        let rows = self.functions.iter().skip(first).take(height).map(|name| {
            let sum = &self.model.functions[name.0 as usize];
            let average_ns = sum.total_ns / sum.calls.max(1);
            Row::new([
                duration(sum.self_ns),
                duration(sum.total_ns),
                sum.calls.to_string(),
                duration(average_ns),
                duration(sum.longest_ns),
                tame(&self.model.names.get(*name).shown),
            ])
        });
        let marked = |sort: Sort, text: &str| {
            if self.sort == sort {
                format!("{text}▾")
            } else {
                text.to_owned()
            }
        };
        let head = Row::new([
            marked(Sort::SelfTime, "self"),
            marked(Sort::Total, "total"),
            marked(Sort::Calls, "calls"),
            "average".into(),
            "longest".into(),
            marked(Sort::Name, "function"),
        ]);
        let widths = [10, 10, 12, 10, 10]
            .map(Constraint::Length)
            .into_iter()
            .chain([Constraint::Min(20)]);
        let table = Table::new(rows, widths)
            .header(head.style(DIM))
            .row_highlight_style(CHOSEN);
        let mut state = TableState::new().with_selected(Some(self.functions_at - first));
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn time(&self, frame: &mut Frame, area: Rect) {
        let Some(thread) = self.model.threads.get(self.thread) else {
            frame.render_widget(Paragraph::new("The recording has no threads."), area);
            return;
        };
        let [head, body] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1)]).areas(area);
        let (begin, end) = self.window_ns;
        let start = self.model.span_ns.0;
        let mut text = format!(
            "thread {} {}   {} to {} ({})",
            tame(&thread.lane.name),
            thread.lane.tid,
            duration(begin - start),
            duration(end - start),
            duration(end - begin)
        );
        if self.model.shortest_ns > 0 {
            text += &format!(
                "   without frames below {}",
                duration(self.model.shortest_ns)
            );
        }
        if self.depth > 0 {
            text += &format!("   from depth {}", self.depth);
        }
        frame.render_widget(Paragraph::new(text), head);
        let columns = u64::from(body.width.max(1));
        let width = (end - begin).max(1);
        let column = |ns: u64| {
            let since =
                u128::from(ns.saturating_sub(begin)) * u128::from(columns) / u128::from(width);
            u16::try_from(since).unwrap_or(u16::MAX).min(body.width)
        };
        let buffer = frame.buffer_mut();
        for one in thread.frames.iter().take_while(|one| one.begin_ns < end) {
            let Some(row) = one
                .depth
                .checked_sub(self.depth)
                .filter(|row| *row < u32::from(body.height))
            else {
                continue;
            };
            if one.end_ns < begin {
                continue;
            }
            let (left, right) = (
                column(one.begin_ns),
                column(one.end_ns).max(column(one.begin_ns) + 1),
            );
            let right = right.min(body.width);
            let cells = usize::from(right.saturating_sub(left));
            let text = (one.text as usize).checked_sub(1);
            let text = text.and_then(|text| thread.texts.get(text));
            let values = text.map_or("", |text| text);
            let name = tame(&format!("{}{values}", self.model.names.get(one.name).shown));
            let shown: String = name
                .chars()
                .chain(std::iter::repeat(' '))
                .take(cells)
                .collect();
            let color = COLORS[color_of(one.name, COLORS.len())];
            let style = Style::new().bg(color).fg(Color::Black);
            buffer.set_stringn(body.x + left, body.y + row as u16, shown, cells, style);
        }
    }
}

/// The first line of a window of `height` lines in which `at` is, near its middle if possible.
fn first_shown(at: usize, count: usize, height: usize) -> usize {
    at.saturating_sub(height / 2)
        .min(count.saturating_sub(height))
}

/// Neighbours by number have different colours.
fn color_of(name: NameId, colors: usize) -> usize {
    name.0 as usize % colors
}

/// A program's text must not drive the terminal.
fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
