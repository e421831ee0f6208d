//! Strategies for every message.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use umbel_wire::control::Control;
use umbel_wire::event::{Event, Traffic, What, Why};
use umbel_wire::heap::Heap;
use umbel_wire::limits::{DATA_BYTES_MAX, DIFF_BYTES_MAX, NODES_MAX};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::thread::{CodeRef, Frame, Thread};
use umbel_wire::{
    Access, Coherence, Consistency, Forward, Hello, Message, Mode, NodeId, ObjectId, Operation,
    OperationKind, Protocol, ThreadId, Token,
};

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        hello().prop_map(Message::Hello),
        coherence().prop_map(Message::Coherence),
        thread().prop_map(Message::Thread),
        sync().prop_map(Message::Sync),
        heap().prop_map(Message::Heap),
        Just(Message::Bye),
    ]
}

pub fn control() -> impl Strategy<Value = Control> {
    let rank = || 0..NODES_MAX as u16;
    prop_oneof![
        rank().prop_map(|rank| Control::Ready { rank }),
        (0..=255).prop_map(|status| Control::Exit { status }),
        ".{0,200}".prop_map(|text| Control::Fatal { text }),
        rank().prop_map(|rank| Control::Lost { rank }),
        vec(".{0,40}", 0..20).prop_map(|lines| Control::Threads { lines }),
        Just(Control::Shutdown),
        vec(any::<u8>(), 0..2000).prop_map(|json| Control::Stats { json }),
        (any::<u64>(), vec(event(), 0..30))
            .prop_map(|(lost, events)| Control::Events { lost, events }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let object = || (0..u64::MAX).prop_map(ObjectId);
    let traffic = || {
        let fields = (
            0..NODES_MAX as u16,
            any::<(u8, u32, u64)>(),
            option::of(object()),
        );
        fields.prop_map(|(peer, (kind, bytes, sequence), object)| Traffic {
            peer: NodeId(peer),
            kind,
            object,
            bytes,
            sequence,
        })
    };
    let what = prop_oneof![
        (any::<(u32, u64)>(), ".{0,60}").prop_map(|((thread, id), name)| What::ThreadBegan {
            thread,
            id: ThreadId(id),
            name
        }),
        any::<u32>().prop_map(|thread| What::ThreadEnded { thread }),
        (any::<(u32, bool)>(), object()).prop_map(|((thread, write), object)| {
            What::FaultBegan {
                thread,
                object,
                write,
            }
        }),
        object().prop_map(|object| What::FaultEnded { object }),
        (any::<(u32, u64)>(), prop::sample::select(Why::ALL.to_vec()))
            .prop_map(|((thread, key), why)| What::WaitBegan { thread, why, key }),
        any::<u32>().prop_map(|thread| What::WaitEnded { thread }),
        traffic().prop_map(What::Sent),
        traffic().prop_map(What::Received),
        (object(), any::<u64>(), ".{0,60}").prop_map(|(object, size_bytes, name)| What::Named {
            object,
            size_bytes,
            name
        }),
    ];
    (any::<u64>(), what).prop_map(|(at_ns, what)| Event { at_ns, what })
}

fn hello() -> impl Strategy<Value = Hello> {
    (1..=NODES_MAX as u16)
        .prop_flat_map(|node_count| {
            (
                0..node_count,
                Just(node_count),
                any::<([u8; 16], [u8; 20])>(),
            )
        })
        .prop_map(|(rank, node_count, (job, program))| Hello {
            rank,
            node_count,
            job,
            program,
        })
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write)]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=DATA_BYTES_MAX)
}

