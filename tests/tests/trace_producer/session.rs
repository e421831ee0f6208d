//! A recorder of a few lines: it keeps all words in memory, and judges nothing.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use umbel_trace_ring::journal::{self, Entry};
use umbel_trace_ring::layout::{Clock, Full, Kind, Mode};
use umbel_trace_ring::plan::{Op, Opcode, Region, Request, values_of};
use umbel_trace_ring::word::{Code, Word, plan_of};
use umbel_trace_ring::{CHUNK_BYTES, Live, Setup, Taker, Untaken, Which};

/// A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder of one test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("umbel-producer-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("the folder for temporary files is writable");
        Self(folder)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Compiles a program of `tests/programs/trace/producer` with the hooks.
    pub fn compile(&self, source: &str, flags: &[&str]) -> PathBuf {
        self.compile_as(source, &source.replace('.', "_"), flags)
    }

    /// The same with another name for what comes out.
    pub fn compile_as(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        self.build(source, name, &[&["-finstrument-functions"], flags].concat())
    }

    /// Compiles without them.
    pub fn build(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/trace/producer");
        let compiler = if source.ends_with(".c") { "gcc" } else { "g++" };
        let target = self.join(name);
        let status = Command::new(compiler)
            .arg(programs.join(source))
            .args(["-g", "-pthread", "-Wall", "-Wextra", "-o"])
            .arg(&target)
            .args(flags)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{compiler} refuses {source}"
        );
        target
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is preloaded.
pub fn library() -> PathBuf {
    let prefix = match std::env::var_os("UMBEL_PREFIX").filter(|value| !value.is_empty()) {
        Some(prefix) => PathBuf::from(prefix),
        None => {
            let test = std::env::current_exe().expect("a test has a file");
            test.ancestors()
                .nth(3)
                .expect("a test lies in target/PROFILE/deps")
                .join("umbel")
        }
    };
    let library = prefix.join("lib/umbel/libumbel_trace.so");
    assert!(
        library.is_file(),
        "there is no {}: `cargo xtask stage` installs it",
        library.display()
    );
    library
}

/// How a session is made.
#[derive(Clone, Copy)]
pub struct How {
    pub chunks: u64,
    pub when_full: Full,
    pub clock: Clock,
    pub mode: Mode,
    /// Whether anybody takes words before the program has ended.
    pub takes: bool,
    /// Bytes of the bitmap of excluded functions that a program gets, if any.
    pub bitmap: Option<u8>,
    /// The plan that a process gets for each return address that it asks for, with its shapes at word offsets from its begin.
    pub plan: Option<fn(&Request) -> Vec<u64>>,
    /// How it reads memory that may not be there.
    pub probe: u32,
}

impl Default for How {
    fn default() -> Self {
        Self {
            chunks: 1024,
            when_full: Full::Wait,
            clock: Clock::Tsc,
            mode: Mode::Record,
            takes: true,
            bitmap: None,
            plan: None,
            probe: 0,
        }
    }
}

/// A recorder that runs.
pub struct Session {
    live: Arc<Live>,
    path: PathBuf,
    ends: Arc<AtomicBool>,
    recorder: Option<JoinHandle<Recorded>>,
}

impl Session {
    pub fn start(folder: &Folder, how: How) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::start_at(folder.join(&format!("session-{number}.live")), how)
    }

    /// With a name for the shared file.
    pub fn start_at(path: PathBuf, how: How) -> Self {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path has no 0");
        let setup = Setup {
            buffer_bytes: how.chunks * CHUNK_BYTES as u64,
            when_full: how.when_full,
            clock: how.clock,
            ticks_per_second: 0,
            first_mode: how.mode,
            session: *b"a test's session",
        };
        let live = Arc::new(Live::create(&name, &setup).expect("the folder has room"));
        live.set_coarse(1 << 20);
        live.set_probe(how.probe);
        let ends = Arc::new(AtomicBool::new(false));
        let recorder = std::thread::spawn({
            let (live, ends) = (live.clone(), ends.clone());
            move || record(&live, &ends, how)
        });
        Self {
            live,
            path,
            ends,
            recorder: Some(recorder),
        }
    }

    /// Says that another process is the recorder.
    pub fn set_recorder(&self, pid: u32) {
        self.live
            .header()
            .recorder_pid
            .store(pid, Ordering::Release);
    }

    /// Threads that wait for a chunk.
    pub fn waiting(&self) -> u64 {
        self.live.header().waiting.load(Ordering::Acquire)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The command that runs a program traced.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", library())
            .env("UMBEL_TRACE_LIVE", &self.path);
        command
    }

    /// Ends the session: what every process left is taken.
    pub fn finish(mut self) -> Recorded {
        self.ends.store(true, Ordering::Release);
        self.live.ring();
        let recorder = self.recorder.take().expect("it is finished once");
        recorder.join().expect("the recorder doesn't panic")
    }
}

