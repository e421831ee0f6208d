//! What others in the process add among the calls: the runtime of a distributed program, or the program itself.

use core::slice;

use crate::slow::emit;

/// Words of payload at most; what is more is left out.
pub const PAYLOAD_WORDS_MAX: usize = 63;

/// Adds a special word (`umbel_trace_ring::word::Code`) with the time and `words` words of payload to the calling thread's
/// record. Any thread may, signal handlers too; nothing happens while tracing is off. Found by
/// dlsym(RTLD_DEFAULT, "umbel_trace_emit").
///
/// # Safety
/// `payload` points to `words` words, or `words` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn umbel_trace_emit(code: u32, payload: *const u64, words: usize) {
    let payload = match words {
        0 => &[],
        // SAFETY: the caller's.
        _ => unsafe { slice::from_raw_parts(payload, words.min(PAYLOAD_WORDS_MAX)) },
    };
    emit(code, payload);
}

/// Adds the begin or end of a span to a row beside the calls of the thread `tid` of this process: what another thread notices of it. `at_ns`
/// is when, by CLOCK_MONOTONIC; of one thread the calls come in the order of time. Found as `umbel_trace_emit` is.
///
/// # Safety
/// `payload` points to `words` words, or `words` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn umbel_trace_emit_beside(
    tid: u32,
    at_ns: u64,
    code: u32,
    payload: *const u64,
    words: usize,
) {
    let payload = match words {
        0 => &[],
        // SAFETY: the caller's.
        _ => unsafe { slice::from_raw_parts(payload, words.min(PAYLOAD_WORDS_MAX)) },
    };
    crate::beside::emit(tid, at_ns, code as u16, payload);
}
