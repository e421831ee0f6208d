//! This process's page in the shared file: taking one, asking the recorder, and what a fork changes.

use core::ffi::CStr;
use core::sync::atomic::Ordering;
use core::time::Duration;

use umbel_trace_ring::journal::Origin;
use umbel_trace_ring::layout::{Clock, Mode, PageState, ProcessPage};
use umbel_trace_ring::pool::Owner;
use umbel_trace_ring::sys::{File, futex_wait, is_alive, is_quiet, monotonic_ns, pid};
use umbel_trace_ring::word::Code;
use umbel_trace_ring::{Error, Live, PROCESSES_MAX, Process, Result};

use crate::sys::global::{Gate, gate, live, page_addresses, set_process, thread};
use crate::sys::memory::{alias, block_signals, parent_pid, read_link, zero_page};
use crate::sys::start::Strings;
use crate::{journal, modules};

/// How long the recorder may take to answer, before the process goes on without.
const ANSWER_NS: u64 = 2_000_000_000;

/// How the process begins: by whom, and doing what.
pub struct Beginning {
    pub origin: Origin,
    pub mode: u32,
    /// The plan region that it begins with.
    pub region: u32,
}

/// Takes a page, or the one that this process had before exec.
pub fn enter(live: &Live, beginning: &mut Beginning) -> Result<()> {
    let pid = pid();
    let started = started();
    let before = (0..PROCESSES_MAX).find(|&index| {
        let page = live.page(index);
        page.state.load(Ordering::Acquire) == PageState::Taken as u32
            && page.pid.load(Ordering::Relaxed) == pid
            && page.started.load(Ordering::Relaxed) == started
    });
    let index = match before {
        Some(index) => {
            // The image before is gone, with all its threads.
            beginning.origin = Origin::Exec;
            live.page(index).serial.store(0, Ordering::Relaxed);
            Owner::retire_all_of(index as u16, live);
            index
        }
        None => (0..PROCESSES_MAX)
            .find(|&index| take(live.page(index)))
            .ok_or(Error::TooManyProcesses)?,
    };
    let page = live.page(index);
    page.pid.store(pid, Ordering::Relaxed);
    page.started.store(started, Ordering::Relaxed);
    page.mode.store(beginning.mode, Ordering::Relaxed);
    page.filter_count.store(0, Ordering::Relaxed);
    page.region.store(beginning.region, Ordering::Relaxed);
    page.lost.store(0, Ordering::Relaxed);
    // No order: any number that nobody else has.
    let serial = live.header().next_process.fetch_add(1, Ordering::Relaxed);
    let process = Process {
        serial,
        pid,
        page: index as u16,
    };
    set_process(&process);
    journal::begin(pid);
    let [process_page, header_page, _] = page_addresses();
    let base = live.mapping().base();
    let from = core::ptr::from_ref(page) as usize;
    if !alias(from, process_page) || !alias(base, header_page) {
        return Err(Error::System {
            operation: "map the process's page",
            errno: libc::ENOMEM,
        });
    }
    // Release: the recorder sees all the rest with it.
    page.serial.store(serial, Ordering::Release);
    Ok(())
}

