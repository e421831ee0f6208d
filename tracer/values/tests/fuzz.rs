//! Fuzzing of the readers of values: whatever a payload, a plan's description, a type table and a program's memory hold, reading ends
//! soon, and what comes out is not large.
//!
//! A short run of a fixed seed is an ordinary test. `cargo xtask fuzz --seconds N` runs longer with a new seed, through
//! `UMBEL_FUZZ_SECONDS` and `UMBEL_FUZZ_SEED`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbel_trace_ring::plan::{Op as PlanOp, PlanHead};
use umbel_values::captured::{Captured, Plan};
use umbel_values::plan::Kind as PlanKind;
use umbel_values::show::{self, Limits};
use umbel_values::unwind::FrameAddress;
use umbel_values::{
    Absence, Address, Base, Binary, Bound, DescribedFrame, Description, Dimension, Encoding,
    Enumerator, EventValues, Float, Keyword, Kind, Member, Memory, Offset, Op, Piece, Place,
    Registers, Type, TypeId, Types, Value, Variable, Variant,
};

const SEED: u64 = 0x2010_0831;
/// Rounds of the short run.
const SHORT_ROUNDS: u64 = 400;
/// Reads of memory for one value: each of the values that it may have takes a few, a damaged expression some hundreds.
const READS_MAX: u64 = 4_000_000;
/// Bytes of one value as text.
const TEXT_MAX: usize = 4 << 20;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// Often small, sometimes absurd.
    fn number(&mut self) -> u64 {
        match self.below(8) {
            0..=3 => self.below(64),
            4 => 0x4000 + self.below(512),
            5 => u64::MAX - self.below(3),
            6 => 1 << self.below(64),
            _ => self.next(),
        }
    }
}

/// Memory in which everything is random, but where nothing is; counts how often it is asked.
struct Chaos {
    seed: u64,
    reads: Cell<u64>,
}

impl Memory for Chaos {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        self.reads.set(self.reads.get() + 1);
        let mut random = Random(self.seed ^ address.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        if random.below(10) == 0 {
            return Err(Absence::Invalid(address));
        }
        for part in bytes.chunks_mut(8) {
            let number = random.number().to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
        Ok(())
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        let mut bytes = vec![0; limit.min(8)];
        self.read(address, &mut bytes).map(|()| (bytes, false))
    }
}

impl Registers for Chaos {
    fn register(&self, number: u16) -> Option<u64> {
        (!number.is_multiple_of(3)).then_some(self.seed.rotate_left(number.into()))
    }

