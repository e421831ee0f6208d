//! CLOCK_MONOTONIC without a system call, by the function that the kernel maps into each process (vdso(7)). The C library has it too,
//! but a program may have replaced its clock_gettime by one that calls the hooks.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

use umbel_trace_ring::sys;

type ClockGettime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int;

/// Its address; 0: there is none.
static FUNCTION: AtomicUsize = AtomicUsize::new(0);

/// Looks for it, once.
pub fn find() {
    // SAFETY: reads what the kernel told the process when it began.
    let base = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    if base != 0 {
        FUNCTION.store(look_up(base).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Now, in nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    let address = FUNCTION.load(Ordering::Relaxed);
    // Where system calls are forbidden it might make one.
    if address == 0 || sys::is_quiet() {
        return sys::monotonic_ns();
    }
    // SAFETY: `find` found a function of this type at the address, and the kernel keeps it there.
    let clock_gettime: ClockGettime = unsafe { core::mem::transmute(address) };
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes into `time`, which lives here.
    match unsafe { clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) } {
        0 => time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
        _ => sys::monotonic_ns(),
    }
}

/// Reads a `T` of the kernel's file.
///
/// # Safety
/// `address` lies in the file that the kernel mapped, and what is there is a `T`.
unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: the caller's.
    unsafe { (address as *const T).read_unaligned() }
}

/// Symbols that are looked at: the kernel's file has about a dozen.
const SYMBOLS_MAX: usize = 256;

/// The function in the ELF file at `base`, which is mapped as a whole.
fn look_up(base: usize) -> Option<usize> {
    // SAFETY: the file begins with its header.
    let header: libc::Elf64_Ehdr = unsafe { read(base) };
    let (mut bias, mut dynamic) = (None, None);
    for index in 0..usize::from(header.e_phnum) {
        let at = base + header.e_phoff as usize + index * size_of::<libc::Elf64_Phdr>();
        // SAFETY: one of the headers that the file says it has.
        let segment: libc::Elf64_Phdr = unsafe { read(at) };
        match segment.p_type {
            libc::PT_LOAD if bias.is_none() => {
                let begin = base + segment.p_offset as usize;
                bias = Some(begin.wrapping_sub(segment.p_vaddr as usize));
            }
            libc::PT_DYNAMIC => dynamic = Some(base + segment.p_offset as usize),
            _ => {}
        }
    }
    let (bias, dynamic) = (bias?, dynamic?);
    let (mut symbols, mut strings) = (None, None);
    for index in 0..SYMBOLS_MAX {
        // SAFETY: the table ends with an entry of the tag 0, where the loop ends.
        let [tag, value]: [u64; 2] = unsafe { read(dynamic + index * 16) };
        match tag {
            DT_NULL => break,
            DT_STRTAB => strings = Some(bias.wrapping_add(value as usize)),
            DT_SYMTAB => symbols = Some(bias.wrapping_add(value as usize)),
            _ => {}
        }
    }
    let (symbols, strings) = (symbols?, strings?);
    // The strings come behind the symbols.
    let count = strings.checked_sub(symbols)? / size_of::<libc::Elf64_Sym>();
    (0..count.min(SYMBOLS_MAX)).find_map(|index| {
        let at = symbols + index * size_of::<libc::Elf64_Sym>();
        // SAFETY: before the strings there are symbols, and what else there may be is as readable.
        let symbol: libc::Elf64_Sym = unsafe { read(at) };
        let name = strings + symbol.st_name as usize;
        let is_in_file = (symbol.st_name as usize) < STRINGS_BYTES_MAX;
        // SAFETY: a string of the table, which ends with 0.
        let is_it = is_in_file && unsafe { CStr::from_ptr(name as *const libc::c_char) } == WANTED;
        (is_it && symbol.st_value != 0).then(|| bias.wrapping_add(symbol.st_value as usize))
    })
}

const WANTED: &CStr = c"__vdso_clock_gettime";
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;

/// A name beyond is none: the kernel's file has 2 pages.
const STRINGS_BYTES_MAX: usize = 4096;
