//! Where pointers lead, as shapes say.

use umbel_trace_ring::plan::{Follow, Opcode, RegionState, op};

use crate::made_up::{
    Pieces, R12, RBP, RSP, TIME, Told, end, first, head, instruction, run, state, text,
};

/// A list of three nodes, each with a text: a plan whose shape is at word 8.
fn list(depth: u8, regions: u8, payload_words: u16) -> (Vec<u64>, Pieces) {
    let mut code = vec![
        head(payload_words, depth, regions, 1),
        op(Opcode::Register, R12, 0, 0),
        op(Opcode::Push, RSP, 0, 0x100),
        op(Opcode::Region, 0, 0, 0),
        16 | 8 << 32,
        end(),
    ];
    code.resize(8, 0);
    code.push(2);
    code.extend(instruction(Follow::Link, 16, 0, 0, 8, 0));
    code.extend(instruction(Follow::Text, 6, 8, 0, 0, 0));
    let memory = Pieces::default()
        .numbers(0x1000, &[0x2000, 0x5000])
        .numbers(0x2000, &[0x3000, 0])
        .numbers(0x3000, &[0x1000, 0x5001])
        .with(0x5000, b"ab\0cdef");
    (code, memory)
}

#[test]
fn a_circle_of_nodes_is_gone_round_once() {
    let (code, memory) = list(1, 255, 64);
    let captured = RegionState::Captured;
    assert_eq!(
        run(&code, &memory),
        [
            TIME,
            first(1),
            12,
            5,
            0x1000,
            state(16, captured),
            0x2000,
            0x5000,
            0x2000,
            state(16, captured),
            0x3000,
            0,
            0x5000,
            state(3, captured),
            text(b"ab\0"),
            0x3000,
            state(16, captured),
            0x1000,
            0x5001,
            0x5001,
            state(2, captured),
            text(b"b\0"),
        ]
    );
}

#[test]
fn depth_number_and_room_are_limits() {
    let regions = |payload: Vec<u64>| payload[3];
    let (code, memory) = list(0, 255, 64);
    assert_eq!(regions(run(&code, &memory)), 3, "links alone");
    let (code, memory) = list(1, 2, 64);
    assert_eq!(regions(run(&code, &memory)), 2);
    let (code, memory) = list(1, 255, 12);
    let payload = run(&code, &memory);
    // The first two nodes: not even the text's head.
    assert_eq!(payload.len(), 1 + 11);
    let (code, memory) = list(1, 255, 13);
    let payload = run(&code, &memory);
    assert_eq!(payload[12..], [0x5000, state(6, RegionState::LeftOut)]);
}

#[test]
fn a_text_goes_to_where_memory_ends() {
    let mut page = vec![b'-'; 4096];
    page[4093..].copy_from_slice(b"xyz");
    let memory = Pieces::default()
        .with(0x6000, &page)
        .numbers(0xff8, &[0x6ffd]);
    let mut code = vec![
        head(64, 1, 8, 1),
        op(Opcode::Stack, RBP, 8, -8),
        op(Opcode::Shape, 0, 0, 0),
        5,
        end(),
        1,
    ];
    code.extend(instruction(Follow::Text, 32, 0, 0, 0, 0));
    let captured = state(3, RegionState::Captured);
    assert_eq!(
        run(&code, &memory),
        [TIME, first(1), 0x6ffd, 1, 0x6ffd, captured, text(b"xyz")]
    );
}

#[test]
fn a_vector_of_pointers_is_followed_element_by_element() {
    let memory = Pieces::default()
        .numbers(0xfe8, &[0x7000, 0x7000 + 5 * 8, 0])
        .numbers(0x7000, &[0, 0x8000, 0x9000, 0x8000, 0x8000])
        .with(0x8000, b"12345678");
    let mut code = vec![
        head(64, 2, 8, 1),
        op(Opcode::Stack, RBP, 24, -24),
        op(Opcode::Shape, 0, 0, 0),
        5,
        end(),
        1,
    ];
    let pointers = code.len() as u32 + 3;
    code.extend(instruction(Follow::Span, 8, 0, 8, pointers, 3));
    code.push(1);
    code.extend(instruction(Follow::Object, 4, 0, 0, 0, 0));
    let captured = RegionState::Captured;
    assert_eq!(
        run(&code, &memory)[5..],
        [
            3,
            0x7000,
            state(24, captured),
            0,
            0x8000,
            0x9000,
            0x8000,
            state(4, captured),
            text(b"1234"),
            0x9000,
            state(4, RegionState::Invalid),
        ]
    );
}

#[test]
fn what_the_pointers_of_a_depth_lead_to_is_told_before_it_is_read() {
    let (code, memory) = list(1, 255, 64);
    let expected = run(&code, &memory);
    let told = Told::new(memory);
    assert_eq!(run(&code, &told), expected);
    // What is captured already isn't read again; the plan's own region was asked for alone.
    let levels = [
        vec![(0x2000, 16), (0x5000, 6)],
        vec![(0x3000, 16)],
        vec![(0x5001, 6)],
    ];
    assert_eq!(*told.told.borrow(), levels);
    assert_eq!(told.untold.get(), 1);
}

#[test]
fn what_lies_before_a_table_is_followed_too() {
    let memory = Pieces::default()
        .numbers(0x2000, &[0x3018, 5])
        .numbers(0x3000, &[42, 43]);
    let mut code = vec![
        head(32, 1, 4, 1),
        op(Opcode::Constant, 0, 0, 0),
        0x2000,
        op(Opcode::Region, 0, 0, 0),
        16 | 6 << 32,
        end(),
        1,
    ];
    let before = (-24i32).cast_unsigned();
    code.extend(instruction(Follow::Object, 8, 0, before, 0, 0));
    let state = |bytes: u64| bytes | (RegionState::Captured as u64) << 32;
    assert_eq!(
        run(&code, &memory),
        [
            TIME,
            first(1),
            2,
            0x2000,
            state(16),
            0x3018,
            5,
            0x3000,
            state(8),
            42
        ]
    );
}
