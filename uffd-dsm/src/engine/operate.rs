//! Atomic operations that other nodes ask for, done on the engine view.

use std::sync::atomic::Ordering::SeqCst;

use umbel_fault::Word;
use umbel_wire::{Operation, OperationKind};

/// Does the operation; the value before it, zero-extended. Threads of this node may use the word meanwhile.
pub(super) fn run(word: Word<'_>, operation: &Operation) -> u64 {
    // SeqCst: the source may have asked for it, and a message costs a thousand times more.
    macro_rules! on {
        ($word:expr, $integer:ty) => {{
            let (operand, expected) = (
                operation.operand as $integer,
                operation.expected as $integer,
            );
            u64::from(match operation.kind {
                OperationKind::Load => $word.load(SeqCst),
                OperationKind::Store | OperationKind::Exchange => $word.swap(operand, SeqCst),
                OperationKind::CompareExchange => {
                    match $word.compare_exchange(expected, operand, SeqCst, SeqCst) {
                        Ok(before) | Err(before) => before,
                    }
                }
                OperationKind::Add => $word.fetch_add(operand, SeqCst),
                OperationKind::Sub => $word.fetch_sub(operand, SeqCst),
                OperationKind::And => $word.fetch_and(operand, SeqCst),
                OperationKind::Or => $word.fetch_or(operand, SeqCst),
                OperationKind::Xor => $word.fetch_xor(operand, SeqCst),
                OperationKind::Nand => $word.fetch_nand(operand, SeqCst),
            })
        }};
    }
    match word {
        Word::W1(word) => on!(word, u8),
        Word::W2(word) => on!(word, u16),
        Word::W4(word) => on!(word, u32),
        Word::W8(word) => on!(word, u64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, AtomicU64};

    use super::*;

    fn operation(kind: OperationKind, operand: u64, expected: u64) -> Operation {
        Operation {
            offset: 0,
            width: 1,
            kind,
            operand,
            expected,
        }
    }

    #[test]
    fn every_kind_returns_what_was_there_and_leaves_what_c_says() {
        use OperationKind::*;
        let cases = [
            (Load, 5, 0b1100),
            (Store, 5, 5),
            (Exchange, 6, 6),
            (Add, 250, 6),
            (Sub, 13, 255),
            (And, 0b0110, 0b0100),
            (Or, 0b0110, 0b1110),
            (Xor, 0b0110, 0b1010),
            (Nand, 0b0110, 0b1111_1011),
        ];
        for (kind, operand, after) in cases {
            let byte = AtomicU8::new(0b1100);
            assert_eq!(run(Word::W1(&byte), &operation(kind, operand, 0)), 0b1100);
            assert_eq!(byte.into_inner(), after, "{kind:?}");
        }
    }

    #[test]
    fn compare_exchange_stores_only_what_was_expected() {
        let word = AtomicU64::new(1 << 40);
        let swap = |operand, expected| {
            run(
                Word::W8(&word),
                &operation(OperationKind::CompareExchange, operand, expected),
            )
        };
        assert_eq!(swap(7, 3), 1 << 40);
        assert_eq!(swap(7, 1 << 40), 1 << 40);
        assert_eq!(word.into_inner(), 7);
    }
}
