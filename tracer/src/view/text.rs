//! The call tree as text, line by line as it happens.
//!
//! ```text
//! main() {
//!   parse();  1.2 us
//!   work() {
//!     write fault at 0x7f00;  31 us
//!   }  3.4 ms  /* work */
//! ```
//!
//! A call is held back until it's known whether another lies in it: a leaf takes one line.

use std::collections::BTreeMap;

use super::names::{Category, NameId, Names};
use super::steps::{Step, StepKind, cut_text};
use super::story::Lane;
use super::units::{duration, time_of_day};
use super::values::{arguments_text, locals_text, value_text};
use crate::recording::Message;
use crate::symbols::Symbols;
use umbel_values::EventValues;
use umbel_wire::codec::message_name;
use umbel_wire::event::Why;

/// What a line has besides the tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// Colours, for terminals.
    pub color: bool,
    /// File and line of each call.
    pub places: bool,
    /// When, in front.
    pub times: Times,
    /// The column that says which thread.
    pub threads: bool,
}

/// The column of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// None.
    #[default]
    No,
    /// Since this time of CLOCK_MONOTONIC, in nanoseconds.
    Since(u64),
    /// Time of day, UTC: what must be added to CLOCK_MONOTONIC.
    OfDay(u64),
}

/// Makes lines of steps.
pub struct TreeText {
    options: TextOptions,
    /// By thread: the call that is held back.
    pending: BTreeMap<u64, Pending>,
    text: String,
}

struct Pending {
    lane: Lane,
    ns: u64,
    depth: u32,
    name: NameId,
    arguments: Option<[u64; 2]>,
    /// Its arguments' values.
    values: String,
    /// Lines about its callers' variables.
    callers: Vec<String>,
}

/// Deeper frames are shown at this indentation: a line must not grow without end.
const INDENT_MAX: u32 = 100;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const BLUE: &str = "\x1b[94m";

impl TreeText {
    /// Nothing held back yet.
    pub fn new(options: TextOptions) -> Self {
        Self {
            options,
            pending: BTreeMap::new(),
            text: String::new(),
        }
    }

    /// There is more than one thread: from now on lines say which.
    pub fn show_threads(&mut self) {
        self.options.threads = true;
    }

    /// The lines that are complete now.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Bytes of lines that are complete.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes a thread's next step, with the values that it brought along.
    pub fn step(
        &mut self,
        lane: &Lane,
        step: &Step,
        values: Option<&EventValues>,
        names: &Names,
        symbols: &Symbols,
    ) {
        if matches!(step.kind, StepKind::End { .. }) {
            return self.end(lane, step, values, names, symbols);
        }
        self.open(lane.serial.0, names, symbols);
        match &step.kind {
            StepKind::Begin {
                name,
                resumed: true,
                ..
            } => self.goes_on(lane, step, *name, names),
            StepKind::Begin {
                name, arguments, ..
            } => {
                let held = Pending {
                    lane: lane.clone(),
                    ns: step.ns,
                    depth: step.depth,
                    name: *name,
                    arguments: *arguments,
                    values: values
                        .map_or_else(String::new, |values| arguments_text(values.arguments())),
                    callers: values.map_or_else(Vec::new, callers_lines),
                };
                self.pending.insert(lane.serial.0, held);
            }
            StepKind::End { .. } => {}
            StepKind::Unseen { name, .. } => {
                let text = format!(
                    "{} returns, its call was not recorded",
                    names.get(*name).shown
                );
                self.remark(lane, step, RED, &format!("/* {text} */"));
            }
            StepKind::Mark(text) => {
                self.remark(lane, step, CYAN, &format!("/* {} */", one_line(text)))
            }
            StepKind::Message(message) => self.remark(lane, step, CYAN, &message_text(message)),
            StepKind::Lost { count, .. } => {
                let text = crate::export::lost_text(*count);
                self.remark(lane, step, RED, &format!("... {text} ..."));
            }
        }
    }

