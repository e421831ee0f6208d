//! What the session wants of the taking thread, and what that tells it.

use std::sync::mpsc::Sender;

use super::super::wake::Waker;
use crate::recording::{ModuleGone, ModuleInfo, ProcessInfo, ProcessSerial};
use crate::trigger::Fired;

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

/// News for the session, which sleeps in poll.
pub(super) struct Post {
    pub(super) news: Sender<News>,
    pub(super) waker: Waker,
}

impl Post {
    pub(super) fn send(&self, news: News) {
        // A session that has gone needs no news.
        let _ = self.news.send(news);
        self.waker.wake();
    }
}
