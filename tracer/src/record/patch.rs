//! Switches call sites of a running process off and on, one byte each.
//!
//! A process's code is written through `/proc/PID/mem`, which the kernel grants to those who may trace it; it copies the page for
//! this process alone and leaves its protection as it is. Everything is compared with the file before a byte is changed, and the
//! state of a site is read from the process each time: a forked process has its father's patches, a library loaded anew has none.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use super::sites::{Site, Sites};

/// Code of a process that can be changed.
#[derive(Debug)]
pub struct Memory(File);

/// What became of a module's sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patched {
    /// Sites that do nothing now.
    pub off: usize,
    /// Sites that call their hook.
    pub on: usize,
    /// Sites that should do nothing but whose function isn't known, or that another function shares: they call their hook.
    pub unknown: usize,
    /// Sites whose bytes are not those of the file: nobody touches them.
    pub differing: usize,
    /// Bytes changed.
    pub changed: usize,
}

impl Patched {
    /// Adds another module's.
    pub fn add(&mut self, other: &Self) {
        self.off += other.off;
        self.on += other.on;
        self.unknown += other.unknown;
        self.differing += other.differing;
        self.changed += other.changed;
    }
}

/// What is wanted of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That it calls its hook.
    On,
    /// That it does nothing.
    Off,
    /// That it does nothing for the functions that are excluded; but which those are isn't known, or not all of its functions are.
    Unclear,
}

impl Memory {
    /// The memory of the process `pid`.
    pub fn open(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/mem");
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map(Self)
    }

    /// Makes the sites of a module, loaded at `bias`, what is wanted of them.
    pub fn apply(
        &self,
        bias: u64,
        sites: &Sites,
        wanted: impl Fn(&Site) -> Wanted,
    ) -> io::Result<Patched> {
        let mut patched = Patched::default();
        let mut bytes = Vec::new();
        for group in groups(&sites.sites) {
            let begin = bias.wrapping_add(group[0].address);
            let last = &group[group.len() - 1];
            let length = last.address + SITE_BYTES_MAX - group[0].address;
            bytes.clear();
            bytes.resize(usize::try_from(length).unwrap_or_default(), 0);
            // The last site may end the mapping: its operand may be shorter than what is asked for.
            let count = read_up_to(&self.0, &mut bytes, begin)?;
            bytes.truncate(count);
            let before = patched.changed;
            let mut changed = (usize::MAX, 0);
            for site in group {
                let at = (site.address - group[0].address) as usize;
                if let Some(byte) = change(site, &bytes, at, wanted(site), &mut patched) {
                    bytes[at] = byte;
                    changed = (changed.0.min(at), at + 1);
                }
            }
            if patched.changed > before {
                // What lies between is written as it was read: nobody else writes here.
                let (first, end) = changed;
                self.0
                    .write_all_at(&bytes[first..end], begin.wrapping_add(first as u64))?;
            }
        }
        Ok(patched)
    }
}

/// Bytes of the longest site.
const SITE_BYTES_MAX: u64 = 6;

/// Sites that are read and written together lie in one page: writing one means copying a page anyway.
fn groups(sites: &[Site]) -> impl Iterator<Item = &[Site]> {
    sites.chunk_by(|one, other| one.address / PAGE_BYTES == other.address / PAGE_BYTES)
}

const PAGE_BYTES: u64 = 4096;

/// The first byte that `site` gets, if it is to change.
fn change(
    site: &Site,
    bytes: &[u8],
    at: usize,
    wanted: Wanted,
    patched: &mut Patched,
) -> Option<u8> {
    let operand = site.form.operand_bytes();
    let there = bytes.get(at..at + 1 + operand);
    let is_ours = there.is_some_and(|there| {
        [site.form.active(), site.form.patched()].contains(&there[0])
            && there[1..] == site.operand[..operand]
    });
    if !is_ours {
        patched.differing += 1;
        return None;
    }
    let first = match wanted {
        Wanted::On => {
            patched.on += 1;
            site.form.active()
        }
        Wanted::Off => {
            patched.off += 1;
            site.form.patched()
        }
        Wanted::Unclear => {
            patched.unknown += 1;
            site.form.active()
        }
    };
    let differs = bytes[at] != first;
    patched.changed += usize::from(differs);
    differs.then_some(first)
}

fn read_up_to(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < bytes.len() {
        match file.read_at(&mut bytes[count..], at.wrapping_add(count as u64)) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The mapping ends here.
            Err(error) if count > 0 && error.raw_os_error() == Some(libc::EIO) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
