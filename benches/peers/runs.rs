//! One round: the floor, ours, the others, in turns.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use super::libraries::{self, Libraries};
use super::{Figures, Transport, add};
use crate::Effort;
use crate::local::PLACEMENT;
use crate::programs::{On, Workshop, results_of};

/// A program of ours: its name in the rows, its source, and what it is told besides how many operations to do.
const OURS: [(&str, &str, &[&str]); 7] = [
    ("faults", "peers/faults.c", &[]),
    ("locks", "peers/locks.c", &[]),
    ("cached", "peers/locks.c", &["16384"]),
    ("meet", "peers/meet.c", &[]),
    ("bulk", "peers/bulk.c", &[]),
    ("pipeline", "peers/pipeline.c", &[]),
    ("jacobi", "peers/jacobi.c", &[]),
];

// Those that are run in another way.
const RAW: &str = "raw";
const LOOPS: &str = "loops";
const PLAIN: &str = "plain";
const DIRTY: &str = "dirty";
const MIXED: &str = "mixed";
const START: &str = "start";

/// Everything that the rows need, compiled.
pub struct Runs<'a> {
    workshop: &'a Workshop,
    transport: Transport,
    raw: PathBuf,
    ours: Vec<(&'static str, PathBuf, &'static [&'static str])>,
    /// Loops by plain gcc and by `umbel cc`.
    loops: Option<[PathBuf; 2]>,
    dirty: Option<PathBuf>,
    mixed: Option<PathBuf>,
    start: Option<PathBuf>,
    libraries: Libraries,
}

impl<'a> Runs<'a> {
    /// Compiles what is `needed`, by the names in the rows.
    pub fn prepare(
        workshop: &'a Workshop,
        transport: Transport,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let compile = |name, source| -> Result<Option<PathBuf>> {
            let program = || workshop.umbel_cc(source, &["-O2"]);
            needed(name).then(program).transpose()
        };
        let mut ours = Vec::new();
        for (name, source, more) in OURS {
            if let Some(program) = compile(name, source)? {
                ours.push((name, program, more));
            }
        }
        let loops = || -> Result<[PathBuf; 2]> {
            let flags = ["-O2", PLACEMENT[0], PLACEMENT[1]];
            let plain = workshop.gcc("local/loops.c", &flags)?;
            Ok([plain, workshop.umbel_cc("local/loops.c", &flags)?])
        };
        let with_libraries = libraries::NAMES.into_iter().any(&needed);
        Ok(Self {
            workshop,
            transport,
            raw: workshop.compile_by("gcc", "peers/raw.c", &["-O2", "-pthread"])?,
            ours,
            loops: needed(LOOPS).then(loops).transpose()?,
            dirty: compile(DIRTY, "peers/dirty.c")?,
            mixed: compile(MIXED, "patterns/patterns.c")?,
            start: compile(START, "peers/start.c")?,
            libraries: match with_libraries {
                true => Libraries::prepare(workshop)?,
                false => Libraries::default(),
            },
        })
    }

    /// Compilers of what can't be compared with here.
    pub fn missing(&self) -> &[&'static str] {
        &self.libraries.missing
    }

    /// Runs everything once.
    pub fn round(&self, effort: Effort) -> Result<Figures> {
        let _turn = take_turn()?;
        let operations = effort.peer_operations.to_string();
        let transport = self.transport.to_string();
        let mut figures = Figures::new();
        let mut raw = Command::new(&self.raw);
        raw.args([&transport, &operations]);
        add(&mut figures, RAW, results_of(&mut raw)?);
        for (name, program, more) in &self.ours {
            let mut arguments = vec![operations.as_str()];
            arguments.extend_from_slice(more);
            let environment = [("UMBEL_TRANSPORT", transport.as_str())];
            let results = self
                .workshop
                .run_in(program, 2, &arguments, &environment)
                .with_context(|| format!("measuring {name}"))?;
            add(&mut figures, name, results);
        }
        self.libraries
            .measure(self.transport, &operations, &mut figures)?;
        if let Some(programs) = &self.loops {
            self.loops(programs, effort, &mut figures)?;
        }
        if let Some(program) = &self.dirty {
            self.dirty(program, effort, &transport, &mut figures)?;
        }
        if let Some(program) = &self.mixed {
            self.mixed(program, effort, &transport, &mut figures)?;
        }
        if let Some(program) = &self.start {
            self.start(program, &transport, &mut figures)?;
        }
        derive(&mut figures);
        Ok(figures)
    }

    /// The least samples of some runs each: local.rs says why.
    fn loops(
        &self,
        [plain, ours]: &[PathBuf; 2],
        effort: Effort,
        figures: &mut Figures,
    ) -> Result<()> {
        for _ in 0..LOOP_RUNS {
            let runs = [
                (
                    PLAIN,
                    self.workshop.run(plain, On::Alone, &[effort.samples])?,
                ),
                (
                    LOOPS,
                    self.workshop
                        .run(ours, On::NodesFree(2), &[effort.samples])?,
                ),
            ];
            for (program, results) in runs {
                for (name, sample) in results {
                    figures
                        .entry(format!("{program}.{name}"))
                        .and_modify(|least| *least = sample.min.min(*least))
                        .or_insert(sample.min);
                }
            }
        }
        Ok(())
    }

    /// What dirty objects cost in messages and bytes: a round with them less a round without, and of each a long run less a
    /// short one. What travels together is one message.
    fn dirty(
        &self,
        program: &Path,
        effort: Effort,
        transport: &str,
        figures: &mut Figures,
    ) -> Result<()> {
        let rounds = [DIRTY_ROUNDS, DIRTY_ROUNDS + effort.peer_operations / 4];
        let environment = [("UMBEL_TRANSPORT", transport)];
        let mut costs = [[0.0; 2]; 2];
        for (count, cost) in ["0", DIRTY_OBJECTS].into_iter().zip(&mut costs) {
            for (rounds, sign) in rounds.into_iter().zip([-1.0, 1.0]) {
                let arguments = [rounds.to_string(), count.to_owned()];
                let arguments = arguments.each_ref().map(String::as_str);
                let (results, traffic) =
                    self.workshop
                        .run_counting(program, 2, &arguments, &environment)?;
                cost[0] += sign * traffic.batches;
                cost[1] += sign * traffic.bytes;
                if count != "0" {
                    add(figures, DIRTY, results);
                }
            }
        }
        let [messages, bytes] =
            [0, 1].map(|of| (costs[1][of] - costs[0][of]) / (rounds[1] - rounds[0]) as f64);
        figures.insert(format!("{DIRTY}.messages"), messages);
        figures.insert(format!("{DIRTY}.bytes"), bytes);
        figures.insert(format!("{DIRTY}.payload"), DIRTY_PAYLOAD_BYTES);
        Ok(())
    }

    /// The program with phases under each protocol that fits all of them.
    fn mixed(
        &self,
        program: &Path,
        effort: Effort,
        transport: &str,
        figures: &mut Figures,
    ) -> Result<()> {
        let rounds = (effort.peer_operations * 2 / 5).to_string();
        let mut fixed = Vec::new();
        for protocol in ["auto", "invalidate", "migratory", "read_only", "update"] {
            let environment = [
                ("UMBEL_TRANSPORT", transport),
                ("UMBEL_PROTOCOL", protocol),
                ("UMBEL_BENCH_BURST", "1"),
            ];
            let arguments = ["phases", &rounds, "0"];
            let results = self
                .workshop
                .run_in(program, 2, &arguments, &environment)
                .with_context(|| format!("phases under {protocol}"))?;
            let round = results.get("round").context("phases timed no round")?;
            match protocol {
                "auto" => drop(figures.insert(format!("{MIXED}.auto"), round.median)),
                _ => fixed.push(round.median),
            }
        }
        let least = crate::programs::least(&fixed);
        let most = fixed.iter().copied().fold(0.0, f64::max);
        figures.insert(format!("{MIXED}.best"), least);
        figures.insert(format!("{MIXED}.worst"), most);
        Ok(())
    }

    /// From the launcher's start to its end, of a program that does nothing: the least of some, for it is no burst.
    fn start(&self, program: &Path, transport: &str, figures: &mut Figures) -> Result<()> {
        for nodes in [2, 4, 8] {
            let environment = [("UMBEL_TRANSPORT", transport)];
            let mut elapsed_ns = Vec::new();
            for _ in 0..START_RUNS {
                let start = Instant::now();
                self.workshop.run_in(program, nodes, &[], &environment)?;
                elapsed_ns.push(start.elapsed().as_nanos() as f64);
            }
            let least_ns = crate::programs::least(&elapsed_ns);
            figures.insert(format!("{START}.nodes_{nodes}"), least_ns);
        }
        Ok(())
    }
}

/// How much faster two are than one.
fn derive(figures: &mut Figures) {
    let programs = ["jacobi", "mpi"].into_iter().chain(libraries::NAMES);
    for program in programs {
        let one = figures.get(&format!("{program}.jacobi_1"));
        let two = figures.get(&format!("{program}.jacobi_2"));
        if let (Some(one), Some(two)) = (one, two) {
            let speed_up = one / two;
            figures.insert(format!("{program}.speed_up"), speed_up);
        }
    }
}

/// The processors belong to one bench at a time: all of this machine take turns, round by round.
fn take_turn() -> Result<Flock<File>> {
    let path = std::env::temp_dir().join("umbel-bench-turn");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive);
    lock.map_err(|(_, error)| error)
        .with_context(|| format!("locking {}", path.display()))
}

