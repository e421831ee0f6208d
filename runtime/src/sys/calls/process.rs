//! Processes: starting programs, waiting for them, what the system knows of them, messages between them.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use libc::{gid_t, id_t, idtype_t, pid_t, pthread_t};

use super::format::Arguments;
use super::frame::{Frame, set};
use super::kinds::{Gather, Object, Opaque, Scatter, Source, Target, Text, Texts, bytes_of};

const RUSAGE: usize = size_of::<libc::rusage>();
const RLIMIT: usize = size_of::<libc::rlimit>();
const SIGNAL_INFO: usize = size_of::<libc::siginfo_t>();
const SPAWN_ACTIONS: usize = size_of::<libc::posix_spawn_file_actions_t>();
const SPAWN_ATTRIBUTES: usize = size_of::<libc::posix_spawnattr_t>();
const MESSAGE_STATE: usize = size_of::<libc::mq_attr>();
const SIGEVENT: usize = size_of::<libc::sigevent>();
const TIMESPEC: usize = size_of::<libc::timespec>();
/// Before a message's text.
const MESSAGE_KIND: usize = size_of::<libc::c_long>();

calls! {
    fn execve(path: Text, arguments: Texts, environment: Texts) -> c_int;
    fn execv(path: Text, arguments: Texts) -> c_int;
    fn execvp(file: Text, arguments: Texts) -> c_int;
    fn execvpe(file: Text, arguments: Texts, environment: Texts) -> c_int;
    fn fexecve(fd: c_int, arguments: Texts, environment: Texts) -> c_int;
    fn execveat(folder: c_int, path: Text, arguments: Texts, environment: Texts, flags: c_int) -> c_int;
    fn posix_spawn(process: Opaque, path: Text, actions: Source[SPAWN_ACTIONS], attributes: Source[SPAWN_ATTRIBUTES], arguments: Texts, environment: Texts) -> c_int;
    fn posix_spawnp(process: Opaque, file: Text, actions: Source[SPAWN_ACTIONS], attributes: Source[SPAWN_ATTRIBUTES], arguments: Texts, environment: Texts) -> c_int;
    fn system(command: Text) -> c_int;
    fn popen(command: Text, mode: Text) -> *mut c_void;

    fn wait(status: Object[4]) -> pid_t;
    fn waitpid(process: pid_t, status: Object[4], options: c_int) -> pid_t;
    fn wait3(status: Object[4], options: c_int, usage: Object[RUSAGE]) -> pid_t;
    fn wait4(process: pid_t, status: Object[4], options: c_int, usage: Object[RUSAGE]) -> pid_t;
    fn waitid(kind: idtype_t, id: id_t, info: Object[SIGNAL_INFO], options: c_int) -> c_int;

    fn getrusage(who: c_int, usage: Object[RUSAGE]) -> c_int;
    fn times(times: Object[size_of::<libc::tms>()]) -> i64;
    fn uname(names: Object[size_of::<libc::utsname>()]) -> c_int;
    fn sysinfo(info: Object[size_of::<libc::sysinfo>()]) -> c_int;
    fn getrlimit(what: c_int, limit: Object[RLIMIT]) -> c_int;
    fn getrlimit64(what: c_int, limit: Object[RLIMIT]) -> c_int;
    fn setrlimit(what: c_int, limit: Source[RLIMIT]) -> c_int;
    fn setrlimit64(what: c_int, limit: Source[RLIMIT]) -> c_int;
    fn prlimit(process: pid_t, what: c_int, new: Source[RLIMIT], old: Object[RLIMIT]) -> c_int;
    fn prlimit64(process: pid_t, what: c_int, new: Source[RLIMIT], old: Object[RLIMIT]) -> c_int;
    fn getgroups(room: c_int, groups: Target<4>[bytes_of(room, 4)]) -> c_int;
    fn setgroups(count: usize, groups: Source[bytes_of(count, 4)]) -> c_int;
    fn getresuid(real: Object[4], effective: Object[4], saved: Object[4]) -> c_int;
    fn getresgid(real: Object[4], effective: Object[4], saved: Object[4]) -> c_int;
    fn initgroups(user: Text, group: gid_t) -> c_int;
    fn sethostname(name: Source[bytes], bytes: usize) -> c_int;
    fn setdomainname(name: Source[bytes], bytes: usize) -> c_int;
    fn klogctl(kind: c_int, buffer: Target[bytes_of(room, 1)], room: c_int) -> c_int;
    fn mincore(address: Opaque, bytes: usize, resident: Object[bytes.div_ceil(4096)]) -> c_int;
    fn capget(header: Object[8], sets: Object[24]) -> c_int;
    fn capset(header: Object[8], sets: Source[24]) -> c_int;
    fn getcpu(processor: Object[4], node: Object[4]) -> c_int;

    fn sched_setaffinity(process: pid_t, bytes: usize, set: Source[bytes]) -> c_int;
    fn sched_getaffinity(process: pid_t, bytes: usize, set: Object[bytes]) -> c_int;
    fn sched_setparam(process: pid_t, parameters: Source[4]) -> c_int;
    fn sched_getparam(process: pid_t, parameters: Object[4]) -> c_int;
    fn sched_setscheduler(process: pid_t, policy: c_int, parameters: Source[4]) -> c_int;
    fn sched_rr_get_interval(process: pid_t, interval: Object[TIMESPEC]) -> c_int;
    fn pthread_setaffinity_np(thread: pthread_t, bytes: usize, set: Source[bytes]) -> c_int;
    fn pthread_getaffinity_np(thread: pthread_t, bytes: usize, set: Object[bytes]) -> c_int;
    fn pthread_setschedparam(thread: pthread_t, policy: c_int, parameters: Source[4]) -> c_int;
    fn pthread_setname_np(thread: pthread_t, name: Text) -> c_int;
    fn pthread_getname_np(thread: pthread_t, name: Object[room], room: usize) -> c_int;

    fn mq_open(name: Text, flags: c_int, mode: libc::mode_t, state: Source[MESSAGE_STATE]) -> c_int;
    fn mq_unlink(name: Text) -> c_int;
    fn mq_send(queue: c_int, text: Source[bytes], bytes: usize, priority: u32) -> c_int;
    fn mq_timedsend(queue: c_int, text: Source[bytes], bytes: usize, priority: u32, until: Source[TIMESPEC]) -> c_int;
    fn mq_receive(queue: c_int, text: Target[room], room: usize, priority: Object[4]) -> isize;
    fn mq_timedreceive(queue: c_int, text: Target[room], room: usize, priority: Object[4], until: Source[TIMESPEC]) -> isize;
    fn mq_setattr(queue: c_int, new: Source[MESSAGE_STATE], old: Object[MESSAGE_STATE]) -> c_int;
    fn mq_notify(queue: c_int, event: Source[SIGEVENT]) -> c_int;
    fn msgsnd(queue: c_int, message: Source[bytes.saturating_add(MESSAGE_KIND)], bytes: usize, flags: c_int) -> c_int;
    fn msgrcv(queue: c_int, message: Object[room.saturating_add(MESSAGE_KIND)], room: usize, kind: i64, flags: c_int) -> isize;
    fn msgctl(queue: c_int, request: c_int, state: Object[size_of::<libc::msqid_ds>()]) -> c_int;
    fn shmctl(memory: c_int, request: c_int, state: Object[size_of::<libc::shmid_ds>()]) -> c_int;
    fn semop(set: c_int, operations: Source[bytes_of(count, size_of::<libc::sembuf>())], count: usize) -> c_int;
    fn semtimedop(set: c_int, operations: Source[bytes_of(count, size_of::<libc::sembuf>())], count: usize, timeout: Source[TIMESPEC]) -> c_int;

    fn process_vm_readv(process: pid_t, here: Scatter[bytes_of(here_count, 1)], here_count: u64, there: Source[bytes_of(there_count, 16)], there_count: u64, flags: u64) -> isize;
    fn process_vm_writev(process: pid_t, here: Gather[bytes_of(here_count, 1)], here_count: u64, there: Source[bytes_of(there_count, 16)], there_count: u64, flags: u64) -> isize;
}

