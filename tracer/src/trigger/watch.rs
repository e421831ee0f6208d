//! Finds in a thread's words where triggers fire.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use umbel_chains::{Chains, Frame, FrameEnded, Sink};
use umbel_trace_ring::word::{Code, Word, text_words};

use super::{Action, At, Facts, Trigger};
use crate::filter::Names;
use crate::recording::{Event, Kind, Parser};

/// A trigger that is set.
#[derive(Clone, Debug)]
pub struct Active {
    /// Its number: never given to another in this session.
    pub id: u32,
    /// It.
    pub trigger: Arc<Trigger>,
}

impl Active {
    /// What it is called: its name, or its number.
    pub fn title(&self) -> String {
        match &self.trigger.name {
            Some(name) => format!("trigger {name}"),
            None => format!("trigger {}", self.id),
        }
    }

    /// What is written among the calls when it fires.
    pub fn marks(&self) -> Vec<String> {
        let now = self
            .trigger
            .actions
            .iter()
            .filter(|deferred| deferred.after.is_zero());
        let texts = now.filter_map(|deferred| match &deferred.action {
            Action::Mark(text) => Some(text.to_string()),
            _ => None,
        });
        [self.title()].into_iter().chain(texts).collect()
    }

    /// Its cases that speak of a function with this name.
    pub fn cases_of(&self, names: &Names) -> Vec<CaseId> {
        let cases = (0..).zip(&self.trigger.cases);
        cases
            .filter(|(_, case)| case.function.matches(names))
            .map(|(case, _)| CaseId {
                trigger: self.id,
                case,
            })
            .collect()
    }
}

/// One case of a trigger that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaseId {
    /// The trigger's number.
    pub trigger: u32,
    /// Index of the case.
    pub case: u32,
}

impl CaseId {
    /// As the word that the program writes when the trigger fires.
    pub fn to_word(self) -> u64 {
        u64::from(self.trigger) << 8 | u64::from(self.case)
    }

    /// From that word.
    pub fn from_word(word: u64) -> Self {
        Self {
            trigger: u32::try_from(word >> 8).unwrap_or(u32::MAX),
            case: (word & 0xff) as u32,
        }
    }
}

/// The functions of a file that triggers watch, by where they begin in it.
pub type WatchedFunctions = HashMap<u64, Vec<CaseId>>;

/// What is watched in a process.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Its modules with watched functions.
    pub modules: Vec<WatchedModule>,
}

/// A loaded module with functions that are watched.
#[derive(Clone, Debug)]
pub struct WatchedModule {
    /// Where its code lies in the process.
    pub addresses: Range<u64>,
    /// What is added to the file's addresses.
    pub bias: u64,
    /// Its functions.
    pub functions: Arc<WatchedFunctions>,
}

impl Watched {
    /// Whether a trigger speaks of any of its functions.
    pub fn speaks_of(&self, trigger: u32) -> bool {
        let functions = self
            .modules
            .iter()
            .flat_map(|module| module.functions.values());
        functions.flatten().any(|case| case.trigger == trigger)
    }

    /// Cases that speak of the function at an address of the process.
    fn cases(&self, function: u64) -> &[CaseId] {
        let module = self
            .modules
            .iter()
            .find(|module| module.addresses.contains(&function));
        module
            .and_then(|module| module.functions.get(&function.wrapping_sub(module.bias)))
            .map_or(&[], |cases| cases)
    }
}

/// A case of a trigger was judged: by the recorder, or by the program and then by the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// It is true: the trigger fires. What only the program found true may wait for this.
    pub is_true: bool,
    /// The thread.
    pub tid: u32,
    /// Which case of which.
    pub case: CaseId,
    /// When, in ticks.
    pub ticks: u64,
}

/// How often cases were true so far, in all threads.
pub type Counts = HashMap<CaseId, u64>;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Triggers that are set.
    pub active: &'a [Active],
    /// Functions of the thread's process that they speak of.
    pub watched: &'a Watched,
    /// Since when nothing is to be recorded, in ticks.
    pub off_since: Option<u64>,
}

/// Who a thread is.
#[derive(Clone, Copy, Debug)]
pub struct ThreadName<'a> {
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: &'a str,
}

/// What is known of a thread, as far as triggers ask.
#[derive(Debug, Default)]
pub struct Watch {
    parser: Parser,
    chains: Chains<()>,
    /// The chains' numbers of functions.
    numbers: HashMap<u64, u32>,
    /// What the chains told of the last call or return: the program's verdict comes behind it.
    last: Told,
}

/// What the chains tell of one event.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    depth: u64,
    ended: Option<(u32, u64)>,
}

impl Sink<()> for Told {
    fn began(&mut self, _: Option<&mut Frame<()>>, _: u32, _: u64, depth: usize) {
        self.depth = depth as u64 + 1;
    }

