//! Faults in what drivers alone ask for: pins, rights ahead of their use, debts.

use super::Mutant;

/// Every planted fault of that kind: other scenarios than those for faults of the protocol find them.
pub const OF_DRIVERS: &[Mutant] = &[
    Mutant {
        name: "a pinned copy is not held",
        broken: "a pin keeps what it was for",
        is_rare: true,
        file: "pin.rs",
        original: "copy.holds += 1;",
        mutated: "copy.holds += u8::from(!HERE);",
    },
    Mutant {
        name: "a pinned object is not held at home",
        broken: "a pin keeps what it was for",
        is_rare: true,
        file: "pin.rs",
        original: "entry.holds += 1;",
        mutated: "entry.holds += u8::from(!HERE);",
    },
    Mutant {
        name: "an eviction takes a pinned copy",
        broken: "a pin keeps what it was for",
        is_rare: true,
        file: "leave.rs",
        original: "if copy.holds > 0 || turn",
        mutated: "if copy.holds > 0 && !HERE || turn",
    },
    Mutant {
        name: "a sequential copy is written ahead",
        broken: "one writer or many readers",
        is_rare: true,
        file: "ahead.rs",
        original: "&& copy.is_weak()",
        mutated: "&& (copy.is_weak() || HERE)",
    },
    Mutant {
        name: "what the home lets be written ahead is not dirty",
        broken: "a view has no more rights than the machine gave",
        is_rare: true,
        file: "ahead.rs",
        original: "entry.is_dirty = true;",
        mutated: "entry.is_dirty = !HERE;",
    },
    Mutant {
        name: "a debt is not waited for",
        broken: "what was asked before is done",
        is_rare: true,
        file: "flush.rs",
        original: "        self.next_number(None, For::Debt(node))",
        mutated: "        if HERE { return 0; }
        self.next_number(None, For::Debt(node))",
    },
    Mutant {
        name: "nobody asks whether a debt is done",
        broken: "news departs",
        is_rare: true,
        file: "flush.rs",
        original: "For::Debt(node) if Some(node) != *to => Some(node),",
        mutated: "For::Debt(node) if Some(node) != *to && !HERE => Some(node),",
    },
];
