//! The tracer's library, if `umbel run --trace` (or `umbel trace`) preloaded it into this process.

use std::sync::OnceLock;

/// `void umbel_trace_emit(uint32_t code, const uint64_t *payload, size_t words)`
type Emit = unsafe extern "C" fn(u32, *const u64, usize);

static EMIT: OnceLock<Emit> = OnceLock::new();

/// `void umbel_trace_emit_beside(uint32_t tid, uint64_t at_ns, uint32_t code, const uint64_t *payload, size_t words)`
type EmitBeside = unsafe extern "C" fn(u32, u64, u32, *const u64, usize);

static EMIT_BESIDE: OnceLock<EmitBeside> = OnceLock::new();

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
    // SAFETY: as above.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"umbel_trace_emit_beside".as_ptr()) };
    if !found.is_null() {
        // SAFETY: as above.
        let emit: EmitBeside = unsafe { std::mem::transmute(found) };
        let _ = EMIT_BESIDE.set(emit);
    }
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

/// Puts the begin or end of a span, which was at `at_ns`, beside the calls of the thread `tid`.
pub fn emit_beside(tid: u32, at_ns: u64, code: u16, payload: &[u64]) {
    if let Some(emit) = EMIT_BESIDE.get() {
        // SAFETY: the words are readable during the call.
        unsafe { emit(tid, at_ns, code.into(), payload.as_ptr(), payload.len()) };
    }
}
