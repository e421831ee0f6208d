//! What of a process's memory goes into a core file.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::memory::WINDOW;
use super::PAGE_BYTES;
use crate::record::pages_there;

/// Pages whose entries are read at once.
const ENTRIES: usize = 16 * 1024;

/// Pages that are there and nearer to one another than this go into the file as one piece, with a hole between them.
const GAP_BYTES: u64 = 1 << 20;

/// What nodes share is in the file without holes, if it lies in no more pieces than this: the file's header can't tell of many more.
const SHARED_PARTS_MAX: usize = 1 << 15;

/// A mapping that is larger is left out by a kernel that must be asked for each page whether it is there: that takes too long.
const REGION_BYTES_MAX: u64 = 64 << 30;

/// Bits of `/proc/PID/coredump_filter`.
const ANONYMOUS_PRIVATE: u32 = 1 << 0;
const ANONYMOUS_SHARED: u32 = 1 << 1;
const FILE_PRIVATE: u32 = 1 << 2;
const FILE_SHARED: u32 = 1 << 3;
const ELF_HEADERS: u32 = 1 << 4;
const HUGE_PRIVATE: u32 = 1 << 5;
const HUGE_SHARED: u32 = 1 << 6;
/// What the kernel begins with.
const FILTER_DEFAULT: u32 = 0x33;

/// A piece of memory, as the core file has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first address.
    pub begin: u64,
    /// Behind its last.
    pub end: u64,
    /// Bits of an ELF segment: 4 read, 2 write, 1 execute.
    pub rights: u32,
    /// Whether its bytes are in the file; otherwise only where it was, and a file has them.
    pub is_stored: bool,
    /// Pages to copy.
    pub runs: Vec<Range<u64>>,
}

impl Part {
    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.end - self.begin
    }
}

/// A file in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its first address.
    pub begin: u64,
    /// Behind its last.
    pub end: u64,
    /// Where in the file that is.
    pub offset: u64,
    /// Its name.
    pub name: String,
}

/// A process's memory.
pub struct Regions {
    /// In order.
    pub parts: Vec<Part>,
    /// Files.
    pub files: Vec<Mapped>,
    /// What is left out.
    pub remarks: Vec<String>,
}

/// A mapping, as `/proc/PID/smaps` has it.
#[derive(Debug, Default)]
struct Mapping {
    begin: u64,
    end: u64,
    rights: u32,
    is_shared: bool,
    offset: u64,
    inode: u64,
    name: String,
    /// Whether pages of it are in memory or swapped out.
    is_touched: bool,
    has_anonymous: bool,
    is_huge: bool,
    is_device: bool,
    is_unwanted: bool,
}

/// What is stored of a mapping.
#[derive(Debug, PartialEq, Eq)]
enum Stored {
    Nothing,
    FirstPage,
    All,
}

impl Regions {
    /// Those of process `pid`, which must stand.
    pub fn read(pid: i32) -> Result<Self, String> {
        let path = format!("/proc/{pid}/smaps");
        let text = fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let filter = fs::read_to_string(format!("/proc/{pid}/coredump_filter")).ok();
        let filter = filter.and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
        let filter = filter.unwrap_or(FILTER_DEFAULT);
        let path = format!("/proc/{pid}/pagemap");
        let pagemap = File::open(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let mut regions = Self {
            parts: Vec::new(),
            files: Vec::new(),
            remarks: Vec::new(),
        };
        for mapping in mappings(&String::from_utf8_lossy(&text)) {
            if mapping.inode != 0 {
                regions.files.push(Mapped {
                    begin: mapping.begin,
                    end: mapping.end,
                    offset: mapping.offset,
                    name: mapping.name.clone(),
                });
            }
            regions.add(&mapping, filter, &pagemap);
        }
        Ok(regions)
    }

    fn add(&mut self, mapping: &Mapping, filter: u32, pagemap: &File) {
        let stored = stored(mapping, filter);
        let end = match stored {
            Stored::Nothing => mapping.begin,
            Stored::FirstPage => mapping.begin + PAGE_BYTES,
            Stored::All => mapping.end,
        };
        // Of what has no file, and of the window, a page that isn't there is none: it is not to be made by being looked at.
        let is_lazy = mapping.is_shared_by_nodes() || mapping.inode == 0;
        let wanted = mapping.begin..end;
        let runs = match is_lazy && !mapping.is_special() {
            _ if wanted.is_empty() => Vec::new(),
            true => match there(pagemap, wanted) {
                Some(runs) => runs,
                None => {
                    self.remarks.push(format!(
                        "memory from {:#x} to {:#x} is left out: it is larger than {} GiB, and this kernel (before 6.7) can't tell quickly what of it is there",
                        mapping.begin,
                        mapping.end,
                        REGION_BYTES_MAX >> 30
                    ));
                    return;
                }
            },
            false => vec![wanted],
        };
        // A hole is zeros to who reads the file: true of memory that isn't made yet, not of what another node has.
        let gap = match mapping.is_shared_by_nodes() && runs.len() <= SHARED_PARTS_MAX {
            true => 0,
            false => GAP_BYTES,
        };
        if gap > 0 && mapping.is_shared_by_nodes() {
            self.remarks.push(
                "shared objects lie in many pieces: what other nodes have between them looks like zeros"
                    .to_owned(),
            );
        }
        let mut pieces: Vec<Part> = Vec::new();
        for run in runs {
            match pieces.last_mut() {
                Some(last) if run.start - last.end < gap => {
                    last.end = run.end;
                    last.runs.push(run);
                }
                _ => pieces.push(Part {
                    begin: run.start,
                    end: run.end,
                    rights: mapping.rights,
                    is_stored: true,
                    runs: vec![run],
                }),
            }
        }
        let rest = pieces.last().map_or(mapping.begin, |last| last.end);
        self.parts.extend(pieces);
        // The file has the rest.
        if rest < mapping.end && mapping.has_file() {
            self.parts.push(Part {
                begin: rest,
                end: mapping.end,
                rights: mapping.rights,
                is_stored: false,
                runs: Vec::new(),
            });
        }
    }
}

impl Mapping {
    /// The kernel's own: there without pages of the process.
    fn is_special(&self) -> bool {
        self.name == "[vdso]"
    }

