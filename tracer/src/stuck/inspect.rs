//! Looks at single threads and variables of a process, and changes them: what a debugger does.

use std::fmt::Write;
use std::io::IoSlice;

use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::Pid;
use umbel_trace_ring::plan::Level;
use umbel_values::Variable;
use umbel_values::show::Limits;

use super::assign;
use super::elsewhere::{self, Names};
use super::error;
use super::expression::Expression;
use super::frames::{Frame, Walker};
use super::memory::LiveMemory;
use super::modules::Modules;
use super::objects::{Around, Found, Object, saved};
use super::registers;
use super::task::{Clocks, Task};
use super::values::{FrameRegisters, View};
use super::{Thread, Wishes};

/// Bytes of memory that one dump shows.
const DUMP_BYTES_MAX: u64 = 16 << 10;

/// Bytes in one of its lines.
const LINE_BYTES: usize = 16;

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

/// What was changed.
pub struct Change {
    /// As it was shown before.
    pub before: String,
    /// And now.
    pub now: String,
}

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

    /// Puts `value` where `path` leads to.
    pub fn set(&self, tid: i32, frame: usize, path: &str, value: &str) -> Answer<Change> {
        let expression = Expression::parse(path)?;
        let limits = Limits {
            follow: 0,
            ..Limits::default()
        };
        let shown = |around: &Around| -> Answer<(String, Object)> {
            let object = around.referred(around.object(&expression)?)?;
            Ok((around.shown(&object, &limits)?, object))
        };
        let other = Expression::parse(value).ok();
        let named: Vec<&Expression> = [&expression].into_iter().chain(&other).collect();
        let before = self.around(tid, frame, &named, |around| {
            let (before, object) = shown(around)?;
            let bytes = match Expression::parse(value) {
                // Another variable, or the address of one; not the name of an enumerator.
                Ok(other)
                    if !matches!(other, Expression::Variable(_))
                        || assign::bytes(around, &object, value).is_err() =>
                {
                    self.other(around, &object, &other, value)?
                }
                _ => assign::bytes(around, &object, value)?,
            };
            let (address, bytes) = self.target(around, &expression, &object, bytes)?;
            self.write(address, &bytes)?;
            Ok(before)
        })?;
        self.memory.forget();
        let now = self.around(tid, frame, &named[..1], |around| Ok(shown(around)?.0))?;
        Ok(Change {
            before: format!("{expression} = {before}"),
            now: format!("{expression} = {now}"),
        })
    }

    /// What an object is to become that gets the value of another.
    fn other(
        &self,
        around: &Around,
        object: &Object,
        other: &Expression,
        text: &str,
    ) -> Answer<Vec<u8>> {
        match around.find(other) {
            Ok(Found::Number(number)) => assign::bytes(around, object, &number.to_string()),
            Ok(Found::Object(source)) => {
                let source = around.referred(source)?;
                let of = |id| around.types.bare(id).map(|(id, _)| id);
                match of(source.of) == of(object.of) {
                    true => around.bytes(&source),
                    false => Err(format!(
                        "{other} is a {}, not a {}",
                        around.types.name(source.of),
                        around.types.name(object.of)
                    )),
                }
            }
            // What values of this type look like says more.
            _ => assign::bytes(around, object, text),
        }
    }

    /// Where the bytes of an object are to be put.
    fn target(
        &self,
        around: &Around,
        name: &Expression,
        object: &Object,
        bytes: Vec<u8>,
    ) -> Answer<(u64, Vec<u8>)> {
        if let Some(address) = object.source.address() {
            return match object.bits {
                None => Ok((address, bytes)),
                Some((first, count)) => self.with_bits(address, first, count, &bytes),
            };
        }
        let Some(number) = object.register else {
            return Err(format!("{name} can't be set: {}", object.why));
        };
        let registers = around.registers.registers;
        match saved(registers, number) {
            Some(address) if bytes.len() <= 8 => Ok((address, bytes)),
            _ => Err(format!(
                "{name} can't be set: it is in a register that no function called from there has saved; compile with -O0 to have it in memory"
            )),
        }
    }

    /// The bytes around a bit field, with its new bits.
    fn with_bits(
        &self,
        address: u64,
        first: u64,
        count: u64,
        bits: &[u8],
    ) -> Answer<(u64, Vec<u8>)> {
        let (begin, end) = (first / 8, (first + count).div_ceil(8));
        let address = address.wrapping_add(begin);
        let mut bytes = vec![0; (end - begin) as usize];
        self.memory
            .read(address, &mut bytes)
            .ok_or_else(|| format!("no memory can be read at {address:#x}"))?;
        for bit in 0..count {
            let set = bits
                .get((bit / 8) as usize)
                .map_or(0, |byte| byte >> (bit % 8) & 1);
            let at = first % 8 + bit;
            let byte = &mut bytes[(at / 8) as usize];
            *byte = *byte & !(1 << (at % 8)) | set << (at % 8);
        }
        Ok((address, bytes))
    }

    /// Writes as the program itself might: what it may only read stays.
    fn write(&self, address: u64, bytes: &[u8]) -> Answer<()> {
        let mut there = vec![0; bytes.len()];
        self.memory.read(address, &mut there).ok_or_else(|| {
            format!("nothing was changed: no memory can be read at {address:#x} (or another node has it)")
        })?;
        let remote = RemoteIoVec {
            base: address as usize,
            len: bytes.len(),
        };
        let written = process_vm_writev(Pid::from_raw(self.pid), &[IoSlice::new(bytes)], &[remote]);
        self.memory.forget();
        match written {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(count) => Err(format!(
                "only {count} of {} bytes could be changed at {address:#x}",
                bytes.len()
            )),
            Err(nix::errno::Errno::EFAULT) => Err(format!(
                "nothing was changed: the memory at {address:#x} may only be read"
            )),
            Err(error) => Err(format!("nothing was changed: {error}")),
        }
    }

    /// Memory as hexadecimal numbers and characters: of what `what` names (its value in front), or at `ADDRESS+LENGTH`.
    pub fn dump(
        &self,
        frame: Option<(i32, usize)>,
        what: &str,
        limits: Limits,
    ) -> Answer<Vec<String>> {
        if let Some((address, length)) = range(what)? {
            return self.hex(address, length);
        }
        let (tid, frame) = frame.ok_or_else(|| {
            format!("`{what}` is a variable of a thread's frame: say of which thread, or name memory as ADDRESS+LENGTH, as in 0x7f0012345678+64")
        })?;
        let expression = Expression::parse(what)?;
        let (mut lines, address, length) = self.around(tid, frame, &[&expression], |around| {
            let (objects, shown) = match around.find(&expression)? {
                Found::Object(object) => {
                    let object = around.referred(object)?;
                    let shown = around.shown(&object, &limits)?;
                    (vec![object], shown)
                }
                Found::List(objects) => {
                    let shown = objects.iter().map(|object| around.shown(object, &limits));
                    let shown = shown.collect::<Answer<Vec<_>>>()?;
                    (objects, format!("{{{}}}", shown.join(", ")))
                }
                Found::Number(_) => {
                    return Err(format!(
                        "{expression} is a number: name memory as ADDRESS+LENGTH"
                    ));
                }
            };
            let first = objects
                .first()
                .ok_or_else(|| format!("{expression} is empty"))?;
            let size = around.types.size(first.of).unwrap_or(0);
            let address = first
                .source
                .address()
                .ok_or_else(|| format!("{expression} is in no memory: {}", first.why))?;
            let head = format!("{} {expression} = {shown}", around.types.name(first.of));
            Ok((
                vec![head],
                address,
                size.saturating_mul(objects.len() as u64),
            ))
        })?;
        lines.extend(self.hex(address, length)?);
        Ok(lines)
    }

    fn hex(&self, address: u64, length: u64) -> Answer<Vec<String>> {
        if length > DUMP_BYTES_MAX {
            return Err(format!(
                "{length} bytes are too much for a dump: at most {DUMP_BYTES_MAX}; a core file has all (snapshot core)"
            ));
        }
        let mut lines = Vec::new();
        let end = address
            .checked_add(length)
            .ok_or("this is beyond the end of memory")?;
        let mut at = address;
        while at < end {
            let count = (end - at).min(LINE_BYTES as u64) as usize;
            let mut bytes = [0; LINE_BYTES];
            lines.push(match self.memory.read(at, &mut bytes[..count]) {
                Some(()) => hex_line(at, &bytes[..count]),
                None => format!("{at:#014x}  not there"),
            });
            at += count as u64;
        }
        Ok(lines)
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

/// Whether `what` names memory by its address.
pub fn is_range(what: &str) -> bool {
    matches!(range(what), Ok(Some(_)) | Err(_))
}

/// `0x7f0012345678+64`: address and length. `None`: it is no such thing.
fn range(what: &str) -> Answer<Option<(u64, u64)>> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let (address, length) = what.split_once('+').unwrap_or((what, ""));
    match (number(address), number(length)) {
        (Some(address), Some(length)) => Ok(Some((address, length))),
        (Some(_), None) => Err(format!(
            "`{what}`: expected ADDRESS+LENGTH, as in 0x7f0012345678+64"
        )),
        (None, _) => Ok(None),
    }
}

/// `0x00007ffe0010  48 65 6c 6c 6f  Hello`
fn hex_line(address: u64, bytes: &[u8]) -> String {
    let mut line = format!("{address:#014x} ");
    for index in 0..LINE_BYTES {
        let space = if index == LINE_BYTES / 2 { "  " } else { " " };
        // Writing to a text doesn't fail.
        let _ = match bytes.get(index) {
            Some(byte) => write!(line, "{space}{byte:02x}"),
            None => write!(line, "{space}  "),
        };
    }
    let shown = |byte: &u8| match byte {
        0x20..0x7f => char::from(*byte),
        _ => '.',
    };
    line += "  ";
    line.extend(bytes.iter().map(shown));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_memory() {
        assert_eq!(range("0x10+16"), Ok(Some((16, 16))));
        assert_eq!(range("16 + 0x10"), Ok(Some((16, 16))));
        assert_eq!(range("p->next"), Ok(None));
        assert!(range("0x10").is_err());
        assert!(range("0x10+x").is_err());
    }

    #[test]
    fn a_line_of_memory() {
        let line = hex_line(0x1000, b"Hello, world!\0");
        assert_eq!(
            line,
            "0x000000001000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 00        Hello, world!."
        );
    }
}
