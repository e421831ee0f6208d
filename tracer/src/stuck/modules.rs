//! The files whose code a process has in memory.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader64, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

use umbel_values::DebugFile;

use super::error::Result;
use super::memory::LiveMemory;
use super::task::open_maps;
use super::unwind::FrameTable;
use crate::symbols::Image;

/// Bytes of notes that are searched for a build id.
const NOTES_BYTES_MAX: u64 = 4096;

/// The header of a file in memory, with its table of segments.
const HEADER_BYTES: usize = 4096;

/// The vdso is two pages; the kernel may need more one day.
const VDSO_BYTES_MAX: u64 = 1 << 20;

/// The shared file of a recording `FILE` is `FILE.live`.
const LIVE: &str = ".live";

/// Where the system's libraries are.
const SYSTEM: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/libexec"];

/// A file with code.
pub struct Module {
    /// As the kernel names it.
    pub path: PathBuf,
    /// What the process adds to its addresses.
    pub bias: u64,
    /// First address in the process.
    begin: u64,
    /// Behind the last.
    end: u64,
    /// Names and places.
    pub image: Image,
    /// Where it can be read now: another name than `path` if the process sees other files than we.
    file: PathBuf,
    build_id: Vec<u8>,
    frames: OnceCell<Option<FrameTable>>,
    debug: OnceCell<Option<RefCell<DebugFile>>>,
    vdso: Option<Vec<u8>>,
}

/// All of them, by address.
pub struct Modules {
    list: Vec<Module>,
    stacks_end: Vec<(u64, u64)>,
    recording: Option<PathBuf>,
}

/// A line of `/proc/PID/maps`.
struct Line<'a> {
    begin: u64,
    end: u64,
    is_code: bool,
    offset: u64,
    name: &'a str,
}

impl Modules {
    /// Those of process `pid`.
    pub fn read(pid: i32, memory: &LiveMemory) -> Result<Self> {
        let maps = open_maps(pid)?;
        let lines: Vec<Line> = maps.lines().filter_map(Line::parse).collect();
        let is_alike = |ns: &str| {
            let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{ns}")).ok();
            of(&pid.to_string()) == of("self")
        };
        let root = match is_alike("mnt") {
            true => PathBuf::new(),
            false => PathBuf::from(format!("/proc/{pid}/root")),
        };
        let mut list: Vec<Module> = Vec::new();
        for line in lines.iter().filter(|line| line.is_code) {
            let is_known = list.iter().any(|module| module.contains(line.begin));
            if !is_known && (line.name.starts_with('/') || line.name == "[vdso]") {
                list.extend(Module::read(pid, line, &lines, &root, memory));
            }
        }
        list.sort_by_key(|module| module.begin);
        let stacks_end = lines.iter().map(|line| (line.begin, line.end)).collect();
        Ok(Self {
            list,
            stacks_end,
            recording: recording_in(&maps),
        })
    }

    /// The module that an address lies in.
    pub fn at(&self, address: u64) -> Option<&Module> {
        let after = self.list.partition_point(|module| module.begin <= address);
        let module = &self.list[after.checked_sub(1)?];
        module.contains(address).then_some(module)
    }

    /// All of them.
    pub fn all(&self) -> &[Module] {
        &self.list
    }

    /// The recording that is being made of the process: the tracer's library has its shared file in memory.
    pub fn recording(&self) -> Option<&Path> {
        self.recording.as_deref()
    }

    /// Behind the last address of the mapping around `address`.
    pub fn mapping_end(&self, address: u64) -> Option<u64> {
        let holds = |(begin, end): &&(u64, u64)| (*begin..*end).contains(&address);
        self.stacks_end.iter().find(holds).map(|(_, end)| *end)
    }

    /// What was wrong with files.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.list.iter().flat_map(|module| module.image.warnings());
        warnings.collect()
    }
}

/// The recording whose shared file is among what a process has in memory.
pub fn recording_in(maps: &str) -> Option<PathBuf> {
    let mut names = maps.lines().filter_map(Line::parse).map(|line| line.name);
    names
        .find_map(|name| name.strip_suffix(LIVE))
        .map(PathBuf::from)
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let mut words = line.splitn(6, ' ');
        let (begin, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let offset = hex(words.next()?)?;
        Some(Self {
            begin: hex(begin)?,
            end: hex(end)?,
            is_code: rights.contains('x'),
            offset,
            name: words.nth(2).unwrap_or_default().trim_start(),
        })
    }
}

