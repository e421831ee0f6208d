//! Reads of memory that comes and goes, in this process: what is learned on the way never changes what is answered.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;

use umbel_probe::{Learned, Reads, Unread, chain};

const PAGE: usize = 4096;

unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel's.
    if !unsafe { chain::is_ours(info, context) } {
        // SAFETY: the kernel's.
        unsafe { chain::pass_on(signal, info, context) };
    }
}

fn guard() {
    assert!(chain::install(on_fault) && chain::can_take());
}

/// Pages of this test's own, at an address that is kept.
struct Pages {
    begin: usize,
    count: usize,
}

impl Pages {
    fn new(count: usize) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, where the kernel likes.
        let begin =
            unsafe { libc::mmap(ptr::null_mut(), count * PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(begin, libc::MAP_FAILED);
        let begin = begin as usize;
        Self { begin, count }
    }

    fn at(&self, page: usize, offset: usize) -> u64 {
        (self.begin + page * PAGE + offset) as u64
    }

    /// The page is there, with these bytes, or it isn't.
    fn set(&self, page: usize, byte: Option<u8>) {
        assert!(page < self.count);
        let at = self.at(page, 0) as *mut libc::c_void;
        let rights = match byte {
            Some(_) => libc::PROT_READ | libc::PROT_WRITE,
            None => libc::PROT_NONE,
        };
        // SAFETY: a page of ours, to which there are no references.
        assert_eq!(unsafe { libc::mprotect(at, PAGE, rights) }, 0);
        if let Some(byte) = byte {
            // SAFETY: it may be written now.
            unsafe { ptr::write_bytes(at.cast::<u8>(), byte, PAGE) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody refers to it.
        unsafe { libc::munmap(self.begin as *mut libc::c_void, self.count * PAGE) };
    }
}

fn load(reads: &Reads<'_>, from: u64) -> Result<u64, Unread> {
    // SAFETY: `guard` was called.
    unsafe { reads.load(from) }
}

fn copy(reads: &Reads<'_>, from: u64, bytes: usize) -> Result<Vec<u8>, Unread> {
    let mut to = vec![0; bytes];
    // SAFETY: `guard` was called; `to` has room.
    unsafe { reads.copy(from, to.as_mut_ptr(), bytes) }?;
    Ok(to)
}

const INVALID: Unread = Unread::Invalid;

#[test]
fn a_page_that_comes_and_goes_is_read_while_it_is_there() {
    guard();
    let learned = Learned::new();
    let pages = Pages::new(1);
    for round in 0..200u8 {
        pages.set(0, None);
        assert_eq!(
            load(&Reads::new(Some(&learned)), pages.at(0, 8)),
            Err(INVALID)
        );
        pages.set(0, Some(round));
        let word = u64::from_ne_bytes([round; 8]);
        assert_eq!(load(&Reads::new(Some(&learned)), pages.at(0, 8)), Ok(word));
    }
}

#[test]
fn what_an_event_knows_to_be_bad_the_next_one_asks_for_again() {
    guard();
    let learned = Learned::new();
    let pages = Pages::new(1);
    let event = Reads::new(Some(&learned));
    assert_eq!(load(&event, pages.at(0, 0)), Err(INVALID));
    assert!(event.is_known_bad(pages.at(0, 4095)));
    pages.set(0, Some(1));
    assert_eq!(load(&event, pages.at(0, 0)), Err(INVALID));
    assert!(load(&Reads::new(Some(&learned)), pages.at(0, 0)).is_ok());
}

/// In all ways that pages may be there or not, with and without what was learned before.
#[test]
fn a_copy_over_pages_succeeds_if_all_are_there() {
    guard();
    const COUNT: usize = 6;
    let pages = Pages::new(COUNT);
    let learned = Learned::new();
    for pattern in (0..1 << COUNT).chain((0..1 << COUNT).rev()) {
        for page in 0..COUNT {
            let is_there = pattern >> page & 1 != 0;
            pages.set(page, is_there.then_some(page as u8 + 1));
        }
        for first in 0..COUNT {
            for last in first..COUNT {
                // From the last 3 bytes of one page to the first 5 of another, or within one.
                let (from, bytes) = match last - first {
                    0 => (pages.at(first, 7), 64),
                    between => (pages.at(first, PAGE - 3), 8 + (between - 1) * PAGE),
                };
                let are_there = (first..=last).all(|page| pattern >> page & 1 != 0);
                for known in [Some(&learned), None] {
                    let copied = copy(&Reads::new(known), from, bytes);
                    assert_eq!(copied.is_ok(), are_there, "{pattern:b} {first}..={last}");
                    let ends = copied.map(|to| (to[0], to[bytes - 1]));
                    assert!(ends.is_err() || ends == Ok((first as u8 + 1, last as u8 + 1)));
                }
            }
        }
    }
}

#[test]
fn behind_the_end_of_a_file_there_is_nothing() {
    guard();
    let learned = Learned::new();
    // SAFETY: a name that ends with 0.
    let number = unsafe { libc::memfd_create(c"umbel-probe-test".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(number >= 0);
    // SAFETY: a new descriptor, nobody else's.
    let file: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(number) };
    file.set_len(100).unwrap();
    // SAFETY: new memory, where the kernel likes.
    let begin = unsafe {
        let rights = libc::PROT_READ;
        let number = file.as_raw_fd();
        libc::mmap(
            ptr::null_mut(),
            2 * PAGE,
            rights,
            libc::MAP_SHARED,
            number,
            0,
        )
    };
    assert_ne!(begin, libc::MAP_FAILED);
    let begin = begin as u64;
    for _ in 0..3 {
        let event = Reads::new(Some(&learned));
        assert_eq!(load(&event, begin), Ok(0));
        assert_eq!(load(&event, begin + PAGE as u64), Err(INVALID));
        assert_eq!(copy(&event, begin + PAGE as u64 - 4, 8), Err(INVALID));
    }
    // SAFETY: mapped above, and nobody refers to it.
    unsafe { libc::munmap(begin as *mut libc::c_void, 2 * PAGE) };
}

/// Whoever forbids himself the call is read for as ever.
#[test]
fn where_the_kernel_may_not_be_asked_faults_tell() {
    guard();
    let pages = Pages::new(2);
    pages.set(0, Some(9));
    let event = Reads::new(None);
    assert_eq!(load(&event, pages.at(1, 0)), Err(INVALID));
    assert!(load(&event, pages.at(0, 0)).is_ok());
    assert_eq!(copy(&event, pages.at(0, PAGE - 4), 8), Err(INVALID));
}
