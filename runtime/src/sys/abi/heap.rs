//! Records that the runtime makes itself: one for each allocation site and policy of the shared heap.

use std::ffi::{CString, c_char};
use std::ptr;

use super::{ObjectRecord, text};
use crate::symbols;

/// `UMBEL_OBJECT_HEAP`.
pub(super) const HEAP: u64 = 1024;

/// A record for objects that are allocated by the call before `site` with this policy; it stays for ever.
pub fn heap_record(site: u64, policy: &str) -> u64 {
    let attribute = match policy {
        "" => ptr::null(),
        policy => CString::new(policy).map_or(ptr::null(), |text| text.into_raw().cast_const()),
    };
    let record = Box::new(ObjectRecord {
        name: c"heap".as_ptr(),
        function: ptr::null(),
        type_text: c"".as_ptr(),
        attribute,
        size: 0,
        align: 0,
        flags: HEAP,
        element: 0,
        file: ptr::null(),
        line: 0,
        reserved: [0, site],
    });
    ptr::from_ref(Box::leak(record)) as u64
}

/// Where the objects of a heap record are allocated.
pub fn heap_site(address: usize) -> u64 {
    read(address).reserved[1]
}

/// The policy of an object's record as the program wrote it.
pub fn object_attribute(address: usize) -> String {
    match read(address).attribute {
        attribute if attribute.is_null() => String::new(),
        attribute => text(attribute),
    }
}

/// `heap: function+0x1f`.
pub(super) fn name(record: &ObjectRecord) -> String {
    format!("heap: {}", symbols::name(record.reserved[1]))
}

/// The string constant at `address`, which lies in a loaded module.
pub fn constant_text(address: usize) -> String {
    text(address as *const c_char)
}

fn read(address: usize) -> &'static ObjectRecord {
    // SAFETY: records are static data of a loaded module, or were leaked by `heap_record`.
    unsafe { &*(address as *const ObjectRecord) }
}
