//! The thread that takes words out of the chunks and hands them on.
//!
//! It sleeps on the bell, for so long that about a MiB of words is there when it wakes: what is taken while it is still in the
//! caches costs least. Quiet threads are looked at every [`QUIET`], so that live views see what they did.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use umbel_trace_ring::journal;
use umbel_trace_ring::layout::{Clock, Kind};
use umbel_trace_ring::{ChunkInfo, Live, Taken, Taker, Which};

use super::clock;
use super::code::Verdict;
use super::flow::Flow;
use super::output::Output;
use super::trim::Limits;
use super::values::{HeldThread, Planner};
use super::wake::Waker;
use crate::filter;
use crate::recording::{
    LostInfo, ModuleGone, ModuleInfo, ProcessInfo, ProcessSerial, ThreadSerial, Told,
};
use crate::trigger::{Active, Counts, Fired, Setting, ThreadName, Watch, Watched, mark};

/// Longest sleep.
const QUIET: Duration = Duration::from_millis(40);

/// Shortest sleep: waking up costs 10 us.
const BUSY: Duration = Duration::from_micros(500);

/// Between two looks for threads that ended without a word.
const DEAD_THREADS_EACH: Duration = Duration::from_secs(1);

/// Of the chunks that there may be, one in so many is there soon after the beginning: a recorder that gets no processor for a while,
/// on a machine that is busy, must not lose events while most of the buffer isn't made yet.
const FIRST_SHARE: u32 = 4;

/// Words that are there when it wakes, if its guess is right.
const WORDS_WISHED: u64 = 128 * 1024;

/// What the session wants of it.
#[derive(Debug)]
pub enum Order {
    /// Take all that is there now, a flight recorder's calls too.
    TakeAll,
    /// The process on this page is dead: take what it left. Then [`News::Retired`].
    Retire {
        /// Index of the page.
        page: usize,
        /// Serial of the process.
        serial: u64,
    },
    /// The process of this serial goes on as another program.
    Forget(u64),
    /// Put a text among a thread's calls, behind those that it has made.
    Note {
        /// Serial of the process.
        process: u64,
        /// The thread; 0: the one of the process that came first.
        tid: u32,
        /// What it says.
        text: String,
    },
    /// Take what is there and end. Then [`News::Stopped`].
    Stop,
}

/// What it tells the session.
#[derive(Debug)]
pub enum News {
    /// A process begins.
    Process(ProcessInfo),
    /// A module is there.
    Module(ModuleInfo),
    /// A module is gone.
    ModuleGone(ModuleGone),
    /// A process is a node of a distributed program, with this rank.
    Rank(ProcessSerial, u32),
    /// A process waits for its answer: all it had to tell has been told.
    Question {
        /// Index of the page.
        page: usize,
        /// Serial of the process.
        serial: u64,
        /// Number of the question.
        asked: u32,
    },
    /// All was taken that was there at [`Order::TakeAll`].
    TakenAll,
    /// A dead process has no more words.
    Retired {
        /// Index of the page.
        page: usize,
        /// Serial of the process.
        serial: u64,
    },
    /// A trigger's condition was judged.
    Fired {
        /// What was found.
        fired: Fired,
        /// Serial of the process.
        process: u64,
    },
    /// Threads may be held that were not.
    Held,
    /// The buffer can't grow: why.
    NotGrown(String),
    /// It has ended.
    Stopped,
}

/// What both threads see.
pub struct Shared {
    /// The shared file.
    pub live: Live,
    /// The session's clock.
    pub clock: Clock,
    /// Whether calls stay in the chunks until they are asked for.
    pub is_flight: bool,
    output: Mutex<Output>,
    planner: Option<Mutex<Planner>>,
    rules: RwLock<Arc<Rules>>,
}

/// What is left out when words are taken.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Depth and duration.
    pub limits: Limits,
    /// Threads.
    pub threads: filter::Limits,
    /// Excluded functions of each process.
    pub excluded: HashMap<u64, Vec<ExcludedModule>>,
    /// Since when nothing is recorded, in ticks: what comes is for triggers.
    pub off_since: Option<u64>,
    /// Triggers that are set.
    pub triggers: Vec<Active>,
    /// Functions of each process that they speak of.
    pub watched: HashMap<u64, Watched>,
    /// Ticks per second, as well as is known.
    pub pace: u64,
}

/// Excluded functions of a loaded module.
#[derive(Clone, Debug)]
pub struct ExcludedModule {
    /// Where it begins in its process.
    pub begin: u64,
    /// Where it ends.
    pub end: u64,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// Which functions.
    pub verdict: Arc<Verdict>,
    /// Whether their calls may come although the sites are patched, or can't be.
    pub leaks: bool,
}

