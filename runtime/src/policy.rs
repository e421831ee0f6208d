//! What the source says of an object: which consistency it needs and which protocol serves it.
//!
//! The compiler writes flags and the words of `__attribute__((shadow(...)))` into an object's record; the engine asks
//! once per object that another node wants. Words that mean nothing here are ignored: the plugin refuses them where
//! the programmer sees it.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use uffd_dsm::stack::Found;
use umbel_coherence::Policy;
use umbel_fault::PAGE_BYTES;
use umbel_wire::{Consistency, Protocol};

use crate::sys::abi::{self, Traits};

/// For objects whose source says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Their consistency.
    pub consistency: Consistency,
    /// Their protocol; none: chosen by what is observed.
    pub protocol: Option<Protocol>,
}

impl Defaults {
    /// Without options of `umbel run`.
    pub const BUILT_IN: Self = Self {
        consistency: Consistency::Weak,
        protocol: None,
    };
}

static DEFAULTS: OnceLock<Defaults> = OnceLock::new();

/// Policies and bytes of units by record: texts are read once.
static KNOWN: Mutex<BTreeMap<u64, (Policy, u64)>> = Mutex::new(BTreeMap::new());

/// Sets the defaults; to be called once, before the first object is shared.
pub fn set_defaults(defaults: Defaults) {
    let _ = DEFAULTS.set(defaults);
}

/// The policy of an object of this node.
pub fn of(found: &Found) -> Policy {
    known(found).0
}

/// Pages of an object of this node that its source wants fetched together; 1 if it says nothing.
///
/// A unit that does not end with a page is rounded up: weak objects are merged byte by byte, so it shares the
/// page with its neighbour and loses nothing.
pub fn pages_together(found: &Found) -> u64 {
    known(found).1.div_ceil(PAGE_BYTES as u64).max(1)
}

fn known(found: &Found) -> (Policy, u64) {
    let mut known = KNOWN.lock().expect("no code under this lock panics");
    *known
        .entry(found.record)
        .or_insert_with(|| read(found.record))
}

fn read(record: u64) -> (Policy, u64) {
    let defaults = DEFAULTS.get().copied().unwrap_or(Defaults::BUILT_IN);
    let traits = match record {
        0 => Traits::default(),
        record => abi::object_traits(record as usize),
    };
    (decide(&traits, defaults), traits.unit_bytes)
}

fn decide(traits: &Traits, defaults: Defaults) -> Policy {
    let words = || words(traits.attribute.as_deref().unwrap_or_default());
    let said = words().filter_map(consistency).last();
    let consistency = match said {
        _ if traits.sequential => Consistency::Sequential,
        Some(said) => said,
        None if traits.volatile => Consistency::Sequential,
        None => defaults.consistency,
    };
    let said = words().filter_map(protocol_or_auto).last();
    let protocol = match said {
        Some(said) => said,
        None if traits.constant => Some(Protocol::ReadOnly),
        // A default is for the objects that it can serve.
        None if defaults.protocol == Some(Protocol::Remote) && !traits.operations => None,
        None => defaults.protocol,
    };
    Policy {
        consistency,
        protocol: match (protocol, consistency) {
            // Updates arrive one node after the other: no order that all nodes agree on.
            (Some(Protocol::Update), Consistency::Sequential) => None,
            (protocol, _) => protocol,
        },
        operations: traits.operations,
    }
}

/// Whether every word of an attribute is known, and they agree.
pub fn is_valid(text: &str) -> bool {
    let words = || words(text);
    let known = words().all(|word| {
        consistency(word).is_some() || protocol_or_auto(word).is_some() || is_unit(word)
    });
    let sequential = words().any(|word| word == "sequential");
    known && !(sequential && words().any(|word| word == "update" || word == "weak"))
}

/// `unit(N)`.
fn is_unit(word: &str) -> bool {
    let count = word
        .strip_prefix("unit(")
        .and_then(|rest| rest.strip_suffix(')'));
    count.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\n'])
        .filter(|word| !word.is_empty())
}

/// A consistency by its name.
pub fn consistency(word: &str) -> Option<Consistency> {
    match word {
        "weak" => Some(Consistency::Weak),
        "sequential" => Some(Consistency::Sequential),
        _ => None,
    }
}

/// A protocol by its name; `auto` is none in particular.
pub fn protocol_or_auto(word: &str) -> Option<Option<Protocol>> {
    match word {
        "auto" => Some(None),
        "invalidate" => Some(Some(Protocol::Invalidate)),
        "migratory" => Some(Some(Protocol::Migratory)),
        "read_only" => Some(Some(Protocol::ReadOnly)),
        "update" => Some(Some(Protocol::Update)),
        "remote" => Some(Some(Protocol::Remote)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_words(attribute: &str) -> Traits {
        Traits {
            attribute: Some(attribute.into()),
            ..Traits::default()
        }
    }

    #[test]
    fn the_source_comes_before_the_defaults() {
        let sequential = Defaults {
            consistency: Consistency::Sequential,
            protocol: Some(Protocol::Migratory),
        };
        let plain = decide(&Traits::default(), sequential);
        assert_eq!(plain.consistency, Consistency::Sequential);
        assert_eq!(plain.protocol, Some(Protocol::Migratory));
        let said = decide(&with_words("weak, update unit(4)"), sequential);
        assert_eq!(said.consistency, Consistency::Weak);
        assert_eq!(said.protocol, Some(Protocol::Update));
        assert_eq!(decide(&with_words("auto"), sequential).protocol, None);
    }

    #[test]
    fn what_must_be_sequential_is_whatever_the_words_say() {
        let flag = Traits {
            sequential: true,
            ..with_words("weak,update")
        };
        let policy = decide(&flag, Defaults::BUILT_IN);
        assert_eq!(policy.consistency, Consistency::Sequential);
        assert_eq!(policy.protocol, None);
    }

    #[test]
    fn unknown_words_change_nothing() {
        let unknown = with_words("unit(, weakly ,,sequentially");
        let plain = decide(&Traits::default(), Defaults::BUILT_IN);
        assert_eq!(decide(&unknown, Defaults::BUILT_IN), plain);
    }

    #[test]
    fn constants_are_only_read_unless_the_source_knows_better() {
        let constant = Traits {
            constant: true,
            ..Traits::default()
        };
        let protocol = decide(&constant, Defaults::BUILT_IN).protocol;
        assert_eq!(protocol, Some(Protocol::ReadOnly));
        let told = Traits {
            constant: true,
            ..with_words("migratory")
        };
        let protocol = decide(&told, Defaults::BUILT_IN).protocol;
        assert_eq!(protocol, Some(Protocol::Migratory));
    }
}
