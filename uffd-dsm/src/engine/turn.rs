//! Carrying out effects, and gathering revocations.
//!
//! Lowering the rights of a page interrupts the other processors (14 us in a virtual machine); lowering those of a
//! run of neighbours with one call interrupts them once. Peers ask for neighbours in one go (streams, flushes), so
//! the effects of messages that only lower rights and answer wait for the next such message about a later
//! object, until anything else happens or the turn ends. No answer leaves earlier or later for that: links hold
//! messages until the turn has ended. Within what was gathered, a run of equal changes of rights is made at the
//! first of them: lowering rights earlier than asked for is always right.

use std::collections::VecDeque;

use umbel_coherence::{Effect, Outgoing};
use umbel_fault::{Error, PAGE_BYTES, Rights};
use umbel_wire::codec::Put;
use umbel_wire::{Access, Coherence, NodeId, ObjectId, Operation, Protocol, Token};

use super::memory::{Source, parse, place};
use super::{Engine, Event, Hold, Link, PART_UNITS};
use crate::payload::Payload;
use crate::stream::Way;
use crate::trace::Traced;
use crate::window::Arena;

/// Whether the message may only lower rights here and be answered, or bring a page that nobody waits for: its effects
/// can wait for others of their kind.
pub(super) fn can_wait(message: &Coherence<Payload>) -> bool {
    match message {
        Coherence::Get { .. }
        | Coherence::Grant { .. }
        | Coherence::Recall { .. }
        | Coherence::Invalidate { .. } => true,
        Coherence::Deny { .. }
        | Coherence::Recalled { .. }
        | Coherence::Invalidated { .. }
        | Coherence::Flush { .. }
        | Coherence::Return { .. }
        | Coherence::Flushed { .. }
        | Coherence::Update { .. }
        | Coherence::Updated { .. }
        | Coherence::Operate { .. }
        | Coherence::Operated { .. }
        | Coherence::Strengthen { .. }
        | Coherence::Strengthened { .. } => false,
    }
}

/// Whether nothing but rights, messages and pages that nobody waits for is affected, and not much of it.
pub(super) fn is_quiet(effects: &[Effect<Payload>]) -> bool {
    effects.len() < GATHERED_MAX
        && effects.iter().all(|effect| {
            matches!(
                effect,
                Effect::SetAccess { .. }
                    | Effect::Send { .. }
                    | Effect::Store { .. }
                    | Effect::Twin { .. }
                    | Effect::DropTwin { .. }
                    | Effect::Resume { .. }
            )
        })
}

/// What the machine wants to be called for after the effects.
enum Again {
    Resumed(ObjectId),
    Operated(ObjectId, NodeId, Token, Operation),
    TakenUp(NodeId, Coherence<Payload>),
    /// A page has come whose neighbours belong to it.
    FetchTogether(ObjectId),
}

/// Changes of rights made before their effects came up: of the objects from `next` to before `end`.
#[derive(Clone, Copy)]
struct Done {
    next: u64,
    end: u64,
    access: Option<Access>,
}

impl Engine {
    /// Carries out the effects of the last input, and of those before it that were put off.
    pub(super) fn carry_out(&mut self, now_ns: u64, link: &mut dyn Link) -> Result<(), Error> {
        self.put_off = None;
        let mut again = VecDeque::new();
        let mut answered = Vec::new();
        loop {
            let mut effects = VecDeque::from(std::mem::take(&mut self.effects));
            self.apply(&mut effects, &mut again, &mut answered, now_ns, link)?;
            // Empty; keeps its memory.
            self.effects = Vec::from(effects);
            match again.pop_front() {
                None => break,
                Some(Again::Resumed(object)) => {
                    if self.machine.flushes_when_resumed(object) {
                        self.flush_many(&mut again, &mut answered, now_ns, link)?;
                    }
                    self.machine
                        .on_resumed(object, &mut self.memory, &mut self.effects);
                }
                Some(Again::FetchTogether(object)) => self.fetch_together(object),
                Some(Again::TakenUp(from, message)) => {
                    self.memory.sender = from;
                    let (memory, effects) = (&mut self.memory, &mut self.effects);
                    if let Err(violation) = self.machine.on_message(from, message, memory, effects)
                    {
                        self.events.push_back(Event::Refused(violation));
                    }
                }
                Some(Again::Operated(object, from, token, operation)) => {
                    self.memory.sender = from;
                    let result = self.memory.operate(object, &operation);
                    self.machine.on_operated(
                        object,
                        from,
                        token,
                        result,
                        &mut self.memory,
                        &mut self.effects,
                    );
                }
            }
        }
        for object in answered {
            self.forget_if_gone(object);
        }
        Ok(())
    }

