//! Breadth-first search over every reachable state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::checks;
use super::world::{Broken, Scenario, Step, World};

/// What a search saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    /// Distinct states.
    pub states: usize,
    /// Steps from the first state to the farthest.
    pub depth: usize,
    /// States in which nothing more happens by itself.
    pub at_rest: usize,
}

/// The shortest way to a broken rule.
pub struct Counterexample {
    /// The rule.
    pub broken: Broken,
    /// Every step from the first state.
    pub steps: Vec<Step>,
}

impl fmt::Debug for Counterexample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "broken: {} ({})",
            self.broken.rule, self.broken.detail
        )?;
        for step in &self.steps {
            writeln!(formatter, "  {step:?}")?;
        }
        Ok(())
    }
}

/// A state by its hash. Two of 10^7 states share one with a probability below 10^-5, and the pinned
/// counts would then differ between standard libraries.
type Key = u64;

/// How a state was first found: the way back to the start.
type FoundBy = Option<(Key, Step)>;

/// Visits every state reachable in `scenario` and checks the rules in each.
///
/// Also checks that what happens by itself comes to an end: steps of the protocol alone make no
/// circle. With the rules of states at rest this means that every wait ends, in whatever order
/// messages arrive and holds expire.
///
/// The search is exhaustive or fails: more than `states_max` states are an error.
pub fn explore(scenario: &Scenario, states_max: usize) -> Result<Explored, Counterexample> {
    let first = World::new(scenario);
    let mut found: HashMap<Key, FoundBy> = HashMap::from([(key(&first), None)]);
    let mut protocol_edges: Vec<(Key, Key)> = Vec::new();
    let mut level = vec![first];
    let (mut depth, mut at_rest) = (0, 0);
    loop {
        let mut next_level = Vec::new();
        for world in level {
            let here = key(&world);
            let fail = |found: &HashMap<Key, FoundBy>, broken, step: Option<Step>| Counterexample {
                broken,
                steps: way(found, here, step),
            };
            let protocol_steps = world.protocol_steps(scenario);
            if protocol_steps.is_empty() {
                at_rest += 1;
                checks::at_rest(&world, scenario).map_err(|broken| fail(&found, broken, None))?;
            }
            let protocol_count = protocol_steps.len();
            let steps = protocol_steps
                .into_iter()
                .chain(world.program_steps(scenario));
            for (number, step) in steps.enumerate() {
                let mut next = world.clone();
                let taken = next
                    .take(scenario, step)
                    .and_then(|()| checks::always(&next, scenario));
                taken.map_err(|broken| fail(&found, broken, Some(step)))?;
                let there = key(&next);
                if number < protocol_count {
                    protocol_edges.push((here, there));
                }
                if let Entry::Vacant(vacant) = found.entry(there) {
                    vacant.insert(Some((here, step)));
                    next_level.push(next);
                }
            }
            assert!(
                found.len() <= states_max,
                "more than {states_max} states: {scenario:?}"
            );
        }
        if next_level.is_empty() {
            break;
        }
        depth += 1;
        level = next_level;
    }
    if let Some(on_circle) = find_circle(&protocol_edges) {
        let broken = Broken {
            rule: "what happens by itself comes to an end",
            detail: String::new(),
        };
        return Err(Counterexample {
            broken,
            steps: way(&found, on_circle, None),
        });
    }
    Ok(Explored {
        states: found.len(),
        depth,
        at_rest,
    })
}

/// A state that steps along `edges` can come back to. Takes states away that no edge leads to, until
/// none is left (Kahn's topological sort).
fn find_circle(edges: &[(Key, Key)]) -> Option<Key> {
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    let mut incoming: HashMap<Key, usize> = HashMap::new();
    for (from, to) in &sorted {
        incoming.entry(*from).or_default();
        *incoming.entry(*to).or_default() += 1;
    }
    let mut free: Vec<Key> = incoming
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(key, _)| *key)
        .collect();
    while let Some(from) = free.pop() {
        incoming.remove(&from);
        let start = sorted.partition_point(|edge| edge.0 < from);
        for (_, to) in sorted[start..].iter().take_while(|edge| edge.0 == from) {
            let count = incoming
                .get_mut(to)
                .expect("a state with an edge left is not taken away");
            *count -= 1;
            if *count == 0 {
                free.push(*to);
            }
        }
    }
    incoming.into_keys().next()
}

fn key(world: &World) -> Key {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn way(found: &HashMap<Key, FoundBy>, mut here: Key, last: Option<Step>) -> Vec<Step> {
    let mut steps: Vec<Step> = last.into_iter().collect();
    while let Some((before, step)) = found[&here] {
        steps.push(step);
        here = before;
    }
    steps.reverse();
    steps
}
