//! The control socket: others of the same user switch a running session, or ask how it is.
//!
//! Lines in both directions. A request is one line; the answer is any number of lines, each with a blank in front, and then `ok`
//! or `error: ...`. Several requests may follow one another on a connection.
//!
//! | request | does |
//! |---|---|
//! | `on`, `off` | traces, or not: all call sites are patched out |
//! | `filter add RULES` | adds rules ([`crate::filter`]) |
//! | `filter del RULE` | takes the rule with this text or number away |
//! | `filter clear` | takes all rules and limits away |
//! | `filter list` | the rules in force, numbered |
//! | `trigger set TRIGGER` | sets it ([`crate::trigger`]); the answer is its number |
//! | `trigger del NAME` | takes the trigger with this name or number away |
//! | `trigger clear` | takes all away |
//! | `trigger list` | the triggers that are set, and how often each has fired |
//! | `status` | functions, sites, events |
//! | `snapshot` | writes down where all threads are, the call graph, and what a flight recorder has; the files' names |
//! | `snapshot dump WHAT; WHAT` | with memory: variables of held threads, or `ADDRESS+LENGTH` |
//! | `snapshot core` | writes a core file |
//! | `threads` | the threads that are held, or are to stop |
//! | `stop TID`, `stop all` | holds a thread, or all, at the next traced call or return |
//! | `continue`, `continue TID` | lets them, or one, go on |
//! | `step`, `next`, `finish` | lets a held thread go on to its next call or return; over the call that it is at; until its function returns |
//! | `bt` | the stack of a held thread, with variables |
//! | `print AT PATH` | a variable of a held thread |
//! | `set AT PATH = VALUE` | changes it |
//! | `dump AT PATH`, `dump AT ADDRESS+LENGTH` | memory |
//! | `notify` | from now on lines that begin with `* ` tell of threads that stop, between the answers |
//! | `stop` | ends the session; the programs go on |
//!
//! `AT` is a thread's number, `#FRAME` behind it if the frame isn't the innermost: `4711`, `4711#2`; `-` is the only thread that is held.
//! `step` and its kin may have a thread's number behind them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, process};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use umbel_trace_ring::plan::Until;

/// Bytes of a request: a filter's, and its verb.
pub const REQUEST_BYTES_MAX: usize = crate::filter::TEXT_BYTES_MAX + 64;

/// Connections at one time; more are closed at once.
const CONNECTIONS_MAX: usize = 16;

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
            _ => Err(format!(
                "`{}` is no request; expected on, off, filter, trigger, threads, stop, continue, step, next, finish, bt, print, set, dump, status, snapshot or notify",
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

/// What a request gave: lines, or why it was refused.
pub type Answer = Result<Vec<String>, String>;

/// The session's end of the socket.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    request: Vec<u8>,
    /// It wants to be told of threads that stop.
    listens: bool,
}

/// Why there is no control socket.
#[derive(Debug)]
pub enum ControlError {
    /// Another recorder answers there.
    InUse,
    /// The kernel refuses.
    System(io::Error),
}

impl From<io::Error> for ControlError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Control {
    /// Listens at `path`: whoever has the socket has the session. One that nobody answers at is a dead recorder's and goes.
    pub fn listen(path: &Path) -> Result<Self, ControlError> {
        let folder = Folder::of(path)?;
        // Under another name first: nobody sees a socket that can't be connected to yet.
        let draft = folder.name.clone() + &format!(".{}", process::id());
        let _ = fs::remove_file(folder.reach(&draft));
        let listener = UnixListener::bind(folder.reach(&draft))?;
        let result = Self::publish(&folder, &draft);
        let _ = fs::remove_file(folder.reach(&draft));
        result?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            connections: Vec::new(),
        })
    }

    fn publish(folder: &Folder, draft: &str) -> Result<(), ControlError> {
        fs::set_permissions(folder.reach(draft), fs::Permissions::from_mode(0o600))?;
        for _ in 0..2 {
            match fs::hard_link(folder.reach(draft), folder.reach(&folder.name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return Ok(result?),
            }
            if UnixStream::connect(folder.reach(&folder.name)).is_ok() {
                return Err(ControlError::InUse);
            }
            fs::remove_file(folder.reach(&folder.name))?;
        }
        Err(ControlError::InUse)
    }

    /// What to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let connections = self.connections.iter().map(|one| one.stream.as_fd());
        [self.listener.as_fd()].into_iter().chain(connections)
    }

    /// Accepts who comes, and lets `answer` answer each request.
    pub fn serve(&mut self, mut answer: impl FnMut(Request) -> Answer) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() < CONNECTIONS_MAX
                && is_allowed(&stream)
                && stream.set_nonblocking(true).is_ok()
            {
                self.connections.push(Connection {
                    stream,
                    request: Vec::new(),
                    listens: false,
                });
            }
        }
        self.connections
            .retain_mut(|connection| connection.serve(&mut answer));
    }

    /// Whether anybody wants to be told of threads that stop.
    pub fn has_listeners(&self) -> bool {
        self.connections.iter().any(|connection| connection.listens)
    }

    /// Tells those who want to be told.
    pub fn tell(&mut self, notice: &str) {
        let line = format!("* {}\n", notice.replace('\n', " "));
        self.connections.retain_mut(|connection| {
            !connection.listens || connection.stream.write_all(line.as_bytes()).is_ok()
        });
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The session's own user, and root.
fn is_allowed(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

impl Connection {
    /// Reads what is there and answers whole lines; whether the connection stays.
    fn serve(&mut self, answer: &mut impl FnMut(Request) -> Answer) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.request.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
            while let Some(end) = self.request.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.request.drain(..=end).collect();
                let request = Request::parse(&String::from_utf8_lossy(&line));
                self.listens |= request == Ok(Request::Notify);
                if !self.reply(request.and_then(&mut *answer)) {
                    return false;
                }
            }
            if self.request.len() > REQUEST_BYTES_MAX {
                self.reply(Err(format!(
                    "a request has at most {REQUEST_BYTES_MAX} bytes"
                )));
                return false;
            }
        }
    }

    /// Whether the answer went out whole. Who doesn't read it is hung up on: the session waits for nobody.
    fn reply(&mut self, answer: Answer) -> bool {
        let mut text = String::new();
        let end = match answer {
            Ok(lines) => {
                for line in lines {
                    text += &format!(" {line}\n");
                }
                "ok\n".to_owned()
            }
            Err(error) => format!("error: {}\n", error.replace('\n', " ")),
        };
        text += &end;
        self.stream.write_all(text.as_bytes()).is_ok()
    }
}

