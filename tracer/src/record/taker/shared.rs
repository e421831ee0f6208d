//! What the session and the taking thread both see: the chunks, where their words go, and what is left out of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use umbel_trace_ring::Live;
use umbel_trace_ring::layout::Clock;

use super::super::code::Verdict;
use super::super::output::Output;
use super::super::trim::Limits;
use super::super::values::Planner;
use crate::filter;
use crate::trigger::{Active, Watched};

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
    pub(super) fn dropped(&self, process: u64, are_early: bool) -> Vec<&ExcludedModule> {
        let modules = self.excluded.get(&process).into_iter().flatten();
        modules.filter(|module| are_early || module.leaks).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.depth_max.is_none()
            && self.limits.ticks_min.is_none()
            && !self.threads.judges_threads()
    }
}

impl ExcludedModule {
    pub(super) fn excludes(&self, function: u64) -> bool {
        (self.begin..self.end).contains(&function)
            && self.verdict.excludes(function.wrapping_sub(self.bias))
    }
}
