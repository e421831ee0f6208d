//! Variables that are in no frame: global ones, static ones of a file, a class or a function; and types, both by their names.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::{AttributeValue, UnitOffset};

use super::sections::Slice;
use super::types::{is_flag, named, qualified, text_of};
use super::units::{Die, Unit};
use super::{DebugFile, variables};
use crate::{Kind, Type, TypeId, Variable};

/// How deep entries lie in one another at most.
const DEPTH_MAX: usize = 256;

/// Variables and types that are remembered.
const NAMED_MAX: usize = 1 << 20;

/// Stars behind a type's name.
const STARS_MAX: usize = 8;

/// The words that whole numbers are made of.
const NUMBER_WORDS: [&str; 6] = ["signed", "unsigned", "short", "long", "int", "char"];

/// A variable that is in no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// With its namespaces and classes, or the function that it belongs to.
    pub name: Box<str>,
    /// The source file of its unit.
    pub file: Box<str>,
    die: Die,
}

/// What a file has, by the last part of its name.
#[derive(Default)]
pub(super) struct Index {
    variables: HashMap<Box<str>, Vec<Global>>,
    types: HashMap<Box<str>, Vec<Die>>,
    count: usize,
}

impl DebugFile {
    /// The variables in no frame whose name ends with `name`: all of its parts that are said.
    pub fn globals(&mut self, name: &str) -> Vec<Global> {
        let last = name.rsplit("::").next().unwrap_or(name);
        let index = self.index();
        let found = index.variables.get(last).into_iter().flatten();
        let is_meant = |global: &&Global| ends_with(&global.name, name);
        let mut found: Vec<Global> = found.filter(is_meant).cloned().collect();
        // One that is named whole is meant.
        if found.iter().any(|global| &*global.name == name) {
            found.retain(|global| &*global.name == name);
        }
        found
    }

    /// The names of all.
    pub fn global_names(&mut self) -> Vec<Box<str>> {
        let index = self.index();
        let all = index.variables.values().flatten();
        all.map(|global| global.name.clone()).collect()
    }

    /// Where it is, and of which type.
    pub fn global(&mut self, global: &Global) -> Option<Variable> {
        variables::outside(self, global.die)
    }

    /// The type that is called `text`: `struct foo *`, `unsigned long`, `ns::Box<int>`.
    pub fn type_named(&mut self, text: &str) -> Option<TypeId> {
        let bare = text.trim_end_matches(['*', ' ']);
        let stars = text[bare.len()..].matches('*').count();
        let words = bare.split_whitespace().filter(|word| {
            !matches!(
                *word,
                "const" | "volatile" | "struct" | "class" | "union" | "enum"
            )
        });
        let words: Vec<&str> = words.collect();
        let name = words.join(" ");
        let mut of = match &*name {
            "void" => self.void(),
            _ => {
                let die = self.type_die(&name, &words)?;
                self.type_at(die)
            }
        };
        for _ in 0..stars.min(STARS_MAX) {
            of = self.made(Type {
                name: "".into(),
                size: Some(8),
                kind: Kind::Pointer(of),
            });
        }
        Some(of)
    }

    fn type_die(&mut self, name: &str, words: &[&str]) -> Option<Die> {
        let number = of_number(words);
        let index = self.index();
        if let Some(number) = number {
            let same = |known: &str| {
                let words: Vec<&str> = known.split_whitespace().collect();
                of_number(&words).as_ref() == Some(&number)
            };
            let mut all = index.types.iter();
            return all.find(|(known, _)| same(known))?.1.first().copied();
        }
        let last = name.rsplit("::").next().unwrap_or(name);
        let dies = index.types.get(last).cloned().unwrap_or_default();
        let full = |die: &Die| {
            let at = named(&self.units, *die);
            let unit = self.units.get(at.unit)?;
            let entry = unit.unit.entry(UnitOffset(at.offset)).ok()?;
            let own = text_of(&unit, &entry, gimli::DW_AT_name)?;
            Some(qualified(&self.units, &unit, at.offset, &own))
        };
        let is_meant = |die: &&Die| full(die).is_some_and(|full| ends_with(&full, name));
        dies.iter().find(is_meant).copied()
    }

    fn index(&mut self) -> &Index {
        if self.index.is_none() {
            let mut index = Index::default();
            for unit in self.units.all() {
                // One that is damaged is read as far as it goes.
                let _ = index.scan(self, &unit);
            }
            self.index = Some(index);
        }
        self.index.get_or_insert_default()
    }
}

