//! How a home gives rights, to other nodes and to its own threads.
//!
//! Which rights a request gets, and what the home keeps, is in [`crate::directory`]'s tables and in
//! [`crate::round`] for weak objects.

use umbel_wire::{Access, NodeId, ObjectId, Protocol};

use crate::directory::Directory;
use crate::effect::{Effect, Outgoing};
use crate::entry::{Awaited, Entry, Holding, Request, Want};
use crate::record::Counted;
use crate::turn::{Resume, Turn};

impl Directory {
    /// Gives `node` its rights; the holding is `Home`, or `Shared` if it wants to read or the object is weak.
    pub(crate) fn grant<D: Clone>(
        &mut self,
        object: ObjectId,
        node: NodeId,
        access: Access,
        with_data: bool,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        entry.record.count(access.into());
        if node == turn.node {
            return grant_at_home(entry, object, access, turn);
        }
        // Revoke, then copy, then answer: any other order loses stores.
        let granted = entry.granted(access);
        let was_writable = entry.view == Some(Access::Write);
        match granted {
            Access::Read => lower_view(entry, object, turn),
            Access::Write => limit_view(entry, object, None, turn),
        }
        if with_data && was_writable && !entry.is_weak() && !turn.flushes.is_clean() {
            let request = Request {
                node,
                want: Want::Access(granted),
            };
            entry.begin(Awaited::Flush, Some(request));
            turn.resume(object, Resume::Grant);
            return;
        }
        send_grant(entry, object, node, granted, with_data, turn);
    }

    /// Everything written here before the rights were lowered is visible everywhere.
    pub(crate) fn on_flush_done<D: Clone>(&mut self, object: ObjectId, turn: &mut Turn<'_, D>) {
        let entry = self.entries.get(&object);
        match entry.and_then(Entry::awaited) {
            Some(Awaited::Flush | Awaited::Reply { .. }) => self.finish(object, turn),
            Some(
                Awaited::Recalled { .. }
                | Awaited::Invalidated { .. }
                | Awaited::Round
                | Awaited::Withdrawn
                | Awaited::EndOfLife
                | Awaited::Operated,
            )
            | None => unreachable!("a flush was awaited for {:#x}", object.0),
        }
    }

    pub(crate) fn deliver<D: Clone>(
        &mut self,
        object: ObjectId,
        request: Request,
        turn: &mut Turn<'_, D>,
    ) {
        let entry = self
            .entries
            .get_mut(&object)
            .expect("the request is for this entry");
        match request.want {
            Want::Access(access) => {
                send_grant(entry, object, request.node, access, true, turn);
            }
            Want::Operate(_) | Want::Strengthen(_) => {
                unreachable!("bytes are granted to whom asked for access")
            }
        }
    }
}

impl Entry {
    /// Whether the owner keeps a read copy when somebody else wants `access`.
    pub(crate) fn keeps_read(&self, access: Access) -> bool {
        match self.mode.protocol {
            Protocol::Migratory => false,
            Protocol::Invalidate | Protocol::ReadOnly | Protocol::Update | Protocol::Remote => {
                self.is_weak() || access == Access::Read
            }
        }
    }

    /// What another node gets that wants `access`.
    fn granted(&self, access: Access) -> Access {
        let is_migratory = self.mode.protocol == Protocol::Migratory;
        match (self.holding, access) {
            (Holding::Home, Access::Read) if is_migratory => Access::Write,
            (Holding::Home, Access::Write) if is_migratory => Access::Write,
            // The home would miss it at once: both write, each beside a twin.
            (Holding::Home, Access::Write) if self.is_weak() && self.is_used => Access::Read,
            (Holding::Shared, Access::Write) if self.is_weak() => Access::Read,
            (Holding::Home | Holding::Shared | Holding::Owned(_), access) => access,
        }
    }

    /// Somebody is about to write.
    pub(crate) fn end_read_only(&mut self) {
        if self.mode.protocol == Protocol::ReadOnly {
            self.mode.protocol = Protocol::Invalidate;
            self.record.count(Counted::Switch);
        }
    }
}

fn send_grant<D>(
    entry: &mut Entry,
    object: ObjectId,
    node: NodeId,
    access: Access,
    with_data: bool,
    turn: &mut Turn<'_, D>,
) {
    note_granted(entry, node, access, with_data);
    let message = Outgoing::Grant {
        object,
        access,
        mode: entry.mode,
        with_data,
    };
    turn.send(node, message);
}

/// `node` has the copy, or will have it.
pub(crate) fn note_granted(entry: &mut Entry, node: NodeId, access: Access, with_data: bool) {
    match access {
        Access::Read => {
            entry.holding = Holding::Shared;
            entry.record.add_copy(node);
        }
        Access::Write => {
            entry.holding = Holding::Owned(node);
            entry.is_used = false;
        }
    }
    if with_data {
        entry.record.count(Counted::GrantWithData);
    }
}

fn grant_at_home<D>(entry: &mut Entry, object: ObjectId, access: Access, turn: &mut Turn<'_, D>) {
    let is_weak_copy = entry.is_weak() && entry.holding == Holding::Shared;
    match access {
        Access::Write if is_weak_copy => write_at_home(entry, object, turn),
        Access::Read | Access::Write => expose_at_home(entry, object, turn),
    }
    let is_read_only = entry.mode.protocol == Protocol::ReadOnly;
    if turn.minimum_hold && !is_weak_copy && !is_read_only {
        entry.holds = entry.holds.saturating_add(1);
        turn.out.push(Effect::Hold { object });
    }
}

/// Gives the home's threads all they may have, and wakes them.
pub(crate) fn expose_at_home<D>(entry: &mut Entry, object: ObjectId, turn: &mut Turn<'_, D>) {
    let is_copy = entry.is_weak() && entry.holding == Holding::Shared && !entry.is_dirty;
    if is_copy && turn.memory.tracks_writes(object) {
        return write_at_home(entry, object, turn);
    }
    entry.view = entry.home_rights();
    entry.is_used = entry.is_weak();
    turn.show(object, entry.view);
}

/// Lets the home's threads write a weak object that others have copies of.
pub(crate) fn write_at_home<D>(entry: &mut Entry, object: ObjectId, turn: &mut Turn<'_, D>) {
    entry.end_read_only();
    if !entry.is_dirty {
        entry.is_dirty = true;
        turn.begin_writing(object);
    }
    entry.view = Some(Access::Write);
    entry.is_used = true;
    turn.show(object, entry.view);
}

/// Takes from the home's threads what is above `rights`.
pub(crate) fn limit_view<D>(
    entry: &mut Entry,
    object: ObjectId,
    rights: Option<Access>,
    turn: &mut Turn<'_, D>,
) {
    if entry.view > rights {
        entry.view = rights;
        turn.set_access(object, rights);
    }
}

/// A copy is about to be granted: from now on the home's threads write beside a twin, or not at all.
fn lower_view<D>(entry: &mut Entry, object: ObjectId, turn: &mut Turn<'_, D>) {
    let is_writable = entry.view == Some(Access::Write);
    if entry.is_dirty {
        return;
    }
    if is_writable && entry.is_weak() && turn.memory.tracks_writes(object) {
        // The twin is made before the bytes are read: what is written in between goes twice, not never.
        entry.is_dirty = true;
        turn.begin_writing(object);
    } else {
        limit_view(entry, object, Some(Access::Read), turn);
    }
}
