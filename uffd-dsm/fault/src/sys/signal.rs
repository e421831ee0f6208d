//! Signals as the kernel knows them. The C library's calls are not used: libumbel.so has definitions of its own for
//! them, which would call back here.

use std::arch::naked_asm;
use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::signals::{self, Access, Program};
use crate::sys::context::Context;
use crate::sys::posts::Waiter;
use crate::sys::steps;

/// `struct kernel_sigaction` of x86-64.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Not in the libc crate.
const SA_RESTORER: u64 = 0x0400_0000;
/// Bytes of the kernel's signal set.
const MASK_BYTES: usize = 8;
/// What an action's flags may have that the program sees.
const FLAGS: u64 = 0xffff_ffff & !SA_RESTORER;

/// Returns from a handler to the kernel. Unwinders know it by exactly these bytes.
#[unsafe(naked)]
extern "C" fn restore() {
    naked_asm!(".byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0", "syscall")
}

/// Sets or asks for the kernel's action; the old one.
fn kernel_action(signal: i32, new: Option<&KernelAction>) -> io::Result<KernelAction> {
    let mut old = KernelAction {
        handler: 0,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both point at live kernel_sigactions or nowhere; a handler that is set is a function of this crate, or
    // what the kernel or the program had there before.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            new,
            &mut old as *mut KernelAction,
            MASK_BYTES,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(old)
    }
}

/// Makes our handler the kernel's action for a signal; what was there before.
pub fn take_over(signal: i32) -> io::Result<libc::sigaction> {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    let ours = KernelAction {
        handler: on_signal as *const () as usize,
        flags: flags as u64 | SA_RESTORER,
        restorer: restore as *const () as usize,
        // Nothing runs on top of our handler, and so nothing leaves it by a jump: its cell is on this stack.
        // Faults of our own must still end the process with a core, not with a silent kill.
        mask: !SYNCHRONOUS,
    };
    let old = kernel_action(signal, Some(&ours))?;
    Ok(action_of(&old))
}

/// Sets the default action in the kernel: the access that is tried again ends the process at its place.
fn set_default(signal: i32) {
    let default = KernelAction {
        handler: libc::SIG_DFL,
        flags: SA_RESTORER,
        restorer: restore as *const () as usize,
        mask: 0,
    };
    // Can't fail: the signal exists, and the struct is live.
    let _ = kernel_action(signal, Some(&default));
}

fn action_of(kernel: &KernelAction) -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction: the default, no signals blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = kernel.handler;
    action.sa_flags = (kernel.flags & FLAGS) as i32;
    set_mask_of(&mut action, kernel.mask);
    action
}

/// The kernel's signals of a C library's set: its first word.
pub fn mask_of(action: &libc::sigaction) -> u64 {
    // SAFETY: a sigset_t is 128 bytes of plain words, aligned as words; the first holds signals 1 to 64.
    unsafe { std::ptr::from_ref(&action.sa_mask).cast::<u64>().read() }
}

/// Sets them.
pub fn set_mask_of(action: &mut libc::sigaction, mask: u64) {
    let words = std::ptr::from_mut(&mut action.sa_mask).cast::<u64>();
    // SAFETY: as above.
    unsafe { words.write(mask) };
}

/// No signals, no flags, the default.
pub fn default_action() -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction.
    unsafe { std::mem::zeroed() }
}

fn change_mask(how: i32, mask: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both point at live words of the size given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &mask as *const u64,
            &mut old as *mut u64,
            MASK_BYTES,
        )
    };
    old
}

/// Runs `body`, which doesn't fault, with every signal blocked.
pub fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    let before = change_mask(libc::SIG_SETMASK, !0);
    let result = body();
    change_mask(libc::SIG_SETMASK, before);
    result
}

/// What the kernel told a handler.
#[derive(Clone, Copy)]
pub struct Delivery {
    pub signal: i32,
    info: *mut libc::siginfo_t,
    context: Context,
}

impl Delivery {
    /// The registers of the interrupted thread.
    pub fn context(&self) -> Context {
        self.context
    }

    /// The address accessed, if an access caused the signal, and not a process that sent it.
    pub fn address(&self) -> Option<usize> {
        // SAFETY: the kernel passes a live siginfo to a handler with SA_SIGINFO.
        let info = unsafe { *self.info };
        // Not a general-protection fault, which has no address.
        if info.si_code <= 0 || info.si_code == SI_KERNEL {
            return None;
        }
        // SAFETY: SIGSEGV and SIGBUS of the processor come with an address.
        Some(unsafe { info.si_addr() } as usize)
    }

