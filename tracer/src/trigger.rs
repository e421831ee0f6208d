//! Triggers: what the tracer does when something happens in the program, in the user's words.
//!
//! `when CONDITION then ACTION, ACTION ...`, with `NAME:` in front if it is to have a name.
//!
//! | in a condition | is true |
//! |---|---|
//! | `f` | when `f` is called; also a pattern (`parse_*`) or a regular expression (`/^lex_/`); in quotes if the name has blanks |
//! | `f returns` | when it returns |
//! | `f.n > 1000` | when it is called with such an argument; also `f.p->next == null`, `f.a[2] < f.b`, `f.*p != 0`, `f.bits.color == Color::RED` |
//! | `f.path == "x.db"` | texts: char pointers and arrays, std::string, std::string_view; with wildcards (`"*.db"`) or as a regular expression (`/\.db$/i`) |
//! | `f returns < 0` | when it returns such a value |
//! | `depth < 5` | when so many traced functions are open in the thread, this one counted |
//! | `duration > 10 ms` | when the call that returns took so long |
//! | `count == 3` | when all the rest has been true so often, this time counted |
//! | `thread == "worker*"`, `thread != 4711` | in such threads |
//!
//! A text that can't be read, or isn't decided by its first 4096 bytes, is neither equal nor different: a null pointer is found by `== null`.
//!
//! They are joined by `and`, `or`, `not` and brackets; all that is joined by `and` must speak of one function.
//!
//! | action | does |
//! |---|---|
//! | `snapshot` | stacks of all threads, with their variables, into a file beside the recording; the thread waits for it |
//! | `core` | a core file beside the recording; the thread waits for it |
//! | `enable g*`, `disable g*` | as `filter add` and `filter add !...` |
//! | `start recording`, `stop recording` | as `on`, `off` |
//! | `mark "text"` | puts a text among the calls |
//! | `stop` | the thread waits until `umbel trace ctl continue`; others go on |
//!
//! Behind each, `after 10 s` defers it.
//!
//! What is asked of variables is judged in the program, as a part of the function's capture plan, so a call for which it is
//! false costs a few instructions; the rest is judged by the recorder.

use std::fmt;
use std::time::Duration;

use umbel_values::{Comparison, Operator};

use crate::filter::{NamePattern, Names, ThreadPattern};

mod parse;
mod text;
mod watch;

pub use parse::{ParseError, TEXT_BYTES_MAX};
pub use watch::{
    Active, CaseId, Counts, Fired, Setting, ThreadName, Watch, Watched, WatchedFunctions,
    WatchedModule, mark,
};

/// A trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Its name, if it has one.
    pub name: Option<Box<str>>,
    /// As it was written, without the name.
    pub text: Box<str>,
    /// It fires when any of these is true.
    pub cases: Vec<Case>,
    /// What is done then.
    pub actions: Vec<Deferred>,
}

/// One way in which a trigger fires: all of it is true of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Of which functions.
    pub function: FunctionPattern,
    /// At their call or return.
    pub at: At,
    /// What their variables must be: judged in the program.
    pub values: Vec<Comparison>,
    /// The rest: judged by the recorder.
    pub limits: Vec<Limit>,
}

/// At which event of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Its call.
    Call,
    /// Its return.
    Return,
}

/// What is judged by the recorder.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// How many traced functions are open.
    Depth(Operator, u64),
    /// How long the call took, in nanoseconds.
    Duration(Operator, u64),
    /// How often the rest has been true.
    Count(Operator, u64),
    /// In which thread; `false`: in which not.
    Thread(ThreadPattern, bool),
}

/// An action and how long after the event it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferred {
    /// What.
    pub action: Action,
    /// How much later.
    pub after: Duration,
}

/// What a trigger does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stacks of all threads, with their variables, into a file.
    Snapshot,
    /// A core file.
    Core,
    /// Rules for the filter.
    Filter(Box<str>),
    /// Trace.
    Start,
    /// Trace nothing.
    Stop,
    /// A text among the calls.
    Mark(Box<str>),
    /// The thread waits for its user.
    Hold,
}

/// Functions by name.
#[derive(Clone, Debug)]
pub struct FunctionPattern {
    text: Box<str>,
    pattern: NamePattern,
}

/// Two are equal if they were written alike.
impl PartialEq for FunctionPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FunctionPattern {
    /// Whether a function with this name is meant.
    pub fn matches(&self, names: &Names) -> bool {
        self.pattern.matches(names)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Trigger {
    /// The trigger that `text` is.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::trigger(text)
    }

    /// Whether the thread waits for what is done, so that the program stands where it was when the trigger fired.
    pub fn holds(&self) -> bool {
        let at_once = self
            .actions
            .iter()
            .filter(|deferred| deferred.after.is_zero());
        at_once.into_iter().any(|deferred| {
            matches!(
                deferred.action,
                Action::Snapshot | Action::Core | Action::Hold
            )
        })
    }
}

impl Trigger {
    /// Whether any case must be judged in the program.
    pub fn is_judged_inside(&self) -> bool {
        self.cases
            .iter()
            .any(|case| case.is_judged_inside(self.holds()))
    }
}

impl Case {
    /// Whether it must be judged in the program: it asks for values, or the thread is to wait (`holds`).
    pub fn is_judged_inside(&self, holds: bool) -> bool {
        holds || !self.values.is_empty()
    }

    /// Whether the recorder finds true what it judges.
    pub fn is_true(&self, event: &Facts) -> bool {
        self.limits.iter().all(|limit| limit.is_true(event))
    }

    /// The same; `times` is how often all but the limits of it has been true before, and counts on.
    pub fn is_true_so_often(&self, event: &mut Facts, times: &mut u64) -> bool {
        let (counts, others): (Vec<_>, Vec<_>) = self
            .limits
            .iter()
            .partition(|limit| matches!(limit, Limit::Count(..)));
        if !others.iter().all(|limit| limit.is_true(event)) {
            return false;
        }
        *times += 1;
        event.count = *times;
        counts.iter().all(|limit| limit.is_true(event))
    }
}

/// What the recorder knows of an event.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Open functions of the thread, this one counted.
    pub depth: u64,
    /// How long the call took, if it returns and that is known.
    pub duration_ns: Option<u64>,
    /// How often the rest of the case has been true, this time counted.
    pub count: u64,
    /// The thread.
    pub tid: u32,
    /// Its name.
    pub thread: &'a str,
}

impl Limit {
    /// Whether it is true of an event.
    pub fn is_true(&self, event: &Facts) -> bool {
        match self {
            Self::Depth(operator, number) => holds(*operator, event.depth, *number),
            Self::Duration(operator, number) => event
                .duration_ns
                .is_some_and(|duration| holds(*operator, duration, *number)),
            Self::Count(operator, number) => holds(*operator, event.count, *number),
            Self::Thread(pattern, is) => pattern.matches(event.tid, event.thread) == *is,
        }
    }
}

fn holds(operator: Operator, left: u64, right: u64) -> bool {
    match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterOrEqual => left >= right,
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(to, "{name}: ")?;
        }
        to.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
