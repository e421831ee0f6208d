//! What is captured of single functions, as the user sets it while programs run; and rules and triggers that speak of no function there is.

use super::Session;
use crate::chosen::Rule;
use crate::near::{meant, near};
use crate::symbols::short_name;

/// Rules at one time.
const RULES_MAX: usize = 256;

impl Session {
    /// More rules: they decide before those there are.
    pub(super) fn add_rules(&mut self, text: &str) -> Result<Vec<String>, String> {
        let rules = Rule::parse(text).map_err(|error| error.to_string())?;
        if self.shared.planner().is_none() {
            return Err(
                "this session captures no values (--values none): start it with --args or --values"
                    .into(),
            );
        }
        if self.settings.chosen.len() + rules.len() > RULES_MAX {
            return Err(format!(
                "more than {RULES_MAX} rules: `args clear` takes all away"
            ));
        }
        let mut lines = Vec::new();
        if !self.processes.is_empty() {
            lines.extend(self.unmatched(&rules));
        }
        // A rule that is set again moves behind all others.
        let known = |rule: &Rule| rules.iter().any(|new| new.text() == rule.text());
        self.settings.chosen.retain(|rule| !known(rule));
        self.settings.chosen.extend(rules);
        self.set_chosen();
        Ok(lines)
    }

    /// Takes the rule with this text or number away.
    pub(super) fn remove_rule(&mut self, which: &str) -> Result<(), String> {
        let number = which.parse::<usize>().ok();
        let mut index = 0;
        let count = self.settings.chosen.len();
        self.settings.chosen.retain(|rule| {
            index += 1;
            Some(index) != number && rule.text() != which
        });
        if self.settings.chosen.len() == count {
            return Err(format!(
                "there is no rule `{which}`; `args list` shows them"
            ));
        }
        self.set_chosen();
        Ok(())
    }

    /// Takes all rules away.
    pub(super) fn clear_rules(&mut self) {
        self.settings.chosen.clear();
        self.set_chosen();
    }

    /// Lines for the user: the last that matches decides.
    pub(super) fn list_rules(&self) -> Vec<String> {
        let rules = self.settings.chosen.iter().enumerate();
        rules
            .map(|(index, rule)| format!("{} {}", index + 1, rule.text()))
            .collect()
    }

    fn set_chosen(&self) {
        if let Some(mut planner) = self.shared.planner() {
            planner.set_rules(&self.settings.chosen);
        }
    }

    /// What rules and triggers speak of no function that was there: sentences.
    pub(super) fn without_function(&self) -> Vec<String> {
        if !self.files.knows_functions() {
            return Vec::new();
        }
        let mut told = self.unmatched(&self.settings.chosen);
        for active in self.triggers.active() {
            let mut patterns: Vec<_> = active
                .trigger
                .cases
                .iter()
                .map(|case| &case.function)
                .collect();
            patterns.dedup();
            for pattern in patterns {
                if !self.files.any_function(&|names| pattern.matches(names)) {
                    let title = active.title();
                    let near = self.near(pattern.text());
                    told.push(format!(
                        "{title}: no traced program or library has a function {}{near}",
                        pattern.text()
                    ));
                }
            }
        }
        told
    }

    /// Rules that speak of no function there is.
    fn unmatched(&self, rules: &[Rule]) -> Vec<String> {
        let is_without = |rule: &&Rule| !self.files.any_function(&|names| rule.matches(names));
        let sentence = |rule: &Rule| {
            let near = self.near(rule.function());
            format!(
                "--args {}: no traced program or library has a function {}{near}",
                rule.text(),
                rule.function()
            )
        };
        rules.iter().filter(is_without).map(sentence).collect()
    }

    /// Names like one that nothing has.
    pub(super) fn near(&self, wanted: &str) -> String {
        if wanted.contains(['*', '?', '[', '/']) {
            return String::new();
        }
        let names = self.files.linkage_names();
        let names: Vec<_> = names.iter().map(|name| short_name(name)).collect();
        meant(&near(
            wanted.trim_matches('"'),
            names.iter().map(|name| &**name),
        ))
    }
}