    /// Whether the processor sent the signal.
    pub fn is_synchronous(&self) -> bool {
        // SAFETY: as above.
        unsafe { *self.info }.si_code > 0
    }

    /// Whether the access was a store.
    pub fn is_write(&self) -> bool {
        self.context.register(libc::REG_ERR) & PAGE_FAULT_WRITE != 0
    }

    /// Whether the page was there, and only the right to store was missing.
    pub fn is_of_mapped(&self) -> bool {
        self.context.register(libc::REG_ERR) & PAGE_FAULT_MAPPED != 0
    }

    /// Whether the thread was running ordinary code on its ordinary stack, and not a signal handler: those block a signal,
    /// their own or, in [`Delivery::run`], one of ours.
    pub fn is_in_ordinary_code(&self) -> bool {
        self.context.mask() == 0 && self.context.stack_left() == usize::MAX
    }

    /// Whether what the thread wanted is to run what is there.
    pub fn is_fetch(&self) -> bool {
        self.context.register(libc::REG_ERR) & PAGE_FAULT_FETCH != 0
    }

    /// Runs the program's action as the kernel would.
    pub fn run(&self, program: &Program) {
        match program.handler {
            libc::SIG_IGN if !self.is_synchronous() => return,
            libc::SIG_DFL | libc::SIG_IGN => return self.die(),
            _ => {}
        }
        let own = if program.flags & libc::SA_NODEFER == 0 {
            1 << (self.signal - 1)
        } else {
            0
        };
        let interrupted = self.context.mask();
        // Faults of the window must come through: blocked ones would kill.
        let mask = ((interrupted | program.mask | own) & !SYNCHRONOUS) | IN_HANDLER;
        let before = change_mask(libc::SIG_SETMASK, mask);
        if program.flags & libc::SA_SIGINFO != 0 {
            type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: the program gave this address as a handler of this form.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(program.handler) };
            handler(self.signal, self.info, self.context.0.cast());
        } else {
            // SAFETY: as above.
            let handler =
                unsafe { std::mem::transmute::<usize, extern "C" fn(i32)>(program.handler) };
            handler(self.signal);
        }
        change_mask(libc::SIG_SETMASK, before);
    }

    /// The default: the access dies at its place when it is tried again; a signal that was sent is sent again.
    fn die(&self) {
        set_default(self.signal);
        if !self.is_synchronous() {
            let process = process_id();
            // SAFETY: takes numbers only.
            let thread = unsafe { libc::syscall(libc::SYS_gettid) };
            // SAFETY: as above. It is blocked until our handler returns.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, self.signal) };
        }
    }
}

/// Calls what `set_hook` was given.
pub fn call_hook(hook: *mut (), access: &Access) {
    // SAFETY: `signals::set_hook` stored a function of this type, and nothing else stores there.
    let hook = unsafe { std::mem::transmute::<*mut (), fn(&Access)>(hook) };
    hook(access);
}

/// Calls what `set_server` was given.
pub fn call_server(server: *mut (), waiter: &Waiter<'_>) -> bool {
    // SAFETY: `signals::set_server` stored a function of this type, and nothing else stores there.
    let server = unsafe { std::mem::transmute::<*mut (), fn(&Waiter<'_>) -> bool>(server) };
    server(waiter)
}

/// The process as the kernel names it now.
fn process_id() -> i64 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::syscall(libc::SYS_getpid) }
}

/// The kernel runs this for SIGSEGV and SIGBUS, in the thread that made the access, on its alternate stack if it has
/// one. Nothing here allocates or takes a lock that the interrupted code can hold.
extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the calling thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let context = Context(context.cast());
    if context.stack_left() < STACK_BYTES {
        // Beyond its end we would fault, and begin again at its top, for ever.
        return set_default(signal);
    }
    // SAFETY: the kernel passes a live siginfo.
    let is_step = signal == libc::SIGTRAP && unsafe { *info }.si_code == TRAP_TRACE;
    if !steps::end(context, is_step) {
        signals::deliver(&Delivery {
            signal,
            info,
            context,
        });
    }
    // SAFETY: the calling thread's own errno.
    unsafe { *errno = before };
}

