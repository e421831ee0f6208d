//! Where a module's debug information lies: in its own file, or in one beside it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ReadCache};

/// Where distributions put debug information.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// Bytes that a checksum reads at a time.
const CHECKSUM_STEP_BYTES: usize = 256 * 1024;

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The build id; empty without one.
    pub build_id: Vec<u8>,
    /// Name and checksum of the file with its debug information, if it was split off.
    pub debug_link: Option<(Vec<u8>, u32)>,
}

impl Identity {
    /// Of the file at `path`; `None` if it isn't a readable 64-bit ELF file.
    pub fn read(path: &Path) -> Option<Self> {
        let data = ReadCache::new(File::open(path).ok()?);
        let file = ElfFile64::<Endianness, _>::parse(&data).ok()?;
        let debug_link = file.gnu_debuglink().ok().flatten();
        Some(Self {
            build_id: file.build_id().ok().flatten().unwrap_or_default().to_vec(),
            debug_link: debug_link.map(|(name, checksum)| (name.to_vec(), checksum)),
        })
    }
}

/// Files that may have what `path` was stripped of, the likeliest first.
pub fn debug_files(path: &Path, identity: &Identity) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let [first, rest @ ..] = identity.build_id.as_slice()
        && !rest.is_empty()
    {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{DEBUG_FOLDER}/.build-id/{first:02x}/{rest}.debug");
        found.extend(Some(PathBuf::from(name)).filter(|file| is_of(file, &identity.build_id)));
    }
    if let Some((name, checksum)) = &identity.debug_link
        && let Some(folder) = path.parent()
    {
        let name = Path::new(OsStr::from_bytes(name));
        let below_root = folder.strip_prefix("/").unwrap_or(folder);
        let candidates = [
            folder.join(name),
            folder.join(".debug").join(name),
            Path::new(DEBUG_FOLDER).join(below_root).join(name),
        ];
        // A link to the file itself would find no more than the file has.
        let others = candidates.into_iter().filter(|file| file != path);
        found.extend(others.filter(|file| checksum_of(file) == Some(*checksum)));
    }
    found
}

fn is_of(file: &Path, build_id: &[u8]) -> bool {
    Identity::read(file).is_some_and(|identity| identity.build_id == build_id)
}

fn checksum_of(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![0; CHECKSUM_STEP_BYTES];
    loop {
        match file.read(&mut bytes).ok()? {
            0 => return Some(hasher.finalize()),
            count => hasher.update(&bytes[..count]),
        }
    }
}
