//! The program's own SIGSEGV and SIGBUS, beside the window's. Each case is a process: it sets actions and may die.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use umbel_fault::signals::{self, Access};
use umbel_fault::{PAGE_BYTES, Rights, Space, SpaceLayout, View};

const WINDOW: usize = 0x2000_0000_0000;
const WINDOW_BYTES: usize = 16 * PAGE_BYTES;

/// Names the case that a process of its own runs.
const CASE: &str = "UMBEL_TEST_SIGNALS_CASE";
const BACKENDS: [&str; 3] = ["user-mode", "guard", "mprotect"];

/// How the case of this name ends, in a process of its own, on a backend.
fn end_of(case: &str, backend: &str) -> ExitStatus {
    let this = std::env::current_exe().expect("it is running");
    let mut command = Command::new(this);
    command.args([
        "--exact",
        "the_case_that_the_environment_names",
        "--nocapture",
    ]);
    command.env(CASE, case).env("UMBEL_FAULT_BACKEND", backend);
    let output = command.output().expect("it can be started again");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{case} on {backend}: {}\n{text}", output.status);
    output.status
}

/// The case ends well on every backend that is usable here.
fn passes(case: &str) {
    for backend in usable() {
        assert!(end_of(case, backend).success(), "{case} on {backend}");
    }
}

fn dies_by(case: &str, signal: i32) {
    for backend in usable() {
        assert_eq!(
            end_of(case, backend).signal(),
            Some(signal),
            "{case} on {backend}"
        );
    }
}

fn usable() -> impl Iterator<Item = &'static str> {
    let reports = umbel_fault::probe();
    BACKENDS.into_iter().filter(move |name| {
        let report = reports.iter().find(|report| report.name == *name);
        report.is_some_and(|report| report.usable)
    })
}

#[test]
fn a_handler_gets_what_is_not_the_windows_as_the_kernel_would_give_it() {
    passes("handler");
    passes("mask");
    passes("nodefer");
    passes("plain handler");
    passes("before");
    passes("bus");
}

#[test]
fn a_handler_may_leave_by_a_jump() {
    passes("jump");
}

#[test]
fn an_action_is_reset_once_it_has_run() {
    dies_by("reset", libc::SIGSEGV);
}

#[test]
fn without_a_handler_an_access_is_deadly() {
    dies_by("default", libc::SIGSEGV);
    dies_by("ignored access", libc::SIGSEGV);
    dies_by("code", libc::SIGSEGV);
    dies_by("overflow", libc::SIGSEGV);
}

#[test]
fn a_signal_that_was_sent_is_ignored_or_deadly_as_the_program_says() {
    passes("ignored");
    dies_by("sent", libc::SIGSEGV);
    dies_by("sent bus", libc::SIGBUS);
}

#[test]
fn the_hook_is_told_of_other_accesses_and_of_forked_processes() {
    passes("hook");
    passes("fork");
    passes("vfork");
}

#[test]
fn a_handler_may_use_the_window() {
    passes("window in handler");
    passes("timers");
}

#[test]
fn a_small_alternate_stack_is_enough() {
    passes("stack");
}

#[test]
fn the_case_that_the_environment_names() {
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    signals::install().expect("the kernel lets us");
    match case.as_str() {
        "handler" => handler(),
        "mask" => mask(),
        "nodefer" => {
            set_alternate_stack(64 << 10);
            nodefer();
        }
        "overflow" => {
            set_alternate_stack(6 << 10);
            nodefer();
        }
        "plain handler" => plain_handler(),
        "before" => before(),
        "bus" => bus(),
        "jump" => jump(),
        "reset" => {
            set(
                libc::SIGSEGV,
                on_fault as *const () as usize,
                libc::SA_SIGINFO | libc::SA_RESETHAND,
                &[],
            );
            load(page());
            load(page());
        }
        "default" => {
            forget_rusts();
            load(page());
        }
        "ignored access" => {
            set(libc::SIGSEGV, libc::SIG_IGN, 0, &[]);
            load(page());
        }
        "code" => {
            forget_rusts();
            let space = space();
            space.set_rights(WINDOW, 1, Rights::Write).unwrap();
            // SAFETY: it never returns: the window can't be run.
            let function: extern "C" fn() = unsafe { std::mem::transmute(WINDOW) };
            function();
        }
        "ignored" => {
            set(libc::SIGSEGV, libc::SIG_IGN, 0, &[]);
            send(libc::SIGSEGV);
        }
        "sent" => {
            forget_rusts();
            send(libc::SIGSEGV);
        }
        "sent bus" => {
            forget_rusts();
            send(libc::SIGBUS);
        }
        "hook" => hook(),
        "fork" => fork(),
        "vfork" => vfork(),
        "window in handler" => window_in_handler(),
        "timers" => timers(),
        "stack" => stack(),
        _ => panic!("no such case: {case}"),
    }
}

