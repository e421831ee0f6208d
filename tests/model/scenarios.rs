//! The clusters that are explored: each is small in all ways but those it is about.

use umbel_wire::Protocol;

use super::node::object_of;
use super::scenario::{Budget, Declared, Scenario, Writer};
use Writer::{Anybody, Nobody, Only};

/// Every protocol of weak objects.
pub const WEAK: [Protocol; 4] = [
    Protocol::Invalidate,
    Protocol::Migratory,
    Protocol::ReadOnly,
    Protocol::Update,
];

/// Every protocol of sequential objects.
pub const SEQUENTIAL: [Protocol; 4] = [
    Protocol::Invalidate,
    Protocol::Migratory,
    Protocol::ReadOnly,
    Protocol::Remote,
];

/// A node that releases so many times.
fn flushes(flushes: u8) -> Budget {
    Budget {
        flushes,
        ..Budget::default()
    }
}

/// Three nodes that load and store one sequential object, without end.
pub fn one_object(protocol: Protocol) -> Scenario {
    let object = Declared::sequential(object_of(0, 0), protocol);
    Scenario::new(3, vec![object])
}

/// As `one_object`; faults are reported late and twice.
pub fn one_object_stray(protocol: Protocol) -> Scenario {
    Scenario {
        stray_faults: true,
        ..one_object(protocol)
    }
}

/// One weak object of node 0 in a cluster of three; these nodes write one cell each, once, and release.
pub fn writers(protocol: Protocol, writers: [usize; 2]) -> Scenario {
    let object = Declared::weak(object_of(0, 0), protocol, writers.map(Only));
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        ..Scenario::new(3, vec![object])
    };
    for writer in writers {
        scenario.budgets[writer] = flushes(1);
    }
    scenario
}

/// Two caches write, the home reads.
pub fn two_caches_write(protocol: Protocol) -> Scenario {
    writers(protocol, [1, 2])
}

/// The home and a cache write, another cache reads.
pub fn home_and_cache_write(protocol: Protocol) -> Scenario {
    writers(protocol, [0, 1])
}

/// One cache writes and releases again and again, the others read.
pub fn one_cache_writes_often(protocol: Protocol) -> Scenario {
    let object = Declared::weak(object_of(0, 0), protocol, [Only(1), Nobody]);
    let mut scenario = Scenario {
        stores_per_cell: Some(3),
        ..Scenario::new(3, vec![object])
    };
    scenario.budgets[1] = flushes(3);
    scenario
}

/// Two nodes, stores and releases enough for any order of them.
pub fn two_nodes_write_often(protocol: Protocol) -> Scenario {
    let object = Declared::weak(object_of(0, 0), protocol, [Only(0), Only(1)]);
    let mut scenario = Scenario {
        stores_per_cell: Some(2),
        ..Scenario::new(2, vec![object])
    };
    scenario.budgets[0] = flushes(1);
    scenario.budgets[1] = flushes(2);
    scenario
}

/// A copy that may be written is flushed so often without a store that it is protected again.
pub fn a_copy_rests() -> Scenario {
    let object = Declared::weak(object_of(0, 0), Protocol::Invalidate, [Only(1), Nobody]);
    let mut scenario = Scenario {
        stores_per_cell: Some(2),
        faults_per_node: Some(3),
        ..Scenario::new(2, vec![object])
    };
    scenario.budgets[1] = flushes(9);
    scenario
}

/// Two caches race for one cell: all that is promised is that the copies end alike.
pub fn a_race(protocol: Protocol) -> Scenario {
    let object = Declared::weak(object_of(0, 0), protocol, [Anybody, Nobody]);
    let mut scenario = Scenario {
        stores_per_cell: Some(2),
        faults_per_node: Some(3),
        ..Scenario::new(3, vec![object])
    };
    scenario.budgets = vec![flushes(0), flushes(1), flushes(1)];
    scenario
}

/// As `two_nodes_write_often`, with stores enough to restore what was there.
pub fn two_nodes_restore(protocol: Protocol) -> Scenario {
    Scenario {
        stores_per_cell: Some(3),
        ..two_nodes_write_often(protocol)
    }
}

/// As `a_race`, of the home and a cache.
pub fn a_race_with_the_home(protocol: Protocol) -> Scenario {
    let object = Declared::weak(object_of(0, 0), protocol, [Anybody, Nobody]);
    let mut scenario = Scenario {
        stores_per_cell: Some(3),
        ..Scenario::new(2, vec![object])
    };
    scenario.budgets = vec![flushes(2), flushes(2)];
    scenario
}