    /// Whether nodes of `umbel run` share it.
    fn is_shared_by_nodes(&self) -> bool {
        WINDOW.contains(&self.begin)
    }

    /// Whether there is a file that has what isn't stored.
    fn has_file(&self) -> bool {
        let is_gone = self.name.ends_with(" (deleted)");
        self.inode != 0 && !self.is_device && !is_gone && !self.is_shared_by_nodes()
    }
}

/// As the kernel decides it.
fn stored(mapping: &Mapping, filter: u32) -> Stored {
    let all = |bit: u32| match filter & bit {
        0 => Stored::Nothing,
        _ => Stored::All,
    };
    if mapping.name == "[vdso]" {
        return Stored::All;
    }
    if mapping.is_shared_by_nodes() {
        // The runtime says that it isn't to be dumped, for the kernel would fetch all of it.
        return match mapping.is_touched {
            true => Stored::All,
            false => Stored::Nothing,
        };
    }
    let is_kernels = ["[vsyscall]", "[vvar]", "[vvar_vclock]"].contains(&&*mapping.name);
    if is_kernels || mapping.is_unwanted || mapping.is_device {
        return Stored::Nothing;
    }
    if mapping.is_huge {
        return all(if mapping.is_shared {
            HUGE_SHARED
        } else {
            HUGE_PRIVATE
        });
    }
    if mapping.is_shared {
        // Memory that has no name in a folder: shared by fork, or memfd_create.
        let is_nameless = mapping.name.ends_with(" (deleted)") || mapping.inode == 0;
        return all(if is_nameless {
            ANONYMOUS_SHARED
        } else {
            FILE_SHARED
        });
    }
    if mapping.has_anonymous && filter & ANONYMOUS_PRIVATE != 0 {
        return Stored::All;
    }
    if mapping.inode == 0 {
        return match mapping.is_touched {
            true => all(ANONYMOUS_PRIVATE),
            false => Stored::Nothing,
        };
    }
    if filter & FILE_PRIVATE != 0 {
        return Stored::All;
    }
    let has_header = mapping.offset == 0 && mapping.rights & 4 != 0;
    match has_header && filter & ELF_HEADERS != 0 {
        true => Stored::FirstPage,
        false => Stored::Nothing,
    }
}

/// Pages that are in memory or swapped out; of the window those in memory only: one that another node has may look as if it were swapped
/// out, and all threads that could fetch it stand. `None`: it would take too long.
fn there(pagemap: &File, range: Range<u64>) -> Option<Vec<Range<u64>>> {
    let with_swapped = !WINDOW.contains(&range.start);
    if let Ok(found) = pages_there(pagemap, range.clone(), with_swapped) {
        return Some(found);
    }
    (range.end - range.start <= REGION_BYTES_MAX).then(|| each(pagemap, range, with_swapped))
}

/// The same, page by page.
fn each(pagemap: &File, range: Range<u64>, with_swapped: bool) -> Vec<Range<u64>> {
    let wanted = 1 << 63 | u64::from(with_swapped) << 62;
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut buffer = vec![0; 8 * ENTRIES];
    let mut at = range.start;
    while at < range.end {
        let count = ((range.end - at) / PAGE_BYTES).min(ENTRIES as u64) as usize;
        if count == 0 || read(pagemap, &mut buffer[..8 * count], at / PAGE_BYTES * 8).is_err() {
            break;
        }
        let (entries, _) = buffer[..8 * count].as_chunks::<8>();
        for entry in entries {
            if u64::from_le_bytes(*entry) & wanted != 0 {
                match runs.last_mut() {
                    Some(last) if last.end == at => last.end += PAGE_BYTES,
                    _ => runs.push(at..at + PAGE_BYTES),
                }
            }
            at += PAGE_BYTES;
        }
    }
    runs
}

fn read(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(bytes, at)
}

/// The mappings that `smaps` tells of.
fn mappings(text: &str) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        if let Some(mapping) = first_line(line) {
            found.push(mapping);
            continue;
        }
        let Some((last, (name, rest))) = found.last_mut().zip(line.split_once(':')) else {
            continue;
        };
        let is_some = || {
            rest.split_whitespace()
                .next()
                .is_some_and(|word| word != "0")
        };
        match name {
            "Rss" | "Swap" => last.is_touched |= is_some(),
            "Anonymous" => last.has_anonymous |= is_some(),
            "VmFlags" => {
                for flag in rest.split_whitespace() {
                    match flag {
                        "ht" => last.is_huge = true,
                        "io" | "pf" => last.is_device = true,
                        "dd" => last.is_unwanted = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// `7f00-7f01 rw-p 00000000 00:00 0    name`
fn first_line(line: &str) -> Option<Mapping> {
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let mut words = line.splitn(6, ' ');
    let (begin, end) = words.next()?.split_once('-')?;
    let letters = words.next()?;
    let has = |letter: char, bit: u32| if letters.contains(letter) { bit } else { 0 };
    let offset = hex(words.next()?)?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Mapping {
        begin: hex(begin)?,
        end: hex(end)?,
        rights: has('r', 4) | has('w', 2) | has('x', 1),
        is_shared: letters.contains('s'),
        offset,
        inode,
        name: words.next().unwrap_or_default().trim_start().to_owned(),
        ..Mapping::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d000000000-55d000001000 r--p 00000000 08:01 77                         /bin/prog
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d000002000-55d000003000 rw-p 00002000 08:01 77                         /bin/prog
Rss:                   4 kB
Anonymous:             4 kB
VmFlags: rd wr mr mw me ac
7f0000000000-7f0000010000 rw-p 00000000 00:00 0 
Rss:                   0 kB
VmFlags: rd wr mr mw me ac
7f0000100000-7f0000200000 rw-s 00000000 00:01 5                          /memfd:x y (deleted)
Rss:                   8 kB
VmFlags: rd wr sh mr mw me
7f0000300000-7f0000301000 rw-s 00000000 08:01 9                          /tmp/a.trace.live
Rss:                   4 kB
VmFlags: rd wr sh mr mw me
7f0000400000-7f0000401000 rw-p 00000000 00:00 0 
Rss:                   4 kB
Anonymous:             4 kB
VmFlags: rd wr mr mw me dd
200000000000-201000000000 rw-s 00000000 00:01 5                          /memfd:umbel-window (deleted)
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd wr sh mr mw me dd
201000010000-202000010000 rw-s 00000000 00:01 5                          /memfd:umbel-window (deleted)
Rss:                   0 kB
VmFlags: rd wr sh mr mw me dd
7ffe00000000-7ffe00001000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
VmFlags: rd ex mr mw me de
";

    #[test]
    fn the_kernel_tells_at_once_what_is_there_page_by_page() {
        let pagemap = File::open("/proc/self/pagemap").expect("it is ours");
        // Some pages of many: those of a vector whose begin, middle and end were written to.
        let mut bytes = vec![0_u8; 64 << 20];
        for at in [0, 30 << 20, (30 << 20) + 9000, (64 << 20) - 1] {
            bytes[at] = 1;
        }
        let begin = (bytes.as_ptr() as u64) & !(PAGE_BYTES - 1);
        let range = begin..begin + (64 << 20) + PAGE_BYTES;
        let one_by_one = each(&pagemap, range.clone(), true);
        assert!(one_by_one.len() >= 3, "{one_by_one:x?}");
        for with_swapped in [false, true] {
            // A kernel before 6.7 can't.
            if let Ok(at_once) = pages_there(&pagemap, range.clone(), with_swapped) {
                assert_eq!(at_once, one_by_one);
            }
        }
        drop(bytes);
    }

    #[test]
    fn what_is_stored_is_what_the_kernel_would_store() {
        let all = mappings(SMAPS);
        let of = |filter| {
            all.iter()
                .map(|one| stored(one, filter))
                .collect::<Vec<_>>()
        };
        use Stored::{All, FirstPage, Nothing};
        assert_eq!(
            of(FILTER_DEFAULT),
            [
                FirstPage, All, Nothing, All, Nothing, Nothing, All, Nothing, All
            ]
        );
        assert_eq!(
            of(0),
            [
                Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, All, Nothing, All
            ]
        );
        assert_eq!(
            of(0x7f),
            [All, All, Nothing, All, All, Nothing, All, Nothing, All]
        );
        assert_eq!(all[3].name, "/memfd:x y (deleted)");
        let with_files: Vec<bool> = all.iter().map(Mapping::has_file).collect();
        assert_eq!(with_files[..5], [true, true, false, false, true]);
        assert!(!with_files[6]);
    }
}
