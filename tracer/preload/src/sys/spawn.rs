//! A process that the program never sees.

use core::ffi::{CStr, c_char};

use umbel_trace_ring::sys::call;

use super::start::Strings;

/// Runs `path` as a grandchild in a session of its own: the child in between is gone when this returns, and no signal told of
/// it. `arguments` and `environment` end with null.
pub fn spawn(path: &CStr, arguments: &[*const c_char], environment: *const *const c_char) -> bool {
    debug_assert!(arguments.last().is_some_and(|last| last.is_null()));
    // No signal at its end.
    let Ok(child) = fork() else { return false };
    if child == 0 {
        let grandchild = fork();
        if grandchild == Ok(0) {
            // SAFETY: touches no memory.
            let _ = unsafe { call(libc::SYS_setsid, [0; 6]) };
            let arguments = [
                path.as_ptr() as usize,
                arguments.as_ptr() as usize,
                environment as usize,
                0,
                0,
                0,
            ];
            // SAFETY: strings and arrays that end with 0.
            let _ = unsafe { call(libc::SYS_execve, arguments) };
        }
        let status = if matches!(grandchild, Ok(pid) if pid > 0) {
            0
        } else {
            127
        };
        loop {
            // SAFETY: this is the child's end.
            let _ = unsafe { call(libc::SYS_exit_group, [status, 0, 0, 0, 0, 0]) };
        }
    }
    let mut status = 0i32;
    loop {
        let arguments = [
            child,
            &raw mut status as usize,
            libc::__WALL as usize,
            0,
            0,
            0,
        ];
        // SAFETY: the kernel writes into `status`.
        match unsafe { call(libc::SYS_wait4, arguments) } {
            Err(libc::EINTR) => {}
            Err(_) => return true,
            Ok(_) => return status == 0,
        }
    }
}

/// fork(2) without handlers, and without a signal when the child ends.
fn fork() -> Result<usize, i32> {
    // SAFETY: a copy of everything, for the child to go on with: it has this thread alone, and does nothing but system calls.
    unsafe { call(libc::SYS_clone, [0; 6]) }
}

/// May `path` be run?
pub fn is_program(path: &CStr) -> bool {
    let arguments = [
        libc::AT_FDCWD as usize,
        path.as_ptr() as usize,
        libc::X_OK as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the path ends with 0.
    unsafe { call(libc::SYS_faccessat, arguments) }.is_ok()
}

/// Variables that the recorder gets at most.
const VARIABLES_MAX: usize = 4096;

/// An environment that ends with null.
pub struct Environment([*const c_char; VARIABLES_MAX]);

impl Environment {
    /// For the kernel.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.0.as_ptr()
    }
}

/// The program's environment without what would trace the recorder itself.
pub fn environment_without_preload(environment: Strings) -> Environment {
    let mut kept = Environment([core::ptr::null(); VARIABLES_MAX]);
    let variables = environment.iter().filter(|text| {
        let text = text.to_bytes();
        !text.starts_with(b"LD_PRELOAD=") && !text.starts_with(b"LD_AUDIT=")
    });
    // The last place stays null.
    for (place, variable) in kept.0.iter_mut().take(VARIABLES_MAX - 1).zip(variables) {
        *place = variable.as_ptr();
    }
    kept
}

/// The path of this library, as the loader found it.
pub fn own_path() -> Option<&'static CStr> {
    let mut info = core::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = (own_path as fn() -> Option<&'static CStr>) as *const core::ffi::c_void;
    // SAFETY: `info` is the loader's to fill; zeroes are one.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: zeroes, or filled.
    let name = unsafe { info.assume_init() }.dli_fname;
    if found == 0 || name.is_null() {
        return None;
    }
    // SAFETY: the loader's string, for as long as the library is there: for ever.
    Some(unsafe { CStr::from_ptr(name) })
}