fn take(page: &ProcessPage) -> bool {
    let (free, taken) = (PageState::Free as u32, PageState::Taken as u32);
    page.state
        .compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

/// Writes how the process began.
pub fn tell_process(live: &Live, origin: Origin, arguments: Option<Strings>) {
    let mut path = [0; 1024];
    let executable = read_link(c"/proc/self/exe", &mut path);
    journal::write(live, Code::Process, |payload| {
        payload
            .word(origin as u64)
            .word(u64::from(parent_pid()))
            .bytes(executable);
        let mut joined = [0u8; 1024];
        let mut used = 0;
        let strings = arguments.into_iter().flat_map(Strings::iter);
        let bytes = strings.flat_map(CStr::to_bytes_with_nul);
        for (place, &byte) in joined.iter_mut().zip(bytes) {
            *place = byte;
            used += 1;
        }
        payload.bytes(joined.get(..used.max(1) - 1).unwrap_or_default());
    });
}

/// Opens the gate that the session's clock wants.
pub fn open_gate(live: &Live) {
    let value = match live.header().clock.load(Ordering::Relaxed) {
        clock if clock == Clock::Tsc as u32 => Gate::Tsc,
        clock if clock == Clock::Coarse as u32 => Gate::Coarse,
        _ => Gate::Monotonic,
    };
    gate().store(value as u32, Ordering::Release);
}

/// Asks the recorder to look at what the journal says, and waits until it has: but not for a dead one, and not for ever.
pub fn ask(live: &Live) {
    if is_quiet() {
        return;
    }
    let page = live.page(usize::from(crate::sys::global::process().page));
    // Release: what is in the journal is seen with it.
    let question = page.asked.fetch_add(1, Ordering::Release) + 1;
    live.ring();
    let end = monotonic_ns() + ANSWER_NS;
    loop {
        let answered = page.answered.load(Ordering::Acquire);
        let recorder = live.header().recorder_pid.load(Ordering::Relaxed);
        if answered.wrapping_sub(question) as i32 >= 0
            || !is_alive(recorder)
            || monotonic_ns() > end
        {
            return;
        }
        futex_wait(&page.answered, answered, Duration::from_millis(50));
    }
}

/// A child of fork: another process, with one thread, and a chunk that isn't its own. Whether it is recorded now.
pub fn on_fork() -> bool {
    // Without system calls there is no page for it: a child of such a process is not recorded.
    let Some(live) = live().filter(|_| !is_quiet()) else {
        return false;
    };
    let parent = crate::sys::global::process();
    if parent.pid == pid() {
        // Nothing is the matter: the gate was opened in the meantime, or never.
        return gate().load(Ordering::Relaxed) != Gate::Closed as u32;
    }
    let _blocked = block_signals();
    gate().store(Gate::Closed as u32, Ordering::Relaxed);
    let parents = live.page(usize::from(parent.page));
    let mode = parents.mode.load(Ordering::Relaxed);
    let region = parents.region.load(Ordering::Relaxed);
    let own = thread();
    own.producer.forget();
    own.armed.store(0, Ordering::Relaxed);
    crate::beside::forget();
    let mut beginning = Beginning {
        origin: Origin::Fork,
        mode,
        region,
    };
    umbel_probe::chain::on_fork();
    own.producer.inside.store(1, Ordering::Relaxed);
    let entered = enter(live, &mut beginning).is_ok();
    if entered {
        open_gate(live);
        crate::values::look(live);
        tell_process(live, Origin::Fork, None);
        modules::tell_all(live);
        live.ring();
    } else {
        let [process_page, ..] = page_addresses();
        zero_page(process_page, false);
    }
    own.producer.inside.store(0, Ordering::Relaxed);
    entered
}

/// Off, for good: the hooks see a page of zeroes.
pub fn leave() {
    let [process_page, ..] = page_addresses();
    zero_page(process_page, false);
}

/// When this process began: field 22 of /proc/self/stat, in clock ticks since the machine did.
fn started() -> u64 {
    let mut bytes = [0; 1024];
    let count = File::open(c"/proc/self/stat", libc::O_RDONLY)
        .and_then(|file| file.read_at(&mut bytes, 0))
        .unwrap_or(0);
    let text = bytes.get(..count).unwrap_or_default();
    // The name may have spaces and parentheses in it: the last one ends it.
    let Some(name_end) = text.iter().rposition(|&byte| byte == b')') else {
        return 0;
    };
    let mut fields = text
        .get(name_end + 1..)
        .unwrap_or_default()
        .split(|&byte| byte == b' ');
    let field = fields.nth(20).unwrap_or_default();
    field
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |number, &digit| number * 10 + u64::from(digit - b'0'))
}

/// What the mode is before the recorder says another.
pub fn first_mode(live: &Live, environment: Strings) -> u32 {
    let is_off = environment
        .variable("UMBEL_TRACE")
        .is_some_and(|value| matches!(value.to_bytes(), b"off" | b"0"));
    if is_off {
        Mode::Off as u32
    } else {
        live.header().first_mode.load(Ordering::Relaxed)
    }
}
