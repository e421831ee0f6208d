//! Names and places of addresses: ELF symbol tables, debug information, and what a recording kept of them.
//!
//! ```text
//! Symbols ── process, address, time ──► module ──► Image (one per file) ──► what the recording kept
//!                                                                        ├─► FunctionTable: .symtab, .dynsym, debug files
//!                                                                        └─► Places: DWARF, when a place is asked for
//! ```
//!
//! A file that is missing, rebuilt, cut off or damaged gives fewer names and one sentence in `warnings`, never an error.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use demangle::{full_name, short_name, without_clone};
pub use functions::{Function, FunctionTable};
pub use places::Place;
use places::Places;
use umbel_values::files;
pub use umbel_values::files::Identity;

mod demangle;
mod functions;
mod places;

/// One file with code, as long as anybody asks.
pub struct Image {
    path: PathBuf,
    build_id: Vec<u8>,
    /// By address in the file: what the recording kept.
    recorded: BTreeMap<u64, RecordedName>,
    functions: OnceLock<FunctionTable>,
    places: OnceLock<Mutex<Option<Places>>>,
    warnings: Mutex<Vec<String>>,
}

/// A function's name and place as a recording keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedName {
    /// For the linker: mangled.
    pub linkage: String,
    /// Where it begins, if that is known.
    pub place: Option<Place>,
}

/// A module as a process had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleUse {
    /// Serial of the process.
    pub process: u64,
    /// Its file.
    pub path: PathBuf,
    /// Its build id; empty if it isn't known.
    pub build_id: Vec<u8>,
    /// What the process adds to the file's addresses.
    pub bias: u64,
    /// First address in the process.
    pub begin: u64,
    /// Behind the last.
    pub end: u64,
    /// When it came, in ticks.
    pub from_ticks: u64,
    /// When it went; `u64::MAX` if it stayed.
    pub to_ticks: u64,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The function's name for the linker.
    pub name: Arc<str>,
    /// As in the source, without parameters: what trees and tables show.
    pub demangled: Arc<str>,
    /// The module's file.
    pub module: Arc<Path>,
    /// Bytes from the function's begin.
    pub offset: u64,
}

/// Names for the addresses of all processes of a recording.
#[derive(Default)]
pub struct Symbols {
    images: Vec<Image>,
    /// By process, sorted by begin, then by time.
    modules: HashMap<u64, Vec<Placed>>,
}

struct Placed {
    range: ModuleUse,
    image: usize,
    path: Arc<Path>,
}

impl Image {
    /// The file at `path`, which had this build id when it was loaded (empty: not known). Reads nothing yet.
    pub fn new(path: &Path, build_id: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            build_id: build_id.to_vec(),
            recorded: BTreeMap::new(),
            functions: OnceLock::new(),
            places: OnceLock::new(),
            warnings: Mutex::new(Vec::new()),
        }
    }

    /// Its functions, by address in the file.
    pub fn functions(&self) -> &FunctionTable {
        self.functions.get_or_init(|| self.read_functions())
    }

    /// The linkage name and begin of the function at an address of the file.
    pub fn name(&self, address: u64) -> Option<(Cow<'_, str>, u64)> {
        if let Some(recorded) = self.recorded.get(&address) {
            return Some((Cow::Borrowed(recorded.linkage.as_str()), address));
        }
        let function = self.functions().at(address)?;
        Some((function.name, function.begin))
    }

    /// Where the code at an address of the file comes from.
    pub fn place(&self, address: u64) -> Option<Place> {
        if let Some(recorded) = self.recorded.get(&address)
            && recorded.place.is_some()
        {
            return recorded.place.clone();
        }
        let places = self.places.get_or_init(|| Mutex::new(self.read_places()));
        let places = places.lock().unwrap_or_else(PoisonError::into_inner);
        places.as_ref()?.at(address)
    }

    /// What was wrong with the file, in sentences for the user.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file's identity, if it is still the one that was loaded.
    fn identity(&self) -> Option<Identity> {
        let path = self.path.display();
        // The kernel's own pages and anonymous code have no file.
        if !self.path.is_absolute() {
            return None;
        }
        let Some(identity) = Identity::read(&self.path) else {
            self.warn(format!(
                "cannot read {path} (or it is no ELF file): its functions have no names"
            ));
            return None;
        };
        let is_other = !self.build_id.is_empty()
            && !identity.build_id.is_empty()
            && self.build_id != identity.build_id;
        if is_other {
            self.warn(format!("{path} was built anew since it was recorded: only names that the recording kept are shown"));
            return None;
        }
        Some(identity)
    }

    fn read_functions(&self) -> FunctionTable {
        let Some(identity) = self.identity() else {
            return FunctionTable::default();
        };
        let own = FunctionTable::read(&self.path).unwrap_or_else(|error| {
            let path = self.path.display();
            self.warn(format!(
                "the symbol table of {path} is damaged ({error}): functions in it have no names"
            ));
            FunctionTable::default()
        });
        if own.is_full() {
            return own;
        }
        let beside = files::debug_files(&self.path, &identity).into_iter();
        let mut tables = beside.filter_map(|file| FunctionTable::read(&file).ok());
        tables.find(FunctionTable::is_full).unwrap_or(own)
    }

    fn read_places(&self) -> Option<Places> {
        let identity = self.identity()?;
        match Places::read(&self.path) {
            Ok(Some(places)) => return Some(places),
            Ok(None) => {}
            Err(error) => {
                let path = self.path.display();
                self.warn(format!("the debug information of {path} is damaged ({error}): files and lines are missing"));
            }
        }
        let beside = files::debug_files(&self.path, &identity).into_iter();
        beside
            .filter_map(|file| Places::read(&file).ok().flatten())
            .next()
    }

    /// One sentence for each thing: functions and places may meet the same.
    fn warn(&self, text: String) {
        let warnings = self.warnings.lock();
        let mut warnings = warnings.unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }
}

