//! The tracer's library, if `umbel run --trace` (or `umbel trace`) preloaded it into this process.

use std::sync::OnceLock;

/// `void umbel_trace_emit(uint32_t code, const uint64_t *payload, size_t words)`
type Emit = unsafe extern "C" fn(u32, *const u64, usize);

static EMIT: OnceLock<Emit> = OnceLock::new();

/// Looks for it.
pub fn find() {
    // SAFETY: looks a name up in all libraries of the process.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"umbel_trace_emit".as_ptr()) };
    if found.is_null() {
        return;
    }
    // SAFETY: libumbel_trace.so, the only library that has this name, gives it this type.
    let emit: Emit = unsafe { std::mem::transmute(found) };
    let _ = EMIT.set(emit);
}

/// Whether it is there.
#[inline]
pub fn is_there() -> bool {
    EMIT.get().is_some()
}

/// Puts something among the calling thread's calls.
pub fn emit(code: u16, payload: &[u64]) {
    if let Some(emit) = EMIT.get() {
        // SAFETY: the words are readable during the call.
        unsafe { emit(code.into(), payload.as_ptr(), payload.len()) };
    }
}
