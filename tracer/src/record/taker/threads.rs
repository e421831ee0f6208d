//! Threads whose words are taken: triggers judge the words, what is to be left out of them is, and the rest goes on to the output.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use umbel_trace_ring::ChunkInfo;

use super::super::clock;
use super::super::flow::Flow;
use super::super::output::Output;
use super::super::trim::Limits;
use super::post::{News, Post};
use super::shared::{Rules, Shared};
use crate::recording::{ProcessSerial, ThreadInfo, ThreadSerial};
use crate::trigger::{Active, Counts, Fired, Setting, ThreadName, Watch, Watched, mark};

/// All threads of the session.
pub(super) struct Threads {
    shared: Arc<Shared>,
    /// By serial.
    each: HashMap<u64, Thread>,
    /// How often cases of triggers were true.
    counts: Counts,
}

/// A thread's next words.
pub(super) struct Arrived<'a> {
    pub(super) chunk: &'a ChunkInfo,
    pub(super) position: u64,
    pub(super) words: &'a [u64],
    /// They may be older than the patches of their process.
    pub(super) are_early: bool,
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

impl Threads {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            each: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// A thread is there; once more when its name changes.
    pub(super) fn known(&mut self, process: u64, info: &ThreadInfo) {
        let known = self.each.entry(info.serial.0).or_default();
        (known.process, known.tid) = (process, info.tid);
        known.name.clone_from(&info.name);
    }

    /// Hands on what `rules` leave of a thread's words, and tells which triggers they fired.
    pub(super) fn words(
        &mut self,
        arrived: &Arrived,
        rules: &Rules,
        output: &mut Output,
        news: &Post,
    ) {
        let &Arrived {
            chunk,
            position,
            words,
            are_early,
        } = arrived;
        let thread = self.each.entry(chunk.thread).or_default();
        (thread.process, thread.tid) = (chunk.process, chunk.tid);
        let (serial, process) = (ThreadSerial(chunk.thread), ProcessSerial(chunk.process));
        // A thread whose words were thrown away (a flight recorder's, or a program's nonsense) goes on further on.
        let end = position.saturating_add(words.len() as u64);
        let positions = position..end;
        thread.position = end;
        let seen = watch(thread, chunk.process, words, rules, &mut self.counts);
        for fired in seen.fired {
            let process = chunk.process;
            news.send(News::Fired { fired, process });
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
    pub(super) fn note(&mut self, process: u64, tid: u32, text: &str) {
        let threads = self.each.iter_mut();
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

    /// Hands on calls that have become old enough while their threads wrote nothing.
    pub(super) fn release_held(&mut self, rules: &Rules) {
        let mut output = None;
        for (serial, thread) in &mut self.each {
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
    pub(super) fn finish(&mut self, process: u64) {
        let mut output = self.shared.output();
        self.each.retain(|serial, thread| {
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

    /// No more words come.
    pub(super) fn finish_all(&mut self) {
        let processes: Vec<u64> = self.each.values().map(|thread| thread.process).collect();
        for process in processes {
            self.finish(process);
        }
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
