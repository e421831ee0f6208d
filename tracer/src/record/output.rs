//! What a session has taken, and where it goes. A sink that refuses is told of once; what it didn't take is counted, and said to
//! it as lost as soon as it takes anything again.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use umbel_trace_ring::word::{Code, Word};
use umbel_values::{Kept, Type};

use super::sink::Sink;
use crate::recording::{
    ClockPoint, Ended, Image, LostInfo, ModuleGone, ModuleInfo, Name, ProcessInfo, ProcessSerial,
    Result, ThreadInfo, ThreadSerial,
};

/// All sinks of a session, and what is known of what went there.
pub struct Output {
    sinks: Vec<Box<dyn Sink>>,
    /// What a full disk cost, until it is written down.
    unwritten: BTreeMap<(ProcessSerial, ThreadSerial), LostInfo>,
    tally: Tally,
    /// Functions that occurred, by process; and those whose names are still to be written.
    seen: BTreeMap<ProcessSerial, Seen>,
    refusal: Option<String>,
}

/// Counts for the last line, and for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls and returns stored.
    pub events: u64,
    /// Calls and returns lost, wherever.
    pub lost: u64,
    /// Of them those that no sink took.
    pub refused: u64,
    /// Threads that had events.
    pub threads: HashSet<ThreadSerial>,
    /// Processes there were.
    pub processes: HashSet<ProcessSerial>,
}

/// What words say of themselves.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    events: u64,
    lost: u64,
    last_ticks: Option<u64>,
}

/// Addresses of functions, of which most have been seen just before.
struct Seen {
    recent: Box<[u64; RECENT]>,
    all: HashSet<u64>,
    new: Vec<u64>,
}

const RECENT: usize = 1024;

