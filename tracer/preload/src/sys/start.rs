//! The constructor: what the loader calls before everything else.

use core::ffi::{CStr, c_char, c_int};

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

/// The loader gives the program's arguments to constructors.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = construct;
