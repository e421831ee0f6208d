//! Looks at single threads and variables of a process, and changes them: what a debugger does.

use umbel_trace_ring::plan::Level;
use umbel_values::Variable;
use umbel_values::show::Limits;

use super::elsewhere::{self, Names};
use super::error;
use super::expression::Expression;
use super::frames::{Frame, Walker};
use super::memory::LiveMemory;
use super::modules::Modules;
use super::objects::{Around, Found};
use super::registers;
use super::task::{Clocks, Task};
use super::values::{FrameRegisters, View};
use super::{Thread, Wishes};

mod dump;
mod set;

pub use dump::is_range;
pub use set::Change;

/// Frames of the tracer's own below the program's, in a thread that is held.
const OWN_FRAMES: usize = 16;

/// A process, to be asked about its threads and variables.
pub struct Inspector {
    pid: i32,
    memory: LiveMemory,
    modules: Modules,
}

/// What was asked for, or a sentence why there is no such thing.
type Answer<T> = Result<T, String>;

impl Inspector {
    /// Of process `pid`.
    pub fn open(pid: i32) -> error::Result<Self> {
        let memory = LiveMemory::new(pid);
        let modules = Modules::read(pid, &memory)?;
        Ok(Self {
            pid,
            memory,
            modules,
        })
    }

    /// How a thread is found now, with at most so many frames.
    pub fn thread(&self, tid: i32, frames: usize, limits: Limits) -> Answer<Thread> {
        self.memory.forget();
        let task = Task::read(self.pid, tid, &mut Clocks::new())
            .ok_or_else(|| format!("thread {tid} has ended"))?;
        let walker = Walker {
            modules: &self.modules,
            memory: &self.memory,
            limit: frames.saturating_add(OWN_FRAMES),
            limits: Some(limits),
        };
        let wishes = Wishes {
            frames,
            limits: Some(limits),
            never_stop: false,
        };
        let mut remarks = Vec::new();
        let mut thread = registers::look_at(&task, &walker, &wishes, |_| false, &mut remarks);
        if thread.frames.len() > frames {
            thread.frames.truncate(frames);
            thread.cut = Some(format!("more than {frames} frames"));
        }
        match thread.frames.is_empty() {
            true => Err(remarks
                .pop()
                .or(thread.cut)
                .unwrap_or_else(|| format!("the stack of thread {tid} can't be seen"))),
            false => Ok(thread),
        }
    }

    /// The function of a thread's frame, for who wants to know when it is left.
    pub fn level(&self, tid: i32, frame: usize) -> Answer<Level> {
        let limits = Limits {
            follow: 0,
            elements: 0,
            ..Limits::default()
        };
        let thread = self.thread(tid, frame + 1, limits)?;
        let found = thread.frames.get(frame).ok_or("its stack ends before")?;
        let end = found
            .scope
            .frame_address
            .ok_or("where its frame ends isn't known")?;
        Ok(Level {
            // Of one that is inlined the hooks say where its copy of its own begins.
            function: match found.is_inline {
                true => 0,
                false => found.entry.unwrap_or(0),
            },
            stack: found.scope.registers.get(7).unwrap_or(end),
            end,
            limit: stack_end(self.pid, end).unwrap_or(end),
            return_address: {
                let mut bytes = [0; 8];
                let read = self.memory.read(end.wrapping_sub(8), &mut bytes);
                read.map_or(0, |()| u64::from_le_bytes(bytes))
            },
        })
    }

    /// `expression` in a thread's frame, as a line: `n = 5`.
    pub fn print(
        &self,
        tid: i32,
        frame: usize,
        expression: &str,
        limits: Limits,
    ) -> Answer<String> {
        let expression = Expression::parse(expression)?;
        self.around(tid, frame, &[&expression], |around| {
            let text = match around.find(&expression)? {
                Found::Object(object) => around.shown(&object, &limits)?,
                Found::Number(number) => around.shown_number(number),
                Found::List(objects) => {
                    let shown = objects.iter().map(|object| around.shown(object, &limits));
                    let shown = shown.collect::<Answer<Vec<_>>>()?;
                    format!("{{{}}}", shown.join(", "))
                }
            };
            Ok(format!("{expression} = {text}"))
        })
    }

