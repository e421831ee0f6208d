//! The program's tables and each thread's `umbel_self`: Rust twins of `umbel_abi.h`, and reads of them.

use std::ffi::{CStr, c_char, c_void};

mod heap;

pub use heap::{constant_text, heap_record, heap_site, object_attribute};

/// Version of the contract with the plugin (`UMBEL_ABI_VERSION`).
pub const ABI_VERSION: u64 = 2;

/// `struct umbel_object`.
#[repr(C)]
pub struct ObjectRecord {
    name: *const c_char,
    function: *const c_char,
    type_text: *const c_char,
    attribute: *const c_char,
    size: u64,
    align: u64,
    flags: u64,
    element: u64,
    file: *const c_char,
    line: u64,
    reserved: [u64; 2],
}

/// `struct umbel_field`.
#[repr(C)]
struct FieldRecord {
    offset: u64,
    size: u64,
    kind: u64,
    reference: *const c_void,
    name: *const c_char,
}

/// `struct umbel_frame`.
#[repr(C)]
struct FrameRecord {
    function: *const c_char,
    size: u64,
    chain_offset: i64,
    parent: *const FrameRecord,
    field_count: u64,
    fields: *const FieldRecord,
}

/// `struct umbel_function`.
#[repr(C)]
struct FunctionRecord {
    code: *const c_void,
    name: *const c_char,
    frame: *const FrameRecord,
    has_chain: u64,
    reserved: [u64; 2],
}

/// `struct umbel_global`.
#[repr(C)]
pub struct GlobalRecord {
    object: *const ObjectRecord,
    initial: *const c_void,
    pointer: *mut *const c_void,
    fix: Option<extern "C" fn()>,
}

/// `struct umbel_module`.
#[repr(C)]
pub struct ModuleRecord {
    abi_version: u64,
    objects: *const ObjectRecord,
    objects_end: *const ObjectRecord,
    frames: *const FrameRecord,
    frames_end: *const FrameRecord,
    functions: *const FunctionRecord,
    functions_end: *const FunctionRecord,
    globals: *const GlobalRecord,
    globals_end: *const GlobalRecord,
    base: *const c_void,
    self_address: extern "C" fn() -> *mut UmbelSelf,
}

/// `struct umbel_self`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UmbelSelf {
    /// Next free slot.
    pub small: u64,
    /// First slot that may not be used.
    pub small_limit: u64,
    /// Next free page.
    pub pages: u64,
    /// Slots below may be known to others.
    pub shared_small: u64,
    /// Pages below may be known to others.
    pub shared_pages: u64,
    /// Address of slot 0.
    pub small_base: u64,
    /// Bytes from a slot to the same page's next.
    pub view_stride: u64,
    /// Table of the slots' records.
    pub small_objects: u64,
}

const _: () = assert!(size_of::<ObjectRecord>() == 12 * 8);
const _: () = assert!(size_of::<FieldRecord>() == 5 * 8);
const _: () = assert!(size_of::<FrameRecord>() == 6 * 8);
const _: () = assert!(size_of::<FunctionRecord>() == 6 * 8);
const _: () = assert!(size_of::<GlobalRecord>() == 4 * 8);
const _: () = assert!(size_of::<ModuleRecord>() == 11 * 8);
const _: () = assert!(size_of::<UmbelSelf>() == 8 * 8);

/// What the runtime keeps of a registered module. Addresses are of static tables and live as long as it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Contract version that the module was compiled with.
    pub abi_version: u64,
    /// Address of its ELF header.
    pub base: usize,
    /// Address of its first `umbel_function`.
    functions: usize,
    /// Number of `umbel_function` records.
    function_count: usize,
    /// Address of its first `umbel_frame`.
    frames: usize,
    /// Number of `umbel_frame` records.
    frame_count: usize,
    /// Address of its first `umbel_global`.
    globals: usize,
    /// Number of `umbel_global` records.
    global_count: usize,
    self_address: extern "C" fn() -> *mut UmbelSelf,
}

/// What a frame's field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A value, copied.
    Value,
    /// Pointer to a sharable object.
    Shared,
    /// Address of the parent's frame.
    Chain,
    /// Address of a stub.
    Stub,
    /// `{chain, code}`.
    Descriptor,
    /// Jump buffer.
    NonlocalGoto,
    /// For debuggers.
    FrameBase,
}

/// A field of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Bytes from the frame's start.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// What it holds.
    pub kind: FieldKind,
    /// Address of the record it refers to, or 0.
    pub reference: usize,
}

/// A frame's table.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Bytes of the frame.
    pub size: usize,
    /// Where the parent's address is, if there is a parent.
    pub chain_offset: Option<usize>,
    /// Address of the parent's table, or 0.
    pub parent: usize,
    fields: usize,
    field_count: usize,
}

