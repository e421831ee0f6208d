//! Real programs on real nodes: compile C with the staged `umbel cc`, run it, see how it ended.
//!
//! ```no_run
//! use umbel_tests::cluster::{On, compile_text};
//!
//! let program = compile_text("int main(void) { return 3; }", &["-O2"]);
//! let outcome = program.run(On::Nodes(4), &[], &[]);
//! assert_eq!(outcome.status, Some(3), "{outcome}");
//! assert_eq!(program.leftovers(), [""; 0]);
//! ```
//!
//! For more than that: [`Program::command`] gives the command to add to, [`start`] its processes
//! while they run.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a program may take before it is killed, unless a test says otherwise.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What may take a moment after the launcher's end: the last bytes of a pipe, the end of a process.
const SETTLE: Duration = Duration::from_secs(5);

/// Time between two looks at a condition that nothing announces.
const LOOK: Duration = Duration::from_millis(2);

/// A compiled program in a folder of its own, removed with it.
pub struct Program {
    folder: PathBuf,
    shared_memory: BTreeSet<PathBuf>,
}

/// How to run a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// `./program`, without a launcher.
    Alone,
    /// `umbel run -n N ./program`.
    Nodes(usize),
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit status; none if a signal ended the process.
    pub status: Option<i32>,
    /// Signal that ended the process.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// It ran into the time limit and was killed.
    pub timed_out: bool,
    /// From its start to its end.
    pub elapsed: Duration,
}

/// A command that runs.
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// Compiles a C file; a message from the compiler fails the test.
#[track_caller]
pub fn compile(source: &Path, flags: &[&str]) -> Program {
    let (program, outcome) = try_compile(source, flags);
    assert!(
        outcome.status == Some(0) && outcome.stderr.is_empty(),
        "umbel cc {} {}: {outcome}",
        flags.join(" "),
        source.display()
    );
    program
}

/// Compiles `tests/programs/NAME.c`, one of the tests' own programs.
pub fn compile_ours(name: &str, flags: &[&str]) -> Program {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    compile(&programs.join(name).with_extension("c"), flags)
}

/// Compiles C text.
#[track_caller]
pub fn compile_text(source: &str, flags: &[&str]) -> Program {
    let folder = new_folder();
    let file = folder.join("program.c");
    fs::write(&file, source).expect("a new folder is writable");
    let program = compile(&file, flags);
    fs::remove_dir_all(folder).expect("the folder was made above");
    program
}

/// Compiles a C file that may be wrong: also what the compiler said.
pub fn try_compile(source: &Path, flags: &[&str]) -> (Program, Outcome) {
    let program = Program {
        folder: new_folder(),
        shared_memory: shared_memory(),
    };
    fs::create_dir(program.temporary()).expect("a new folder is writable");
    let mut command = umbel(&["cc"]);
    command
        .args(flags)
        .arg("-o")
        .arg(program.path())
        .arg(source);
    let outcome = start(&mut command, b"").wait(LIMIT);
    (program, outcome)
}

/// The staged `umbel` with these arguments, in an environment that tells it nothing else; it keeps nothing for its next run.
pub fn umbel(arguments: &[&str]) -> Command {
    let mut command = Command::new(prefix().join("bin/umbel"));
    command
        .args(arguments)
        .env_remove("UMBEL_PREFIX")
        .env("UMBEL_TRACE_CACHE", "off");
    command
}

/// Starts a command in the background, with this on its standard input.
pub fn start(command: &mut Command, input: &[u8]) -> Running {
    let started = Instant::now();
    let mut child = command
        // cargo names its own folders there, with a libumbel.so for debugging: the staged one is meant.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    // A program that ends without reading everything is right to do so.
    thread::spawn(move || stdin.write_all(&input));
    Running {
        stdout: collect(child.stdout.take().expect("stdout is a pipe")),
        stderr: collect(child.stderr.take().expect("stderr is a pipe")),
        child,
        started,
    }
}

/// Sends a signal, by name: `KILL`, `INT`. Whether it arrived.
pub fn signal(process: u32, name: &str) -> bool {
    let mut kill = Command::new("sh");
    kill.args(["-c", &format!("kill -{name} {process} 2>/dev/null")]);
    kill.status().is_ok_and(|status| status.success())
}

/// Looks at a condition until it holds; false when it doesn't within the limit.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK);
    }
}

impl Program {
    /// The executable.
    pub fn path(&self) -> PathBuf {
        self.folder.join("program")
    }

    /// Runs it to its end, or to [`LIMIT`]; then none of its processes lives.
    pub fn run(&self, on: On, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(on, &[], arguments);
        command.envs(environment.iter().copied());
        let outcome = start(&mut command, b"").wait(LIMIT);
        if outcome.timed_out {
            self.kill();
        }
        outcome
    }

