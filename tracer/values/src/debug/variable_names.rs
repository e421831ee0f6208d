//! What a function's variables are called, wherever in it they are.

use gimli::UnitOffset;

use super::frames::next;
use super::scopes::Body;
use super::types::text_of;
use super::units::Die;
use super::{DebugFile, Frame};

/// How often an entry refers to another for what it is a copy of.
const CHAIN_MAX: usize = 16;

/// Names of a function at most.
const NAMES_MAX: usize = 4096;

impl DebugFile {
    /// Arguments and variables of the frame's function, those of all its blocks.
    pub(crate) fn names(&mut self, frame: &Frame) -> Vec<Box<str>> {
        let mut names = Vec::new();
        let Some(unit) = self.units.get(frame.function.unit) else {
            return names;
        };
        let body = self.body(&unit, frame.function);
        self.add_names(&body, unit.index, frame.scope, &mut names);
        // A copy may lack what is nowhere in it.
        let origin = body.scopes.get(frame.scope).and_then(|scope| scope.origin);
        if let Some(origin) = origin
            && let Some(unit) = self.units.get(origin.unit)
        {
            let body = self.body(&unit, origin);
            self.add_names(&body, unit.index, 0, &mut names);
        }
        names
    }

    fn add_names(&self, body: &Body, unit: u32, function: usize, names: &mut Vec<Box<str>>) {
        for (index, scope) in body.scopes.iter().enumerate() {
            if function_of(body, index) != Some(function) {
                continue;
            }
            for &offset in scope.arguments.iter().chain(&scope.variables) {
                if let Some(name) = self.variable_name(Die { unit, offset })
                    && !names.contains(&name)
                    && names.len() < NAMES_MAX
                {
                    names.push(name);
                }
            }
        }
    }

    fn variable_name(&self, mut die: Die) -> Option<Box<str>> {
        for _ in 0..CHAIN_MAX {
            let unit = self.units.get(die.unit)?;
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            let name = text_of(&unit, &entry, gimli::DW_AT_name);
            if name.is_some() {
                return name;
            }
            die = next(&self.units, die)?;
        }
        None
    }
}

/// The scope of the function, inlined or not, that a scope belongs to.
fn function_of(body: &Body, mut index: usize) -> Option<usize> {
    // Parents come before their children, so this ends.
    while !body.scopes.get(index)?.is_function {
        index = body.scopes[index].parent?;
    }
    Some(index)
}
