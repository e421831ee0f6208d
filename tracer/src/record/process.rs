//! A process of the session: its modules, their call sites, its end.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::{collections::HashMap, fs};

use umbel_trace_ring::Page;
use umbel_trace_ring::layout::{FILTERS_MAX, Mode};

use super::code::{Code, Files, Verdict};
use super::patch::{Memory, Patched, Wanted};
use super::sys::pidfd;
use super::taker::{ExcludedModule, Shared};
use crate::filter::Filter;
use crate::recording::{Ended, Image, ModuleInfo, ProcessInfo};
use crate::trigger::{Active, Watched, WatchedFunctions, WatchedModule};

/// A traced process.
pub struct Process {
    /// What it said of itself.
    pub info: ProcessInfo,
    /// Index of its page.
    pub page: usize,
    /// Tells its end. Without one it's gone already.
    pub end: Option<OwnedFd>,
    /// Whether it has been found dead, and its words are being taken.
    pub is_dead: bool,
    memory: Result<Memory, String>,
    modules: Vec<Loaded>,
}

/// A module of a process.
struct Loaded {
    info: ModuleInfo,
    code: Arc<Code>,
    patched: Option<Patched>,
    verdict: Arc<Verdict>,
    watched: Arc<WatchedFunctions>,
}

/// What the session wants of all processes.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// Which functions.
    pub filter: &'a Filter,
    /// Whether anything at all.
    pub is_on: bool,
    /// Whether sites may be patched.
    pub patches: bool,
    /// Functions that these speak of are seen whatever the filter says.
    pub triggers: &'a [Active],
}

/// A process's functions and sites, for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Functions of instrumented modules.
    pub function_count: usize,
    /// Of them excluded.
    pub excluded_count: usize,
    /// Sites, where they were looked for.
    pub patched: Patched,
    /// Why sites can't be patched at all.
    pub refusal: Option<String>,
}

impl Process {
    /// The process on `page` that told `info` of itself.
    pub fn new(info: ProcessInfo, page: &Page) -> Self {
        let end = pidfd::open(info.pid).ok();
        // Its number may have been given to another since.
        let is_same = start_time(info.pid) == Some(page.started);
        Self {
            page: page.index,
            end: end.filter(|_| is_same),
            is_dead: false,
            memory: Memory::open(info.pid).map_err(|error| refusal(&error)),
            modules: Vec::new(),
            info,
        }
    }

    /// A module is there.
    pub fn add_module(&mut self, info: ModuleInfo, files: &mut Files) {
        self.modules
            .retain(|known| known.info.bias != info.bias || known.info.path != info.path);
        let code = files.get(&PathBuf::from(&info.path), &info.build_id);
        if code.is_instrumented() {
            self.modules.push(Loaded {
                info,
                code,
                patched: None,
                verdict: Arc::default(),
                watched: Arc::default(),
            });
        }
    }

    /// A module is gone.
    pub fn remove_module(&mut self, bias: u64) {
        self.modules.retain(|known| known.info.bias != bias);
    }

    /// Makes the call sites of all modules what is wished, and the hooks do what they shall. What is excluded is returned: it is
    /// to be dropped when it comes all the same.
    pub fn apply(
        &mut self,
        wish: Wish,
        files: &mut Files,
        shared: &Shared,
        bitmaps: &mut Bitmaps,
    ) -> Vec<ExcludedModule> {
        for module in &mut self.modules {
            let is_program = module.info.path == self.info.executable;
            module.verdict =
                files.verdict(&module.code, &module.info.build_id, is_program, wish.filter);
            module.watched = files.watched(&module.code, &module.info.build_id, wish.triggers);
        }
        if !wish.patches {
            self.memory = Err("--no-patch".into());
        }
        let refused = self.patch(wish.is_on);
        if let Some(error) = refused {
            self.memory = Err(error);
        }
        let mode = match (wish.is_on, &self.memory) {
            // Triggers see their functions: all other sites are patched out.
            (false, Ok(_)) if self.modules.iter().any(|module| !module.watched.is_empty()) => {
                Mode::Record
            }
            (false, _) => Mode::Off,
            (true, Err(_)) if self.set_bitmaps(shared, bitmaps) => Mode::Filter,
            (true, _) => Mode::Record,
        };
        shared.live.set_mode(self.page, mode);
        let excluding = self
            .modules
            .iter()
            .filter(|module| module.verdict.excludes_any());
        excluding.map(Loaded::excluded).collect()
    }

