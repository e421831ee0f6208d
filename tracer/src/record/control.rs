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
//! | `args RULES` | what is captured of some functions ([`crate::chosen`]), before the rules there are |
//! | `args del RULE` | takes the rule with this text or number away |
//! | `args clear` | takes all away |
//! | `args list` | the rules, numbered |
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

use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

mod request;

pub use request::{REQUEST_BYTES_MAX, Request, SnapshotWishes, Spot};

/// Connections at one time; more are closed at once.
const CONNECTIONS_MAX: usize = 16;

/// What may wait for one who doesn't read it; who lets more come together is hung up on: the session waits for nobody.
const UNSENT_BYTES_MAX: usize = 16 << 20;

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
    /// What the socket had no room for. While there is any, no request is read.
    unsent: Vec<u8>,
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

    /// What to poll, and for what.
    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let connections = self.connections.iter().map(|one| {
            let awaited = match one.unsent.is_empty() {
                true => PollFlags::POLLIN,
                false => PollFlags::POLLOUT,
            };
            (one.stream.as_fd(), awaited)
        });
        [(self.listener.as_fd(), PollFlags::POLLIN)]
            .into_iter()
            .chain(connections)
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
                    unsent: Vec::new(),
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
        self.connections
            .retain_mut(|connection| !connection.listens || connection.send(line.as_bytes()));
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
            if !self.flush() {
                return false;
            }
            if !self.unsent.is_empty() {
                return true;
            }
            if let Some(end) = self.request.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.request.drain(..=end).collect();
                let request = Request::parse(&String::from_utf8_lossy(&line));
                self.listens |= request == Ok(Request::Notify);
                if !self.reply(request.and_then(&mut *answer)) {
                    return false;
                }
                continue;
            }
            if self.request.len() > REQUEST_BYTES_MAX {
                self.reply(Err(format!(
                    "a request has at most {REQUEST_BYTES_MAX} bytes"
                )));
                return false;
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.request.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether the connection stays.
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
        self.send(text.as_bytes())
    }

    /// Sends now what the socket has room for, and the rest when it has; whether the connection stays.
    fn send(&mut self, text: &[u8]) -> bool {
        self.unsent.extend_from_slice(text);
        self.flush() && self.unsent.len() <= UNSENT_BYTES_MAX
    }

    fn flush(&mut self) -> bool {
        let mut sent = 0;
        let is_alive = loop {
            if sent == self.unsent.len() {
                break true;
            }
            match self.stream.write(&self.unsent[sent..]) {
                Ok(0) => break false,
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        self.unsent.drain(..sent);
        is_alive
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
    use super::*;

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
        // More than the socket has room for.
        let asker = std::thread::spawn({
            let path = path.clone();
            move || ask(&path, "filter list")
        });
        let long: Vec<String> = (0..100_000).map(|line| format!("{line} parse_*")).collect();
        while !asker.is_finished() {
            first.serve(|_| Ok(long.clone()));
            std::thread::yield_now();
        }
        let answered = asker.join().expect("it doesn't panic");
        assert_eq!(answered.expect("it was answered"), Ok(long));
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
}
