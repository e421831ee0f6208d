//! Atomic operations on objects that may be in remote mode, and accesses that make an object sequential.

use std::sync::atomic::AtomicU8;

use crate::node;
use crate::sys::operate::{InPlace, OperationKind, in_place};

/// Compiled code looks here before each operation that could go by message.
#[unsafe(no_mangle)]
pub static umbel_remote_active: AtomicU8 = AtomicU8::new(0);

/// See `umbel_abi.h`.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_operate(
    address: usize,
    kind: u32,
    width: u32,
    operand: u64,
    expected: u64,
) -> u64 {
    let kind = match kind {
        0 => OperationKind::Load,
        1 => OperationKind::Store,
        2 => OperationKind::Exchange,
        3 => OperationKind::CompareExchange,
        4 => OperationKind::Add,
        5 => OperationKind::Sub,
        6 => OperationKind::And,
        7 => OperationKind::Or,
        8 => OperationKind::Xor,
        9 => OperationKind::Nand,
        kind => node::fatal(&format!(
            "operation {kind} is unknown: was the program compiled for another runtime?"
        )),
    };
    let width = match width {
        1 | 2 | 4 | 8 => width as u8,
        width => node::fatal(&format!(
            "an atomic operation of {width} bytes: was the program compiled for another runtime?"
        )),
    };
    in_place(InPlace {
        address,
        width,
        kind,
        operand,
        expected,
    })
}

/// See `umbel_abi.h`. Every object is sequential so far.
#[unsafe(no_mangle)]
pub extern "C" fn __umbel_strengthen(_address: usize) {}
