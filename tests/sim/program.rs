//! What the threads of a run do.

use umbel_wire::ObjectId;

use super::plan::{CELL_COUNT, LockKind, Style, is_weak};
use super::random::Random;
use crate::model::node::Fixed;

/// A cell of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The object.
    pub object: ObjectId,
    /// Which of its cells.
    pub index: usize,
}

/// One thing a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Loads.
    Load(Cell),
    /// Stores a value no other store of the run has.
    Store(Cell),
    /// Adds one, atomically.
    Increment(Cell),
    /// Adds one, atomically, at the object's home.
    Operate(ObjectId),
    /// Takes a lock of this number.
    Acquire(usize),
    /// Gives it up.
    Release(usize),
    /// Makes visible what was stored.
    Flush,
    /// Waits until every thread of the run is here.
    Barrier,
}

/// What the programs of a run are made of.
pub struct Shape {
    style: Style,
    weak: Vec<Cell>,
    sequential: Vec<Cell>,
    lock_count: usize,
    write_percent: u64,
    operate_percent: u64,
    thread_count_max: u64,
    operation_count_max: u64,
}

impl Shape {
    /// A shape that fits the objects and locks.
    pub fn new(random: &mut Random, style: Style, objects: &[Fixed], locks: &[LockKind]) -> Self {
        let is_lock = |fixed: &Fixed| {
            locks.iter().any(|lock| match lock {
                LockKind::Service => false,
                LockKind::Spin(object) | LockKind::Operated(object) => *object == fixed.object,
            })
        };
        let cells = |weak: bool| {
            let chosen = objects
                .iter()
                .filter(move |fixed| is_weak(fixed) == weak && !is_lock(fixed));
            let cells = chosen.flat_map(|fixed| {
                (0..CELL_COUNT).map(|index| Cell {
                    object: fixed.object,
                    index,
                })
            });
            cells.collect()
        };
        Self {
            style,
            weak: cells(true),
            sequential: cells(false),
            lock_count: locks.len(),
            write_percent: [0, 5, 20, 50, 100][random.index(5)],
            operate_percent: [0, 0, 50][random.index(3)],
            thread_count_max: random.between(1, 3),
            operation_count_max: random.between(4, 60),
        }
    }

    /// A program for every thread of every node.
    pub fn threads(&self, random: &mut Random, node_count: u16) -> Vec<Vec<Vec<Operation>>> {
        let counts: Vec<u64> = (0..node_count)
            .map(|_| random.between(1, self.thread_count_max))
            .collect();
        let total = usize::try_from(counts.iter().sum::<u64>()).expect("a few");
        let phases = random.between(1, 4);
        let mut number = 0;
        let node = |count: &u64| {
            (0..*count)
                .map(|_| {
                    number += 1;
                    self.program(random, number - 1, total, phases)
                })
                .collect()
        };
        counts.iter().map(node).collect()
    }

    fn program(
        &self,
        random: &mut Random,
        number: usize,
        thread_count: usize,
        phases: u64,
    ) -> Vec<Operation> {
        let count = random.between(1, self.operation_count_max);
        let mut program = Vec::new();
        if self.style == Style::Phased && !self.weak.is_empty() {
            for _ in 0..phases {
                self.phase(
                    random,
                    number,
                    thread_count,
                    count / phases + 1,
                    &mut program,
                );
            }
            return program;
        }
        while program.len() < usize::try_from(count).expect("small") {
            let is_weak =
                !self.weak.is_empty() && (self.sequential.is_empty() || random.chance(50));
            match (is_weak, self.style) {
                (false, _) => program.push(self.free(random, &self.sequential)),
                (true, Style::Locked) => self.section(random, &mut program),
                (true, Style::Phased | Style::Racy) => {
                    program.push(self.free(random, &self.weak));
                    if random.chance(20) {
                        program.push(Operation::Flush);
                    }
                }
            }
        }
        program
    }

    /// Own cells are written, then all are read.
    fn phase(
        &self,
        random: &mut Random,
        number: usize,
        thread_count: usize,
        count: u64,
        program: &mut Vec<Operation>,
    ) {
        let is_own = |place: &usize| place % thread_count == number;
        let own: Vec<usize> = (0..self.weak.len()).filter(is_own).collect();
        for _ in 0..count {
            if own.is_empty() || !random.chance(self.write_percent) {
                continue;
            }
            program.push(Operation::Store(self.weak[own[random.index(own.len())]]));
        }
        program.push(Operation::Barrier);
        for _ in 0..count {
            program.push(Operation::Load(self.weak[random.index(self.weak.len())]));
        }
        program.push(Operation::Barrier);
    }

    fn section(&self, random: &mut Random, program: &mut Vec<Operation>) {
        let lock = random.index(self.lock_count);
        program.push(Operation::Acquire(lock));
        let guarded: Vec<Cell> = self
            .weak
            .iter()
            .copied()
            .enumerate()
            .filter(|(place, _)| place % self.lock_count == lock)
            .map(|(_, cell)| cell)
            .collect();
        if !guarded.is_empty() {
            for _ in 0..random.between(1, 5) {
                program.push(self.access(random, &guarded));
            }
        }
        program.push(Operation::Release(lock));
    }

    fn free(&self, random: &mut Random, cells: &[Cell]) -> Operation {
        let operation = self.access(random, cells);
        let is_sequential = self.sequential.first() == cells.first();
        match operation {
            Operation::Increment(cell) if is_sequential && random.chance(self.operate_percent) => {
                Operation::Operate(cell.object)
            }
            operation => operation,
        }
    }

    fn access(&self, random: &mut Random, cells: &[Cell]) -> Operation {
        let cell = cells[random.index(cells.len())];
        match (random.chance(self.write_percent), random.chance(50)) {
            (false, _) => Operation::Load(cell),
            (true, false) => Operation::Store(cell),
            (true, true) => Operation::Increment(cell),
        }
    }
}