/// What a test's handler saw, and where it should let accesses through.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static WAS_BLOCKED: AtomicBool = AtomicBool::new(false);
static SEGV_WAS_BLOCKED: AtomicBool = AtomicBool::new(false);

/// Notes the address, and makes its page accessible.
extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the handler is called with what the kernel passed.
    let address = unsafe { address_of(info) };
    SEEN.store(address, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    WAS_BLOCKED.store(is_blocked(libc::SIGUSR1), Ordering::Relaxed);
    SEGV_WAS_BLOCKED.store(is_blocked(libc::SIGUSR2), Ordering::Relaxed);
    open(address);
}

/// # Safety
/// The kernel passed `info` to a handler of an access.
unsafe fn address_of(info: *mut libc::siginfo_t) -> usize {
    // SAFETY: the caller's promise.
    let info = unsafe { *info };
    // SAFETY: as above.
    unsafe { info.si_addr() as usize }
}

fn open(address: usize) {
    let start = address & !(PAGE_BYTES - 1);
    // SAFETY: the page is one that `page` made.
    let result = unsafe {
        libc::mprotect(
            start as *mut libc::c_void,
            PAGE_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
        )
    };
    assert_eq!(result, 0);
}

/// A private page without any rights.
fn page() -> usize {
    // SAFETY: the kernel chooses a free place.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE_BYTES,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(page, libc::MAP_FAILED);
    page as usize
}

fn load(address: usize) -> u8 {
    // SAFETY: it is mapped, or made accessible by the test's handler, or the process dies as the test wants.
    unsafe { (address as *const u8).read_volatile() }
}

fn set(signal: i32, handler: usize, flags: i32, mask: &[i32]) -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    for blocked in mask {
        // SAFETY: the set is live.
        unsafe { libc::sigaddset(&mut action.sa_mask, *blocked) };
    }
    signals::program_action(signal, Some(&action))
}

/// Rust's runtime has handlers of its own, which were there before ours.
fn forget_rusts() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        set(signal, libc::SIG_DFL, 0, &[]);
    }
}

fn is_blocked(signal: i32) -> bool {
    // SAFETY: all zero is a valid set.
    let mut now: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: only asks.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut now) };
    // SAFETY: the set is live.
    unsafe { libc::sigismember(&now, signal) == 1 }
}

fn send(signal: i32) {
    // SAFETY: sends to the calling thread.
    unsafe { libc::raise(signal) };
}

fn handler() {
    set(
        libc::SIGSEGV,
        on_fault as *const () as usize,
        libc::SA_SIGINFO,
        &[],
    );
    let page = page();
    // SAFETY: always succeeds.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the calling thread's own errno.
    unsafe { *errno = 77 };
    assert_eq!(load(page + 9), 0);
    // SAFETY: as above.
    assert_eq!(unsafe { *errno }, 77);
    assert_eq!(SEEN.load(Ordering::Relaxed), page + 9);
    let asked = signals::program_action(libc::SIGSEGV, None);
    assert_eq!(asked.sa_sigaction, on_fault as *const () as usize);
    assert_eq!(asked.sa_flags & libc::SA_SIGINFO, libc::SA_SIGINFO);
}

fn mask() {
    let flags = libc::SA_SIGINFO;
    set(
        libc::SIGSEGV,
        on_fault as *const () as usize,
        flags,
        &[libc::SIGUSR1],
    );
    load(page());
    assert!(WAS_BLOCKED.load(Ordering::Relaxed));
    assert!(!SEGV_WAS_BLOCKED.load(Ordering::Relaxed));
    assert!(!is_blocked(libc::SIGUSR1));
    let asked = signals::program_action(libc::SIGSEGV, None);
    // SAFETY: the set is live.
    let is_kept = unsafe { libc::sigismember(&asked.sa_mask, libc::SIGUSR1) };
    assert_eq!(is_kept, 1);
}

/// A handler that faults itself.
fn nodefer() {
    static INNER: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn nested(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        if COUNT.fetch_add(1, Ordering::Relaxed) == 0 {
            load(INNER.load(Ordering::Relaxed));
        }
        // SAFETY: the handler is called with what the kernel passed.
        open(unsafe { address_of(info) });
    }
    INNER.store(page(), Ordering::Relaxed);
    let flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    set(libc::SIGSEGV, nested as *const () as usize, flags, &[]);
    load(page());
    assert_eq!(COUNT.load(Ordering::Relaxed), 2);
}

