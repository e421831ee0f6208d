//! Can a program be traced at all? Asked before it runs, so that nobody waits for an empty recording.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache, ReadRef};

use super::elf::{Hook, strings_of};

/// Why a program can't be traced, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Untraceable {
    /// Nothing in it calls the hooks.
    #[error("{} has no calls of __cyg_profile_func_enter, nor have its libraries; build it with:\n    gcc -g -O2 -finstrument-functions ...   (g++, clang and `umbel cc` alike; cmake: -DCMAKE_C_FLAGS=-finstrument-functions)\nIf it loads or starts something that has: umbel trace record --anyway ...", .0.display())]
    NotInstrumented(PathBuf),
    /// It is linked statically.
    #[error("{} is linked statically: the tracer is a library that the dynamic linker loads; link it without -static", .0.display())]
    Static(PathBuf),
    /// It has hooks of its own.
    #[error("{} defines __cyg_profile_func_enter itself, so its own would be called instead of the tracer's; leave that file out of the link", .0.display())]
    OwnHooks(PathBuf),
    /// It runs with another user's rights.
    #[error("{} runs with the rights of its owner (set-user-id), so the system loads no tracer into it; trace a copy without that bit", .0.display())]
    SetUser(PathBuf),
}

/// Whether the program at `path` can be traced as far as one can see. What isn't understood is tried.
pub fn examine(path: &Path) -> Result<(), Untraceable> {
    let mut start = [0; 4];
    let is_elf = File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok()
        && start == elf::ELFMAG;
    if !is_elf {
        // A script: its interpreter starts what it likes.
        return Ok(());
    }
    if let Ok(metadata) = fs::metadata(path) {
        let is_set =
            metadata.mode() & 0o4000 != 0 && metadata.uid() != nix::unistd::geteuid().as_raw();
        if is_set {
            return Err(Untraceable::SetUser(path.to_owned()));
        }
    }
    let Some(program) = Linked::read(path) else {
        return Ok(());
    };
    if program.is_static {
        return Err(Untraceable::Static(path.to_owned()));
    }
    if program.defines_hooks {
        return Err(Untraceable::OwnHooks(path.to_owned()));
    }
    // What loads libraries by itself may load instrumented ones.
    if program.calls_hooks || program.loads_libraries || libraries_call_hooks(path, &program) {
        return Ok(());
    }
    Err(Untraceable::NotInstrumented(path.to_owned()))
}

/// What a file says to the dynamic linker.
#[derive(Debug, Default)]
struct Linked {
    is_static: bool,
    calls_hooks: bool,
    defines_hooks: bool,
    loads_libraries: bool,
    needed: Vec<String>,
    /// Folders of its libraries.
    folders: Vec<PathBuf>,
}

/// Libraries that are looked into.
const LIBRARIES_MAX: usize = 256;

/// Whether one of the libraries calls hooks, or may: one that isn't found where libraries usually are.
fn libraries_call_hooks(path: &Path, program: &Linked) -> bool {
    let mut seen: HashSet<String> = HashSet::new();
    let mut left: Vec<(String, Vec<PathBuf>)> = Vec::new();
    let add = |linked: &Linked, left: &mut Vec<_>, seen: &mut HashSet<String>| {
        for name in &linked.needed {
            if seen.len() < LIBRARIES_MAX && seen.insert(name.clone()) {
                left.push((name.clone(), linked.folders.clone()));
            }
        }
    };
    add(program, &mut left, &mut seen);
    while let Some((name, folders)) = left.pop() {
        if name == path.to_string_lossy() {
            continue;
        }
        let Some(found) = find_library(&name, &folders) else {
            return true;
        };
        // The C library defines hooks that do nothing; system libraries never call them.
        let Some(library) = Linked::read(&found) else {
            return true;
        };
        if library.calls_hooks {
            return true;
        }
        add(&library, &mut left, &mut seen);
    }
    false
}

/// Where the dynamic linker would find a library, as a rule.
fn find_library(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let users = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let users: Vec<PathBuf> = env::split_paths(&users).collect();
    let usual = USUAL_FOLDERS.iter().map(PathBuf::from);
    let all = folders.iter().cloned().chain(users).chain(usual);
    all.map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

const USUAL_FOLDERS: [&str; 7] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];

impl Linked {
    fn read(path: &Path) -> Option<Self> {
        let data = ReadCache::new(File::open(path).ok()?);
        Self::parse(&data, path).ok()
    }

    fn parse<'a>(data: impl ReadRef<'a>, path: &Path) -> object::Result<Self> {
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let mut linked = Self::default();
        let segments = header.program_headers(endian, data)?;
        let has_interpreter = segments
            .iter()
            .any(|segment| segment.p_type(endian) == elf::PT_INTERP);
        let is_program = header.e_type(endian) == elf::ET_EXEC;
        linked.is_static = is_program && !has_interpreter;
        let sections = header.sections(endian, data)?;
        for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
            let symbols = sections.symbols(endian, data, kind)?;
            let strings = strings_of(&sections, &symbols, endian, data)?;
            for symbol in symbols.iter() {
                let name = symbol.name(endian, strings).unwrap_or_default();
                let is_wanted = symbol.st_shndx(endian) == elf::SHN_UNDEF;
                let name = name.split(|&byte| byte == b'@').next().unwrap_or_default();
                match (Hook::of(name), is_wanted) {
                    (Some(_), true) => linked.calls_hooks = true,
                    (Some(_), false) => linked.defines_hooks = true,
                    (None, true) if name == b"dlopen" || name == b"dlmopen" => {
                        linked.loads_libraries = true
                    }
                    _ => {}
                }
            }
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        for section in sections.iter() {
            let Some((entries, strings)) = section.dynamic(endian, data)? else {
                continue;
            };
            let strings = sections.strings(endian, data, strings)?;
            for entry in entries {
                let text = || {
                    let offset = u32::try_from(entry.d_val(endian)).ok()?;
                    Some(String::from_utf8_lossy(strings.get(offset).ok()?).into_owned())
                };
                match entry.d_tag(endian) {
                    elf::DT_NEEDED => linked.needed.extend(text()),
                    elf::DT_RPATH | elf::DT_RUNPATH => {
                        let list = text().unwrap_or_default();
                        let origin = folder.to_string_lossy();
                        let list = list
                            .replace("${ORIGIN}", &origin)
                            .replace("$ORIGIN", &origin);
                        linked.folders.extend(list.split(':').map(PathBuf::from));
                    }
                    _ => {}
                }
            }
        }
        Ok(linked)
    }
}
