//! What a core file says of a process besides its memory.

use std::fs;

use super::PAGE_BYTES;
use super::halt::HaltedThread;
use super::regions::Regions;

const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;

/// As the kernel's structures are on this processor.
const PRSTATUS_BYTES: usize = 336;
const PRPSINFO_BYTES: usize = 136;

/// All notes: the first thread with what is said of the process, then the others.
pub fn notes(pid: i32, threads: &[HaltedThread], regions: &Regions) -> Vec<u8> {
    let mut notes = Vec::new();
    for (index, thread) in threads.iter().enumerate() {
        add(&mut notes, NT_PRSTATUS, &status(pid, thread));
        if index == 0 {
            add(&mut notes, NT_PRPSINFO, &process(pid));
            // A process whose vector can't be read has none in the file: gdb finds the program's place by other means.
            let auxv = fs::read(format!("/proc/{pid}/auxv")).unwrap_or_default();
            add(&mut notes, NT_AUXV, &auxv);
            add(&mut notes, NT_FILE, &files(regions));
        }
        if let Some(floats) = &thread.floats {
            add(&mut notes, NT_FPREGSET, &float_bytes(floats));
        }
    }
    notes
}

fn add(notes: &mut Vec<u8>, kind: u32, description: &[u8]) {
    for word in [5, description.len() as u32, kind] {
        notes.extend(word.to_le_bytes());
    }
    notes.extend(b"CORE\0\0\0\0");
    notes.extend(description);
    notes.resize(notes.len().next_multiple_of(4), 0);
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

/// `struct elf_prstatus`
fn status(pid: i32, thread: &HaltedThread) -> Vec<u8> {
    const THREAD: usize = 32;
    const REGISTERS: usize = 112;
    const HAS_FLOATS: usize = 328;
    let mut bytes = vec![0; PRSTATUS_BYTES];
    put(&mut bytes, THREAD, thread.tid.to_le_bytes());
    put(&mut bytes, THREAD + 4, pid.to_le_bytes());
    let raw = &thread.registers;
    let words = [
        raw.r15,
        raw.r14,
        raw.r13,
        raw.r12,
        raw.rbp,
        raw.rbx,
        raw.r11,
        raw.r10,
        raw.r9,
        raw.r8,
        raw.rax,
        raw.rcx,
        raw.rdx,
        raw.rsi,
        raw.rdi,
        raw.orig_rax,
        raw.rip,
        raw.cs,
        raw.eflags,
        raw.rsp,
        raw.ss,
        raw.fs_base,
        raw.gs_base,
        raw.ds,
        raw.es,
        raw.fs,
        raw.gs,
    ];
    for (index, word) in words.iter().enumerate() {
        put(&mut bytes, REGISTERS + 8 * index, word.to_le_bytes());
    }
    let has_floats = i32::from(thread.floats.is_some());
    put(&mut bytes, HAS_FLOATS, has_floats.to_le_bytes());
    bytes
}

/// `struct user_fpregs_struct`, in memory as in the file.
fn float_bytes(floats: &libc::user_fpregs_struct) -> Vec<u8> {
    let mut bytes = Vec::new();
    for half in [floats.cwd, floats.swd, floats.ftw, floats.fop] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(floats.rip.to_le_bytes());
    bytes.extend(floats.rdp.to_le_bytes());
    bytes.extend(floats.mxcsr.to_le_bytes());
    bytes.extend(floats.mxcr_mask.to_le_bytes());
    for word in floats.st_space.iter().chain(&floats.xmm_space) {
        bytes.extend(word.to_le_bytes());
    }
    bytes.resize(512, 0);
    bytes
}

/// `struct elf_prpsinfo`
fn process(pid: i32) -> Vec<u8> {
    const NAME: usize = 40;
    const ARGUMENTS: usize = 56;
    let mut bytes = vec![0; PRPSINFO_BYTES];
    bytes[1] = b'R';
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| -> u32 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or_default()
    };
    put(&mut bytes, 16, field("Uid:").to_le_bytes());
    put(&mut bytes, 20, field("Gid:").to_le_bytes());
    put(&mut bytes, 24, pid.to_le_bytes());
    put(&mut bytes, 28, field("PPid:").to_le_bytes());
    put(&mut bytes, 32, field("NSpgid:").to_le_bytes());
    put(&mut bytes, 36, field("NSsid:").to_le_bytes());
    let mut text = |at: usize, most: usize, text: &[u8]| {
        // One byte stays 0.
        let text = &text[..text.len().min(most - 1)];
        bytes[at..at + text.len()].copy_from_slice(text);
    };
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    text(NAME, 16, name.trim_ascii_end());
    let mut command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    while command.last() == Some(&0) {
        command.pop();
    }
    for byte in command.iter_mut().filter(|byte| **byte == 0) {
        *byte = b' ';
    }
    text(ARGUMENTS, 80, &command);
    bytes
}

/// Which files lie where in memory.
fn files(regions: &Regions) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((regions.files.len() as u64).to_le_bytes());
    bytes.extend(PAGE_BYTES.to_le_bytes());
    for file in &regions.files {
        for word in [file.begin, file.end, file.offset / PAGE_BYTES] {
            bytes.extend(word.to_le_bytes());
        }
    }
    for file in &regions.files {
        bytes.extend(file.name.as_bytes());
        bytes.push(0);
    }
    bytes
}
