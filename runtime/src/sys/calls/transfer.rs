//! Bytes to and from descriptors.

use std::ffi::{c_int, c_void};

use libc::{off_t, socklen_t};

use super::frame::Frame;
use super::kinds::{
    Argument, Gather, Named, Object, Received, ReceivedMany, Scatter, Sent, SentMany, Source,
    Target, bytes_of,
};
use super::shared;

const TIMESPEC_BYTES: usize = size_of::<libc::timespec>();

calls! {
    fn read(fd: c_int, buffer: Target[count], count: usize) -> isize;
    fn __read_chk(fd: c_int, buffer: Target[count], count: usize, room: usize) -> isize;
    fn pread(fd: c_int, buffer: Target[count], count: usize, offset: off_t) -> isize;
    fn pread64(fd: c_int, buffer: Target[count], count: usize, offset: off_t) -> isize;
    fn __pread_chk(fd: c_int, buffer: Target[count], count: usize, offset: off_t, room: usize) -> isize;
    fn __pread64_chk(fd: c_int, buffer: Target[count], count: usize, offset: off_t, room: usize) -> isize;

    fn readv(fd: c_int, vector: Scatter[bytes_of(count, 1)], count: c_int) -> isize;
    fn writev(fd: c_int, vector: Gather[bytes_of(count, 1)], count: c_int) -> isize;
    fn preadv(fd: c_int, vector: Scatter[bytes_of(count, 1)], count: c_int, offset: off_t) -> isize;
    fn preadv64(fd: c_int, vector: Scatter[bytes_of(count, 1)], count: c_int, offset: off_t) -> isize;
    fn pwritev(fd: c_int, vector: Gather[bytes_of(count, 1)], count: c_int, offset: off_t) -> isize;
    fn pwritev64(fd: c_int, vector: Gather[bytes_of(count, 1)], count: c_int, offset: off_t) -> isize;
    fn preadv2(fd: c_int, vector: Scatter[bytes_of(count, 1)], count: c_int, offset: off_t, flags: c_int) -> isize;
    fn preadv64v2(fd: c_int, vector: Scatter[bytes_of(count, 1)], count: c_int, offset: off_t, flags: c_int) -> isize;
    fn pwritev2(fd: c_int, vector: Gather[bytes_of(count, 1)], count: c_int, offset: off_t, flags: c_int) -> isize;
    fn pwritev64v2(fd: c_int, vector: Gather[bytes_of(count, 1)], count: c_int, offset: off_t, flags: c_int) -> isize;

    fn send(fd: c_int, buffer: Source[count], count: usize, flags: c_int) -> isize;
    fn sendto(fd: c_int, buffer: Source[count], count: usize, flags: c_int, to: Source[bytes_of(length, 1)], length: socklen_t) -> isize;
    fn sendmsg(fd: c_int, message: Sent, flags: c_int) -> isize;
    fn sendmmsg(fd: c_int, messages: SentMany[bytes_of(count, 1)], count: u32, flags: c_int) -> c_int;
    fn recv(fd: c_int, buffer: Target[count], count: usize, flags: c_int) -> isize;
    fn __recv_chk(fd: c_int, buffer: Target[count], count: usize, room: usize, flags: c_int) -> isize;
    fn recvfrom(fd: c_int, buffer: Target[count], count: usize, flags: c_int, from: Named[length.0 as usize], length: Object[4]) -> isize;
    fn __recvfrom_chk(fd: c_int, buffer: Target[count], count: usize, room: usize, flags: c_int, from: Named[length.0 as usize], length: Object[4]) -> isize;
    fn recvmsg(fd: c_int, message: Received, flags: c_int) -> isize;
    fn recvmmsg(fd: c_int, messages: ReceivedMany[bytes_of(count, 1)], count: u32, flags: c_int, timeout: Object[TIMESPEC_BYTES]) -> c_int;

    fn sendfile(target: c_int, source: c_int, offset: Object[8], count: usize) -> isize;
    fn sendfile64(target: c_int, source: c_int, offset: Object[8], count: usize) -> isize;
    fn copy_file_range(source: c_int, source_offset: Object[8], target: c_int, target_offset: Object[8], count: usize, flags: u32) -> isize;
    fn splice(source: c_int, source_offset: Object[8], target: c_int, target_offset: Object[8], count: usize, flags: u32) -> isize;
    fn getrandom(buffer: Target[count], count: usize, flags: u32) -> isize;
    fn getentropy(buffer: Object[count], count: usize) -> c_int;
    fn getdents64(fd: c_int, buffer: Target[count], count: usize) -> isize;
    fn eventfd_read(fd: c_int, value: Object[8]) -> c_int;
}

