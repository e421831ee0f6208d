//! Starts `umbel run` on the test program and waits for it, never without a bound.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than anything here takes on a loaded machine; a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The launcher on the test program.
pub fn umbel_run(nodes: usize, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = umbel(&["run", "-n", &nodes.to_string()]);
    command.args(options).arg(program()).args(arguments);
    command
}

/// The command, without anything of the caller's Umbel in its environment.
pub fn umbel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_umbel"));
    command
        .args(arguments)
        .env_remove("UMBEL_STATS")
        .env_remove("NO_COLOR");
    command
}

/// The test program: linked against the double.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/double");
        let folder = scratch("double");
        let library = folder.join("libumbel.so");
        let program = folder.join("node");
        gcc(
            &["-shared", "-fPIC", "-pthread", "-Wl,-soname,libumbel.so"],
            |gcc| gcc.arg(source.join("umbel.c")).arg("-o").arg(&library),
        );
        // The old tag: cargo's LD_LIBRARY_PATH, where the real libumbel may be, comes after it.
        let rpath = "-Wl,-rpath,$ORIGIN,--disable-new-dtags";
        gcc(&[rpath, "-rdynamic"], |gcc| {
            gcc.arg(source.join("node.c"))
                .arg(&library)
                .arg("-o")
                .arg(&program)
        });
        program
    })
}

/// Runs gcc, which must succeed.
pub fn gcc(options: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) {
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-Wall", "-Wno-maybe-uninitialized"])
        .args(options);
    let status = more(&mut gcc).status().expect("gcc is installed");
    assert!(status.success(), "{gcc:?}");
}

/// A new folder of this test run.
pub fn scratch(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Finished {
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }
}

/// Runs `command` to its end, with nothing to read.
#[track_caller]
pub fn finish(mut command: Command) -> Finished {
    command.stdin(Stdio::null());
    Running::start(command).finish()
}

/// A job under way. Killed when dropped.
pub struct Running {
    pub child: Child,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    pub lines: Option<Receiver<String>>,
}

impl Running {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the launcher was built");
        Self {
            out: child.stdout.take(),
            err: child.stderr.take(),
            child,
            lines: None,
        }
    }

    /// One whose output goes elsewhere.
    pub fn adopt(child: Child) -> Self {
        Self {
            child,
            out: None,
            err: None,
            lines: None,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the launcher has not been reaped");
    }

    /// Its standard output, for a test that reads itself.
    pub fn take_out(&mut self) -> ChildStdout {
        self.out.take().expect("taken once")
    }

    /// Waits for each node's `pid RANK PID` line.
    #[track_caller]
    pub fn node_pids(&mut self, nodes: usize) -> BTreeMap<usize, Pid> {
        let out = self.take_out();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut pids = BTreeMap::new();
        while pids.len() < nodes {
            let line = lines
                .recv_timeout(PATIENCE)
                .expect("every node says its pid");
            if let ["pid", rank, pid] = line.split(' ').collect::<Vec<_>>()[..] {
                let pid = Pid::from_raw(pid.parse().expect("a number"));
                pids.insert(rank.parse().expect("a number"), pid);
            }
        }
        self.lines = Some(lines);
        pids
    }

    /// Waits for its end, while reading all it writes.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let out = read_all(self.out.take());
        let err = read_all(self.err.take());
        let status = self.wait();
        let text = |bytes: Receiver<Vec<u8>>| {
            let bytes = bytes
                .recv_timeout(PATIENCE)
                .expect("its pipe is closed too");
            String::from_utf8(bytes).expect("the tests write text")
        };
        Finished {
            status,
            out: text(out),
            err: text(err),
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_for(PATIENCE).expect("it ends in time")
    }

    /// Waits for its end, at most so long.
    pub fn wait_for(&mut self, patience: Duration) -> Option<ExitStatus> {
        until(patience, || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already reaped, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        sender.send(bytes)
    });
    receiver
}

/// Asks again until there is an answer, with pauses, at most so long.
pub fn until<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() >= end => return None,
            None => thread::park_timeout(Duration::from_millis(2)),
        }
    }
}

/// Waits until none of these processes runs any more.
#[track_caller]
pub fn assert_gone<'a>(pids: impl IntoIterator<Item = &'a Pid>) {
    for &pid in pids {
        let gone = until(PATIENCE, || (!is_running(pid)).then_some(()));
        assert!(gone.is_some(), "process {pid} was left behind");
    }
}

/// A zombie is not running: its parent, not the launcher, has yet to notice.
fn is_running(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

/// The signal that a status of the launcher stands for.
pub fn signalled(status: ExitStatus) -> Option<i32> {
    status.code().map(|code| code - 128).or(status.signal())
}