    /// Patches the sites; why that is refused, if it is.
    fn patch(&mut self, is_on: bool) -> Option<String> {
        let memory = self.memory.as_ref().ok()?;
        for module in &mut self.modules {
            let verdict = &module.verdict;
            // Nothing to do, and nothing was ever done that could be there: the sites need not even be looked for.
            if is_on && !verdict.excludes_any() && !module.code.was_patched() {
                module.patched = None;
                continue;
            }
            let wanted = |site: &super::sites::Site| {
                let functions = &site.functions;
                let excluded_count = functions
                    .iter()
                    .filter(|&&function| verdict.excludes(function))
                    .count();
                let is_watched = functions
                    .iter()
                    .any(|function| module.watched.contains_key(function));
                match excluded_count {
                    _ if is_watched => Wanted::On,
                    _ if !is_on => Wanted::Off,
                    0 if functions.is_empty() && verdict.excludes_any() => Wanted::Unclear,
                    0 => Wanted::On,
                    count if count == functions.len() => Wanted::Off,
                    _ => Wanted::Unclear,
                }
            };
            module.code.set_patched();
            match memory.apply(module.info.bias, module.code.sites(), wanted) {
                Ok(patched) => module.patched = Some(patched),
                // It ends just now.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return None,
                Err(error) => return Some(refusal(&error)),
            }
        }
        None
    }

    /// Functions that triggers speak of.
    pub fn watched(&self) -> Watched {
        let watched = self
            .modules
            .iter()
            .filter(|module| !module.watched.is_empty());
        let watched = watched.map(|module| WatchedModule {
            addresses: module.info.addresses(),
            bias: module.info.bias,
            functions: Arc::clone(&module.watched),
        });
        Watched {
            modules: watched.collect(),
        }
    }

    /// The same, by file.
    pub fn watched_images(&self) -> impl Iterator<Item = (Image, Arc<WatchedFunctions>)> {
        let watched = self
            .modules
            .iter()
            .filter(|module| !module.watched.is_empty());
        watched.map(|module| (module.info.image(), Arc::clone(&module.watched)))
    }

    /// Excludes functions by bitmaps that the hooks look at; whether there is anything to exclude.
    fn set_bitmaps(&self, shared: &Shared, bitmaps: &mut Bitmaps) -> bool {
        let excluding = self
            .modules
            .iter()
            .filter(|module| module.verdict.excludes_any());
        shared.live.clear_bitmaps(self.page);
        let mut slot = 0;
        for module in excluding.take(FILTERS_MAX) {
            let info = &module.info;
            let length = info.end.saturating_sub(info.begin).div_ceil(64) * 8;
            let Some(offset) = bitmaps.place(self.page, slot, length) else {
                break;
            };
            let bitmap = module.bitmap(usize::try_from(length).unwrap_or_default());
            if shared
                .live
                .set_bitmap(self.page, slot, info.begin, offset, &bitmap)
                .is_err()
            {
                break;
            }
            slot += 1;
        }
        slot > 0
    }

