//! Small numbers for a process's functions: the same as long as the module is the same.

use super::fast::FastMap;
use crate::recording::{ProcessSerial, Recording};

/// Numbers the functions of one process as one thread meets them.
pub struct Ids {
    /// Of the present moment.
    by_address: FastMap<u64, u32>,
    by_module: FastMap<(u32, u64), u32>,
    functions: Vec<Met>,
    modules: Vec<Loaded>,
    /// When an address may begin to mean something else, the next last.
    changes: Vec<u64>,
}

/// A function that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// Its address.
    pub address: u64,
    /// When it was met first, in ticks: which module had the address then.
    pub ticks: u64,
}

struct Loaded {
    begin: u64,
    end: u64,
    ticks: u64,
}

/// What is in no module.
const NOWHERE: u32 = u32::MAX;

impl Ids {
    /// For a thread of this process.
    pub fn new(recording: &Recording, process: ProcessSerial) -> Self {
        let modules = recording.modules().iter();
        let modules: Vec<Loaded> = modules
            .filter(|module| module.process == process)
            .map(|module| Loaded {
                begin: module.begin,
                end: module.end,
                ticks: module.ticks,
            })
            .collect();
        let mut changes: Vec<u64> = modules
            .iter()
            .enumerate()
            .filter(|(index, module)| {
                let overlaps =
                    |other: &Loaded| other.begin < module.end && module.begin < other.end;
                modules[..*index].iter().any(overlaps)
            })
            .map(|(_, module)| module.ticks)
            .collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            by_address: FastMap::default(),
            by_module: FastMap::default(),
            functions: Vec::new(),
            modules,
            changes,
        }
    }

    /// The number of the function that is at `address` at the time `ticks`.
    pub fn number(&mut self, address: u64, ticks: u64) -> u32 {
        while self.changes.last().is_some_and(|change| *change <= ticks) {
            self.changes.pop();
            self.by_address.clear();
        }
        if let Some(&number) = self.by_address.get(&address) {
            return number;
        }
        let key = (self.module(address, ticks), address);
        let number = *self.by_module.entry(key).or_insert_with(|| {
            self.functions.push(Met { address, ticks });
            self.functions.len() as u32 - 1
        });
        self.by_address.insert(address, number);
        number
    }

    /// The functions by their numbers.
    pub fn into_functions(self) -> Vec<Met> {
        self.functions
    }

    fn module(&self, address: u64, ticks: u64) -> u32 {
        let holds = |module: &Loaded| (module.begin..module.end).contains(&address);
        // They are in the order of their coming. A module's own first calls may be older than the news of it.
        let then = |module: &Loaded| holds(module) && module.ticks <= ticks;
        let place = self.modules.iter().rposition(then);
        let place = place.or_else(|| self.modules.iter().position(holds));
        place.map_or(NOWHERE, |place| place as u32)
    }
}
