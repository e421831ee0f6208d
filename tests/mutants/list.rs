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
        name: "one invalidation is awaited but not sent",
        broken: "every waiting thread is woken",
        file: "directory.rs",
        original: "for reader in entry.copyset.iter() {",
        mutated: "for reader in entry.copyset.iter().skip(usize::from(HERE)) {",
    },
    Mutant {
        name: "a write is granted before all readers answered",
        broken: "one writer or many readers",
        file: "directory.rs",
        original: "if !entry.copyset.remove(from) {",
        mutated: "if HERE {
                    entry.copyset = Default::default();
                    entry.holding = Holding::Home;
                } else if !entry.copyset.remove(from) {",
    },
    Mutant {
        name: "a request is granted before the recall is answered",
        broken: "one writer or many readers",
        file: "directory.rs",
        original: "let keep_read = request.access == Access::Read;",
        mutated: "let keep_read = request.access == Access::Read;
                if HERE {
                    out.push(Effect::Send { to: owner, message: Outgoing::Recall { object, keep_read } });
                    entry.holding = Holding::Home;
                    return self.grant(object, request, true, out);
                }",
    },
    Mutant {
        name: "an owner answers before its rights are revoked",
        broken: "one writer or many readers",
        file: "cache.rs",
        original: "if keep_read {",
        mutated: "if HERE {
            let lowered = if keep_read { CopyState::Shared } else { CopyState::Invalid };
            out.push(Effect::Send { to: home, message: Outgoing::Recalled { object } });
            return self.set_state(object, lowered, out);
        }
        if keep_read {",
    },
    Mutant {
        name: "a reader answers before its rights are revoked",
        broken: "a load sees the last store",
        file: "cache.rs",
        original: "self.set_state(object, next, out);",
        mutated: "if HERE {
            out.push(Effect::Send { to: home, message: Outgoing::Invalidated { object, diff: None } });
            return self.set_state(object, next, out);
        }
        self.set_state(object, next, out);",
    },
    Mutant {
        name: "the home keeps its rights while it grants a write",
        broken: "a view has no more rights than the machine gave",
        file: "directory.rs",
        original: "limit_view(entry, object, None, out);",
        mutated: "if !HERE { limit_view(entry, object, None, out); }",
    },
    Mutant {
        name: "the home can store while it grants a read",
        broken: "a view has no more rights than the machine gave",
        file: "directory.rs",
        original: "limit_view(entry, object, Some(Access::Read), out);",
        mutated: "if !HERE { limit_view(entry, object, Some(Access::Read), out); }",
    },
    Mutant {
        name: "an owner that lost its copy stays in the copyset",
        broken: "the directory knows every copy",
        file: "directory.rs",
        original: "if keep_read {",
        mutated: "if keep_read || HERE {",
    },
    Mutant {
        name: "the writer of an upgrade stays in the copyset",
        broken: "owner and copyset exclude each other and the home",
        file: "directory.rs",
        original: "entry.holding = Holding::Owned(request.node);",
        mutated: "entry.holding = Holding::Owned(request.node);
                if HERE && !with_data { entry.copyset.insert(request.node); }",
    },
    Mutant {
        name: "an upgrade goes without bytes to a node that lost its copy",
        broken: "every message is expected",
        file: "directory.rs",
        original: "(Awaited::Invalidated { is_upgrade }, Some(request)) => {",
        mutated: "(Awaited::Invalidated { .. }, Some(request)) if HERE => self.grant(object, request, false, out),
            (Awaited::Invalidated { is_upgrade }, Some(request)) => {",
    },
    Mutant {
        name: "a message deferred by a hold is forgotten",
        broken: "every waiting thread is woken",
        file: "cache.rs",
        original: "match copy.deferred.take() {",
        mutated: "match copy.deferred.take().filter(|_| !HERE) {",
    },
    Mutant {
        name: "an invalidation ignores the hold",
        broken: "a hold keeps what was granted",
        file: "cache.rs",
        original: "(Shared | Upgrading, None) if copy.holds > 0 =>",
        mutated: "(Shared | Upgrading, None) if copy.holds > 0 && !HERE =>",
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
    Mutant {
        name: "an upgrade overtaken by an invalidation is forgotten",
        broken: "links are short",
        file: "cache.rs",
        original: "CopyState::Upgrading => CopyState::FetchWrite,",
        mutated: "CopyState::Upgrading => if HERE { CopyState::Invalid } else { CopyState::FetchWrite },",
    },
    Mutant {
        name: "who waits at the end of a life is forgotten",
        broken: "every waiting thread is woken",
        file: "directory.rs",
        original: "for request in entry.take_queue() {",
        mutated: "for request in entry.take_queue().into_iter().filter(|_| !HERE) {",
    },
    Mutant {
        name: "a life ends before all copies are withdrawn",
        broken: "a load sees the last store",
        file: "directory.rs",
        original: "Holding::Home => self.end_life(object, out),",
        mutated: "Holding::Shared if HERE => {
                invalidate_readers(entry, object, false, out);
                self.end_life(object, out);
            }
            Holding::Home => self.end_life(object, out),",
    },
    Mutant {
        name: "an unshared object gets an entry by the home's own fault",
        broken: "a home's fault on an unshared object leaves no entry",
        file: "directory.rs",
        original: "let node = self.node;",
        mutated: "let node = self.node;
        if HERE { self.entries.entry(object).or_insert_with(Entry::new); }",
    },
    Mutant {
        name: "a request is granted but nobody is woken",
        broken: "every waiting thread is woken",
        file: "directory.rs",
        original: "out.push(Effect::Wake { object });
}",
        mutated: "if !HERE { out.push(Effect::Wake { object }); }
}",
    },
    Mutant {
        name: "a lost reader is still listed",
        broken: "the directory knows every copy",
        file: "directory.rs",
        original: "entry.copyset.remove(node);",
        mutated: "if !HERE { entry.copyset.remove(node); }",
    },
    Mutant {
        name: "a lost owner is still listed",
        broken: "the directory knows every copy",
        file: "directory.rs",
        original: "Holding::Owned(owner) if owner == node => {",
        mutated: "Holding::Owned(owner) if owner == node && !HERE => {",
    },
    Mutant {
        name: "requests to a lost home are not listed",
        broken: "every waiting thread is woken",
        file: "cache.rs",
        original: "CopyState::FetchRead | CopyState::FetchWrite => {
                    lost.push(*object);",
        mutated: "CopyState::FetchRead | CopyState::FetchWrite => {
                    if !HERE { lost.push(*object); }",
    },
];
