//! A stack, frame by frame.

use std::path::{Path, PathBuf};
use std::time::Duration;

use umbel_values::show::Limits;
use umbel_values::{DebugFile, Variable};

use super::entries;
use super::memory::LiveMemory;
use super::modules::{Module, Modules};
use super::search;
use super::unwind::{RBP, RSP, Registers, Step};
use super::values::{FrameRegisters, Named, View, values};
use crate::symbols::{Place, short_name};

/// The name of the frame between a signal's handler and what it interrupted.
const HANDLED: &str = "<signal handler called>";

/// Frame pointers that are tried for a frame whose own isn't known.
const PLACES_TRIED: usize = 32;

/// A function that waits for the one before it, or runs.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it goes on.
    pub pc: u64,
    /// As in the source; `None`: nobody knows.
    pub function: Option<String>,
    /// Bytes from the function's begin.
    pub offset: u64,
    /// Where the function begins.
    pub entry: Option<u64>,
    /// How long it has been there, if a recording tells.
    pub since: Option<Duration>,
    /// The file it is in.
    pub module: Option<PathBuf>,
    /// Where in the source.
    pub place: Option<Place>,
    /// Its body lies in the frame behind it: it was inlined there.
    pub is_inline: bool,
    /// Its arguments, as far as the debug information has them.
    pub arguments: Vec<Named>,
    /// Its locals in the blocks around the place, the innermost block first.
    pub locals: Vec<Named>,
    /// It was not called but interrupted by a signal: its handler is the frame before.
    pub is_interrupted: bool,
    /// Its frame pointer wasn't known: it was found by its code and by what lies on the stack.
    pub is_searched: bool,
    /// Where its variables are.
    pub(super) scope: Scope,
}

/// What a frame's variables are looked for with.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The frame's registers.
    pub registers: Registers,
    /// The canonical frame address, if it is known.
    pub frame_address: Option<u64>,
    /// The place of the code, as it is looked up.
    pub lookup: u64,
    /// Functions at that place that are inlined into one another: which of them this is, the innermost being 0.
    pub inlined: usize,
}

/// A thread's stack.
pub struct Stack {
    /// The innermost first.
    pub frames: Vec<Frame>,
    /// Why it ends before its begin.
    pub cut: Option<String>,
    /// It waits in a hook, for the tracer.
    pub is_held: bool,
    /// To its begin, with all registers that a variable may be in.
    pub is_complete: bool,
}

/// Walks stacks.
pub struct Walker<'a> {
    /// The process's files.
    pub modules: &'a Modules,
    /// Its memory.
    pub memory: &'a LiveMemory,
    /// At most so many frames.
    pub limit: usize,
    /// How much of variables is read; `None`: none are.
    pub limits: Option<Limits>,
}

impl Frame {
    fn at(scope: Scope, module: Option<PathBuf>) -> Self {
        Self {
            pc: scope.registers.pc,
            function: None,
            offset: 0,
            entry: None,
            since: None,
            module,
            place: None,
            is_inline: false,
            arguments: Vec::new(),
            locals: Vec::new(),
            is_interrupted: false,
            is_searched: false,
            scope,
        }
    }

    fn has_variables(&self) -> bool {
        !self.arguments.is_empty() || !self.locals.is_empty()
    }
}

impl Stack {
    /// None at all.
    pub fn cut(why: &str) -> Self {
        Self {
            frames: Vec::new(),
            cut: Some(why.to_owned()),
            is_held: false,
            is_complete: false,
        }
    }
}

/// A function at a place of the code, its arguments and its locals.
pub(super) type Known = (umbel_values::Frame, Vec<Variable>, Vec<Variable>);

/// The functions at an address of the file, with their variables.
fn variables(debug: &mut DebugFile, address: u64) -> Vec<Known> {
    let mut found = Vec::new();
    for known in debug.frames(address) {
        let arguments = debug.arguments(&known, address);
        let locals = debug.locals(&known, address);
        found.push((known, arguments, locals));
    }
    found
}