/// A cache writes weak bytes and then a sequential flag of this home; nobody releases.
pub fn a_flag(protocol: Protocol, flag_home: u16) -> Scenario {
    let data = Declared::weak(object_of(0, 0), protocol, [Only(1), Nobody]);
    let flag = Declared {
        writers: [Only(1), Nobody],
        ..Declared::sequential(object_of(flag_home, 1), Protocol::Invalidate)
    };
    Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(3),
        ..Scenario::new(3, vec![data, flag])
    }
}

/// As `a_flag` of the home of the weak bytes, where what is about the flag comes first of what comes together.
pub fn a_flag_first(protocol: Protocol) -> Scenario {
    let flag = Declared {
        writers: [Only(1), Nobody],
        ..Declared::sequential(object_of(0, 0), Protocol::Invalidate)
    };
    let data = Declared::weak(object_of(0, 1), protocol, [Only(1), Nobody]);
    Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(3),
        ..Scenario::new(3, vec![flag, data])
    }
}

/// As `a_copy_rests`, and what takes the copy at last comes with the recall of a flag of its node.
pub fn a_copy_rests_beside_a_flag() -> Scenario {
    let flag = Declared {
        writers: [Only(1), Nobody],
        ..Declared::sequential(object_of(0, 0), Protocol::Invalidate)
    };
    let data = Declared::weak(object_of(0, 1), Protocol::Invalidate, [Only(0), Only(1)]);
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(2),
        ..Scenario::new(2, vec![flag, data])
    };
    scenario.budgets[0] = flushes(1);
    scenario.budgets[1] = flushes(8);
    scenario
}

/// Two sequential objects of one home.
pub fn two_objects() -> Scenario {
    let objects =
        [0, 1].map(|index| Declared::sequential(object_of(0, index), Protocol::Invalidate));
    Scenario {
        faults_per_node: Some(2),
        ..Scenario::new(3, objects.to_vec())
    }
}

/// The home of the weak bytes writes them and then a flag.
pub fn a_flag_of_the_home(protocol: Protocol, flag_home: u16) -> Scenario {
    let data = Declared::weak(object_of(0, 0), protocol, [Only(0), Nobody]);
    let flag = Declared {
        writers: [Only(0), Nobody],
        ..Declared::sequential(object_of(flag_home, 1), Protocol::Invalidate)
    };
    Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(3),
        ..Scenario::new(3, vec![data, flag])
    }
}

/// A flag under `flag`, on two nodes that both write both.
pub fn a_flag_back_and_forth(protocol: Protocol, flag: Protocol) -> Scenario {
    let data = Declared::weak(object_of(0, 0), protocol, [Only(0), Only(1)]);
    let flag = Declared::sequential(object_of(1, 1), flag);
    Scenario {
        stores_per_cell: Some(2),
        faults_per_node: Some(4),
        ..Scenario::new(2, vec![data, flag])
    }
}

/// Nodes 0 and 1 write a cell each of a weak object of this home; every node has news for another once, its own or
/// what it was told.
pub fn news(protocol: Protocol, home: u16) -> Scenario {
    let object = Declared::weak(object_of(home, 0), protocol, [Only(1), Only(0)]);
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(2),
        ..Scenario::new(3, vec![object])
    };
    for budget in &mut scenario.budgets {
        budget.news = 1;
    }
    scenario
}

/// Node 1 writes a cell of a weak object of this home and has news of it, again before it was answered; node 0 passes
/// some on.
pub fn news_in_a_row(protocol: Protocol, home: u16) -> Scenario {
    let object = Declared::weak(object_of(home, 0), protocol, [Only(1), Nobody]);
    let mut scenario = Scenario {
        stores_per_cell: Some(2),
        faults_per_node: Some(2),
        ..Scenario::new(3, vec![object])
    };
    scenario.budgets[0].news = 1;
    scenario.budgets[1].news = 2;
    scenario
}

/// Node 1 and the home write a cell each of a weak object, and both have news; who hears of both has it twice.
pub fn news_of_the_home(protocol: Protocol) -> Scenario {
    let mut scenario = news(protocol, 0);
    scenario.budgets[1].news = 2;
    scenario.budgets[2].news = 0;
    scenario
}

/// Node 1 writes two weak objects of different homes; news of it goes around.
pub fn news_of_two_homes(protocol: Protocol) -> Scenario {
    let objects = [0, 1].map(|home| {
        Declared::weak(
            object_of(home, u64::from(home)),
            protocol,
            [Only(1), Nobody],
        )
    });
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(2),
        ..Scenario::new(3, objects.to_vec())
    };
    scenario.budgets[0].news = 1;
    scenario.budgets[1].news = 1;
    scenario
}

