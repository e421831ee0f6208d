//! Capture plans, carried out over memory that is made up.

mod callers;
mod followed;
mod made_up;

use std::sync::atomic::AtomicU64;

use proptest::prelude::*;
use umbel_trace_ring::plan::{
    Arithmetic, CFA, Captured, Opcode, PAYLOAD_WORDS, RegionState, STACK_MISSING, Scratch, THREAD,
    op,
};

use made_up::{
    OWN, Pieces, R12, RBP, RBX, RSP, TIME, Told, XMM1, end, first, head, registers, run,
    run_finding, state, text,
};

#[test]
fn registers_and_stack_are_appended_in_whole_words() {
    let memory = Pieces::default().with(0xff0, b"0123456789abcdef");
    let code = [
        head(12, 0, 0, 5),
        op(Opcode::Register, RBX, 0, 0),
        op(Opcode::Register, 9, 0, 0),
        op(Opcode::Vector, XMM1, 0, 0),
        op(Opcode::Stack, RBP, 4, -16),
        op(Opcode::Stack, RBP, 11, -16),
        op(Opcode::SetCfa, RSP, 0, 16),
        op(Opcode::Register, CFA, 0, 0),
        end(),
    ];
    let stack = [text(b"0123"), text(b"01234567"), text(b"89a")];
    assert_eq!(
        run(&code, &memory),
        [
            TIME,
            first(5),
            0xb,
            9,
            0x11,
            0x22,
            stack[0],
            stack[1],
            stack[2],
            0xf10,
            0
        ]
    );
}

#[test]
fn what_lies_on_no_stack_is_zeroes() {
    let code = [head(9, 0, 0, 5), op(Opcode::Stack, RBP, 12, -16), end()];
    assert_eq!(
        run(&code, &Pieces::default()),
        [TIME, first(5) | STACK_MISSING, 0, 0, 0]
    );
}

#[test]
fn a_plan_without_room_for_what_it_appends_captures_nothing() {
    let code = [head(2, 0, 0, 5), op(Opcode::Register, RBX, 0, 0), end()];
    assert_eq!(run(&code, &Pieces::default()), [0; 0]);
}

#[test]
fn regions_of_computed_addresses_come_in_order_and_say_what_could_not_be_read() {
    let memory = Pieces::default()
        .numbers(0x2000, &[0x3000, 0xffff_ffff])
        .with(0x3008, b"abcdefgh")
        .with(0x4000, b"three of them");
    let code = [
        head(64, 1, 8, 9),
        op(Opcode::Constant, 0, 0, 0),
        0x2000,
        op(Opcode::Load, 0, 8, 0),
        op(Opcode::Constant, 0, 0, 0),
        8,
        op(Opcode::Combine, 0, 0, Arithmetic::Plus as i32),
        op(Opcode::Region, 0, 0, 0),
        5,
        // Nothing there: what follows is left out, up to the region.
        op(Opcode::Constant, 0, 0, 0),
        0x9000,
        op(Opcode::Load, 0, 8, 0),
        op(Opcode::Combine, 0, 0, Arithmetic::Plus as i32),
        op(Opcode::Region, 0, 0, 0),
        5,
        // Three elements of 2 bytes, of which 5 bytes are wanted at most.
        op(Opcode::Constant, 0, 0, 0),
        0x4000,
        op(Opcode::Constant, 0, 0, 0),
        3,
        op(Opcode::Region, 0, 2, 0),
        5,
        // Sign-extended: -1 elements are none.
        op(Opcode::Constant, 0, 0, 0),
        0x4000,
        op(Opcode::Constant, 0, 0, 0),
        0x2008,
        op(Opcode::Load, 0, 4, 1),
        op(Opcode::Region, 0, 2, 0),
        8,
        end(),
    ];
    let captured = RegionState::Captured;
    assert_eq!(
        run(&code, &memory),
        [
            TIME,
            first(9),
            4,
            0x3008,
            state(5, captured),
            text(b"abcde"),
            0x9000,
            state(0, RegionState::Invalid),
            0x4000,
            state(5, captured),
            text(b"three"),
            0x4000,
            state(0, captured),
        ]
    );
}

