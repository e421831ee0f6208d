//! Whether a call is one of a hook.

use std::collections::HashSet;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::sections::Sections;

/// Bytes of the longest call of a hook: with a prefix, through a slot.
const CALL_BYTES_MAX: u64 = 7;

/// Bytes of a linker's stub.
const STUB_BYTES: usize = 16;

/// The slots that the dynamic linker fills with a hook's address.
pub struct Hooks {
    slots: HashSet<u64>,
}

impl Hooks {
    /// Of this file.
    pub fn read(sections: &Sections) -> Self {
        Self {
            slots: sections.slots_of(&["__cyg_profile_func_enter", "__cyg_profile_func_exit"]),
        }
    }

    /// There are none: nothing here calls a hook.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether what returns to `address` is the call of a hook; `None`: nobody can tell.
    pub fn are_called(&self, sections: &Sections, address: u64) -> Option<bool> {
        for bytes in [5, 6, CALL_BYTES_MAX] {
            let begin = address.checked_sub(bytes)?;
            let code = sections.code(begin, usize::try_from(bytes).ok()?);
            let mut decoder = Decoder::with_ip(64, &code, begin, DecoderOptions::NONE);
            let call = decoder.decode();
            if call.mnemonic() != Mnemonic::Call || call.next_ip() != address {
                continue;
            }
            match call.op0_kind() {
                OpKind::NearBranch64 => {
                    return Some(self.leads_to(sections, call.near_branch64()));
                }
                _ if is_slot(&call) => {
                    return Some(self.slots.contains(&call.ip_rel_memory_address()));
                }
                _ => {}
            }
        }
        None
    }

    /// Whether the linker's stub at `address` goes on to a hook.
    fn leads_to(&self, sections: &Sections, address: u64) -> bool {
        let code = sections.code(address, STUB_BYTES);
        let mut decoder = Decoder::with_ip(64, &code, address, DecoderOptions::NONE);
        for _ in 0..2 {
            let step = decoder.decode();
            if step.mnemonic() == Mnemonic::Jmp && is_slot(&step) {
                return self.slots.contains(&step.ip_rel_memory_address());
            }
        }
        false
    }
}

fn is_slot(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Memory && instruction.memory_base() == Register::RIP
}
