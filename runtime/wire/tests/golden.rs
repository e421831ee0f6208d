//! The bytes of each message, written out: what two versions of Umbel would have to agree on.

use umbel_wire::codec::{decode, decode_control, encode, encode_coherence, encode_control};
use umbel_wire::control::Control;
use umbel_wire::event::{Event, Traffic, What, Why};
use umbel_wire::heap::Heap;
use umbel_wire::limits::BARRIER_BRANCHES_MAX;
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::thread::{CodeRef, Frame, Thread};
use umbel_wire::{
    Access, Coherence, Consistency, Forward, Hello, Message, Mode, NodeId, ObjectId, Operation,
    OperationKind, Protocol, ThreadId, Token,
};

/// `text`: hex digits; blanks and everything after `|` on a line are for the reader.
fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .flat_map(|line| line.split('|').next())
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits"))
        .collect()
}

#[track_caller]
fn link(message: Message, golden: &str) {
    let golden = bytes(golden);
    let mut encoded = Vec::new();
    encode(&message, &mut encoded);
    assert_eq!(encoded, golden, "bytes of {message:?}");
    assert_eq!(decode(&golden), Ok(Some((message, golden.len()))));
}

#[track_caller]
fn launcher(message: Control, golden: &str) {
    let golden = bytes(golden);
    let mut encoded = Vec::new();
    encode_control(&message, &mut encoded);
    assert_eq!(encoded, golden, "bytes of {message:?}");
    assert_eq!(decode_control(&golden), Ok(Some((message, golden.len()))));
}

const OBJECT: ObjectId = ObjectId(0x0102_0304_0506_0708);

#[test]
fn hello() {
    link(
        Message::Hello(Hello {
            rank: 3,
            node_count: 4,
            job: [0xaa; 16],
            program: [0xbb; 20],
        }),
        "28000000 01 01 0000 | header
         0300 0400
         aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
         bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    );
}

#[test]
fn bye() {
    link(Message::Bye, "00000000 02 01 0000");
}

#[test]
fn get() {
    link(
        Message::Coherence(Coherence::Get {
            object: OBJECT,
            access: Access::Write,
            prefetch: false,
        }),
        "0a000000 10 01 0000  0807060504030201 01 00",
    );
}

#[test]
fn grant_with_and_without_data() {
    link(
        Message::Coherence(Coherence::Grant {
            object: OBJECT,
            access: Access::Read,
            mode: Mode {
                consistency: Consistency::Weak,
                protocol: Protocol::Update,
            },
            data: Some(vec![0xde, 0xad]),
        }),
        "0d000000 11 01 0000  0807060504030201 00 03 01 dead",
    );
    link(
        Message::Coherence(Coherence::Grant {
            object: OBJECT,
            access: Access::Write,
            mode: Mode {
                consistency: Consistency::Sequential,
                protocol: Protocol::Migratory,
            },
            data: None,
        }),
        "0b000000 11 01 0000  0807060504030201 01 11 00",
    );
}

#[test]
fn recall() {
    link(
        Message::Coherence(Coherence::Recall {
            object: OBJECT,
            keep_read: true,
            forward: None,
        }),
        "0a000000 12 01 0000  0807060504030201 01 00",
    );
    link(
        Message::Coherence(Coherence::Recall {
            object: OBJECT,
            keep_read: false,
            forward: Some(Forward {
                node: NodeId(0x0102),
                mode: Mode {
                    consistency: Consistency::Weak,
                    protocol: Protocol::Migratory,
                },
            }),
        }),
        "0d000000 12 01 0000  0807060504030201 00 01 0201 01",
    );
}

#[test]
fn recalled() {
    link(
        Message::Coherence(Coherence::Recalled {
            object: OBJECT,
            data: vec![0xbe, 0xef],
        }),
        "0a000000 13 01 0000  0807060504030201 beef",
    );
}

#[test]
fn invalidate_and_its_answers() {
    link(
        Message::Coherence(Coherence::Invalidate {
            object: OBJECT,
            end_of_life: true,
        }),
        "09000000 14 01 0000  0807060504030201 01",
    );
    link(
        Message::Coherence(Coherence::Invalidated {
            object: OBJECT,
            diff: None,
        }),
        "09000000 15 01 0000  0807060504030201 00",
    );
    link(
        Message::Coherence(Coherence::Invalidated {
            object: OBJECT,
            diff: Some((0x0a0b, vec![0xbe, 0xef])),
        }),
        "13000000 15 01 0000  0807060504030201 01 0b0a000000000000 beef",
    );
}

