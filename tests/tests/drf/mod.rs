//! Makes up programs without data races for tests/programs/drf.c, and knows what they read.
//!
//! A program is made as one sequence of steps of several threads: an order in which they could happen. Vector clocks
//! (C. Fidge, F. Mattern, 1988) follow what is ordered in *every* run: a semaphore's k-th post and its k-th wait, say,
//! since all its posts are ordered among themselves, and so are its waits. A step may touch a byte only where no access
//! that isn't ordered before it conflicts, so each read has one outcome, which is part of the program. Bytes that a
//! mutex guards are only added to; counters too: their values at the end are known.
//!
//! No run can hang: the step that comes first in the sequence among those not done never waits for a later one.

mod clock;

use std::fmt::Write;

use umbel_tests::sim::Random;

use clock::{Byte, Clock, Epoch, Signal};

/// As the constants of the same names in drf.c.
const OBJECTS: usize = 10;
const GUARDS: usize = 4;
const FLAGS: usize = 6;
const SEMAPHORES: usize = 6;
const TURNS: usize = 4;
const BARRIERS: usize = 6;
const COUNTERS: usize = 4;
const WORDS: usize = 6;

/// Threads of one program, main included: fewer than drf.c has room for.
pub const THREADS: usize = 9;

/// Bytes of the largest object: five pages.
const SIZE_MAX: u64 = 20_000;

/// Bytes that one step touches, at most.
const RUN_MAX: u64 = 6_000;

/// Where a step tries to find bytes that it may touch before it gives up.
const TRIES: usize = 8;

/// What a step does, in the order of drf.c's `enum kind`.
#[derive(Clone, Copy)]
enum Kind {
    Write,
    Read,
    Copy,
    Add,
    Post,
    Wait,
    Raise,
    Await,
    Turn,
    AwaitTurn,
    Meet,
    Spawn,
    Join,
    Count,
    Scope,
    Pause,
}

/// How often each kind is tried.
const WEIGHTS: [(Kind, usize); 16] = [
    (Kind::Write, 26),
    (Kind::Read, 26),
    (Kind::Copy, 5),
    (Kind::Add, 8),
    (Kind::Post, 4),
    (Kind::Wait, 6),
    (Kind::Raise, 5),
    (Kind::Await, 7),
    (Kind::Turn, 3),
    (Kind::AwaitTurn, 4),
    (Kind::Meet, 3),
    (Kind::Spawn, 6),
    (Kind::Join, 1),
    (Kind::Count, 4),
    (Kind::Scope, 1),
    (Kind::Pause, 2),
];

/// A program, and what it prints.
pub struct Plan {
    /// For the standard input of drf.c.
    pub text: String,
    /// For its standard output.
    pub outcome: String,
}

/// Every so many bytes of an object from some place on.
#[derive(Clone, Copy)]
struct Run {
    object: usize,
    offset: usize,
    stride: usize,
    count: usize,
}

/// An object, and at what distances bytes of it may be guarded by the same mutex.
struct Object {
    bytes: Vec<Byte>,
    guard_stride: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Unborn,
    Alive,
    Ended,
}

struct Maker {
    random: Random,
    clocks: [Clock; THREADS],
    life: [Life; THREADS],
    parent: [usize; THREADS],
    objects: Vec<Object>,
    flags: [Signal; FLAGS],
    turns: [Signal; TURNS],
    semaphores: [Signal; SEMAPHORES],
    /// Who meets there; empty before its first use.
    barriers: [Vec<usize>; BARRIERS],
    counters: [u64; COUNTERS],
    steps: String,
    step_count: usize,
}

