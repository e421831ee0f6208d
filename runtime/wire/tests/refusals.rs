//! What the decoders refuse, and what they say about it.

use umbel_wire::codec::{check, decode, decode_control, encode, encode_control};
use umbel_wire::control::Control;
use umbel_wire::heap::Heap;
use umbel_wire::limits::{
    DATA_BYTES_MAX, DIFF_BYTES_MAX, FRAME_BYTES_MAX, FRAMES_MAX, LINES_MAX, POLICY_BYTES_MAX,
    TEXT_BYTES_MAX,
};
use umbel_wire::thread::{CodeRef, Frame, Thread};
use umbel_wire::{Coherence, Message, ObjectId, ThreadId, Token};

#[track_caller]
fn refused(bytes: &[u8], says: &str) {
    let error = decode(bytes).expect_err("must be refused").to_string();
    assert_eq!(error, says);
}

#[track_caller]
fn control_refused(bytes: &[u8], says: &str) {
    let error = decode_control(bytes)
        .expect_err("must be refused")
        .to_string();
    assert_eq!(error, says);
}

fn spawn(frames: Vec<Frame>) -> Message {
    Message::Thread(Thread::Spawn {
        thread: ThreadId(1),
        father: ThreadId(2),
        code: CodeRef::default(),
        function: CodeRef::default(),
        argument: 0,
        frames,
    })
}

fn frame(frame_bytes: usize) -> Frame {
    Frame {
        table: CodeRef::default(),
        bytes: vec![0; frame_bytes],
    }
}

#[test]
fn other_version() {
    refused(
        &[0, 0, 0, 0, 2, 9, 0, 0],
        "header: wire version 9, but this node speaks 1; the same Umbel must run on all nodes",
    );
}

#[test]
fn a_policy_that_is_no_text_or_too_long() {
    let mut found = vec![17, 0, 0, 0, 0x3a, 1, 0, 0];
    found.extend([0; 16]);
    found.push(0xff);
    refused(&found, "Found: policy is not UTF-8 from offset 16 on");
    let long = Message::Heap(Heap::Found {
        token: Token(1),
        size_bytes: 1,
        policy: "x".repeat(POLICY_BYTES_MAX + 1),
    });
    let error = check(&long).expect_err("must be refused").to_string();
    assert_eq!(
        error,
        "text of a policy: 257 bytes, at most 256 can be sent"
    );
}

#[test]
fn reserved_bytes_not_zero() {
    refused(
        &[0, 0, 0, 0, 2, 1, 0, 1],
        "header: reserved bytes are 0x0100, not zero",
    );
}

#[test]
fn unknown_kind_and_kind_of_the_other_socket() {
    refused(
        &[0, 0, 0, 0, 0x7f, 1, 0, 0],
        "header: no message of kind 0x7f here",
    );
    refused(
        &[0, 0, 0, 0, 0x85, 1, 0, 0],
        "header: no message of kind 0x85 here",
    );
    control_refused(
        &[0, 0, 0, 0, 0x02, 1, 0, 0],
        "header: no message of kind 0x02 here",
    );
}

#[test]
fn foreign_bytes() {
    refused(
        b"GET / HTTP/1.1\r\n",
        "header: wire version 32, but this node speaks 1; the same Umbel must run on all nodes",
    );
}

#[test]
fn body_length_is_refused_before_the_body_is_there() {
    refused(
        &[0xff, 0xff, 0xff, 0xff, 0x14, 1, 0, 0],
        "Invalidate: header announces a body of 4294967295 bytes; 9 to 9 are allowed",
    );
    refused(
        &[0, 0, 0, 0, 0x11, 1, 0, 0],
        "Grant: header announces a body of 0 bytes; 11 to 4109 are allowed",
    );
}

#[test]
fn every_prefix_of_a_message_asks_for_more() {
    let mut bytes = Vec::new();
    encode(&spawn(vec![frame(100), frame(3)]), &mut bytes);
    for length in 0..bytes.len() {
        assert_eq!(decode(&bytes[..length]), Ok(None), "{length} bytes");
    }
    assert!(decode(&bytes).is_ok_and(|found| found.is_some()));
}