/// A thread function's record.
#[derive(Clone, Debug)]
pub struct Function {
    /// Address of its code.
    pub code: usize,
    /// Source name.
    pub name: String,
    /// Address of the table of the frame that its chain points to, or 0.
    pub frame: usize,
    /// Whether it uses its chain.
    pub has_chain: bool,
}

impl Module {
    /// Reads what `umbel_crt.o` hands over.
    ///
    /// # Safety
    /// `record` points to a live `struct umbel_module`.
    pub unsafe fn read(record: *const ModuleRecord) -> Self {
        // SAFETY: by the contract above.
        let record = unsafe { &*record };
        let bytes = (record.functions_end as usize).saturating_sub(record.functions as usize);
        let frame_bytes = (record.frames_end as usize).saturating_sub(record.frames as usize);
        let global_bytes = (record.globals_end as usize).saturating_sub(record.globals as usize);
        Self {
            abi_version: record.abi_version,
            base: record.base as usize,
            functions: record.functions as usize,
            function_count: bytes / size_of::<FunctionRecord>(),
            frames: record.frames as usize,
            frame_count: frame_bytes / size_of::<FrameRecord>(),
            globals: record.globals as usize,
            global_count: global_bytes / size_of::<GlobalRecord>(),
            self_address: record.self_address,
        }
    }

    /// Its shared globals, in the table's order.
    pub fn globals(&self) -> impl Iterator<Item = Global> + use<> {
        let (first, count) = (self.globals, self.global_count);
        (0..count).map(move |index| {
            let address = first + index * size_of::<GlobalRecord>();
            // SAFETY: the section has `count` records, static data of a loaded module.
            let record = unsafe { &*(address as *const GlobalRecord) };
            Global {
                record: record.object as usize,
                initial: record.initial as usize,
                pointer: record.pointer,
                fix: record.fix,
            }
        })
    }

    /// Whether this is the address of one of its function records.
    pub fn has_function(&self, address: usize) -> bool {
        is_element(
            address,
            self.functions,
            self.function_count,
            size_of::<FunctionRecord>(),
        )
    }

    /// Whether this is the address of one of its frame tables.
    pub fn has_frame(&self, address: usize) -> bool {
        is_element(
            address,
            self.frames,
            self.frame_count,
            size_of::<FrameRecord>(),
        )
    }

    /// The record of the function with this code.
    pub fn function_with_code(&self, code: usize) -> Option<usize> {
        (0..self.function_count)
            .map(|index| self.functions + index * size_of::<FunctionRecord>())
            .find(|record| function(*record).code == code)
    }

    /// The calling thread's `umbel_self`.
    pub fn self_of_this_thread(&self) -> SelfPointer {
        SelfPointer((self.self_address)())
    }
}

/// A shared global.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    /// Address of its `umbel_object`.
    pub record: usize,
    /// Address of its initial value.
    initial: usize,
    pointer: *mut *const c_void,
    fix: Option<extern "C" fn()>,
}

impl Global {
    /// Tells the program where the global is.
    pub fn set_address(&self, address: usize) {
        // SAFETY: the pointer is a static variable of the module whose constructors run now; the program's code that
        // reads it has not begun.
        unsafe { self.pointer.write(address as *const c_void) };
    }

    /// Leaves it in this process's own memory.
    pub fn keep_private(&self) {
        self.set_address(self.initial);
    }

    /// Lets the module correct its initial values, now that every global has its address.
    pub fn fix(&self) {
        if let Some(fix) = self.fix {
            fix();
        }
    }

    /// Copies the initial value to `address`, in the window; pages of zeros stay untouched there, as they are new.
    pub fn copy_initial(&self, address: usize, size: u64) {
        let pages = (0..size as usize).step_by(COPY_BYTES);
        for offset in pages {
            let len = COPY_BYTES.min(size as usize - offset);
            let source = (self.initial + offset) as *const u8;
            // SAFETY: the table says that the initial value is `size` bytes long; nobody changes it.
            let bytes = unsafe { std::slice::from_raw_parts(source, len) };
            if bytes.iter().any(|byte| *byte != 0) {
                let target = (address + offset) as *mut u8;
                // SAFETY: the address was found for an object of this size, which nobody uses yet.
                unsafe { std::ptr::copy_nonoverlapping(source, target, len) };
            }
        }
    }
}

/// Bytes looked at together when initial values are copied.
const COPY_BYTES: usize = 4096;

/// The `umbel_self` of one thread, used by that thread only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfPointer(*mut UmbelSelf);

impl SelfPointer {
    /// Its value now.
    pub fn get(self) -> UmbelSelf {
        // SAFETY: the pointer is to this thread's thread-local variable, which lives as long as the thread.
        unsafe { self.0.read() }
    }

    /// Replaces it.
    pub fn set(self, value: UmbelSelf) {
        // SAFETY: as above; compiled code of this thread is not running meanwhile.
        unsafe { self.0.write(value) };
    }
}