/// Sends one request to the session whose socket is `path`, and waits for its answer.
pub fn ask(path: &Path, request: &str) -> io::Result<Answer> {
    let folder = Folder::of(path)?;
    let mut stream = UnixStream::connect(folder.reach(&folder.name))?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.write_all(request.replace('\n', ";").as_bytes())?;
    stream.write_all(b"\n")?;
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    while !(text.ends_with(b"\n") && is_last_line(&text)) {
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => text.extend_from_slice(&bytes[..count]),
        }
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned())
        .collect();
    let end = lines.pop().unwrap_or_default();
    Ok(match end.strip_prefix("error: ") {
        Some(error) => Err(error.to_owned()),
        None => Ok(lines),
    })
}

/// What a session tells of threads that stop, line by line, until it ends.
#[derive(Debug)]
pub struct Notices(BufReader<UnixStream>);

impl Notices {
    /// From the session whose socket is `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let folder = Folder::of(path)?;
        let mut stream = UnixStream::connect(folder.reach(&folder.name))?;
        stream.write_all(b"notify\n")?;
        let mut lines = BufReader::new(stream);
        // From its answer on it tells.
        let mut answer = String::new();
        lines.read_line(&mut answer)?;
        Ok(Self(lines))
    }
}

impl Iterator for Notices {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_start_matches("* ").trim_end().to_owned()),
        }
    }
}

/// A session that looks through a large program's sources may take a while.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

fn is_last_line(text: &[u8]) -> bool {
    let last = text[..text.len() - 1].rsplit(|&byte| byte == b'\n').next();
    last.is_some_and(|line| line == b"ok" || line.starts_with(b"error: "))
}

/// A folder by its descriptor: a socket's path has at most 107 bytes, a recording's may have more.
struct Folder {
    descriptor: fs::File,
    name: String,
}

impl Folder {
    fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Ok(Self {
            descriptor: fs::File::open(folder)?,
            name: name.to_string_lossy().into_owned(),
        })
    }

    fn reach(&self, name: &str) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!(
            "/proc/self/fd/{}/{name}",
            self.descriptor.as_raw_fd()
        ))
    }
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
            ("filter list all", "stands alone"),
            ("ON", "is no request"),
        ] {
            let error = Request::parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn one_socket_has_one_session() {
        let folder = std::env::temp_dir().join(format!("umbel-control-{}", process::id()));
        // Longer than a socket's path may be.
        let deep = folder.join("a-folder-with-a-long-name-".repeat(5));
        fs::create_dir_all(&deep).expect("the folder can be made");
        let path = deep.join("umbel.trace.live.ctl");
        let mut first = Control::listen(&path).expect("nobody is there");
        assert!(matches!(Control::listen(&path), Err(ControlError::InUse)));
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let asker = std::thread::spawn({
            let path = path.clone();
            move || (ask(&path, "filter list"), ask(&path, "nonsense"))
        });
        while !asker.is_finished() {
            first.serve(|request| match request {
                Request::List => Ok(vec!["1 parse_*".into()]),
                _ => Err("unexpected".into()),
            });
            std::thread::yield_now();
        }
        let (list, refused) = asker.join().expect("it doesn't panic");
        assert_eq!(list.expect("it was answered"), Ok(vec!["1 parse_*".into()]));
        assert!(refused.expect("it was answered").is_err());
        drop(first);
        assert!(!path.exists());
        // A dead recorder's socket.
        drop(UnixListener::bind(
            Folder::of(&path)
                .expect("it is there")
                .reach("umbel.trace.live.ctl"),
        ));
        drop(Control::listen(&path).expect("nobody answers there"));
        fs::remove_dir_all(&folder).expect("it can be removed");
    }

    proptest! {
        #[test]
        fn any_line_is_a_request_or_an_error(line in "\\PC{0,40}") {
            let _ = Request::parse(&line);
        }

        #[test]
        fn any_words_of_the_language_are_a_request_or_an_error(line in "(on|off|filter|trigger|set|add|del|list|clear|status|stop| |x){0,6}") {
            let _ = Request::parse(&line);
        }
    }
}