fn plain_handler() {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn plain(signal: i32) {
        assert_eq!(signal, libc::SIGSEGV);
        COUNT.fetch_add(1, Ordering::Relaxed);
        open(PAGE.load(Ordering::Relaxed));
    }
    PAGE.store(page(), Ordering::Relaxed);
    set(libc::SIGSEGV, plain as *const () as usize, 0, &[]);
    load(PAGE.load(Ordering::Relaxed));
    assert_eq!(COUNT.load(Ordering::Relaxed), 1);
}

/// What the process had before (Rust's own handler) is the program's action.
fn before() {
    let kept = signals::program_action(libc::SIGSEGV, None);
    assert!(kept.sa_sigaction != libc::SIG_DFL && kept.sa_sigaction != libc::SIG_IGN);
    signals::install().unwrap();
    let again = signals::program_action(libc::SIGSEGV, None);
    assert_eq!(again.sa_sigaction, kept.sa_sigaction);
}

/// A page beyond the end of a file.
fn bus() {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn on_bus(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the handler is called with what the kernel passed.
        let address = unsafe { address_of(info) };
        assert_eq!(address, PAGE.load(Ordering::Relaxed));
        let (wanted, fixed) = (
            libc::PROT_READ,
            libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: replaces the test's own mapping.
        unsafe {
            libc::mmap(
                address as *mut libc::c_void,
                PAGE_BYTES,
                wanted,
                fixed,
                -1,
                0,
            )
        };
    }
    set(
        libc::SIGBUS,
        on_bus as *const () as usize,
        libc::SA_SIGINFO,
        &[],
    );
    // SAFETY: an empty memory file.
    let file = unsafe { libc::memfd_create(c"empty".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: the kernel chooses a free place.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE_BYTES,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file,
            0,
        )
    };
    PAGE.store(page as usize, Ordering::Relaxed);
    load(page as usize);
    assert_eq!(COUNT.load(Ordering::Relaxed), 1);
}

unsafe extern "C" {
    fn __sigsetjmp(buffer: *mut u64, mask: i32) -> i32;
    fn siglongjmp(buffer: *mut u64, value: i32) -> !;
}

/// Bytes of a jmp_buf, and some more.
static mut BUFFER: [u64; 64] = [0; 64];

fn buffer() -> *mut u64 {
    (&raw mut BUFFER).cast()
}

/// Out of handlers, many times: nothing stays behind, and the window works afterwards.
fn jump() {
    extern "C" fn leave(_: i32) {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `jump` is still running.
        unsafe { siglongjmp(buffer(), 1) };
    }
    set(libc::SIGSEGV, leave as *const () as usize, 0, &[]);
    let page = page();
    // SAFETY: nothing with a destructor is between here and the handler.
    unsafe { __sigsetjmp(buffer(), 1) };
    if COUNT.load(Ordering::Relaxed) < 100 {
        load(page);
    }
    assert!(!is_blocked(libc::SIGUSR1) && !is_blocked(libc::SIGSEGV));
    serve(&mut space(), || {
        assert_eq!(load(WINDOW), 0);
    });
}

fn space() -> Space {
    let view = View {
        address: WINDOW,
        len: WINDOW_BYTES,
        file_offset: 0,
        is_tracked: false,
    };
    let layout = SpaceLayout {
        file_bytes: WINDOW_BYTES as u64,
        views: vec![view],
    };
    Space::new(&layout).expect("the backend is usable")
}

/// Serves the window while another thread runs `body`.
fn serve(space: &mut Space, body: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            body();
            done.store(true, Ordering::Release);
        });
        let mut faults = Vec::new();
        while !done.load(Ordering::Acquire) {
            space.take_faults(&mut faults).unwrap();
            for fault in &faults {
                space.set_rights(fault.address, 1, Rights::Write).unwrap();
            }
        }
    });
}

fn hook() {
    fn look(access: &Access) {
        SEEN.store(access.address, Ordering::Relaxed);
        assert!(!access.forked);
        if access.write {
            open(access.address);
            std::process::exit(0);
        }
    }
    signals::set_hook(look);
    set(
        libc::SIGSEGV,
        on_fault as *const () as usize,
        libc::SA_SIGINFO,
        &[],
    );
    let (first, second) = (page(), page());
    load(first);
    // It came by the hook, which returned, and then by the handler.
    assert_eq!(SEEN.load(Ordering::Relaxed), first);
    assert_eq!(COUNT.load(Ordering::Relaxed), 1);
    // SAFETY: the hook ends the process.
    unsafe { (second as *mut u8).write_volatile(1) };
    panic!("the hook didn't end the process");
}

/// A child's access of the window comes to the hook, whatever the backend.
fn fork() {
    fn look(access: &Access) {
        if access.forked && access.address == WINDOW + 8 && signals::is_forked() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(33) };
        }
    }
    signals::set_hook(look);
    let space = space();
    space.set_rights(WINDOW, 1, Rights::Write).unwrap();
    load(WINDOW + 8);
    assert!(!signals::is_forked());
    // SAFETY: the child only touches memory and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        load(WINDOW + 8);
        // SAFETY: ends the child.
        unsafe { libc::_exit(1) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 33,
        "{status:#x}"
    );
}