impl Walker<'_> {
    /// The stack of a thread with these registers.
    pub fn walk(&self, innermost: &Registers) -> Stack {
        let mut stack = self.walk_from(*innermost, true);
        // A thread that waits in a hook is in the function that called it.
        let is_tracers = |frame: &&Frame| {
            let file = frame.module.as_deref().and_then(Path::file_name);
            file.is_some_and(|name| name == "libumbel_trace.so")
        };
        let own = stack.frames.iter().take_while(is_tracers).count();
        if own < stack.frames.len() {
            stack.frames.drain(..own);
            stack.is_held = own > 0;
        }
        stack
    }

    /// The same, with or without searching for what isn't known.
    fn walk_from(&self, innermost: Registers, may_search: bool) -> Stack {
        let mut frames: Vec<Frame> = Vec::new();
        let mut registers = innermost;
        let mut is_complete = true;
        // The innermost frame is at its pc; others wait for a call, and what follows it may belong to another block.
        let mut is_exact = true;
        let cut = loop {
            let lookup = registers.pc.wrapping_sub(u64::from(!is_exact));
            let module = self.modules.at(lookup);
            if module.is_none() && !frames.is_empty() {
                break Some(format!("{:#x} is no code of a file", registers.pc));
            }
            let is_interrupted = is_exact && !frames.is_empty();
            if frames.len() >= self.limit {
                break Some(format!("more than {} frames", self.limit));
            }
            let mut step = self.step(lookup, &registers, module);
            let mut is_searched = false;
            if step.is_none() && may_search {
                is_complete = false;
                step = self.searched(lookup, &registers, module, is_exact);
                is_searched = step.is_some();
            }
            let first = frames.len();
            self.frames(&mut frames, &registers, lookup, module, step.as_ref());
            let has_variables = frames[first..].iter().any(Frame::has_variables);
            is_complete &= !has_variables || registers.are_complete();
            if let Some(physical) = frames.last_mut() {
                physical.is_searched = is_searched;
            }
            if let Some(innermost) = frames.get_mut(first) {
                innermost.is_interrupted = is_interrupted;
            }
            let Some(step) = step else {
                break Some("how to get to the caller isn't known there".to_owned());
            };
            if step.is_signal
                && let Some(last) = frames.last_mut()
            {
                last.function = Some(HANDLED.to_owned());
                last.place = None;
            }
            let Some(caller) = step.caller else {
                break None;
            };
            let is_upwards = caller.get(RSP) > registers.get(RSP);
            if !is_upwards && !step.is_signal {
                break Some("the stack doesn't lead upwards there".to_owned());
            }
            is_exact = step.is_signal;
            registers = caller;
        };
        Stack {
            is_held: false,
            is_complete: is_complete && cut.is_none(),
            frames,
            cut,
        }
    }

    /// Appends the frames at one place of the code: functions that were inlined, and the one they are in.
    fn frames(
        &self,
        frames: &mut Vec<Frame>,
        registers: &Registers,
        lookup: u64,
        module: Option<&Module>,
        step: Option<&Step>,
    ) {
        let scope = Scope {
            registers: *registers,
            frame_address: step.map(|step| step.frame_address),
            lookup,
            inlined: 0,
        };
        let mut physical = Frame::at(scope, module.map(|module| module.path.clone()));
        let Some(module) = module else {
            frames.push(physical);
            return;
        };
        let address = lookup.wrapping_sub(module.bias);
        if let Some((name, begin)) = module.image.name(address) {
            // Symbols of shared libraries may carry a version.
            let name = name.split('@').next().unwrap_or(&name);
            physical.function = Some(short_name(name).into_owned());
            physical.offset = address - begin;
            physical.entry = Some(begin.wrapping_add(module.bias));
        }
        let mut place = module.image.place(address);
        let debug = self.limits.and_then(|_| module.debug());
        let found = debug.map(|debug| variables(&mut debug.borrow_mut(), address));
        let found = found.unwrap_or_default();
        let mut registers = *registers;
        if let (Some(step), true) = (step, found.iter().any(entries::are_needed)) {
            registers.entries = self.entries(lookup, step, 0);
            physical.scope.registers = registers;
        }
        let view = View {
            memory: self.memory,
            modules: self.modules,
        };
        let around = FrameRegisters {
            registers: &registers,
            frame_address: step.map(|step| step.frame_address),
            bias: module.bias,
        };
        for (known, arguments, locals) in found {
            let mut frame = physical.clone();
            frame.is_inline = known.is_inline;
            if known.is_inline {
                frame.function = Some(known.name.to_string());
                frame.offset = 0;
                frame.entry = known.entry.map(|entry| entry.wrapping_add(module.bias));
            }
            if let (Some(debug), Some(limits)) = (debug, &self.limits) {
                let debug = debug.borrow();
                frame.arguments = values(&debug, &arguments, &around, &view, limits);
                frame.locals = values(&debug, &locals, &around, &view, limits);
            }
            frame.place = place;
            place = known.call.map(|(file, line)| Place {
                file: file.into(),
                line,
            });
            let is_physical = !frame.is_inline;
            physical.scope.inlined += 1;
            frames.push(frame);
            if is_physical {
                return;
            }
        }
        physical.place = place;
        frames.push(physical);
    }

    pub(super) fn step(
        &self,
        lookup: u64,
        registers: &Registers,
        module: Option<&Module>,
    ) -> Option<Step> {
        let by_table = module.and_then(|module| {
            let address = lookup.wrapping_sub(module.bias);
            module.frames()?.step(address, registers, self.memory)
        });
        by_table.or_else(|| self.by_frame_pointer(lookup, registers, module))
    }

    /// The step of a frame whose frame pointer isn't known.
    fn searched(
        &self,
        lookup: u64,
        registers: &Registers,
        module: Option<&Module>,
        is_exact: bool,
    ) -> Option<Step> {
        let module = module?;
        let address = lookup.wrapping_sub(module.bias);
        // In a function's first instructions the stack pointer isn't where it will be.
        if registers.get(RBP).is_some() || is_exact {
            return None;
        }
        let function = module.frames()?.function(address)?;
        let function = function.wrapping_add(module.bias);
        let places = search::frame_pointers(function, registers, self.memory);
        for (place, proof) in places.take(PLACES_TRIED) {
            let found = search::with_frame_pointer(registers, place);
            let Some(step) = self.step(lookup, &found, Some(module)) else {
                continue;
            };
            let leads_to_begin = || match step.caller {
                Some(caller) => {
                    let plain = Walker {
                        limits: None,
                        ..*self
                    };
                    plain.walk_from(caller, false).cut.is_none()
                }
                None => true,
            };
            if proof == search::Proof::Call || leads_to_begin() {
                return Some(step);
            }
        }
        None
    }

    /// Code without frame information: if it keeps a frame pointer, the caller's lies where it points to.
    fn by_frame_pointer(
        &self,
        lookup: u64,
        registers: &Registers,
        module: Option<&Module>,
    ) -> Option<Step> {
        // Where there is information but a register isn't known, guessing would be wrong more often than right.
        let has_table =
            module.and_then(|module| module.frames()?.function(lookup.wrapping_sub(module.bias)));
        if has_table.is_some() {
            return None;
        }
        let base = registers.get(RBP)?;
        let saved = self.memory.word(base)?;
        let pc = self.memory.word(base.checked_add(8)?)?;
        self.modules.at(pc)?;
        let mut caller = Registers {
            pc,
            ..Registers::default()
        };
        caller.thread = registers.thread;
        caller.general[RBP as usize] = Some(saved);
        caller.general[RSP as usize] = Some(base + 16);
        Some(Step {
            frame_address: base + 16,
            caller: Some(caller),
            is_signal: false,
        })
    }
}
