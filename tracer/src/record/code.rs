//! Code of the session's files: what their functions are called, where they call the hooks, and which are excluded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;

use super::cache::{Cache, Key};
use super::elf::{Text, import_address};
use super::sites::{Range, Sites};
use super::sources::Sources;
use crate::filter::{Filter, Function, Names};
use crate::symbols::Image;
use crate::trigger::{Active, WatchedFunctions};

/// One file, whoever loaded it.
pub struct Code {
    path: PathBuf,
    image: Image,
    is_instrumented: bool,
    text: OnceLock<Text>,
    sites: OnceLock<Sites>,
    /// Of functions by where they begin: what was kept, and what was found since.
    sources: OnceLock<Mutex<Sources>>,
    was_patched: AtomicBool,
    build_id: Vec<u8>,
    cache: Cache,
}

/// Functions from which on several threads judge them: below, making the threads takes longer.
const PARALLEL_FROM: usize = 4096;

/// Which functions of a file a filter excludes. Addresses are those of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// By where a function begins: whether it is excluded.
    judged: HashMap<u64, bool>,
    excluded_count: usize,
    /// What is said of addresses that no known function begins at.
    others_excluded: bool,
}

impl Verdict {
    fn new(judged: HashMap<u64, bool>, others_excluded: bool) -> Self {
        Self {
            excluded_count: judged.values().filter(|is_excluded| **is_excluded).count(),
            judged,
            others_excluded,
        }
    }

    /// Whether the function that begins at `address` is excluded.
    pub fn excludes(&self, address: u64) -> bool {
        let judged = self.judged.get(&address);
        judged.copied().unwrap_or(self.others_excluded)
    }

    /// Whether any function may be excluded.
    pub fn excludes_any(&self) -> bool {
        self.excluded_count > 0 || self.others_excluded
    }

    /// Functions that were judged.
    pub fn function_count(&self) -> usize {
        self.judged.len()
    }

    /// Functions that are excluded.
    pub fn excluded_count(&self) -> usize {
        self.excluded_count
    }

    /// Where the excluded functions begin.
    pub fn excluded(&self) -> impl Iterator<Item = u64> + '_ {
        let excluded = self.judged.iter().filter(|(_, is_excluded)| **is_excluded);
        excluded.map(|(address, _)| *address)
    }
}

impl Code {
    fn new(path: &Path, build_id: &[u8], cache: Cache) -> Self {
        Self {
            path: path.to_owned(),
            image: Image::new(path, build_id),
            is_instrumented: path.is_absolute() && Text::calls_hooks(path),
            text: OnceLock::new(),
            sites: OnceLock::new(),
            sources: OnceLock::new(),
            was_patched: AtomicBool::new(false),
            build_id: build_id.to_vec(),
            cache,
        }
    }

