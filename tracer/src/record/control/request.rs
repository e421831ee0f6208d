//! What is asked for over the control socket, a line each.

use umbel_trace_ring::plan::Until;

/// Bytes of a request: a filter's, and its verb.
pub const REQUEST_BYTES_MAX: usize = crate::filter::TEXT_BYTES_MAX + 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Trace.
    On,
    /// Trace nothing.
    Off,
    /// More rules.
    Add(String),
    /// One rule less.
    Remove(String),
    /// No rules.
    Clear,
    /// Which rules?
    List,
    /// One trigger more.
    SetTrigger(String),
    /// One less.
    RemoveTrigger(String),
    /// No triggers.
    ClearTriggers,
    /// Which triggers?
    ListTriggers,
    /// More rules of what is captured.
    AddArgs(String),
    /// One less.
    RemoveArgs(String),
    /// None of these.
    ClearArgs,
    /// Which?
    ListArgs,
    /// How is it?
    Status,
    /// Write down where all threads are, and what is in the chunks of a flight recorder.
    Snapshot(SnapshotWishes),
    /// Which threads are held?
    Threads,
    /// Let a thread go on, or all.
    Continue(Option<u32>),
    /// Hold a thread, or all, at the next traced call.
    StopThreads(Option<u32>),
    /// Let a held thread go on until there.
    Step(Option<u32>, Until),
    /// Where is a held thread?
    Backtrace(Option<u32>),
    /// What is a variable?
    Print(Spot, String),
    /// Change a variable.
    Assign {
        /// Of which frame.
        spot: Spot,
        /// Which.
        path: String,
        /// What it becomes.
        value: String,
    },
    /// What lies in memory?
    Dump(Spot, String),
    /// Tell of threads that stop.
    Notify,
    /// End.
    Stop,
}

/// A frame of a held thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The thread; `None`: the only one that is held.
    pub tid: Option<u32>,
    /// Callers above the innermost function.
    pub frame: usize,
}

impl Spot {
    /// `4711`, `4711#2`, `-`, `-#2`.
    fn parse(text: &str) -> Option<Self> {
        let (tid, frame) = text.split_once('#').unwrap_or((text, "0"));
        Some(Self {
            tid: match tid {
                "-" => None,
                tid => Some(tid.parse().ok()?),
            },
            frame: frame.parse().ok().filter(|frame| *frame < FRAMES_MAX)?,
        })
    }
}

/// What a snapshot has besides stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotWishes {
    /// It is a core file instead.
    pub core: bool,
    /// Memory: variables of held threads, or ADDRESS+LENGTH.
    pub dumps: Vec<String>,
}

impl SnapshotWishes {
    /// Nothing, `core`, or `dump WHAT; WHAT`.
    fn parse(text: &str) -> Result<Self, String> {
        let dumps = match text.split_once(char::is_whitespace) {
            Some(("dump", rest)) => rest.split(';'),
            _ => "".split(';'),
        };
        let dumps = dumps.map(str::trim).filter(|what| !what.is_empty());
        let dumps: Vec<String> = dumps.map(str::to_owned).collect();
        let core = text == "core";
        match core || text.is_empty() || !dumps.is_empty() {
            true => Ok(Self { core, dumps }),
            false => Err("expected `core` after `snapshot`, or `dump` and what: a variable of a held thread, or ADDRESS+LENGTH".into()),
        }
    }
}

/// Frames that can be asked for.
const FRAMES_MAX: usize = 4096;

