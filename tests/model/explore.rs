//! Breadth-first search over every reachable state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::checks;
use super::scenario::Scenario;
use super::world::{Broken, Step, World};

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

/// A state by its hash. Two of 10^6 states share one with a probability below 10^-7; the counts pinned
/// here were the same with SipHash.
type Key = u64;

/// Multiply and fold, word by word: three times as fast as the standard hasher, which dominated the
/// search. The adversary it lacks protection from does not exist here.
#[derive(Clone, Copy, Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9FB2_1C65_1E98_DF25);
        self.0 ^= self.0 >> 29;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = *self;
        last.mix(0);
        last.mix(0);
        last.0
    }
}

type Map<V> = HashMap<Key, V, BuildHasherDefault<Mixer>>;

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
    let first_key = key(&first);
    let mut found: Map<FoundBy> = Map::from_iter([(first_key, None)]);
    let mut protocol_edges: Vec<(Key, Key)> = Vec::new();
    let mut level = vec![(first_key, first)];
    let (mut depth, mut at_rest) = (0, 0);
    loop {
        let mut next_level = Vec::new();
        for (here, world) in level {
            let fail = |found: &Map<FoundBy>, broken, step: Option<Step>| Counterexample {
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
                next.take(scenario, step)
                    .map_err(|broken| fail(&found, broken, Some(step)))?;
                let there = key(&next);
                if number < protocol_count {
                    protocol_edges.push((here, there));
                }
                if let Entry::Vacant(vacant) = found.entry(there) {
                    vacant.insert(Some((here, step)));
                    next_level.push((there, next));
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
    let mut incoming: Map<usize> = Map::default();
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
    let mut hasher = Mixer::default();
    world.hash(&mut hasher);
    hasher.finish()
}

fn way(found: &Map<FoundBy>, mut here: Key, last: Option<Step>) -> Vec<Step> {
    let mut steps: Vec<Step> = last.into_iter().collect();
    while let Some((before, step)) = found[&here] {
        steps.push(step);
        here = before;
    }
    steps.reverse();
    steps
}
