//! Names of files, and what is known of them.

use std::ffi::{c_char, c_int, c_void};

use libc::{dev_t, gid_t, mode_t, off_t, uid_t};

use super::frame::Frame;
use super::kinds::{Argument, Object, Opaque, Outcome, Source, Target, Template, Text, Texts};
use super::shared;

const STAT: usize = size_of::<libc::stat>();
const STATX: usize = size_of::<libc::statx>();
const STATFS: usize = size_of::<libc::statfs>();
/// Time of the last access, and of the last change.
const TIMES: usize = 2 * size_of::<libc::timespec>();

calls! {
    fn open(path: Text, flags: c_int, mode: mode_t) -> c_int;
    fn open64(path: Text, flags: c_int, mode: mode_t) -> c_int;
    fn __open_2(path: Text, flags: c_int) -> c_int;
    fn __open64_2(path: Text, flags: c_int) -> c_int;
    fn openat(folder: c_int, path: Text, flags: c_int, mode: mode_t) -> c_int;
    fn openat64(folder: c_int, path: Text, flags: c_int, mode: mode_t) -> c_int;
    fn __openat_2(folder: c_int, path: Text, flags: c_int) -> c_int;
    fn __openat64_2(folder: c_int, path: Text, flags: c_int) -> c_int;
    fn creat(path: Text, mode: mode_t) -> c_int;
    fn creat64(path: Text, mode: mode_t) -> c_int;
    fn fopen(path: Text, mode: Text) -> *mut c_void;
    fn fopen64(path: Text, mode: Text) -> *mut c_void;
    fn freopen(path: Text, mode: Text, stream: Opaque) -> *mut c_void;
    fn freopen64(path: Text, mode: Text, stream: Opaque) -> *mut c_void;
    fn opendir(path: Text) -> *mut c_void;
    fn scandir(path: Text, list: Opaque, filter: Opaque, compare: Opaque) -> c_int;
    fn scandir64(path: Text, list: Opaque, filter: Opaque, compare: Opaque) -> c_int;
    fn ftw(path: Text, visit: Opaque, depth: c_int) -> c_int;
    fn ftw64(path: Text, visit: Opaque, depth: c_int) -> c_int;
    fn nftw(path: Text, visit: Opaque, depth: c_int, flags: c_int) -> c_int;
    fn nftw64(path: Text, visit: Opaque, depth: c_int, flags: c_int) -> c_int;
    fn fts_open(paths: Texts, options: c_int, compare: Opaque) -> *mut c_void;
    fn glob(pattern: Text, flags: c_int, on_error: Opaque, found: Opaque) -> c_int;
    fn glob64(pattern: Text, flags: c_int, on_error: Opaque, found: Opaque) -> c_int;
    fn ftok(path: Text, id: c_int) -> c_int;
    fn mkstemp(path: Template) -> c_int;
    fn mkstemp64(path: Template) -> c_int;
    fn mkostemp(path: Template, flags: c_int) -> c_int;
    fn mkostemp64(path: Template, flags: c_int) -> c_int;
    fn mkstemps(path: Template, suffix: c_int) -> c_int;
    fn mkstemps64(path: Template, suffix: c_int) -> c_int;
    fn mkostemps(path: Template, suffix: c_int, flags: c_int) -> c_int;
    fn mkostemps64(path: Template, suffix: c_int, flags: c_int) -> c_int;
    fn memfd_create(name: Text, flags: u32) -> c_int;
    fn inotify_add_watch(fd: c_int, path: Text, mask: u32) -> c_int;

    fn stat(path: Text, status: Object[STAT]) -> c_int;
    fn stat64(path: Text, status: Object[STAT]) -> c_int;
    fn lstat(path: Text, status: Object[STAT]) -> c_int;
    fn lstat64(path: Text, status: Object[STAT]) -> c_int;
    fn fstat(fd: c_int, status: Object[STAT]) -> c_int;
    fn fstat64(fd: c_int, status: Object[STAT]) -> c_int;
    fn fstatat(folder: c_int, path: Text, status: Object[STAT], flags: c_int) -> c_int;
    fn fstatat64(folder: c_int, path: Text, status: Object[STAT], flags: c_int) -> c_int;
    fn __xstat(version: c_int, path: Text, status: Object[STAT]) -> c_int;
    fn __xstat64(version: c_int, path: Text, status: Object[STAT]) -> c_int;
    fn __lxstat(version: c_int, path: Text, status: Object[STAT]) -> c_int;
    fn __lxstat64(version: c_int, path: Text, status: Object[STAT]) -> c_int;
    fn __fxstat(version: c_int, fd: c_int, status: Object[STAT]) -> c_int;
    fn __fxstat64(version: c_int, fd: c_int, status: Object[STAT]) -> c_int;
    fn __fxstatat(version: c_int, folder: c_int, path: Text, status: Object[STAT], flags: c_int) -> c_int;
    fn __fxstatat64(version: c_int, folder: c_int, path: Text, status: Object[STAT], flags: c_int) -> c_int;
    fn statx(folder: c_int, path: Text, flags: c_int, mask: u32, status: Object[STATX]) -> c_int;
    fn statfs(path: Text, status: Object[STATFS]) -> c_int;
    fn statfs64(path: Text, status: Object[STATFS]) -> c_int;
    fn fstatfs(fd: c_int, status: Object[STATFS]) -> c_int;
    fn fstatfs64(fd: c_int, status: Object[STATFS]) -> c_int;
    fn statvfs(path: Text, status: Opaque) -> c_int;
    fn statvfs64(path: Text, status: Opaque) -> c_int;
    fn pathconf(path: Text, name: c_int) -> isize;
    fn access(path: Text, mode: c_int) -> c_int;
    fn eaccess(path: Text, mode: c_int) -> c_int;
    fn euidaccess(path: Text, mode: c_int) -> c_int;
    fn faccessat(folder: c_int, path: Text, mode: c_int, flags: c_int) -> c_int;
    fn readlink(path: Text, target: Target[room], room: usize) -> isize;
    fn __readlink_chk(path: Text, target: Target[room], room: usize, there: usize) -> isize;
    fn readlinkat(folder: c_int, path: Text, target: Target[room], room: usize) -> isize;
    fn __readlinkat_chk(folder: c_int, path: Text, target: Target[room], room: usize, there: usize) -> isize;
    fn ttyname_r(fd: c_int, name: Object[room], room: usize) -> c_int;

    fn unlink(path: Text) -> c_int;
    fn unlinkat(folder: c_int, path: Text, flags: c_int) -> c_int;
    fn remove(path: Text) -> c_int;
    fn rename(from: Text, to: Text) -> c_int;
    fn renameat(from_folder: c_int, from: Text, to_folder: c_int, to: Text) -> c_int;
    fn renameat2(from_folder: c_int, from: Text, to_folder: c_int, to: Text, flags: u32) -> c_int;
    fn link(from: Text, to: Text) -> c_int;
    fn linkat(from_folder: c_int, from: Text, to_folder: c_int, to: Text, flags: c_int) -> c_int;
    fn symlink(target: Text, path: Text) -> c_int;
    fn symlinkat(target: Text, folder: c_int, path: Text) -> c_int;
    fn mkdir(path: Text, mode: mode_t) -> c_int;
    fn mkdirat(folder: c_int, path: Text, mode: mode_t) -> c_int;
    fn rmdir(path: Text) -> c_int;
    fn mkfifo(path: Text, mode: mode_t) -> c_int;
    fn mkfifoat(folder: c_int, path: Text, mode: mode_t) -> c_int;
    fn mknod(path: Text, mode: mode_t, device: dev_t) -> c_int;
    fn mknodat(folder: c_int, path: Text, mode: mode_t, device: dev_t) -> c_int;
    fn chmod(path: Text, mode: mode_t) -> c_int;
    fn fchmodat(folder: c_int, path: Text, mode: mode_t, flags: c_int) -> c_int;
    fn chown(path: Text, user: uid_t, group: gid_t) -> c_int;
    fn lchown(path: Text, user: uid_t, group: gid_t) -> c_int;
    fn fchownat(folder: c_int, path: Text, user: uid_t, group: gid_t, flags: c_int) -> c_int;
    fn truncate(path: Text, length: off_t) -> c_int;
    fn truncate64(path: Text, length: off_t) -> c_int;
    fn utime(path: Text, times: Source[16]) -> c_int;
    fn utimes(path: Text, times: Source[TIMES]) -> c_int;
    fn lutimes(path: Text, times: Source[TIMES]) -> c_int;
    fn futimes(fd: c_int, times: Source[TIMES]) -> c_int;
    fn futimesat(folder: c_int, path: Text, times: Source[TIMES]) -> c_int;
    fn futimens(fd: c_int, times: Source[TIMES]) -> c_int;
    fn utimensat(folder: c_int, path: Text, times: Source[TIMES], flags: c_int) -> c_int;

    fn getxattr(path: Text, name: Text, value: Target[room], room: usize) -> isize;
    fn lgetxattr(path: Text, name: Text, value: Target[room], room: usize) -> isize;
    fn fgetxattr(fd: c_int, name: Text, value: Target[room], room: usize) -> isize;
    fn setxattr(path: Text, name: Text, value: Source[bytes], bytes: usize, flags: c_int) -> c_int;
    fn lsetxattr(path: Text, name: Text, value: Source[bytes], bytes: usize, flags: c_int) -> c_int;
    fn fsetxattr(fd: c_int, name: Text, value: Source[bytes], bytes: usize, flags: c_int) -> c_int;
    fn listxattr(path: Text, names: Target[room], room: usize) -> isize;
    fn llistxattr(path: Text, names: Target[room], room: usize) -> isize;
    fn flistxattr(fd: c_int, names: Target[room], room: usize) -> isize;
    fn removexattr(path: Text, name: Text) -> c_int;
    fn lremovexattr(path: Text, name: Text) -> c_int;
    fn fremovexattr(fd: c_int, name: Text) -> c_int;

    fn chdir(path: Text) -> c_int;
    fn chroot(path: Text) -> c_int;
    fn mount(device: Text, path: Text, kind: Text, flags: u64, options: Text) -> c_int;
    fn pivot_root(root: Text, old: Text) -> c_int;
    fn fsopen(kind: Text, flags: u32) -> c_int;
    fn fspick(folder: c_int, path: Text, flags: u32) -> c_int;
    fn open_tree(folder: c_int, path: Text, flags: u32) -> c_int;
    fn move_mount(from_folder: c_int, from: Text, to_folder: c_int, to: Text, flags: u32) -> c_int;
    fn mount_setattr(folder: c_int, path: Text, flags: u32, attributes: Source[bytes], bytes: usize) -> c_int;
    fn fanotify_mark(fd: c_int, flags: u32, mask: u64, folder: c_int, path: Text) -> c_int;
    fn umount(path: Text) -> c_int;
    fn umount2(path: Text, flags: c_int) -> c_int;
    fn swapon(path: Text, flags: c_int) -> c_int;
    fn swapoff(path: Text) -> c_int;
    fn acct(path: Text) -> c_int;
}

