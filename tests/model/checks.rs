//! The rules that hold in every state, and those that hold when nothing is on its way.

use std::sync::Arc;

use umbel_wire::{Access, ObjectId};

use super::node::{Value, home_of, node_id};
use super::scenario::{CELL_COUNT, Scenario, Writer};
use super::world::{Broken, ModelNode, World};
use crate::subject::{CopyState, Entry, Holding};

/// Messages about one object that may be on one link at once, each way: a cache's answer, its flush and
/// its next request; a home's grant or answer to a flush, and the recall, invalidation or update behind it.
const MESSAGES_PER_OBJECT_AND_LINK_MAX: usize = 4;

/// Rules of every state. What could be loaded in it is loaded.
pub fn always(world: &mut World, scenario: &Scenario) -> Result<(), Broken> {
    for (index, declared) in scenario.objects.iter().enumerate() {
        if world.is_sequential[index] {
            one_writer_or_many_readers(world, index)?;
            readable_is_newest(world, scenario, index)?;
        } else if !world.is_home_lost(declared.object) {
            nobody_misses_a_store(world, index)?;
        }
        view_within_rights(world, declared.object)?;
        entry_is_well_formed(world, declared.object)?;
        links_are_short(world, declared.object)?;
    }
    load_everything(world, scenario)?;
    tasks_are_done(world)
}

/// Rules of the states where no message, effect or hold is left: nothing more happens by itself.
pub fn at_rest(world: &World, scenario: &Scenario) -> Result<(), Broken> {
    for (index, declared) in scenario.objects.iter().enumerate() {
        let object = declared.object;
        for (rank, node) in world.present() {
            let place = node.place(object);
            if place.reader_waits || place.writer_waits {
                return broken(
                    "every waiting thread is woken",
                    format!("node {rank} waits for {object:?}"),
                );
            }
            if node.machine.copy_state(object).is_waiting() {
                return broken(
                    "every request is answered",
                    format!("node {rank} asked for {object:?}"),
                );
            }
        }
        if world.is_reclaiming(index) {
            return broken("every reclaim ends", format!("{object:?}"));
        }
        if !world.is_home_lost(object) {
            directory_agrees_with_caches(world, object)?;
            copies_are_the_homes(world, index, object)?;
        }
    }
    if let Some(rank) = world.knowledge.waits_for_flush() {
        return broken("every flush ends", format!("node {rank} waits"));
    }
    if let Some(news) = world.telling.first() {
        return broken("news departs", format!("{news:?}"));
    }
    if let Some(asked) = world.asked.first() {
        return broken("every operation is answered", format!("{asked:?}"));
    }
    Ok(())
}

/// A node that was granted less than it could have lowers nothing while the grant's hold lasts.
pub fn hold_is_kept(
    world: &World,
    scenario: &Scenario,
    rank: usize,
    object: ObjectId,
    from: Option<Access>,
    to: Option<Access>,
) -> Result<(), Broken> {
    let is_held = world.nodes[rank].place(object).holds > 0;
    // After an object's life, holds left over from it may end those of the next one early; an eviction
    // is the node's own wish, and so is what makes an object sequential.
    let has_lives = scenario.reclaims_per_object != Some(0);
    let is_wish = |budget: &super::Budget| budget.evictions > 0 || budget.strengthens > 0;
    let has_wishes = scenario.budgets.iter().any(is_wish);
    if to < from && is_held && !has_lives && !has_wishes {
        return broken(
            "a hold keeps what was granted",
            format!("node {rank} lost {from:?} of {object:?} during its hold"),
        );
    }
    Ok(())
}

/// A pin keeps what it was for, until the end of the object's life.
pub fn pin_is_kept(
    world: &World,
    scenario: &Scenario,
    rank: usize,
    object: ObjectId,
    to: Option<Access>,
) -> Result<(), Broken> {
    let pinned = world.nodes[rank].place(object).pinned;
    let is_over = scenario.reclaims_per_object != Some(0) || world.is_home_lost(object);
    if pinned > to && !is_over {
        return broken(
            "a pin keeps what it was for",
            format!("node {rank} has {to:?} of {object:?}, pinned for {pinned:?}"),
        );
    }
    Ok(())
}

/// Who hears of what a thread did finds done what it had asked before and not waited for.
fn tasks_are_done(world: &World) -> Result<(), Broken> {
    for (rank, _) in world.present() {
        for asker in (0..world.nodes.len()).filter(|asker| *asker != rank) {
            let known = world.knowledge.tasks_known(rank, asker);
            if let Some(task) = world.undone(asker, known) {
                let detail = format!("node {rank} knows of {task:?} of node {asker}");
                return broken("what was asked before is done", detail);
            }
        }
    }
    Ok(())
}

