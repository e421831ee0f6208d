//! Where a session's events go: a recording, a live view, or both.

use std::ops::Range;

use umbel_values::{Kept, Type};

use crate::recording::{
    ClockPoint, Ended, Image, LostInfo, ModuleGone, ModuleInfo, Name, ProcessInfo, ProcessSerial,
    Result, ThreadInfo, ThreadSerial, Writer,
};

/// Takes what a session sees, in its order: descriptions before the words that need them.
///
/// An error means that this one call did nothing; later ones may succeed.
pub trait Sink: Send {
    /// A process begins.
    fn process(&mut self, process: &ProcessInfo) -> Result<()>;
    /// A thread has its first event.
    fn thread(&mut self, thread: &ThreadInfo) -> Result<()>;
    /// A module is there.
    fn module(&mut self, module: &ModuleInfo) -> Result<()>;
    /// A module is gone.
    fn module_gone(&mut self, gone: &ModuleGone) -> Result<()>;
    /// One moment on all clocks.
    fn clock(&mut self, point: ClockPoint) -> Result<()>;
    /// What is kept of the words that a thread wrote at `positions`.
    fn words(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        words: &[u64],
    ) -> Result<()>;
    /// A process ended.
    fn ended(&mut self, process: ProcessSerial, ticks: u64, ended: Ended) -> Result<()>;
    /// Events are lost that no word tells of.
    fn lost(&mut self, lost: &LostInfo) -> Result<()>;
    /// Names of functions that occurred.
    fn names(&mut self, image: &Image, names: &[Name]) -> Result<()>;
    /// Types of a module's values: those from number `first` on.
    fn types(&mut self, image: &Image, first: u32, types: &[Type]) -> Result<()>;
    /// A capture plan, before any event that brought along what it captured.
    fn plan(&mut self, image: &Image, kept: &Kept) -> Result<()>;
    /// The session ends in good order.
    fn finish(self: Box<Self>, ticks: u64) -> Result<()>;
    /// Bytes stored so far; 0 where nothing is.
    fn bytes(&self) -> u64 {
        0
    }
}

impl Sink for Writer {
    fn process(&mut self, process: &ProcessInfo) -> Result<()> {
        self.process(process)
    }

    fn thread(&mut self, thread: &ThreadInfo) -> Result<()> {
        self.thread(thread)
    }

    fn module(&mut self, module: &ModuleInfo) -> Result<()> {
        self.module(module)
    }

    fn module_gone(&mut self, gone: &ModuleGone) -> Result<()> {
        self.module_gone(gone)
    }

    fn clock(&mut self, point: ClockPoint) -> Result<()> {
        self.clock(point)
    }

    fn words(
        &mut self,
        thread: ThreadSerial,
        process: ProcessSerial,
        positions: Range<u64>,
        words: &[u64],
    ) -> Result<()> {
        self.words(thread, process, positions, words)
    }

    fn ended(&mut self, process: ProcessSerial, ticks: u64, ended: Ended) -> Result<()> {
        self.ended(process, ticks, ended)
    }

    fn lost(&mut self, lost: &LostInfo) -> Result<()> {
        self.lost(lost)
    }

    fn names(&mut self, image: &Image, names: &[Name]) -> Result<()> {
        self.names(image, names)
    }

    fn types(&mut self, image: &Image, first: u32, types: &[Type]) -> Result<()> {
        self.types(image, first, types)
    }

    fn plan(&mut self, image: &Image, kept: &Kept) -> Result<()> {
        self.plan(image, kept)
    }

    fn finish(self: Box<Self>, ticks: u64) -> Result<()> {
        (*self).finish(ticks)
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }
}