/// Says why the process dies, which it does when its access is tried again.
pub fn die_at(signal: i32, message: &[u8]) {
    // SAFETY: writes live bytes.
    unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
    set_default(signal);
}

/// Says whether this is still the address space it was made in: a child of fork(2) reads another answer. (A child of
/// vfork(2) shares our memory, and is served as a thread is.)
pub struct Birthmark(AtomicPtr<AtomicU32>);

impl Birthmark {
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Marks this address space; once is enough.
    pub fn set(&self) -> io::Result<()> {
        if !self.0.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let page = crate::sys::map::Mapping::new(0, crate::PAGE_BYTES, None)?;
        page.advise(libc::MADV_WIPEONFORK)?;
        let word = page.start() as *mut AtomicU32;
        // SAFETY: the page was just mapped, zero, and stays for ever.
        unsafe { (*word).store(1, Ordering::Relaxed) };
        // Release: pairs with the loads, which then find the page.
        self.0.store(word, Ordering::Release);
        Ok(())
    }

    /// Whether this process was forked from the one that was marked.
    pub fn is_forked(&self) -> bool {
        let word = self.0.load(Ordering::Acquire);
        // SAFETY: null, or the word in a page that stays for ever.
        match unsafe { word.as_ref() } {
            Some(word) => word.load(Ordering::Relaxed) == 0,
            None => false,
        }
    }
}

/// A value that is changed rarely, and read by signal handlers: readers try again while it changes.
pub struct Published<T: Copy> {
    /// Odd while it changes.
    version: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: every access is a copy between two looks at the version, or by the one who made it odd.
unsafe impl<T: Copy + Send> Sync for Published<T> {}

impl<T: Copy> Published<T> {
    pub const fn new(value: T) -> Self {
        Self {
            version: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// A value that was whole at some time during the call.
    pub fn get(&self) -> T {
        loop {
            // Acquire: pairs with the Release store that ends a change.
            let before = self.version.load(Ordering::Acquire);
            // SAFETY: a plain value that is thrown away if it changed meanwhile; volatile, so that it is read here.
            let value = unsafe { self.value.get().read_volatile() };
            // The value is read before the version is looked at again.
            std::sync::atomic::fence(Ordering::Acquire);
            if before & 1 == 0 && self.version.load(Ordering::Relaxed) == before {
                return value;
            }
            std::hint::spin_loop();
        }
    }

    /// Changes it by `change`; the old value. The caller has blocked the signals whose handlers read it.
    pub fn update(&self, change: impl FnOnce(T) -> T) -> T {
        let mut version = self.version.load(Ordering::Relaxed);
        loop {
            version &= !1;
            // Acquire: sees what the last change wrote. Also keeps the store below behind it.
            match self.version.compare_exchange_weak(
                version,
                version + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => version = now,
            }
            std::hint::spin_loop();
        }
        // The odd version is seen before the new value is.
        std::sync::atomic::fence(Ordering::Release);
        // SAFETY: the version is odd by us, so nobody else changes it.
        let old = unsafe { self.value.get().read() };
        // SAFETY: as above; readers throw away what they read meanwhile.
        unsafe { self.value.get().write_volatile(change(old)) };
        // Release: pairs with the loads of readers; publishes the value.
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
        old
    }
}

/// The processor's own signals: if they are blocked when it sends them, the kernel kills without a word.
pub const SYNCHRONOUS: u64 = 1 << (libc::SIGSEGV - 1)
    | 1 << (libc::SIGBUS - 1)
    | 1 << (libc::SIGTRAP - 1)
    | 1 << (libc::SIGILL - 1)
    | 1 << (libc::SIGFPE - 1);
/// What our handler needs of a stack, without the kernel's part (measured: 1.4 KiB).
const STACK_BYTES: usize = 2 << 10;
/// si_code of a SIGTRAP after an instruction that was run with the trap flag.
const TRAP_TRACE: i32 = 2;
/// si_code of a signal of the kernel's that isn't about an address.
const SI_KERNEL: i32 = 0x80;
/// Blocked while a handler of the program's runs that could have an empty mask: the C library's signal for cancellation.
const IN_HANDLER: u64 = 1 << (32 - 1);
/// In a page fault's error code: the page is there.
const PAGE_FAULT_MAPPED: i64 = 1;
/// It was a store.
const PAGE_FAULT_WRITE: i64 = 2;
/// It was an instruction fetch.
const PAGE_FAULT_FETCH: i64 = 16;