/// When a life has ended, nobody but the home can use the object.
pub fn is_alone(
    world: &World,
    scenario: &Scenario,
    home: usize,
    index: usize,
) -> Result<(), Broken> {
    let has_view = |node: &Arc<ModelNode>| node.places[index].view.is_some();
    let holder = world.nodes.iter().position(has_view);
    if holder.is_some_and(|holder| holder != home) {
        let object = scenario.objects[index].object;
        return broken(
            "a reclaimed object is its home's alone",
            format!("node {holder:?} can still use {object:?}"),
        );
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

fn readable_is_newest(world: &World, scenario: &Scenario, index: usize) -> Result<(), Broken> {
    // What a lost node stored before the object was sequential is lost with it.
    let is_lost = |cell: usize| {
        let writer = scenario.objects[index].writers[cell];
        world.lost.is_some_and(|gone| writer == Writer::Only(gone))
    };
    for (rank, node) in world.nodes.iter().enumerate() {
        let place = &node.places[index];
        let is_stale =
            |cell: usize| place.bytes[cell] != world.latest[index][cell] && !is_lost(cell);
        if place.view.is_some() && (0..CELL_COUNT).any(is_stale) {
            return broken(
                "a load sees the last store",
                format!("node {rank} can load a stale value"),
            );
        }
    }
    Ok(())
}

/// Who stores without a twin tells nobody: so nobody may read.
fn nobody_misses_a_store(world: &World, index: usize) -> Result<(), Broken> {
    let places = || world.nodes.iter().map(|node| &node.places[index]);
    let stores_alone =
        places().any(|place| place.view == Some(Access::Write) && place.twin.is_none());
    let holders = places().filter(|place| place.view.is_some()).count();
    if stores_alone && holders > 1 {
        return broken(
            "a weak copy is written with a twin, or alone",
            format!("{:?}", places().collect::<Vec<_>>()),
        );
    }
    Ok(())
}

fn load_everything(world: &mut World, scenario: &Scenario) -> Result<(), Broken> {
    if scenario.objects.iter().all(|declared| !declared.is_weak()) {
        return Ok(());
    }
    for rank in 0..world.nodes.len() {
        let readable = |world: &World, index: usize| world.nodes[rank].places[index].view.is_some();
        for index in 0..scenario.objects.len() {
            if readable(world, index) && world.is_sequential[index] {
                let learns = world.knowledge.learns(rank, index);
                if learns {
                    world.knowledge_mut().acquired(rank, index);
                }
            }
        }
        for (index, declared) in scenario.objects.iter().enumerate() {
            // Nobody keeps the copies of a lost home current, nor those of a life that ends.
            let is_kept = !world.is_home_lost(declared.object) && !world.is_reclaiming(index);
            if !readable(world, index) || !declared.is_weak() || !is_kept {
                continue;
            }
            for cell in (0..CELL_COUNT).filter(|cell| declared.is_ordered(*cell)) {
                let version = world.nodes[rank].places[index].bytes[cell];
                let latest = world.latest[index][cell];
                let judged = world.knowledge.judge(rank, index, cell, version, latest);
                let object = declared.object;
                let detail = || format!("node {rank} loads {version} in cell {cell} of {object:?}");
                let is_news = judged.map_err(|rule| Broken {
                    rule,
                    detail: detail(),
                })?;
                if is_news {
                    world.knowledge_mut().saw(rank, index, cell, version);
                }
            }
        }
    }
    Ok(())
}

/// Where a copy is clean it shows what the home shows, or what the home's threads have not flushed.
fn copies_are_the_homes(world: &World, index: usize, object: ObjectId) -> Result<(), Broken> {
    let home = &world.nodes[home_of(object)];
    let Some(entry) = home.machine.entry(object) else {
        return Ok(());
    };
    let own = &home.places[index];
    for rank in entry.copyset().iter().map(|node| usize::from(node.0)) {
        let copy = &world.nodes[rank].places[index];
        let clean = copy.twin.unwrap_or(copy.bytes);
        for (cell, clean) in clean.into_iter().enumerate() {
            let told = own.twin.unwrap_or(own.bytes)[cell];
            let is_dirty = |bytes: u8, twin: u8| !bytes.is_same(twin);
            // What the kernel tracks may have been stored when the twin was made and the bytes had not
            // left yet: it goes twice. What the home's threads have not flushed may have left.
            let went_early = is_dirty(copy.bytes[cell], clean) && copy.bytes[cell].is_same(told);
            let is_known = clean.is_same(told) || is_dirty(own.bytes[cell], told) || went_early;
            if !is_known {
                return broken(
                    "at rest every copy equals the home's",
                    format!("node {rank} has {copy:?}, the home {own:?}"),
                );
            }
        }
    }
    Ok(())
}

fn view_within_rights(world: &World, object: ObjectId) -> Result<(), Broken> {
    for (rank, node) in world.nodes.iter().enumerate() {
        // With effects outstanding the machine is ahead of the view.
        if node.is_free() && node.place(object).view > node.machine.rights(object) {
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
            // Evictions may leave none while the others are withdrawn.
            (!entry.copyset().is_empty() || entry.is_busy())
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
    let longest = world
        .links
        .iter()
        .flat_map(|links| links.iter())
        .map(|link| link.iter().filter(|sent| sent.is_about(object)).count());
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
        let id = node_id(rank);
        let listed = entry.map(|entry| (entry.holding(), entry.copyset().contains(&id)));
        let state = node.machine.copy_state(object);
        let agrees = match listed {
            None | Some((Holding::Home, _)) | Some((Holding::Shared, false)) => {
                state == CopyState::Invalid
            }
            Some((Holding::Shared, true)) => matches!(
                state,
                CopyState::Shared | CopyState::Dirty | CopyState::Resting
            ),
            Some((Holding::Owned(owner), _)) if owner == id => state == CopyState::Exclusive,
            Some((Holding::Owned(_), _)) => state == CopyState::Invalid,
        };
        if !agrees {
            let detail = format!("node {rank} is {state:?} and {listed:?} at home for {object:?}");
            return broken("the directory knows every copy", detail);
        }
    }
    Ok(())
}

fn broken(rule: &'static str, detail: String) -> Result<(), Broken> {
    Err(Broken { rule, detail })
}
