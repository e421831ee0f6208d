//! From the environment to a session.
//!
//! | variable | meaning |
//! |---|---|
//! | `UMBEL_TRACE_LIVE` | the shared file of a recorder that runs |
//! | `UMBEL_TRACE_OUTPUT` | else: the recording to be made; its recorder is started if none makes it yet |
//! | `UMBEL_TRACE=off` | nothing is recorded until the recorder says so |
//!
//! Without the first two this library does nothing at all. Whatever goes wrong is told in one line, and the program runs untraced.

use core::sync::atomic::Ordering;

use umbel_trace_ring::journal::Origin;
use umbel_trace_ring::sys::{File, is_alive};
use umbel_trace_ring::{Live, Result};

use crate::message::tell;
use crate::process::{Beginning, enter, first_mode, leave, open_gate, tell_process};
use crate::sys::global::{FILTER_BASE, page_addresses, set_live, thread};
use crate::sys::libc_calls::watch_threads_and_forks;
use crate::sys::memory::zero_page;
use crate::sys::start::{Strings, set_live_path};
use crate::{interposed, launch, modules, values};

/// Begins the session, if there is one for this program.
pub fn start(arguments: Strings, environment: Strings) {
    // Also without a session: the program's calls of these functions go through here all the same.
    interposed::find_all();
    crate::sys::vdso::find();
    let Some(live) = session(environment) else {
        return;
    };
    watch_threads_and_forks();
    let live = set_live(live);
    if let Err(error) = begin(live, arguments, environment) {
        leave();
        tell(format_args!("{error}; nothing is recorded"));
    }
}

fn session(environment: Strings) -> Option<Live> {
    let Some(path) = environment.variable("UMBEL_TRACE_LIVE") else {
        let output = environment.variable("UMBEL_TRACE_OUTPUT")?;
        return launch::session(output, environment);
    };
    match Live::open_for_tracing(path) {
        Ok(live) => {
            map_filters(path);
            Some(live)
        }
        Err(error) => {
            tell(format_args!(
                "UMBEL_TRACE_LIVE: {error}; nothing is recorded"
            ));
            None
        }
    }
}

/// Remembers `path`, and maps where bitmaps will be, if any; without them everything is recorded, and the recorder drops what it doesn't want.
pub fn map_filters(path: &core::ffi::CStr) {
    let mapped = File::open(path, libc::O_RDONLY)
        .and_then(|file| umbel_trace_ring::sys::Mapping::map_filters(&file));
    FILTER_BASE.store(mapped.unwrap_or(0) as u64, Ordering::Relaxed);
    set_live_path(path);
}

/// Is somebody there who empties the chunks?
pub fn has_recorder(live: &Live) -> bool {
    is_alive(live.header().recorder_pid.load(Ordering::Relaxed))
}

fn begin(live: &'static Live, arguments: Strings, environment: Strings) -> Result<()> {
    let [.., gate_page] = page_addresses();
    zero_page(gate_page, true);
    let mut beginning = Beginning {
        origin: Origin::Start,
        mode: first_mode(live, environment),
        region: 0,
    };
    // Calls of ours that end in the program's own functions are not the program's.
    let inside = &thread().producer.inside;
    inside.store(1, Ordering::Relaxed);
    enter(live, &mut beginning)?;
    open_gate(live);
    tell_process(live, beginning.origin, Some(arguments));
    modules::look(live);
    values::look(live);
    inside.store(0, Ordering::Relaxed);
    Ok(())
}
