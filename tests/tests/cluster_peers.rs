//! Peers that are not what they should be: one clear error each, a defined status, and no hang.
//! The test plays the peer and the launcher.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use umbel_tests::cluster::{Program, Running, compile_text};
use umbel_wire::control::Control;
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::thread::{CodeRef, Frame, Thread};
use umbel_wire::{
    Access, Coherence, Consistency, Hello, Message, Mode, NodeId, ObjectId, Operation,
    OperationKind, Protocol, ThreadId, Token, decode, decode_control, encode,
};

const FATAL: Option<i32> = Some(120);
const SECRET: [u8; 16] = [0x5A; 16];
const SECRET_TEXT: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const PATIENCE: Duration = Duration::from_secs(20);

/// A node started by us: what its launcher and its peer hold.
struct Node {
    running: Running,
    control: UnixStream,
}

/// Starts one node with the sockets that a launcher would give it (`runtime/src/launch.rs`).
fn start_node(program: &Program, rank: u16, link: UnixStream, secret: &str) -> Node {
    let (control, theirs) = UnixStream::pair().expect("a pair of sockets");
    control
        .set_read_timeout(Some(PATIENCE))
        .expect("a positive time");
    // Nothing is inherited but the standard descriptors: these are the sockets.
    let mut command = Command::new("sh");
    let links = if rank == 0 { "-,4" } else { "4,-" };
    command
        .args(["-c", "exec \"$@\" 3<&0 4<&1 </dev/null >&2", "sh"])
        .arg(program.path());
    command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(link)));
    command.envs([
        ("UMBEL_SIZE", "2"),
        ("UMBEL_LINKS", links),
        ("UMBEL_CONTROL", "3"),
        ("UMBEL_JOB", secret),
    ]);
    let running = Running::of(command.env("UMBEL_RANK", rank.to_string()));
    Node { running, control }
}

impl Node {
    /// What it says to its launcher, to the end.
    fn last_words(&mut self) -> Vec<Control> {
        let mut bytes = Vec::new();
        self.control
            .read_to_end(&mut bytes)
            .expect("the node closes the socket in time");
        let (mut words, mut rest) = (Vec::new(), &bytes[..]);
        while let Ok(Some((word, taken))) = decode_control(rest) {
            words.push(word);
            rest = &rest[taken..];
        }
        words
    }

    /// It ended itself, and told the launcher why.
    fn check_refused(mut self, says: &str) {
        let words = self.last_words();
        let Some(Control::Fatal { text }) = words.last() else {
            panic!("{says:?}: it said {words:?}")
        };
        assert!(
            text.contains(says) && !text.contains('\n'),
            "{says:?}: {text}"
        );
        let outcome = self.running.wait(PATIENCE);
        assert_eq!(outcome.status, FATAL, "{says:?}: {outcome}");
    }
}

fn idle() -> Program {
    compile_text(
        "#include <unistd.h>
        int main(void) { long x = 0; void use(int unused) { x++; } dist_thr_create_on(1, use, 0); for (;;) pause(); }",
        &["-O1"],
    )
}

/// Node 0 of two; we are node 1. After what it has sent first, and our greeting if `greet`, comes `bytes`.
fn meet(program: &Program, greet: bool, bytes: &[u8]) -> (Node, UnixStream) {
    let (mut peer, theirs) = UnixStream::pair().expect("a pair of sockets");
    let node = start_node(program, 0, theirs, SECRET_TEXT);
    let hello = receive_hello(&mut peer);
    assert_eq!((hello.rank, hello.node_count, hello.job), (0, 2, SECRET));
    if greet {
        send(&mut peer, &Message::Hello(Hello { rank: 1, ..hello }));
    }
    // The node may have refused the first bytes already.
    let _ = peer.write_all(bytes);
    (node, peer)
}

fn receive_hello(peer: &mut UnixStream) -> Hello {
    peer.set_read_timeout(Some(PATIENCE))
        .expect("a positive time");
    let mut bytes = Vec::new();
    loop {
        let count = receive(peer, &mut bytes);
        assert!(count > 0, "the node closed the link before it greeted");
        match decode(&bytes).expect("the node sends messages") {
            Some((Message::Hello(hello), _)) => return hello,
            Some((other, _)) => panic!("it began with {other:?}"),
            None => {}
        }
    }
}

/// Appends what arrives next; how much it was, 0 at the end of the link.
fn receive(peer: &mut UnixStream, bytes: &mut Vec<u8>) -> usize {
    let mut part = [0; 4096];
    loop {
        match peer.read(&mut part) {
            // With a timeout set, the kernel does not go on by itself after an interruption.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => {
                let count = result.expect("the node answers in time");
                bytes.extend_from_slice(&part[..count]);
                return count;
            }
        }
    }
}

fn bytes_of(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    bytes
}

fn send(peer: &mut UnixStream, message: &Message) {
    peer.write_all(&bytes_of(message)).expect("the node reads");
}

