//! Triggers that are set, and what is done when they fire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::control::SnapshotWishes;
use super::super::values::HeldThread;
use super::Session;
use crate::trigger::{Action, Active, Fired, Trigger, Watched};

/// The triggers of a session.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    set: Vec<Active>,
    /// How often each has fired, by number.
    fired: HashMap<u32, u64>,
    last_id: u32,
    /// Actions that were deferred, and until when.
    due: Vec<(Instant, Action)>,
}

/// Deferred actions at one time: a trigger that fires a million times doesn't fill the memory.
const DUE_MAX: usize = 1024;

impl Triggers {
    /// With these set.
    pub fn new(triggers: &[Trigger]) -> Self {
        let mut new = Self::default();
        for trigger in triggers {
            new.set(trigger.clone());
        }
        new
    }

    /// Those that are set.
    pub fn active(&self) -> &[Active] {
        &self.set
    }

    /// How long until the next deferred action.
    pub fn next_due(&self) -> Duration {
        let next = self.due.iter().map(|(when, _)| *when).min();
        next.map_or(Duration::MAX, |when| {
            when.saturating_duration_since(Instant::now())
        })
    }

    /// Lines for the user.
    pub fn list(&self) -> Vec<String> {
        let line = |active: &Active| {
            let fired = self.fired.get(&active.id).copied().unwrap_or_default();
            format!("{} {} (fired: {fired})", active.id, active.trigger)
        };
        self.set.iter().map(line).collect()
    }

    /// Sets it, in the place of one with the same name; its number.
    fn set(&mut self, trigger: Trigger) -> u32 {
        if trigger.name.is_some() {
            self.set.retain(|known| known.trigger.name != trigger.name);
        }
        self.last_id += 1;
        self.set.push(Active {
            id: self.last_id,
            trigger: Arc::new(trigger),
        });
        self.last_id
    }

    fn take_due(&mut self) -> Vec<Action> {
        let now = Instant::now();
        let due = self.due.extract_if(.., |(when, _)| *when <= now);
        due.map(|(_, action)| action).collect()
    }
}

impl Session {
    /// Sets a trigger; a line with its number.
    pub(super) fn set_trigger(&mut self, text: &str) -> Result<Vec<String>, String> {
        let trigger = Trigger::parse(text).map_err(|error| error.to_string())?;
        if trigger.is_judged_inside() && self.shared.planner().is_none() {
            return Err("conditions on variables, `snapshot` and `stop` need a session that captures values (not --values none)".into());
        }
        let id = self.triggers.set(trigger);
        self.watch_again();
        let is_watched = self.processes.values().any(|process| {
            let watched = process.watched();
            watched.speaks_of(id)
        });
        let mut lines = vec![format!("trigger {id}")];
        if !is_watched && !self.processes.is_empty() {
            let active = self.triggers.active().iter().find(|set| set.id == id);
            let functions =
                active.map(|set| set.trigger.cases.iter().map(|case| case.function.text()));
            let mut near = functions
                .into_iter()
                .flatten()
                .map(|function| self.near(function));
            let near: String = near.find(|near| !near.is_empty()).unwrap_or_default();
            lines.push(format!("no function that is there now is meant by it{near}; it waits for libraries that come later"));
        }
        Ok(lines)
    }

    /// Takes the trigger of this name or number away.
    pub(super) fn remove_trigger(&mut self, which: &str) -> Result<(), String> {
        let id = which.parse().ok();
        let count = self.triggers.set.len();
        self.triggers.set.retain(|active| {
            Some(active.id) != id && active.trigger.name.as_deref() != Some(which)
        });
        if self.triggers.set.len() == count {
            return Err(format!(
                "there is no trigger `{which}`; `trigger list` shows them"
            ));
        }
        self.watch_again();
        Ok(())
    }

    /// Takes all triggers away, and what they deferred.
    pub(super) fn clear_triggers(&mut self) {
        self.triggers.set.clear();
        self.triggers.due.clear();
        self.watch_again();
    }

    /// Tells the planner what triggers ask of which functions.
    pub(super) fn tell_planner(&self) {
        let Some(mut planner) = self.shared.planner() else {
            return;
        };
        let watched = self
            .processes
            .values()
            .flat_map(|process| process.watched_images());
        planner.set_triggers(self.triggers.active(), watched.collect());
    }

    fn watch_again(&mut self) {
        self.files.forget_watched();
        self.apply_all();
    }

    /// Functions of each process that triggers speak of.
    pub(super) fn watched(&self) -> HashMap<u64, Watched> {
        let watched = self.processes.iter();
        watched
            .map(|(serial, process)| (*serial, process.watched()))
            .collect()
    }

    pub(super) fn on_fired(&mut self, fired: &Fired, process: u64) {
        let id = fired.case.trigger;
        let number = fired.case.to_word() as u32;
        // It may have been taken away since.
        let active = self.triggers.set.iter().find(|active| active.id == id);
        let trigger = active
            .filter(|_| fired.is_true)
            .map(|active| Arc::clone(&active.trigger));
        let Some(trigger) = trigger else {
            self.let_go(|tid, of| (tid, of) == (fired.tid, number));
            return;
        };
        *self.triggers.fired.entry(id).or_default() += 1;
        let mut stays = false;
        for deferred in &trigger.actions {
            if deferred.after.is_zero() {
                stays |= deferred.action == Action::Hold;
                self.act(&deferred.action, Some(process), Some(fired.tid));
            } else if self.triggers.due.len() < DUE_MAX {
                let when = Instant::now() + deferred.after;
                self.triggers.due.push((when, deferred.action.clone()));
            }
        }
        match stays {
            true => self.tell_stopped(HeldThread {
                tid: fired.tid,
                number,
            }),
            false => {
                self.let_go(|tid, of| (tid, of) == (fired.tid, number));
            }
        }
    }

    /// Lets threads go that triggers hold; how many.
    pub(super) fn let_go(&self, is_meant: impl Fn(u32, u32) -> bool) -> usize {
        let planner = self.shared.planner();
        planner.map_or(0, |planner| planner.let_go(is_meant))
    }

    /// Does what was deferred until now.
    pub(super) fn do_what_is_due(&mut self) {
        for action in self.triggers.take_due() {
            self.act(&action, None, None);
        }
        let refused = self
            .shared
            .planner()
            .map(|mut planner| planner.take_refused());
        for refusal in refused.into_iter().flatten() {
            eprintln!("umbel trace: {refusal}");
        }
    }

    fn act(&mut self, action: &Action, process: Option<u64>, tid: Option<u32>) {
        match action {
            Action::Filter(rule) => {
                // It was a rule when the trigger was read.
                let _ = self.filter.add(rule);
                self.apply_all();
            }
            Action::Start => self.switch(true),
            Action::Stop => self.switch(false),
            Action::Snapshot | Action::Core => {
                let wishes = SnapshotWishes {
                    core: *action == Action::Core,
                    dumps: Vec::new(),
                };
                if let Err(why) = self.snapshot(process, tid, &wishes) {
                    self.warnings.push(why);
                }
            }
            // It stands among the calls already; the thread waits already.
            Action::Mark(_) | Action::Hold => {}
        }
    }
}