fn coherence() -> impl Strategy<Value = Coherence<Vec<u8>>> {
    let object = || any::<u64>().prop_map(ObjectId);
    let token = || any::<u64>().prop_map(Token);
    let sequence = || any::<u64>();
    prop_oneof![
        (object(), access(), any::<bool>()).prop_map(|(object, access, prefetch)| {
            Coherence::Get {
                object,
                access,
                prefetch,
            }
        }),
        (object(), access(), mode(), option::of(data())).prop_map(
            |(object, access, mode, data)| Coherence::Grant {
                object,
                access,
                mode,
                data,
            }
        ),
        object().prop_map(|object| Coherence::Deny { object }),
        (
            object(),
            any::<bool>(),
            option::of((0..NODES_MAX as u16, mode()))
        )
            .prop_map(|(object, keep_read, forward)| Coherence::Recall {
                object,
                keep_read,
                forward: forward.map(|(node, mode)| Forward {
                    node: NodeId(node),
                    mode
                }),
            }),
        (object(), data()).prop_map(|(object, data)| Coherence::Recalled { object, data }),
        (object(), any::<bool>()).prop_map(|(object, end_of_life)| Coherence::Invalidate {
            object,
            end_of_life
        }),
        (object(), option::of((sequence(), diff())))
            .prop_map(|(object, diff)| Coherence::Invalidated { object, diff }),
        (object(), sequence(), diff(), 0..3).prop_map(|(object, sequence, diff, which)| {
            Coherence::Flush {
                object,
                sequence,
                leave: which > 0,
                diff: (which < 2).then_some(diff),
            }
        }),
        (object(), sequence(), data()).prop_map(|(object, sequence, data)| Coherence::Return {
            object,
            sequence,
            data
        }),
        (object(), sequence(), any::<bool>()).prop_map(|(object, sequence, exclusive)| {
            Coherence::Flushed {
                object,
                sequence,
                exclusive,
            }
        }),
        (object(), diff()).prop_map(|(object, diff)| Coherence::Update { object, diff }),
        (object(), any::<bool>()).prop_map(|(object, leave)| Coherence::Updated { object, leave }),
        (object(), token(), operation()).prop_map(|(object, token, operation)| {
            Coherence::Operate {
                object,
                token,
                operation,
            }
        }),
        (object(), token(), any::<u64>(), mode()).prop_map(|(object, token, result, mode)| {
            Coherence::Operated {
                object,
                token,
                result,
                mode,
            }
        }),
        (object(), token()).prop_map(|(object, token)| Coherence::Strengthen { object, token }),
        (object(), token()).prop_map(|(object, token)| Coherence::Strengthened { object, token }),
    ]
}

fn diff() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=DIFF_BYTES_MAX)
}

