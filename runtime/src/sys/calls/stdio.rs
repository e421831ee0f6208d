//! Streams that hand large buffers to the kernel as they are.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use libc::FILE;

use super::frame::{Frame, put};
use super::kinds::{Opaque, Text, bytes_of};
use super::shared;
use super::transfer::{PIECE_BYTES, in_pieces};

calls! {
    fn fputs(text: Text, stream: Opaque) -> c_int;
    fn fputs_unlocked(text: Text, stream: Opaque) -> c_int;
    fn puts(text: Text) -> c_int;
    fn perror(text: Text) -> ();
    fn herror(text: Text) -> ();
}

own_calls! {
    fn fwrite(buffer: *const c_void, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| drain(buffer, bytes, count, |private, piece| {
            // SAFETY: the program's own call, or a part of it.
            unsafe { next(private, 1, piece, stream) }
        });
    fn fwrite_unlocked(buffer: *const c_void, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| drain(buffer, bytes, count, |private, piece| {
            // SAFETY: the program's own call, or a part of it.
            unsafe { next(private, 1, piece, stream) }
        });
    fn fread(buffer: *mut c_void, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| fill(buffer, bytes, count, |private, all| {
            // SAFETY: the program's own call.
            unsafe { next(private, 1, all, stream) }
        });
    fn fread_unlocked(buffer: *mut c_void, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| fill(buffer, bytes, count, |private, all| {
            // SAFETY: the program's own call.
            unsafe { next(private, 1, all, stream) }
        });
    fn __fread_chk(buffer: *mut c_void, room: usize, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| fill(buffer, bytes, count, |private, all| {
            // SAFETY: the program's own call.
            unsafe { next(private, room, 1, all, stream) }
        });
    fn __fread_unlocked_chk(buffer: *mut c_void, room: usize, bytes: usize, count: usize, stream: *mut FILE) -> usize
        where shared(buffer) => |next| fill(buffer, bytes, count, |private, all| {
            // SAFETY: the program's own call.
            unsafe { next(private, room, 1, all, stream) }
        });

    // A stream's buffer is used by calls that nobody stands before: the library takes one of its own instead.
    fn setvbuf(stream: *mut FILE, buffer: *mut c_char, mode: c_int, bytes: usize) -> c_int
        // SAFETY: the program's stream.
        where shared(buffer) => |next| unsafe { next(stream, ptr::null_mut(), mode, bytes) };
    fn setbuffer(stream: *mut FILE, buffer: *mut c_char, bytes: usize) -> ()
        where shared(buffer) => |_next| {
            // SAFETY: the program's stream.
            unsafe { setvbuf(stream, ptr::null_mut(), libc::_IOFBF, bytes) };
        };
    fn setbuf(stream: *mut FILE, buffer: *mut c_char) -> ()
        where shared(buffer) => |_next| {
            // SAFETY: the program's stream.
            unsafe { setvbuf(stream, ptr::null_mut(), libc::_IOFBF, libc::BUFSIZ as usize) };
        };
}

/// A read of `count` elements, done as some of bytes by `call(private memory, bytes)`. The last element may be there
/// in part, as with the C library.
fn fill(
    buffer: *mut c_void,
    bytes: usize,
    count: usize,
    mut call: impl FnMut(*mut c_void, usize) -> usize,
) -> usize {
    let all = bytes_of(count, bytes);
    let mut done = 0;
    while done < all {
        let piece = PIECE_BYTES.min(all - done);
        let rest = buffer.wrapping_byte_add(done);
        let mut frame = Frame::new();
        let Some(private) = frame.take(piece) else {
            done += call(rest, piece);
            break;
        };
        let read = call(private.cast(), piece);
        // SAFETY: the call has put so many bytes there, and no more were asked for.
        unsafe { put(private, rest.cast(), read) };
        done += read;
        if read < piece {
            break;
        }
    }
    elements(done, bytes, count)
}

/// A write of `count` elements, done as some of bytes by `call(private copy, bytes)`.
fn drain(
    buffer: *const c_void,
    bytes: usize,
    count: usize,
    mut call: impl FnMut(*const c_void, usize) -> usize,
) -> usize {
    let all = bytes_of(count, bytes);
    let done = in_pieces(buffer, all, |private, _, piece| {
        call(private, piece).cast_signed()
    });
    elements(done.cast_unsigned(), bytes, count)
}

/// How many whole elements these bytes are, of so many at most.
fn elements(done: usize, bytes: usize, count: usize) -> usize {
    done.checked_div(bytes).unwrap_or(0).min(count)
}
