//! Faults planted in a copy of the machine's source: each must be caught.
//!
//! `tests/build.rs` makes the copy: in `file`, `original` (which must occur exactly once) becomes
//! `mutated`, where `HERE` stands for "this mutant is switched on". The shipping source stays clean.

/// One planted fault.
pub struct Mutant {
    /// What is wrong, in words.
    pub name: &'static str,
    /// The rule by which the model checker catches it first.
    pub broken: &'static str,
    /// File of the machine.
    pub file: &'static str,
    /// The text replaced.
    pub original: &'static str,
    /// What replaces it.
    pub mutated: &'static str,
}

/// Every planted fault.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "one reader is not invalidated",
        broken: "one writer or many readers",
        file: "directory.rs",
        original: "let is_upgrade = entry.copyset.remove(request.node);",
        mutated: "let is_upgrade = entry.copyset.remove(request.node);
                let first = entry.copyset.iter().next();
                if HERE { first.map(|first| entry.copyset.remove(first)); }",
    },
    Mutant {
        name: "an owner that lost its copy stays in the copyset",
        broken: "every message is expected",
        file: "directory.rs",
        original: "if keep_read {",
        mutated: "if keep_read || HERE {",
    },
    Mutant {
        name: "a message deferred by a hold is forgotten",
        broken: "every waiting thread is woken",
        file: "cache.rs",
        original: "match copy.deferred.take() {",
        mutated: "match copy.deferred.take().filter(|_| !HERE) {",
    },
    Mutant {
        name: "a recall ignores the hold",
        broken: "a hold keeps what was granted",
        file: "cache.rs",
        original: "(Exclusive, None) if copy.holds > 0 =>",
        mutated: "(Exclusive, None) if copy.holds > 0 && !HERE =>",
    },
    Mutant {
        name: "the home ignores its own hold",
        broken: "a hold keeps what was granted",
        file: "entry.rs",
        original: "if self.holds == 0 {",
        mutated: "if self.holds == 0 || HERE {",
    },
    Mutant {
        name: "the end of a hold does not go on with who waits",
        broken: "every waiting thread is woken",
        file: "directory.rs",
        original: "entry.holds = entry.holds.saturating_sub(1);",
        mutated: "entry.holds = entry.holds.saturating_sub(1);
        if HERE { return; }",
    },
    Mutant {
        name: "granted bytes are not stored",
        broken: "a load sees the last store",
        file: "cache.rs",
        original: "if let Some(data) = data {",
        mutated: "if let Some(data) = data.filter(|_| !HERE) {",
    },
];