impl Request {
    /// The request that `line` is. `Err` says what was expected.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let alone = |request: Self| match rest {
            "" => Ok(request),
            _ => Err(format!(
                "`{verb}` stands alone, without `{}`",
                shortened(rest)
            )),
        };
        match verb {
            "on" => alone(Self::On),
            "off" => alone(Self::Off),
            "status" => alone(Self::Status),
            "snapshot" => SnapshotWishes::parse(rest).map(Self::Snapshot),
            "threads" => alone(Self::Threads),
            "continue" => thread(verb, rest).map(Self::Continue),
            "step" => thread(verb, rest).map(|tid| Self::Step(tid, Until::Event)),
            "next" => thread(verb, rest).map(|tid| Self::Step(tid, Until::Level)),
            "finish" => thread(verb, rest).map(|tid| Self::Step(tid, Until::Return)),
            "bt" => thread(verb, rest).map(Self::Backtrace),
            "print" => at(verb, rest).map(|(spot, path)| Self::Print(spot, path)),
            "dump" => at(verb, rest).map(|(spot, what)| Self::Dump(spot, what)),
            "set" => {
                let (spot, change) = at(verb, rest)?;
                let (path, value) = change
                    .split_once('=')
                    .ok_or("expected PATH = VALUE, as in: set 4711 p->count = 5")?;
                Ok(Self::Assign {
                    spot,
                    path: path.trim().to_owned(),
                    value: value.trim().to_owned(),
                })
            }
            "notify" => alone(Self::Notify),
            "stop" if rest == "all" => Ok(Self::StopThreads(None)),
            "stop" if !rest.is_empty() => thread(verb, rest).map(Self::StopThreads),
            "stop" => alone(Self::Stop),
            "filter" => Self::parse_filter(rest),
            "trigger" => Self::parse_trigger(rest),
            "args" => Self::parse_args(rest),
            _ => Err(format!(
                "`{}` is no request; expected on, off, filter, trigger, args, threads, stop, continue, step, next, finish, bt, print, set, dump, status, snapshot or notify",
                shortened(verb)
            )),
        }
    }

    fn parse_filter(rest: &str) -> Result<Self, String> {
        let (verb, rules) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rules = rules.trim();
        let needed = || match rules {
            "" => Err(format!(
                "expected a rule after `filter {verb}`, as in: filter {verb} parse_*"
            )),
            _ => Ok(rules.to_owned()),
        };
        match verb {
            "add" => needed().map(Self::Add),
            "del" => needed().map(Self::Remove),
            "clear" | "list" if !rules.is_empty() => Err(format!("`filter {verb}` stands alone")),
            "clear" => Ok(Self::Clear),
            "list" => Ok(Self::List),
            _ => Err("expected add, del, clear or list after `filter`".into()),
        }
    }

    fn parse_trigger(rest: &str) -> Result<Self, String> {
        let (verb, trigger) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let trigger = trigger.trim();
        match (verb, trigger) {
            ("set", "") => Err("expected a trigger after `trigger set`, as in: trigger set when f.n > 1000 then mark \"large\"".into()),
            ("set", text) => Ok(Self::SetTrigger(text.to_owned())),
            ("del", "") => Err("expected a name or number after `trigger del`; `trigger list` shows them".into()),
            ("del", which) => Ok(Self::RemoveTrigger(which.to_owned())),
            ("clear", "") => Ok(Self::ClearTriggers),
            ("list", "") => Ok(Self::ListTriggers),
            ("clear" | "list", _) => Err(format!("`trigger {verb}` stands alone")),
            _ => Err("expected set, del, clear or list after `trigger`".into()),
        }
    }
}

impl Request {
    /// A rule has a `:`, which none of the verbs has.
    fn parse_args(rest: &str) -> Result<Self, String> {
        let (verb, rule) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rule = rule.trim();
        match (verb, rule) {
            ("list", "") => Ok(Self::ListArgs),
            ("clear", "") => Ok(Self::ClearArgs),
            ("del", "") => {
                Err("expected a rule or its number after `args del`; `args list` shows them".into())
            }
            ("del", which) => Ok(Self::RemoveArgs(which.to_owned())),
            ("set", rules) if rules.contains(':') => Ok(Self::AddArgs(rules.to_owned())),
            _ if rest.contains(':') => Ok(Self::AddArgs(rest.to_owned())),
            ("list" | "clear", _) => Err(format!("`args {verb}` stands alone")),
            _ => Err("expected a rule after `args`, as in f:a,b.c; or list, clear, del".into()),
        }
    }
}