    fn ended(&mut self, ended: FrameEnded<()>, _: Option<&mut Frame<()>>) {
        self.depth = ended.depth as u64 + 1;
        self.ended = ended
            .cut
            .is_none()
            .then(|| (ended.function, ended.total_ticks()));
    }
}

impl Watch {
    /// Follows `words`; what fired, with the index of the word behind it, and the index of the first word from `off_since` on.
    /// `nanoseconds` turns ticks into time.
    pub fn add(
        &mut self,
        words: &[u64],
        setting: &Setting,
        counts: &mut Counts,
        thread: ThreadName,
        nanoseconds: impl Fn(u64) -> u64,
    ) -> (Vec<(usize, Fired)>, usize) {
        let mut fired = Vec::new();
        let mut cut = words.len();
        // What fired and waits for the end of its event: values belong to the call before them.
        let mut since = 0;
        let mut events = Vec::new();
        self.parser
            .parse(words, |index, event| events.push((index, event)));
        for (index, event) in events {
            if setting.off_since.is_some_and(|since| event.ticks >= since) {
                cut = cut.min(index);
            }
            if !matches!(event.kind, Kind::Values(_)) {
                place(&mut fired, since, index);
            }
            since = fired.len();
            let found = self.follow(&event, setting.watched);
            let Some((cases, facts)) = found else {
                continue;
            };
            for case in cases {
                let Some((trigger, of_case)) = find(setting.active, case) else {
                    continue;
                };
                let is_inside = of_case.is_judged_inside(trigger.holds());
                let at = match event.kind {
                    Kind::Call(_) => Some(At::Call),
                    Kind::Return(_) => Some(At::Return),
                    // The program has judged it.
                    _ => None,
                };
                if at.is_some_and(|at| is_inside || at != of_case.at) {
                    continue;
                }
                let mut facts = Facts {
                    depth: facts.depth,
                    duration_ns: facts.ended.map(|(_, ticks)| nanoseconds(ticks)),
                    count: 0,
                    tid: thread.tid,
                    thread: thread.name,
                };
                let is_true = of_case.is_true_so_often(&mut facts, counts.entry(case).or_default());
                if is_true || at.is_none() {
                    let found = Fired {
                        is_true,
                        tid: thread.tid,
                        case,
                        ticks: event.ticks,
                    };
                    fired.push((usize::MAX, found));
                }
            }
        }
        place(&mut fired, 0, words.len());
        (fired, cut)
    }

    /// Follows one event; the cases that speak of it, and what is known.
    fn follow(&mut self, event: &Event, watched: &Watched) -> Option<(Vec<CaseId>, Told)> {
        let mut told = Told::default();
        let ticks = event.ticks;
        let cases = match event.kind {
            Kind::Call(function) => {
                let number = self.number(function);
                self.chains.call(ticks, number, &mut told);
                self.last = told;
                watched.cases(function).to_vec()
            }
            Kind::Return(function) => {
                let number = self.number(function);
                self.chains.ret(ticks, number, &mut told);
                told.ended = told.ended.filter(|(ended, _)| *ended == number);
                self.last = told;
                watched.cases(function).to_vec()
            }
            Kind::SetJump(buffer) => {
                self.chains.set_jump(buffer);
                return None;
            }
            Kind::LongJump(buffer) => {
                self.chains.long_jump(ticks, buffer, &mut told);
                return None;
            }
            Kind::Context(context) => {
                context.follow(&mut self.chains, ticks, &mut told);
                return None;
            }
            Kind::Lost { .. } => {
                self.chains.gap(ticks);
                return None;
            }
            Kind::Other { code, ref payload } if code == Code::Triggered as u16 => {
                told = self.last;
                vec![CaseId::from_word(*payload.first()?)]
            }
            _ => return None,
        };
        (!cases.is_empty()).then_some((cases, told))
    }

    fn number(&mut self, function: u64) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(function).or_insert(next)
    }
}

fn place(fired: &mut [(usize, Fired)], from: usize, index: usize) {
    for (at, _) in fired
        .iter_mut()
        .skip(from)
        .filter(|(at, _)| *at == usize::MAX)
    {
        *at = index;
    }
}

/// The case with this number.
fn find(active: &[Active], case: CaseId) -> Option<(&Trigger, &super::Case)> {
    let trigger = &active.iter().find(|one| one.id == case.trigger)?.trigger;
    Some((trigger, trigger.cases.get(case.case as usize)?))
}

/// A text among a thread's calls, as words.
pub fn mark(ticks: u64, text: &str) -> Vec<u64> {
    // More would not fit into what a special word can have behind it.
    let bytes = &text.as_bytes()[..text.len().min(MARK_BYTES_MAX)];
    let payload_words = 1 + text_words(bytes.len());
    let head = Word::Special {
        code: Code::Mark as u16,
        payload_words: u16::try_from(payload_words).unwrap_or(u16::MAX),
    };
    let mut words = vec![head.pack(), ticks, bytes.len() as u64];
    words.extend(bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    }));
    words
}

const MARK_BYTES_MAX: usize = 4096;
