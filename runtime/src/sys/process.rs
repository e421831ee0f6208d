//! Inherited descriptors, timers, and ways to end the process.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Takes over a socket that the launcher passed on, and keeps the program's children from inheriting it.
/// A TCP socket is as good: a stream of bytes all the same.
pub fn inherited_socket(descriptor: RawFd) -> io::Result<UnixStream> {
    let socket = UnixStream::from(inherited(descriptor)?);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes over a descriptor that the launcher passed on, and keeps the program's children from inheriting it.
pub fn inherited(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a number; a wrong one gives EBADF.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the launcher opened it for us alone, and the environment variable that named it is read once.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes a variable out of the environment. To be called before the program's main.
pub fn take_variable(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    // SAFETY: before main this is the only thread.
    unsafe { std::env::remove_var(variable) };
    value
}

/// Timer that makes its descriptor readable.
pub struct Timer(OwnedFd);

impl Timer {
    /// A timer that is not set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes its arguments by value.
        let raw = unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_CLOEXEC | libc::TFD_NONBLOCK,
            )
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Sets it to a time of CLOCK_MONOTONIC, in nanoseconds; 0 unsets it.
    pub fn set(&self, deadline_ns: u64) -> io::Result<()> {
        let value = libc::timespec {
            tv_sec: (deadline_ns / NS_PER_S) as libc::time_t,
            tv_nsec: (deadline_ns % NS_PER_S) as libc::c_long,
        };
        let spec = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        // SAFETY: `spec` is a live itimerspec; the old value is not asked for.
        let result = unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &spec,
                std::ptr::null_mut(),
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes it unreadable again.
    pub fn acknowledge(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: reads into a live buffer of the given length. EAGAIN means that it was not readable.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// How large main's stack may get.
pub fn stack_limit_bytes() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: fills a live rlimit in; if it fails, that says 0.
    unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) };
    limit.rlim_cur
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64
}

/// The calling thread, as the kernel numbers threads.
pub fn thread_number() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// Ends the process at once: no exit handlers, no flushing.
pub fn end_now(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

/// Ends the process as the program's own `exit(status)`.
pub fn exit(status: i32) -> ! {
    // SAFETY: not called from an exit handler.
    unsafe { libc::exit(status) }
}

/// Ends the calling thread, which the program made by pthread_create.
pub fn exit_foreign_thread() -> ! {
    // SAFETY: the thread's frames are the program's and this library's without cleanups.
    unsafe { libc::pthread_exit(std::ptr::null_mut()) }
}

/// Writes out what the program's stdio streams hold.
pub fn flush_streams() {
    // SAFETY: a null stream means all of them.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Sends whole lines at once from now on: stdout is a pipe to the launcher, and others write too.
pub fn line_buffered_stdout() {
    unsafe extern "C" {
        static stdout: *mut libc::FILE;
    }
    // SAFETY: `stdout` is the C library's, set before main.
    let stream = unsafe { stdout };
    // SAFETY: nothing was written yet; a null buffer lets the library allocate one.
    unsafe { libc::setvbuf(stream, std::ptr::null_mut(), libc::_IOLBF, 0) };
}

/// Blocks every signal for the calling thread: handlers belong to the program's threads.
pub fn block_signals() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: the set was filled; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

/// Asks the scheduler to run the calling thread soon after it wakes: it works for microseconds and others wait for it.
/// Threads that it starts are ordinary ones.
///
/// `real_time`: at once, if that is allowed; for a node with processors of its own. Measured there, with ordinary
/// scheduling: a hand-over between nodes whose threads spin takes a scheduler's tick, 1 to 4 ms; where nodes share
/// processors real-time threads chase each other (a read miss took 134 us instead of 72). Otherwise short turns, which
/// come before longer ones for a thread that has not used up its share (EEVDF, Linux 6.12; older kernels ignore it).
pub fn prefer_to_run_soon(real_time: bool) {
    let at_once = SchedAttr {
        policy: libc::SCHED_FIFO as u32,
        priority: 1,
        ..SchedAttr::new()
    };
    if !(real_time && at_once.apply()) {
        let short_turns = SchedAttr {
            runtime_ns: SHORT_TURN_NS,
            ..SchedAttr::new()
        };
        short_turns.apply();
    }
}

/// `struct sched_attr`, first version.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

impl SchedAttr {
    /// An ordinary thread whose own threads do not inherit what is set.
    fn new() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            flags: RESET_ON_FORK,
            ..Self::default()
        }
    }

    /// Sets the calling thread's scheduling; false if that is forbidden.
    fn apply(&self) -> bool {
        // SAFETY: `self` is a live sched_attr of the size it states; 0 is the calling thread.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, self as *const Self, 0) == 0 }
    }
}

const RESET_ON_FORK: u64 = 1;

/// The shortest that the kernel takes.
const SHORT_TURN_NS: u64 = 100_000;

/// Lets signals through again: a thread of the program, started by the service thread.
pub fn unblock_signals() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: empties the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was emptied; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

/// Calls `handler(status)` when the program exits, after every handler that it registers itself.
pub fn at_exit(handler: extern "C" fn(i32, *mut libc::c_void)) {
    unsafe extern "C" {
        fn on_exit(
            handler: extern "C" fn(i32, *mut libc::c_void),
            argument: *mut libc::c_void,
        ) -> i32;
    }
    // SAFETY: the handler is a function of this library, which is never unloaded.
    unsafe { on_exit(handler, std::ptr::null_mut()) };
}

/// The calling thread's errno.
pub fn errno() -> i32 {
    // SAFETY: takes no arguments.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the location is the calling thread's.
    unsafe { location.read() }
}

/// Sets the calling thread's errno.
pub fn set_errno(value: i32) {
    // SAFETY: takes no arguments.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the location is the calling thread's.
    unsafe { location.write(value) };
}

/// Load address of the module that holds `address`.
pub fn module_base(address: usize) -> Option<usize> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr takes any address and fills `info` if it finds one.
    let found = unsafe { libc::dladdr(address as *const libc::c_void, info.as_mut_ptr()) };
    // SAFETY: zeroed or filled in; both are valid.
    let info = unsafe { info.assume_init() };
    (found != 0 && !info.dli_fbase.is_null()).then_some(info.dli_fbase as usize)
}

/// The file and the load address of the module that holds `address`.
pub fn module_of(address: usize) -> Option<(PathBuf, usize)> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr takes any address and fills `info` if it finds one.
    let found = unsafe { libc::dladdr(address as *const libc::c_void, info.as_mut_ptr()) };
    // SAFETY: zeroed or filled in; both are valid.
    let info = unsafe { info.assume_init() };
    if found == 0 || info.dli_fbase.is_null() || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's name of a loaded module.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    // The program is named as it was called, relative to a folder that may not be the current one any more.
    let path = if path.is_absolute() {
        path
    } else {
        "/proc/self/exe".into()
    };
    Some((path, info.dli_fbase as usize))
}

const NS_PER_S: u64 = 1_000_000_000;
