//! The shared heap. Each call comes with its place in the source: `umbel.h` passes file and line as a text to
//! `umbel_*`; the functions themselves hand on the address that they were called from.

use std::arch::naked_asm;
use std::ffi::{CStr, c_char, c_void};

use crate::heap::{self, ALIGN};
use crate::policy;
use crate::symbols::text_site;
use crate::sys::process;

/// Defines an entry of `umbel.h` that calls `$inner` with the return address as one more argument, in `$register`.
macro_rules! entry {
    ($name:ident, $register:literal, $inner:path) => {
        /// See `umbel.h`.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() {
            naked_asm!(
                concat!("mov ", $register, ", [rsp]"),
                "jmp {inner}",
                inner = sym $inner,
            )
        }
    };
}

entry!(dist_malloc, "rsi", malloc);
entry!(dist_calloc, "rdx", calloc);
entry!(dist_aligned_alloc, "rdx", aligned_alloc);
entry!(dist_malloc_policy, "rdx", malloc_policy);
entry!(dist_malloc_group, "rcx", malloc_group);
entry!(dist_realloc, "rdx", realloc);
entry!(dist_free, "rsi", free);

extern "C" fn malloc(bytes: u64, site: u64) -> *mut c_void {
    finish(heap::allocate(bytes, ALIGN, "", site))
}

extern "C" fn calloc(count: u64, bytes: u64, site: u64) -> *mut c_void {
    // New objects are zero in any case.
    let bytes = count.checked_mul(bytes).ok_or(libc::ENOMEM);
    finish(bytes.and_then(|bytes| heap::allocate(bytes, ALIGN, "", site)))
}

extern "C" fn aligned_alloc(align: u64, bytes: u64, site: u64) -> *mut c_void {
    finish(heap::allocate(bytes, align, "", site))
}

/// # Safety
/// `policy` is null or a C string.
unsafe extern "C" fn malloc_policy(bytes: u64, policy: *const c_char, site: u64) -> *mut c_void {
    let policy = if policy.is_null() {
        c""
    } else {
        // SAFETY: by the contract above.
        unsafe { CStr::from_ptr(policy) }
    };
    let text = policy.to_str().ok().filter(|text| policy::is_valid(text));
    finish(
        text.ok_or(libc::EINVAL)
            .and_then(|text| heap::allocate(bytes, ALIGN, text, site)),
    )
}

/// # Safety
/// `sizes` points to `count` numbers, and `objects` to as many pointers.
unsafe extern "C" fn malloc_group(
    count: usize,
    sizes: *const u64,
    objects: *mut usize,
    site: u64,
) -> *mut c_void {
    if count == 0 {
        return finish(Err(libc::EINVAL));
    }
    // SAFETY: by the contract above.
    let sizes = unsafe { std::slice::from_raw_parts(sizes, count) };
    let total = sizes
        .iter()
        .try_fold(0_u64, |total, size| total.checked_add(padded(*size)?));
    let allocated = total
        .ok_or(libc::ENOMEM)
        .and_then(|total| heap::allocate(total, ALIGN, "", site));
    if let Ok(mut next) = allocated {
        // SAFETY: by the contract above; the sizes are not read through it.
        let objects = unsafe { std::slice::from_raw_parts_mut(objects, count) };
        for (object, size) in objects.iter_mut().zip(sizes) {
            *object = next;
            next += padded(*size).expect("the sum was possible") as usize;
        }
    }
    finish(allocated)
}

extern "C" fn realloc(address: usize, bytes: u64, site: u64) -> *mut c_void {
    finish(match address {
        0 => heap::allocate(bytes, ALIGN, "", site),
        address => heap::reallocate(address, bytes, site),
    })
}

extern "C" fn free(address: usize, site: u64) {
    if address != 0 {
        heap::free(address, site);
    }
}

/// What a member of a group takes.
fn padded(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(ALIGN)
}

/// The address; 0 with errno otherwise.
fn finish(result: Result<usize, i32>) -> *mut c_void {
    result.unwrap_or_else(|errno| {
        process::set_errno(errno);
        0
    }) as *mut c_void
}

/// Defines what the macros of `umbel.h` call: as `$inner`, with the address of a text as the site.
macro_rules! with_text {
    ($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?, $inner:ident) => {
        /// See `umbel.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type,)* site: u64) $(-> $result)? {
            $inner($($argument,)* text_site(site))
        }
    };
    (unsafe $name:ident($($argument:ident: $type:ty),*), $inner:ident) => {
        /// See `umbel.h`.
        ///
        /// # Safety
        /// The pointers point to what they are declared to there.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type,)* site: u64) -> *mut c_void {
            // SAFETY: by the contract above.
            unsafe { $inner($($argument,)* text_site(site)) }
        }
    };
}

with_text!(umbel_malloc(bytes: u64) -> *mut c_void, malloc);
with_text!(umbel_calloc(count: u64, bytes: u64) -> *mut c_void, calloc);
with_text!(umbel_aligned_alloc(align: u64, bytes: u64) -> *mut c_void, aligned_alloc);
with_text!(umbel_realloc(address: usize, bytes: u64) -> *mut c_void, realloc);
with_text!(umbel_free(address: usize), free);
with_text!(unsafe umbel_malloc_policy(bytes: u64, policy: *const c_char), malloc_policy);
with_text!(unsafe umbel_malloc_group(count: usize, sizes: *const u64, objects: *mut usize), malloc_group);
