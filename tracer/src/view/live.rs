//! The call tree while the program runs.
//!
//! ```text
//! recorder ── words ──► queue (bounded) ──► printing thread: steps, names, text ──► terminal
//! ```
//!
//! A terminal shows some ten thousand lines a second, a program makes millions of calls: what the queue has no room for is
//! left out, and the view says how many calls those were. Neither the program nor its recorder ever waits for it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use umbel_trace_ring::word::Word;
use umbel_values::{Kept, Type};

use super::text::TextOptions;
use crate::record::Sink;
use crate::recording::{
    ClockPoint, Ended, Image, LostInfo, ModuleGone, ModuleInfo, Name, ProcessInfo, ProcessSerial,
    Result, SessionInfo, ThreadInfo, ThreadSerial,
};

mod printer;

use printer::Printer;

/// Words that wait to be shown: 8 MiB, some seconds of a fast terminal.
const QUEUE_WORDS_MAX: usize = 1 << 20;

/// Shows a session's call tree as it grows. No method waits, but for `finish`.
pub struct LiveView {
    sender: Mutex<Sender<News>>,
    queued_words: Arc<AtomicUsize>,
    /// By thread: calls left out since the last words that were taken.
    skipped: Mutex<BTreeMap<u64, u64>>,
    printing: Mutex<Option<JoinHandle<Shown>>>,
    shown: Mutex<Option<Shown>>,
}

/// What was shown.
#[derive(Debug, Default)]
pub struct Shown {
    /// Calls left out because the output is slower than the program.
    pub skipped: u64,
    /// Events that the program or the recorder lost.
    pub lost: u64,
    /// Why the output ended early; a reader that has seen enough is none.
    pub error: Option<io::Error>,
    /// Sentences about names that are missing.
    pub warnings: Vec<String>,
}

enum News {
    Process(ProcessInfo),
    Thread(ThreadInfo),
    Module(ModuleInfo),
    ModuleGone(ModuleGone),
    Clock(ClockPoint),
    Types(Image, u32, Vec<Type>),
    Plan(Image, Box<Kept>),
    Words {
        thread: ThreadSerial,
        process: ProcessSerial,
        words: Vec<u64>,
        skipped: u64,
    },
    Ended(ProcessSerial, Ended),
    Lost(LostInfo),
    /// When, and what was left out since the last words of threads.
    Finish(u64, BTreeMap<u64, u64>),
}

impl LiveView {
    /// Shows on `out`, by a thread of its own.
    pub fn start(
        session: SessionInfo,
        options: TextOptions,
        out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let queued_words = Arc::new(AtomicUsize::new(0));
        let printer = Printer::new(session, options, out, receiver, Arc::clone(&queued_words));
        let builder = std::thread::Builder::new().name("live view".into());
        let printing = builder.spawn(move || printer.run())?;
        Ok(Self {
            sender: Mutex::new(sender),
            queued_words,
            skipped: Mutex::default(),
            printing: Mutex::new(Some(printing)),
            shown: Mutex::default(),
        })
    }

    /// A process is there.
    pub fn process(&self, process: &ProcessInfo) {
        self.send(News::Process(process.clone()));
    }

    /// A thread is there; once more when its name changes.
    pub fn thread(&self, thread: &ThreadInfo) {
        self.send(News::Thread(thread.clone()));
    }

    /// A module is there.
    pub fn module(&self, module: &ModuleInfo) {
        self.send(News::Module(module.clone()));
    }

    /// A module went.
    pub fn module_gone(&self, module: &ModuleGone) {
        self.send(News::ModuleGone(module.clone()));
    }

    /// One moment on all clocks.
    pub fn clock(&self, point: ClockPoint) {
        self.send(News::Clock(point));
    }

    /// Types of values.
    pub fn types(&self, image: &Image, first: u32, types: &[Type]) {
        self.send(News::Types(image.clone(), first, types.to_vec()));
    }

    /// A capture plan.
    pub fn plan(&self, image: &Image, kept: &Kept) {
        self.send(News::Plan(image.clone(), Box::new(kept.clone())));
    }

