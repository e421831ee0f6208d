//! The thread that takes words out of the chunks and hands them on.
//!
//! It sleeps on the bell, for so long that about a MiB of words is there when it wakes: what is taken while it is still in the
//! caches costs least. Quiet threads are looked at every [`QUIET`], so that live views see what they did.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use umbel_trace_ring::journal;
use umbel_trace_ring::layout::Kind;
use umbel_trace_ring::{ChunkInfo, Taken, Taker, Which};

use super::output::Output;
use super::values::HeldThread;
use super::wake::Waker;
use crate::recording::{LostInfo, ProcessSerial, Told};

mod post;
mod shared;
mod threads;

use post::Post;
pub use post::{News, Order};
pub use shared::{ExcludedModule, Rules, Shared};
use threads::{Arrived, Threads};

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

/// Starts it.
pub fn start(
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    news: Sender<News>,
    waker: Waker,
) -> std::io::Result<JoinHandle<()>> {
    let work = Work {
        threads: Threads::new(Arc::clone(&shared)),
        shared,
        news: Post { news, waker },
        questions: HashMap::new(),
        waiting: Vec::new(),
        grow_failed: false,
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
    threads: Threads,
    /// Questions that were passed on, by page: serial and number.
    questions: HashMap<usize, (u64, u32)>,
    /// Words of processes whose question was not answered yet: what is excluded isn't known.
    waiting: Vec<Waiting>,
    grow_failed: bool,
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
                Kind::Events => {
                    let arrived = Arrived {
                        chunk,
                        position,
                        words,
                        are_early: false,
                    };
                    self.threads.words(&arrived, &rules, output, &self.news);
                }
            }
        });
        drop(output);
        self.threads.release_held(&rules);
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
                    self.threads.finish(serial);
                    self.questions.remove(&page);
                    self.news.send(News::Retired { page, serial });
                }
                Ok(Order::Forget(serial)) => self.threads.finish(serial),
                Ok(Order::Note { process, tid, text }) => {
                    self.take(taker, Which::All);
                    self.threads.note(process, tid, &text);
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => {
                    self.take(taker, Which::All);
                    let rules = self.shared.rules();
                    self.judge_waiting(&rules, |_| true);
                    self.threads.finish_all();
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
                    self.threads.known(chunk.process, &info);
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
            let arrived = Arrived {
                chunk: &chunk,
                position,
                words: &words,
                are_early: true,
            };
            self.threads.words(&arrived, rules, &mut output, &self.news);
        }
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
