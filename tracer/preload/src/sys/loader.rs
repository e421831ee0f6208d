//! What the loader knows: modules, and the environment at start.

use core::ffi::{CStr, c_int, c_void};
use core::slice;

/// A module as the loader has it.
#[derive(Clone, Copy)]
pub struct Module<'a> {
    /// Added to the file's addresses.
    pub bias: u64,
    /// Executable segments: first address, behind the last.
    pub text: (u64, u64),
    /// Behind its last segment.
    pub memory_end: u64,
    /// Empty if it has none.
    pub build_id: &'a [u8],
    /// Its path as it was found; empty: the program itself.
    pub path: &'a CStr,
}

/// A module's path for as long as the module is there, which the caller sees to.
pub fn keep(path: &CStr) -> &'static CStr {
    // SAFETY: the loader keeps the string with the module; `crate::modules` forgets it when the module is gone.
    unsafe { CStr::from_ptr(path.as_ptr()) }
}

struct Visit<'a>(&'a mut dyn FnMut(&Module<'_>));

/// Hands all modules to `visit`, but those without a file.
pub fn modules(visit: &mut dyn FnMut(&Module<'_>)) {
    let mut visit = Visit(visit);
    // SAFETY: `each` gets this pointer back, during the call alone.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut visit).cast()) };
}

unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _: usize, visit: *mut c_void) -> c_int {
    // SAFETY: the loader's, valid during this call.
    let info = unsafe { &*info };
    // SAFETY: what `modules` gave.
    let visit = unsafe { &mut *visit.cast::<Visit<'_>>() };
    let path = match info.dlpi_name.is_null() {
        true => c"",
        // SAFETY: the loader's string, which ends with 0.
        false => unsafe { CStr::from_ptr(info.dlpi_name) },
    };
    // The kernel's vdso has a name without a folder.
    if !path.is_empty() && !path.to_bytes().contains(&b'/') {
        return 0;
    }
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the module's program headers, as many as the loader says.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let mut module = Module {
        bias: info.dlpi_addr,
        text: (u64::MAX, 0),
        memory_end: 0,
        build_id: &[],
        path,
    };
    for header in headers {
        let begin = info.dlpi_addr.wrapping_add(header.p_vaddr);
        let end = begin.wrapping_add(header.p_memsz);
        if header.p_type == libc::PT_LOAD {
            module.memory_end = module.memory_end.max(end);
            if header.p_flags & libc::PF_X != 0 {
                module.text = (module.text.0.min(begin), module.text.1.max(end));
            }
        } else if header.p_type == libc::PT_NOTE {
            // SAFETY: a segment of notes is part of one that is loaded for reading.
            let notes =
                unsafe { slice::from_raw_parts(begin as *const u8, header.p_memsz as usize) };
            if let Some(id) = build_id(notes, header.p_align) {
                module.build_id = id;
            }
        }
    }
    if module.text.1 > 0 {
        (visit.0)(&module);
    }
    0
}

/// The build id among notes.
fn build_id(mut notes: &[u8], align: u64) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let align = if align == 8 { 8 } else { 4 };
    while let (Some(name), Some(description), Some(kind)) =
        (number(notes, 0), number(notes, 4), number(notes, 8))
    {
        let start = 12usize
            .checked_add((name as usize).next_multiple_of(4))?
            .next_multiple_of(align);
        let end = start.checked_add(description as usize)?;
        let found = notes.get(start..end)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
            return Some(found);
        }
        notes = notes.get(end.next_multiple_of(align)..)?;
    }
    None
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