fn mode() -> impl Strategy<Value = Mode> {
    let consistency = prop_oneof![Just(Consistency::Weak), Just(Consistency::Sequential)];
    let protocol = prop::sample::select(vec![
        Protocol::Invalidate,
        Protocol::Migratory,
        Protocol::ReadOnly,
        Protocol::Update,
        Protocol::Remote,
    ]);
    (consistency, protocol).prop_map(|(consistency, protocol)| Mode {
        consistency,
        protocol,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let kind = prop::sample::select(OperationKind::ALL.to_vec());
    (kind, 0_u32..4, 0_u16..512, any::<(u64, u64)>()).prop_map(
        |(kind, width_log2, offset, (operand, expected))| Operation {
            offset: offset * 8,
            width: 1 << width_log2,
            kind,
            operand,
            expected,
        },
    )
}

fn thread() -> impl Strategy<Value = Thread> {
    let thread = || any::<u64>().prop_map(ThreadId);
    let token = || any::<u64>().prop_map(Token);
    let code = || any::<(u32, u64)>().prop_map(|(module, offset)| CodeRef { module, offset });
    let frame =
        (code(), vec(any::<u8>(), 0..300)).prop_map(|(table, bytes)| Frame { table, bytes });
    prop_oneof![
        (
            thread(),
            thread(),
            code(),
            code(),
            any::<u64>(),
            vec(frame, 0..10)
        )
            .prop_map(|(thread, father, code, function, argument, frames)| {
                Thread::Spawn {
                    thread,
                    father,
                    code,
                    function,
                    argument,
                    frames,
                }
            }),
        (thread(), any::<i32>()).prop_map(|(thread, result)| Thread::Spawned { thread, result }),
        thread().prop_map(|thread| Thread::Ended { thread }),
        (token(), thread(), thread()).prop_map(|(token, waiter, thread)| Thread::Join {
            token,
            waiter,
            thread
        }),
        (token(), any::<i32>()).prop_map(|(token, result)| Thread::Joined { token, result }),
    ]
}

fn sync() -> impl Strategy<Value = Sync> {
    prop_oneof![
        any::<(u64, u64, u64)>().prop_flat_map(|(token, thread, key)| sync_op().prop_map(
            move |op| Sync::Request {
                token: Token(token),
                thread: ThreadId(thread),
                key: SyncKey(key),
                op,
            }
        )),
        (any::<(u64, u64, u64)>(), sync_op()).prop_map(|((token, thread, key), op)| Sync::Tell {
            token: Token(token),
            thread: ThreadId(thread),
            key: SyncKey(key),
            op,
        }),
        meeting(),
        any::<u64>().prop_map(|token| Sync::Fence {
            token: Token(token)
        }),
        any::<(u64, i32)>().prop_map(|(token, result)| Sync::Reply {
            token: Token(token),
            result
        }),
    ]
}

fn heap() -> impl Strategy<Value = Heap> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(address, site)| Heap::Free { address, site }),
        any::<(u64, u64, u64)>().prop_map(|(token, address, site)| Heap::Find {
            token: Token(token),
            address,
            site
        }),
        (any::<(u64, u64)>(), ".{0,60}").prop_map(|((token, size_bytes), policy)| Heap::Found {
            token: Token(token),
            size_bytes,
            policy
        }),
    ]
}

fn meeting() -> impl Strategy<Value = Sync> {
    let node = || (0..NODES_MAX as u16).prop_map(NodeId);
    let key = || any::<u64>().prop_map(SyncKey);
    prop_oneof![
        (
            (key(), any::<u64>(), node()),
            prop::array::uniform4(option::of(node())),
            any::<(u32, bool)>()
        )
            .prop_map(|((key, plan, parent), branches, (threads, is_serial))| {
                Sync::Plan {
                    key,
                    plan,
                    parent,
                    branches,
                    threads,
                    is_serial,
                }
            }),
        (key(), node(), any::<u64>()).prop_map(|(key, home, plan)| Sync::Arrived {
            key,
            home,
            plan
        }),
        (key(), any::<u64>()).prop_map(|(key, plan)| Sync::Released { key, plan }),
        (key(), any::<u64>()).prop_map(|(key, plan)| Sync::Withdraw { key, plan }),
        (key(), any::<u64>()).prop_map(|(key, plan)| Sync::Withdrawn { key, plan }),
        (key(), any::<(u64, u64)>()).prop_map(|(key, (plan, rounds))| Sync::Dissolved {
            key,
            plan,
            rounds
        }),
    ]
}

fn sync_op() -> impl Strategy<Value = SyncOp> {
    prop_oneof![
        prop::sample::select(vec![
            SyncOp::MutexInit,
            SyncOp::MutexLock,
            SyncOp::MutexTryLock,
            SyncOp::MutexUnlock,
            SyncOp::MutexDestroy,
            SyncOp::SemWait,
            SyncOp::SemTryWait,
            SyncOp::SemPost,
            SyncOp::SemGetValue,
            SyncOp::SemDestroy,
            SyncOp::BarrierWait,
            SyncOp::BarrierDestroy,
            SyncOp::CondInit,
            SyncOp::CondEnqueue,
            SyncOp::CondBlock,
            SyncOp::CondSignal,
            SyncOp::CondBroadcast,
            SyncOp::CondDestroy,
        ]),
        any::<u32>().prop_map(SyncOp::SemInit),
        any::<u32>().prop_map(SyncOp::BarrierInit),
        any::<u64>().prop_map(|mutex| SyncOp::CondWait {
            mutex: SyncKey(mutex)
        }),
    ]
}
