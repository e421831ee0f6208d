//! SIGSEGV and SIGBUS: the window's faults, and the program's own. (And SIGTRAP, by which an access on the engine view
//! ends: see `redirect.rs`.)
//!
//! The kernel has our handler for them; what the program sets for them is kept here. A signal is offered to, in
//! this order:
//!
//! 1. the fault driver, if the address is in the window and the backend has faults reported by this signal;
//! 2. the hook, with `forked`, if the address is in the window and this process was forked from a node: its views
//!    aren't there;
//! 3. the hook: what the runtime knows of other addresses (freed heap objects of a program alone);
//! 4. the program's action, run as the kernel would run it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::PAGE_BYTES;
use crate::decode;
use crate::error::Error;
use crate::redirect;
use crate::sys::context;
use crate::sys::pool::Pool;
use crate::sys::posts::{Need, Needs};
use crate::sys::signal::{self, Birthmark, Delivery, Published};
use crate::sys::steps::Step;
use crate::sys::windows::{self, Reports, Window};

pub use crate::sys::posts::Waiter;

/// An access that raised a signal and isn't a fault of the window that somebody serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The byte accessed, or one of them.
    pub address: usize,
    /// Whether it was a store.
    pub write: bool,
    /// The address is in the window, and this process was forked from a node.
    pub forked: bool,
}

/// What the program set for a signal.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) handler: usize,
    pub(crate) flags: i32,
    pub(crate) mask: u64,
}

const DEFAULT: Program = Program {
    handler: libc::SIG_DFL,
    flags: 0,
    mask: 0,
};

static SEGV: Published<Program> = Published::new(DEFAULT);
static BUS: Published<Program> = Published::new(DEFAULT);
static TRAP: Published<Program> = Published::new(DEFAULT);
static KEEPS_TRAP: AtomicBool = AtomicBool::new(false);
static INSTALLED: AtomicBool = AtomicBool::new(false);
static HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SERVER: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static BIRTHMARK: Birthmark = Birthmark::new();

/// Makes our handler the kernel's action for SIGSEGV and SIGBUS; what was there is the program's action from now
/// on. Once; later calls do nothing.
pub fn install() -> Result<(), Error> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = LOCK
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if INSTALLED.load(Ordering::Acquire) {
        return Ok(());
    }
    BIRTHMARK.set().map_err(taking_over)?;
    take_over(libc::SIGSEGV)?;
    take_over(libc::SIGBUS)?;
    // Release: pairs with the load in `program_action`; what the kernel had is ours now.
    INSTALLED.store(true, Ordering::Release);
    Ok(())
}

fn take_over(number: i32) -> Result<(), Error> {
    let old = signal::take_over(number).map_err(taking_over)?;
    replace(of(number).expect("it is one of ours"), &old);
    Ok(())
}

fn taking_over(source: io::Error) -> Error {
    Error::system(
        "take over the signals of faults",
        source,
        "this kernel is too old",
    )
}

/// Whether the program's action for a signal is kept here, and not in the kernel: SIGSEGV and SIGBUS after [`install`],
/// and SIGTRAP where signals report the window's faults.
pub fn keeps(number: i32) -> bool {
    match number {
        libc::SIGSEGV | libc::SIGBUS => is_installed(),
        // Acquire: pairs with the store in `warm_up`.
        libc::SIGTRAP => KEEPS_TRAP.load(Ordering::Acquire),
        _ => false,
    }
}

/// Whether [`install`] was called.
pub fn is_installed() -> bool {
    INSTALLED.load(Ordering::Acquire)
}

/// Sets the program's action for a signal that is [kept](keeps) here, or only asks for it; the one before. As
/// sigaction(2), it may be called in a signal handler. Any other signal is a fault of the caller.
pub fn program_action(number: i32, new: Option<&libc::sigaction>) -> libc::sigaction {
    let published = of(number).expect("no other signals are kept here");
    let old = match new {
        None => published.get(),
        Some(new) => replace(published, new),
    };
    let mut action = signal::default_action();
    action.sa_sigaction = old.handler;
    action.sa_flags = old.flags;
    signal::set_mask_of(&mut action, old.mask);
    action
}

