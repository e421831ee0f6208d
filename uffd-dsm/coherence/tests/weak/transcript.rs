//! One machine, told what happens, and what it did each time.

use std::collections::VecDeque;

use umbel_coherence::{Config, Effect, Homes, Machine, Memory, Outgoing, Policy, Violation};
use umbel_wire::{
    Access, Coherence, Consistency, Mode, NodeId, ObjectId, Operation, Protocol, Token,
};

pub const READ: Access = Access::Read;
pub const WRITE: Access = Access::Write;
/// A weak object of node 0.
pub const OBJECT: ObjectId = ObjectId(3);
/// A sequential object of node 0.
pub const FLAG: ObjectId = ObjectId(4);
/// A weak object of node 0 whose writes the kernel tracks.
pub const TRACKED: ObjectId = ObjectId(5);

/// Diffs are told in advance; everything else is fixed.
pub struct Script {
    pub protocol: Option<Protocol>,
    /// What `take_diff` will answer; nothing when it is empty.
    pub diffs: VecDeque<u64>,
    /// What `written` answers.
    pub written: Option<Vec<ObjectId>>,
    pub exists: bool,
    pub differs: bool,
}

impl Memory<u64> for Script {
    fn policy(&self, object: ObjectId) -> Policy {
        Policy {
            consistency: match object == FLAG {
                true => Consistency::Sequential,
                false => Consistency::Weak,
            },
            protocol: self.protocol,
            operations: true,
        }
    }

    fn exists(&self, _: ObjectId) -> bool {
        self.exists
    }

    fn tracks_writes(&self, object: ObjectId) -> bool {
        object == TRACKED
    }

    fn reads_alone(&self, object: ObjectId) -> bool {
        object == TRACKED
    }

    fn written(&mut self) -> Option<Vec<ObjectId>> {
        self.written.clone()
    }

    fn take_diff(&mut self, _: ObjectId) -> Option<u64> {
        self.diffs.pop_front()
    }

    fn differs(&self, _: ObjectId, _: &u64) -> bool {
        self.differs
    }
}

pub struct Node {
    pub machine: Machine<Homes>,
    pub memory: Script,
}

pub type Effects = Vec<Effect<u64>>;

impl Node {
    /// Node `rank`; `protocol` is that of every object of node 0.
    pub fn new(rank: u16, protocol: Option<Protocol>) -> Self {
        Self::with(rank, protocol, false)
    }

    /// As `new`, of a job whose owners forward.
    pub fn forwarding(rank: u16, protocol: Option<Protocol>) -> Self {
        Self::with(rank, protocol, true)
    }

    fn with(rank: u16, protocol: Option<Protocol>, forwards: bool) -> Self {
        let homes = Homes {
            objects_per_node_log2: 4,
        };
        Self {
            machine: Machine::new(Config {
                node: NodeId(rank),
                homes,
                node_count: 8,
                minimum_hold: false,
                forwards,
            }),
            memory: Script {
                protocol,
                diffs: VecDeque::new(),
                written: None,
                exists: true,
                differs: true,
            },
        }
    }

    /// The next diff taken, here or in `resumed`.
    pub fn writes(&mut self, diff: u64) -> &mut Self {
        self.memory.diffs.push_back(diff);
        self
    }

    pub fn fault(&mut self, object: ObjectId, access: Access) -> Effects {
        self.input(|machine, memory, out| machine.on_fault(object, access, memory, out))
    }

    pub fn flush(&mut self, token: u64) -> Effects {
        self.input(|machine, memory, out| machine.flush(&[(Token(token), None)], memory, out))
    }

    pub fn resumed(&mut self, object: ObjectId) -> Effects {
        self.input(|machine, memory, out| machine.on_resumed(object, memory, out))
    }

    pub fn evict(&mut self, object: ObjectId) -> Option<Effects> {
        let mut is_begun = false;
        let out = self.input(|machine, memory, out| {
            is_begun = machine.evict(object, memory, out);
        });
        is_begun.then_some(out)
    }

    pub fn operate(&mut self, object: ObjectId, token: u64, operation: Operation) -> Effects {
        self.input(|machine, memory, out| {
            machine.operate(object, Token(token), operation, memory, out);
        })
    }

    pub fn strengthen(&mut self, object: ObjectId, token: u64) -> Effects {
        self.input(|machine, memory, out| machine.strengthen(object, Token(token), memory, out))
    }

    pub fn reclaim(&mut self, object: ObjectId, token: u64) -> Effects {
        let range = object..ObjectId(object.0 + 1);
        self.input(|machine, memory, out| machine.reclaim(range, Token(token), memory, out))
    }

    pub fn receive(&mut self, from: u16, message: Coherence<u64>) -> Effects {
        self.try_receive(from, message)
            .expect("the transcript is legal")
    }

    pub fn try_receive(
        &mut self,
        from: u16,
        message: Coherence<u64>,
    ) -> Result<Effects, Violation> {
        let mut out = Vec::new();
        let result = self
            .machine
            .on_message(NodeId(from), message, &mut self.memory, &mut out);
        result.map(|()| out)
    }

