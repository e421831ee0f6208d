//! What the control socket asks for.

use super::super::clock;
use super::super::control::{Answer, Request};
use super::super::process::Summary;
use super::Session;
use crate::filter::Rule;

impl Session {
    /// Does what is asked for; what it changes has changed when this returns.
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        let deed = deed(&request);
        let answer = self.carry_out(request);
        // What a flight recorder has stays in the chunks, and a text would have to go behind it.
        if let (Some(deed), true, false) = (deed, answer.is_ok(), self.shared.is_flight) {
            self.note_all(&deed);
        }
        answer
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::On => self.switch(true),
            Request::Off => self.switch(false),
            Request::Add(rules) => {
                self.filter.add(&rules).map_err(|error| error.to_string())?;
                self.apply_all();
            }
            Request::Remove(rule) => {
                if !self.filter.remove(&rule) {
                    return Err(format!(
                        "there is no rule `{rule}`; `filter list` shows them"
                    ));
                }
                self.apply_all();
            }
            Request::Clear => {
                self.filter.clear();
                self.apply_all();
            }
            Request::List => return Ok(self.list()),
            Request::Status => return Ok(self.status()),
            Request::Snapshot(wishes) => return self.snapshot(None, None, &wishes),
            Request::Threads => {
                self.on_held();
                return self.threads();
            }
            Request::Continue(tid) => return self.go_on(tid),
            Request::StopThreads(tid) => return self.stop_threads(tid),
            Request::Step(tid, until) => {
                // Each stop is noted before what comes of it.
                self.on_held();
                return self.step(tid, until);
            }
            Request::Backtrace(tid) => return self.backtrace(tid),
            Request::Print(spot, expression) => return self.print(spot, &expression),
            Request::Assign { spot, path, value } => return self.assign(spot, &path, &value),
            Request::Dump(spot, what) => return self.dump(spot, &what),
            // The connection's own matter.
            Request::Notify => {}
            Request::AddArgs(rules) => return self.add_rules(&rules),
            Request::RemoveArgs(rule) => self.remove_rule(&rule)?,
            Request::ClearArgs => self.clear_rules(),
            Request::ListArgs => return Ok(self.list_rules()),
            Request::SetTrigger(text) => return self.set_trigger(&text),
            Request::RemoveTrigger(which) => self.remove_trigger(&which)?,
            Request::ClearTriggers => self.clear_triggers(),
            Request::ListTriggers => return Ok(self.triggers.list()),
            Request::Stop => self.end_now(),
        }
        Ok(Vec::new())
    }

    pub(super) fn switch(&mut self, is_on: bool) {
        self.is_on = is_on;
        self.switched_ticks = clock::ticks(self.shared.clock);
        self.apply_all();
    }

    fn list(&self) -> Vec<String> {
        let rules = self.filter.rules().map(Rule::text);
        let mut lines: Vec<String> = rules
            .enumerate()
            .map(|(index, rule)| format!("{} {rule}", index + 1))
            .collect();
        let limits = self.filter.limits();
        lines.extend(limits.depth_max.map(|depth| format!("depth:{depth}")));
        lines.extend(
            limits
                .at_least_ns
                .map(|nanoseconds| format!("at-least:{nanoseconds}ns")),
        );
        lines.extend(limits.thread_rules());
        if self.filter.traces_system() {
            lines.push("with-system".into());
        }
        lines
    }

    fn status(&self) -> Vec<String> {
        let tally = self.tally();
        let state = if self.is_on { "on" } else { "off" };
        let bytes = self.shared.output().bytes();
        let live = &self.shared.live;
        let mut lines = vec![
            format!(
                "tracing is {state}; recording {}",
                self.settings.output.display()
            ),
            format!(
                "events: {}, threads: {}, processes: {}, bytes: {bytes}, lost events: {}",
                tally.events,
                tally.threads.len(),
                tally.processes.len(),
                tally.lost + live.lost_without_chunk(),
            ),
        ];
        let mut processes: Vec<_> = self.processes.values().collect();
        processes.sort_by_key(|process| process.info.serial);
        for process in processes {
            lines.extend(describe(
                process.info.pid,
                &process.info.executable,
                &process.summary(),
            ));
        }
        lines
    }
}

/// What a request changes in all processes, for the recording; what is done to a thread is noted there.
fn deed(request: &Request) -> Option<String> {
    Some(match request {
        Request::On => "on".to_owned(),
        Request::Off => "off".to_owned(),
        Request::Add(rules) => format!("filter add {rules}"),
        Request::Remove(rule) => format!("filter del {rule}"),
        Request::Clear => "filter clear".to_owned(),
        Request::AddArgs(rules) => format!("args {rules}"),
        Request::RemoveArgs(rule) => format!("args del {rule}"),
        Request::ClearArgs => "args clear".to_owned(),
        Request::SetTrigger(text) => format!("trigger set {text}"),
        Request::RemoveTrigger(which) => format!("trigger del {which}"),
        Request::ClearTriggers => "trigger clear".to_owned(),
        _ => return None,
    })
}

/// Functions and sites of one process.
fn describe(pid: u32, executable: &str, summary: &Summary) -> Vec<String> {
    let patched = &summary.patched;
    let mut lines = vec![
        format!("process {pid} {executable}"),
        format!(
            "  functions: {}, excluded: {}",
            summary.function_count, summary.excluded_count
        ),
    ];
    if patched.off + patched.on + patched.unknown + patched.differing > 0 {
        lines.push(format!(
            "  call sites: {}, patched out: {}",
            patched.on + patched.off + patched.unknown + patched.differing,
            patched.off
        ));
    }
    if patched.unknown > 0 {
        lines.push(format!("  not patchable: {} sites whose function isn't known; their events are dropped when they come", patched.unknown));
    }
    if patched.differing > 0 {
        lines.push(format!(
            "  not patchable: {} sites whose code isn't that of the file",
            patched.differing
        ));
    }
    if let Some(refusal) = &summary.refusal {
        lines.push(format!("  not patchable: all sites: {refusal}; excluded functions cost a call and a look into a bitmap"));
    }
    lines
}
