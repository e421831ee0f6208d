//! Entry: stands before the C library's `__libc_start_main`, so that the runtime is up before `main` and
//! only node 0 enters it.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type StartMain = unsafe extern "C" fn(
    Main,
    c_int,
    *mut *mut c_char,
    Option<extern "C" fn()>,
    Option<extern "C" fn()>,
    Option<extern "C" fn()>,
    *mut c_void,
) -> c_int;

static PROGRAM_MAIN: OnceLock<Main> = OnceLock::new();

/// Called by the program's start code with its `main`.
///
/// # Safety
/// Called once, by crt1.o.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    argc: c_int,
    argv: *mut *mut c_char,
    init: Option<extern "C" fn()>,
    fini: Option<extern "C" fn()>,
    rtld_fini: Option<extern "C" fn()>,
    stack_end: *mut c_void,
) -> c_int {
    let _ = PROGRAM_MAIN.set(main);
    // SAFETY: looks a name up in the libraries after this one.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"__libc_start_main".as_ptr()) };
    assert!(!next.is_null(), "the C library has no __libc_start_main");
    // SAFETY: the C library's function of this name has this type.
    let next: StartMain = unsafe { std::mem::transmute(next) };
    // SAFETY: everything is passed on as crt1.o gave it, but for main.
    unsafe { next(enter, argc, argv, init, fini, rtld_fini, stack_end) }
}

extern "C" fn enter(argc: c_int, argv: *mut *mut c_char, envp: *mut *mut c_char) -> c_int {
    let main = PROGRAM_MAIN
        .get()
        .expect("set before the C library was entered");
    crate::node::run_main(|| main(argc, argv, envp))
}
