//! System calls in which threads wait.

use super::files::OpenFile;

/// Those with a name here may be waited in for long; others are told by number. The flag: its first argument is a descriptor.
const NAMES: [(i64, &str, bool); 71] = [
    (libc::SYS_read, "read", true),
    (libc::SYS_write, "write", true),
    (libc::SYS_open, "open", false),
    (libc::SYS_openat, "openat", false),
    (libc::SYS_close, "close", true),
    (libc::SYS_stat, "stat", false),
    (libc::SYS_newfstatat, "newfstatat", false),
    (libc::SYS_poll, "poll", false),
    (libc::SYS_ppoll, "ppoll", false),
    (libc::SYS_select, "select", false),
    (libc::SYS_pselect6, "pselect6", false),
    (libc::SYS_pread64, "pread64", true),
    (libc::SYS_pwrite64, "pwrite64", true),
    (libc::SYS_readv, "readv", true),
    (libc::SYS_writev, "writev", true),
    (libc::SYS_preadv, "preadv", true),
    (libc::SYS_pwritev, "pwritev", true),
    (libc::SYS_pause, "pause", false),
    (libc::SYS_nanosleep, "nanosleep", false),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", false),
    (libc::SYS_accept, "accept", true),
    (libc::SYS_accept4, "accept4", true),
    (libc::SYS_connect, "connect", true),
    (libc::SYS_sendto, "sendto", true),
    (libc::SYS_sendmsg, "sendmsg", true),
    (libc::SYS_sendmmsg, "sendmmsg", true),
    (libc::SYS_recvfrom, "recvfrom", true),
    (libc::SYS_recvmsg, "recvmsg", true),
    (libc::SYS_recvmmsg, "recvmmsg", true),
    (libc::SYS_wait4, "wait4", false),
    (libc::SYS_waitid, "waitid", false),
    (libc::SYS_semop, "semop", false),
    (libc::SYS_semtimedop, "semtimedop", false),
    (libc::SYS_msgsnd, "msgsnd", false),
    (libc::SYS_msgrcv, "msgrcv", false),
    (libc::SYS_fcntl, "fcntl", true),
    (libc::SYS_flock, "flock", true),
    (libc::SYS_fsync, "fsync", true),
    (libc::SYS_fdatasync, "fdatasync", true),
    (libc::SYS_sync, "sync", false),
    (libc::SYS_ioctl, "ioctl", true),
    (libc::SYS_futex, "futex", false),
    (libc::SYS_epoll_wait, "epoll_wait", true),
    (libc::SYS_epoll_pwait, "epoll_pwait", true),
    (libc::SYS_epoll_pwait2, "epoll_pwait2", true),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", false),
    (libc::SYS_rt_sigsuspend, "rt_sigsuspend", false),
    (libc::SYS_restart_syscall, "restart_syscall", false),
    (libc::SYS_io_getevents, "io_getevents", false),
    (libc::SYS_io_uring_enter, "io_uring_enter", true),
    (libc::SYS_mq_timedsend, "mq_timedsend", true),
    (libc::SYS_mq_timedreceive, "mq_timedreceive", true),
    (libc::SYS_splice, "splice", true),
    (libc::SYS_sendfile, "sendfile", true),
    (libc::SYS_copy_file_range, "copy_file_range", true),
    (libc::SYS_mmap, "mmap", false),
    (libc::SYS_munmap, "munmap", false),
    (libc::SYS_mprotect, "mprotect", false),
    (libc::SYS_madvise, "madvise", false),
    (libc::SYS_unlink, "unlink", false),
    (libc::SYS_rename, "rename", false),
    (libc::SYS_getdents64, "getdents64", true),
    (libc::SYS_clone, "clone", false),
    (libc::SYS_vfork, "vfork", false),
    (libc::SYS_execve, "execve", false),
    (libc::SYS_exit, "exit", false),
    (libc::SYS_exit_group, "exit_group", false),
    (libc::SYS_sched_yield, "sched_yield", false),
    (libc::SYS_ptrace, "ptrace", false),
    (libc::SYS_getrandom, "getrandom", false),
    (libc::SYS_futex_waitv, "futex_waitv", false),
];

/// The call's name.
pub fn name(number: i64) -> String {
    match NAMES.iter().find(|entry| entry.0 == number) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("system call {number}"),
    }
}

/// The descriptor that a call works on.
pub fn descriptor(number: i64, arguments: &[u64; 6]) -> Option<i32> {
    let entry = NAMES.iter().find(|entry| entry.0 == number)?;
    // Descriptors are ints: the upper half says nothing.
    entry.2.then_some(arguments[0] as i32)
}

/// Whether a thread that waits in this call could see it fail, with EINTR, if it is stopped for a moment: signal(7), "Interruption of
/// system calls and library functions by stop signals". Sockets do so if they have a time limit, which can't be told from here.
pub fn fails_if_stopped(number: i64, is_socket: bool) -> bool {
    const ALWAYS: [i64; 9] = [
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_semop,
        libc::SYS_semtimedop,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_io_getevents,
        libc::SYS_io_uring_enter,
        libc::SYS_ptrace,
    ];
    ALWAYS.contains(&number) || is_socket
}

impl OpenFile {
    /// A socket.
    pub fn is_socket(&self) -> bool {
        self.name.starts_with("socket:")
    }
}