impl Output {
    /// Goes to `sinks`.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self {
            sinks,
            unwritten: BTreeMap::new(),
            tally: Tally::default(),
            seen: BTreeMap::new(),
            refusal: None,
        }
    }

    /// What went there.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bytes stored.
    pub fn bytes(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.bytes()).sum()
    }

    /// Why a sink first refused, once.
    pub fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// A process begins.
    pub fn process(&mut self, process: &ProcessInfo) {
        self.tally.processes.insert(process.serial);
        self.each(|sink| sink.process(process));
    }

    /// A thread has its first event.
    pub fn thread(&mut self, thread: &ThreadInfo) {
        self.each(|sink| sink.thread(thread));
    }

    /// A module is there.
    pub fn module(&mut self, module: &ModuleInfo) {
        self.each(|sink| sink.module(module));
    }

    /// A module is gone.
    pub fn module_gone(&mut self, gone: &ModuleGone) {
        self.each(|sink| sink.module_gone(gone));
    }

    /// One moment on all clocks.
    pub fn clock(&mut self, point: ClockPoint) {
        self.each(|sink| sink.clock(point));
    }

    /// A process ended.
    pub fn ended(&mut self, process: ProcessSerial, ticks: u64, ended: Ended) {
        self.each(|sink| sink.ended(process, ticks, ended));
    }

    /// Names of functions.
    pub fn names(&mut self, image: &Image, names: &[Name]) {
        self.each(|sink| sink.names(image, names));
    }

    /// Types of a module's values.
    pub fn types(&mut self, image: &Image, first: u32, types: &[Type]) {
        self.each(|sink| sink.types(image, first, types));
    }

    /// A capture plan.
    pub fn plan(&mut self, image: &Image, kept: &Kept) {
        self.each(|sink| sink.plan(image, kept));
    }

    /// Events are lost that no word tells of.
    pub fn lost(&mut self, lost: &LostInfo) {
        self.tally.lost += lost.count;
        self.each(|sink| sink.lost(lost));
    }

    /// What is kept of the words of a thread; the last time among them, if there is one.
    pub fn words(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        words: &[u64],
    ) -> Option<u64> {
        let seen = self.seen.entry(process).or_insert_with(Seen::new);
        let content = inspect(words, seen);
        self.tally.lost += content.lost;
        if content.events > 0 {
            self.tally.threads.insert(thread);
        }
        let mut is_stored = true;
        for sink in &mut self.sinks {
            if let Err(error) = sink.words(thread, process, positions.clone(), words) {
                is_stored = false;
                self.refusal.get_or_insert_with(|| error.to_string());
            }
        }
        if is_stored {
            self.tally.events += content.events;
            self.write_lost();
            return content.last_ticks;
        }
        self.tally.lost += content.events;
        self.tally.refused += content.events;
        let lost = self
            .unwritten
            .entry((process, thread))
            .or_insert_with(|| LostInfo {
                process: Some(process),
                thread: Some(thread),
                from: content.last_ticks.unwrap_or_default(),
                why: "the recording could not be written".into(),
                ..LostInfo::default()
            });
        lost.count += content.events;
        lost.until = content.last_ticks.unwrap_or(lost.until);
        content.last_ticks
    }

    /// Functions that occurred since the last time, by process.
    pub fn new_functions(&mut self) -> Vec<(ProcessSerial, Vec<u64>)> {
        let new = self
            .seen
            .iter_mut()
            .map(|(process, seen)| (*process, std::mem::take(&mut seen.new)));
        new.filter(|(_, new)| !new.is_empty()).collect()
    }

    /// The session ends.
    pub fn finish(mut self, ticks: u64) -> (Tally, Option<String>) {
        self.write_lost();
        for sink in self.sinks.drain(..) {
            if let Err(error) = sink.finish(ticks) {
                self.refusal.get_or_insert_with(|| error.to_string());
            }
        }
        (self.tally, self.refusal)
    }

    /// Writes down what a full disk cost, if it isn't full any more.
    fn write_lost(&mut self) {
        while let Some((key, lost)) = self.unwritten.pop_first() {
            let is_written = self.sinks.iter_mut().all(|sink| sink.lost(&lost).is_ok());
            if !is_written {
                self.unwritten.insert(key, lost);
                return;
            }
        }
    }

    fn each(&mut self, mut give: impl FnMut(&mut dyn Sink) -> Result<()>) {
        for sink in &mut self.sinks {
            if let Err(error) = give(sink.as_mut()) {
                self.refusal.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            recent: Box::new([0; RECENT]),
            all: HashSet::new(),
            new: Vec::new(),
        }
    }

    fn add(&mut self, function: u64) {
        // Functions lie 16 bytes apart.
        let recent = &mut self.recent[(function >> 4) as usize % RECENT];
        if *recent == function {
            return;
        }
        *recent = function;
        // A program that writes nonsense must not fill our memory.
        if self.all.len() < FUNCTIONS_MAX && self.all.insert(function) {
            self.new.push(function);
        }
    }
}

/// Functions of a process whose names are written down.
const FUNCTIONS_MAX: usize = 1 << 20;

