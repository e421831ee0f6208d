//! `syscall`: the same by number.

use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_long};

use super::frame::Frame;
use super::kinds::{
    Argument, Gather, Mask, Named, Object, Outcome, Received, ReceivedMany, Scatter, Sent,
    SentMany, Source, Target, Text, Texts, bytes_of,
};
use super::shared;
use crate::sys::process::{errno, set_errno};

/// A call by number, as [`own_calls`](super) defines it.
type Call = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;

own_calls! {
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long
        // SAFETY: the program's own call.
        where true => |next| unsafe { by_number(next, number, [a, b, c, d, e, f]) };
}

/// Defines [`by_number`] from rows as in `calls!`, named by their numbers in the C library.
macro_rules! numbers {
    ($( $number:ident($($argument:ident: $kind:ty $([$size:expr])?),* $(,)?); )*) => {
        /// # Safety
        /// The arguments are what the call of this number takes.
        unsafe fn by_number(next: Call, number: c_long, all: [usize; 6]) -> c_long {
            let mut passed = all;
            let mut frame = Frame::new();
            match number {
                $(libc::$number => {
                    let [$($argument,)* ..] = all;
                    $(let $argument = <$kind as Argument>::from_register($argument);)*
                    let mut is_shared = false;
                    $(
                        let size = 0 $(+ $size)?;
                        // SAFETY: by the contract above.
                        is_shared |= unsafe { $argument.is_shared(size) };
                    )*
                    if is_shared {
                        let mut slots = passed.iter_mut();
                        $(
                            let size = 0 $(+ $size)?;
                            // SAFETY: by the contract above.
                            let $argument = unsafe { $argument.enter(&mut frame, size) };
                            *slots.next().expect("a call has up to six") = $argument.to_register();
                        )*
                    }
                })*
                // SAFETY: by the contract above.
                libc::SYS_futex => return unsafe { futex(next, all) },
                _ => {}
            }
            let [a, b, c, d, e, f] = passed;
            // SAFETY: the program's own call, with copies of what it has passed.
            let result = unsafe { next(number, a, b, c, d, e, f) };
            // SAFETY: the call is over.
            unsafe { frame.leave(result.count()) };
            result
        }
    };
}

const TIMESPEC: usize = size_of::<libc::timespec>();
const STAT: usize = size_of::<libc::stat>();
const EVENT: usize = size_of::<libc::epoll_event>();
const ITIMER: usize = size_of::<libc::itimerspec>();