    /// The command that runs it; `options` go to `umbel run`.
    pub fn command(&self, on: On, options: &[&str], arguments: &[&str]) -> Command {
        let mut command = match on {
            On::Alone => Command::new(self.path()),
            On::Nodes(count) => {
                let mut command = umbel(&["run", "-n", &count.to_string()]);
                command.args(options).arg(self.path());
                command
            }
        };
        command.args(arguments).env("TMPDIR", self.temporary());
        command
    }

    /// Processes that run it now: the nodes, not the launcher. Sorted.
    pub fn processes(&self) -> Vec<u32> {
        let runs_us = |process: &u32| {
            // A zombie has no executable, so it doesn't count.
            let executable = fs::read_link(format!("/proc/{process}/exe"));
            executable.is_ok_and(|file| file == self.path())
        };
        processes()
            .filter(runs_us)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Kills all its processes.
    pub fn kill(&self) {
        for process in self.processes() {
            signal(process, "KILL");
        }
    }

    /// What is still there of it after a run: processes, temporary files, shared memory.
    pub fn leftovers(&self) -> Vec<String> {
        // A killed process takes a moment to be gone.
        holds_within(SETTLE, || self.processes().is_empty());
        let live = self
            .processes()
            .into_iter()
            .map(|process| format!("process {process}"));
        let orphaned = shared_memory()
            .into_iter()
            .filter(|file| !self.shared_memory.contains(file) && !is_mapped(file));
        let files = entries(&self.temporary())
            .chain(orphaned)
            .map(|file| format!("file {}", file.display()));
        live.chain(files).collect()
    }

    /// Where it puts temporary files.
    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        // Nothing depends on it, and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    /// Starts a command whose standard input and output are the test's own business.
    pub fn of(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            stdout: collect(std::io::empty()),
            stderr: collect(child.stderr.take().expect("stderr is a pipe")),
            child,
            started,
        }
    }

    /// The started process: the launcher, or the program itself when it runs alone.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; kills it at the limit.
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let ended = holds_within(limit, || {
            let status = self.child.try_wait();
            status
                .expect("this process has not been waited for")
                .is_some()
        });
        if !ended {
            self.child.kill().expect("it was there a moment ago");
        }
        let status = self.child.wait().expect("it has ended or was killed");
        Outcome {
            status: status.code(),
            signal: status.signal(),
            elapsed: self.started.elapsed(),
            // A pipe without end: some process of the job outlives the launcher and holds it.
            stdout: text(&self.stdout).unwrap_or_else(|| "(never closed)".into()),
            stderr: text(&self.stderr).unwrap_or_else(|| "(never closed)".into()),
            timed_out: !ended,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.timed_out, self.status, self.signal) {
            (true, ..) => write!(f, "killed because it took {:?}", self.elapsed)?,
            (_, Some(status), _) => write!(f, "status {status} after {:?}", self.elapsed)?,
            (_, _, signal) => write!(f, "signal {signal:?} after {:?}", self.elapsed)?,
        }
        write!(
            f,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        )
    }
}

/// Where Umbel is installed for the tests.
fn prefix() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let prefix = match variable("UMBEL_TEST_PREFIX").or_else(|| variable("UMBEL_PREFIX")) {
        Some(prefix) => PathBuf::from(prefix),
        None => {
            let test = std::env::current_exe().expect("a test has a file");
            let target = test.ancestors().nth(3);
            target
                .expect("a test lies in target/PROFILE/deps")
                .join("umbel")
        }
    };
    assert!(
        prefix.join("bin/umbel").is_file(),
        "there is no umbel in {}: run the tests with `cargo xtask test`, or `cargo xtask stage` once before",
        prefix.display()
    );
    prefix
}

/// A new empty folder for temporary files.
pub fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: the number alone matters.
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("umbel-test-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // Left by a killed test whose process number has come round again.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("the folder for temporary files is writable");
    // /proc shows executables by their true path.
    folder.canonicalize().expect("it was made above")
}

fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe is readable");
        // Nobody listens any more after a test that failed.
        let _ = sender.send(bytes);
    });
    receiver
}

fn text(pipe: &Receiver<Vec<u8>>) -> Option<String> {
    let bytes = pipe.recv_timeout(SETTLE).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn processes() -> impl Iterator<Item = u32> {
    entries(Path::new("/proc")).filter_map(|folder| folder.file_name()?.to_str()?.parse().ok())
}

fn shared_memory() -> BTreeSet<PathBuf> {
    entries(Path::new("/dev/shm")).collect()
}

/// Some live process uses it: not left behind, and not ours.
fn is_mapped(file: &Path) -> bool {
    let file = file.to_string_lossy();
    processes().any(|process| {
        let maps = fs::read_to_string(format!("/proc/{process}/maps"));
        maps.is_ok_and(|maps| maps.contains(&*file))
    })
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}