impl Shared {
    /// A session's.
    pub fn new(
        live: Live,
        clock: Clock,
        is_flight: bool,
        output: Output,
        planner: Option<Planner>,
    ) -> Self {
        Self {
            live,
            clock,
            is_flight,
            output: Mutex::new(output),
            planner: planner.map(Mutex::new),
            rules: RwLock::default(),
        }
    }

    /// What was taken, and where it goes.
    pub fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who makes capture plans, if values are wanted.
    pub fn planner(&self) -> Option<MutexGuard<'_, Planner>> {
        let planner = self.planner.as_ref()?;
        Some(planner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is left out.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has other things left out from the next words on.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// What was taken: for the end, when nobody else has it.
    pub fn into_output(self) -> (Live, Output) {
        (
            self.live,
            self.output
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Rules {
    /// What of a process is to be dropped: all that is excluded, if the words may be older than its patches.
    fn dropped(&self, process: u64, are_early: bool) -> Vec<&ExcludedModule> {
        let modules = self.excluded.get(&process).into_iter().flatten();
        modules.filter(|module| are_early || module.leaks).collect()
    }

    fn is_empty(&self) -> bool {
        self.limits.depth_max.is_none()
            && self.limits.ticks_min.is_none()
            && !self.threads.judges_threads()
    }
}

/// Starts it.
pub fn start(
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    news: Sender<News>,
    waker: Waker,
) -> std::io::Result<JoinHandle<()>> {
    let work = Work {
        shared,
        news: Post { news, waker },
        threads: HashMap::new(),
        questions: HashMap::new(),
        waiting: Vec::new(),
        grow_failed: false,
        counts: Counts::default(),
        held: Vec::new(),
        held_rings: 0,
    };
    thread::Builder::new()
        .name("umbel-take".into())
        .spawn(move || work.run(&orders))
}

struct Work {
    shared: Arc<Shared>,
    news: Post,
    threads: HashMap<u64, Thread>,
    /// Questions that were passed on, by page: serial and number.
    questions: HashMap<usize, (u64, u32)>,
    /// Words of processes whose question was not answered yet: what is excluded isn't known.
    waiting: Vec<Waiting>,
    grow_failed: bool,
    /// How often cases of triggers were true.
    counts: Counts,
    /// Threads that were held at the last look, and how often the bell had been rung.
    held: Vec<HeldThread>,
    held_rings: u32,
}

/// Words that wait for a verdict.
struct Waiting {
    chunk: ChunkInfo,
    position: u64,
    words: Vec<u64>,
}

/// Chunks with words that wait, at most: a process goes on after 2 s without an answer.
const WAITING_MAX: usize = 4096;

/// News for the session, which sleeps in poll.
struct Post {
    news: Sender<News>,
    waker: Waker,
}

impl Post {
    fn send(&self, news: News) {
        // A session that has gone needs no news.
        let _ = self.news.send(news);
        self.waker.wake();
    }
}

#[derive(Default)]
struct Thread {
    process: u64,
    tid: u32,
    name: String,
    /// Where its next words begin.
    position: u64,
    flow: Flow,
    /// While triggers are set.
    watch: Option<Watch>,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut taker = Taker::new();
        let mut pause = QUIET;
        let mut last_look = Instant::now();
        self.grow_first();
        loop {
            let rings = self.shared.live.rings();
            // First: somebody waits.
            self.answer();
            let usual = match self.shared.is_flight {
                true => Which::Journals,
                false => Which::All,
            };
            let taken = self.take(&mut taker, usual);
            self.tell_held(rings);
            self.answer();
            if self.obey(&mut taker, orders).is_break() {
                break;
            }
            self.grow(&taken);
            if last_look.elapsed() > DEAD_THREADS_EACH {
                last_look = Instant::now();
                self.retire_threads(&mut taker);
            }
            pause = next_pause(pause, taken.words);
            let begin = Instant::now();
            self.shared.live.wait_bell(rings, pause);
            // The bell is rung when too much is there: then the guess was too long.
            pause = begin.elapsed().clamp(BUSY, pause);
        }
        self.news.send(News::Stopped);
    }

    /// Makes the capture plans that hooks ask for.
    fn answer(&self) {
        if let Some(mut planner) = self.shared.planner() {
            planner.answer(&self.shared);
        }
    }

    /// Tells that threads wait, if that may be new. `rings` of the bell were heard before: who begins to wait rings it.
    fn tell_held(&mut self, rings: u32) {
        let held = self.shared.planner().map(|planner| planner.held());
        let held = held.unwrap_or_default();
        let is_new = held != self.held || rings != self.held_rings;
        self.held_rings = rings;
        if is_new && !held.is_empty() {
            self.news.send(News::Held);
        }
        self.held = held;
    }

    /// Takes what is there, and passes on the questions that were asked before.
    fn take(&mut self, taker: &mut Taker, which: Which) -> Taken {
        let shared = Arc::clone(&self.shared);
        // Before the journals are read: what a question is about is in them.
        let asking: Vec<_> = shared
            .live
            .pages()
            .filter(|page| page.asked != page.answered)
            .collect();
        // After the pages: who has its answer has its rules here.
        let rules = shared.rules();
        let is_full = self.waiting.len() >= WAITING_MAX;
        let waits = |process| !is_full && asking.iter().any(|page| page.serial == process);
        self.judge_waiting(&rules, |process| !waits(process));
        let mut output = None;
        let taken = taker.take(&shared.live, which, &mut |chunk, position, words| {
            let output = output.get_or_insert_with(|| shared.output());
            match chunk.kind {
                Kind::Journal => self.journal(output, chunk, words),
                Kind::Events if waits(chunk.process) => {
                    self.waiting.push(Waiting {
                        chunk: *chunk,
                        position,
                        words: words.to_vec(),
                    });
                }
                Kind::Events => self.events(output, chunk, position, words, &rules, false),
            }
        });
        drop(output);
        self.release_held(&rules);
        for page in asking {
            let question = (page.serial, page.asked);
            if self.questions.insert(page.index, question) != Some(question) {
                self.news.send(News::Question {
                    page: page.index,
                    serial: page.serial,
                    asked: page.asked,
                });
            }
        }
        taken
    }

    fn obey(&mut self, taker: &mut Taker, orders: &Receiver<Order>) -> ControlFlow<()> {
        loop {
            match orders.try_recv() {
                Ok(Order::TakeAll) => {
                    self.take(taker, Which::All);
                    self.news.send(News::TakenAll);
                }
                Ok(Order::Retire { page, serial }) => {
                    let shared = Arc::clone(&self.shared);
                    taker.retire_dead(&shared.live, page, |_| true);
                    self.take(taker, Which::All);
                    self.judge_waiting(&shared.rules(), |process| process == serial);
                    self.finish_threads(serial);
                    self.questions.remove(&page);
                    self.news.send(News::Retired { page, serial });
                }
                Ok(Order::Forget(serial)) => self.finish_threads(serial),
                Ok(Order::Note { process, tid, text }) => {
                    self.take(taker, Which::All);
                    self.note(process, tid, &text);
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => {
                    self.take(taker, Which::All);
                    let rules = self.shared.rules();
                    self.judge_waiting(&rules, |_| true);
                    let processes: Vec<u64> =
                        self.threads.values().map(|thread| thread.process).collect();
                    for process in processes {
                        self.finish_threads(process);
                    }
                    return ControlFlow::Break(());
                }
                Err(TryRecvError::Empty) => return ControlFlow::Continue(()),
            }
        }
    }

    /// Threads that ended without a word (by exit of the system call alone) leave their chunk behind: it is full now.
    fn retire_threads(&self, taker: &mut Taker) {
        let live = &self.shared.live;
        for page in live.pages() {
            let is_dead = |tid: u32| !Path::new(&format!("/proc/{}/task/{tid}", page.pid)).exists();
            // Of a dead process the session tells.
            if !is_dead(page.pid) {
                taker.retire_dead(live, page.index, is_dead);
            }
        }
    }

    fn grow_first(&mut self) {
        let live = &self.shared.live;
        let wanted = live.mapping().chunk_max() as u32 / FIRST_SHARE;
        let there = live.chunk_count() as u32;
        if !self.shared.is_flight && wanted > there {
            // If the disk is full there is less, as long as it is.
            let _ = live.grow(wanted - there);
        }
    }

    /// More chunks, before those that are there are full.
    fn grow(&mut self, taken: &Taken) {
        let live = &self.shared.live;
        let count = live.chunk_count();
        if self.shared.is_flight || taken.used * 2 < count || self.grow_failed {
            return;
        }
        match live.grow(u32::try_from(count).unwrap_or(u32::MAX)) {
            Ok(_) => {}
            Err(umbel_trace_ring::Error::NoMoreChunks) => self.grow_failed = true,
            Err(error) => {
                self.grow_failed = true;
                self.news.send(News::NotGrown(error.to_string()));
            }
        }
    }

    fn journal(&mut self, output: &mut Output, chunk: &ChunkInfo, words: &[u64]) {
        for entry in journal::entries(words) {
            match Told::new(ProcessSerial(chunk.process), chunk.pid, entry) {
                Told::Process(info) => {
                    output.process(&info);
                    self.news.send(News::Process(info));
                }
                Told::Thread(info) => {
                    let known = self.threads.entry(info.serial.0).or_default();
                    (known.process, known.tid) = (chunk.process, info.tid);
                    known.name.clone_from(&info.name);
                    output.thread(&info);
                }
                Told::Module(info) => {
                    output.module(&info);
                    self.news.send(News::Module(info));
                }
                Told::Rank(process, rank) => self.news.send(News::Rank(process, rank)),
                Told::ModuleGone(gone) => {
                    output.module_gone(&gone);
                    self.news.send(News::ModuleGone(gone));
                }
            }
        }
    }

    fn events(
        &mut self,
        output: &mut Output,
        chunk: &ChunkInfo,
        position: u64,
        words: &[u64],
        rules: &Rules,
        are_early: bool,
    ) {
        let thread = self.threads.entry(chunk.thread).or_default();
        (thread.process, thread.tid) = (chunk.process, chunk.tid);
        let (serial, process) = (ThreadSerial(chunk.thread), ProcessSerial(chunk.process));
        // A thread whose words were thrown away (a flight recorder's, or a program's nonsense) goes on further on.
        let end = position.saturating_add(words.len() as u64);
        let positions = position..end;
        thread.position = end;
        let seen = watch(thread, chunk.process, words, rules, &mut self.counts);
        for fired in seen.fired {
            let process = chunk.process;
            self.news.send(News::Fired { fired, process });
        }
        let (words, unwanted) = seen.words.split_at(seen.cut);
        let dropped = rules.dropped(chunk.process, are_early);
        let mut positions = Some(positions);
        // What is written behind the thread's own words takes no place among them.
        let onward = &mut |words: &[u64]| {
            let positions = positions.take().unwrap_or(end..end);
            output.words(serial, process, positions, words)
        };
        let flow = &mut thread.flow;
        let is_seen = rules.threads.includes_thread(thread.tid, &thread.name);
        if rules.is_empty() && dropped.is_empty() && !flow.holds() {
            flow.pass(words, onward);
        } else if is_seen {
            let excludes = |function: u64| dropped.iter().any(|module| module.excludes(function));
            let now = clock::ticks(self.shared.clock);
            flow.trim(words, &rules.limits, excludes, now, onward);
        } else {
            flow.drop(words);
        }
        if !unwanted.is_empty() {
            // Marks stay.
            flow.trim(unwanted, &Limits::default(), |_| true, u64::MAX, onward);
        }
        if positions.is_some() {
            output.words(serial, process, position..end, &[]);
        }
    }

    /// Puts a text among a thread's calls. A thread that has made none has no place for it.
    fn note(&mut self, process: u64, tid: u32, text: &str) {
        let threads = self.threads.iter_mut();
        let of_process = threads.filter(|(_, thread)| thread.process == process);
        let meant = of_process
            .filter(|(_, thread)| tid == 0 || thread.tid == tid)
            .min_by_key(|(serial, _)| **serial);
        let Some((serial, thread)) = meant else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let now = clock::ticks(shared.clock);
        let words = mark(now, text);
        let positions = thread.position..thread.position;
        let (serial, process) = (ThreadSerial(*serial), ProcessSerial(process));
        let mut output = shared.output();
        let onward = &mut |words: &[u64]| output.words(serial, process, positions.clone(), words);
        match thread.flow.holds() {
            true => {
                let limits = &shared.rules().limits;
                thread.flow.trim(&words, limits, |_| false, now, onward);
            }
            false => thread.flow.pass(&words, onward),
        }
    }

    /// Hands on the words of processes that have their answer.
    fn judge_waiting(&mut self, rules: &Rules, has_answer: impl Fn(u64) -> bool) {
        let all = std::mem::take(&mut self.waiting);
        if all.is_empty() {
            return;
        }
        let is_judged = |waiting: &Waiting| has_answer(waiting.chunk.process);
        let (judged, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(is_judged);
        self.waiting = waiting;
        let shared = Arc::clone(&self.shared);
        let mut output = shared.output();
        for Waiting {
            chunk,
            position,
            words,
        } in judged
        {
            self.events(&mut output, &chunk, position, &words, rules, true);
        }
    }

    /// Hands on calls that have become old enough while their threads wrote nothing.
    fn release_held(&mut self, rules: &Rules) {
        let mut output = None;
        for (serial, thread) in &mut self.threads {
            if !thread.flow.holds() {
                continue;
            }
            let output = output.get_or_insert_with(|| self.shared.output());
            let now = clock::ticks(self.shared.clock);
            let (serial, process) = (ThreadSerial(*serial), ProcessSerial(thread.process));
            let positions = thread.position..thread.position;
            thread
                .flow
                .release(&rules.limits, now, &mut |kept: &[u64]| {
                    output.words(serial, process, positions.clone(), kept)
                });
        }
    }

    /// No more words come from the threads of this process.
    fn finish_threads(&mut self, process: u64) {
        let mut output = self.shared.output();
        self.threads.retain(|serial, thread| {
            if thread.process != process {
                return true;
            }
            let positions = thread.position..thread.position;
            thread.flow.finish(&mut |kept: &[u64]| {
                output.words(
                    ThreadSerial(*serial),
                    ProcessSerial(process),
                    positions.clone(),
                    kept,
                )
            });
            false
        });
    }
}

/// What triggers have made of a thread's words.
struct Seen<'a> {
    /// With a mark behind each event that fired one.
    words: Cow<'a, [u64]>,
    /// From here on they are not to be recorded.
    cut: usize,
    fired: Vec<Fired>,
}

/// Looks for triggers in a thread's words.
fn watch<'a>(
    thread: &mut Thread,
    process: u64,
    words: &'a [u64],
    rules: &Rules,
    counts: &mut Counts,
) -> Seen<'a> {
    if rules.triggers.is_empty() {
        thread.watch = None;
        return Seen {
            words: words.into(),
            cut: words.len(),
            fired: Vec::new(),
        };
    }
    let nothing = Watched::default();
    let setting = Setting {
        active: &rules.triggers,
        watched: rules.watched.get(&process).unwrap_or(&nothing),
        off_since: rules.off_since,
    };
    let name = ThreadName {
        tid: thread.tid,
        name: &thread.name,
    };
    let pace = u128::from(rules.pace.max(1));
    let nanoseconds = |ticks: u64| (u128::from(ticks) * 1_000_000_000 / pace) as u64;
    let watch = thread.watch.get_or_insert_default();
    let (fired, mut cut) = watch.add(words, &setting, counts, name, nanoseconds);
    let mut marked = Cow::from(words);
    // From the last on: what lies before keeps its place.
    for (index, fired) in fired.iter().rev().filter(|(_, fired)| fired.is_true) {
        let set = rules
            .triggers
            .iter()
            .find(|set| set.id == fired.case.trigger);
        let texts = set.map(Active::marks).unwrap_or_default();
        let marks: Vec<u64> = texts
            .iter()
            .flat_map(|text| mark(fired.ticks, text))
            .collect();
        cut += if *index < cut { marks.len() } else { 0 };
        marked.to_mut().splice(*index..*index, marks);
    }
    Seen {
        words: marked,
        cut,
        fired: fired.into_iter().map(|(_, fired)| fired).collect(),
    }
}

impl ExcludedModule {
    fn excludes(&self, function: u64) -> bool {
        (self.begin..self.end).contains(&function)
            && self.verdict.excludes(function.wrapping_sub(self.bias))
    }
}

/// The sleep after which about [`WORDS_WISHED`] are there, if the threads go on as in the last one.
fn next_pause(last: Duration, words: u64) -> Duration {
    if words == 0 {
        return (last * 2).clamp(BUSY, QUIET);
    }
    last.mul_f64(WORDS_WISHED as f64 / words as f64)
        .clamp(BUSY, QUIET)
}

/// What a dead process lost without a word.
pub fn lost_at_end(process: u64, count: u64, ticks: u64) -> LostInfo {
    LostInfo {
        process: Some(ProcessSerial(process)),
        count,
        from: ticks,
        until: ticks,
        why: "no chunk of the buffer was free (--buffer makes it larger, --when-full wait loses nothing)".into(),
        ..LostInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_follows_the_rate_between_its_bounds() {
        let pause = next_pause(Duration::from_millis(10), WORDS_WISHED * 2);
        assert_eq!(pause, Duration::from_millis(5));
        assert_eq!(next_pause(Duration::from_millis(10), 1), QUIET);
        assert_eq!(next_pause(Duration::from_millis(10), u64::MAX), BUSY);
        assert_eq!(next_pause(QUIET, 0), QUIET);
    }
}