impl Plan {
    /// The program of a seed: about so many steps.
    pub fn new(seed: u64, step_count: usize) -> Self {
        let mut maker = Maker::new(seed);
        for _ in 0..maker.random.between(1, 5) {
            maker.spawn(0);
        }
        let mut thread = 0;
        while maker.step_count < step_count {
            if maker.random.chance(40) {
                thread = maker.any_thread();
            }
            maker.step(thread);
            if maker.life[thread] != Life::Alive {
                thread = 0;
            }
        }
        maker.end_children(0);
        maker.plan()
    }
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let objects = (0..OBJECTS).map(|number| Object::new(number, &mut random));
        let objects = objects.collect();
        let mut life = [Life::Unborn; THREADS];
        life[0] = Life::Alive;
        Self {
            random,
            clocks: std::array::from_fn(Clock::of),
            life,
            parent: [0; THREADS],
            objects,
            flags: Default::default(),
            turns: Default::default(),
            semaphores: Default::default(),
            barriers: Default::default(),
            counters: [0; COUNTERS],
            steps: String::new(),
            step_count: 0,
        }
    }

    fn plan(self) -> Plan {
        let mut text = format!("{THREADS} {}\n", self.step_count);
        let sizes = self.objects.iter().map(|object| object.bytes.len());
        for number in sizes.chain(self.barriers.iter().map(Vec::len)) {
            let _ = write!(text, "{number} ");
        }
        let _ = writeln!(text);
        text.push_str(&self.steps);
        let mut outcome = String::new();
        for (number, object) in self.objects.iter().enumerate() {
            let hash = hash(object.bytes.iter().map(|byte| byte.value));
            let _ = writeln!(outcome, "object {number}: {hash}");
        }
        for (number, value) in self.counters.iter().enumerate() {
            let _ = writeln!(outcome, "counter {number}: {value}");
        }
        Plan { text, outcome }
    }

    fn any_thread(&mut self) -> usize {
        let alive: Vec<usize> = self.alive().collect();
        alive[self.random.index(alive.len())]
    }

    fn alive(&self) -> impl Iterator<Item = usize> {
        (0..THREADS).filter(|thread| self.life[*thread] == Life::Alive)
    }

    /// One step of a thread, if the kind that comes up is possible now.
    fn step(&mut self, thread: usize) {
        let mut drawn = self
            .random
            .index(WEIGHTS.iter().map(|(_, weight)| weight).sum());
        let kind = WEIGHTS.iter().find(|(_, weight)| {
            let found = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            found
        });
        match kind.expect("drawn below the sum of the weights").0 {
            Kind::Write => self.write(thread),
            Kind::Read => self.read(thread),
            Kind::Copy => self.copy(thread),
            Kind::Add => self.add(thread),
            Kind::Post => self.post(thread),
            Kind::Wait => self.wait(thread),
            Kind::Raise => self.raise(thread),
            Kind::Await => self.await_flag(thread),
            Kind::Turn => self.turn(thread),
            Kind::AwaitTurn => self.await_turn(thread),
            Kind::Meet => self.meet(),
            Kind::Spawn => self.spawn(thread),
            Kind::Join => self.join(thread),
            Kind::Count => {
                let (counter, by) = (self.random.index(COUNTERS), self.random.index(1000));
                self.counters[counter] += by as u64;
                self.emit(thread, Kind::Count, &[counter, by]);
            }
            Kind::Scope => {
                let size = usize::try_from(self.random.between(1, 9000)).expect("small");
                let (children, seed) = (1 + self.random.index(3), self.random.index(256));
                self.emit(thread, Kind::Scope, &[size, children, seed]);
            }
            Kind::Pause => {
                let us = self.random.index(300);
                self.emit(thread, Kind::Pause, &[us]);
            }
        }
    }

    fn emit(&mut self, thread: usize, kind: Kind, words: &[usize]) {
        self.emit_expecting(thread, kind, words, 0);
    }

    fn emit_expecting(&mut self, thread: usize, kind: Kind, words: &[usize], expected: u64) {
        let _ = write!(self.steps, "{thread} {} ", kind as usize);
        for index in 0..WORDS {
            // ANYWHERE is -1 for drf.c.
            let word = words.get(index).copied().unwrap_or(0);
            let _ = write!(self.steps, "{} ", word.cast_signed());
        }
        let _ = writeln!(self.steps, "{expected}");
        self.step_count += 1;
    }

    // ---- bytes ----

    /// Bytes that `may` be touched, from a random place on; `layout` gives their distance, and a place to begin
    /// near a given one.
    fn find(
        &mut self,
        layout: impl Fn(&Object, usize, &mut Random) -> (usize, usize),
        may: impl Fn(&Byte) -> bool,
    ) -> Option<Run> {
        for _ in 0..TRIES {
            let object = self.random.index(OBJECTS);
            let bytes = &self.objects[object].bytes;
            let near = match self.random.chance(20) {
                true => 0,
                false => self.random.index(bytes.len()),
            };
            let (stride, offset) = layout(&self.objects[object], near, &mut self.random);
            let most = [8, 200, RUN_MAX][self.random.index(3)];
            let most = usize::try_from(self.random.between(1, most)).expect("small");
            let reach = bytes.iter().skip(offset).step_by(stride).take(most);
            let count = reach.take_while(|byte| may(byte)).count();
            if count > 0 {
                return Some(Run {
                    object,
                    offset,
                    stride,
                    count,
                });
            }
        }
        None
    }

    fn bytes(&mut self, run: Run) -> impl Iterator<Item = &mut Byte> {
        let bytes = &mut self.objects[run.object].bytes[run.offset..];
        bytes.iter_mut().step_by(run.stride).take(run.count)
    }

    fn write(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let Some(run) = self.find(any_layout, |byte| byte.may_be_written(&clock)) else {
            return;
        };
        let seed = self.random.index(256);
        let now = clock.epoch(thread);
        for (index, byte) in self.bytes(run).enumerate() {
            byte.write(now, (seed + 37 * index) as u8);
        }
        self.emit(
            thread,
            Kind::Write,
            &[run.object, run.offset, run.stride, run.count, seed],
        );
    }

    fn read(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let Some(run) = self.find(any_layout, |byte| byte.may_be_read(&clock)) else {
            return;
        };
        let now = clock.epoch(thread);
        let expected = hash(self.bytes(run).map(|byte| byte.read(now)));
        let words = [run.object, run.offset, run.stride, run.count];
        self.emit_expecting(thread, Kind::Read, &words, expected);
    }

    fn copy(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let side_by_side = |_: &Object, near: usize, _: &mut Random| (1, near);
        let Some(mut from) = self.find(side_by_side, |byte| byte.may_be_read(&clock)) else {
            return;
        };
        let Some(mut to) = self.find(side_by_side, |byte| byte.may_be_written(&clock)) else {
            return;
        };
        if from.object == to.object {
            return;
        }
        from.count = from.count.min(to.count);
        to.count = from.count;
        let now = clock.epoch(thread);
        let values: Vec<u8> = self.bytes(from).map(|byte| byte.read(now)).collect();
        for (byte, value) in self.bytes(to).zip(values) {
            byte.write(now, value);
        }
        self.emit(
            thread,
            Kind::Copy,
            &[from.object, from.offset, to.object, to.offset, to.count],
        );
    }

    fn add(&mut self, thread: usize) {
        let guard = self.random.index(GUARDS);
        let guarded = |object: &Object, near: usize, _: &mut Random| {
            let stride = object.guard_stride;
            (stride, near - near % stride + stride - 1)
        };
        let Some(run) = self.find(guarded, |byte| byte.guard == Some(guard)) else {
            return;
        };
        let by = self.random.index(256);
        for byte in self.bytes(run) {
            byte.value = byte.value.wrapping_add(by as u8);
        }
        self.emit(
            thread,
            Kind::Add,
            &[guard, run.object, run.offset, run.stride, run.count, by],
        );
    }

    // ---- synchronization ----

    fn release(&mut self, thread: usize) -> Clock {
        self.clocks[thread].release(thread)
    }

    fn post(&mut self, thread: usize) {
        let number = self.random.index(SEMAPHORES);
        if self.semaphores[number].may_be_raised(&self.clocks[thread]) {
            let clock = self.release(thread);
            self.semaphores[number].raise(clock, thread);
            self.emit(thread, Kind::Post, &[number]);
        }
    }

    fn wait(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let may_wait = |number: &usize| self.semaphores[*number].may_be_taken(&clock);
        let Some(number) = (0..SEMAPHORES).find(may_wait) else {
            return;
        };
        let now: Epoch = clock.epoch(thread);
        let post = self.semaphores[number].take(now);
        self.clocks[thread].acquire(&post);
        self.emit(thread, Kind::Wait, &[number]);
    }

    fn raise(&mut self, thread: usize) {
        let number = self.random.index(FLAGS);
        if self.flags[number].may_be_raised(&self.clocks[thread]) {
            let clock = self.release(thread);
            let value = self.flags[number].raise(clock, thread);
            let by_release = self.random.index(2);
            self.emit(thread, Kind::Raise, &[number, value, by_release]);
        }
    }

    fn await_flag(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let news = |number: &usize| self.flags[*number].has_news(&clock);
        if let Some(number) = (0..FLAGS).find(news) {
            let (value, raised) = self.flags[number].last();
            self.clocks[thread].acquire(&raised);
            let by_acquire = self.random.index(2);
            self.emit(thread, Kind::Await, &[number, value, by_acquire]);
        }
    }

    fn turn(&mut self, thread: usize) {
        let number = self.random.index(TURNS);
        if self.turns[number].may_be_raised(&self.clocks[thread]) {
            let clock = self.release(thread);
            let value = self.turns[number].raise(clock, thread);
            self.emit(thread, Kind::Turn, &[number, value]);
        }
    }

    fn await_turn(&mut self, thread: usize) {
        let clock = self.clocks[thread];
        let news = |number: &usize| self.turns[*number].has_news(&clock);
        if let Some(number) = (0..TURNS).find(news) {
            let (value, raised) = self.turns[number].last();
            self.clocks[thread].acquire(&raised);
            self.emit(thread, Kind::AwaitTurn, &[number, value]);
        }
    }

    /// All who belong to a barrier meet there: one step of each.
    fn meet(&mut self) {
        let barrier = self.random.index(BARRIERS);
        if self.barriers[barrier].is_empty() {
            let everybody = self.random.chance(50);
            let alive: Vec<usize> = self.alive().collect();
            let mut chosen = alive;
            chosen.retain(|_| everybody || self.random.chance(60));
            self.barriers[barrier] = chosen;
        }
        let members = self.barriers[barrier].clone();
        if members
            .iter()
            .any(|member| self.life[*member] != Life::Alive)
        {
            return;
        }
        let mut all = Clock::default();
        for member in &members {
            let clock = self.release(*member);
            all.acquire(&clock);
        }
        for member in members {
            self.clocks[member].acquire(&all);
            self.emit(member, Kind::Meet, &[barrier]);
        }
    }

    fn spawn(&mut self, thread: usize) {
        let Some(child) = (0..THREADS).find(|child| self.life[*child] == Life::Unborn) else {
            return;
        };
        let clock = self.release(thread);
        self.clocks[child].acquire(&clock);
        self.life[child] = Life::Alive;
        self.parent[child] = thread;
        let node = match self.random.chance(50) {
            true => ANYWHERE,
            false => self.random.index(8),
        };
        self.emit(thread, Kind::Spawn, &[child, node]);
    }

    fn join(&mut self, thread: usize) {
        let child = self
            .alive()
            .find(|child| *child != 0 && self.parent[*child] == thread);
        if let Some(child) = child {
            self.end(child);
        }
    }

    /// A thread ends, after its children, and its creator joins it.
    fn end(&mut self, thread: usize) {
        self.end_children(thread);
        self.life[thread] = Life::Ended;
        let creator = self.parent[thread];
        let last = self.clocks[thread];
        self.clocks[creator].acquire(&last);
        self.emit(creator, Kind::Join, &[thread]);
    }

    fn end_children(&mut self, thread: usize) {
        for child in 1..THREADS {
            if self.life[child] == Life::Alive && self.parent[child] == thread {
                self.end(child);
            }
        }
    }
}

impl Object {
    /// Of a size that fits its number in drf.c, some bytes guarded.
    fn new(number: usize, random: &mut Random) -> Self {
        let size = match number {
            0 => 1,
            1 => 8,
            2 => 64,
            3..=5 => random.between(2, 300),
            6 | 7 => random.between(300, 5000),
            _ => random.between(5000, SIZE_MAX),
        };
        let guard_stride = [3, 16, 100, 1000][random.index(4)];
        let is_guarded = random.chance(50);
        let guard = random.index(GUARDS);
        let guard_of = |index: usize| {
            (is_guarded && index % guard_stride == guard_stride - 1)
                .then_some((guard + index / 1000) % GUARDS)
        };
        let size = usize::try_from(size).expect("small");
        Self {
            bytes: (0..size).map(|index| Byte::new(guard_of(index))).collect(),
            guard_stride,
        }
    }
}

fn any_layout(_: &Object, near: usize, random: &mut Random) -> (usize, usize) {
    let stride = [1, 1, 1, 2, 3, 8, THREADS, 64, 4096][random.index(9)];
    (stride, near)
}

/// FNV-1a, as drf.c has it.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// No particular node.
const ANYWHERE: usize = usize::MAX;
