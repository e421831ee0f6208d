//! What expressions name that is in no frame: global and static variables, and types.

use std::cell::RefCell;
use std::ptr;

use umbel_values::{DebugFile, TypeId, Variable};

use super::expression::Expression;
use super::modules::{Module, Modules};
use crate::near::{meant, near};

/// Places that a message tells.
const TOLD_MAX: usize = 6;

/// What expressions name.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// Variables, with the file that was said.
    pub variables: Vec<(Option<&'a str>, &'a str)>,
    /// Types that something is cast to.
    pub types: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Of all of these.
    pub fn of(expressions: &[&'a Expression]) -> Self {
        let mut names = Self::default();
        for expression in expressions {
            names.add(expression);
        }
        names
    }

    fn add(&mut self, expression: &'a Expression) {
        match expression {
            Expression::Variable(name) => self.variables.push((None, name)),
            Expression::InFile(file, name) => self.variables.push((Some(file), name)),
            Expression::Cast(of, inner) => {
                self.types.push(of);
                self.add(inner);
            }
            Expression::Member(inner, _)
            | Expression::Index(inner, _)
            | Expression::Range(inner, ..)
            | Expression::Target(inner)
            | Expression::Address(inner) => self.add(inner),
            Expression::Register(_) | Expression::Number(_) => {}
        }
    }
}

/// A variable outside of functions that an expression names.
pub struct Outside {
    /// As it is written.
    pub name: String,
    /// It, or why not.
    pub found: Result<Variable, String>,
}

/// The global or static variable that is meant in a file with code: in `source` if that was said; otherwise one of the source file
/// `here` before all others. `None`: it has none.
pub fn global(
    debug: &mut DebugFile,
    source: Option<&str>,
    name: &str,
    here: Option<&str>,
) -> Option<Outside> {
    let mut found = debug.globals(name);
    let is_in = |file: &str, wanted: &str| {
        file.strip_suffix(wanted)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    if let Some(wanted) = source {
        found.retain(|global| is_in(&global.file, wanted));
    } else if let (Some(here), [_, _, ..]) = (here, found.as_slice()) {
        let near = |file: &str| is_in(file, here) || is_in(here, file);
        if found.iter().any(|global| near(&global.file)) {
            found.retain(|global| near(&global.file));
        }
    }
    let found = match found.as_slice() {
        [] => return None,
        [only] => debug
            .global(only)
            .ok_or_else(|| format!("where {name} is, its file doesn't tell")),
        several => {
            let told = several.iter().take(TOLD_MAX);
            let told = told.map(|global| {
                let file = global.file.rsplit('/').next().unwrap_or(&global.file);
                format!("'{file}'::{}", global.name)
            });
            let told: Vec<String> = told.collect();
            let more = match several.len() > TOLD_MAX {
                true => ", ...",
                false => "",
            };
            Err(format!("which {name}? There are {}{more}", told.join(", ")))
        }
    };
    Some(Outside {
        name: written(source, name),
        found,
    })
}

/// The same in another file than `own`, and where.
pub fn in_others<'a>(
    modules: &'a Modules,
    own: &Module,
    source: Option<&str>,
    name: &str,
) -> Option<((&'a Module, &'a RefCell<DebugFile>), Outside)> {
    let others = modules.all().iter().filter(|other| !ptr::eq(*other, own));
    let mut others = others.filter_map(|other| Some((other, other.debug()?)));
    others.find_map(|other| {
        let found = global(&mut other.1.borrow_mut(), source, name, None)?;
        Some((other, found))
    })
}

/// A variable that there is nowhere: with names that are like it.
pub fn missing(
    modules: &Modules,
    own: &mut DebugFile,
    source: Option<&str>,
    name: &str,
) -> Outside {
    let mut names = own.global_names();
    for module in modules.all() {
        // The frame's own file is in use.
        if let Some(Ok(mut debug)) = module.debug().map(RefCell::try_borrow_mut) {
            names.extend(debug.global_names());
        }
    }
    Outside {
        name: written(source, name),
        found: Err(meant(&near(name, names.iter().map(|name| &**name)))),
    }
}

/// As a variable of a file is written.
pub fn written(source: Option<&str>, name: &str) -> String {
    match source {
        Some(file) => format!("'{file}'::{name}"),
        None => name.to_owned(),
    }
}

/// The types that are named.
pub fn types(debug: &mut DebugFile, names: &[&str]) -> Result<Vec<(String, TypeId)>, String> {
    let found = names.iter().map(|name| {
        let of = debug.type_named(name);
        let of = of.ok_or_else(|| {
            format!("there is no type `{name}` in the file of that frame; types are written as in (struct foo *)p")
        })?;
        Ok(((*name).to_owned(), of))
    });
    found.collect()
}