    fn frame_address(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn bias(&self) -> u64 {
        self.seed
    }
}

fn any_id(random: &mut Random) -> TypeId {
    TypeId(random.below(45) as u32)
}

fn any_op(random: &mut Random) -> Op {
    match random.below(18) {
        16 => Op::Float(*random.one(&[
            Float::Add(4),
            Float::Divide(8),
            Float::Root(8),
            Float::ToSigned(8, 4),
            Float::Widen,
            Float::FromLong,
            Float::LongExponent,
        ])),
        0 | 1 => Op::Constant(random.number()),
        2 => Op::Static(random.number()),
        3 => Op::Register(random.below(20) as u16, random.number() as i64),
        4 => Op::FrameAddress(random.number() as i64),
        5 => Op::Load(random.below(12) as u8),
        6 => Op::LoadSigned(random.below(9) as u8),
        7 => Op::Plus(random.number()),
        8 => Op::Binary(*random.one(&[
            Binary::Div,
            Binary::Mod,
            Binary::DivUnsigned,
            Binary::Shl,
            Binary::Shra,
            Binary::Minus,
        ])),
        9 => Op::Pick(random.below(4) as u8),
        10 => Op::Swap,
        11 => Op::Rotate,
        12 => Op::Truncate(random.below(12) as u8, true),
        13 => Op::Branch(random.number() as i32),
        14 => Op::Skip(random.number() as i32),
        _ => Op::Object,
    }
}

fn any_address(random: &mut Random) -> Address {
    let count = random.below(6);
    Address {
        ops: (0..count).map(|_| any_op(random)).collect(),
    }
}

fn any_place(random: &mut Random, depth: u32) -> Place {
    match random.below(if depth > 4 { 5 } else { 8 }) {
        0 => Place::Register(random.below(40) as u16),
        1 | 2 => Place::Memory(any_address(random)),
        3 => Place::Value(any_address(random)),
        4 => Place::Constant((0..random.below(20)).map(|_| random.next() as u8).collect()),
        5 => Place::ImplicitPointer(
            Box::new(any_place(random, depth + 1)),
            random.number() as i64,
        ),
        6 => {
            let count = random.below(5);
            let piece = |random: &mut Random| Piece {
                bits: random.number(),
                offset: random.number(),
                place: any_place(random, depth + 1),
            };
            Place::Pieces((0..count).map(|_| piece(random)).collect())
        }
        _ => Place::OptimizedOut,
    }
}

fn any_offset(random: &mut Random) -> Offset {
    match random.below(4) {
        0 => Offset::Dynamic(any_address(random)),
        _ => Offset::Fixed(random.number()),
    }
}

/// Names that readers look for.
const NAMES: [&str; 40] = [
    "",
    "x",
    "_M_impl",
    "_M_start",
    "_M_finish",
    "_M_p",
    "_M_offset",
    "_M_t",
    "_M_header",
    "_M_node_count",
    "_M_left",
    "_M_right",
    "_M_parent",
    "_M_h",
    "_M_before_begin",
    "_M_nxt",
    "_M_element_count",
    "_M_node",
    "_M_next",
    "_M_size",
    "_M_cur",
    "_M_first",
    "_M_last",
    "_M_ptr",
    "_M_payload",
    "_M_engaged",
    "_M_value",
    "_M_u",
    "_M_index",
    "_M_rest",
    "_M_storage",
    "_M_dataplus",
    "_M_string_length",
    "first",
    "second",
    "_M_head_impl",
    "_M_str",
    "_M_len",
    "_M_elems",
    "_M_i",
];
const TYPES: [&str; 20] = [
    "",
    "T",
    "std::vector<int>",
    "std::__cxx11::basic_string<char>",
    "std::map<int, int>",
    "std::unordered_map<int, int>",
    "std::__cxx11::list<int>",
    "std::forward_list<int>",
    "std::deque<int>",
    "std::tuple<int>",
    "std::_Tuple_impl<0, int>",
    "std::_Head_base<0, int>",
    "std::unique_ptr<int>",
    "std::shared_ptr<int>",
    "std::optional<int>",
    "std::variant<int>",
    "std::atomic<int>",
    "std::array<int, 3>",
    "std::basic_string_view<char>",
    "wchar_t",
];

fn any_member(random: &mut Random) -> Member {
    Member {
        name: (*random.one(&NAMES)).into(),
        of: any_id(random),
        offset: any_offset(random),
        bits: (random.below(5) == 0).then(|| (random.number(), random.number())),
        is_artificial: random.below(9) == 0,
    }
}

fn any_kind(random: &mut Random) -> Kind {
    let encodings = [
        Encoding::Boolean,
        Encoding::Signed,
        Encoding::Unsigned,
        Encoding::SignedChar,
        Encoding::UnsignedChar,
        Encoding::Utf,
        Encoding::Float,
        Encoding::ComplexFloat,
        Encoding::Other(3),
    ];
    match random.below(14) {
        0 | 1 => Kind::Base(*random.one(&encodings)),
        2 => Kind::Pointer(any_id(random)),
        3 => Kind::Reference(any_id(random)),
        4 => Kind::MemberPointer(any_id(random)),
        5 => Kind::Array {
            element: any_id(random),
            dimensions: (0..random.below(4))
                .map(|_| Dimension {
                    lower: 0,
                    count: match random.below(3) {
                        0 => Bound::Dynamic(any_address(random)),
                        1 => Bound::Unknown,
                        _ => Bound::Fixed(random.number()),
                    },
                })
                .collect(),
            is_vector: random.below(4) == 0,
        },
        6 => Kind::Enum {
            underlying: Some(any_id(random)),
            enumerators: (0..random.below(5))
                .map(|_| Enumerator {
                    name: "E".into(),
                    value: i128::from(random.number()) - 8,
                })
                .collect(),
        },
        7 => Kind::Alias(any_id(random)),
        8 => Kind::Function,
        9 => Kind::Void,
        _ => Kind::Record {
            keyword: Keyword::Class,
            bases: (0..random.below(4))
                .map(|_| Base {
                    of: any_id(random),
                    offset: any_offset(random),
                    is_virtual: false,
                })
                .collect(),
            members: (0..random.below(12)).map(|_| any_member(random)).collect(),
            arguments: (0..random.below(3)).map(|_| any_id(random)).collect(),
            variants: (random.below(6) == 0).then(|| {
                Box::new(Variant {
                    discriminant: Some(any_member(random)),
                    parts: vec![
                        (vec![1], any_member(random)),
                        (Vec::new(), any_member(random)),
                    ],
                })
            }),
            is_declaration: random.below(20) == 0,
        },
    }
}

fn any_types(random: &mut Random) -> Types {
    let any = |random: &mut Random| Type {
        name: (*random.one(&TYPES)).into(),
        size: match random.below(4) {
            0 => None,
            1 => Some(random.number()),
            _ => Some(*random.one(&[1, 2, 4, 8, 16, 24, 32])),
        },
        kind: any_kind(random),
    };
    Types {
        list: (0..40).map(|_| any(random)).collect(),
    }
}

fn any_variable(random: &mut Random) -> Variable {
    Variable {
        name: "v".into(),
        of: any_id(random),
        place: any_place(random, 0),
        is_artificial: false,
    }
}

fn any_description(random: &mut Random) -> Description {
    let head = PlanHead::parse(random.next()).pack();
    let op = |random: &mut Random| {
        let word = random.below(13)
            | random.below(20) << 8
            | random.below(100) << 16
            | random.number() << 32;
        PlanOp::parse(word).map_or(word, PlanOp::pack)
    };
    let words = (0..random.below(12)).map(|_| op(random));
    let words = std::iter::once(head)
        .chain(words.collect::<Vec<_>>())
        .collect();
    let frame = |random: &mut Random| DescribedFrame {
        name: "f".into(),
        linkage: None,
        is_inline: false,
        arguments: (0..3).map(|_| any_variable(random)).collect(),
        locals: (0..3).map(|_| any_variable(random)).collect(),
    };
    Description {
        kind: *random.one(&[PlanKind::Enter, PlanKind::Exit, PlanKind::Caller]),
        words,
        frame_address: Some(FrameAddress::Register(
            random.below(18) as u16,
            random.number() as i64,
        )),
        frames: vec![frame(random)],
        result: Some(any_variable(random)),
        entries: vec![(random.below(17) as u16, any_place(random, 0))],
        callee: None,
        target: None,
        entry: None,
    }
}

/// Values within this one, with it.
fn count(value: &Value) -> u64 {
    match value {
        Value::Absent(_) | Value::Scalar(_) | Value::Text { .. } => 1,
        Value::Pointer { target, .. } => 1 + target.as_deref().map_or(0, count),
        Value::Compound { entries, .. } => {
            let parts = entries
                .iter()
                .map(|entry| entry.key.as_ref().map_or(0, count) + count(&entry.value));
            1 + parts.sum::<u64>()
        }
    }
}

/// Nothing comes out that is larger than the limits.
fn check(value: &Value, limits: &Limits) {
    // Elements of texts and bit vectors are made by the way.
    let most = 2 * u64::from(limits.values) * limits.elements;
    assert!(count(value) <= most, "{} values", count(value));
    assert!(value.to_string().len() < TEXT_MAX);
    let json = show::json(value).to_string();
    assert!(json.len() < 64 * TEXT_MAX, "{} bytes", json.len());
}

fn round(random: &mut Random) {
    let limits = Limits {
        follow: random.below(4) as u32,
        values: 256,
        ..Limits::default()
    };
    let types = Arc::new(any_types(random));
    let chaos = Chaos {
        seed: random.next() | 1,
        reads: Cell::new(0),
    };
    for _ in 0..20 {
        let (of, place) = (any_id(random), any_place(random, 0));
        chaos.reads.set(0);
        let value = show::value(&types, of, &place, &chaos, &chaos, &limits);
        check(&value, &limits);
        assert!(chaos.reads.get() < READS_MAX, "{} reads", chaos.reads.get());
    }
    let plans: Vec<Plan> = (0..3)
        .map(|_| Plan {
            description: Arc::new(any_description(random)),
            types: Arc::clone(&types),
            bias: random.number(),
        })
        .collect();
    let plan = |number: u32| plans.get(number as usize - 1).cloned();
    let payload: Vec<u64> = (0..random.below(200))
        .map(|index| match index {
            0 => 1 + random.below(3),
            _ => random.number(),
        })
        .collect();
    let captured = Captured::parse(&payload, Some(random.number()), &plan);
    let values = EventValues::read(&captured, &limits, &|_| None);
    for frame in &values.frames {
        let all = frame.arguments.iter().chain(&frame.locals);
        all.for_each(|named| check(&named.value, &limits));
    }
}

#[test]
fn damaged_payloads_types_and_memory_are_read_as_far_as_they_go() {
    let seed = number("UMBEL_FUZZ_SEED").unwrap_or(SEED);
    let seconds = number("UMBEL_FUZZ_SECONDS");
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("replay: UMBEL_FUZZ_SEED={seed} cargo test -p umbel-values --test fuzz");
    let mut random = Random(seed | 1);
    let mut rounds = 0;
    loop {
        round(&mut random);
        rounds += 1;
        match end {
            Some(end) if Instant::now() < end => {}
            None if rounds < SHORT_ROUNDS => {}
            Some(_) | None => break,
        }
    }
    println!("{rounds} rounds");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
