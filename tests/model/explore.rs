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

/// Visits every state reachable in `scenario` and checks the rules in each.
///
/// The search is exhaustive or fails: more than `states_max` states are an error.
pub fn explore(scenario: &Scenario, states_max: usize) -> Result<Explored, Counterexample> {
    let first = World::new(scenario);
    let first_key = key(&first);
    // Which step from which state found a state first: the way back to the start.
    let mut found_by: HashMap<Key, Option<(Key, Step)>> = HashMap::from([(first_key, None)]);
    let mut level = vec![first];
    let (mut depth, mut at_rest) = (0, 0);
    loop {
        let mut next_level = Vec::new();
        for world in level {
            let here = key(&world);
            let fail = |broken, step: Option<Step>| Counterexample {
                broken,
                steps: way(&found_by, here, step),
            };
            let protocol_steps = world.protocol_steps(scenario);
            if protocol_steps.is_empty() {
                at_rest += 1;
                checks::at_rest(&world, scenario).map_err(|broken| fail(broken, None))?;
            }
            let mut reached = Vec::new();
            for step in protocol_steps
                .into_iter()
                .chain(world.program_steps(scenario))
            {
                let mut next = world.clone();
                let result = next
                    .take(scenario, step)
                    .and_then(|()| checks::always(&next, scenario));
                result.map_err(|broken| fail(broken, Some(step)))?;
                reached.push((step, next));
            }
            for (step, next) in reached {
                if let Entry::Vacant(vacant) = found_by.entry(key(&next)) {
                    vacant.insert(Some((here, step)));
                    next_level.push(next);
                }
            }
            assert!(
                found_by.len() <= states_max,
                "more than {states_max} states: {scenario:?}"
            );
        }
        if next_level.is_empty() {
            return Ok(Explored {
                states: found_by.len(),
                depth,
                at_rest,
            });
        }
        depth += 1;
        level = next_level;
    }
}

fn key(world: &World) -> Key {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn way(
    found_by: &HashMap<Key, Option<(Key, Step)>>,
    mut here: Key,
    last: Option<Step>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = last.into_iter().collect();
    while let Some((before, step)) = found_by[&here] {
        steps.push(step);
        here = before;
    }
    steps.reverse();
    steps
}
