//! Calls whose argument is what their request says: a number, or a pointer to something of its size.

use std::ffi::{c_int, c_ulong, c_void};

use super::frame::Frame;
use super::kinds::{Argument, Object, Outcome, Text};
use super::shared;

own_calls! {
    fn fcntl(fd: c_int, request: c_int, argument: *mut c_void) -> c_int
        where shared(argument) => |next| with_object(argument, lock_bytes(request), |object| {
            // SAFETY: the program's own call.
            unsafe { next(fd, request, object) }
        });
    fn fcntl64(fd: c_int, request: c_int, argument: *mut c_void) -> c_int
        where shared(argument) => |next| with_object(argument, lock_bytes(request), |object| {
            // SAFETY: the program's own call.
            unsafe { next(fd, request, object) }
        });
    fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int
        where shared(argument) => |next| with_object(argument, device_bytes(request), |object| {
            // SAFETY: the program's own call.
            unsafe { next(fd, request, object) }
        });
    fn prctl(request: c_int, argument: *mut c_void, third: c_ulong, fourth: c_ulong, fifth: c_ulong) -> c_int
        where shared(argument) => |next| {
            if request == libc::PR_SET_NAME {
                let mut frame = Frame::new();
                // SAFETY: a string, as the program says.
                let name = unsafe { Text(argument.cast()).enter(&mut frame, 0) };
                // SAFETY: the program's own call.
                return unsafe { next(request, name.0.cast_mut().cast(), third, fourth, fifth) };
            }
            with_object(argument, process_bytes(request), |object| {
                // SAFETY: the program's own call.
                unsafe { next(request, object, third, fourth, fifth) }
            })
        };
}

/// A call on an object of this size; 0: nobody knows what the argument is, and the kernel gets it as it is.
fn with_object(
    argument: *mut c_void,
    bytes: usize,
    call: impl FnOnce(*mut c_void) -> c_int,
) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: the request says that the program has passed an object of this size.
    let private = unsafe { Object(argument).enter(&mut frame, bytes) };
    let result = call(private.0);
    // SAFETY: the call is over.
    unsafe { frame.leave(result.count()) };
    result
}

fn lock_bytes(request: c_int) -> usize {
    match request {
        libc::F_GETLK
        | libc::F_SETLK
        | libc::F_SETLKW
        | libc::F_OFD_GETLK
        | libc::F_OFD_SETLK
        | libc::F_OFD_SETLKW => size_of::<libc::flock>(),
        // Owner of signals, and its kind.
        F_SETOWN_EX | F_GETOWN_EX => 8,
        // Life time of what is written.
        F_GET_RW_HINT..=F_SET_FILE_RW_HINT => 8,
        _ => 0,
    }
}

const F_SETOWN_EX: c_int = 15;
const F_GETOWN_EX: c_int = 16;
const F_GET_RW_HINT: c_int = 1035;
const F_SET_FILE_RW_HINT: c_int = 1038;

fn process_bytes(request: c_int) -> usize {
    match request {
        libc::PR_GET_NAME => 16,
        libc::PR_GET_PDEATHSIG
        | libc::PR_GET_UNALIGN
        | libc::PR_GET_FPEMU
        | libc::PR_GET_FPEXC
        | libc::PR_GET_ENDIAN
        | libc::PR_GET_TSC
        | libc::PR_GET_CHILD_SUBREAPER => 4,
        _ => 0,
    }
}

/// A request of today has the size in it; those of old are a list.
fn device_bytes(request: c_ulong) -> usize {
    let has_size = request >> 30 & 3 != 0;
    if has_size {
        return (request >> 16 & 0x3fff) as usize;
    }
    match request {
        // Settings of a terminal, as the kernel has them.
        0x5401..=0x5404 => 36,
        // Its foreground processes, what waits to be sent, its modem lines, its session, its line discipline.
        0x540f..=0x5411 | 0x5415..=0x5418 | 0x5423 | 0x5424 | 0x5429 => 4,
        // Its size.
        0x5413 | 0x5414 => 8,
        // Bytes that can be read; whether calls wait, or tell by a signal.
        0x541b | 0x5421 | 0x5452 => 4,
        // Sockets: urgent data, time of the last packet, interfaces.
        0x8905 => 4,
        0x8906 | 0x8907 => 16,
        0x8910..=0x8911 | 0x8913..=0x8970 => 40,
        // Block devices: size, and size of a sector.
        0x1260 => 8,
        0x1268 => 4,
        _ => 0,
    }
}
