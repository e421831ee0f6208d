//! Reads of memory that comes and goes, in this process: what is learned on the way never changes what is answered.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;

use umbel_probe::kernel::{PIECES_MAX, Piece};
use umbel_probe::{Batch, Learned, Reads, Unread, chain};

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

fn piece(from: u64, bytes: usize) -> Piece {
    Piece {
        address: from as usize,
        bytes,
    }
}

/// What a batch has of a range.
fn had(batch: &Batch, from: u64, bytes: usize) -> Option<Result<Vec<u8>, Unread>> {
    let mut to = vec![0; bytes];
    // SAFETY: `to` has room.
    let read = unsafe { batch.copy(from, to.as_mut_ptr(), bytes) }?;
    Some(read.map(|()| to))
}

/// In all ways that pages may be there or not: the kernel's call ends at each piece that isn't.
#[test]
fn what_is_read_together_is_what_is_read_one_by_one() {
    const COUNT: usize = 8;
    let pages = Pages::new(COUNT);
    let batch = Batch::new();
    for pattern in 0..1 << COUNT {
        let is_there = |page: usize| pattern >> page & 1 != 0;
        for page in 0..COUNT {
            pages.set(page, is_there(page).then_some(page as u8 + 1));
        }
        let pieces: Vec<Piece> = (0..COUNT)
            .map(|page| piece(pages.at(page, 8 * page + 3), 5 + 9 * page))
            .collect();
        let bad = (0..COUNT).filter(|&page| !is_there(page)).count();
        // One call, and one behind each that is bad but the last.
        let calls = 1 + bad - usize::from(!is_there(COUNT - 1));
        assert_eq!(batch.fill(&pieces), calls, "{pattern:b}");
        for (page, piece) in pieces.iter().enumerate() {
            let expected = match is_there(page) {
                true => Ok(vec![page as u8 + 1; piece.bytes]),
                false => Err(INVALID),
            };
            let whole = had(&batch, piece.address as u64, piece.bytes);
            assert_eq!(whole, Some(expected.clone()), "{pattern:b} {page}");
            let inner = had(&batch, piece.address as u64 + 1, 4);
            let part = expected.ok().map(|bytes| Ok(bytes[1..5].to_vec()));
            assert_eq!(inner, part, "a part of what is bad may be there");
            assert_eq!(had(&batch, piece.address as u64 + 1, piece.bytes), None);
        }
    }
}

#[test]
fn a_piece_of_which_only_the_beginning_is_there_is_bad_and_the_next_is_read() {
    let pages = Pages::new(3);
    pages.set(0, Some(1));
    pages.set(2, Some(3));
    let batch = Batch::new();
    let (first, second) = (piece(pages.at(0, 4000), 200), piece(pages.at(2, 0), 16));
    assert_eq!(batch.fill(&[second, first, second]), 2);
    assert_eq!(had(&batch, pages.at(0, 4000), 200), Some(Err(INVALID)));
    assert_eq!(had(&batch, pages.at(2, 0), 16), Some(Ok(vec![3; 16])));
    assert_eq!(batch.fill(&[]), 0);
    assert_eq!(had(&batch, pages.at(2, 0), 16), None);
}

#[test]
fn of_several_pieces_in_a_page_that_is_not_there_one_is_tried() {
    let pages = Pages::new(2);
    pages.set(1, Some(2));
    let batch = Batch::new();
    let mut pieces = [0, 64, 128]
        .map(|offset| piece(pages.at(0, offset), 16))
        .to_vec();
    // Half of it is there.
    pieces.push(piece(pages.at(0, PAGE - 8), 16));
    pieces.push(piece(pages.at(1, 0), 16));
    assert_eq!(batch.fill(&pieces), 2);
    for bad in &pieces[..4] {
        assert_eq!(
            had(&batch, bad.address as u64, bad.bytes),
            Some(Err(INVALID))
        );
    }
    assert_eq!(had(&batch, pages.at(1, 0), 16), Some(Ok(vec![2; 16])));
}

#[test]
fn pieces_for_which_there_is_no_room_are_left_out() {
    let pages = Pages::new(4);
    for page in 0..4 {
        pages.set(page, Some(page as u8 + 1));
    }
    let batch = Batch::new();
    let large = [0, 1, 2].map(|page| piece(pages.at(page, 0), PAGE));
    assert_eq!(batch.fill(&large), 1);
    assert_eq!(had(&batch, pages.at(1, 0), PAGE), Some(Ok(vec![2; PAGE])));
    assert_eq!(had(&batch, pages.at(2, 0), PAGE), None);
    let many: Vec<Piece> = (0..PIECES_MAX as u64 + 3)
        .map(|number| piece(pages.at(3, 8 * number as usize), 8))
        .collect();
    assert_eq!(batch.fill(&many), 1);
    let last = 8 * (PIECES_MAX - 1);
    assert_eq!(had(&batch, pages.at(3, last), 8), Some(Ok(vec![4; 8])));
    assert_eq!(had(&batch, pages.at(3, last + 8), 8), None);
}