numbers! {
    SYS_read(_fd: usize, buffer: Target[count], count: usize);
    SYS_write(_fd: usize, buffer: Source[count], count: usize);
    SYS_pread64(_fd: usize, buffer: Target[count], count: usize);
    SYS_pwrite64(_fd: usize, buffer: Source[count], count: usize);
    SYS_readv(_fd: usize, vector: Scatter[count], count: usize);
    SYS_writev(_fd: usize, vector: Gather[count], count: usize);
    SYS_preadv(_fd: usize, vector: Scatter[count], count: usize);
    SYS_pwritev(_fd: usize, vector: Gather[count], count: usize);
    SYS_preadv2(_fd: usize, vector: Scatter[count], count: usize);
    SYS_pwritev2(_fd: usize, vector: Gather[count], count: usize);
    SYS_sendto(_fd: usize, buffer: Source[count], count: usize, _flags: usize, to: Source[length], length: usize);
    SYS_recvfrom(_fd: usize, buffer: Target[count], count: usize, _flags: usize, from: Named[length.0 as usize], length: Object[4]);
    SYS_sendmsg(_fd: usize, message: Sent);
    SYS_recvmsg(_fd: usize, message: Received);
    SYS_sendmmsg(_fd: usize, messages: SentMany[count], count: usize);
    SYS_recvmmsg(_fd: usize, messages: ReceivedMany[count], count: usize, _flags: usize, timeout: Object[TIMESPEC]);
    SYS_bind(_fd: usize, address: Source[length], length: usize);
    SYS_connect(_fd: usize, address: Source[length], length: usize);
    SYS_accept(_fd: usize, address: Named[length.0 as usize], length: Object[4]);
    SYS_accept4(_fd: usize, address: Named[length.0 as usize], length: Object[4]);
    SYS_getsockname(_fd: usize, address: Named[length.0 as usize], length: Object[4]);
    SYS_getpeername(_fd: usize, address: Named[length.0 as usize], length: Object[4]);
    SYS_getsockopt(_fd: usize, _level: usize, _option: usize, value: Named[length.0 as usize], length: Object[4]);
    SYS_setsockopt(_fd: usize, _level: usize, _option: usize, value: Source[length], length: usize);
    SYS_socketpair(_domain: usize, _kind: usize, _protocol: usize, pair: Object[8]);
    SYS_pipe(pair: Object[8]);
    SYS_pipe2(pair: Object[8]);
    SYS_sendfile(_target: usize, _source: usize, offset: Object[8]);
    SYS_copy_file_range(_source: usize, source_offset: Object[8], _target: usize, target_offset: Object[8]);
    SYS_splice(_source: usize, source_offset: Object[8], _target: usize, target_offset: Object[8]);
    SYS_getrandom(buffer: Target[count], count: usize);
    SYS_getdents64(_fd: usize, buffer: Target[count], count: usize);
    SYS_getcwd(buffer: Target[room], room: usize);

    SYS_open(path: Text);
    SYS_openat(_folder: usize, path: Text);
    SYS_creat(path: Text);
    SYS_stat(path: Text, status: Object[STAT]);
    SYS_lstat(path: Text, status: Object[STAT]);
    SYS_fstat(_fd: usize, status: Object[STAT]);
    SYS_newfstatat(_folder: usize, path: Text, status: Object[STAT]);
    SYS_statx(_folder: usize, path: Text, _flags: usize, _mask: usize, status: Object[size_of::<libc::statx>()]);
    SYS_statfs(path: Text, status: Object[size_of::<libc::statfs>()]);
    SYS_fstatfs(_fd: usize, status: Object[size_of::<libc::statfs>()]);
    SYS_access(path: Text);
    SYS_faccessat(_folder: usize, path: Text);
    SYS_faccessat2(_folder: usize, path: Text);
    SYS_readlink(path: Text, target: Target[room], room: usize);
    SYS_readlinkat(_folder: usize, path: Text, target: Target[room], room: usize);
    SYS_unlink(path: Text);
    SYS_unlinkat(_folder: usize, path: Text);
    SYS_rename(from: Text, to: Text);
    SYS_renameat(_from_folder: usize, from: Text, _to_folder: usize, to: Text);
    SYS_renameat2(_from_folder: usize, from: Text, _to_folder: usize, to: Text);
    SYS_link(from: Text, to: Text);
    SYS_linkat(_from_folder: usize, from: Text, _to_folder: usize, to: Text);
    SYS_symlink(target: Text, path: Text);
    SYS_symlinkat(target: Text, _folder: usize, path: Text);
    SYS_mkdir(path: Text);
    SYS_mkdirat(_folder: usize, path: Text);
    SYS_rmdir(path: Text);
    SYS_chmod(path: Text);
    SYS_fchmodat(_folder: usize, path: Text);
    SYS_chown(path: Text);
    SYS_lchown(path: Text);
    SYS_fchownat(_folder: usize, path: Text);
    SYS_truncate(path: Text);
    SYS_utimensat(_folder: usize, path: Text, times: Source[2 * TIMESPEC]);
    SYS_chdir(path: Text);
    SYS_memfd_create(name: Text);
    SYS_execve(path: Text, arguments: Texts, environment: Texts);

    SYS_poll(waits: Object[bytes_of(count, size_of::<libc::pollfd>())], count: usize);
    SYS_ppoll(waits: Object[bytes_of(count, size_of::<libc::pollfd>())], count: usize, timeout: Object[TIMESPEC], mask: Mask);
    SYS_epoll_ctl(_epoll: usize, _operation: usize, _fd: usize, event: Source[EVENT]);
    SYS_epoll_wait(_epoll: usize, events: Target<EVENT>[bytes_of(room, EVENT)], room: c_int);
    SYS_epoll_pwait(_epoll: usize, events: Target<EVENT>[bytes_of(room, EVENT)], room: c_int, _timeout: usize, mask: Mask);
    SYS_nanosleep(time: Source[TIMESPEC], left: Object[TIMESPEC]);
    SYS_clock_gettime(_clock: usize, time: Object[TIMESPEC]);
    SYS_clock_getres(_clock: usize, time: Object[TIMESPEC]);
    SYS_clock_settime(_clock: usize, time: Source[TIMESPEC]);
    SYS_clock_nanosleep(_clock: usize, _flags: usize, time: Source[TIMESPEC], left: Object[TIMESPEC]);
    SYS_gettimeofday(time: Object[16], zone: Object[8]);
    SYS_timerfd_settime(_fd: usize, _flags: usize, new: Source[ITIMER], old: Object[ITIMER]);
    SYS_timerfd_gettime(_fd: usize, value: Object[ITIMER]);
    SYS_wait4(_process: usize, status: Object[4], _options: usize, usage: Object[size_of::<libc::rusage>()]);
    SYS_waitid(_kind: usize, _id: usize, info: Object[size_of::<libc::siginfo_t>()], _options: usize, usage: Object[size_of::<libc::rusage>()]);
    SYS_getrusage(_who: usize, usage: Object[size_of::<libc::rusage>()]);
    SYS_times(times: Object[size_of::<libc::tms>()]);
    SYS_uname(names: Object[size_of::<libc::utsname>()]);
    SYS_sysinfo(info: Object[size_of::<libc::sysinfo>()]);
    SYS_getrlimit(_what: usize, limit: Object[16]);
    SYS_setrlimit(_what: usize, limit: Source[16]);
    SYS_prlimit64(_process: usize, _what: usize, new: Source[16], old: Object[16]);
    SYS_getgroups(room: c_int, groups: Target<4>[bytes_of(room, 4)]);
    SYS_sched_setaffinity(_process: usize, bytes: usize, set: Source[bytes]);
    SYS_sched_getaffinity(_process: usize, bytes: usize, set: Target[bytes]);
    SYS_getcpu(processor: Object[4], node: Object[4]);
}

