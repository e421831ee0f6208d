//! A core file of a process that lives on: what gdb opens with the program.
//!
//! All threads are stopped while their registers and the memory are copied, so that what the file has is one moment. What goes into it is
//! what the kernel would put there (`/proc/PID/coredump_filter`), and what nodes share as far as it is here. Pages that aren't there are holes: none is brought in by being
//! looked at, so nothing is fetched from other nodes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

mod halt;
mod notes;
mod regions;

use halt::Halted;
use regions::{Part, Regions};

const PAGE_BYTES: u64 = 4096;

/// Bytes of an ELF header and of each program header.
const HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: u64 = 56;

/// Program headers that an ELF header can count.
const PROGRAM_HEADERS_MAX: usize = 0xfffe;

/// So much of the disk is left to the recording.
const ROOM_LEFT: u64 = 4 << 20;

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// A core file that was written.
#[derive(Debug)]
pub struct Written {
    /// Threads in it.
    pub threads: usize,
    /// Bytes of memory in it.
    pub bytes: u64,
    /// How long the process stood.
    pub took: Duration,
    /// What could not be put there.
    pub remarks: Vec<String>,
}

/// Writes a core file of process `pid`; in gdb, thread `first` is the one that is looked at. If it can't be written whole, none is left behind.
pub fn write(pid: i32, first: Option<i32>, path: &Path) -> Result<Written, String> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // It has all that the program had in memory.
        .mode(0o600)
        .open(path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let written = fill(pid, first, file);
    if written.is_err() {
        // Half a core file is of no use, and takes what space there is.
        let _ = fs::remove_file(path);
    }
    written.map_err(|why| format!("no core file {}: {why}", path.display()))
}

fn fill(pid: i32, first: Option<i32>, mut file: File) -> Result<Written, String> {
    let begin = Instant::now();
    let mut halted = Halted::stop(pid)?;
    if let Some(at) = halted
        .threads
        .iter()
        .position(|thread| Some(thread.tid) == first)
    {
        halted.threads.swap(0, at);
    }
    let regions = Regions::read(pid)?;
    let notes = notes::notes(pid, &halted.threads, &regions);
    let count = regions.parts.len() + 1;
    if count > PROGRAM_HEADERS_MAX {
        return Err(format!("its memory is in {count} pieces"));
    }
    let notes_at = HEADER_BYTES + PROGRAM_HEADER_BYTES * count as u64;
    let mut at = (notes_at + notes.len() as u64).next_multiple_of(PAGE_BYTES);
    let mut head = header(count);
    head.extend(program_header(
        PT_NOTE,
        4,
        notes_at,
        0,
        notes.len() as u64,
        0,
        4,
    ));
    let mut copies = Vec::new();
    for part in &regions.parts {
        let stored = if part.is_stored { part.bytes() } else { 0 };
        head.extend(program_header(
            PT_LOAD,
            part.rights,
            at,
            part.begin,
            stored,
            part.bytes(),
            PAGE_BYTES,
        ));
        if part.is_stored {
            copies.push((at, part));
        }
        at += stored;
    }
    head.extend(notes);
    has_room(&file, &copies)?;
    let failed = |error: io::Error| match error.raw_os_error() {
        Some(libc::EFBIG) => {
            format!(
                "{error}: files may not be larger here (ulimit -f, or the file system's own limit)"
            )
        }
        _ => error.to_string(),
    };
    file.write_all(&head).map_err(failed)?;
    // What is no page of the program's stays a hole.
    file.set_len(at).map_err(failed)?;
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
    let mut bytes = 0;
    for (at, part) in copies {
        bytes += copy(&memory, &file, at, part).map_err(failed)?;
    }
    let threads = halted.threads.len();
    let mut remarks = halted.go_on();
    remarks.extend(regions.remarks);
    Ok(Written {
        threads,
        bytes,
        took: begin.elapsed(),
        remarks,
    })
}

/// A disk that is full in the end has no room for the recording either: better no core file than that.
fn has_room(file: &File, copies: &[(u64, &Part)]) -> Result<(), String> {
    let runs = copies.iter().flat_map(|(_, part)| &part.runs);
    let wanted: u64 = runs.map(|run| run.end - run.start).sum();
    // What can't be told is found out by writing.
    let Ok(disk) = nix::sys::statvfs::fstatvfs(file) else {
        return Ok(());
    };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    match wanted.saturating_add(ROOM_LEFT) <= free {
        true => Ok(()),
        false => Err(format!(
            "it has up to {} MiB, and the disk has room for {} MiB: make room, or record (-o) to a larger disk",
            wanted.div_ceil(1 << 20),
            free >> 20
        )),
    }
}

/// Copies the pages of a part that are there; how many bytes.
fn copy(memory: &File, file: &File, at: u64, part: &Part) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    for run in &part.runs {
        let mut from = run.start;
        while from < run.end {
            let count = (run.end - from).min(COPY_BYTES as u64) as usize;
            // Devices and guards can't be read: their pages stay holes.
            let count = match memory.read_at(&mut buffer[..count], from) {
                Ok(0) | Err(_) => {
                    from += PAGE_BYTES;
                    continue;
                }
                Ok(count) => count,
            };
            for (index, page) in buffer[..count].chunks(PAGE_BYTES as usize).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    let offset = from - part.begin + index as u64 * PAGE_BYTES;
                    file.write_all_at(page, at + offset)?;
                    copied += page.len() as u64;
                }
            }
            from += count as u64;
        }
    }
    Ok(copied)
}

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// The ELF header of a core file of this processor.
fn header(program_headers: usize) -> Vec<u8> {
    const ET_CORE: u16 = 4;
    const EM_X86_64: u16 = 62;
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    bytes.resize(16, 0);
    bytes.extend(ET_CORE.to_le_bytes());
    bytes.extend(EM_X86_64.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    // No entry; program headers come next; no sections.
    for word in [0, HEADER_BYTES, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend((HEADER_BYTES as u16).to_le_bytes());
    bytes.extend((PROGRAM_HEADER_BYTES as u16).to_le_bytes());
    bytes.extend((program_headers as u16).to_le_bytes());
    bytes.resize(HEADER_BYTES as usize, 0);
    bytes
}

fn program_header(
    kind: u32,
    rights: u32,
    offset: u64,
    address: u64,
    stored: u64,
    bytes: u64,
    align: u64,
) -> Vec<u8> {
    let mut header = Vec::with_capacity(PROGRAM_HEADER_BYTES as usize);
    header.extend(kind.to_le_bytes());
    header.extend(rights.to_le_bytes());
    for word in [offset, address, 0, stored, bytes, align] {
        header.extend(word.to_le_bytes());
    }
    header
}