/// Sets who looks at accesses before the program's action does. It ends the process, or returns.
/// It runs in a signal handler of the thread that made the access.
pub fn set_hook(hook: fn(&Access)) {
    // Release: pairs with the load in `deliver`.
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Sets who may serve the fault of a thread in that thread: by [`Space::take_faults`](crate::Space::take_faults), which then
/// finds it, and what follows. It tells whether it has; else the descriptor of faults becomes readable.
///
/// It runs in a signal handler, on the thread's ordinary stack. What it interrupted is the ordinary code of the program, or
/// of this process, at an access of the window: it may do whatever such code may do there.
pub fn set_server(server: fn(&Waiter<'_>) -> bool) {
    // Release: pairs with the load in `serve`.
    SERVER.store(server as *mut (), Ordering::Release);
}

fn of(number: i32) -> Option<&'static Published<Program>> {
    match number {
        libc::SIGSEGV => Some(&SEGV),
        libc::SIGBUS => Some(&BUS),
        libc::SIGTRAP => Some(&TRAP),
        _ => None,
    }
}

fn replace(published: &Published<Program>, new: &libc::sigaction) -> Program {
    let new = Program {
        handler: new.sa_sigaction,
        flags: new.sa_flags,
        mask: signal::mask_of(new),
    };
    // A handler that reads it while this thread changes it would wait for ever.
    signal::with_signals_blocked(|| published.update(|_| new))
}

/// Whether this process was forked from a node, and so has none of its views. A child of vfork(2) wasn't: it runs
/// in our memory, and its faults are served as a thread's are. `false` before [`install`].
pub fn is_forked() -> bool {
    BIRTHMARK.is_forked()
}

/// A signal came.
pub(crate) fn deliver(delivery: &Delivery) {
    if delivery.signal != libc::SIGTRAP
        && let Some(address) = delivery.address()
    {
        let window = windows::find(address);
        let forked = window.is_some() && is_forked();
        // In a forked process the list of posts is a copy that nobody reads.
        if let Some(window) = window
            && let Some(reports) = &window.reports
            && !forked
            && delivery.signal == reports.signal
            // Nothing of the window can be run, whatever the rights.
            && !delivery.is_fetch()
        {
            serve(delivery, window, reports, address);
            return;
        }
        call_hook(&Access {
            address,
            write: delivery.is_write(),
            forked,
        });
    }
    let Some(published) = of(delivery.signal) else {
        return;
    };
    let program = published.get();
    if program.flags & libc::SA_RESETHAND != 0 && program.handler != libc::SIG_IGN {
        signal::with_signals_blocked(|| {
            published.update(|_| Program {
                handler: libc::SIG_DFL,
                ..program
            })
        });
    }
    delivery.run(&program);
}

fn call_hook(access: &Access) {
    // Acquire: pairs with the store in `set_hook`.
    let hook = HOOK.load(Ordering::Acquire);
    if !hook.is_null() {
        signal::call_hook(hook, access);
    }
}

fn call_server(waiter: &Waiter<'_>) -> bool {
    // Acquire: pairs with the store in `set_server`.
    let server = SERVER.load(Ordering::Acquire);
    !server.is_null() && signal::call_server(server, waiter)
}

/// Gets ready what handlers need to understand instructions.
pub(crate) fn warm_up() -> Result<(), Error> {
    static IS_WARM: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
    let lock = IS_WARM.lock();
    let mut is_warm = lock.unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*is_warm {
        context::learn_layout();
        WORKSPACES.fill(decode::warm_up);
        take_over(libc::SIGTRAP)?;
        // Release: pairs with the load in `keeps`.
        KEEPS_TRAP.store(true, Ordering::Release);
        *is_warm = true;
    }
    Ok(())
}

/// Has the fault served. Apart from `deliver`, for its frame: the others must do with less stack.
#[inline(never)]
fn serve(delivery: &Delivery, window: &Window, reports: &Reports, address: usize) {
    let fault = Need {
        address: address & !(PAGE_BYTES - 1),
        write: delivery.is_write(),
        is_mapped: delivery.is_of_mapped(),
    };
    let mut needs = Needs::new(fault);
    // A userfaultfd serves the pages of an access one by one.
    let is_decoded = reports.signal == libc::SIGSEGV;
    if is_decoded && !add_decoded(delivery, window, fault, &mut needs) {
        needs = Needs::new(fault);
    }
    let serve_here = |waiter: &Waiter<'_>| delivery.is_in_ordinary_code() && call_server(waiter);
    if let Some(step) = reports.posts.wait(&needs, serve_here)
        && !redirect(delivery, window, step)
    {
        signal::die_at(delivery.signal, NO_MAPPINGS);
        step.free();
    }
}

/// Has the interrupted instruction use the engine view; `false` if that can't be done.
#[inline(never)]
fn redirect(delivery: &Delivery, window: &Window, step: &Step) -> bool {
    let Some(mut workspace) = WORKSPACES.take() else {
        // All are in use: the access is tried again, and comes here again.
        step.free();
        return true;
    };
    let context = delivery.context();
    let code = context.register(libc::REG_RIP) as usize;
    let Some(instruction) = context::instruction_at(code) else {
        return false;
    };
    let distance = |address: usize| window.distance(address);
    let Some(moves) = redirect::moves(&instruction, &context, &mut workspace, distance) else {
        return false;
    };
    step.begin(context, &moves);
    true
}

const NO_MAPPINGS: &[u8] =
    b"umbel: the process has no mappings left to show shared memory with; raise vm.max_map_count\n";

/// Adds the pages that the interrupted instruction needs; `false` if it isn't understood.
#[inline(never)]
fn add_decoded(delivery: &Delivery, window: &Window, fault: Need, needs: &mut Needs) -> bool {
    // If all are in use, the access faults once for each page.
    let Some(mut workspace) = WORKSPACES.take() else {
        return false;
    };
    let context = delivery.context();
    let code = context.register(libc::REG_RIP) as usize;
    let Some(instruction) = context::instruction_at(code) else {
        return false;
    };
    let mut is_explained = false;
    decode::spans(&instruction, &context, &mut workspace, |span| {
        for page in span.pages() {
            is_explained |= page == fault.address;
            if window.contains(page) {
                needs.add(Need {
                    address: page,
                    write: span.write,
                    is_mapped: false,
                });
            }
        }
    });
    is_explained
}

/// As many threads can look at their instructions at once.
static WORKSPACES: Pool<decode::Workspace, WORKSPACE_COUNT> = Pool::new();
const WORKSPACE_COUNT: usize = 32;