    /// Has `ask` look around in a thread's frame, and at what `expressions` name outside of it.
    fn around<T>(
        &self,
        tid: i32,
        frame: usize,
        expressions: &[&Expression],
        ask: impl FnOnce(&Around) -> Answer<T>,
    ) -> Answer<T> {
        let limits = Limits {
            follow: 0,
            elements: 0,
            ..Limits::default()
        };
        let thread = self.thread(tid, frame + 1, limits)?;
        let Some(found) = thread.frames.get(frame) else {
            return Err(format!(
                "thread {tid} has only {} frames; `bt` shows them",
                thread.frames.len()
            ));
        };
        let scope = &found.scope;
        let function = found.function.as_deref().unwrap_or("the function there");
        let module = self.modules.at(scope.lookup);
        let debug = module.and_then(|module| Some((module, module.debug()?)));
        let Some((module, debug)) = debug else {
            return Err(no_variables(found, function));
        };
        let mut borrowed = debug.borrow_mut();
        let debug = &mut *borrowed;
        let address = scope.lookup.wrapping_sub(module.bias);
        let known = debug.frames(address).into_iter().nth(scope.inlined);
        let Some(known) = known else {
            return Err(no_variables(found, function));
        };
        let mut variables: Vec<Variable> = debug.locals(&known, address);
        variables.extend(debug.arguments(&known, address));
        let view = View {
            memory: &self.memory,
            modules: &self.modules,
        };
        let names = Names::of(expressions);
        let here = found.place.as_ref().map(|place| &*place.file);
        let mut outside = Vec::new();
        for &(source, name) in &names.variables {
            let is_own = source.is_none() && variables.iter().any(|one| &*one.name == name);
            if is_own {
                continue;
            }
            if let Some(found) = elsewhere::global(debug, source, name, here) {
                outside.push(found);
            } else if let Some((other, found)) =
                elsewhere::in_others(&self.modules, module, source, name)
            {
                // Its types are those of its file.
                let mut debug = other.1.borrow_mut();
                let casts = elsewhere::types(&mut debug, &names.types)?;
                return ask(&Around {
                    function,
                    variables: &[],
                    types: debug.types(),
                    registers: &FrameRegisters {
                        registers: &scope.registers,
                        frame_address: scope.frame_address,
                        bias: other.0.bias,
                    },
                    view: &view,
                    casts: &casts,
                    outside: &[found],
                });
            } else {
                outside.push(elsewhere::missing(&self.modules, debug, source, name));
            }
        }
        let casts = elsewhere::types(debug, &names.types)?;
        let registers = FrameRegisters {
            registers: &scope.registers,
            frame_address: scope.frame_address,
            bias: module.bias,
        };
        ask(&Around {
            function,
            variables: &variables,
            types: debug.types(),
            registers: &registers,
            view: &view,
            casts: &casts,
            outside: &outside,
        })
    }
}

/// Behind the last address of the mapping that a stack lies in, as it is now: threads begin and end.
fn stack_end(pid: i32, address: u64) -> Option<u64> {
    let maps = super::task::open_maps(pid).ok()?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    maps.lines().find_map(|line| {
        let (begin, end) = line.split(' ').next()?.split_once('-')?;
        let (begin, end) = (hex(begin)?, hex(end)?);
        (begin..end)
            .contains(&address.wrapping_sub(1))
            .then_some(end)
    })
}

fn no_variables(frame: &Frame, function: &str) -> String {
    let file = frame
        .module
        .as_ref()
        .map(|module| module.display().to_string());
    format!(
        "nothing is known of the variables of {function}: {} has no debug information for it (compile with -g)",
        file.as_deref().unwrap_or("its file")
    )
}
