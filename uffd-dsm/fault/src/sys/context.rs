//! Registers and code of an interrupted thread.

use std::arch::x86_64::__cpuid_count;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::PAGE_BYTES;
use crate::decode::{self, Registers, VECTOR_BYTES};

/// A thread's registers, in the frame that the kernel made for a signal handler.
#[derive(Clone, Copy)]
pub struct Context(pub *mut libc::ucontext_t);

impl Context {
    /// A register, by libc's REG_ constants.
    pub fn register(self, register: i32) -> i64 {
        // SAFETY: the kernel passes a live ucontext to a handler with SA_SIGINFO; the index is one of libc's.
        unsafe { (*self.0).uc_mcontext.gregs[register as usize] }
    }

    /// A general register, by its number in encodings.
    pub fn general_register(self, number: usize) -> u64 {
        self.register(GENERAL[number]) as u64
    }

    /// Gives the interrupted thread another value in it.
    pub fn set_general_register(self, number: usize, value: u64) {
        // SAFETY: as above; the frame is the handler's to change.
        unsafe { (*self.0).uc_mcontext.gregs[GENERAL[number] as usize] = value as i64 };
    }

    /// Has the thread trap after each instruction, or not; how it was.
    pub fn replace_trap_flag(self, is_set: bool) -> bool {
        let flags = self.register(libc::REG_EFL);
        let new = match is_set {
            true => flags | TRAP_FLAG,
            false => flags & !TRAP_FLAG,
        };
        // SAFETY: as above.
        unsafe { (*self.0).uc_mcontext.gregs[libc::REG_EFL as usize] = new };
        flags & TRAP_FLAG != 0
    }

    /// The signals that the thread blocks when it goes on.
    pub fn mask(self) -> u64 {
        // SAFETY: as above.
        let set = unsafe { &(*self.0).uc_sigmask };
        // SAFETY: the kernel's set is the first word of the C library's.
        unsafe { ptr::from_ref(set).cast::<u64>().read() }
    }

    /// Replaces them.
    pub fn replace_mask(self, mask: u64) -> u64 {
        let before = self.mask();
        // SAFETY: as above; the frame is the handler's to change.
        let set = unsafe { &raw mut (*self.0).uc_sigmask };
        // SAFETY: as above.
        unsafe { set.cast::<u64>().write(mask) };
        before
    }

    /// Bytes below this frame, if it lies on the thread's alternate stack.
    pub fn stack_left(self) -> usize {
        // SAFETY: as above.
        let stack = unsafe { (*self.0).uc_stack };
        let bottom = stack.ss_sp as usize;
        match (self.0 as usize).checked_sub(bottom) {
            Some(left) if left < stack.ss_size => left,
            Some(_) | None => usize::MAX,
        }
    }

    /// Bytes of the saved vector state from `offset`; zero where the processor has not saved any.
    fn state<const N: usize>(self, component: u32, offset: usize) -> [u8; N] {
        // SAFETY: as above.
        let area = unsafe { (*self.0).uc_mcontext.fpregs }.cast::<u8>();
        let mut bytes = [0; N];
        if area.is_null() {
            return bytes;
        }
        if component > SSE {
            let word = |offset: usize| {
                // SAFETY: the legacy area is 512 bytes, and these words are in it.
                let start = unsafe { area.add(offset) };
                // SAFETY: as above.
                unsafe { start.cast::<u32>().read_unaligned() }
            };
            let size = word(SW_RESERVED + 16) as usize;
            if word(SW_RESERVED) != FP_XSTATE_MAGIC1 || offset + N > size {
                return bytes;
            }
            // SAFETY: the magic number says that the extended area, which begins with its header, is there.
            let header = unsafe { area.add(LEGACY_BYTES) };
            // SAFETY: as above.
            let saved = unsafe { header.cast::<u64>().read_unaligned() };
            if saved >> component & 1 == 0 {
                return bytes;
            }
        }
        // SAFETY: within the legacy area, or within the size that the kernel told (checked).
        let source = unsafe { area.add(offset) };
        // SAFETY: as above.
        unsafe { ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), N) };
        bytes
    }

    fn component<const N: usize>(self, component: u32, offset: usize) -> [u8; N] {
        // Relaxed: set before the handler was installed.
        let start = OFFSETS[component as usize].load(Ordering::Relaxed);
        match start {
            0 => [0; N],
            start => self.state(component, start + offset),
        }
    }
}

impl Registers for Context {
    fn general(&self, number: usize) -> u64 {
        GENERAL
            .get(number)
            .map_or(0, |register| self.register(*register) as u64)
    }

    fn flags(&self) -> u64 {
        self.register(libc::REG_EFL) as u64
    }

    fn vector(&self, number: usize) -> [u8; VECTOR_BYTES] {
        if number >= 16 {
            return self.component(HI16_ZMM, (number - 16) * VECTOR_BYTES);
        }
        let mut bytes = [0; VECTOR_BYTES];
        bytes[..16].copy_from_slice(&self.state::<16>(SSE, XMM_START + number * 16));
        bytes[16..32].copy_from_slice(&self.component::<16>(AVX, number * 16));
        bytes[32..].copy_from_slice(&self.component::<32>(ZMM_HI256, number * 32));
        bytes
    }

    fn mask(&self, number: usize) -> u64 {
        u64::from_le_bytes(self.component(OPMASK, number * 8))
    }
}

/// Asks the processor where it saves what: it may take microseconds, and handlers need it.
pub fn learn_layout() {
    for component in [AVX, OPMASK, ZMM_HI256, HI16_ZMM] {
        let leaf = __cpuid_count(XSAVE_LEAF, component);
        let offset = if leaf.eax == 0 { 0 } else { leaf.ebx };
        OFFSETS[component as usize].store(offset as usize, Ordering::Relaxed);
    }
}

/// The instruction at an address where a thread is.
pub fn instruction_at(address: usize) -> Option<iced_x86::Instruction> {
    let mut code = [0; INSTRUCTION_BYTES];
    let on_page = (PAGE_BYTES - address % PAGE_BYTES).min(INSTRUCTION_BYTES);
    // Of the next page only if the instruction goes on there: then the thread can read it.
    for len in [on_page, INSTRUCTION_BYTES] {
        // SAFETY: the thread was about to run what is there.
        unsafe { ptr::copy_nonoverlapping(address as *const u8, code.as_mut_ptr(), len) };
        if let Some(instruction) = decode::decode(&code[..len], address) {
            return Some(instruction);
        }
    }
    None
}

/// Where the processor's components lie in an area in the standard format; 0: nowhere.
static OFFSETS: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

/// libc's names of the general registers, in the order of their numbers in encodings.
const GENERAL: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// RFLAGS.TF.
const TRAP_FLAG: i64 = 1 << 8;
/// The longest instruction.
const INSTRUCTION_BYTES: usize = 15;
/// CPUID leaf that tells the components of the saved state, which have these numbers.
const XSAVE_LEAF: u32 = 0xd;
const SSE: u32 = 1;
const AVX: u32 = 2;
const OPMASK: u32 = 5;
const ZMM_HI256: u32 = 6;
const HI16_ZMM: u32 = 7;
/// Of the legacy area: its length, the registers xmm, and what the kernel says of what follows it.
const LEGACY_BYTES: usize = 512;
const XMM_START: usize = 160;
const SW_RESERVED: usize = 464;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
