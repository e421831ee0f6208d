//! A frame pointer that isn't known, found again.
//!
//! Of a thread that sleeps in a system call only the stack pointer is known. Code that keeps a frame pointer (all without
//! optimization) has its caller's registers relative to that. The function's first instructions say how far it moved the stack pointer,
//! so where the frame pointer points, if nothing was pushed since; otherwise it is further up. A place is taken only if
//! the return address there lies behind a call of this very function, or the whole stack makes sense from there on.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, OpKind, Register};

use super::memory::LiveMemory;
use super::unwind::{RBP, RSP, Registers};

/// Bytes of a function in which its stack frame is made.
const PROLOGUE_BYTES: usize = 64;

/// So many words are tried: arguments that were pushed, memory by alloca.
const WORDS_TRIED: u64 = 4096;

/// How sure a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The return address lies behind a call of the function.
    Call,
    /// It lies behind some call.
    SomeCall,
}

/// Places where the frame pointer of the function that begins at `function` may point to, the likeliest first.
pub fn frame_pointers<'a>(
    function: u64,
    registers: &Registers,
    memory: &'a LiveMemory,
) -> impl Iterator<Item = (u64, Proof)> + 'a {
    let stack = registers.get(RSP).unwrap_or(0);
    let first = frame_bytes(function, memory).map(|bytes| stack.wrapping_add(bytes));
    let tried = 0..first.map_or(0, |_| WORDS_TRIED);
    tried.filter_map(move |word| {
        let place = first?.checked_add(8 * word)?;
        let saved = memory.word(place)?;
        let back = memory.word(place.checked_add(8)?)?;
        // Frame pointers lead upwards; that of a thread's first function is 0 or anything.
        let proof = call_before(back, function, memory)?;
        (saved > place || saved < 4096 || proof == Proof::Call).then_some((place, proof))
    })
}

/// How far below its frame pointer a function's stack pointer is after its first instructions; `None`: it keeps no frame pointer.
fn frame_bytes(function: u64, memory: &LiveMemory) -> Option<u64> {
    let mut bytes = [0; PROLOGUE_BYTES];
    memory.read(function, &mut bytes)?;
    let mut decoder = Decoder::with_ip(64, &bytes, function, DecoderOptions::NONE);
    let mut has_pointer = false;
    let mut below = 0;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        match instruction.code() {
            Code::Endbr64 => {}
            Code::Push_r64 if !has_pointer && instruction.op0_register() == Register::RBP => {}
            Code::Mov_r64_rm64 | Code::Mov_rm64_r64
                if instruction.op0_register() == Register::RBP
                    && instruction.op1_register() == Register::RSP =>
            {
                has_pointer = true;
            }
            Code::Push_r64 if has_pointer => below += 8,
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32
                if has_pointer && instruction.op0_register() == Register::RSP =>
            {
                return Some(below + instruction.immediate(1));
            }
            _ => break,
        }
    }
    has_pointer.then_some(below)
}

/// Whether a call ends at `back`, and of what.
fn call_before(back: u64, function: u64, memory: &LiveMemory) -> Option<Proof> {
    let mut bytes = [0; 8];
    let begin = back.checked_sub(bytes.len() as u64)?;
    memory.read(begin, &mut bytes)?;
    // Direct calls have 5 bytes, indirect ones 2 to 7.
    for length in [5, 2, 3, 6, 4, 7] {
        let at = back - length;
        let code = &bytes[bytes.len() - length as usize..];
        let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
        if instruction.mnemonic() != Mnemonic::Call || instruction.len() as u64 != length {
            continue;
        }
        let is_direct = instruction.op0_kind() == OpKind::NearBranch64;
        return Some(match is_direct && instruction.near_branch64() == function {
            true => Proof::Call,
            false => Proof::SomeCall,
        });
    }
    None
}

/// The registers with a frame pointer.
pub fn with_frame_pointer(registers: &Registers, place: u64) -> Registers {
    let mut found = *registers;
    found.general[RBP as usize] = Some(place);
    found
}
