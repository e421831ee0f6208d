//! Frames of callers: where their registers are kept, and which plans they have.

use umbel_trace_ring::plan::{CFA, ENTRIES, Opcode, UNKNOWN, op};

use crate::made_up::{
    Pieces, R12, RBP, RBX, RSP, TIME, Told, XMM1, end, first, head, run, run_finding,
};

#[test]
fn pieces_of_the_stack_and_a_callers_registers_are_told_before_they_are_read() {
    let memory = Pieces::default()
        .numbers(0x1000, &[0xbbb, 0x5150, 0x1234, 99])
        .with(0xff0, b"0123456789abcdef");
    let code = [
        head(16, 0, 0, 1),
        op(Opcode::Stack, RBP, 4, -16),
        op(Opcode::SetCfa, RBP, 0, 24),
        op(Opcode::Stack, CFA, 11, -40),
        op(Opcode::Caller, RBP, 0, 24),
        0xfffd | 0xfffe << 16,
        0,
        head(16, 0, 0, 2),
        op(Opcode::Register, RBX, 0, 0),
        op(Opcode::Stack, RSP, 8, 0),
        end(),
    ];
    let find = |address| (address == 0x1234).then_some(7);
    let expected = run_finding(&code, &memory, &find);
    let told = Told::new(memory);
    assert_eq!(run_finding(&code, &told, &find), expected);
    let together = [
        vec![(0xff0, 4), (0xff0, 11)],
        vec![(0x1010, 8), (0x1000, 8), (0x1008, 8)],
        vec![(0x1018, 8)],
    ];
    assert_eq!(*told.told.borrow(), together);
    assert_eq!(told.untold.get(), 0);
}

#[test]
fn callers_frames_have_their_own_registers() {
    // The frame's caller waits at 0x1234, its rbx lies below, its r12 is where it was, its r13 is unknown.
    let memory = Pieces::default().numbers(0x1000, &[0xbbb, 0x5150, 0x1234, 99]);
    let unknown = u64::from(UNKNOWN as u16);
    let code = [
        head(8, 0, 0, 1),
        op(Opcode::Caller, RBP, 0, 24),
        0xfffd | 0xfffe << 16 | unknown << 48,
        0,
        head(16, 0, 0, 2),
        op(Opcode::Register, RBX, 0, 0),
        op(Opcode::Register, RBP, 0, 0),
        op(Opcode::Register, RSP, 0, 0),
        op(Opcode::Register, R12, 0, 0),
        op(Opcode::Register, 13, 0, 0),
        op(Opcode::Register, 0, 0, 0),
        op(Opcode::Vector, XMM1, 0, 0),
        op(Opcode::Stack, RSP, 8, 0),
        op(Opcode::Caller, RSP, 0, 0x100),
        0,
        0,
    ];
    let find = |address| (address == 0x1234).then_some(4);
    let frame = [0xbbb, 0x5150, 0x1018, 12, 0, 0, 0, 0, 99, 0];
    let mut expected = vec![TIME, first(1), 0, 2 | 0x2f37 << 32];
    expected.extend(frame);
    // There is no memory where its own caller would be told.
    expected.push(0);
    assert_eq!(run_finding(&code, &memory, &find), expected);
    assert_eq!(run(&code, &memory), [TIME, first(1), 0, 0]);
}

#[test]
fn a_caller_of_which_only_registers_are_wanted_has_a_plan_of_its_own() {
    // Each frame's caller waits at what lies below its frame address: 0x1234, then 0x5678.
    let memory = Pieces::default()
        .numbers(0x1010, &[0x1234])
        .numbers(0x1110, &[0x5678]);
    let code = [
        head(8, 0, 0, 1),
        op(Opcode::Caller, RBP, 1, 0x18),
        0,
        0,
        head(8, 0, 0, 2),
        op(Opcode::Register, RBX, 0, 0),
        op(Opcode::Caller, RBP, 1, 0x118),
        0,
        0,
        head(8, 0, 0, 3),
        op(Opcode::Register, R12, 0, 0),
        end(),
    ];
    let find = |address| match address {
        _ if address == 0x1234 | ENTRIES => Some(4),
        _ if address == 0x5678 | ENTRIES => Some(9),
        _ => None,
    };
    // In callers' frames, what a call may change is unknown.
    let behind_call = 0x0f37u64 << 32;
    let expected = [
        TIME,
        first(1),
        0,
        2 | behind_call,
        0xb,
        0,
        3 | behind_call,
        12,
        0,
    ];
    assert_eq!(run_finding(&code, &memory, &find), expected);
    // Where all of its variables are wanted, it is another one.
    let mut all = code;
    all[1] = op(Opcode::Caller, RBP, 0, 0x18);
    assert_eq!(run_finding(&all, &memory, &find), [TIME, first(1), 0, 0]);
}
