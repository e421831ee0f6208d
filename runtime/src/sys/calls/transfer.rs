//! Bytes to and from descriptors.

use std::ffi::c_int;

use libc::{off_t, socklen_t};

use super::kinds::{
    Gather, Named, Object, Received, ReceivedMany, Scatter, Sent, SentMany, Source, Target,
    bytes_of,
};

const TIMESPEC_BYTES: usize = size_of::<libc::timespec>();

calls! {
    fn read(fd: c_int, buffer: Target[count], count: usize) -> isize;
    fn __read_chk(fd: c_int, buffer: Target[count], count: usize, room: usize) -> isize;
    fn write(fd: c_int, buffer: Source[count], count: usize) -> isize;
    fn pread(fd: c_int, buffer: Target[count], count: usize, offset: off_t) -> isize;
    fn pread64(fd: c_int, buffer: Target[count], count: usize, offset: off_t) -> isize;
    fn __pread_chk(fd: c_int, buffer: Target[count], count: usize, offset: off_t, room: usize) -> isize;
    fn __pread64_chk(fd: c_int, buffer: Target[count], count: usize, offset: off_t, room: usize) -> isize;
    fn pwrite(fd: c_int, buffer: Source[count], count: usize, offset: off_t) -> isize;
    fn pwrite64(fd: c_int, buffer: Source[count], count: usize, offset: off_t) -> isize;

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
