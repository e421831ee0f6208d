//! Starts a recorder, for programs that were started by environment variables alone.

use core::ffi::{CStr, c_char};

use umbel_trace_ring::{Live, Result};

use crate::message::tell;
use crate::sys::memory::sleep_ms;
use crate::sys::spawn::{environment_without_preload, is_program, own_path, spawn};
use crate::sys::start::Strings;

/// Rounds of 2 ms that the recorder may take to make the shared file.
const ROUNDS_MAX: u32 = 1500;

/// Bytes of a path at most.
const PATH_BYTES: usize = 4096;

/// A path with the 0 at its end.
struct Path {
    bytes: [u8; PATH_BYTES],
    used: usize,
}

impl Path {
    fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut path = Self {
            bytes: [0; PATH_BYTES],
            used: 0,
        };
        for part in parts {
            let place = path.bytes.get_mut(path.used..path.used + part.len())?;
            place.copy_from_slice(part);
            path.used += part.len();
        }
        (path.used < PATH_BYTES).then_some(path)
    }

    fn string(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// The session of the recording `output`: the one that is being made, or a new one.
pub fn session(output: &CStr, environment: Strings) -> Option<Live> {
    let live_path = Path::new(&[output.to_bytes(), b".live"])?;
    if let Some(live) = running(live_path.string()) {
        return Some(live);
    }
    let Some(recorder) = recorder(environment) else {
        tell(format_args!(
            "there is no `umbel` beside libumbel_trace.so: set UMBEL_TRACE_RECORDER to its path; nothing is recorded"
        ));
        return None;
    };
    let arguments: [*const c_char; 6] = [
        c"umbel".as_ptr(),
        c"trace".as_ptr(),
        c"serve".as_ptr(),
        c"--live".as_ptr(),
        live_path.string().as_ptr(),
        core::ptr::null(),
    ];
    let kept = environment_without_preload(environment);
    if !spawn(recorder.string(), &arguments, kept.as_ptr()) {
        tell(format_args!(
            "cannot start the recorder; nothing is recorded"
        ));
        return None;
    }
    for _ in 0..ROUNDS_MAX {
        if let Some(live) = running(live_path.string()) {
            return Some(live);
        }
        sleep_ms(2);
    }
    tell(format_args!(
        "the recorder made no shared file; nothing is recorded"
    ));
    None
}

/// The session at `path`, if its recorder lives.
fn running(path: &CStr) -> Option<Live> {
    let live: Result<Live> = Live::open_for_tracing(path);
    let live = live.ok().filter(crate::start::has_recorder)?;
    crate::start::map_filters(path);
    Some(live)
}

/// The command `umbel`: named, or ../../bin/umbel from this library.
fn recorder(environment: Strings) -> Option<Path> {
    if let Some(named) = environment.variable("UMBEL_TRACE_RECORDER") {
        return Path::new(&[named.to_bytes()]).filter(|path| is_program(path.string()));
    }
    let library = own_path()?.to_bytes();
    let mut folder = library;
    for _ in 0..3 {
        let end = folder.iter().rposition(|&byte| byte == b'/')?;
        folder = folder.get(..end)?;
    }
    Path::new(&[folder, b"/bin/umbel"]).filter(|path| is_program(path.string()))
}