/// The function record at `address`, which a module's table or the program's code named.
pub fn function(address: usize) -> Function {
    // SAFETY: records are static data of a loaded module.
    let record = unsafe { &*(address as *const FunctionRecord) };
    Function {
        code: record.code as usize,
        name: text(record.name),
        frame: record.frame as usize,
        has_chain: record.has_chain != 0,
    }
}

/// The frame table at `address`.
pub fn frame(address: usize) -> Frame {
    // SAFETY: tables are static data of a loaded module.
    let record = unsafe { &*(address as *const FrameRecord) };
    Frame {
        size: record.size as usize,
        chain_offset: usize::try_from(record.chain_offset).ok(),
        parent: record.parent as usize,
        fields: record.fields as usize,
        field_count: record.field_count as usize,
    }
}

impl Frame {
    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let (fields, count) = (self.fields, self.field_count);
        (0..count).map(move |index| {
            let address = fields + index * size_of::<FieldRecord>();
            // SAFETY: the table says that there are `count` fields.
            let record = unsafe { &*(address as *const FieldRecord) };
            Field {
                offset: record.offset as usize,
                size: record.size as usize,
                kind: FieldKind::of(record.kind),
                reference: record.reference as usize,
            }
        })
    }
}

impl FieldKind {
    fn of(kind: u64) -> Self {
        match kind {
            1 => Self::Shared,
            2 => Self::Chain,
            3 => Self::Stub,
            4 => Self::Descriptor,
            5 => Self::NonlocalGoto,
            6 => Self::FrameBase,
            _ => Self::Value,
        }
    }
}

/// Name and size of the object record at `address`: `function:variable`, or `variable` of a global.
pub fn object_name(address: usize) -> (String, u64) {
    // SAFETY: records are static data of a loaded module.
    let record = unsafe { &*(address as *const ObjectRecord) };
    if record.flags & heap::HEAP != 0 {
        return (heap::name(record), 0);
    }
    let name = text(record.name);
    let name = match text(record.function) {
        function if record.flags & GLOBAL != 0 && matches!(&*function, "" | "?") => name,
        function => format!("{function}:{name}"),
    };
    (name, record.size)
}

/// What an object record says about how the object is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// The compiler knows that it must be sequentially consistent.
    pub sequential: bool,
    /// It is volatile or atomic: sequential, if its words don't say otherwise.
    pub volatile: bool,
    /// It is constant.
    pub constant: bool,
    /// Its atomic operations can go by message.
    pub operations: bool,
    /// Bytes of a unit, if it is subdivided; else 0.
    pub unit_bytes: u64,
    /// The words of its attribute.
    pub attribute: Option<String>,
}

/// The traits of the object record at `address`.
pub fn object_traits(address: usize) -> Traits {
    // SAFETY: as above.
    let record = unsafe { &*(address as *const ObjectRecord) };
    Traits {
        sequential: record.flags & SEQUENTIAL != 0,
        volatile: record.flags & (VOLATILE | ATOMIC) != 0,
        constant: record.flags & CONST != 0,
        operations: record.flags & OPERATIONS != 0,
        unit_bytes: record.reserved[0].saturating_mul(record.element),
        attribute: (!record.attribute.is_null()).then(|| text(record.attribute)),
    }
}

/// `UMBEL_OBJECT_*`.
const VOLATILE: u64 = 8;
const ATOMIC: u64 = 16;
const CONST: u64 = 32;
const SEQUENTIAL: u64 = 128;
const OPERATIONS: u64 = 256;
const GLOBAL: u64 = 512;

/// Size and alignment that an object record asks for.
pub fn object_size_and_align(address: usize) -> (u64, u64) {
    // SAFETY: as above.
    let record = unsafe { &*(address as *const ObjectRecord) };
    (record.size, record.align)
}

/// Copies `size` bytes of a live frame of the calling thread's static chain.
pub fn copy_frame(address: usize, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    // SAFETY: the compiler made the chain and the table says how long the frame is; its function has not
    // returned, for the calling thread runs inside it or in a private copy of it.
    unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), size) };
    bytes
}

/// The `{chain, code}` pair of a descriptor, whose address may carry gcc's tag bit.
pub fn descriptor(address: usize) -> (usize, usize) {
    let pair = (address & !7) as *const [usize; 2];
    // SAFETY: the plugin passes the address of a descriptor in a live frame.
    let [chain, code] = unsafe { pair.read() };
    (chain, code)
}

fn is_element(address: usize, first: usize, count: usize, bytes: usize) -> bool {
    let offset = address.wrapping_sub(first);
    address >= first && offset < count * bytes && offset.is_multiple_of(bytes)
}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::from("?");
    }
    // SAFETY: names in the tables are string constants.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}