/// News by a message, then by a sequential flag of node `flag_home`: node 1 writes, tells node 0, and that sets the flag.
pub fn news_and_a_flag(protocol: Protocol, flag_home: u16) -> Scenario {
    let data = Declared::weak(object_of(0, 0), protocol, [Only(1), Nobody]);
    let flag = Declared {
        writers: [Only(0), Nobody],
        ..Declared::sequential(object_of(flag_home, 1), Protocol::Invalidate)
    };
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(2),
        ..Scenario::new(3, vec![data, flag])
    };
    scenario.budgets[1].news = 1;
    scenario
}

/// Operations on a counter of node 0, and stores of its home.
pub fn operations(protocol: Protocol) -> Scenario {
    let counter = Declared::sequential(object_of(0, 0), protocol);
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(1),
        ..Scenario::new(3, vec![counter])
    };
    scenario.budgets[1].operations = 2;
    scenario.budgets[2].operations = 1;
    scenario
}

/// An operation as a flag: what came before it is seen by who sees its result.
pub fn operations_as_flags(protocol: Protocol) -> Scenario {
    let data = Declared::weak(object_of(0, 0), protocol, [Only(1), Only(0)]);
    let counter = Declared::sequential(object_of(0, 1), Protocol::Remote);
    let mut scenario = Scenario {
        stores_per_cell: Some(1),
        faults_per_node: Some(2),
        ..Scenario::new(3, vec![data, counter])
    };
    scenario.budgets[1].operations = 1;
    scenario.budgets[2].operations = 1;
    scenario
}

/// Copies are dropped for want of room.
pub fn evictions(mut scenario: Scenario, count: u8) -> Scenario {
    for budget in &mut scenario.budgets[1..] {
        budget.evictions = count;
    }
    scenario
}

/// Objects are fetched before they are wanted.
pub fn prefetches(mut scenario: Scenario, count: u8, exist: bool) -> Scenario {
    for budget in &mut scenario.budgets[1..] {
        budget.prefetches = count;
    }
    for declared in &mut scenario.objects {
        declared.exists = exist;
    }
    scenario
}

/// The home switches between all protocols of the object.
pub fn switches(mut scenario: Scenario, count: u8) -> Scenario {
    scenario.budgets[0].switches = count;
    let is_weak = scenario.objects[0].is_weak();
    scenario.protocols = if is_weak { WEAK } else { SEQUENTIAL }.to_vec();
    scenario
}

/// A node needs the object to be sequential.
pub fn strengthened(mut scenario: Scenario, rank: usize) -> Scenario {
    scenario.budgets[rank].strengthens = 1;
    scenario
}

/// The object's life ends once.
pub fn reclaimed(scenario: Scenario) -> Scenario {
    Scenario {
        reclaims_per_object: Some(1),
        ..scenario
    }
}

/// A node is lost.
pub fn lost(scenario: Scenario, rank: usize) -> Scenario {
    Scenario {
        may_lose: Some(rank),
        ..scenario
    }
}

/// Grants come with holds.
pub fn held(scenario: Scenario) -> Scenario {
    Scenario {
        minimum_hold: true,
        ..scenario
    }
}

/// Drivers gather the effects of several messages.
pub fn gathered(scenario: Scenario) -> Scenario {
    Scenario {
        gathers: true,
        ..scenario
    }
}

/// The kernel tells which pages were written.
pub fn tracked(mut scenario: Scenario) -> Scenario {
    for declared in &mut scenario.objects {
        declared.tracks_writes = declared.is_weak();
    }
    scenario
}

/// At most so many faults of each node.
pub fn faults(scenario: Scenario, count: u8) -> Scenario {
    Scenario {
        faults_per_node: Some(count),
        ..scenario
    }
}

/// These nodes pin what they can, once each.
pub fn pinned(mut scenario: Scenario, ranks: &[usize]) -> Scenario {
    for rank in ranks {
        scenario.budgets[*rank].pins = 1;
    }
    scenario
}

/// Drivers of these nodes let threads write what they can read, so often each.
pub fn written_ahead(mut scenario: Scenario, ranks: &[usize], count: u8) -> Scenario {
    for rank in ranks {
        scenario.budgets[*rank].aheads = count;
    }
    scenario
}

/// These nodes ask something of any other, once each, and go on without the answer.
pub fn asking(mut scenario: Scenario, ranks: &[usize]) -> Scenario {
    for rank in ranks {
        scenario.budgets[*rank].tasks = 1;
    }
    scenario
}

/// The same, while nodes send so many parts of their flushes first.
pub fn in_parts(mut scenario: Scenario, count: u8) -> Scenario {
    for budget in &mut scenario.budgets {
        budget.parts = count;
    }
    scenario
}