/// A child of vfork(2) runs in our memory: its faults are served.
fn vfork() {
    let mut space = space();
    space.write(8, &[5]);
    serve(&mut space, || {
        // As vfork(2) does, but with a stack of its own.
        extern "C" fn child(_: *mut libc::c_void) -> i32 {
            i32::from(load(WINDOW + 8))
        }
        let mut stack = vec![0u8; 64 << 10];
        let top = stack.as_mut_ptr_range().end;
        // SAFETY: the stack is the child's until it has ended, which is waited for.
        let process = unsafe {
            libc::clone(
                child,
                top.cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                ptr::null_mut(),
            )
        };
        let mut status = 0;
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(process, &mut status, 0) };
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 5,
            "{status:#x}"
        );
    });
}

/// A handler of the program's that faults in the window.
fn window_in_handler() {
    extern "C" fn use_window(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        COUNT.fetch_add(load(WINDOW + PAGE_BYTES) as usize, Ordering::Relaxed);
        // SAFETY: the handler is called with what the kernel passed.
        open(unsafe { address_of(info) });
    }
    set(
        libc::SIGSEGV,
        use_window as *const () as usize,
        libc::SA_SIGINFO,
        &[],
    );
    let mut space = space();
    space.write(PAGE_BYTES as u64, &[3]);
    let page = page();
    serve(&mut space, || {
        set_alternate_stack(64 << 10);
        load(page);
    });
    assert_eq!(COUNT.load(Ordering::Relaxed), 3);
}

/// Signals all the time, whose handler uses the window, while the window's pages come and go.
fn timers() {
    extern "C" fn on_timer(_: i32) {
        COUNT.fetch_add(
            usize::from(load(WINDOW + 3 * PAGE_BYTES) == 7),
            Ordering::Relaxed,
        );
    }
    // SAFETY: the handler only touches memory that is mapped.
    unsafe { libc::signal(libc::SIGUSR1, on_timer as *const () as usize) };
    let mut space = space();
    space.write(3 * PAGE_BYTES as u64, &[7]);
    let done = AtomicBool::new(false);
    let thread = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: always succeeds.
            thread.store(unsafe { libc::pthread_self() } as usize, Ordering::Release);
            for round in 0..4000usize {
                let address = WINDOW + round % 3 * PAGE_BYTES + 8 * (round % 7);
                // SAFETY: in the window, which is served; the address is a word's.
                unsafe { (address as *mut u64).write_volatile(round as u64) };
            }
            while COUNT.load(Ordering::Relaxed) < 20 {
                std::thread::yield_now();
            }
            done.store(true, Ordering::Release);
        });
        let mut faults = Vec::new();
        let mut turn = 0;
        while !done.load(Ordering::Acquire) {
            space.take_faults(&mut faults).unwrap();
            for fault in &faults {
                space.set_rights(fault.address, 1, Rights::Write).unwrap();
            }
            turn += 1;
            let target = thread.load(Ordering::Acquire);
            if target != 0 && turn % 3 == 0 {
                // SAFETY: the thread runs until `done`, and is joined after this loop.
                unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGUSR1) };
            }
            space
                .set_rights(WINDOW + turn % 4 * PAGE_BYTES, 1, Rights::None)
                .unwrap();
            if turn % 64 == 0 {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    });
    assert!(COUNT.load(Ordering::Relaxed) >= 20);
}

/// Gives the calling thread an alternate stack, filled with marks.
fn set_alternate_stack(bytes: usize) -> &'static [u8] {
    let stack = vec![MARK; bytes].leak();
    let alternate = libc::stack_t {
        ss_sp: stack.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: bytes,
    };
    // SAFETY: the stack lasts for ever.
    assert_eq!(unsafe { libc::sigaltstack(&alternate, ptr::null_mut()) }, 0);
    stack
}

const MARK: u8 = 0xa5;

/// Handlers run on the thread's alternate stack; what they need besides the kernel's own part is little.
fn stack() {
    const STACK_BYTES: usize = 8 << 10;
    let mut space = space();
    serve(&mut space, || {
        let stack = set_alternate_stack(STACK_BYTES);
        for page in 0..4 {
            let address = WINDOW + (page + 1) * PAGE_BYTES - 3;
            // SAFETY: in the window, which is served.
            unsafe { (address as *mut u64).write_unaligned(1) };
        }
        let unused = stack.iter().take_while(|byte| **byte == MARK).count();
        println!(
            "{} bytes of the alternate stack were used",
            STACK_BYTES - unused
        );
        assert!(unused >= 1 << 10, "{unused}");
    });
}
