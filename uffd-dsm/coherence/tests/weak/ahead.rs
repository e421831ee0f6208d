//! Rights to write before a thread needs them.

use umbel_coherence::Effect;
use umbel_coherence::limits::IDLE_FLUSHES_MAX;
use umbel_wire::Protocol;

use crate::copy::copy_in;
use crate::home::shared;
use crate::transcript::*;

/// The effects; `None` if the machine says no, which must leave nothing behind.
fn write_ahead(node: &mut Node) -> Option<Vec<Effect<u64>>> {
    let mut is_done = false;
    let effects = node.input(|machine, memory, out| {
        is_done = machine.write_ahead(OBJECT, memory, out);
    });
    assert_eq!(is_done, !effects.is_empty());
    is_done.then_some(effects)
}

fn twin_and_right() -> Vec<Effect<u64>> {
    vec![Effect::Twin { object: OBJECT }, access(OBJECT, Some(WRITE))]
}

#[test]
fn a_readable_weak_copy_is_made_writable_without_a_message() {
    let mut node = copy_in("Shared");
    assert_eq!(write_ahead(&mut node), Some(twin_and_right()));
    assert_eq!(write_ahead(&mut node), None);
    assert_eq!(node.writes(7).flush(1), [sent(0, flush(1, 7))]);
}

#[test]
fn a_home_writes_ahead_what_others_read() {
    let mut home = shared(Protocol::Update, 1);
    assert_eq!(write_ahead(&mut home), Some(twin_and_right()));
    assert_eq!(write_ahead(&mut home), None);
}

#[test]
fn who_is_about_to_become_clean_keeps_his_twin() {
    let mut home = shared(Protocol::Update, 1);
    home.fault(OBJECT, WRITE);
    for token in 1..IDLE_FLUSHES_MAX.into() {
        home.flush(token);
    }
    let resume = Effect::Resume { object: OBJECT };
    let last = home.flush(IDLE_FLUSHES_MAX.into());
    assert_eq!(last[..2], [access(OBJECT, Some(READ)), resume]);
    // Its threads may have stored until a moment ago: a twin made now would hide that.
    assert_eq!(write_ahead(&mut home), None);
    home.writes(7);
    assert_eq!(home.resumed(OBJECT)[1], sent(1, update(7)));
    home.receive(1, updated(false));
    assert_eq!(write_ahead(&mut home), Some(twin_and_right()));
}

#[test]
fn what_needs_a_message_or_is_not_written_stays_as_it_is() {
    for state in [
        "Invalid",
        "FetchWrite",
        "Prefetch",
        "Exclusive",
        "Dirty",
        "Resting",
        "Leaving",
    ] {
        assert_eq!(write_ahead(&mut copy_in(state)), None, "{state}");
    }
    let mut reader = Node::new(1, None);
    reader.fault(OBJECT, READ);
    reader.receive(0, grant(OBJECT, READ, weak(Protocol::ReadOnly)));
    assert_eq!(write_ahead(&mut reader), None);
    let mut sequential_reader = Node::new(1, None);
    sequential_reader.fault(OBJECT, READ);
    sequential_reader.receive(0, grant(OBJECT, READ, sequential(Protocol::Invalidate)));
    assert_eq!(write_ahead(&mut sequential_reader), None);
    assert_eq!(write_ahead(&mut shared(Protocol::ReadOnly, 1)), None);
    // Nobody else has it: its first store faults without a twin.
    assert_eq!(write_ahead(&mut shared(Protocol::Update, 0)), None);
}
