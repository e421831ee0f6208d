//! The printf family. Which of its arguments are strings in shared memory only the format tells, so all of them are
//! formatted into private memory first.

use std::ffi::{c_char, c_int};
use std::ptr;

use libc::FILE;

use super::frame::Frame;
use super::stdio::fwrite;
use super::transfer::write;
use crate::sys::process::set_errno;

/// C's `va_list`, which functions get as a pointer to it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Arguments {
    /// Into `saved`: the next one that was passed in a general register.
    general: u32,
    /// Likewise in a vector register.
    vector: u32,
    /// The next one that was passed on the stack.
    stack: *const u8,
    /// Registers as they were at the call.
    saved: *const u8,
}

impl Arguments {
    /// The next one that is a pointer or an integer.
    ///
    /// # Safety
    /// There is one.
    pub unsafe fn next(&mut self) -> usize {
        let from = if self.general < GENERAL_BYTES {
            // SAFETY: within the saved registers.
            let register = unsafe { self.saved.add(self.general as usize) };
            self.general += 8;
            register
        } else {
            let from = self.stack;
            // SAFETY: by the contract above it is one of the arguments on the stack.
            self.stack = unsafe { from.add(8) };
            from
        };
        // SAFETY: an argument takes 8 bytes.
        unsafe { from.cast::<usize>().read_unaligned() }
    }
}

/// Six registers.
const GENERAL_BYTES: u32 = 48;

unsafe extern "C" {
    static stdout: *mut FILE;
    fn vsnprintf(
        target: *mut c_char,
        room: usize,
        format: *const c_char,
        arguments: *mut Arguments,
    ) -> c_int;
    fn __vsnprintf_chk(
        target: *mut c_char,
        room: usize,
        flag: c_int,
        there: usize,
        format: *const c_char,
        arguments: *mut Arguments,
    ) -> c_int;
}

variadic! {
    printf, 8, "rsi", vprintf;
    __printf_chk, 16, "rdx", __vprintf_chk;
    fprintf, 16, "rdx", vfprintf;
    __fprintf_chk, 24, "rcx", __vfprintf_chk;
    dprintf, 16, "rdx", vdprintf;
    __dprintf_chk, 24, "rcx", __vdprintf_chk;
}

/// Before a format: who wants `%n` in memory that can be written refused.
const UNCHECKED: c_int = 0;

own_calls! {
    fn vprintf(format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_stream(stdout, UNCHECKED, format, arguments) };
    fn __vprintf_chk(flag: c_int, format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_stream(stdout, flag, format, arguments) };
    fn vfprintf(stream: *mut FILE, format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_stream(stream, UNCHECKED, format, arguments) };
    fn __vfprintf_chk(stream: *mut FILE, flag: c_int, format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_stream(stream, flag, format, arguments) };
    fn vdprintf(fd: c_int, format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_descriptor(fd, UNCHECKED, format, arguments) };
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: *mut Arguments) -> c_int
        // SAFETY: the program's format and arguments.
        where true => |_next| unsafe { to_descriptor(fd, flag, format, arguments) };
}

/// # Safety
/// A stream, a format, and arguments that it describes.
unsafe fn to_stream(
    stream: *mut FILE,
    flag: c_int,
    format: *const c_char,
    arguments: *mut Arguments,
) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: by the contract above.
    let Some((text, bytes)) = (unsafe { formatted(&mut frame, flag, format, arguments) }) else {
        return -1;
    };
    // SAFETY: private memory of that many bytes, and the program's stream.
    let done = unsafe { fwrite(text.cast(), 1, bytes, stream) };
    if done == bytes { bytes as c_int } else { -1 }
}

/// # Safety
/// A format, and arguments that it describes.
unsafe fn to_descriptor(
    fd: c_int,
    flag: c_int,
    format: *const c_char,
    arguments: *mut Arguments,
) -> c_int {
    let mut frame = Frame::new();
    // SAFETY: by the contract above.
    let Some((text, bytes)) = (unsafe { formatted(&mut frame, flag, format, arguments) }) else {
        return -1;
    };
    let mut written = 0;
    while written < bytes {
        // SAFETY: within the text.
        let rest = unsafe { text.add(written) };
        // SAFETY: private memory of that many bytes.
        let done = unsafe { write(fd, rest.cast(), bytes - written) };
        let Ok(done) = usize::try_from(done) else {
            return -1;
        };
        written += done;
    }
    bytes as c_int
}

/// The text and its length, in private memory; nothing, with errno, if it can't be made.
///
/// # Safety
/// A format, and arguments that it describes.
unsafe fn formatted(
    frame: &mut Frame,
    flag: c_int,
    format: *const c_char,
    arguments: *mut Arguments,
) -> Option<(*mut u8, usize)> {
    // errno is an argument of `%m`, so nothing comes before the formatting that could change it.
    let print = |target: *mut u8, room: usize| {
        // SAFETY: by the contract above.
        let mut copy = unsafe { *arguments };
        let (target, copy) = (target.cast(), ptr::from_mut(&mut copy));
        let length = match flag {
            // SAFETY: by the contract above; the target has that room.
            UNCHECKED => unsafe { vsnprintf(target, room, format, copy) },
            // SAFETY: as above.
            flag => unsafe { __vsnprintf_chk(target, room, flag, usize::MAX, format, copy) },
        };
        usize::try_from(length).ok()
    };
    let room = SHORT_BYTES;
    let text = frame.take(room)?;
    let length = print(text, room)?;
    if length < room {
        return Some((text, length));
    }
    let room = length.checked_add(1)?;
    let Some(text) = frame.take(room) else {
        set_errno(libc::ENOMEM);
        return None;
    };
    // It may be longer than before, if a string has changed meanwhile.
    Some((text, print(text, room)?.min(length)))
}

/// What most lines fit into; the frame has it without mapping memory.
const SHORT_BYTES: usize = 768;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_from_the_registers_and_then_from_the_stack() {
        let saved = [10_usize, 11, 12, 13, 14, 15];
        let stack = [16_usize, 17];
        let mut arguments = Arguments {
            general: 16,
            vector: GENERAL_BYTES,
            stack: stack.as_ptr().cast(),
            saved: saved.as_ptr().cast(),
        };
        for expected in 12..18 {
            // SAFETY: there are six more.
            assert_eq!(unsafe { arguments.next() }, expected);
        }
    }
}