const LOOP_RUNS: usize = 4;
const START_RUNS: usize = 3;
/// Rounds after which protocols have been found.
const DIRTY_ROUNDS: usize = 12;
const DIRTY_OBJECTS: &str = "1000";
const DIRTY_PAYLOAD_BYTES: f64 = 1000.0 * 64.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::rows::ROWS;

    #[test]
    fn every_row_has_a_program_of_ours_and_a_name_of_its_own() {
        let others = [LOOPS, DIRTY, MIXED, START];
        let ours: Vec<&str> = OURS.iter().map(|(name, ..)| *name).chain(others).collect();
        for row in ROWS {
            assert!(ours.iter().any(|name| row.needs(name)), "{}", row.what);
            let alike = ROWS.iter().filter(|other| other.what == row.what);
            assert_eq!(alike.count(), 1, "{}", row.what);
        }
    }

    #[test]
    fn a_speed_up_is_derived_for_whoever_has_both_times() {
        let figures = [
            ("jacobi.jacobi_1", 6.0),
            ("jacobi.jacobi_2", 4.0),
            ("mpi.jacobi_1", 6.0),
        ];
        let named = |(name, figure): (&str, f64)| (name.to_owned(), figure);
        let mut figures: Figures = figures.into_iter().map(named).collect();
        derive(&mut figures);
        assert_eq!(figures.get("jacobi.speed_up"), Some(&1.5));
        assert!(!figures.contains_key("mpi.speed_up"));
    }
}
