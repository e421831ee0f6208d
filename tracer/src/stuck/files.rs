//! The files that a process has open, and how far it is in them.

use std::fs;

/// An open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Its descriptor.
    pub descriptor: i32,
    /// Its path, or what the kernel says instead: `socket:[1234]`.
    pub name: String,
    /// Where the next read or write begins.
    pub position: u64,
    /// Its size, if it is a regular file.
    pub size: Option<u64>,
    /// It is open for reading.
    pub is_read: bool,
    /// It is open for writing.
    pub is_written: bool,
}

impl OpenFile {
    /// A regular file that is being read, and neither just opened nor at its end: likely what the program is at.
    pub fn is_in_work(&self) -> bool {
        let size = self.size.unwrap_or(0);
        self.is_read && self.position > 0 && self.position < size
    }

    fn read(pid: i32, descriptor: i32) -> Option<Self> {
        let path = format!("/proc/{pid}/fd/{descriptor}");
        let name = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).ok()?;
        let value = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name))?;
            Some(line[name.len()..].trim())
        };
        let position = value("pos:")?.parse().ok()?;
        let flags = i32::from_str_radix(value("flags:")?, 8).ok()?;
        let mode = flags & libc::O_ACCMODE;
        // Pipes and devices have no size; a stat of a file on a dead server would block, of an open one it doesn't.
        let size = name.starts_with('/').then(|| fs::metadata(&path).ok());
        let size = size.flatten().filter(fs::Metadata::is_file);
        Some(Self {
            descriptor,
            name,
            position,
            size: size.map(|data| data.len()),
            is_read: mode != libc::O_WRONLY,
            is_written: mode != libc::O_RDONLY,
        })
    }
}

/// All of a process, those in work first; none if we may not see them.
pub fn open_files(pid: i32) -> Vec<OpenFile> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let mut files: Vec<OpenFile> = entries
        .flatten()
        .filter_map(|entry| OpenFile::read(pid, entry.file_name().to_str()?.parse().ok()?))
        .collect();
    files.sort_by_key(|file| (!file.is_in_work(), file.descriptor));
    files
}