#[test]
fn access_out_of_range() {
    let bytes = [10, 0, 0, 0, 0x10, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    refused(
        &bytes,
        "Get: access at offset 8 is 2, must be 0 (read) or 1 (write)",
    );
}

#[test]
fn data_without_the_flag_is_left_over() {
    let bytes = [
        13, 0, 0, 0, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7,
    ];
    refused(
        &bytes,
        "Grant: 2 bytes left over at offset 11, after the last field",
    );
}

#[test]
fn mode_out_of_range() {
    for mode in [5, 15, 21, 32, 36, 0xff] {
        let bytes = [
            11, 0, 0, 0, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 0,
        ];
        let says = format!("Grant: mode at offset 9 is {mode}, must be 0 to 4, or 16 to 20");
        refused(&bytes, &says);
    }
}

#[test]
fn a_flush_that_brings_nothing_and_stays() {
    let mut bytes = vec![18, 0, 0, 0, 0x16, 1, 0, 0];
    bytes.resize(8 + 18, 0);
    refused(
        &bytes,
        "Flush: has_diff at offset 17 is 0, must be 1 where leave is 0",
    );
}

#[test]
fn operations_that_no_processor_has() {
    let operate = |kind, width, offset: u16| {
        let mut bytes = vec![36, 0, 0, 0, 0x1c, 1, 0, 0];
        bytes.resize(8 + 36, 0);
        bytes[24] = kind;
        bytes[25] = width;
        bytes[26..28].copy_from_slice(&offset.to_le_bytes());
        bytes
    };
    refused(
        &operate(10, 8, 0),
        "Operate: kind at offset 16 is 10, must be 0 to 9",
    );
    for width in [0, 3, 16] {
        let says = format!("Operate: width at offset 17 is {width}, must be 1, 2, 4 or 8");
        refused(&operate(4, width, 0), &says);
    }
    for (width, offset) in [(8, 4), (2, 4095), (8, 4096), (1, 4096)] {
        let says = format!(
            "Operate: offset at offset 18 is {offset}, must be a multiple of width below 4096"
        );
        refused(&operate(4, width, offset), &says);
    }
}

#[test]
fn frame_longer_than_its_body() {
    let mut bytes = Vec::new();
    encode(&spawn(vec![frame(4)]), &mut bytes);
    let frame_bytes_at = 8 + 50 + 12;
    bytes[frame_bytes_at] = 5;
    refused(
        &bytes,
        "Spawn: bytes at offset 66 needs 5 bytes, the body has 4 left",
    );
}

#[test]
fn more_frames_than_allowed() {
    let mut bytes = Vec::new();
    encode(&spawn(vec![]), &mut bytes);
    bytes[8 + 48] = 65;
    refused(
        &bytes,
        "Spawn: frame_count at offset 48 is 65, must be at most 64",
    );
}

#[test]
fn operand_of_an_operation_without_one() {
    let mut bytes = vec![33, 0, 0, 0, 0x30, 1, 0, 0];
    bytes.resize(8 + 33, 0);
    bytes[8 + 24] = 17;
    bytes[8 + 25] = 1;
    refused(
        &bytes,
        "Request: operand at offset 25 is 1, must be 0 for this operation",
    );
}

#[test]
fn rank_outside_the_job() {
    let mut bytes = vec![40, 0, 0, 0, 1, 1, 0, 0, 4, 0, 4, 0];
    bytes.resize(48, 0);
    refused(
        &bytes,
        "Hello: node_count at offset 2 is 4, must be above rank",
    );
}

#[test]
fn control_values() {
    control_refused(
        &[4, 0, 0, 0, 0x81, 1, 0, 0, 0, 1, 0, 0],
        "Exit: status at offset 0 is 256, must be 0 to 255",
    );
    control_refused(
        &[3, 0, 0, 0, 0x82, 1, 0, 0, b'a', 0xff, b'b'],
        "Fatal: text is not UTF-8 from offset 1 on",
    );
    control_refused(
        &[2, 0, 0, 0, 0x80, 1, 0, 0, 0, 0x10],
        "Ready: rank at offset 0 is 4096, must be below 4096",
    );
}

#[test]
fn texts_are_cut_between_characters() {
    let text = "é".repeat(TEXT_BYTES_MAX);
    let mut bytes = Vec::new();
    encode_control(
        &Control::Fatal {
            text: format!("x{text}"),
        },
        &mut bytes,
    );
    let (message, _) = decode_control(&bytes)
        .expect("what was encoded decodes")
        .expect("it is whole");
    let Control::Fatal { text: cut } = message else {
        panic!("not Fatal: {message:?}");
    };
    assert_eq!(cut.len(), TEXT_BYTES_MAX - 1);
    assert!(cut.starts_with("xé") && cut.ends_with('é'));
}

#[test]
fn a_cut_list_says_how_many_lines_are_missing() {
    let lines: Vec<String> = (0..LINES_MAX + 10).map(|i| i.to_string()).collect();
    let mut bytes = Vec::new();
    encode_control(&Control::Threads { lines }, &mut bytes);
    let (message, _) = decode_control(&bytes)
        .expect("what was encoded decodes")
        .expect("it is whole");
    let Control::Threads { lines } = message else {
        panic!("not Threads: {message:?}");
    };
    assert_eq!(lines.len(), LINES_MAX);
    assert_eq!(lines.last().map(String::as_str), Some("and 11 more"));
}

#[test]
fn check_names_the_bound() {
    let over = |message| check(&message).expect_err("over a bound").to_string();
    assert_eq!(
        over(spawn(vec![frame(0); FRAMES_MAX + 1])),
        "static chain of a thread: 65 frames, at most 64 can be sent"
    );
    assert_eq!(
        over(spawn(vec![frame(FRAME_BYTES_MAX + 1)])),
        "frame of a thread: 65537 bytes, at most 65536 can be sent"
    );
    assert_eq!(
        over(spawn(vec![frame(FRAME_BYTES_MAX); 4])),
        "frames of a thread: 262258 bytes, at most 262144 can be sent"
    );
    assert_eq!(
        over(Message::Coherence(Coherence::Recalled {
            object: ObjectId(0),
            data: vec![0; DATA_BYTES_MAX + 1],
        })),
        "data of an object: 4099 bytes, at most 4098 can be sent"
    );
    assert_eq!(
        over(Message::Coherence(Coherence::Update {
            object: ObjectId(0),
            diff: vec![0; DIFF_BYTES_MAX + 1],
        })),
        "diff of an object: 10241 bytes, at most 10240 can be sent"
    );
    assert_eq!(check(&spawn(vec![frame(FRAME_BYTES_MAX); 3])), Ok(()));
}