    /// A thread's next words. The positions are the recording's business.
    pub fn words(
        &self,
        thread: ThreadSerial,
        process: ProcessSerial,
        _: Range<u64>,
        words: &[u64],
    ) {
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = skipped.entry(thread.0).or_default();
        // Relaxed: only this thread adds, and a little more or less in the queue doesn't matter.
        if self.queued_words.load(Ordering::Relaxed) + words.len() > QUEUE_WORDS_MAX {
            *skipped += calls_in(words);
            return;
        }
        self.queued_words.fetch_add(words.len(), Ordering::Relaxed);
        let skipped = std::mem::take(skipped);
        self.send(News::Words {
            thread,
            process,
            words: words.to_vec(),
            skipped,
        });
    }

    /// A process ended.
    pub fn ended(&self, process: ProcessSerial, _: u64, ended: Ended) {
        self.send(News::Ended(process, ended));
    }

    /// Events are lost that no word tells of.
    pub fn lost(&self, lost: &LostInfo) {
        self.send(News::Lost(lost.clone()));
    }

    /// Waits until everything is shown.
    pub fn finish(&self, ticks: u64) {
        let mut skipped =
            std::mem::take(&mut *self.skipped.lock().unwrap_or_else(PoisonError::into_inner));
        skipped.retain(|_, count| *count > 0);
        self.send(News::Finish(ticks, skipped));
        let printing = self
            .printing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(printing) = printing else {
            return;
        };
        let shown = printing.join().unwrap_or_default();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    /// What was shown, after `finish`.
    pub fn shown(&self) -> Shown {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default()
    }

    fn send(&self, news: News) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // The printing thread ends early only when its output does.
        let _ = sender.send(news);
    }
}

impl Sink for Arc<LiveView> {
    fn process(&mut self, process: &ProcessInfo) -> Result<()> {
        LiveView::process(self, process);
        Ok(())
    }

    fn thread(&mut self, thread: &ThreadInfo) -> Result<()> {
        LiveView::thread(self, thread);
        Ok(())
    }

    fn module(&mut self, module: &ModuleInfo) -> Result<()> {
        LiveView::module(self, module);
        Ok(())
    }

    fn module_gone(&mut self, gone: &ModuleGone) -> Result<()> {
        LiveView::module_gone(self, gone);
        Ok(())
    }

    fn clock(&mut self, point: ClockPoint) -> Result<()> {
        LiveView::clock(self, point);
        Ok(())
    }

    fn words(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        words: &[u64],
    ) -> Result<()> {
        LiveView::words(self, thread, process, positions, words);
        Ok(())
    }

    fn ended(&mut self, process: ProcessSerial, ticks: u64, ended: Ended) -> Result<()> {
        LiveView::ended(self, process, ticks, ended);
        Ok(())
    }

    fn lost(&mut self, lost: &LostInfo) -> Result<()> {
        LiveView::lost(self, lost);
        Ok(())
    }

    fn names(&mut self, _: &Image, _: &[Name]) -> Result<()> {
        // It finds them itself, as soon as it needs them.
        Ok(())
    }

    fn types(&mut self, image: &Image, first: u32, types: &[Type]) -> Result<()> {
        LiveView::types(self, image, first, types);
        Ok(())
    }

    fn plan(&mut self, image: &Image, kept: &Kept) -> Result<()> {
        LiveView::plan(self, image, kept);
        Ok(())
    }

    fn finish(self: Box<Self>, ticks: u64) -> Result<()> {
        LiveView::finish(&self, ticks);
        Ok(())
    }
}

/// Calls among words.
fn calls_in(words: &[u64]) -> u64 {
    let mut count = 0;
    let mut index = 0;
    while let Some(word) = words.get(index) {
        index += 1;
        match Word::parse(*word) {
            Word::Call { .. } => count += 1,
            Word::Return { .. } => {}
            Word::Special { payload_words, .. } => index += usize::from(payload_words),
        }
    }
    count
}