impl Index {
    fn scan(&mut self, file: &DebugFile, unit: &Arc<Unit>) -> Option<()> {
        let root = unit.unit.entry(unit.unit.header.root_offset()).ok()?;
        let source = text_of(unit, &root, gimli::DW_AT_name).unwrap_or_default();
        let mut raw = unit.unit.entries_raw(None).ok()?;
        // Names of functions around.
        let mut open: Vec<Option<Box<str>>> = Vec::new();
        let mut attributes = Vec::new();
        while !raw.is_empty() && self.count < NAMED_MAX {
            let offset = raw.next_offset().0;
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                open.pop()?;
                if open.is_empty() {
                    break;
                }
                continue;
            };
            let tag = abbreviation.tag();
            raw.read_attributes(abbreviation.attributes(), &mut attributes)
                .ok()?;
            let die = Die {
                unit: unit.index,
                offset,
            };
            match tag {
                gimli::DW_TAG_variable if is_static(&attributes) => {
                    let function = open.iter().rev().flatten().next();
                    self.note(file, die, &source, function.map(|name| &**name));
                }
                gimli::DW_TAG_base_type
                | gimli::DW_TAG_typedef
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type => self.note_type(file, die),
                _ => {}
            }
            if abbreviation.has_children() {
                if open.len() == DEPTH_MAX {
                    return None;
                }
                let is_function = tag == gimli::DW_TAG_subprogram;
                open.push(is_function.then(|| name_at(file, die)).flatten());
            }
        }
        Some(())
    }

    fn note(&mut self, file: &DebugFile, die: Die, source: &str, function: Option<&str>) {
        let Some(own) = name_at(file, die) else {
            return;
        };
        let at = last_named(file, die);
        let name = match (function, file.units.get(at.unit)) {
            (Some(function), _) => format!("{function}::{own}").into(),
            (None, Some(unit)) => qualified(&file.units, &unit, at.offset, &own),
            (None, None) => own.clone(),
        };
        self.count += 1;
        let known = self.variables.entry(own).or_default();
        if !known
            .iter()
            .any(|known| known.name == name && *known.file == *source)
        {
            known.push(Global {
                name,
                file: source.into(),
                die,
            });
        }
    }

    fn note_type(&mut self, file: &DebugFile, die: Die) {
        let Some(unit) = file.units.get(die.unit) else {
            return;
        };
        let Ok(entry) = unit.unit.entry(UnitOffset(die.offset)) else {
            return;
        };
        if is_flag(&entry, gimli::DW_AT_declaration) {
            return;
        }
        if let Some(name) = name_at(file, die) {
            self.count += 1;
            self.types.entry(name).or_default().push(die);
        }
    }
}

/// Whether a variable is where it is whatever runs: at an address, or at one of each thread.
fn is_static(attributes: &[gimli::Attribute<Slice>]) -> bool {
    let location = attributes
        .iter()
        .find(|attribute| attribute.name() == gimli::DW_AT_location);
    let Some(AttributeValue::Exprloc(expression)) = location.map(gimli::Attribute::value) else {
        return false;
    };
    let Ok(bytes) = gimli::Reader::to_slice(&expression.0) else {
        return false;
    };
    let addresses = [
        gimli::DW_OP_addr,
        gimli::DW_OP_addrx,
        gimli::DW_OP_GNU_addr_index,
    ];
    let of_thread = [
        gimli::DW_OP_form_tls_address,
        gimli::DW_OP_GNU_push_tls_address,
    ];
    let is = |byte: Option<&u8>, all: &[gimli::DwOp]| {
        byte.is_some_and(|byte| all.iter().any(|op| op.0 == *byte))
    };
    is(bytes.first(), &addresses) || is(bytes.last(), &of_thread)
}

/// The entry that has the name: the one that an entry is a copy or the definition of.
fn last_named(file: &DebugFile, mut die: Die) -> Die {
    for _ in 0..16 {
        match super::frames::next(&file.units, die) {
            Some(further) => die = further,
            None => break,
        }
    }
    die
}

fn name_at(file: &DebugFile, die: Die) -> Option<Box<str>> {
    let name = |die: Die| {
        let unit = file.units.get(die.unit)?;
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        text_of(&unit, &entry, gimli::DW_AT_name)
    };
    name(die).or_else(|| name(last_named(file, die)))
}

/// Whether `full` is `name` with nothing or more namespaces before it.
fn ends_with(full: &str, name: &str) -> bool {
    full.strip_suffix(name)
        .is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

/// `unsigned long` is `long unsigned int`: its words, sorted, without those that change nothing. `None`: it is no whole number.
fn of_number(words: &[&str]) -> Option<Vec<String>> {
    if words.is_empty() || !words.iter().all(|word| NUMBER_WORDS.contains(word)) {
        return None;
    }
    let is_char = words.contains(&"char");
    let mut all: Vec<String> = words
        .iter()
        .filter(|word| **word != "int" && (is_char || **word != "signed"))
        .map(|word| (*word).to_owned())
        .collect();
    all.sort_unstable();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_whole_numbers_are_alike() {
        let same = |one: &str, other: &str| {
            let words = |text: &str| of_number(&text.split(' ').collect::<Vec<_>>());
            words(one) == words(other)
        };
        assert!(same("unsigned long", "long unsigned int"));
        assert!(same("long", "long int") && same("int", "signed int"));
        assert!(!same("long", "long long") && !same("char", "signed char"));
        assert_eq!(of_number(&["foo"]), None);
    }

    #[test]
    fn a_name_ends_another_at_its_parts() {
        assert!(ends_with("a::b::c", "b::c") && ends_with("c", "c"));
        assert!(!ends_with("a::bc", "c"));
    }
}