#[test]
fn a_greeting_that_does_not_fit_is_refused() {
    let program = idle();
    let refused = |change: &dyn Fn(&mut Hello), says: &str| {
        let (mut peer, theirs) = UnixStream::pair().expect("a pair of sockets");
        let node = start_node(&program, 0, theirs, SECRET_TEXT);
        let mut hello = Hello {
            rank: 1,
            ..receive_hello(&mut peer)
        };
        change(&mut hello);
        send(&mut peer, &Message::Hello(hello));
        node.check_refused(says);
    };
    refused(&|hello| hello.job[15] ^= 1, "it belongs to another job");
    refused(&|hello| hello.rank = 0, "it takes itself for another node");
    refused(
        &|hello| hello.node_count = 3,
        "it takes itself for another node",
    );
    refused(&|hello| hello.program[0] ^= 1, "it runs another program");
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn bytes_that_are_no_messages_are_refused() {
    let program = idle();
    let bye = bytes_of(&Message::Bye);
    let changed = |index: usize, byte: u8| {
        let mut bytes = bye.clone();
        bytes[index] = byte;
        bytes
    };
    for greet in [false, true] {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            vec![0xFF; 64],
            vec![0; 64],
            changed(4, 0xEE),
            changed(5, 99),
            changed(6, 1),
            changed(3, 0x7F),
        ] {
            let (node, _peer) = meet(&program, greet, &bytes);
            node.check_refused("node 1 broke the protocol: ");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn messages_that_nobody_may_send_now_are_refused() {
    let program = idle();
    let object = ObjectId(7);
    let foreign = ObjectId(u64::MAX >> 1);
    // Its stack is the first in the peer's half of 4096.
    let theirs = ObjectId(2048 << 23);
    let addition = |offset, width| Operation {
        offset,
        width,
        kind: OperationKind::Add,
        operand: 1,
        expected: 0,
    };
    let thread = ThreadId::new(NodeId(0), 999);
    let code = CodeRef::default();
    let spawn = |thread| Thread::Spawn {
        thread,
        father: thread,
        code,
        function: code,
        argument: 0,
        frames: Vec::new(),
    };
    let grant = |object| Coherence::Grant {
        object,
        access: Access::Write,
        mode: Mode {
            consistency: Consistency::Sequential,
            protocol: Protocol::Invalidate,
        },
        data: Some(vec![0; 66]),
    };
    for message in [
        Message::Coherence(grant(object)),
        Message::Coherence(grant(foreign)),
        Message::Coherence(Coherence::Recalled {
            object,
            data: vec![0; 66],
        }),
        Message::Coherence(Coherence::Invalidated { object, diff: None }),
        Message::Coherence(Coherence::Recall {
            object,
            keep_read: true,
            forward: None,
        }),
        Message::Coherence(Coherence::Invalidate {
            object: foreign,
            end_of_life: false,
        }),
        Message::Coherence(Coherence::Get {
            object: foreign,
            access: Access::Read,
            prefetch: false,
        }),
        Message::Coherence(Coherence::Flush {
            object,
            sequence: 1,
            leave: false,
            diff: Some(vec![0; 8]),
        }),
        Message::Coherence(Coherence::Flush {
            object: foreign,
            sequence: 1,
            leave: true,
            diff: None,
        }),
        Message::Coherence(Coherence::Return {
            object,
            sequence: 1,
            data: vec![0; 66],
        }),
        Message::Coherence(Coherence::Updated {
            object,
            leave: true,
        }),
        Message::Coherence(Coherence::Flushed {
            object: theirs,
            sequence: 1,
            exclusive: true,
        }),
        // An Update for a copy that is not there is no offence: it may have crossed the word that the copy is gone.
        Message::Coherence(Coherence::Deny { object: theirs }),
        Message::Coherence(Coherence::Operated {
            object,
            token: Token(1),
            result: 0,
            mode: Mode {
                consistency: Consistency::Weak,
                protocol: Protocol::Remote,
            },
        }),
        Message::Coherence(Coherence::Strengthened {
            object,
            token: Token(1),
        }),
        Message::Coherence(Coherence::Operate {
            object: foreign,
            token: Token(1),
            operation: addition(0, 8),
        }),
        Message::Coherence(Coherence::Operate {
            object: theirs,
            token: Token(1),
            operation: addition(0, 8),
        }),
        Message::Coherence(Coherence::Strengthen {
            object: foreign,
            token: Token(1),
        }),
        // In the page, but another object's bytes.
        Message::Coherence(Coherence::Operate {
            object,
            token: Token(1),
            operation: addition(128, 8),
        }),
        Message::Thread(spawn(thread)),
        Message::Thread(Thread::Ended { thread }),
        Message::Thread(Thread::Spawned { thread, result: 0 }),
    ] {
        let (node, _peer) = meet(&program, true, &bytes_of(&message));
        node.check_refused("node 1 broke the protocol: ");
        let (node, _peer) = meet(&program, false, &bytes_of(&message));
        node.check_refused("before its greeting");
    }
    let (mut peer, theirs) = UnixStream::pair().expect("a pair of sockets");
    let node = start_node(&program, 0, theirs, SECRET_TEXT);
    let hello = Hello {
        rank: 1,
        ..receive_hello(&mut peer)
    };
    send(&mut peer, &Message::Hello(hello));
    send(&mut peer, &Message::Hello(hello));
    node.check_refused("it greeted twice");
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn a_thread_whose_function_or_frames_are_none_of_the_programs_is_refused() {
    let program = idle();
    let thread = ThreadId::new(NodeId(1), 3);
    let nowhere = CodeRef {
        module: 0,
        offset: 1 << 30,
    };
    let unknown = CodeRef {
        module: 77,
        offset: 64,
    };
    let header = CodeRef::default();
    let frame = Frame {
        table: nowhere,
        bytes: vec![0; 64],
    };
    for (code, function, frames) in [
        (header, header, vec![]),
        (nowhere, header, vec![]),
        (unknown, header, vec![]),
        (nowhere, nowhere, vec![]),
        (header, header, vec![frame.clone()]),
        (unknown, nowhere, vec![frame]),
    ] {
        let spawn = Thread::Spawn {
            thread,
            father: thread,
            code,
            function,
            argument: 0,
            frames,
        };
        let message = Message::Thread(spawn);
        let (node, mut peer) = meet(&program, true, &bytes_of(&message));
        let mut seen = Vec::new();
        let answer = loop {
            match decode(&seen).expect("the node sends messages") {
                Some((answer @ Message::Thread(Thread::Spawned { .. }), _)) => break answer,
                // Its own program's.
                Some((_, taken)) => drop(seen.drain(..taken)),
                None => {
                    let count = receive(&mut peer, &mut seen);
                    assert!(count > 0, "it closed the link on {message:?}");
                }
            }
        };
        let result = -libc::EINVAL;
        assert_eq!(answer, Message::Thread(Thread::Spawned { thread, result }));
        drop(node.control);
        assert_eq!(node.running.wait(PATIENCE).status, FATAL);
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn answers_to_questions_that_were_not_asked_do_no_harm() {
    let program = idle();
    let token = Token(4711);
    let thread = ThreadId::new(NodeId(1), 3);
    let sync = Sync::Request {
        token,
        thread,
        key: SyncKey(5),
        op: SyncOp::MutexUnlock,
    };
    let mut bytes = Vec::new();
    for message in [
        Message::Sync(Sync::Reply { token, result: 0 }),
        Message::Thread(Thread::Joined { token, result: 0 }),
        Message::Sync(sync),
    ] {
        encode(&message, &mut bytes);
    }
    let (mut node, mut peer) = meet(&program, true, &bytes);
    // The last one is answered: the node is still there and serves.
    let mut seen = Vec::new();
    let answered = loop {
        let count = receive(&mut peer, &mut seen);
        assert!(count > 0, "it said {:?}", node.last_words());
        while let Some((message, taken)) = decode(&seen).expect("the node sends messages") {
            seen.drain(..taken);
            if let Message::Sync(Sync::Reply {
                token: answered,
                result,
            }) = message
            {
                seen = vec![u8::from(answered == token && result != 0)];
                break;
            }
        }
        if seen.len() == 1 {
            break seen[0] == 1;
        }
    };
    assert!(answered, "unlocking what was never locked must fail");
}

#[test]
fn a_cut_link_waits_for_the_launchers_word_and_its_end_is_the_end() {
    let program = idle();
    for bytes in [&b""[..], &[40, 0, 0], &bytes_of(&Message::Bye)[..5]] {
        for greet in [false, true] {
            let (node, peer) = meet(&program, greet, bytes);
            drop(peer);
            // The launcher, who sees processes end, tells or ends the survivors. Here it is gone.
            drop(node.control);
            let outcome = node.running.wait(PATIENCE);
            assert_eq!(outcome.status, FATAL, "{bytes:?}: {outcome}");
        }
    }
    assert_eq!(program.leftovers(), [""; 0]);
}

#[test]
fn two_different_binaries_refuse_each_other() {
    let first = compile_text("int main(void) { return 0; }", &["-O2"]);
    let second = compile_text("int main(void) { return 1; }", &["-O2"]);
    let (one, other) = UnixStream::pair().expect("a pair of sockets");
    let nodes = [
        start_node(&first, 0, one, SECRET_TEXT),
        start_node(&second, 1, other, SECRET_TEXT),
    ];
    // Each reads the other's greeting, even if the other has ended already.
    for node in nodes {
        node.check_refused("it runs another program");
    }
    // The same binary, but of another job.
    let (one, other) = UnixStream::pair().expect("a pair of sockets");
    let stranger = "00000000000000000000000000000001";
    let nodes = [
        start_node(&first, 0, one, SECRET_TEXT),
        start_node(&first, 1, other, stranger),
    ];
    for node in nodes {
        node.check_refused("it belongs to another job");
    }
}