    /// Functions and sites.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            refusal: self.memory.as_ref().err().cloned(),
            ..Summary::default()
        };
        for module in &self.modules {
            summary.function_count += module.verdict.function_count();
            summary.excluded_count += module.verdict.excluded_count();
            if let Some(patched) = &module.patched {
                summary.patched.add(patched);
            }
        }
        summary
    }

    /// The module that `address` lies in, and the address in its file.
    pub fn locate(&self, address: u64) -> Option<(&ModuleInfo, &Code, u64)> {
        let module = self
            .modules
            .iter()
            .find(|module| module.info.addresses().contains(&address))?;
        Some((
            &module.info,
            &module.code,
            address.wrapping_sub(module.info.bias),
        ))
    }

    /// How it ended, as far as the kernel tells someone who isn't its parent.
    pub fn how_it_ended(&self) -> Ended {
        let Some(end) = &self.end else {
            return Ended::Unknown;
        };
        let of_zombie = || match stat_field(self.info.pid, STATE)?.as_str() {
            "Z" => stat_field(self.info.pid, EXIT_CODE)?.parse().ok(),
            _ => None,
        };
        pidfd::wait_status(end)
            .or_else(of_zombie)
            .map_or(Ended::Unknown, ended)
    }
}

/// What wait(2)'s status says.
pub fn ended(status: i32) -> Ended {
    match status & 0x7f {
        0 => Ended::Status((status >> 8) & 0xff),
        signal => Ended::Signal(signal),
    }
}

impl Loaded {
    /// Whether events of excluded functions may come all the same.
    fn leaks(&self) -> bool {
        if !self.verdict.excludes_any() {
            return false;
        }
        // A function that is watched comes although it is excluded.
        let is_watched = self
            .watched
            .keys()
            .any(|&function| self.verdict.excludes(function));
        if is_watched {
            return true;
        }
        let sites = self.code.sites();
        match &self.patched {
            Some(patched) => patched.unknown + patched.differing + sites.unclear_count > 0,
            None => true,
        }
    }

    fn excluded(&self) -> ExcludedModule {
        ExcludedModule {
            begin: self.info.begin,
            end: self.info.end,
            bias: self.info.bias,
            verdict: Arc::clone(&self.verdict),
            leaks: self.leaks(),
        }
    }

    /// A bit for each address from the module's first on.
    fn bitmap(&self, bytes: usize) -> Vec<u8> {
        let mut bitmap = vec![0; bytes];
        let is_watched = |address: &u64| self.watched.contains_key(address);
        for address in self
            .verdict
            .excluded()
            .filter(|address| !is_watched(address))
        {
            let bit = address
                .wrapping_add(self.info.bias)
                .wrapping_sub(self.info.begin);
            if let Some(byte) = usize::try_from(bit / 8)
                .ok()
                .and_then(|index| bitmap.get_mut(index))
            {
                *byte |= 1 << (bit % 8);
            }
        }
        bitmap
    }
}

/// Where the bitmaps of all processes lie.
#[derive(Debug, Default)]
pub struct Bitmaps {
    places: HashMap<(usize, usize), (u64, u64)>,
    next: u64,
}

impl Bitmaps {
    /// Where the bitmap of this page and slot goes; `None` if there is no more room.
    fn place(&mut self, page: usize, slot: usize, length: u64) -> Option<u64> {
        if let Some((offset, room)) = self.places.get(&(page, slot))
            && *room >= length
        {
            return Some(*offset);
        }
        let offset = self.next;
        let end = offset.checked_add(length.next_multiple_of(4096))?;
        if end > umbel_trace_ring::FILTERS_BYTES as u64 {
            return None;
        }
        self.next = end;
        self.places.insert((page, slot), (offset, end - offset));
        Some(offset)
    }
}

fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM | libc::EIO) => {
            format!("the system forbids to write its code ({error})")
        }
        _ => error.to_string(),
    }
}

/// Fields of /proc/PID/stat, numbered from 1 as in proc(5).
const STATE: usize = 3;
const START_TIME: usize = 22;
const EXIT_CODE: usize = 52;

/// When a process began, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    stat_field(pid, START_TIME)?.parse().ok()
}

fn stat_field(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, with anything inside.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace()
        .nth(field - 3)
        .map(str::to_owned)
}