own_calls! {
    fn write(fd: c_int, buffer: *const c_void, count: usize) -> isize
        where shared(buffer) => |next| in_pieces(buffer, count, |private, _, bytes| {
            // SAFETY: the program's own call, or a part of it.
            unsafe { next(fd, private, bytes) }
        });
    fn pwrite(fd: c_int, buffer: *const c_void, count: usize, offset: off_t) -> isize
        where shared(buffer) => |next| in_pieces(buffer, count, |private, done, bytes| {
            // SAFETY: the program's own call, or a part of it.
            unsafe { next(fd, private, bytes, offset + done as off_t) }
        });
    fn pwrite64(fd: c_int, buffer: *const c_void, count: usize, offset: off_t) -> isize
        where shared(buffer) => |next| in_pieces(buffer, count, |private, done, bytes| {
            // SAFETY: the program's own call, or a part of it.
            unsafe { next(fd, private, bytes, offset + done as off_t) }
        });
}

/// Writes by `call(private copy, bytes written before, bytes)`, in pieces, so that a large write does not need as
/// much memory again. What a piece left ends the write, as the kernel does it.
pub fn in_pieces(
    buffer: *const c_void,
    count: usize,
    mut call: impl FnMut(*const c_void, usize, usize) -> isize,
) -> isize {
    let mut done = 0;
    loop {
        let bytes = PIECE_BYTES.min(count - done);
        let mut frame = Frame::new();
        let rest = buffer.wrapping_byte_add(done);
        // SAFETY: within what the program has passed.
        let private = unsafe { Source(rest).enter(&mut frame, bytes) };
        let result = call(private.0, done, bytes);
        match usize::try_from(result) {
            Ok(written) => done += written,
            Err(_) if done == 0 => return result,
            // The error comes again with the next write.
            Err(_) => return done.cast_signed(),
        }
        if result != bytes.cast_signed() || done == count {
            return done.cast_signed();
        }
    }
}

/// Larger than any datagram.
pub const PIECE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// A write of that many bytes of which piece N is answered by `answers[N]`; the result, and where pieces began.
    fn write_in_pieces(count: usize, answers: &[isize]) -> (isize, Vec<usize>) {
        let mut starts = Vec::new();
        let private = 64 as *const c_void;
        let result = in_pieces(private, count, |_, done, bytes| {
            assert!(bytes <= PIECE_BYTES);
            starts.push(done);
            answers[starts.len() - 1]
        });
        (result, starts)
    }

    #[test]
    fn a_write_in_pieces_ends_as_one_of_the_kernel() {
        let piece = PIECE_BYTES as isize;
        assert_eq!(write_in_pieces(0, &[0]), (0, vec![0]));
        assert_eq!(write_in_pieces(10, &[10]), (10, vec![0]));
        assert_eq!(write_in_pieces(10, &[-1]), (-1, vec![0]));
        let large = PIECE_BYTES + 10;
        assert_eq!(
            write_in_pieces(large, &[piece, 10]),
            (piece + 10, vec![0, PIECE_BYTES])
        );
        assert_eq!(
            write_in_pieces(large, &[piece, 3]),
            (piece + 3, vec![0, PIECE_BYTES])
        );
        assert_eq!(
            write_in_pieces(large, &[piece, -1]),
            (piece, vec![0, PIECE_BYTES])
        );
        assert_eq!(write_in_pieces(large, &[5]), (5, vec![0]));
    }
}