    /// Under which something of it is kept. Without the names of its functions less is found out.
    fn key(&self, what: &'static str) -> Key<'_> {
        Key {
            build_id: &self.build_id,
            what,
            depends: self.image.functions().len() as u64,
        }
    }

    /// Whether any process has, or had, patched sites of it: a forked process inherits them.
    pub fn was_patched(&self) -> bool {
        self.was_patched.load(Ordering::Relaxed)
    }

    /// From now on.
    pub fn set_patched(&self) {
        self.was_patched.store(true, Ordering::Relaxed);
    }

    /// Its names and places.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether it calls the hooks at all.
    pub fn is_instrumented(&self) -> bool {
        self.is_instrumented
    }

    /// Where it calls the hooks. Found when first asked for: some 40 ms for each MB of code, or kept from the last session.
    pub fn sites(&self) -> &Sites {
        self.sites.get_or_init(|| {
            if !self.is_instrumented {
                return Sites::default();
            }
            let key = self.key("sites");
            let kept = self.cache.read(&key);
            if let Some(kept) = kept.and_then(|bytes| Sites::from_bytes(&bytes)) {
                return kept;
            }
            let found = Sites::find(self.text(), &Range::all(self.image.functions()));
            self.cache.write(&key, &found.to_bytes());
            found
        })
    }

    /// Its code. A file that can't be read has no sites that could be patched: its events are dropped when they are taken.
    fn text(&self) -> &Text {
        self.text
            .get_or_init(|| Text::read(&self.path).unwrap_or_default())
    }

    /// What `filter` says of its functions.
    pub fn judge(&self, filter: &Filter, is_program: bool) -> Verdict {
        if !self.is_instrumented {
            return Verdict::default();
        }
        let functions: Vec<_> = self.image.functions().iter().collect();
        let judge = |function: &crate::symbols::Function| {
            let is_included = filter.includes(&mut Function {
                names: &[Names::new(&function.name)],
                module: &self.path,
                is_program,
                source: &mut || self.source(filter, function.is_weak, function.begin),
            });
            (function.begin, !is_included)
        };
        let others_included = filter.includes(&mut Function {
            names: &[],
            module: &self.path,
            is_program,
            source: &mut || None,
        });
        let mut judged: HashMap<u64, bool> = match functions.len() {
            ..PARALLEL_FROM => functions.iter().map(judge).collect(),
            _ => functions.par_iter().map(judge).collect(),
        };
        self.keep_sources();
        for (index, name) in self.text().imports.iter().enumerate() {
            let is_included = filter.includes(&mut Function {
                names: &[Names::new(name)],
                module: &self.path,
                is_program,
                source: &mut || None,
            });
            judged.insert(import_address(index), !is_included);
        }
        Verdict::new(judged, !others_included)
    }

    /// Its functions of which `triggers` speak.
    pub fn watched(&self, triggers: &[Active]) -> WatchedFunctions {
        if !self.is_instrumented || triggers.is_empty() {
            return WatchedFunctions::new();
        }
        let functions: Vec<_> = self.image.functions().iter().collect();
        let cases = |function: &crate::symbols::Function| {
            let names = Names::new(&function.name);
            let cases = triggers.iter().flat_map(|active| active.cases_of(&names));
            (function.begin, cases.collect::<Vec<_>>())
        };
        let watched = functions.par_iter().map(cases);
        watched.filter(|(_, cases)| !cases.is_empty()).collect()
    }

    /// The source file of the function at `address`. Reading them takes long, so only functions that may come from a header are
    /// looked up, unless the user's rules name files.
    fn source(&self, filter: &Filter, is_weak: bool, address: u64) -> Option<String> {
        if !is_weak && !filter.names_files() {
            return None;
        }
        let sources = self.sources.get_or_init(|| {
            let kept = self.cache.read(&self.key("sources"));
            let kept = kept.and_then(|bytes| Sources::from_bytes(&bytes));
            Mutex::new(kept.unwrap_or_default())
        });
        let known = lock(sources).files.get(&address).cloned();
        known
            .unwrap_or_else(|| {
                let file = self.image.place(address).map(|place| Arc::from(place.file));
                lock(sources).add(address, file)
            })
            .map(|file| file.to_string())
    }

    /// Keeps what was found out about sources.
    fn keep_sources(&self) {
        let Some(sources) = self.sources.get() else {
            return;
        };
        let mut sources = lock(sources);
        // Debug information that isn't there today may be tomorrow.
        if sources.is_new && sources.files.values().any(Option::is_some) {
            sources.is_new = false;
            self.cache.write(&self.key("sources"), &sources.to_bytes());
        }
    }
}

fn lock(sources: &Mutex<Sources>) -> MutexGuard<'_, Sources> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All files of a session.
pub struct Files {
    cache: Cache,
    known: HashMap<(PathBuf, Vec<u8>), Arc<Code>>,
    /// Of the filter that is in force.
    verdicts: HashMap<(PathBuf, Vec<u8>, bool), Arc<Verdict>>,
    /// Of the triggers that are set.
    watched: HashMap<(PathBuf, Vec<u8>), Arc<WatchedFunctions>>,
}

impl Files {
    /// None yet; of those that come, `cache` may know something.
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            known: HashMap::new(),
            verdicts: HashMap::new(),
            watched: HashMap::new(),
        }
    }

    /// The file at `path` that had this build id when it was loaded.
    pub fn get(&mut self, path: &Path, build_id: &[u8]) -> Arc<Code> {
        let key = (path.to_owned(), build_id.to_vec());
        let known = self.known.entry(key);
        Arc::clone(known.or_insert_with(|| Arc::new(Code::new(path, build_id, self.cache.clone()))))
    }

    /// What `filter` says of it: kept until [`Files::forget_verdicts`].
    pub fn verdict(
        &mut self,
        code: &Code,
        build_id: &[u8],
        is_program: bool,
        filter: &Filter,
    ) -> Arc<Verdict> {
        let key = (code.path.clone(), build_id.to_vec(), is_program);
        let verdict = self.verdicts.entry(key);
        Arc::clone(verdict.or_insert_with(|| Arc::new(code.judge(filter, is_program))))
    }

    /// Its functions of which `triggers` speak: kept until [`Files::forget_watched`].
    pub fn watched(
        &mut self,
        code: &Code,
        build_id: &[u8],
        triggers: &[Active],
    ) -> Arc<WatchedFunctions> {
        let watched = self.watched.entry((code.path.clone(), build_id.to_vec()));
        Arc::clone(watched.or_insert_with(|| Arc::new(code.watched(triggers))))
    }

    /// Whether `is_meant` of any function that calls the hooks, in any file there was.
    pub fn any_function(&self, is_meant: &(dyn Fn(&Names) -> bool + Sync)) -> bool {
        let codes = self.known.values().filter(|code| code.is_instrumented());
        codes.into_iter().any(|code| {
            let functions: Vec<_> = code.image.functions().iter().collect();
            functions
                .par_iter()
                .any(|function| is_meant(&Names::new(&function.name)))
        })
    }

    /// Whether any functions are known by name: not those of stripped files.
    pub fn knows_functions(&self) -> bool {
        self.any_function(&|_| true)
    }

    /// The linker's names of functions that may call the hooks.
    pub fn linkage_names(&self) -> Vec<String> {
        let codes = self.known.values().filter(|code| code.is_instrumented());
        codes
            .flat_map(|code| code.image.functions().iter())
            .map(|function| function.name.to_string())
            .collect()
    }

    /// The filter is another now.
    pub fn forget_verdicts(&mut self) {
        self.verdicts.clear();
    }

    /// The triggers are others now.
    pub fn forget_watched(&mut self) {
        self.watched.clear();
    }
}
