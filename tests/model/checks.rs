//! The rules that hold in every state, and those that hold when nothing is on its way.

use umbel_wire::{Access, NodeId, ObjectId};

use super::node::home_of;
use super::world::{Broken, Bytes, Scenario, World};
use crate::subject::{CopyState, Entry, Holding};

/// Messages about one object that may be on one link at once, each way: a cache's answer and its next
/// request; a home's grant and the recall or invalidation right behind it.
const MESSAGES_PER_OBJECT_AND_LINK_MAX: usize = 2;

/// Rules of every state.
pub fn always(world: &World, scenario: &Scenario) -> Result<(), Broken> {
    for (index, object) in scenario.objects.iter().enumerate() {
        one_writer_or_many_readers(world, index)?;
        readable_is_newest(world, index)?;
        view_within_rights(world, *object)?;
        entry_is_well_formed(world, *object)?;
        links_are_short(world, *object)?;
    }
    Ok(())
}

/// Rules of the states where no message, effect or hold is left: nothing more happens by itself.
pub fn at_rest(world: &World, scenario: &Scenario) -> Result<(), Broken> {
    for (index, object) in scenario.objects.iter().enumerate() {
        for (rank, node) in world.present() {
            let place = node.place(*object);
            if place.reader_waits || place.writer_waits {
                return broken(
                    "every waiting thread is woken",
                    format!("node {rank} waits for {object:?}"),
                );
            }
            if node.machine.copy_state(*object).is_waiting() {
                return broken(
                    "every request is answered",
                    format!("node {rank} asked for {object:?}"),
                );
            }
        }
        if world.is_reclaiming(index) {
            return broken("every reclaim ends", format!("{object:?}"));
        }
        if !world.is_home_lost(*object) {
            directory_agrees_with_caches(world, *object)?;
        }
    }
    Ok(())
}

fn one_writer_or_many_readers(world: &World, index: usize) -> Result<(), Broken> {
    let views = world.nodes.iter().map(|node| node.places[index].view);
    let writers = views
        .clone()
        .filter(|view| *view == Some(Access::Write))
        .count();
    let holders = views.clone().filter(Option::is_some).count();
    if writers > 1 || (writers == 1 && holders > 1) {
        return broken(
            "one writer or many readers",
            format!("views {:?}", views.collect::<Vec<_>>()),
        );
    }
    Ok(())
}

fn readable_is_newest(world: &World, index: usize) -> Result<(), Broken> {
    for (rank, node) in world.nodes.iter().enumerate() {
        let place = &node.places[index];
        if place.view.is_some() && place.bytes == Bytes::Stale {
            return broken(
                "a load sees the last store",
                format!("node {rank} can load a stale value"),
            );
        }
    }
    Ok(())
}

fn view_within_rights(world: &World, object: ObjectId) -> Result<(), Broken> {
    for (rank, node) in world.nodes.iter().enumerate() {
        // With effects outstanding the machine is ahead of the view.
        if node.outbox.is_empty() && node.place(object).view > node.machine.rights(object) {
            return broken(
                "a view has no more rights than the machine gave",
                format!("node {rank}, {object:?}"),
            );
        }
    }
    Ok(())
}

fn entry_is_well_formed(world: &World, object: ObjectId) -> Result<(), Broken> {
    let home = home_of(object);
    let Some(entry) = world.nodes[home].machine.entry(object) else {
        return Ok(());
    };
    let is_well_formed = match entry.holding() {
        Holding::Home => entry.copyset().is_empty(),
        Holding::Shared => {
            !entry.copyset().is_empty()
                && entry
                    .copyset()
                    .iter()
                    .all(|node| usize::from(node.0) != home)
        }
        Holding::Owned(owner) => entry.copyset().is_empty() && usize::from(owner.0) != home,
    };
    if is_well_formed {
        Ok(())
    } else {
        broken(
            "owner and copyset exclude each other and the home",
            format!("{entry:?}"),
        )
    }
}

fn links_are_short(world: &World, object: ObjectId) -> Result<(), Broken> {
    let longest = world.links.iter().flatten().map(|link| {
        link.iter()
            .filter(|message| message.object() == object)
            .count()
    });
    let longest = longest.max().unwrap_or(0);
    if longest > MESSAGES_PER_OBJECT_AND_LINK_MAX {
        return broken(
            "links are short",
            format!("{longest} messages about {object:?}"),
        );
    }
    Ok(())
}

fn directory_agrees_with_caches(world: &World, object: ObjectId) -> Result<(), Broken> {
    let home = home_of(object);
    let entry = world.nodes[home].machine.entry(object);
    if entry.is_some_and(Entry::is_busy) {
        return broken("nothing is pending at rest", format!("{entry:?}"));
    }
    for (rank, node) in world
        .nodes
        .iter()
        .enumerate()
        .filter(|(rank, _)| *rank != home)
    {
        let id = NodeId(u16::try_from(rank).expect("worlds are small"));
        let expected = match entry.map(|entry| (entry.holding(), entry.copyset().contains(id))) {
            None | Some((Holding::Home, _)) | Some((Holding::Shared, false)) => CopyState::Invalid,
            Some((Holding::Shared, true)) => CopyState::Shared,
            Some((Holding::Owned(owner), _)) if owner == id => CopyState::Exclusive,
            Some((Holding::Owned(_), _)) => CopyState::Invalid,
        };
        let state = node.machine.copy_state(object);
        if state != expected {
            let detail =
                format!("node {rank} is {state:?} and should be {expected:?} for {object:?}");
            return broken("the directory knows every copy", detail);
        }
    }
    Ok(())
}

fn broken(rule: &'static str, detail: String) -> Result<(), Broken> {
    Err(Broken { rule, detail })
}