impl Module {
    fn read(
        pid: i32,
        code: &Line,
        lines: &[Line],
        root: &Path,
        memory: &LiveMemory,
    ) -> Option<Self> {
        if code.name == "[vdso]" {
            let bytes = (code.end - code.begin).min(VDSO_BYTES_MAX);
            let mut image = vec![0; bytes as usize];
            memory.read(code.begin, &mut image)?;
            return Some(Self {
                path: PathBuf::from("[vdso]"),
                bias: code.begin,
                begin: code.begin,
                end: code.end,
                image: Image::new(Path::new("[vdso]"), &[]),
                file: PathBuf::new(),
                build_id: Vec::new(),
                frames: OnceCell::new(),
                debug: OnceCell::new(),
                vdso: Some(image),
            });
        }
        // A file may be mapped twice: its own mappings are those before and behind, without a gap in the name.
        let at = lines.iter().position(|line| line.begin == code.begin)?;
        let is_own = |line: &&Line| line.name == code.name || line.name.is_empty();
        let first = lines[..=at].iter().rev().take_while(is_own);
        let first = first
            .filter(|line| line.name == code.name && line.offset <= code.offset)
            .find(|line| line.offset == 0)?;
        let last = lines[at..].iter().take_while(|line| line.name == code.name);
        let end = last.last()?.end;
        let (lowest, build_id) = header(first.begin, memory)?;
        let is_deleted = code.name.strip_suffix(" (deleted)");
        let path = PathBuf::from(is_deleted.unwrap_or(code.name));
        let exe = PathBuf::from(format!("/proc/{pid}/exe"));
        let is_exe = fs::read_link(&exe).is_ok_and(|target| target == Path::new(code.name));
        let file = match is_deleted {
            // The kernel still has it.
            Some(_) if is_exe => exe,
            Some(_) => PathBuf::from(format!(
                "/proc/{pid}/map_files/{:x}-{:x}",
                code.begin, code.end
            )),
            None if root.as_os_str().is_empty() => path.clone(),
            None => root.join(path.strip_prefix("/").unwrap_or(&path)),
        };
        Some(Self {
            image: Image::new(&file, &build_id),
            path,
            bias: first.begin.wrapping_sub(lowest),
            begin: first.begin,
            end,
            file,
            build_id,
            frames: OnceCell::new(),
            debug: OnceCell::new(),
            vdso: None,
        })
    }

    fn contains(&self, address: u64) -> bool {
        (self.begin..self.end).contains(&address)
    }

    /// Its variables and types; `None`: it has none, or it is one of the system's, whose variables say nothing to users.
    pub fn debug(&self) -> Option<&RefCell<DebugFile>> {
        let open = || {
            let is_system = SYSTEM.iter().any(|folder| self.path.starts_with(folder));
            let is_wanted = self.vdso.is_none() && !is_system;
            let file = is_wanted.then(|| DebugFile::open(&self.file, &self.build_id).ok());
            file.flatten().map(RefCell::new)
        };
        self.debug.get_or_init(open).as_ref()
    }

    /// Its call frame information.
    pub fn frames(&self) -> Option<&FrameTable> {
        let read = || match &self.vdso {
            Some(bytes) => FrameTable::parse(bytes.as_slice()),
            None => FrameTable::read(&self.file),
        };
        self.frames.get_or_init(read).as_ref()
    }
}

/// The lowest address of a file whose first page lies at `begin`, and its build id: from memory, which is what runs.
fn header(begin: u64, memory: &LiveMemory) -> Option<(u64, Vec<u8>)> {
    let mut bytes = vec![0; HEADER_BYTES];
    memory.read(begin, &mut bytes)?;
    let data = bytes.as_slice();
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let loads = segments.iter().filter(|one| one.p_type(endian) == PT_LOAD);
    let lowest = loads.map(|one| one.p_vaddr(endian)).min()? & !0xfff;
    let notes = segments.iter().filter(|one| one.p_type(endian) == PT_NOTE);
    let build_id = notes.filter_map(|segment| {
        let size = segment.p_memsz(endian).min(NOTES_BYTES_MAX);
        let mut notes = vec![0; size as usize];
        let address = begin.wrapping_add(segment.p_vaddr(endian).wrapping_sub(lowest));
        memory.read(address, &mut notes)?;
        let align = segment.p_align(endian);
        let mut iterator =
            NoteIterator::<FileHeader64<Endianness>>::new(endian, align, &notes).ok()?;
        while let Ok(Some(note)) = iterator.next() {
            if note.name() == b"GNU" && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
        None
    });
    let build_id = build_id.into_iter().next();
    Some((lowest, build_id.unwrap_or_default()))
}
