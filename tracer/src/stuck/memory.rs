//! The memory of a process that runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use umbel_values::Absence;

const PAGE_BYTES: u64 = 4096;

/// Where nodes of `umbel run` share objects: a page that isn't there now would be fetched from another node by who reads it, so
/// only those are read that are there.
pub const WINDOW: std::ops::Range<u64> = 0x2000_0000_0000..0x4000_0000_0000;

/// Pages are read once: variables lie close to each other, and one look should see one state as far as that can be had.
pub struct LiveMemory {
    pid: Pid,
    pages: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
    pagemap: Option<File>,
}

impl LiveMemory {
    /// That of process `pid`.
    pub fn new(pid: i32) -> Self {
        Self {
            pid: Pid::from_raw(pid),
            pages: RefCell::default(),
            pagemap: File::open(format!("/proc/{pid}/pagemap")).ok(),
        }
    }

    /// Forgets what was read: the process ran on.
    pub fn forget(&self) {
        self.pages.borrow_mut().clear();
    }

    /// Reads `bytes` bytes from `address` at once, to be found there by later reads; of a stopped thread's stack.
    pub fn copy(&self, address: u64, bytes: u64) {
        let begin = address & !(PAGE_BYTES - 1);
        let end = address.saturating_add(bytes).next_multiple_of(PAGE_BYTES);
        let mut buffer = vec![0; (end - begin) as usize];
        let count = self.read_now(begin, &mut buffer);
        let mut pages = self.pages.borrow_mut();
        for (index, page) in buffer[..count]
            .chunks_exact(PAGE_BYTES as usize)
            .enumerate()
        {
            pages.insert(begin + index as u64 * PAGE_BYTES, Some(page.into()));
        }
    }

    /// Fills `bytes` with what lies at `address`, wholly or not at all.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = address.checked_add(done as u64)?;
            let offset = (at % PAGE_BYTES) as usize;
            let count = (bytes.len() - done).min(PAGE_BYTES as usize - offset);
            let mut pages = self.pages.borrow_mut();
            let page = pages
                .entry(at - offset as u64)
                .or_insert_with_key(|page| self.page(*page));
            bytes[done..done + count].copy_from_slice(&page.as_ref()?[offset..offset + count]);
            done += count;
        }
        Some(())
    }

    /// Why nothing could be read at `address`.
    pub fn absence(&self, address: u64) -> Absence {
        match WINDOW.contains(&address) {
            true => Absence::NotCaptured(address),
            false => Absence::Invalid(address),
        }
    }

    /// The 8 bytes at `address`.
    pub fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    fn page(&self, address: u64) -> Option<Box<[u8]>> {
        if WINDOW.contains(&address) && !self.is_present(address) {
            return None;
        }
        let mut page = vec![0; PAGE_BYTES as usize];
        let count = self.read_now(address, &mut page);
        (count == page.len()).then(|| page.into())
    }

    fn is_present(&self, address: u64) -> bool {
        let mut entry = [0; 8];
        let offset = address / PAGE_BYTES * 8;
        let read = self
            .pagemap
            .as_ref()
            .map(|file| file.read_exact_at(&mut entry, offset));
        // Bit 63: the page is in this process's tables.
        matches!(read, Some(Ok(()))) && u64::from_le_bytes(entry) >> 63 == 1
    }

    fn read_now(&self, address: u64, bytes: &mut [u8]) -> usize {
        let remote = RemoteIoVec {
            base: address as usize,
            len: bytes.len(),
        };
        process_vm_readv(self.pid, &mut [IoSliceMut::new(bytes)], &[remote]).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_and_what_is_none() {
        let memory = LiveMemory::new(std::process::id() as i32);
        let words = vec![7_u64; 2000];
        let address = words.as_ptr() as u64;
        assert_eq!(memory.word(address + 8 * 1999), Some(7));
        let mut bytes = vec![0; 16000];
        assert_eq!(memory.read(address, &mut bytes), Some(()));
        assert_eq!(bytes[15992..], 7_u64.to_le_bytes());
        assert_eq!(memory.word(8), None);
        assert_eq!(memory.word(u64::MAX - 3), None);
        assert_eq!(memory.word(0x8000_0000_0000_0000), None);
    }
}
