//! Atomic operations on the program's memory with the hardware's own instructions.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use umbel_wire::OperationKind;

/// What to do; `width` is 1, 2, 4 or 8 bytes and divides the address.
#[derive(Clone, Copy, Debug)]
pub struct InPlace {
    /// Where.
    pub address: usize,
    /// Bytes.
    pub width: u8,
    /// Which operation.
    pub kind: OperationKind,
    /// Its operand: the new value of a compare-and-exchange.
    pub operand: u64,
    /// What a compare-and-exchange expects.
    pub expected: u64,
}

macro_rules! run {
    ($atomic:ty, $int:ty, $operation:expr) => {{
        let operation = $operation;
        // SAFETY: compiled code passes the address of a live object of this width, which other threads change by
        // atomic operations only; it is a multiple of the width.
        let cell = unsafe { <$atomic>::from_ptr(operation.address as *mut $int) };
        let operand = operation.operand as $int;
        // SeqCst: the strongest order that the source can have asked for.
        let before = match operation.kind {
            OperationKind::Load => cell.load(Ordering::SeqCst),
            OperationKind::Store | OperationKind::Exchange => cell.swap(operand, Ordering::SeqCst),
            OperationKind::CompareExchange => {
                let expected = operation.expected as $int;
                match cell.compare_exchange(expected, operand, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(before) | Err(before) => before,
                }
            }
            OperationKind::Add => cell.fetch_add(operand, Ordering::SeqCst),
            OperationKind::Sub => cell.fetch_sub(operand, Ordering::SeqCst),
            OperationKind::And => cell.fetch_and(operand, Ordering::SeqCst),
            OperationKind::Or => cell.fetch_or(operand, Ordering::SeqCst),
            OperationKind::Xor => cell.fetch_xor(operand, Ordering::SeqCst),
            OperationKind::Nand => cell.fetch_nand(operand, Ordering::SeqCst),
        };
        u64::from(before)
    }};
}

/// Runs the operation; the value before it.
///
/// Panics if the width is none of the four.
pub fn in_place(operation: InPlace) -> u64 {
    match operation.width {
        1 => run!(AtomicU8, u8, operation),
        2 => run!(AtomicU16, u16, operation),
        4 => run!(AtomicU32, u32, operation),
        8 => run!(AtomicU64, u64, operation),
        width => panic!("no atomic operation is {width} bytes wide"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cell: &mut u64, kind: OperationKind, width: u8, operand: u64, expected: u64) -> u64 {
        in_place(InPlace {
            address: std::ptr::from_mut(cell) as usize,
            width,
            kind,
            operand,
            expected,
        })
    }

    #[test]
    fn every_operation_returns_the_value_before_it() {
        use OperationKind::*;
        let mut cell = 12;
        for (kind, operand, before, after) in [
            (Load, 0, 12, 12),
            (Store, 10, 12, 10),
            (Exchange, 6, 10, 6),
            (Add, u64::MAX, 6, 5),
            (Sub, 2, 5, 3),
            (And, 6, 3, 2),
            (Or, 5, 2, 7),
            (Xor, 3, 7, 4),
            (Nand, 6, 4, !4),
        ] {
            assert_eq!(run(&mut cell, kind, 8, operand, 0), before, "{kind:?}");
            assert_eq!(cell, after, "{kind:?}");
        }
        assert_eq!(run(&mut cell, CompareExchange, 8, 1, 2), !4);
        assert_eq!(cell, !4, "it expected something else");
        assert_eq!(run(&mut cell, CompareExchange, 8, 1, !4), !4);
        assert_eq!(cell, 1);
    }

    #[test]
    fn a_narrow_operation_leaves_the_bytes_beside_it_alone() {
        for (width, after) in [
            (1, 0x1111_1111_1111_1100),
            (2, 0x1111_1111_1111_1200),
            (4, 0x1111_1111_1111_1200),
        ] {
            let mut cell = 0x1111_1111_1111_11FF;
            let before = run(&mut cell, OperationKind::Add, width, 1, 0);
            assert_eq!(
                before,
                0x1111_1111_1111_11FF & (u64::MAX >> (64 - 8 * width))
            );
            assert_eq!(cell, after, "{width}");
        }
    }
}
