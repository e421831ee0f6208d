//! The constructor: what the loader calls before everything else.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Arguments and environment of the program.
#[derive(Clone, Copy)]
pub struct Strings {
    first: *const *const c_char,
}

impl Strings {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'static CStr> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: the array ends with a null pointer, and we stop there.
            let string = unsafe { *next };
            if string.is_null() {
                return None;
            }
            // SAFETY: not at the end yet.
            next = unsafe { next.add(1) };
            // SAFETY: a string of the kernel's, on the program's first stack, for its whole life.
            Some(unsafe { CStr::from_ptr(string) })
        })
    }

    /// The value of a variable.
    pub fn variable(self, name: &str) -> Option<&'static CStr> {
        self.iter().find_map(|string| {
            let value = string
                .to_bytes_with_nul()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")?;
            CStr::from_bytes_with_nul(value).ok()
        })
    }
}

extern "C" fn construct(
    _: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) {
    crate::start::start(Strings { first: arguments }, Strings { first: environment });
}

/// Bytes of a path at most.
const PATH_BYTES: usize = 4096;

struct LivePath(UnsafeCell<[u8; PATH_BYTES]>);

// SAFETY: written once, by the constructor, before `LIVE_PATH_BYTES` says so.
unsafe impl Sync for LivePath {}

static LIVE_PATH: LivePath = LivePath(UnsafeCell::new([0; PATH_BYTES]));
static LIVE_PATH_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Where the session's file is, for mapping more of it later.
pub fn live_path() -> Option<&'static CStr> {
    let bytes = LIVE_PATH_BYTES.load(Ordering::Acquire);
    // SAFETY: never changed again.
    let path = unsafe { &*LIVE_PATH.0.get() };
    CStr::from_bytes_with_nul(path.get(..bytes)?).ok()
}

/// Remembers where the session's file is: once, by the constructor.
pub fn set_live_path(path: &CStr) {
    // SAFETY: nobody else looks at it yet.
    let place = unsafe { &mut *LIVE_PATH.0.get() };
    let path = path.to_bytes_with_nul();
    if let Some(place) = place.get_mut(..path.len()) {
        place.copy_from_slice(path);
        LIVE_PATH_BYTES.store(path.len(), Ordering::Release);
    }
}

/// The loader gives the program's arguments to constructors.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = construct;