/// Threads of one node may wait at a word of the window. The kernel needs the word's page: it is fetched first, and
/// again if it was gone before the kernel has looked. Which node a page is at does not matter once a thread sleeps.
///
/// # Safety
/// The arguments are those of the system call.
unsafe fn futex(next: Call, [word, operation, value, timeout, other, last]: [usize; 6]) -> c_long {
    let command = operation as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    let has_timeout = matches!(
        command,
        libc::FUTEX_WAIT
            | libc::FUTEX_WAIT_BITSET
            | libc::FUTEX_LOCK_PI
            | FUTEX_LOCK_PI2
            | libc::FUTEX_WAIT_REQUEUE_PI
    );
    let has_other = matches!(
        command,
        libc::FUTEX_REQUEUE
            | libc::FUTEX_CMP_REQUEUE
            | libc::FUTEX_WAKE_OP
            | libc::FUTEX_WAIT_REQUEUE_PI
            | libc::FUTEX_CMP_REQUEUE_PI
    );
    let only_reads = matches!(
        command,
        libc::FUTEX_WAIT | libc::FUTEX_WAKE | libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAKE_BITSET
    );
    let mut frame = Frame::new();
    let private = if has_timeout {
        // SAFETY: a time, or null.
        let time = unsafe { Source(timeout as *const _).enter(&mut frame, TIMESPEC) };
        time.to_register()
    } else {
        timeout
    };
    let before = errno();
    loop {
        for word in [Some(word), has_other.then_some(other)]
            .into_iter()
            .flatten()
        {
            if shared(word as *const u32) {
                // SAFETY: a word, as the program says.
                unsafe { fetch(word, only_reads) };
            }
        }
        // SAFETY: the program's own call.
        let result = unsafe {
            next(
                libc::SYS_futex,
                word,
                operation,
                value,
                private,
                other,
                last,
            )
        };
        let gone = shared(word as *const u32) || has_other && shared(other as *const u32);
        if result != -1 || !gone || errno() != libc::EFAULT {
            return result;
        }
        set_errno(before);
    }
}

const FUTEX_LOCK_PI2: c_int = 13;

/// Has the page of a word here, with the right to write to it unless it is only read.
///
/// # Safety
/// An aligned word, or the program ends, as the kernel would have the call fail.
unsafe fn fetch(word: usize, only_reads: bool) {
    // SAFETY: by the contract above.
    let word = unsafe { AtomicU32::from_ptr((word & !3) as *mut u32) };
    // Relaxed: what the word says is for the kernel to look at.
    if only_reads {
        std::hint::black_box(word.load(Ordering::Relaxed));
    } else {
        word.fetch_or(0, Ordering::Relaxed);
    }
}
