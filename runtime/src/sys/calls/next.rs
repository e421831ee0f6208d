//! The next definition of a name after this library's: the C library's, or that of one in between.

use std::ffi::c_char;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ALL;
use crate::sys::process::set_errno;

/// A function that this library stands before.
pub struct Next {
    /// Its name, with a NUL at the end.
    name: &'static str,
    /// 0: nobody has looked yet.
    address: AtomicUsize,
}

impl Next {
    /// Where the address stands, for code in assembler; 0 there until it was looked up.
    pub const ADDRESS_OFFSET: usize = std::mem::offset_of!(Next, address);

    /// `name` ends with a NUL.
    pub const fn new(name: &'static str) -> Self {
        assert!(name.as_bytes()[name.len() - 1] == 0);
        Self {
            name,
            address: AtomicUsize::new(0),
        }
    }

    /// Address of the function. Never 0.
    #[inline(always)]
    pub fn get(&self) -> usize {
        // Relaxed: the function itself was there before the program began.
        match self.address.load(Ordering::Relaxed) {
            0 => self.find(),
            address => address,
        }
    }

    #[cold]
    #[inline(never)]
    fn find(&self) -> usize {
        let name = self.name.as_ptr().cast::<c_char>();
        // SAFETY: `new` has checked the NUL.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name) } as usize;
        let address = if found == 0 {
            missing as *const () as usize
        } else {
            found
        };
        self.address.store(address, Ordering::Relaxed);
        address
    }
}

/// Stands for what the C library of this machine does not have.
extern "C" fn missing() -> isize {
    set_errno(libc::ENOSYS);
    -1
}

/// Looks everything up when this library is loaded: a signal handler, or the child of a fork, must not call the
/// loader. What runs still earlier (constructors of libraries that do not use this one) looks up what it calls.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        for next in ALL.iter().copied().flatten() {
            next.get();
        }
    }
    at_load
};
