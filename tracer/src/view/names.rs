//! Names of what is shown, each with a small number.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use umbel_trace_ring::word::Span;

use crate::symbols::{Place, Symbols};

/// Number of a name, from 0, given out as they occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// A function.
    Function,
    /// A fault on shared memory.
    Fault,
    /// A wait.
    Wait,
    /// A span that this reader doesn't know.
    Span,
}

impl Category {
    /// As exporters write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Fault => "fault",
            Self::Wait => "wait",
            Self::Span => "span",
        }
    }
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As shown: a function's without its parameters.
    pub shown: Arc<str>,
    /// For the linker; empty if it's not known.
    pub linkage: Arc<str>,
    /// What it stands for.
    pub category: Category,
    /// The function's file; empty if it's not known.
    pub module: Arc<Path>,
    /// One process that has the function, and its address there.
    pub place: (u64, u64),
}

/// All names that occurred.
#[derive(Default)]
pub struct Names {
    names: Vec<Name>,
    by_key: HashMap<Key, NameId>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// A function at an address of a file.
    Function(Arc<Path>, u64),
    /// A function of a process that no file is known of.
    Nowhere(u64, u64),
    Span(u64),
}

impl Names {
    /// The function at an address of a process at a time.
    pub fn function(
        &mut self,
        symbols: &Symbols,
        process: u64,
        address: u64,
        ticks: u64,
    ) -> NameId {
        let module = symbols.module(process, address, ticks);
        let key = match &module {
            Some((path, in_file)) => Key::Function(Arc::clone(path), *in_file),
            None => Key::Nowhere(process, address),
        };
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let symbol = symbols.name_at(process, address, ticks);
        let known = symbol.filter(|symbol| symbol.offset == 0);
        let (shown, linkage) = match (known, &module) {
            (Some(symbol), _) => (symbol.demangled, symbol.name),
            (None, Some((path, in_file))) => {
                let file = path.file_name().unwrap_or(path.as_os_str());
                let text = format!("{}+{in_file:#x}", file.to_string_lossy());
                (Arc::from(text), Arc::from(""))
            }
            (None, None) => (Arc::from(format!("{address:#x}")), Arc::from("")),
        };
        let module = module.map_or_else(|| Arc::from(Path::new("")), |(path, _)| path);
        let place = (process, address);
        self.insert(
            key,
            Name {
                shown,
                linkage,
                category: Category::Function,
                module,
                place,
            },
        )
    }

    /// A span of this kind.
    pub fn span(&mut self, span: u64) -> NameId {
        let key = Key::Span(span);
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let (text, category) = match span {
            _ if span == Span::Fault as u64 => ("fault".to_string(), Category::Fault),
            _ if span == Span::Wait as u64 => ("wait".to_string(), Category::Wait),
            _ => (format!("span {span}"), Category::Span),
        };
        let name = Name {
            shown: Arc::from(text),
            linkage: Arc::from(""),
            category,
            module: Arc::from(Path::new("")),
            place: (0, 0),
        };
        self.insert(key, name)
    }

    /// The name with this number.
    pub fn get(&self, id: NameId) -> &Name {
        &self.names[id.0 as usize]
    }

    /// All, in the order of their numbers.
    pub fn all(&self) -> &[Name] {
        &self.names
    }

    fn insert(&mut self, key: Key, name: Name) -> NameId {
        let id =
            NameId(u32::try_from(self.names.len()).expect("names take memory: 2^32 don't fit"));
        self.names.push(name);
        self.by_key.insert(key, id);
        id
    }
}

impl Name {
    /// Where it begins in the source.
    pub fn source(&self, symbols: &Symbols) -> Option<Place> {
        match self.category {
            Category::Function => symbols.place(self.place.0, self.place.1),
            Category::Fault | Category::Wait | Category::Span => None,
        }
    }
}
