//! What a thread of the program does with the node's state when it visits: `turn.rs` says when it may.

use umbel_fault::signals::Waiter;

use super::Service;
use crate::error::Error;
use crate::request::{Reply, Request};
use crate::sys::process::now_ns;

impl Service {
    /// Whether no thread but the one that asks could run.
    pub fn may_be_visited(&self) -> bool {
        self.running_threads() <= 1
    }

    /// Carries out a visitor's request, if there is one; if it waits for an answer, looks for that. Serves what comes
    /// meanwhile.
    pub fn serve(&mut self, mut request: Option<Request>, reply: Option<&Reply>) {
        let is_told = matches!(&request, Some(Request::Sync { reply: None, .. }));
        if is_told {
            self.serve_request(request.take());
            if self.may_put_off() {
                // Nothing leaves, and nothing is looked for: the answers that it waits for wake the service thread.
                return;
            }
        }
        // Before the request leaves: bytes that come while it does would wake the service thread.
        let is_watching = self.looks() && self.links.can_be_watched();
        if is_watching {
            self.watch_links(true);
        }
        if is_told || request.is_some() {
            self.serve_request(request);
            let done = self.end_turn();
            self.must(done);
        }
        if !is_watching {
            return;
        }
        if let Some(reply) = reply {
            self.look_for(|| reply.is_answered());
        }
        for _ in 0..LAST_LOOKS {
            // What has come is served here for less than by waking the service thread.
            if self.node.turn.is_wanted() || !self.links.look() {
                break;
            }
            self.serve_messages();
        }
        self.watch_links(false);
    }

    fn serve_request(&mut self, request: Option<Request>) {
        let done = request.map_or(Ok(()), |request| self.on_request(request));
        self.must(done);
    }

    /// Serves the fault of a visitor, and looks for what it needs of others if no other thread could run meanwhile.
    pub fn serve_fault(&mut self, waiter: &Waiter<'_>) {
        let done = self.with_engine(|engine, links| engine.on_faults(now_ns(), links));
        self.must(done);
        if waiter.is_redirected() {
            // The end of the turn may take rights.
            return self.node.wake_service();
        }
        let is_watching = !waiter.is_served()
            && self.looks()
            && self.running_threads() == 0
            && self.links.can_be_watched();
        if is_watching {
            // Before the request leaves, as above.
            self.watch_links(true);
        }
        let done = self.end_turn();
        self.must(done);
        if is_watching {
            self.look_for(|| waiter.is_served());
            self.watch_links(false);
        }
    }

    fn look_for(&mut self, is_answered: impl Fn() -> bool) {
        let mut began_ns = now_ns();
        while !is_answered() && self.running_threads() == 0 {
            match self.look_once(began_ns) {
                Looked::Found => {
                    self.serve_messages();
                    began_ns = now_ns();
                }
                Looked::Wanted => break,
                Looked::InVain => {
                    self.node.turn.give_up(began_ns);
                    break;
                }
            }
        }
    }

    fn serve_messages(&mut self) {
        let done = self.take_messages().and_then(|()| self.end_turn());
        self.must(done);
    }

    fn watch_links(&mut self, is_watched: bool) {
        let watched = self.links.watch(&self.sources, is_watched);
        if self.must(watched.map_err(Error::system("change the event loop"))) {
            // There are bytes of which no event tells.
            self.node.wake_service();
        }
    }

    fn look_once(&mut self, began_ns: u64) -> Looked {
        let end_ns = began_ns + self.node.turn.look_ns();
        for look in 1_u32.. {
            if self.links.look() {
                return Looked::Found;
            }
            if self.node.turn.is_wanted() || self.node.has_requests() {
                return Looked::Wanted;
            }
            if look % LOOKS_PER_CLOCK == 0 && now_ns() >= end_ns {
                return Looked::InVain;
            }
            std::hint::spin_loop();
        }
        Looked::InVain
    }

    fn must<T>(&mut self, result: Result<T, Error>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.fail(&error.to_string()),
        }
    }
}

/// What a look for bytes ended with.
enum Looked {
    Found,
    /// The service thread wants its turn, or must get it.
    Wanted,
    /// For as long as one should.
    InVain,
}

/// Looks for what came while a request or an answer was served: a peer that sends more is served by the service thread.
const LAST_LOOKS: usize = 2;

/// Looks between two of the clock: some microseconds.
const LOOKS_PER_CLOCK: u32 = 8;