#[test]
fn a_threads_own_address_is_appended_and_read_beside() {
    let memory = Pieces::default().numbers(OWN - 16, &[7]);
    let code = [
        head(16, 0, 4, 1),
        op(Opcode::Register, THREAD, 0, 0),
        op(Opcode::Push, THREAD, 0, -16),
        op(Opcode::Region, 0, 0, 0),
        8,
        end(),
    ];
    let state = 8 | (RegionState::Captured as u64) << 32;
    assert_eq!(
        run(&code, &memory),
        [TIME, first(1), OWN, 1, OWN - 16, state, 7]
    );
}

#[test]
fn conditions_trigger_where_they_hold_and_can_be_judged() {
    let constant = op(Opcode::Constant, 0, 0, 0);
    let combine = |arithmetic: Arithmetic| op(Opcode::Combine, 0, 0, arithmetic as i32);
    let float = u64::from((-1.5f32).to_bits());
    let code = [
        head(16, 0, 0, 1),
        // r12 > 11, signed.
        op(Opcode::Push, R12, 0, 0),
        constant,
        11,
        combine(Arithmetic::Gt),
        op(Opcode::Trigger, 0, 0, 7),
        // r12 > -1, unsigned: not.
        op(Opcode::Push, R12, 0, 0),
        constant,
        u64::MAX,
        combine(Arithmetic::GtUnsigned),
        op(Opcode::Trigger, 0, 0, 8),
        // Nothing is there to be compared.
        constant,
        0x9000,
        op(Opcode::Load, 0, 8, 0),
        constant,
        0,
        combine(Arithmetic::Ge),
        op(Opcode::Trigger, 0, 0, 9),
        // A float of the program, less than a number.
        constant,
        float,
        combine(Arithmetic::Widen),
        constant,
        (-1.25f64).to_bits(),
        combine(Arithmetic::LtFloat),
        op(Opcode::Trigger, 1, 0, 10),
        end(),
    ];
    let code: Vec<AtomicU64> = code.iter().map(|&word| AtomicU64::new(word)).collect();
    let scratch = Box::new(Scratch::new());
    let capture = Captured {
        code: &code[..],
        probe: &Pieces::default(),
        finder: &|_| None,
        scratch: &scratch,
    };
    assert_eq!(capture.payload(0, &mut registers(), TIME), 3);
    let (count, triggers) = scratch.triggers.all();
    let number_and_hold = triggers[..count].iter().map(|one| (one.number, one.holds));
    assert!(number_and_hold.eq([(7, false), (10, true)]));
}

/// Words that are often plans, and never sensible ones.
fn garbage() -> impl Strategy<Value = Vec<u64>> {
    let op = (
        0u64..14,
        prop_oneof![0u64..16, Just(0xff)],
        0u64..64,
        -64i32..64,
    );
    let op = op.prop_map(|(opcode, register, bytes, offset)| {
        opcode | register << 8 | bytes << 16 | u64::from(offset as u32) << 32
    });
    let small = (0u64..64, 0u64..64).prop_map(|(low, high)| low | high << 32);
    let word = prop_oneof![3 => op, 2 => small, 1 => any::<u64>()];
    proptest::collection::vec(word, 1..64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_plan_leads_out_of_its_memory_or_runs_for_ever(code in garbage(), head in any::<u64>()) {
        let memory = Pieces::default()
            .with(0, &[0x20; 4096])
            .with(0xf00, &[0x10; 4096]);
        let mut code = code;
        code[0] = head | 0xffff;
        let payload = run_finding(&code, &memory, &|address| Some(address as u32 % 64));
        prop_assert!(payload.len() <= PAYLOAD_WORDS);
        let told = Told::new(memory);
        let find = |address: u64| Some(address as u32 % 64);
        prop_assert_eq!(run_finding(&code, &told, &find), payload);
    }
}
