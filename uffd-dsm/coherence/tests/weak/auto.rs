//! How a home chooses the protocol of an object whose source does not say, as its head's table tells.

use umbel_coherence::{Effect, Holding, Outgoing};
use umbel_wire::{Coherence, NodeId, Protocol};

use crate::home::{INVALIDATE, UPDATE};
use crate::transcript::*;

const MIGRATORY: Protocol = Protocol::Migratory;

fn protocol(home: &Node) -> Protocol {
    let entry = home.machine.entry(OBJECT);
    entry.map_or(INVALIDATE, |entry| entry.mode().protocol)
}

/// Carries out what the home asked other nodes for: nobody has anything to hand over.
fn answer(home: &mut Node, out: Effects) -> Effects {
    let mut asked = out;
    let mut all = Effects::new();
    while !asked.is_empty() {
        let mut more = Effects::new();
        for effect in &asked {
            let Effect::Send {
                to: NodeId(to),
                message,
            } = effect
            else {
                continue;
            };
            let data = 1;
            let object = OBJECT;
            more.extend(match message {
                Outgoing::Recall { .. } => home.receive(*to, Coherence::Recalled { object, data }),
                Outgoing::Invalidate { .. } => home.receive(*to, invalidated(None)),
                Outgoing::Update { .. } => home.receive(*to, updated(false)),
                _ => Effects::new(),
            });
        }
        all.append(&mut asked);
        asked = more;
    }
    all
}

/// `node` reads what the one before wrote, and writes. Who became owner by its flush has not written since.
fn hand_over(home: &mut Node, node: u16, sequence: u64) {
    home.memory.differs = protocol(home) == MIGRATORY;
    let out = home.receive(node, get(OBJECT, READ));
    let out = answer(home, out);
    if out.contains(&sent(node, grant(OBJECT, READ, weak(protocol(home))))) {
        let out = home.receive(node, flush(sequence, 7));
        answer(home, out);
    }
}

/// Node 1 and the home write, each beside a twin; node 1 flushes first.
fn write_at_once(home: &mut Node, sequence: u64) {
    home.receive(1, get(OBJECT, READ));
    home.fault(OBJECT, WRITE);
    let out = home.receive(1, flush(sequence, 7));
    answer(home, out);
    let out = home.writes(8).flush(sequence);
    answer(home, out);
}

/// Node 1 writes, then the home.
fn write_in_turns(home: &mut Node, sequence: u64) {
    if protocol(home) == INVALIDATE {
        home.receive(1, get(OBJECT, READ));
    }
    let out = home.receive(1, flush(sequence, 7));
    answer(home, out);
    let out = home.fault(OBJECT, WRITE);
    answer(home, out);
    let out = home.writes(8).flush(sequence);
    answer(home, out);
}

/// Hand-overs from now on until another protocol is in force.
fn hand_overs_until(home: &mut Node, wanted: Protocol, sequence: &mut u64) -> usize {
    for count in 0..1000 {
        if protocol(home) == wanted {
            return count;
        }
        *sequence += 1;
        hand_over(home, 1 + (*sequence % 2) as u16, *sequence);
    }
    panic!("{wanted:?} is never chosen");
}

#[test]
fn writing_beside_the_homes_twin_speaks_for_update_and_against_migratory() {
    let mut home = Node::new(0, None);
    for sequence in 1..=3 {
        assert_eq!(protocol(&home), INVALIDATE);
        write_at_once(&mut home, sequence);
    }
    assert_eq!(protocol(&home), UPDATE);
}

#[test]
fn a_home_that_writes_after_the_flush_has_not_written_at_once() {
    let mut home = Node::new(0, None);
    home.receive(2, get(OBJECT, READ));
    for sequence in 1..=3 {
        write_in_turns(&mut home, sequence);
    }
    assert_ne!(protocol(&home), UPDATE);
}

#[test]
fn between_two_nodes_turns_speak_for_update_that_stays() {
    let mut home = Node::new(0, None);
    for sequence in 1..=4 {
        assert_eq!(protocol(&home), INVALIDATE);
        write_in_turns(&mut home, sequence);
    }
    for sequence in 5..200 {
        assert_eq!(protocol(&home), UPDATE);
        write_in_turns(&mut home, sequence);
    }
}