#[test]
fn flush_return_and_their_answer() {
    link(
        Message::Coherence(Coherence::Flush {
            object: OBJECT,
            sequence: 2,
            leave: false,
            diff: Some(vec![0xbe, 0xef]),
        }),
        "14000000 16 01 0000  0807060504030201 0200000000000000 00 01 beef",
    );
    link(
        Message::Coherence(Coherence::Flush {
            object: OBJECT,
            sequence: 2,
            leave: true,
            diff: None,
        }),
        "12000000 16 01 0000  0807060504030201 0200000000000000 01 00",
    );
    link(
        Message::Coherence(Coherence::Return {
            object: OBJECT,
            sequence: 3,
            data: vec![0xbe, 0xef],
        }),
        "12000000 18 01 0000  0807060504030201 0300000000000000 beef",
    );
    link(
        Message::Coherence(Coherence::Flushed {
            object: OBJECT,
            sequence: 3,
            exclusive: true,
        }),
        "11000000 17 01 0000  0807060504030201 0300000000000000 01",
    );
}

#[test]
fn update_and_its_answer() {
    link(
        Message::Coherence(Coherence::Update {
            object: OBJECT,
            diff: vec![0xbe, 0xef],
        }),
        "0a000000 19 01 0000  0807060504030201 beef",
    );
    link(
        Message::Coherence(Coherence::Updated {
            object: OBJECT,
            leave: true,
        }),
        "09000000 1a 01 0000  0807060504030201 01",
    );
}

#[test]
fn deny() {
    link(
        Message::Coherence(Coherence::Deny { object: OBJECT }),
        "08000000 1b 01 0000  0807060504030201",
    );
}

#[test]
fn operate_of_every_kind_and_its_answer() {
    for (number, kind) in OperationKind::ALL.into_iter().enumerate() {
        link(
            Message::Coherence(Coherence::Operate {
                object: OBJECT,
                token: Token(1),
                operation: Operation {
                    offset: 0x0120,
                    width: 8,
                    kind,
                    operand: 0x55,
                    expected: 0x66,
                },
            }),
            &format!(
                "24000000 1c 01 0000  0807060504030201 0100000000000000 {number:02x} 08 2001
                 5500000000000000 6600000000000000"
            ),
        );
    }
    link(
        Message::Coherence(Coherence::Operated {
            object: OBJECT,
            token: Token(1),
            result: 0x77,
            mode: Mode {
                consistency: Consistency::Sequential,
                protocol: Protocol::Remote,
            },
        }),
        "19000000 1d 01 0000  0807060504030201 0100000000000000 7700000000000000 14",
    );
}

#[test]
fn strengthen_and_its_answer() {
    link(
        Message::Coherence(Coherence::Strengthen {
            object: OBJECT,
            token: Token(1),
        }),
        "10000000 1e 01 0000  0807060504030201 0100000000000000",
    );
    link(
        Message::Coherence(Coherence::Strengthened {
            object: OBJECT,
            token: Token(1),
        }),
        "10000000 1f 01 0000  0807060504030201 0100000000000000",
    );
}

#[test]
fn borrowed_data_makes_the_same_bytes() {
    let mut encoded = Vec::new();
    encode_coherence(
        &Coherence::Recalled {
            object: OBJECT,
            data: &[0xbe, 0xef][..],
        },
        &mut encoded,
    );
    assert_eq!(encoded, bytes("0a000000 13 01 0000  0807060504030201 beef"));
}

#[test]
fn heap() {
    link(
        Message::Heap(Heap::Free {
            address: 0x2000_0000_1000,
            site: 0x40_1234,
        }),
        "10000000 38 01 0000  0010000000200000 3412400000000000",
    );
    link(
        Message::Heap(Heap::Find {
            token: Token(7),
            address: 0x2000_0000_1000,
            site: 0x40_1234,
        }),
        "18000000 39 01 0000  0700000000000000 0010000000200000 3412400000000000",
    );
    link(
        Message::Heap(Heap::Found {
            token: Token(7),
            size_bytes: 48,
            policy: "weak".into(),
        }),
        "14000000 3a 01 0000  0700000000000000 3000000000000000 7765616b",
    );
}

