//! Capture plans, carried out over memory that is made up.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use umbel_trace_ring::plan::{
    Arithmetic, CFA, Captured, ENTRIES, Follow, Instruction, Op, Opcode, PAYLOAD_WORDS, Piece,
    PlanHead, Probe, RegionState, Registers, STACK_MISSING, Scratch, THREAD, UNKNOWN,
    UNKNOWN_AT_HOOK, Unread, op,
};

const TIME: u64 = 77;
const RBX: u8 = 3;
const RBP: u8 = 6;
const RSP: u8 = 7;
const R12: u8 = 12;
const XMM1: u8 = 18;

/// The thread's own address.
const OWN: u64 = 0x7f00_0000_1000;

/// The first word of a frame that called a hook.
fn first(number: u64) -> u64 {
    number | UNKNOWN_AT_HOOK << 32
}

/// Memory: pieces of bytes at addresses; all else can't be read.
#[derive(Default)]
struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    fn with(mut self, address: u64, bytes: &[u8]) -> Self {
        self.0.push((address, bytes.to_vec()));
        self
    }

    fn numbers(self, address: u64, numbers: &[u64]) -> Self {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.with(address, &bytes)
    }
}

impl Probe for Pieces {
    fn thread_pointer(&self) -> Option<u64> {
        Some(OWN)
    }

    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread> {
        let piece = self.0.iter().find_map(|(address, piece)| {
            let offset = from.checked_sub(*address)? as usize;
            piece.get(offset..offset.checked_add(bytes)?)
        });
        for (place, &byte) in (skip..).zip(piece.ok_or(Unread::Invalid)?) {
            let shift = 8 * (place % 8);
            let word = &to[place / 8];
            let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(rest | u64::from(byte) << shift, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The same, by a probe that is told what will be read.
struct Told {
    pieces: Pieces,
    told: RefCell<Vec<Vec<(u64, usize)>>>,
    /// What was read without having been told.
    untold: Cell<usize>,
}

impl Told {
    fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            told: RefCell::default(),
            untold: Cell::new(0),
        }
    }
}

impl Probe for Told {
    fn thread_pointer(&self) -> Option<u64> {
        self.pieces.thread_pointer()
    }

    fn reads_together(&self) -> bool {
        true
    }

    fn expect(&self, pieces: &[Piece]) {
        let pieces = pieces
            .iter()
            .map(|piece| (piece.address as u64, piece.bytes));
        self.told.borrow_mut().push(pieces.collect());
    }

    fn copy(&self, from: u64, to: &[AtomicU64], skip: usize, bytes: usize) -> Result<(), Unread> {
        let told = self.told.borrow();
        let is_told = told
            .last()
            .is_some_and(|told| told.contains(&(from, bytes)));
        self.untold.set(self.untold.get() + usize::from(!is_told));
        self.pieces.copy(from, to, skip, bytes)
    }
}

fn registers() -> Registers {
    Registers {
        values: [0xb, 0x1000, 12, 13, 14, 15, 0xf00, 0, 0xa, 0xd, 0xc, 8, 9],
        unknown: UNKNOWN_AT_HOOK,
        vectors: [[0x11, 0x22]; 8],
    }
}

fn head(payload_words: u16, depth: u8, regions: u8, number: u32) -> u64 {
    PlanHead {
        payload_words,
        depth,
        regions,
        number,
    }
    .pack()
}

fn end() -> u64 {
    Op::plain(Opcode::End).pack()
}

fn instruction(
    follow: Follow,
    number: u32,
    offset: u32,
    second: u32,
    shape: u32,
    most: u32,
) -> [u64; 3] {
    Instruction {
        follow,
        number,
        offset,
        second,
        shape,
        most,
    }
    .pack()
}

fn run(code: &[u64], memory: &impl Probe) -> Vec<u64> {
    run_finding(code, memory, &|_| None)
}

fn run_finding(code: &[u64], memory: &impl Probe, find: &impl Fn(u64) -> Option<u32>) -> Vec<u64> {
    let code: Vec<AtomicU64> = code.iter().map(|&word| AtomicU64::new(word)).collect();
    let scratch = Box::new(Scratch::new());
    for word in &scratch.words {
        // What an event before has left.
        word.store(u64::MAX, Ordering::Relaxed);
    }
    let capture = Captured {
        code: &code[..],
        probe: memory,
        finder: find,
        scratch: &scratch,
    };
    let words = capture.payload(0, &mut registers(), TIME);
    let payload = scratch.words[..words].iter();
    payload.map(|word| word.load(Ordering::Relaxed)).collect()
}

fn state(bytes: u64, state: RegionState) -> u64 {
    bytes | (state as u64) << 32
}

fn text(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

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
