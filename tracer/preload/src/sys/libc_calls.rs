//! The C library's functions that are called from in here: at start dlsym (of what is there), pthread_key_create and what is
//! behind pthread_atfork; once per thread pthread_setspecific (no memory is allocated for the first 32 keys); in dlclose the
//! real one.

use core::arch::asm;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};

type Handler = Option<extern "C" fn()>;

// What pthread_atfork(3) calls: that one is only in the static part of glibc.
#[link(name = "c")]
unsafe extern "C" {
    fn __register_atfork(
        prepare: Handler,
        parent: Handler,
        child: Handler,
        library: *const c_void,
    ) -> c_int;
}

/// Where the program would have found `name` without us; 0 if nowhere. A name that may not be there is looked for otherwise: what
/// dlsym says then it keeps in the program's heap, and the program's own dlerror finds it.
pub fn next_function(name: &CStr) -> usize {
    // SAFETY: the name ends with 0.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    address as usize
}

/// Is the runtime of distributed programs among what the program is linked with?
pub fn is_runtime_there() -> bool {
    let address: usize;
    // SAFETY: it reads the place where the loader has put the function's address, or 0.
    unsafe {
        asm!(
            ".weak umbel_register",
            "mov {address}, qword ptr [rip + umbel_register@GOTPCREL]",
            address = out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address != 0
}

/// The context that goes on when what makecontext(3) is about to give to `context` has returned; 0: none.
pub fn successor(context: u64) -> u64 {
    let field = context as usize + core::mem::offset_of!(libc::ucontext_t, uc_link);
    // SAFETY: the program gives the context to makecontext, which reads the same field next.
    unsafe { (field as *const u64).read() }
}

/// 1 + the key whose destructor tells a thread's end; 0: none.
static KEY: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_thread_end(_: *mut c_void) {
    crate::slow::on_thread_end();
}

extern "C" fn on_fork_child() {
    crate::process::on_fork();
}

/// Has the ends of threads and forks told to us.
pub fn watch_threads_and_forks() {
    let mut key = 0;
    // SAFETY: `key` lives here; the destructor is a function of the right type in a library that is never unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(on_thread_end)) } == 0 {
        KEY.store(key + 1, Ordering::Relaxed);
    }
    // SAFETY: as above.
    let _ = unsafe { __register_atfork(None, None, Some(on_fork_child), core::ptr::null()) };
}

/// Has the end of the calling thread told to us.
pub fn watch_this_thread() {
    let Some(key) = KEY.load(Ordering::Relaxed).checked_sub(1) else {
        return;
    };
    // SAFETY: the key is ours; the value is never read, but for not being null.
    let _ = unsafe { libc::pthread_setspecific(key, (&raw const KEY).cast()) };
}

/// Calls the real dlclose.
///
/// # Safety
/// `real` is its address, and `handle` is what the program gave to it.
pub unsafe fn close(real: usize, handle: *mut c_void) -> c_int {
    // SAFETY: the caller's.
    let real: unsafe extern "C" fn(*mut c_void) -> c_int = unsafe { core::mem::transmute(real) };
    // SAFETY: as the program called us.
    unsafe { real(handle) }
}