    fn end(
        &mut self,
        lane: &Lane,
        step: &Step,
        values: Option<&EventValues>,
        names: &Names,
        symbols: &Symbols,
    ) {
        let StepKind::End {
            name,
            begin_ns,
            cut,
            ..
        } = &step.kind
        else {
            return;
        };
        let took = duration(step.ns - begin_ns);
        let why = cut.map(cut_text);
        let result = values.and_then(|values| values.result.as_ref());
        let result = result.map_or_else(String::new, |result| format!(" = {}", value_text(result)));
        let own = values.map_or_else(String::new, own_line);
        let is_leaf = |call: &Pending| own.is_empty() && call.callers.is_empty();
        if self.pending.get(&lane.serial.0).is_some_and(is_leaf)
            && let Some(call) = self.pending.remove(&lane.serial.0)
        {
            self.begin_line(lane, call.ns, call.depth);
            self.call(names, call.name, call.arguments, &call.values);
            self.colored(BLUE, &result);
            self.text.push_str(";  ");
            self.colored(YELLOW, &took);
            if let Some(why) = why {
                self.comment(RED, why);
            }
            self.place(names, call.name, symbols);
            self.text.push('\n');
            return;
        }
        self.open(lane.serial.0, names, symbols);
        if !own.is_empty() {
            self.begin_line(lane, step.ns, step.depth + 1);
            self.colored(BLUE, &own);
            self.text.push('\n');
        }
        self.begin_line(lane, step.ns, step.depth);
        self.text.push('}');
        self.colored(BLUE, &result);
        self.text.push_str("  ");
        self.colored(YELLOW, &took);
        let shown = &names.get(*name).shown;
        match why {
            None => self.comment(DIM, shown),
            Some(why) => self.comment(RED, &format!("{shown}, {why}")),
        }
        self.text.push('\n');
    }

    /// Shows every call that is held back: it goes on, and somebody is looking.
    pub fn open_all(&mut self, names: &Names, symbols: &Symbols) {
        let threads: Vec<u64> = self.pending.keys().copied().collect();
        for thread in threads {
            self.open(thread, names, symbols);
        }
    }

    /// A line that belongs to no call.
    pub fn note(&mut self, text: &str) {
        self.colored(RED, text);
        self.text.push('\n');
    }

    /// A line of a thread that belongs to no step.
    pub fn thread_note(&mut self, lane: &Lane, ns: u64, depth: u32, text: &str) {
        self.begin_line(lane, ns, depth);
        self.colored(RED, text);
        self.text.push('\n');
    }

    /// A call that began before its thread left the stack.
    fn goes_on(&mut self, lane: &Lane, step: &Step, name: NameId, names: &Names) {
        self.begin_line(lane, step.ns, step.depth);
        self.call(names, name, None, "");
        self.text.push_str(" {");
        self.comment(DIM, "goes on");
        self.text.push('\n');
    }

    /// A call that began before what is shown.
    pub fn began_earlier(&mut self, lane: &Lane, ns: u64, depth: u32, name: NameId, names: &Names) {
        self.begin_line(lane, ns, depth);
        self.call(names, name, None, "");
        self.text.push_str(" {");
        self.comment(DIM, "began earlier");
        self.text.push('\n');
    }

    fn open(&mut self, thread: u64, names: &Names, symbols: &Symbols) {
        let Some(call) = self.pending.remove(&thread) else {
            return;
        };
        self.begin_line(&call.lane, call.ns, call.depth);
        self.call(names, call.name, call.arguments, &call.values);
        self.text.push_str(" {");
        self.place(names, call.name, symbols);
        self.text.push('\n');
        for line in &call.callers {
            self.begin_line(&call.lane, call.ns, call.depth + 1);
            self.colored(BLUE, line);
            self.text.push('\n');
        }
    }

    fn remark(&mut self, lane: &Lane, step: &Step, color: &str, text: &str) {
        self.begin_line(lane, step.ns, step.depth);
        self.colored(color, text);
        self.text.push('\n');
    }