    /// Whether the machine accepts the message; it must not change if it does not.
    pub fn accepts(&self, from: u16, message: Coherence<u64>) -> bool {
        let mut after = self.machine.clone();
        let mut memory = Script {
            protocol: self.memory.protocol,
            diffs: self.memory.diffs.clone(),
            exists: true,
            written: None,
            differs: true,
        };
        let mut out = Vec::new();
        let result = after.on_message(NodeId(from), message, &mut memory, &mut out);
        if result.is_err() {
            assert_eq!(after, self.machine, "a refused message changes nothing");
            assert_eq!(out, [], "a refused message has no effect");
        }
        result.is_ok()
    }

    pub fn input(
        &mut self,
        input: impl FnOnce(&mut Machine<Homes>, &mut Script, &mut Effects),
    ) -> Effects {
        let mut out = Vec::new();
        input(&mut self.machine, &mut self.memory, &mut out);
        out
    }
}

pub fn weak(protocol: Protocol) -> Mode {
    Mode {
        consistency: Consistency::Weak,
        protocol,
    }
}

pub fn sequential(protocol: Protocol) -> Mode {
    Mode {
        consistency: Consistency::Sequential,
        protocol,
    }
}

pub fn send(to: u16, message: Outgoing<u64>) -> Effect<u64> {
    Effect::Send {
        to: NodeId(to),
        message,
    }
}

pub fn access(object: ObjectId, access: Option<Access>) -> Effect<u64> {
    Effect::SetAccess { object, access }
}

pub fn wake(object: ObjectId) -> Effect<u64> {
    Effect::Wake { object }
}

pub fn get(object: ObjectId, access: Access) -> Coherence<u64> {
    Coherence::Get {
        object,
        access,
        prefetch: false,
    }
}

pub fn flush(sequence: u64, diff: u64) -> Coherence<u64> {
    Coherence::Flush {
        object: OBJECT,
        sequence,
        leave: false,
        diff: Some(diff),
    }
}

pub fn leave(object: ObjectId, sequence: u64, diff: Option<u64>) -> Coherence<u64> {
    Coherence::Flush {
        object,
        sequence,
        leave: true,
        diff,
    }
}

pub fn invalidate(object: ObjectId) -> Coherence<u64> {
    Coherence::Invalidate {
        object,
        end_of_life: false,
    }
}

pub fn withdraw(object: ObjectId) -> Coherence<u64> {
    Coherence::Invalidate {
        object,
        end_of_life: true,
    }
}

pub fn invalidated(diff: Option<(u64, u64)>) -> Coherence<u64> {
    Coherence::Invalidated {
        object: OBJECT,
        diff,
    }
}

pub fn flushed(sequence: u64, exclusive: bool) -> Coherence<u64> {
    Coherence::Flushed {
        object: OBJECT,
        sequence,
        exclusive,
    }
}

pub fn update(diff: u64) -> Coherence<u64> {
    Coherence::Update {
        object: OBJECT,
        diff,
    }
}

pub fn updated(leave: bool) -> Coherence<u64> {
    Coherence::Updated {
        object: OBJECT,
        leave,
    }
}

/// The message that `outgoing` becomes; bytes are 0.
pub fn sent(to: u16, message: Coherence<u64>) -> Effect<u64> {
    let outgoing = match message {
        Coherence::Get {
            object,
            access,
            prefetch,
        } => Outgoing::Get {
            object,
            access,
            prefetch,
        },
        Coherence::Grant {
            object,
            access,
            mode,
            data,
        } => Outgoing::Grant {
            object,
            access,
            mode,
            with_data: data.is_some(),
        },
        Coherence::Deny { object } => Outgoing::Deny { object },
        Coherence::Recall {
            object,
            keep_read,
            forward,
        } => Outgoing::Recall {
            object,
            keep_read,
            forward,
        },
        Coherence::Recalled { object, .. } => Outgoing::Recalled { object },
        Coherence::Invalidate {
            object,
            end_of_life,
        } => Outgoing::Invalidate {
            object,
            end_of_life,
        },
        Coherence::Invalidated { object, diff } => Outgoing::Invalidated { object, diff },
        Coherence::Flush {
            object,
            sequence,
            leave,
            diff,
        } => Outgoing::Flush {
            object,
            sequence,
            leave,
            diff,
        },
        Coherence::Return {
            object, sequence, ..
        } => Outgoing::Return { object, sequence },
        Coherence::Flushed {
            object,
            sequence,
            exclusive,
        } => Outgoing::Flushed {
            object,
            sequence,
            exclusive,
        },
        Coherence::Update { object, diff } => Outgoing::Update { object, diff },
        Coherence::Updated { object, leave } => Outgoing::Updated { object, leave },
        Coherence::Operate {
            object,
            token,
            operation,
        } => Outgoing::Operate {
            object,
            token,
            operation,
        },
        Coherence::Operated {
            object,
            token,
            result,
            mode,
        } => Outgoing::Operated {
            object,
            token,
            result,
            mode,
        },
        Coherence::Strengthen { object, token } => Outgoing::Strengthen { object, token },
        Coherence::Strengthened { object, token } => Outgoing::Strengthened { object, token },
    };
    send(to, outgoing)
}

pub fn grant(object: ObjectId, access: Access, mode: Mode) -> Coherence<u64> {
    Coherence::Grant {
        object,
        access,
        mode,
        data: Some(0),
    }
}
