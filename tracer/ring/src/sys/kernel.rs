//! System calls, as long as the program hasn't forbidden itself any. Errors are the positive errno; the program's `errno` is not touched.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

/// What a system call gives.
pub type Answer = Result<usize, i32>;

/// Set when the program may have forbidden itself system calls (seccomp), perhaps at the price of its life: none is made any more.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on every system call fails with EPERM without being made.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Are there no system calls any more?
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Calls the kernel.
///
/// # Safety
/// What the call does to memory must be allowed: the caller knows what call it is.
pub unsafe fn call(number: libc::c_long, arguments: [usize; 6]) -> Answer {
    if is_quiet() {
        return Err(libc::EPERM);
    }
    // SAFETY: the caller's.
    unsafe { umbel_probe::call(number, arguments) }
}

/// An open file; closed when dropped.
#[derive(Debug)]
pub struct File(i32);

impl File {
    /// Opens `path` with `flags` of open(2); a new file is its owner's alone.
    pub fn open(path: &CStr, flags: i32) -> Result<Self, i32> {
        let flags = flags | libc::O_CLOEXEC;
        let arguments = [
            libc::AT_FDCWD as usize,
            path.as_ptr() as usize,
            flags as usize,
            0o600,
            0,
            0,
        ];
        // SAFETY: the path ends with 0; openat(2) only reads it.
        let answer = unsafe { call(libc::SYS_openat, arguments) };
        answer.map(|number| Self(number as i32))
    }

    /// Whether anybody but this descriptor has it open or mapped; false where the file system can't tell. The caller has
    /// SIGIO blocked: who opens the file meanwhile waits for us, and has us told by that signal.
    pub fn is_open_elsewhere(&self) -> bool {
        let lease = |kind: libc::c_int| {
            let arguments = [
                self.0 as usize,
                libc::F_SETLEASE as usize,
                kind as usize,
                0,
                0,
                0,
            ];
            // SAFETY: this command of fcntl(2) takes integers only.
            unsafe { call(libc::SYS_fcntl, arguments) }
        };
        // A lease for writing is given only to who is alone.
        let answer = lease(libc::F_WRLCK);
        if answer.is_ok() {
            let _ = lease(libc::F_UNLCK);
        }
        answer == Err(libc::EAGAIN)
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> Result<u64, i32> {
        // SAFETY: zeroes are a stat; fstat(2) fills it.
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        let arguments = [self.0 as usize, &raw mut stat as usize, 0, 0, 0, 0];
        // SAFETY: `stat` lives here and has the size that the kernel writes.
        unsafe { call(libc::SYS_fstat, arguments) }?;
        Ok(stat.st_size as u64)
    }

    /// Makes sure that the first `end` bytes are there, with blocks on the disk.
    pub fn reserve(&self, start: u64, end: u64) -> Result<(), i32> {
        let arguments = [
            self.0 as usize,
            0,
            start as usize,
            (end - start) as usize,
            0,
            0,
        ];
        // SAFETY: fallocate(2) touches no memory.
        match unsafe { call(libc::SYS_fallocate, arguments) } {
            Err(libc::EOPNOTSUPP | libc::ENOSYS) => self.fill(start, end),
            answer => answer.map(drop),
        }
    }

    /// Writes zeroes, where the file system can't reserve.
    fn fill(&self, start: u64, end: u64) -> Result<(), i32> {
        let zeroes = [0u8; 4096];
        let mut at = start;
        while at < end {
            let bytes = zeroes.len().min((end - at) as usize);
            self.write_at(&zeroes[..bytes], at)?;
            at += bytes as u64;
        }
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), i32> {
        while !bytes.is_empty() {
            let arguments = [
                self.0 as usize,
                bytes.as_ptr() as usize,
                bytes.len(),
                offset as usize,
                0,
                0,
            ];
            // SAFETY: pwrite(2) only reads `bytes`.
            match unsafe { call(libc::SYS_pwrite64, arguments) } {
                Ok(0) => return Err(libc::ENOSPC),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(libc::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Reads up to `bytes.len()` at `offset`; fewer at the end of the file.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize, i32> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            let at = offset as usize + done;
            let arguments = [
                self.0 as usize,
                rest.as_mut_ptr() as usize,
                rest.len(),
                at,
                0,
                0,
            ];
            // SAFETY: pread(2) writes into `rest`, which is ours.
            match unsafe { call(libc::SYS_pread64, arguments) } {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(libc::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    /// The descriptor, for mmap.
    pub(super) fn number(&self) -> usize {
        self.0 as usize
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours, and nobody's after this.
        let _ = unsafe { call(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Sleeps while `word` is `value`: at most `timeout`, and less when a signal comes.
pub fn futex_wait(word: &AtomicU32, value: u32, timeout: Duration) {
    let time = libc::timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let address = core::ptr::from_ref(word) as usize;
    let arguments = [
        address,
        libc::FUTEX_WAIT as usize,
        value as usize,
        &raw const time as usize,
        0,
        0,
    ];
    // SAFETY: the kernel reads the word and the time, which both live.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

/// Wakes all who sleep on `word`.
pub fn futex_wake(word: &AtomicU32) {
    let address = core::ptr::from_ref(word) as usize;
    let arguments = [
        address,
        libc::FUTEX_WAKE as usize,
        i32::MAX as usize,
        0,
        0,
        0,
    ];
    // SAFETY: waking touches no memory.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

/// The low half of `word`, on which a futex can wait.
pub fn low_half(word: &AtomicU64) -> &AtomicU32 {
    // SAFETY: little-endian: the first 4 bytes of an aligned u64, atomic in both sizes on x86-64.
    unsafe { &*core::ptr::from_ref(word).cast() }
}

/// This process.
pub fn pid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as u32
}

/// This thread.
pub fn tid() -> u32 {
    // SAFETY: touches no memory.
    unsafe { call(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as u32
}

/// Does such a process run? One that ended and that nobody waits for doesn't, though it has its pid still.
pub fn is_alive(pid: u32) -> bool {
    // SAFETY: signal 0 is none; touches no memory.
    let answer = pid != 0
        && unsafe { call(libc::SYS_kill, [pid as usize, 0, 0, 0, 0, 0]) } != Err(libc::ESRCH);
    answer && !is_zombie(pid)
}

fn is_zombie(pid: u32) -> bool {
    let mut path = *b"/proc/0000000000/stat\0";
    let mut rest = pid;
    for digit in path.iter_mut().skip(6).take(10).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // The kernel takes no zeroes in front.
    let zeroes = path
        .iter()
        .skip(6)
        .take(9)
        .take_while(|&&digit| digit == b'0')
        .count();
    let mut short = [0; 22];
    let kept = path.iter().take(6).chain(path.iter().skip(6 + zeroes));
    for (place, &byte) in short.iter_mut().zip(kept) {
        *place = byte;
    }
    let Ok(path) = CStr::from_bytes_until_nul(&short) else {
        return false;
    };
    let mut bytes = [0; 128];
    let count = File::open(path, libc::O_RDONLY)
        .and_then(|file| file.read_at(&mut bytes, 0))
        .unwrap_or(0);
    let text = bytes.get(..count).unwrap_or_default();
    let end = text.iter().rposition(|&byte| byte == b')').unwrap_or(count);
    matches!(text.get(end + 2), Some(b'Z' | b'X'))
}

/// CLOCK_MONOTONIC in nanoseconds, by the system call.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let arguments = [
        libc::CLOCK_MONOTONIC as usize,
        &raw mut time as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes into `time`, which lives here.
    let _ = unsafe { call(libc::SYS_clock_gettime, arguments) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