/// Counts what is in `words`, and notes the functions.
fn inspect(words: &[u64], seen: &mut Seen) -> Content {
    let mut content = Content::default();
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        at += 1;
        match Word::parse(word) {
            Word::Call { function, .. } => {
                content.events += 1;
                seen.add(function);
            }
            Word::Return { .. } => content.events += 1,
            Word::Special {
                code,
                payload_words,
            } => {
                let payload = words.get(at..).unwrap_or_default();
                if code == Code::Time as u16 {
                    content.last_ticks = payload.first().copied().or(content.last_ticks);
                } else if code == Code::Lost as u16 {
                    content.lost = content
                        .lost
                        .saturating_add(payload.get(2).copied().unwrap_or_default());
                }
                at += usize::from(payload_words);
            }
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::recording::Error;

    /// Refuses words while it is full; tells what it took.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        is_full: bool,
        words: Vec<u64>,
        lost: Vec<LostInfo>,
    }

    impl Disk {
        fn state(&self) -> std::sync::MutexGuard<'_, State> {
            self.0.lock().expect("no test panics with it")
        }

        fn answer(&self) -> Result<()> {
            match self.state().is_full {
                true => Err(Error::NoRecording("full".into())),
                false => Ok(()),
            }
        }
    }

    impl Sink for Disk {
        fn process(&mut self, _: &ProcessInfo) -> Result<()> {
            self.answer()
        }
        fn thread(&mut self, _: &ThreadInfo) -> Result<()> {
            self.answer()
        }
        fn module(&mut self, _: &ModuleInfo) -> Result<()> {
            self.answer()
        }
        fn module_gone(&mut self, _: &ModuleGone) -> Result<()> {
            self.answer()
        }
        fn clock(&mut self, _: ClockPoint) -> Result<()> {
            self.answer()
        }
        fn words(
            &mut self,
            _: ThreadSerial,
            _: ProcessSerial,
            _: Range<u64>,
            words: &[u64],
        ) -> Result<()> {
            self.answer()?;
            self.state().words.extend(words);
            Ok(())
        }
        fn ended(&mut self, _: ProcessSerial, _: u64, _: Ended) -> Result<()> {
            self.answer()
        }
        fn lost(&mut self, lost: &LostInfo) -> Result<()> {
            self.answer()?;
            self.state().lost.push(lost.clone());
            Ok(())
        }
        fn names(&mut self, _: &Image, _: &[Name]) -> Result<()> {
            self.answer()
        }
        fn types(&mut self, _: &Image, _: u32, _: &[Type]) -> Result<()> {
            self.answer()
        }
        fn plan(&mut self, _: &Image, _: &Kept) -> Result<()> {
            self.answer()
        }
        fn finish(self: Box<Self>, _: u64) -> Result<()> {
            self.answer()
        }
    }

    fn calls(count: u64) -> Vec<u64> {
        let call = |index| {
            Word::Call {
                function: 0x1000 + 16 * index,
                time: 1,
            }
            .pack()
        };
        (0..count).map(call).collect()
    }

    #[test]
    fn what_a_full_disk_cost_is_written_when_there_is_room_again() {
        let disk = Disk::default();
        let mut output = Output::new(vec![Box::new(disk.clone())]);
        let give = |output: &mut Output, count| {
            output.words(ThreadSerial(1), ProcessSerial(1), 0..count, &calls(count))
        };
        give(&mut output, 5);
        disk.state().is_full = true;
        give(&mut output, 7);
        give(&mut output, 8);
        assert!(output.take_refusal().is_some());
        assert_eq!(
            (
                output.tally().events,
                output.tally().lost,
                output.tally().refused
            ),
            (5, 15, 15)
        );
        disk.state().is_full = false;
        give(&mut output, 1);
        assert_eq!(disk.state().lost.len(), 1);
        assert_eq!(disk.state().lost[0].count, 15);
        assert_eq!(output.tally().events, 6);
    }

    #[test]
    fn losses_that_the_words_tell_of_are_counted() {
        let mut output = Output::new(Vec::new());
        let lost = Word::Special {
            code: Code::Lost as u16,
            payload_words: 3,
        };
        let words = [lost.pack(), 1, 2, 1000, calls(1)[0]];
        output.words(ThreadSerial(1), ProcessSerial(1), 0..5, &words);
        assert_eq!((output.tally().events, output.tally().lost), (1, 1000));
    }

    #[test]
    fn each_function_is_new_once() {
        let mut output = Output::new(Vec::new());
        output.words(ThreadSerial(1), ProcessSerial(1), 0..3, &calls(3));
        output.words(ThreadSerial(1), ProcessSerial(1), 3..7, &calls(4));
        let new = output.new_functions();
        assert_eq!(new.len(), 1);
        assert_eq!(new[0].1, [0x1000, 0x1010, 0x1020, 0x1030]);
        assert!(output.new_functions().is_empty());
    }
}
