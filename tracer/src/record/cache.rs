//! What was found out about a file, kept for the next session: a folder with a file for each build.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `umbelC` and the format's version |
//! | 4 | checksum (CRC-32) of all behind it |
//! | 8 | what the content depends on beside the build: see [`Key::depends`] |
//! | rest | the content |
//!
//! A file that isn't exactly so, or that another user owns, is as good as none, and is written anew. Writers put theirs in place by a rename, so
//! readers see a whole one, and of two writers the last wins: they write the same.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;
use std::{env, process};

/// To be changed whenever content is made or read in another way: what is found in code, how it is written down.
const VERSION: [u8; 2] = *b"01";

/// Begins each file.
const MAGIC: &[u8; 6] = b"umbelC";

/// Magic, version, checksum, dependency.
const HEAD_BYTES: usize = 20;

/// Bytes of a file at most: a program of some 100 MB of code has less.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Bytes of the folder; the files that were written longest ago go first.
const FOLDER_BYTES_MAX: u64 = 256 << 20;

/// The folder, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// Of which file something is known.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Without one nothing is kept.
    pub build_id: &'a [u8],
    /// What is known.
    pub what: &'static str,
    /// A number that is another one when the content may be: of the same build one may be stripped, or have its symbols beside it.
    pub depends: u64,
}

impl Cache {
    /// The user's: below `$XDG_CACHE_HOME` or `~/.cache`. `UMBEL_TRACE_CACHE=off`: none.
    pub fn of_user() -> Self {
        if env::var_os("UMBEL_TRACE_CACHE").is_some_and(|value| value == "off") {
            return Self::default();
        }
        let absolute = |name| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let base = absolute("XDG_CACHE_HOME");
        let base = base.or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self {
            folder: base.map(|base| base.join("umbel/trace")),
        }
    }

    #[cfg(test)]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
        }
    }

    /// What is known, if it is.
    pub fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let file = File::open(self.path(key)?).ok()?;
        let metadata = file.metadata().ok()?;
        let is_own = metadata.uid() == nix::unistd::geteuid().as_raw();
        if !is_own || !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let (head, _) = bytes.split_at_checked(HEAD_BYTES)?;
        let is_right = head == head_of(key, &bytes[HEAD_BYTES..]);
        is_right.then(|| bytes.split_off(HEAD_BYTES))
    }

    /// Keeps what is known. Where that fails it isn't kept: the next session finds out again.
    pub fn write(&self, key: &Key, content: &[u8]) {
        if content.len() as u64 > FILE_BYTES_MAX - HEAD_BYTES as u64 {
            return;
        }
        if let Some(path) = self.path(key) {
            let _ = put(&path, &head_of(key, content), content);
        }
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        if key.build_id.is_empty() || key.build_id.len() > BUILD_ID_BYTES_MAX {
            return None;
        }
        let name: String = key
            .build_id
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(folder.join(format!("{name}.{}", key.what)))
    }
}

/// Bytes of a build id: the linker's have 20; names of files may have 255 characters.
const BUILD_ID_BYTES_MAX: usize = 64;

fn head_of(key: &Key, content: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..6].copy_from_slice(MAGIC);
    head[6..8].copy_from_slice(&VERSION);
    head[12..].copy_from_slice(&key.depends.to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&head[12..]);
    checksum.update(content);
    head[8..12].copy_from_slice(&checksum.finalize().to_le_bytes());
    head
}

fn put(path: &Path, head: &[u8], content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    make_room(folder, (head.len() + content.len()) as u64)?;
    // Of two threads of one process each has its own.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = path.with_extension(format!("{}-{number}.new", process::id()));
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(head)?;
        file.write_all(content)?;
        fs::rename(&new, path)
    };
    written().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Removes the oldest files until `bytes` more fit.
fn make_room(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((written, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut all: u64 = bytes + files.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
    for (_, bytes, path) in files {
        if all <= FOLDER_BYTES_MAX {
            break;
        }
        // Another session may have done it.
        let _ = fs::remove_file(path);
        all -= bytes;
    }
    Ok(())
}

/// Reads numbers and texts one behind the other; `None`: it ends too early.
pub struct Content<'a>(pub &'a [u8]);

impl<'a> Content<'a> {
    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    /// A number of 4 bytes.
    pub fn short(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// A number of 8 bytes.
    pub fn long(&mut self) -> Option<u64> {
        let bytes = self.bytes(8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
pub mod tests;