    fn begin_line(&mut self, lane: &Lane, ns: u64, depth: u32) {
        let time = match self.options.times {
            Times::No => String::new(),
            Times::Since(start_ns) => {
                let ns = ns.saturating_sub(start_ns);
                format!("{:>6}.{:09}  ", ns / 1_000_000_000, ns % 1_000_000_000)
            }
            Times::OfDay(offset_ns) => format!("{}  ", time_of_day(ns.saturating_add(offset_ns))),
        };
        self.colored(DIM, &time);
        if self.options.threads {
            let name = if lane.name.is_empty() {
                &lane.program
            } else {
                &lane.name
            };
            let name = match lane.rank {
                Some(rank) => format!("{rank}:{name}"),
                None => name.clone(),
            };
            let thread = format!("{name:>15} {:<7} | ", lane.tid);
            self.colored(DIM, &thread);
        }
        self.text
            .extend(std::iter::repeat_n("  ", depth.min(INDENT_MAX) as usize));
        if depth > INDENT_MAX {
            self.colored(DIM, &format!("({depth} deep) "));
        }
    }

    fn call(&mut self, names: &Names, name: NameId, arguments: Option<[u64; 2]>, values: &str) {
        let name = names.get(name);
        let color = if name.category == Category::Function {
            GREEN
        } else {
            CYAN
        };
        let Some([first, second]) = arguments else {
            self.colored(color, &name.shown);
            self.text.push('(');
            self.colored(BLUE, values);
            self.text.push(')');
            return;
        };
        let text = match name.category {
            Category::Fault if second == 0 => format!("read fault at {first:#x}"),
            Category::Fault => format!("write fault at {first:#x}"),
            Category::Wait if first == 0 => format!("wait for {}", reason(second)),
            Category::Wait => format!("wait for {} {first:#x}", reason(second)),
            Category::Function | Category::Span => format!("{}({first:#x}, {second})", name.shown),
        };
        self.colored(color, &text);
    }

    fn place(&mut self, names: &Names, name: NameId, symbols: &Symbols) {
        if !self.options.places {
            return;
        }
        if let Some(place) = names.get(name).source(symbols) {
            self.comment(DIM, &format!("{}:{}", place.file, place.line));
        }
    }

    fn comment(&mut self, color: &str, text: &str) {
        self.text.push_str("  ");
        self.colored(color, &format!("/* {text} */"));
    }

    fn colored(&mut self, color: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        // What a program chose must not drive the terminal.
        let is_tame = !text
            .bytes()
            .any(|byte| byte < b' ' || byte == 0x7f || byte == 0xc2);
        let tamed: String;
        let text = match is_tame {
            true => text,
            false => {
                tamed = text.chars().map(tame).collect();
                &tamed
            }
        };
        match self.options.color {
            true => {
                self.text.push_str(color);
                self.text.push_str(text);
                self.text.push_str("\x1b[0m");
            }
            false => self.text.push_str(text),
        }
    }
}

/// A line for each caller of which anything is known.
fn callers_lines(values: &EventValues) -> Vec<String> {
    let line = |frame: &umbel_values::FrameValues| {
        let mut all = frame.locals.clone();
        all.extend_from_slice(&frame.arguments);
        format!("/* {}: {} */", frame.function, locals_text(&all))
    };
    values.callers().map(line).collect()
}

/// What a function leaves behind: its locals, and its arguments where they are told once more.
fn own_line(values: &EventValues) -> String {
    let mut all = values.locals().to_vec();
    all.extend_from_slice(values.arguments());
    match all.is_empty() {
        true => String::new(),
        false => format!("/* {} */", locals_text(&all)),
    }
}

/// What a thread waits for.
fn reason(why: u64) -> &'static str {
    let why = usize::try_from(why).ok().and_then(|why| Why::ALL.get(why));
    why.copied().map_or("something", Why::name)
}

/// A message in a few words.
pub fn message_text(message: &Message) -> String {
    let way = if message.received { "<-" } else { "->" };
    let Message {
        peer, kind, bytes, ..
    } = message;
    let name = u8::try_from(*kind).ok().and_then(message_name);
    let name = name.map_or_else(|| format!("kind {kind}"), str::to_owned);
    format!("{way} node {peer}: {name}, {bytes} bytes")
}

/// A control character, also of the second block (which begins with the byte 0xc2), as a question mark.
fn tame(character: char) -> char {
    if character.is_control() {
        '?'
    } else {
        character
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}