fn record(live: &Live, ends: &AtomicBool, how: How) -> Recorded {
    let mut recorded = Recorded {
        has_gaps: how.when_full == Full::Overwrite,
        ..Recorded::default()
    };
    let mut taker = Taker::new();
    let mut regions = BTreeMap::new();
    loop {
        let ended = ends.load(Ordering::Acquire);
        let rings = live.rings();
        let pages: Vec<_> = live.pages().collect();
        if how.takes || ended {
            let taken = taker.take(live, Which::All, &mut recorded.sink());
            if 2 * taken.used > live.chunk_count() {
                let _ = live.grow(256);
            }
        }
        for page in pages {
            if page.asked != page.answered {
                recorded.questions += 1;
                if let Some(byte) = how.bitmap {
                    recorded.exclude(live, page.index, byte);
                }
                if how.plan.is_some() {
                    regions.entry(page.serial).or_insert_with(|| {
                        let region = Region::create(live).expect("the folder has room");
                        region.give_to(live, page.index);
                        region
                    });
                }
                live.answer(page.index, page.asked);
            }
        }
        for region in regions.values_mut() {
            recorded.requests += answer(live, region, how.plan);
            for held in region.held() {
                recorded.held += 1;
                region.let_go(&held);
            }
        }
        if ended {
            for page in live.pages().collect::<Vec<_>>() {
                recorded.lost_at_the_end += page.lost;
                taker.retire_dead(live, page.index, |_| true);
            }
            taker.take(live, Which::All, &mut recorded.sink());
            recorded.lost_at_the_end += live.lost_without_chunk();
            return recorded;
        }
        live.wait_bell(rings, Duration::from_millis(2));
    }
}

fn answer(live: &Live, region: &mut Region, plan: Option<fn(&Request) -> Vec<u64>>) -> usize {
    let requests: Vec<Request> = region.requests().collect();
    for request in &requests {
        let words = plan.map_or_else(Vec::new, |plan| plan(request));
        let place = (!words.is_empty()).then(|| {
            let place = region.place(live, words.len());
            place.expect("the folder has room")
        });
        if let Some(place) = place {
            region.write(place, &relocated(words, place));
        }
        let published = region.publish(live, request.return_address, place);
        published.expect("the folder has room");
        region.answered(request);
    }
    requests.len()
}

/// Shape offsets of the plan's ops are from its begin: the test's plans have no other.
fn relocated(mut words: Vec<u64>, place: u32) -> Vec<u64> {
    let shape = Op::plain(Opcode::Shape).pack();
    for at in 1..words.len() {
        if words[at - 1] == shape {
            words[at] += u64::from(place);
        }
    }
    words
}

/// What was recorded.
#[derive(Default)]
pub struct Recorded {
    /// Each thread's words by process and thread, in order.
    pub threads: BTreeMap<(u64, u64), Vec<u64>>,
    /// Journals by process.
    pub journals: BTreeMap<u64, Vec<u64>>,
    /// Processes by serial: pid.
    pub pids: BTreeMap<u64, u32>,
    pub questions: usize,
    /// Plans that were asked for.
    pub requests: usize,
    /// Threads that were held, and let go.
    pub held: usize,
    pub has_gaps: bool,
    pub lost_at_the_end: u64,
}

/// What a thread did, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Call {
        function: u64,
        ticks: u64,
    },
    Return {
        function: u64,
        ticks: u64,
    },
    Special {
        code: u16,
        ticks: u64,
        argument: u64,
    },
}

impl Recorded {
    /// Gives the process on page `index` a bitmap of equal bytes, for the program itself.
    fn exclude(&self, live: &Live, index: usize, byte: u8) {
        for entry in self.entries() {
            if let Entry::Module {
                begin, end, path, ..
            } = entry
                && path.ends_with(b"fib_c")
            {
                let bitmap = vec![byte; ((end - begin) as usize).div_ceil(8)];
                live.set_bitmap(index, 0, begin, 64, &bitmap)
                    .expect("the folder has room");
            }
        }
    }

