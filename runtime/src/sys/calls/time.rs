//! Clocks, timers and waits until a time.

use std::ffi::c_int;

use libc::{clockid_t, pthread_t};

use super::kinds::{Object, Opaque, Source};

const TIMESPEC: usize = size_of::<libc::timespec>();
const TIMEVAL: usize = size_of::<libc::timeval>();
const ITIMER: usize = size_of::<libc::itimerspec>();
const TIMEX: usize = size_of::<libc::timex>();
const SIGEVENT: usize = size_of::<libc::sigevent>();

calls! {
    fn time(time: Object[8]) -> i64;
    fn gettimeofday(time: Object[TIMEVAL], zone: Object[8]) -> c_int;
    fn settimeofday(time: Source[TIMEVAL], zone: Source[8]) -> c_int;
    fn clock_gettime(clock: clockid_t, time: Object[TIMESPEC]) -> c_int;
    fn clock_getres(clock: clockid_t, time: Object[TIMESPEC]) -> c_int;
    fn clock_settime(clock: clockid_t, time: Source[TIMESPEC]) -> c_int;
    fn clock_nanosleep(clock: clockid_t, flags: c_int, time: Source[TIMESPEC], left: Object[TIMESPEC]) -> c_int;
    fn nanosleep(time: Source[TIMESPEC], left: Object[TIMESPEC]) -> c_int;
    fn adjtimex(state: Object[TIMEX]) -> c_int;
    fn clock_adjtime(clock: clockid_t, state: Object[TIMEX]) -> c_int;
    fn ntp_adjtime(state: Object[TIMEX]) -> c_int;
    fn getitimer(which: c_int, timer: Object[ITIMER]) -> c_int;
    fn setitimer(which: c_int, timer: Source[ITIMER], old: Object[ITIMER]) -> c_int;
    fn timer_create(clock: clockid_t, event: Source[SIGEVENT], timer: Object[8]) -> c_int;
    fn timer_settime(timer: Opaque, flags: c_int, new: Source[ITIMER], old: Object[ITIMER]) -> c_int;
    fn timer_gettime(timer: Opaque, value: Object[ITIMER]) -> c_int;
    fn timerfd_settime(fd: c_int, flags: c_int, new: Source[ITIMER], old: Object[ITIMER]) -> c_int;
    fn timerfd_gettime(fd: c_int, value: Object[ITIMER]) -> c_int;

    // The objects belong to one process and lie in private memory; the time may not.
    fn pthread_cond_timedwait(condition: Opaque, mutex: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn pthread_cond_clockwait(condition: Opaque, mutex: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
    fn pthread_mutex_timedlock(mutex: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn pthread_mutex_clocklock(mutex: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
    fn pthread_rwlock_timedrdlock(lock: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn pthread_rwlock_timedwrlock(lock: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn pthread_rwlock_clockrdlock(lock: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
    fn pthread_rwlock_clockwrlock(lock: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
    fn pthread_clockjoin_np(thread: pthread_t, result: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
    fn pthread_timedjoin_np(thread: pthread_t, result: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn sem_timedwait(semaphore: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn mtx_timedlock(mutex: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn cnd_timedwait(condition: Opaque, mutex: Opaque, until: Source[TIMESPEC]) -> c_int;
    fn thrd_sleep(time: Source[TIMESPEC], left: Object[TIMESPEC]) -> c_int;
    fn sem_clockwait(semaphore: Opaque, clock: clockid_t, until: Source[TIMESPEC]) -> c_int;
}