variadic! {
    execl, 16, "rdx", execute_path;
    execlp, 16, "rdx", execute_file;
    execle, 16, "rdx", execute_with;
}

/// `execl(path, first, ...)`.
///
/// # Safety
/// The arguments end with null.
unsafe extern "C" fn execute_path(path: Text, first: *const c_char, rest: *mut Arguments) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: by the contract above.
    let rest = unsafe { &mut *rest };
    // SAFETY: by the contract above.
    let arguments = unsafe { list(&mut frame, first, rest) };
    // SAFETY: by the contract above.
    unsafe { execv(path, arguments) }
}

/// `execlp(file, first, ...)`.
///
/// # Safety
/// The arguments end with null.
unsafe extern "C" fn execute_file(file: Text, first: *const c_char, rest: *mut Arguments) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: by the contract above.
    let rest = unsafe { &mut *rest };
    // SAFETY: by the contract above.
    let arguments = unsafe { list(&mut frame, first, rest) };
    // SAFETY: by the contract above.
    unsafe { execvp(file, arguments) }
}

/// `execle(path, first, ..., environment)`.
///
/// # Safety
/// The arguments end with null, and the environment follows.
unsafe extern "C" fn execute_with(path: Text, first: *const c_char, rest: *mut Arguments) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: by the contract above.
    let rest = unsafe { &mut *rest };
    // SAFETY: by the contract above.
    let arguments = unsafe { list(&mut frame, first, rest) };
    // SAFETY: by the contract above.
    let environment = unsafe { rest.next() };
    // SAFETY: by the contract above.
    unsafe { execve(path, arguments, Texts(environment as *const *const c_char)) }
}

/// An array of the arguments.
///
/// # Safety
/// They end with null.
unsafe fn list(frame: &mut Frame, first: *const c_char, rest: &mut Arguments) -> Texts {
    let mut ahead = *rest;
    let mut count = 1;
    // SAFETY: by the contract above.
    while !first.is_null() && unsafe { ahead.next() } != 0 {
        count += 1;
    }
    let Some(array) = frame.take((count + 1) * size_of::<*const c_char>()) else {
        return Texts(ptr::null());
    };
    let array = array.cast::<*const c_char>();
    let mut next = first;
    for i in 0..=count {
        // SAFETY: the array has room for the arguments and the null.
        unsafe { set(array, i, next) };
        if next.is_null() {
            break;
        }
        // SAFETY: by the contract above.
        next = unsafe { rest.next() } as *const c_char;
    }
    Texts(array)
}