    /// Of many written units, sends each part before it looks at the next; the machine's own flush finds them under way.
    fn flush_many(
        &mut self,
        again: &mut VecDeque<Again>,
        answered: &mut Vec<ObjectId>,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let units = self.machine.units_to_flush(&mut self.memory);
        if units.len() < MANY_PARTS * PART_UNITS {
            return Ok(());
        }
        for part in units.chunks(PART_UNITS) {
            self.machine
                .send_written(part, &mut self.memory, &mut self.effects);
            let mut effects = VecDeque::from(std::mem::take(&mut self.effects));
            self.apply(&mut effects, again, answered, now_ns, link)?;
            self.effects = Vec::from(effects);
        }
        Ok(())
    }

    /// `answered`: foreign objects about which something was sent.
    fn apply(
        &mut self,
        effects: &mut VecDeque<Effect<Payload>>,
        again: &mut VecDeque<Again>,
        answered: &mut Vec<ObjectId>,
        now_ns: u64,
        link: &mut dyn Link,
    ) -> Result<(), Error> {
        let mut done: Option<Done> = None;
        // Raising rights also wakes: that spares a call.
        let mut woken = None;
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send { to, message } => {
                    let object = message.object();
                    self.send(to, message, link);
                    if !self.memory.is_own(object) {
                        answered.push(object);
                    }
                }
                Effect::Store { object, data } => {
                    if let Some(last) = self.fill(effects, object, &data)? {
                        woken = Some(last);
                        continue;
                    }
                    self.memory.store(object, &data);
                    if !self.memory.is_own(object) {
                        self.copies.add(object);
                        again.extend(self.note_together(object, &data));
                    }
                }
                Effect::Twin { object } => self.memory.make_twin(object),
                Effect::DropTwin { object } => self.memory.drop_twin(object),
                Effect::Merge { object, diff } => self.memory.merge(object, &diff),
                Effect::SetAccess { object, access } => {
                    woken = access.map(|_| object);
                    if done.as_mut().is_some_and(|done| done.take(object, access)) {
                        continue;
                    }
                    let count = run_len(effects, object, access);
                    self.set_access(object, count, access)?;
                    done = Some(Done {
                        next: object.0 + 1,
                        end: object.0 + count,
                        access,
                    });
                }
                Effect::Wake { object } => {
                    self.trace.add(Traced::FaultEnded {
                        at_ns: now_ns,
                        object,
                    });
                    if self.awaited.remove(&object) {
                        self.copies.note_shown(object, now_ns);
                    }
                    if woken != Some(object) {
                        let address = place(object).page_address();
                        self.memory.space.wake(address)?;
                    }
                }
                Effect::Hold { object } => self.begin_hold(object, now_ns),
                Effect::Resume { object } => again.push_back(Again::Resumed(object)),
                Effect::Postpone { from, message } => self.early.push((from, message)),
                Effect::TakeUp { object } => {
                    let is_it = |early: &mut (_, Coherence<_>)| early.1.object() == object;
                    let early = self.early.extract_if(.., is_it);
                    again.extend(early.map(|(from, message)| Again::TakenUp(from, message)));
                }
                Effect::Operate {
                    object,
                    from,
                    token,
                    operation,
                } => again.push_back(Again::Operated(object, from, token, operation)),
                Effect::Flushed { token } => self.events.push_back(Event::Flushed(token)),
                Effect::Operated { token, result } => {
                    self.events.push_back(Event::Operated { token, result });
                }
                Effect::Strengthened { token } => {
                    self.events.push_back(Event::Strengthened(token));
                }
                Effect::Retire {
                    object,
                    counters,
                    mode,
                } => self.count_retired(object, &counters, mode),
                Effect::Reclaimed { token } => self.events.push_back(Event::Reclaimed(token)),
            }
        }
        Ok(())
    }

    fn begin_hold(&mut self, object: ObjectId, now_ns: u64) {
        let (kind, hold_ns) = match self.machine.rights(object) {
            Some(Access::Write) => (1, self.hold_ns),
            Some(Access::Read) | None => (0, self.hold_ns / READ_HOLD_PART),
        };
        self.holds[kind].push_back(Hold {
            deadline_ns: now_ns + hold_ns,
            release_count: (self.release_count)(),
            object,
        });
    }

    /// Reads the object's bytes, if the message carries them, straight into what the link queues.
    fn send(&mut self, to: NodeId, message: Outgoing<Payload>, link: &mut dyn Link) {
        let sealed = if self.sharing.is_some() {
            message.seal(|object| self.memory.read(object))
        } else {
            message.seal(Payload::in_place)
        };
        self.note_bytes(self.memory.node, &sealed);
        let sources = sealed.map_ref(|payload| Source {
            memory: &self.memory,
            payload,
        });
        link.send(to, &sources.map_ref(|source| source as &dyn Put));
        // Small objects take so little that one message for all of them is worth more.
        let is_of_page = matches!(sealed, Coherence::Flush { .. } | Coherence::Flushed { .. })
            && !matches!(place(sealed.object()).arena, Arena::Small(_));
        if is_of_page {
            self.page_flushes += 1;
            if self.page_flushes.is_multiple_of(PART_UNITS) {
                link.more_follows(to);
            }
        }
    }

    /// Takes over a run of pages at once: this one's bytes, which were just taken off `effects`, and as many that
    /// follow with the same rights, whose effects are taken off. The last of them; `None` if this one isn't such a
    /// page, or stays hidden.
    fn fill(
        &mut self,
        effects: &mut VecDeque<Effect<Payload>>,
        first: ObjectId,
        data: &Payload,
    ) -> Result<Option<ObjectId>, Error> {
        let with_twins = is_twin(effects.front(), first);
        let rights = usize::from(with_twins);
        let Some(access) = new_access(effects.get(rights), first) else {
            return Ok(None);
        };
        let shown = |object| self.awaited.contains(&object) || !self.marks.contains(&object);
        let Some(page) = self.memory.whole_page(first, data).filter(|_| shown(first)) else {
            return Ok(None);
        };
        let mut pages = vec![page];
        let per_page = rights + 2;
        while pages.len() < FILLED_MAX {
            let next = ObjectId(first.0 + pages.len() as u64);
            let at = rights + 1 + (pages.len() - 1) * per_page;
            let Some(Effect::Store { object, data }) = effects.get(at) else {
                break;
            };
            let is_next = *object == next
                && place(next).stack == place(first).stack
                && (!with_twins || is_twin(effects.get(at + 1), next))
                && new_access(effects.get(at + 1 + rights), next) == Some(access);
            if !is_next {
                break;
            }
            match self.memory.whole_page(next, data) {
                Some(page) if shown(next) => pages.push(page),
                _ => break,
            }
        }
        let count = pages.len();
        let rights_there = match access {
            Access::Read => Rights::Read,
            Access::Write => Rights::Write,
        };
        self.memory.fill(first, &pages, rights_there, with_twins)?;
        effects.drain(..rights + 1 + (count - 1) * per_page);
        for object in (first.0..first.0 + count as u64).map(ObjectId) {
            self.copies.add(object);
            self.asked_ahead.remove(&object);
            self.marks.remove(&object);
            self.hidden.remove(&object);
        }
        Ok(Some(ObjectId(first.0 + count as u64 - 1)))
    }

    /// Sets the rights of `count` objects from this one, whose pages are neighbours.
    fn set_access(
        &mut self,
        object: ObjectId,
        count: u64,
        access: Option<Access>,
    ) -> Result<(), Error> {
        let objects = (object.0..object.0 + count).map(ObjectId);
        let Some(access) = access else {
            let hidden = objects
                .filter(|object| self.hidden.remove(object).is_some())
                .count() as u64;
            if hidden == count {
                return Ok(());
            }
            let address = place(object).page_address();
            return self
                .memory
                .set_rights(address, count as usize, Rights::None);
        };
        if count == 1 && self.stays_hidden(object, access) {
            return Ok(());
        }
        let (first, count) = match count {
            1 => self.with_hidden_neighbours(object, access),
            _ => (object, count),
        };
        for object in (first.0..first.0 + count).map(ObjectId) {
            self.hidden.remove(&object);
            self.asked_ahead.remove(&object);
            self.marks.remove(&object);
        }
        let address = place(first).page_address();
        let rights = match access {
            // The home lets others read what it may have written. What is absent here stays so until it is used.
            Access::Read if self.memory.is_own(object) && !self.is_awaited(first, count) => {
                return self.memory.space.lower(address, count as usize);
            }
            Access::Read => Rights::Read,
            Access::Write => Rights::Write,
        };
        self.memory
            .space
            .set_rights(address, count as usize, rights)
    }

    fn is_awaited(&self, first: ObjectId, count: u64) -> bool {
        let mut awaited = self.awaited.range(first..ObjectId(first.0 + count));
        awaited.next().is_some()
    }

    /// The fault at a mark is wanted, and so is that at a copy that the bound for copies has hidden.
    fn stays_hidden(&mut self, object: ObjectId, access: Access) -> bool {
        if self.awaited.contains(&object) {
            return false;
        }
        self.asked_ahead.remove(&object);
        if self.marks.contains(&object) || self.hidden.contains_key(&object) {
            self.hidden.insert(object, access);
            return true;
        }
        false
    }

    /// The run of hidden copies with the same rights that can be shown together with this one.
    fn with_hidden_neighbours(&self, object: ObjectId, access: Access) -> (ObjectId, u64) {
        let is_next = |step: i64, count: u64| {
            let object_there = ObjectId(object.0.wrapping_add_signed(step * count as i64));
            self.hidden.get(&object_there) == Some(&access)
                && !self.marks.contains(&object_there)
                && place(object_there).page_address()
                    == place(object)
                        .page_address()
                        .wrapping_add_signed((step * count as i64) as isize * PAGE_BYTES as isize)
        };
        let run = |way: Way, limit: u64| {
            let step = match way {
                Way::Up => 1,
                Way::Down => -1,
            };
            (1..=limit)
                .take_while(|count| is_next(step, *count))
                .count() as u64
        };
        let (below, above) = match self.streams.shown_ahead(object) {
            Some((Way::Up, limit)) => (0, run(Way::Up, limit)),
            Some((Way::Down, limit)) => (run(Way::Down, limit), 0),
            None => {
                let (before, after) = self.together.get(&object).copied().unwrap_or_default();
                (run(Way::Down, before), run(Way::Up, after))
            }
        };
        (ObjectId(object.0 - below), below + 1 + above)
    }

    /// Whether the page has neighbours that the source wants fetched with it.
    fn note_together(&mut self, object: ObjectId, data: &Payload) -> Option<Again> {
        let (before, after) = parse(object, data)?.together;
        if before + after == 0 {
            return None;
        }
        self.together.insert(object, (before, after));
        // One that was asked for ahead belongs to a unit that is being fetched already.
        (!self.asked_ahead.contains(&object)).then_some(Again::FetchTogether(object))
    }

    /// What a message says besides what the machine makes of it.
    pub(super) fn note_arrival(&mut self, from: NodeId, message: &Coherence<Payload>) {
        match message {
            Coherence::Grant { object, mode, .. } | Coherence::Operated { object, mode, .. } => {
                self.note_remote(*object, mode.protocol == Protocol::Remote);
            }
            Coherence::Invalidate {
                object,
                end_of_life: true,
            } => self.note_remote(*object, false),
            Coherence::Deny { object } => {
                self.asked_ahead.remove(object);
                self.marks.remove(object);
                self.streams.on_denied(*object);
            }
            _ => {}
        }
        self.note_bytes(from, message);
    }

    fn note_remote(&mut self, object: ObjectId, remote: bool) {
        let changed = if remote {
            self.remote.insert(object)
        } else {
            self.remote.remove(&object)
        };
        if changed {
            self.events.push_back(Event::Remote { object, remote });
        }
    }
}