own_calls! {
    fn getcwd(buffer: *mut c_char, room: usize) -> *mut c_char
        where shared(buffer) => |next| in_place(buffer, room, |private| {
            // SAFETY: the program's own call.
            unsafe { next(private, room) }
        });
    fn __getcwd_chk(buffer: *mut c_char, room: usize, there: usize) -> *mut c_char
        where shared(buffer) => |next| in_place(buffer, room, |private| {
            // SAFETY: the program's own call.
            unsafe { next(private, room, there) }
        });
    fn mkdtemp(path: *mut c_char) -> *mut c_char
        where shared(path) => |next| {
            // SAFETY: the program's string.
            let bytes = unsafe { libc::strlen(path) } + 1;
            in_place(path, bytes, |private| {
                // SAFETY: the program's own call.
                unsafe { next(private) }
            })
        };
}

/// A call that changes these bytes of the program in place and returns their address, or null.
fn in_place(
    buffer: *mut c_char,
    bytes: usize,
    call: impl FnOnce(*mut c_char) -> *mut c_char,
) -> *mut c_char {
    let mut frame = Frame::new();
    // SAFETY: the program has passed so many bytes.
    let private = unsafe { Object(buffer.cast()).enter(&mut frame, bytes) };
    let result = call(private.0.cast());
    // SAFETY: the call is over.
    unsafe { frame.leave(result.cast::<c_void>().count()) };
    if result.is_null() { result } else { buffer }
}