/// A thread's number, or nothing.
fn thread(verb: &str, text: &str) -> Result<Option<u32>, String> {
    match text {
        "" => Ok(None),
        tid => match tid.parse() {
            Ok(tid) => Ok(Some(tid)),
            Err(_) => Err(format!(
                "expected a thread's number after `{verb}`, or nothing"
            )),
        },
    }
}

/// A frame, and what is asked about it.
fn at(verb: &str, text: &str) -> Result<(Spot, String), String> {
    let (spot, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let found = Spot::parse(spot).filter(|_| !rest.trim().is_empty());
    let spot = found.ok_or_else(|| {
        format!("expected a thread and a variable after `{verb}`, as in: {verb} 4711 n, or in its caller's frame: {verb} 4711#1 n")
    })?;
    Ok((spot, rest.trim().to_owned()))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_read() {
        for (line, request) in [
            ("on\n", Request::On),
            (" off ", Request::Off),
            (
                "filter add parse_*; !lex",
                Request::Add("parse_*; !lex".into()),
            ),
            ("filter del 2", Request::Remove("2".into())),
            ("filter list", Request::List),
            ("filter clear", Request::Clear),
            ("status", Request::Status),
            ("snapshot", Request::Snapshot(SnapshotWishes::default())),
            (
                "snapshot dump p[0..4]; 0x10+16",
                Request::Snapshot(SnapshotWishes {
                    core: false,
                    dumps: vec!["p[0..4]".into(), "0x10+16".into()],
                }),
            ),
            ("threads", Request::Threads),
            ("continue", Request::Continue(None)),
            ("continue 17", Request::Continue(Some(17))),
            ("stop", Request::Stop),
            ("stop all", Request::StopThreads(None)),
            ("stop 17", Request::StopThreads(Some(17))),
            ("step", Request::Step(None, Until::Event)),
            ("finish 17", Request::Step(Some(17), Until::Return)),
            ("bt 17", Request::Backtrace(Some(17))),
            (
                "print -#2 p->next",
                Request::Print(
                    Spot {
                        tid: None,
                        frame: 2,
                    },
                    "p->next".into(),
                ),
            ),
            (
                "set 17 c = '='",
                Request::Assign {
                    spot: Spot {
                        tid: Some(17),
                        frame: 0,
                    },
                    path: "c".into(),
                    value: "'='".into(),
                },
            ),
            (
                "trigger set when f then stop",
                Request::SetTrigger("when f then stop".into()),
            ),
            ("trigger del 2", Request::RemoveTrigger("2".into())),
            ("trigger list", Request::ListTriggers),
            ("args f:a,b.c; g*:", Request::AddArgs("f:a,b.c; g*:".into())),
            ("args set list:a", Request::AddArgs("list:a".into())),
            ("args list", Request::ListArgs),
            ("args clear", Request::ClearArgs),
            ("args del 2", Request::RemoveArgs("2".into())),
        ] {
            assert_eq!(Request::parse(line), Ok(request), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_what_was_expected() {
        for (line, part) in [
            ("", "expected on, off"),
            ("on now", "stands alone"),
            ("filter", "expected add"),
            ("continue all", "expected a thread's number"),
            ("stop here", "expected a thread's number"),
            ("print", "expected a thread and a variable"),
            ("print 17", "expected a thread and a variable"),
            ("print n", "expected a thread and a variable"),
            ("set 17 n", "expected PATH = VALUE"),
            ("trigger", "expected set"),
            ("trigger del", "expected a name"),
            ("filter add", "expected a rule"),
            ("args", "expected a rule"),
            ("args f", "expected a rule"),
            ("args list all", "stands alone"),
            ("args del", "expected a rule or its number"),
            ("filter list all", "stands alone"),
            ("ON", "is no request"),
        ] {
            let error = Request::parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_request_or_an_error(line in "\\PC{0,40}") {
            let _ = Request::parse(&line);
        }

        #[test]
        fn any_words_of_the_language_are_a_request_or_an_error(line in "(on|off|filter|trigger|args|f:a|set|add|del|list|clear|status|stop| |x){0,6}") {
            let _ = Request::parse(&line);
        }
    }
}