#[test]
fn writers_at_once_stop_the_way_to_migratory() {
    let mut home = Node::new(0, None);
    let mut sequence = 0;
    for _ in 0..3 {
        for node in 1..=2 {
            sequence += 1;
            hand_over(&mut home, node, sequence);
        }
        let out = home.fault(OBJECT, WRITE);
        answer(&mut home, out);
        sequence += 1;
        write_at_once(&mut home, sequence);
        assert_ne!(protocol(&home), MIGRATORY);
    }
}

#[test]
fn migratory_is_tried_anew_less_and_less_often() {
    let mut home = Node::new(0, None);
    let mut sequence = 0;
    let mut last = 0;
    for _ in 0..6 {
        hand_overs_until(&mut home, MIGRATORY, &mut sequence);
        let lasted = hand_overs_until(&mut home, INVALIDATE, &mut sequence);
        assert!((16..=130).contains(&lasted), "{lasted}");
        assert!(lasted >= last.min(128), "{lasted} after {last}");
        last = lasted;
    }
    assert!(last >= 128, "{last}");
}

#[test]
fn update_is_tried_anew_where_writers_take_turns() {
    let mut home = Node::new(0, None);
    for sequence in 1..=3 {
        write_at_once(&mut home, sequence);
    }
    home.receive(2, get(OBJECT, READ));
    let mut sequence = 10;
    for token in 10..20 {
        home.flush(token);
    }
    home.resumed(OBJECT);
    while protocol(&home) == UPDATE && sequence < 100 {
        sequence += 1;
        let out = home.receive(1 + (sequence % 2) as u16, flush(sequence, 7));
        answer(&mut home, out);
    }
    assert_eq!(protocol(&home), INVALIDATE);
    assert!((26..30).contains(&sequence), "{sequence}");
    hand_overs_until(&mut home, MIGRATORY, &mut sequence);
}

#[test]
fn one_writer_keeps_update() {
    let mut home = Node::new(0, None);
    for sequence in 1..=3 {
        write_at_once(&mut home, sequence);
    }
    home.receive(2, get(OBJECT, READ));
    for sequence in 10..200 {
        let out = home.receive(1, flush(sequence, 7));
        answer(&mut home, out);
    }
    assert_eq!(protocol(&home), UPDATE);
}

/// Node 1 has a copy, writes and flushes; the home's threads read before, unless they don't any more.
fn write_for_the_home(home: &mut Node, sequence: u64, home_reads: bool) {
    if home_reads {
        let out = home.fault(OBJECT, READ);
        answer(home, out);
    }
    home.receive(1, flush(sequence, 7));
}

fn holding(home: &Node) -> Holding {
    let entry = home.machine.entry(OBJECT);
    entry.expect("node 1 has a copy").holding()
}

#[test]
fn a_home_that_reads_what_one_node_writes_speaks_for_update() {
    let mut home = Node::new(0, None);
    home.receive(1, get(OBJECT, READ));
    for sequence in 1..=4 {
        assert_eq!(protocol(&home), INVALIDATE);
        write_for_the_home(&mut home, sequence, true);
    }
    assert_eq!(protocol(&home), UPDATE);
    for sequence in 5..200 {
        write_for_the_home(&mut home, sequence, true);
    }
    assert_eq!(protocol(&home), UPDATE);
    assert_eq!(holding(&home), Holding::Shared);
}

#[test]
fn a_home_that_reads_no_more_makes_the_writer_owner() {
    let mut home = Node::new(0, None);
    home.receive(1, get(OBJECT, READ));
    for sequence in 1..=8 {
        write_for_the_home(&mut home, sequence, true);
    }
    assert_eq!(protocol(&home), UPDATE);
    let flushes = (9..200).take_while(|sequence| {
        write_for_the_home(&mut home, *sequence, false);
        holding(&home) != Holding::Owned(NodeId(1))
    });
    assert!(flushes.count() <= 32);
}