#[test]
fn spawn() {
    link(
        Message::Thread(Thread::Spawn {
            thread: ThreadId(1),
            father: ThreadId(2),
            code: CodeRef {
                module: 3,
                offset: 4,
            },
            function: CodeRef {
                module: 5,
                offset: 6,
            },
            argument: 7,
            frames: vec![
                Frame {
                    table: CodeRef {
                        module: 8,
                        offset: 9,
                    },
                    bytes: vec![0xca, 0xfe],
                },
                Frame {
                    table: CodeRef {
                        module: 10,
                        offset: 11,
                    },
                    bytes: vec![],
                },
            ],
        }),
        "54000000 20 01 0000         | header: 50 + 18 + 16 = 84 bytes
         0100000000000000             | thread
         0200000000000000             | father
         03000000 0400000000000000    | code
         05000000 0600000000000000    | function
         0700000000000000             | argument
         0200                         | frame_count
         08000000 0900000000000000 02000000 cafe
         0a000000 0b00000000000000 00000000",
    );
}

#[test]
fn spawned_ended_join_joined() {
    link(
        Message::Thread(Thread::Spawned {
            thread: ThreadId(1),
            result: -11,
        }),
        "0c000000 21 01 0000  0100000000000000 f5ffffff",
    );
    link(
        Message::Thread(Thread::Ended {
            thread: ThreadId(1),
        }),
        "08000000 22 01 0000  0100000000000000",
    );
    link(
        Message::Thread(Thread::Join {
            token: Token(1),
            waiter: ThreadId(2),
            thread: ThreadId(3),
        }),
        "18000000 23 01 0000  0100000000000000 0200000000000000 0300000000000000",
    );
    link(
        Message::Thread(Thread::Joined {
            token: Token(1),
            result: 0,
        }),
        "0c000000 24 01 0000  0100000000000000 00000000",
    );
}

#[test]
fn reply() {
    link(
        Message::Sync(Sync::Reply {
            token: Token(9),
            result: -16,
        }),
        "0c000000 31 01 0000  0900000000000000 f0ffffff",
    );
}

#[test]
fn fence() {
    link(
        Message::Sync(Sync::Fence { token: Token(9) }),
        "08000000 33 01 0000  0900000000000000",
    );
}

#[test]
fn meeting_along_a_tree() {
    let mut branches = [None; BARRIER_BRANCHES_MAX];
    branches[0] = Some(NodeId(5));
    branches[1] = Some(NodeId(6));
    let key = SyncKey(3);
    link(
        Message::Sync(Sync::Plan {
            key,
            plan: 4,
            parent: NodeId(1),
            branches,
            threads: 2,
            is_serial: true,
        }),
        "1f000000 34 01 0000  0300000000000000 0400000000000000 0100 0500 0600 ffff ffff 02000000 01",
    );
    link(
        Message::Sync(Sync::Arrived {
            key,
            home: NodeId(7),
            plan: 4,
        }),
        "12000000 35 01 0000  0300000000000000 0700 0400000000000000",
    );
    link(
        Message::Sync(Sync::Released { key, plan: 4 }),
        "10000000 36 01 0000  0300000000000000 0400000000000000",
    );
    link(
        Message::Sync(Sync::Dissolved {
            key,
            plan: 4,
            rounds: 9,
        }),
        "18000000 37 01 0000  0300000000000000 0400000000000000 0900000000000000",
    );
    link(
        Message::Sync(Sync::Withdraw { key, plan: 4 }),
        "10000000 3b 01 0000  0300000000000000 0400000000000000",
    );
    link(
        Message::Sync(Sync::Withdrawn { key, plan: 4 }),
        "10000000 3c 01 0000  0300000000000000 0400000000000000",
    );
}

#[test]
fn tell() {
    link(
        Message::Sync(Sync::Tell {
            token: Token(1),
            thread: ThreadId(2),
            key: SyncKey(3),
            op: SyncOp::SemPost,
        }),
        "21000000 32 01 0000  0100000000000000 0200000000000000 0300000000000000 13 0000000000000000",
    );
}

