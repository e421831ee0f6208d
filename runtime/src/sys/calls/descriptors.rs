//! Making descriptors, naming sockets, and waiting for either.

use std::ffi::c_int;

use libc::{nfds_t, socklen_t};

use super::kinds::{Mask, Named, Object, Source, Target, bytes_of};

const TIMESPEC: usize = size_of::<libc::timespec>();
const TIMEVAL: usize = size_of::<libc::timeval>();
const POLLFD: usize = size_of::<libc::pollfd>();
const EVENT: usize = size_of::<libc::epoll_event>();
/// What the kernel reads and writes of a set of signals.
const SIGNALS: usize = 8;
const STACK: usize = size_of::<libc::stack_t>();
const SIGNAL_INFO: usize = size_of::<libc::siginfo_t>();

calls! {
    fn tcgetwinsize(fd: c_int, size: Object[8]) -> c_int;
    fn tcsetwinsize(fd: c_int, size: Source[8]) -> c_int;
    fn pipe(pair: Object[8]) -> c_int;
    fn pipe2(pair: Object[8], flags: c_int) -> c_int;
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: Object[8]) -> c_int;
    fn bind(fd: c_int, address: Source[bytes_of(length, 1)], length: socklen_t) -> c_int;
    fn connect(fd: c_int, address: Source[bytes_of(length, 1)], length: socklen_t) -> c_int;
    fn accept(fd: c_int, address: Named[length.0 as usize], length: Object[4]) -> c_int;
    fn accept4(fd: c_int, address: Named[length.0 as usize], length: Object[4], flags: c_int) -> c_int;
    fn getsockname(fd: c_int, address: Named[length.0 as usize], length: Object[4]) -> c_int;
    fn getpeername(fd: c_int, address: Named[length.0 as usize], length: Object[4]) -> c_int;
    fn getsockopt(fd: c_int, level: c_int, option: c_int, value: Named[length.0 as usize], length: Object[4]) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, option: c_int, value: Source[bytes_of(length, 1)], length: socklen_t) -> c_int;

    fn poll(waits: Object[bytes_of(count, POLLFD)], count: nfds_t, timeout_ms: c_int) -> c_int;
    fn __poll_chk(waits: Object[bytes_of(count, POLLFD)], count: nfds_t, timeout_ms: c_int, room: usize) -> c_int;
    fn ppoll(waits: Object[bytes_of(count, POLLFD)], count: nfds_t, timeout: Source[TIMESPEC], mask: Mask) -> c_int;
    fn __ppoll_chk(waits: Object[bytes_of(count, POLLFD)], count: nfds_t, timeout: Source[TIMESPEC], mask: Mask, room: usize) -> c_int;
    fn select(count: c_int, read: Object[bits(count)], write: Object[bits(count)], other: Object[bits(count)], timeout: Object[TIMEVAL]) -> c_int;
    fn pselect(count: c_int, read: Object[bits(count)], write: Object[bits(count)], other: Object[bits(count)], timeout: Source[TIMESPEC], mask: Mask) -> c_int;
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: Source[EVENT]) -> c_int;
    fn epoll_wait(epoll: c_int, events: Target<EVENT>[bytes_of(room, EVENT)], room: c_int, timeout_ms: c_int) -> c_int;
    fn epoll_pwait(epoll: c_int, events: Target<EVENT>[bytes_of(room, EVENT)], room: c_int, timeout_ms: c_int, mask: Mask) -> c_int;
    fn epoll_pwait2(epoll: c_int, events: Target<EVENT>[bytes_of(room, EVENT)], room: c_int, timeout: Source[TIMESPEC], mask: Mask) -> c_int;
    fn signalfd(fd: c_int, signals: Source[SIGNALS], flags: c_int) -> c_int;
    fn sigpending(signals: Object[SIGNALS]) -> c_int;
    fn sigwaitinfo(signals: Source[SIGNALS], info: Object[SIGNAL_INFO]) -> c_int;
    fn sigtimedwait(signals: Source[SIGNALS], info: Object[SIGNAL_INFO], timeout: Source[TIMESPEC]) -> c_int;
    fn sigaltstack(new: Source[STACK], old: Object[STACK]) -> c_int;
    fn sigwait(signals: Source[SIGNALS], signal: Object[4]) -> c_int;
}

/// Bytes of a set of `count` descriptors.
fn bits(count: c_int) -> usize {
    bytes_of(count, 1).div_ceil(64) * 8
}