impl Symbols {
    /// Names for what these modules have. Files are read when somebody asks.
    pub fn new(modules: impl IntoIterator<Item = ModuleUse>) -> Self {
        let mut symbols = Self::default();
        for module in modules {
            symbols.add(module);
        }
        symbols
    }

    /// Another module; one of a live session.
    pub fn add(&mut self, range: ModuleUse) {
        let image = self.image_of(&range.path, &range.build_id);
        let path = Arc::from(range.path.as_path());
        let modules = self.modules.entry(range.process).or_default();
        let key = |range: &ModuleUse| (range.begin, range.from_ticks);
        let at = modules.partition_point(|placed| key(&placed.range) <= key(&range));
        modules.insert(at, Placed { range, image, path });
    }

    /// The module that begins at this address of a process is gone since `ticks`.
    pub fn close(&mut self, process: u64, begin: u64, ticks: u64) {
        let modules = self.modules.entry(process).or_default();
        let mut own = modules
            .iter_mut()
            .rev()
            .filter(|placed| placed.range.begin == begin);
        if let Some(placed) = own.next() {
            placed.range.to_ticks = ticks;
        }
    }

    /// A name that the recording kept for an address of a file: it goes before what the file says today.
    pub fn keep(&mut self, path: &Path, build_id: &[u8], address: u64, name: RecordedName) {
        let image = self.image_of(path, build_id);
        self.images[image].recorded.insert(address, name);
    }

    /// What is at an address of a process. Of modules that were there one after the other, the last.
    pub fn name(&self, process: u64, address: u64) -> Option<Symbol> {
        self.name_at(process, address, u64::MAX)
    }

    /// What was at an address of a process at a time.
    pub fn name_at(&self, process: u64, address: u64, ticks: u64) -> Option<Symbol> {
        let placed = self.placed(process, address, ticks)?;
        let in_file = address.wrapping_sub(placed.range.bias);
        let (name, begin) = self.images[placed.image].name(in_file)?;
        Some(Symbol {
            demangled: Arc::from(short_name(&name)),
            name: Arc::from(name),
            module: Arc::clone(&placed.path),
            offset: in_file - begin,
        })
    }

    /// Where in the source the code at an address of a process comes from.
    pub fn place(&self, process: u64, address: u64) -> Option<Place> {
        let placed = self.placed(process, address, u64::MAX)?;
        self.images[placed.image].place(address.wrapping_sub(placed.range.bias))
    }

    /// The file of the module at an address, and the address in it: for what has no name.
    pub fn module(&self, process: u64, address: u64, ticks: u64) -> Option<(Arc<Path>, u64)> {
        let placed = self.placed(process, address, ticks)?;
        let in_file = address.wrapping_sub(placed.range.bias);
        Some((Arc::clone(&placed.path), in_file))
    }

    /// What was wrong with files that were read so far.
    pub fn warnings(&self) -> Vec<String> {
        self.images.iter().flat_map(Image::warnings).collect()
    }

    fn image_of(&mut self, path: &Path, build_id: &[u8]) -> usize {
        let is_same = |image: &Image| image.path == path && image.build_id == build_id;
        self.images.iter().position(is_same).unwrap_or_else(|| {
            self.images.push(Image::new(path, build_id));
            self.images.len() - 1
        })
    }

    fn placed(&self, process: u64, address: u64, ticks: u64) -> Option<&Placed> {
        let modules = self.modules.get(&process)?;
        let after = modules.partition_point(|placed| placed.range.begin <= address);
        // Behind one another lie those that came after one another to the same place.
        let before = modules[..after].iter().rev();
        let holding = before.filter(|placed| address < placed.range.end);
        let is_then = |placed: &&Placed| {
            let range = &placed.range;
            (range.from_ticks..range.to_ticks).contains(&ticks)
        };
        // A module's own first calls may be older than the news of it: then whichever holds the address.
        holding
            .clone()
            .find(is_then)
            .or_else(|| holding.clone().next())
    }
}