impl Done {
    /// Whether this change of rights was made already.
    fn take(&mut self, object: ObjectId, access: Option<Access>) -> bool {
        let was_made = self.access == access && object.0 == self.next && self.next < self.end;
        self.next += u64::from(was_made);
        was_made
    }
}

fn is_twin(effect: Option<&Effect<Payload>>, of: ObjectId) -> bool {
    matches!(effect, Some(Effect::Twin { object }) if *object == of)
}

/// The rights that the effect gives to threads, if it is about these.
fn new_access(effect: Option<&Effect<Payload>>, of: ObjectId) -> Option<Access> {
    match effect {
        Some(Effect::SetAccess { object, access }) if *object == of => *access,
        _ => None,
    }
}

/// How many objects from this one get the same rights with one call: their pages follow one another, and nothing
/// in between depends on their rights or bytes.
fn run_len(rest: &VecDeque<Effect<Payload>>, object: ObjectId, access: Option<Access>) -> u64 {
    let address = place(object).page_address();
    let mut count = 1;
    for effect in rest.iter().take(2 * GATHERED_MAX) {
        match effect {
            Effect::SetAccess {
                object: next,
                access: next_access,
            } => {
                let follows = next.0 == object.0 + count
                    && *next_access == access
                    && place(*next).page_address() == address + count as usize * PAGE_BYTES;
                if !follows {
                    break;
                }
                count += 1;
            }
            // Bytes that leave are those from before; twins and bytes come before the right to write.
            Effect::Send { .. } | Effect::DropTwin { .. } | Effect::Resume { .. }
                if access == Some(Access::Write) =>
            {
                break;
            }
            Effect::Send { .. }
            | Effect::DropTwin { .. }
            | Effect::Resume { .. }
            | Effect::Hold { .. }
            | Effect::Wake { .. } => {}
            Effect::Store { .. }
            | Effect::Twin { .. }
            | Effect::Merge { .. }
            | Effect::Postpone { .. }
            | Effect::TakeUp { .. }
            | Effect::Operate { .. }
            | Effect::Flushed { .. }
            | Effect::Operated { .. }
            | Effect::Strengthened { .. }
            | Effect::Retire { .. }
            | Effect::Reclaimed { .. } => break,
        }
    }
    count
}

/// Which part of a hold is enough for who reads: it needs to run once, to see what was written. Who writes has more of
/// the same, for which others need not be interrupted each time.
const READ_HOLD_PART: u64 = 4;
/// With fewer parts, what their home gains is lost by looking at them twice.
const MANY_PARTS: usize = 4;
/// Pages filled with one call.
const FILLED_MAX: usize = 128;
/// Effects put off at a time: the answers to a full window of several streams.
const GATHERED_MAX: usize = 256;