    fn sink(&mut self) -> impl FnMut(&umbel_trace_ring::ChunkInfo, u64, &[u64]) + '_ {
        |info, position, words| {
            self.pids.insert(info.process, info.pid);
            let kept = match info.kind {
                Kind::Events => self.threads.entry((info.process, info.thread)).or_default(),
                Kind::Journal => self.journals.entry(info.process).or_default(),
            };
            // A flight recorder has forgotten what was before, and between.
            if !kept.is_empty() && !self.has_gaps {
                assert_eq!(
                    kept.len() as u64,
                    position,
                    "words are missing, or come twice: {info:?}"
                );
            }
            kept.extend(words);
        }
    }

    /// What lies in the file, without any recorder.
    pub fn of_file(path: &Path) -> Self {
        let mut recorded = Self::default();
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path has no 0");
        Untaken::open(&name)
            .and_then(|untaken| untaken.read(&mut recorded.sink()))
            .expect("the file can be read");
        recorded
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.journals
            .values()
            .flat_map(|words| journal::entries(words))
            .collect()
    }

    /// Calls of all threads.
    pub fn calls(&self) -> u64 {
        self.count(|event| matches!(event, Event::Call { .. }))
    }

    pub fn returns(&self) -> u64 {
        self.count(|event| matches!(event, Event::Return { .. }))
    }

    pub fn specials(&self, code: Code) -> u64 {
        self.count(|event| matches!(event, Event::Special { code: its, .. } if *its == code as u16))
    }

    /// Events that were lost and told so.
    pub fn lost(&self) -> u64 {
        let mut lost = self.lost_at_the_end;
        for words in self.threads.values() {
            let mut rest = &words[..];
            while let Some((&word, more)) = rest.split_first() {
                rest = more;
                if let Word::Special {
                    code,
                    payload_words,
                } = Word::parse(word)
                {
                    let count = usize::from(payload_words).min(more.len());
                    if code == Code::Lost as u16 {
                        lost += more[2];
                    }
                    rest = &more[count..];
                }
            }
        }
        lost
    }

    /// Payloads of values behind the time of the event before, which must be theirs; with a time that is no event's: left out.
    pub fn values(&self) -> Vec<Vec<u64>> {
        let mut values = Vec::new();
        for words in self.threads.values() {
            let mut rest = &words[..];
            while let Some((&word, more)) = rest.split_first() {
                rest = more;
                if let Word::Special {
                    code,
                    payload_words,
                } = Word::parse(word)
                {
                    let (payload, after) = more.split_at(usize::from(payload_words));
                    rest = after;
                    if code == Code::Values as u16 && payload[0] != 0 {
                        values.push(payload[1..].to_vec());
                    }
                    if code == Code::Numbers as u16 {
                        values.push(values_of(plan_of(word), payload).collect());
                    }
                }
            }
        }
        values
    }

    fn count(&self, mut is: impl FnMut(&Event) -> bool) -> u64 {
        let events = self.threads.values().map(|words| events(words));
        events
            .map(|events| events.iter().filter(|event| is(event)).count() as u64)
            .sum()
    }

    /// Checks that times never go back in a thread, and that its calls and returns are nested, but for frames that were left
    /// without a return. How deep it was at its end, for each thread.
    pub fn depths(&self) -> BTreeMap<(u64, u64), usize> {
        let depth = |(&key, words): (&(u64, u64), &Vec<u64>)| {
            let mut stack = Vec::new();
            let mut last = 0;
            for event in events(words) {
                let (Event::Call { ticks, .. }
                | Event::Return { ticks, .. }
                | Event::Special { ticks, .. }) = event;
                assert!(
                    ticks >= last,
                    "the time goes back by {} in {key:?}",
                    last - ticks
                );
                last = ticks;
                match event {
                    Event::Call { function, .. } => stack.push(function),
                    Event::Return { function, .. } => {
                        while let Some(top) = stack.pop() {
                            if top == function {
                                break;
                            }
                        }
                    }
                    Event::Special { .. } => {}
                }
            }
            (key, stack.len())
        };
        self.threads.iter().map(depth).collect()
    }
}

/// Takes words apart; panics where they aren't what a producer writes.
pub fn events(words: &[u64]) -> Vec<Event> {
    let mut events = Vec::with_capacity(words.len());
    let mut upper = None;
    let mut rest = words;
    while let Some((&word, more)) = rest.split_first() {
        rest = more;
        let at = |time: u16| {
            let upper: u64 = upper.expect("a Time comes before the first call");
            upper | u64::from(time)
        };
        match Word::parse(word) {
            Word::Call { function, time } => events.push(Event::Call {
                function,
                ticks: at(time),
            }),
            Word::Return { function, time } => events.push(Event::Return {
                function,
                ticks: at(time),
            }),
            Word::Special {
                code,
                payload_words,
            } => {
                let (payload, after) = more.split_at(usize::from(payload_words));
                rest = after;
                if code == Code::Time as u16 {
                    upper = Some(payload[0] & !0xffff);
                } else if code != Code::Pending as u16 {
                    // A handler that jumped out has left the pending ones.
                    let argument = payload.get(1).copied().unwrap_or(0);
                    events.push(Event::Special {
                        code,
                        ticks: payload[0],
                        argument,
                    });
                }
            }
        }
    }
    events
}

/// How a program ended.
pub struct Outcome {
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The number behind `name` on standard output.
    pub fn number(&self, name: &str) -> u64 {
        let mut words = self.stdout.split_whitespace();
        words.find(|word| *word == name);
        let number = words.next().and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {:?}, {:?}", self.stdout, self.stderr))
    }

    pub fn must_succeed(self) -> Self {
        assert_eq!(
            (self.status, self.signal),
            (Some(0), None),
            "{}{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs a command; one that hangs is killed.
pub fn run(command: &mut Command) -> Outcome {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    wait(child.expect("the program was compiled before"))
}

/// Waits for a child whose output is piped.
pub fn wait(mut child: Child) -> Outcome {
    fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let stdout = read(child.stdout.take().expect("it is piped"));
    let stderr = read(child.stderr.take().expect("it is piped"));
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the program hangs: {}", stderr.join().unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Outcome {
        status: status.code(),
        signal: status.signal(),
        stdout: stdout.join().expect("the pipe is read to its end"),
        stderr: stderr.join().expect("the pipe is read to its end"),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        self.live.ring();
    }
}

/// Waits for a condition, but not for ever.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
