//! What the instructions write to memory.

use super::machine::Symbol;
use crate::Op;

/// Number of the stack pointer.
const RSP: u16 = 7;

/// What was written, in order.
#[derive(Default)]
pub struct Stores {
    all: Vec<Store>,
}

struct Store {
    /// `None`: nobody knows where.
    address: Symbol,
    bytes: u64,
    value: Symbol,
}

/// How two parts of memory lie.
enum Relation {
    Apart,
    /// The one begins where the other does, and is not longer.
    Within,
    Unknown,
}

impl Stores {
    pub fn add(&mut self, address: Symbol, bytes: u64, value: Symbol) {
        self.all.push(Store {
            address,
            bytes,
            value,
        });
    }

    /// What is found at an address: `Some(None)` if it can't be said, `None` if nothing was written there.
    pub fn at(&self, address: &[Op], bytes: u64) -> Option<Symbol> {
        for store in self.all.iter().rev() {
            match relation(store, address, bytes) {
                Relation::Apart => {}
                Relation::Unknown => return Some(None),
                Relation::Within => {
                    let mut value = store.value.clone();
                    if let (true, Some(ops)) = (bytes < store.bytes, &mut value) {
                        ops.push(Op::Truncate(bytes as u8, false));
                    }
                    return Some(value);
                }
            }
        }
        None
    }

    /// Whether all lies in the function's own frame, which ends where the stack pointer is at its end: nobody sees it then.
    pub fn are_own(&self, stack_pointer: Option<&[Op]>) -> bool {
        let Some([Op::Register(end_base, end)]) = stack_pointer else {
            return self.all.is_empty();
        };
        self.all.iter().all(|store| {
            matches!(store.address.as_deref(), Some([Op::Register(base, offset)])
                if base == end_base && offset.saturating_add_unsigned(store.bytes) <= *end)
        })
    }
}

fn relation(store: &Store, address: &[Op], bytes: u64) -> Relation {
    let Some(stored) = &store.address else {
        return Relation::Unknown;
    };
    let (begin, other) = match (stored.as_slice(), address) {
        ([Op::Register(base, begin)], [Op::Register(other_base, other)]) if base == other_base => {
            (*begin, *other)
        }
        ([Op::Static(begin)], [Op::Static(other)]) => (begin.cast_signed(), other.cast_signed()),
        // The stack is no variable of a file.
        ([Op::Register(RSP, _)], [Op::Static(_)]) | ([Op::Static(_)], [Op::Register(RSP, _)]) => {
            return Relation::Apart;
        }
        _ => return Relation::Unknown,
    };
    let end = begin.saturating_add_unsigned(store.bytes);
    let other_end = other.saturating_add_unsigned(bytes);
    if end <= other || other_end <= begin {
        Relation::Apart
    } else if begin == other && bytes <= store.bytes && store.bytes <= 8 {
        Relation::Within
    } else {
        Relation::Unknown
    }
}
