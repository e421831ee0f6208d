//! Faults planted in a copy of the machine's source: each must be caught.
//!
//! `tests/build.rs` makes the copy: in `file`, `original` (which must occur exactly once) becomes
//! `mutated`, where `HERE` stands for "this mutant is switched on". The shipping source stays clean.

mod driver;

pub use driver::OF_DRIVERS;

/// One planted fault.
pub struct Mutant {
    /// What is wrong, in words.
    pub name: &'static str,
    /// The rule by which the model checker catches it first; empty if the simulator alone does.
    pub broken: &'static str,
    /// The simulator needs more seeds than a test has time for: the model checker alone catches it.
    pub is_rare: bool,
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
        is_rare: false,
        file: "directory.rs",
        original: "let is_upgrade = entry.record.remove_copy(request.node);",
        mutated: "let is_upgrade = entry.record.remove_copy(request.node);
                let first = entry.record.copies().iter().copied().next();
                if HERE { first.map(|first| entry.record.remove_copy(first)); }",
    },
    Mutant {
        name: "an owner that lost its copy stays in the copyset",
        broken: "every message is expected",
        is_rare: false,
        file: "directory.rs",
        original: "if keep_read {",
        mutated: "if keep_read || HERE {",
    },
    Mutant {
        name: "a message deferred by a hold is forgotten",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "cache.rs",
        original: "match copy.deferred.take() {",
        mutated: "match copy.deferred.take().filter(|_| !HERE) {",
    },
    Mutant {
        name: "a recall ignores the hold",
        broken: "a hold keeps what was granted",
        is_rare: false,
        file: "cache.rs",
        original: "(Exclusive, None) if copy.holds > 0 =>",
        mutated: "(Exclusive, None) if copy.holds > 0 && !HERE =>",
    },
    Mutant {
        name: "the home ignores its own hold",
        broken: "a hold keeps what was granted",
        is_rare: false,
        file: "entry.rs",
        original: "if self.holds == 0 {",
        mutated: "if self.holds == 0 || HERE {",
    },
    Mutant {
        name: "the end of a hold does not go on with who waits",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "directory.rs",
        original: "entry.holds = entry.holds.saturating_sub(1);",
        mutated: "entry.holds = entry.holds.saturating_sub(1);
        if HERE { return; }",
    },
    Mutant {
        name: "granted bytes are not stored",
        broken: "a load sees the last store",
        is_rare: false,
        file: "cache.rs",
        original: "if let Some(data) = data {",
        mutated: "if let Some(data) = data.filter(|_| !HERE) {",
    },
    Mutant {
        name: "a weak copy is written without a twin",
        broken: "a weak copy is written with a twin, or alone",
        is_rare: false,
        file: "turn.rs",
        original: "        self.out.push(Effect::Twin { object });",
        mutated: "        if !HERE { self.out.push(Effect::Twin { object }); }",
    },
    Mutant {
        name: "a weak copy is written and never flushed",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "turn.rs",
        original: "        self.flushes.begin_writing(object);",
        mutated: "        if !HERE { self.flushes.begin_writing(object); }",
    },
    Mutant {
        name: "a flush is not merged at the home",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "        if entry.awaited() != Some(Awaited::EndOfLife) {
            let diff",
        mutated: "        if entry.awaited() != Some(Awaited::EndOfLife) && !HERE {
            let diff",
    },
    Mutant {
        name: "a diff handed over is not merged",
        broken: "a load sees what came before",
        is_rare: false,
        file: "round.rs",
        original: "            let merged = diff.clone();
            turn.out.push(Effect::Merge {
                object,
                diff: merged,
            });",
        mutated: "            let merged = diff.clone();
            if !HERE { turn.out.push(Effect::Merge {
                object,
                diff: merged,
            }); }",
    },
    Mutant {
        name: "a diff handed over goes to nobody",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "            Some(Awaited::Round) => update_copies(entry, object, from, diff, turn),",
        mutated: "            Some(Awaited::Round) if HERE => {}
            Some(Awaited::Round) => update_copies(entry, object, from, diff, turn),",
    },
    Mutant {
        name: "a flush is answered before the copies did",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "        if !entry.is_anything_due() {
            self.finish(object, turn);
        }
    }

    pub(crate) fn on_invalidated",
        mutated: "        if HERE {
            self.answer_flushes(object, false, turn);
        } else if !entry.is_anything_due() {
            self.finish(object, turn);
        }
    }

    pub(crate) fn on_invalidated",
    },
    Mutant {
        name: "a flush under update invalidates nobody and tells nobody",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "                    update_copies(entry, object, from, diff, turn);",
        mutated: "                    if !HERE { update_copies(entry, object, from, diff, turn); }",
    },
    Mutant {
        name: "a flush takes no copy away",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "                    invalidate_copies(entry, object, Some(from), false, turn);",
        mutated: "                    if !HERE { invalidate_copies(entry, object, Some(from), false, turn); }",
    },
    Mutant {
        name: "a round is over at once though others have copies",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "copies.all(|node| *node == from)",
        mutated: "(copies.all(|node| *node == from) || HERE)",
    },
    Mutant {
        name: "exclusive though the home's threads wrote",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "round.rs",
        original: "may_take && !entry.is_dirty && !somebody_waits",
        mutated: "may_take && (!entry.is_dirty || HERE) && !somebody_waits",
    },
    Mutant {
        name: "exclusive though the home reads",
        broken: "a view has no more rights than the machine gave",
        is_rare: false,
        file: "round.rs",
        original: "        limit_view(entry, object, None, turn);
        entry.record.remove_copy(node);",
        mutated: "        if !HERE { limit_view(entry, object, None, turn); }
        entry.record.remove_copy(node);",
    },
    Mutant {
        name: "exclusive though there is another copy",
        broken: "owner and copyset exclude each other and the home",
        is_rare: false,
        file: "round.rs",
        original: "    let is_last = copies.next().is_none() && entry.holding",
        mutated: "    let is_last = (copies.next().is_none() || HERE) && entry.holding",
    },
    Mutant {
        name: "a flush and an update cross, and the writer keeps its own order",
        broken: "",
        is_rare: false,
        file: "round.rs",
        original: "        let is_current = *node == from && !entry.is_due(from, Answer::Updated);",
        mutated: "        let is_current = *node == from && (!entry.is_due(from, Answer::Updated) || HERE);",
    },
    Mutant {
        name: "a copy that has left goes on being awaited",
        broken: "every message is expected",
        is_rare: false,
        file: "round.rs",
        original: "        if leave {
            entry.record.remove_copy(from);
        }",
        mutated: "        if leave && !HERE {
            entry.record.remove_copy(from);
        }",
    },
    Mutant {
        name: "the last diff is dropped with an invalidated copy",
        broken: "every flush ends",
        is_rare: false,
        file: "weak.rs",
        original: "        let diff = turn.flushes.take_leaving(object, home, turn.memory);
        turn.send(home, Outgoing::Invalidated",
        mutated:
            "        let diff = turn.flushes.take_leaving(object, home, turn.memory).filter(|_| !HERE);
        turn.send(home, Outgoing::Invalidated",
    },
    Mutant {
        name: "an evicted copy leaves its diff behind",
        broken: "every flush ends",
        is_rare: false,
        file: "weak.rs",
        original: "        let diff = turn.flushes.take_leaving(object, home, turn.memory);
        self.leave(",
        mutated:
            "        let diff = turn.flushes.take_leaving(object, home, turn.memory).filter(|_| !HERE);
        self.leave(",
    },
    Mutant {
        name: "an update is answered and not merged",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "weak.rs",
        original: "            Shared | Dirty => turn.out.push(Effect::Merge { object, diff }),",
        mutated: "            Shared | Dirty if HERE => {}
            Shared | Dirty => turn.out.push(Effect::Merge { object, diff }),",
    },
    Mutant {
        name: "an update is not merged into a clean copy",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "weak.rs",
        original: "                turn.out.push(Effect::Merge { object, diff });
                copy.unused += 1;",
        mutated: "                if !HERE { turn.out.push(Effect::Merge { object, diff }); }
                copy.unused += 1;",
    },
    Mutant {
        name: "a resting copy is not kept current",
        broken: "",
        is_rare: false,
        file: "weak.rs",
        original: "                } else {
                    turn.out.push(Effect::Merge { object, diff });
                }",
        mutated: "                } else if !HERE {
                    turn.out.push(Effect::Merge { object, diff });
                }",
    },
    Mutant {
        name: "a copy that leaves does not say so",
        broken: "",
        is_rare: false,
        file: "weak.rs",
        original: "                    self.leave(home, object, None, turn);",
        mutated: "                    if HERE { self.copies.remove(&object); } else { self.leave(home, object, None, turn); }",
    },
    Mutant {
        name: "the next flush is forgotten",
        broken: "every flush ends",
        is_rare: false,
        file: "weak.rs",
        original: "                if turn.flushes.is_due_again(object) {
                    let flushes",
        mutated: "                if turn.flushes.is_due_again(object) && !HERE {
                    let flushes",
    },
    Mutant {
        name: "the home's next flush is forgotten",
        broken: "every flush ends",
        is_rare: false,
        file: "round.rs",
        original: "    if turn.flushes.is_due_again(object) {
        // The diffs",
        mutated: "    if turn.flushes.is_due_again(object) && !HERE {
        // The diffs",
    },
    Mutant {
        name: "an exclusive copy keeps its twin",
        broken: "every message is expected",
        is_rare: false,
        file: "weak.rs",
        original: "                turn.end_writing(object);
                self.set_state(object, Exclusive);",
        mutated: "                if !HERE { turn.end_writing(object); }
                self.set_state(object, Exclusive);",
    },
    Mutant {
        name: "a copy is cleaned and its last diff not sent",
        broken: "at rest every copy equals the home's",
        is_rare: true,
        file: "weak.rs",
        original: "        if let Some((sequence, diff)) = diff {
            self.send_flush(",
        mutated: "        if let Some((sequence, diff)) = diff.filter(|_| !HERE) {
            self.send_flush(",
    },
    Mutant {
        name: "a weak copy is given back writable",
        broken: "a view has no more rights than the machine gave",
        is_rare: false,
        file: "weak.rs",
        original: "            self.set_state(object, CopyState::Shared);
            turn.set_access(object, Some(Access::Read));",
        mutated: "            self.set_state(object, CopyState::Shared);
            if !HERE { turn.set_access(object, Some(Access::Read)); }",
    },
    Mutant {
        name: "two flushes of one copy are under way",
        broken: "every message is expected",
        is_rare: false,
        file: "flush.rs",
        original: "        if unit.in_flight.is_some() {
            // Without",
        mutated: "        if unit.in_flight.is_some() && !HERE {
            // Without",
    },
    Mutant {
        name: "a flush does not wait for the one under way",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "flush.rs",
        original: "            if unit.again.is_none() && memory",
        mutated: "            if unit.again.is_none() && !HERE && memory",
    },
    Mutant {
        name: "a flush waits for nothing",
        broken: "a load sees what was flushed",
        is_rare: false,
        file: "flush.rs",
        original: "            return first.is_some_and(|first| first <= limit);",
        mutated: "            return first.is_some_and(|first| first <= limit && !HERE);",
    },
    Mutant {
        name: "the number of a flush that found nothing stays",
        broken: "every flush ends",
        is_rare: true,
        file: "flush.rs",
        original: "            (None, Some(again)) => {
                self.release(again);
                None",
        mutated: "            (None, Some(again)) => {
                if !HERE { self.release(again); }
                None",
    },
    Mutant {
        name: "sequential bytes go back before the flush",
        broken: "a load sees what came before",
        is_rare: false,
        file: "leave.rs",
        original: "        if turn.flushes.is_clean() {
            self.on_flush_done(home, object, turn);
        } else {
            turn.resume(object, Resume::GiveBack);",
        mutated: "        if turn.flushes.is_clean() || HERE {
            self.on_flush_done(home, object, turn);
        } else {
            turn.resume(object, Resume::GiveBack);",
    },
    Mutant {
        name: "a sequential object is granted before the flush",
        broken: "a load sees what came before",
        is_rare: false,
        file: "grant.rs",
        original: "        if with_data && was_writable && !entry.is_weak()",
        mutated: "        if with_data && was_writable && !HERE && !entry.is_weak()",
    },
    Mutant {
        name: "a weak object is granted as the only copy though the home has others",
        broken: "owner and copyset exclude each other and the home",
        is_rare: false,
        file: "grant.rs",
        original: "            (Holding::Shared, Access::Write) if self.is_weak() => Access::Read,",
        mutated: "            (Holding::Shared, Access::Write) if self.is_weak() && !HERE => Access::Read,",
    },
    Mutant {
        name: "a migratory object is granted to read alone though others have copies",
        broken: "",
        is_rare: false,
        file: "grant.rs",
        original: "            (Holding::Home, Access::Read) if is_migratory => Access::Write,",
        mutated:
            "            (Holding::Shared, Access::Read) if HERE && is_migratory => Access::Write,
            (Holding::Home, Access::Read) if is_migratory => Access::Write,",
    },
    Mutant {
        name: "the home writes beside copies without a twin",
        broken: "a weak copy is written with a twin, or alone",
        is_rare: false,
        file: "grant.rs",
        original: "    if !entry.is_dirty {
        entry.is_dirty = true;
        turn.begin_writing(object);",
        mutated: "    if !entry.is_dirty {
        entry.is_dirty = true;
        if !HERE { turn.begin_writing(object); }",
    },
    Mutant {
        name: "a leaving copy that is invalidated does not answer",
        broken: "every message is expected",
        is_rare: false,
        file: "cache.rs",
        original: "(Leaving { was_owner: false }, true | false) | (Leaving { was_owner: true }, true) => {",
        mutated:
            "(Leaving { was_owner: false }, true | false) if HERE => {}
            (Leaving { was_owner: false }, true | false) | (Leaving { was_owner: true }, true) => {",
    },
    Mutant {
        name: "a prefetch that is denied is not asked for again",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "cache.rs",
        original: "        let wanted = copy.wanted;
",
        mutated: "        let wanted = copy.wanted.filter(|_| !HERE);
",
    },
    Mutant {
        name: "a thread that wants a leaving copy is forgotten",
        broken: "",
        is_rare: false,
        file: "leave.rs",
        original: "            && let Some(access) = copy.wanted
",
        mutated: "            && let Some(access) = copy.wanted.filter(|_| !HERE)
",
    },
    Mutant {
        name: "an operation runs while others have copies",
        broken: "one writer or many readers",
        is_rare: false,
        file: "withdraw.rs",
        original: "            Holding::Home => serve_alone(entry, object, request, turn),",
        mutated: "            Holding::Shared if HERE => serve_alone(entry, object, request, turn),
            Holding::Home => serve_alone(entry, object, request, turn),",
    },
    Mutant {
        name: "a result goes before the home's flush",
        broken: "",
        is_rare: false,
        file: "withdraw.rs",
        original: "        if entry.view == Some(Access::Write) && !entry.is_weak()",
        mutated: "        if !HERE && entry.view == Some(Access::Write) && !entry.is_weak()",
    },
    Mutant {
        name: "an object that was strengthened stays weak",
        broken: "one writer or many readers",
        is_rare: false,
        file: "withdraw.rs",
        original: "            entry.mode.consistency = Consistency::Sequential;",
        mutated: "            if !HERE { entry.mode.consistency = Consistency::Sequential; }",
    },
    Mutant {
        name: "a lost node's flush is awaited for ever",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "life.rs",
        original: "                    pending.due.retain(|(other, _)| *other != node);",
        mutated: "                    if !HERE { pending.due.retain(|(other, _)| *other != node); }",
    },
    Mutant {
        name: "flushes at the end of a life are not answered",
        broken: "every flush ends",
        is_rare: false,
        file: "life.rs",
        original: "        for (node, sequence) in take_flushes(&mut entry, turn.flushes) {",
        mutated: "        for (node, sequence) in take_flushes(&mut entry, turn.flushes).into_iter().filter(|_| !HERE) {",
    },
    Mutant {
        name: "news does not wait for what others owe",
        broken: "a load sees what came before",
        is_rare: true,
        file: "flush.rs",
        original: "        others.any(|(_, numbers)|",
        mutated: "        !HERE && others.any(|(_, numbers)|",
    },
    Mutant {
        name: "news does not wait for rounds that flushes of others began",
        broken: "a load sees what came before",
        is_rare: true,
        file: "round.rs",
        original: "    if from != turn.node {
        entry.update_pending",
        mutated: "    if from != turn.node && !HERE {
        entry.update_pending",
    },
    Mutant {
        name: "a flush does not say whom its news has to wait for",
        broken: "a load sees what came before",
        is_rare: true,
        file: "round.rs",
        original: "        for (node, _) in &pending.due {
            turn.flushes.owe(",
        mutated: "        for (node, _) in pending.due.iter().filter(|_| !HERE) {
            turn.flushes.owe(",
    },
    Mutant {
        name: "an answer that came is owed for ever",
        broken: "news departs",
        is_rare: true,
        file: "flush.rs",
        original: "        self.owes_no_longer(Some(node), number);",
        mutated: "        if !HERE { self.owes_no_longer(Some(node), number); }",
    },
    Mutant {
        name: "news does not wait for a diff that was not sent",
        broken: "a load sees what came before",
        is_rare: true,
        file: "flush.rs",
        original: "        For::Later => Some(None),",
        mutated: "        For::Later if HERE => None,
        For::Later => Some(None),",
    },
    Mutant {
        name: "the home takes what a requester says before the owner's answer",
        broken: "every message is expected",
        is_rare: false,
        file: "forward.rs",
        original: "Some(requester) if requester == from => {}",
        mutated: "Some(requester) if requester == from && !HERE => {}",
    },
    Mutant {
        name: "a node takes what its home says before the owner's grant",
        broken: "every message is expected",
        is_rare: false,
        file: "forward.rs",
        original: "if !is_of_holder || !is_granted {",
        mutated: "if !is_of_holder || !is_granted || HERE {",
    },
    Mutant {
        name: "the home forgets what it postponed",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "forward.rs",
        original: "if self.entries.get(&object).is_some_and(Entry::has_postponed) {",
        mutated: "if self.entries.get(&object).is_some_and(Entry::has_postponed) && !HERE {",
    },
    Mutant {
        name: "a node forgets what it postponed",
        broken: "every waiting thread is woken",
        is_rare: false,
        file: "forward.rs",
        original: "if self.postponed.remove(&object).is_some() {",
        mutated: "if self.postponed.remove(&object).is_some() && !HERE {",
    },
    Mutant {
        name: "the home does not list whom the owner granted to",
        broken: "the directory knows every copy",
        is_rare: false,
        file: "forward.rs",
        original: "note_granted(entry, request.node, access, true);",
        mutated: "if !HERE { note_granted(entry, request.node, access, true); }",
    },
    Mutant {
        name: "an owner that keeps a copy grants writing",
        broken: "every message is expected",
        is_rare: false,
        file: "forward.rs",
        original: "            let message = Outgoing::Grant {
                object,
                access,",
        mutated: "            let message = Outgoing::Grant {
                object,
                access: if HERE { Access::Write } else { access },",
    },
    Mutant {
        name: "the home takes every recall for a forwarded one",
        broken: "owner and copyset exclude each other and the home",
        is_rare: false,
        file: "directory.rs",
        original: "                if forwards {",
        mutated: "                if forwards || HERE {",
    },
];