#[test]
fn request_of_every_operation() {
    let operations = [
        (SyncOp::MutexInit, "00 0000000000000000"),
        (SyncOp::MutexLock, "01 0000000000000000"),
        (SyncOp::MutexTryLock, "02 0000000000000000"),
        (SyncOp::MutexUnlock, "03 0000000000000000"),
        (SyncOp::MutexDestroy, "04 0000000000000000"),
        (SyncOp::SemInit(5), "10 0500000000000000"),
        (SyncOp::SemWait, "11 0000000000000000"),
        (SyncOp::SemTryWait, "12 0000000000000000"),
        (SyncOp::SemPost, "13 0000000000000000"),
        (SyncOp::SemGetValue, "14 0000000000000000"),
        (SyncOp::SemDestroy, "15 0000000000000000"),
        (SyncOp::BarrierInit(4), "20 0400000000000000"),
        (SyncOp::BarrierWait, "21 0000000000000000"),
        (SyncOp::BarrierDestroy, "22 0000000000000000"),
        (SyncOp::CondInit, "30 0000000000000000"),
        (
            SyncOp::CondWait {
                mutex: SyncKey(0x55),
            },
            "31 5500000000000000",
        ),
        (SyncOp::CondEnqueue, "32 0000000000000000"),
        (SyncOp::CondBlock, "33 0000000000000000"),
        (SyncOp::CondSignal, "34 0000000000000000"),
        (SyncOp::CondBroadcast, "35 0000000000000000"),
        (SyncOp::CondDestroy, "36 0000000000000000"),
    ];
    for (op, golden) in operations {
        link(
            Message::Sync(Sync::Request {
                token: Token(1),
                thread: ThreadId(2),
                key: SyncKey(3),
                op,
            }),
            &format!(
                "21000000 30 01 0000  0100000000000000 0200000000000000 0300000000000000 {golden}"
            ),
        );
    }
}

#[test]
fn control() {
    launcher(Control::Ready { rank: 2 }, "02000000 80 01 0000 0200");
    launcher(Control::Exit { status: 42 }, "04000000 81 01 0000 2a000000");
    launcher(
        Control::Fatal {
            text: "no é".into(),
        },
        "05000000 82 01 0000 6e6f20c3a9",
    );
    launcher(Control::Lost { rank: 1 }, "02000000 83 01 0000 0100");
    launcher(
        Control::Threads {
            lines: vec!["a(1)".into(), String::new()],
        },
        "0a000000 84 01 0000 0200 0400 61283129 0000",
    );
    launcher(Control::Shutdown, "00000000 85 01 0000");
    launcher(
        Control::Stats {
            json: b"{}".to_vec(),
        },
        "02000000 86 01 0000 7b7d",
    );
}

#[test]
fn events() {
    let traffic = Traffic {
        peer: NodeId(2),
        kind: 0x10,
        object: Some(OBJECT),
        bytes: 17,
        sequence: 5,
    };
    let whats = [
        (
            What::ThreadBegan {
                thread: 7,
                id: ThreadId(9),
                name: "f(1)".into(),
            },
            "00 07000000 0900000000000000 04 66283129",
        ),
        (What::ThreadEnded { thread: 7 }, "01 07000000"),
        (
            What::FaultBegan {
                thread: 7,
                object: OBJECT,
                write: true,
            },
            "02 07000000 0807060504030201 01",
        ),
        (What::FaultEnded { object: OBJECT }, "03 0807060504030201"),
        (
            What::WaitBegan {
                thread: 7,
                why: Why::Barrier,
                key: 3,
            },
            "04 07000000 03 0300000000000000",
        ),
        (What::WaitEnded { thread: 7 }, "05 07000000"),
        (
            What::Sent(traffic),
            "06 0200 10 0807060504030201 11000000 0500000000000000",
        ),
        (
            What::Received(Traffic {
                object: None,
                ..traffic
            }),
            "07 0200 10 ffffffffffffffff 11000000 0500000000000000",
        ),
        (
            What::Named {
                object: OBJECT,
                size_bytes: 8,
                name: "m:a".into(),
            },
            "08 0807060504030201 0800000000000000 03 6d3a61",
        ),
    ];
    for (what, golden) in whats {
        let golden = bytes(&format!("0a00000000000000 0100000000000000 {golden}"));
        let body: String = golden.iter().map(|byte| format!("{byte:02x}")).collect();
        launcher(
            Control::Events {
                lost: 10,
                events: vec![Event { at_ns: 1, what }],
            },
            &format!("{:02x}000000 87 01 0000 {body}", golden.len()),
        );
    }
}
