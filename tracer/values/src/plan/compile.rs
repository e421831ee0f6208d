//! Which variables a plan captures.

use umbel_trace_ring::plan::{Op, Opcode, PlanHead, THREAD, UNKNOWN};

use super::capture::Capture;
use super::chosen::{self, Chosen, Part, is_range};
use super::{Asked, DescribedFrame, Description, Kind, Site, Wishes};
use crate::unwind::{FrameAddress, KEPT, Recipe, Rule};
use crate::{Address, DebugFile, Frame, Op as Step, Place, Variable, returned};

/// Regions of a frame at most.
const REGIONS_MAX: u8 = 192;

/// How often pointers are followed at most: shapes end by themselves.
const DEPTH_MAX: u8 = 64;

/// Frames whose variables are captured, of those that are inlined into one another.
const FRAMES_MAX: usize = 16;

/// A plan, and what is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The plan.
    pub description: Description,
    /// What was asked and can't be judged there, with why.
    pub refused: Vec<(u32, String)>,
    /// What was chosen of a function and isn't there, with why.
    pub missing: Vec<String>,
}

/// What is chosen of a function; `None`: nothing is said of it, so the wishes hold.
pub type Choose<'a> = &'a dyn Fn(&Frame) -> Option<&'a [Chosen]>;

/// The plan of a site in a process that added `bias` to the file's addresses; `None`: the debug information says nothing of it, or
/// nothing is wished. `asked`: what triggers want judged there.
pub fn compile(
    file: &mut DebugFile,
    site: &Site,
    wishes: &Wishes,
    bias: u64,
    asked: &[Asked],
    choose: Choose,
) -> Option<Compiled> {
    let asked = match site.kind {
        Kind::Caller => &[],
        Kind::Enter | Kind::Exit => asked,
    };
    let pc = site.address.checked_sub(1)?;
    let all = file.frames(pc);
    let own = match site.kind {
        Kind::Caller => 0,
        Kind::Enter | Kind::Exit => own_frame(file, &all, site)?,
    };
    let frames = all.get(own..)?;
    let recipe = file.unwind(pc).ok();
    let physical = all.last()?.clone();
    // A function that ends by calling itself anew has other arguments than its caller gave.
    let has_entries = !file.may_begin_anew(&physical);
    let mut compiler = Compiler {
        file,
        pc,
        has_entries,
        kind: site.kind,
        frame_address: recipe.as_ref().map(|recipe| recipe.frame_address.clone()),
        needs_caller: false,
        missing: Vec::new(),
    };
    let mut described: Vec<DescribedFrame> = frames.iter().map(describe).collect();
    described.truncate(FRAMES_MAX);
    let mut result = None;
    let judged: Vec<Variable> = match asked {
        [] => Vec::new(),
        _ => compiler.all(&frames[0], site),
    };
    let is_caller_wished = wishes.caller && site.kind != Kind::Exit;
    for (index, (frame, described)) in frames.iter().zip(&mut described).enumerate() {
        let is_own = index == 0 && site.kind != Kind::Caller;
        // Callers into which the function was inlined are of its own physical frame.
        let is_caller = index == usize::from(site.kind != Kind::Caller) && is_caller_wished;
        let chosen = choose(frame).filter(|_| is_own || is_caller);
        if let Some(chosen) = chosen {
            let of_frame = compiler.chosen(frame, chosen, is_own.then_some(site));
            (described.arguments, described.locals) = (of_frame.arguments, of_frame.locals);
            result = result.or(of_frame.result);
            continue;
        }
        let (arguments, locals) = match site.kind {
            Kind::Enter if is_own => (wishes.arguments, false),
            Kind::Exit if is_own => (wishes.locals, wishes.locals),
            _ => (is_caller, is_caller),
        };
        if arguments {
            described.arguments = compiler.arguments(frame);
        }
        if locals {
            described.locals = compiler.locals(frame);
        }
        if is_own && site.kind == Kind::Exit && wishes.arguments {
            result = compiler.result(frame, site.address);
        }
    }
    let mut entries = Vec::new();
    let (mut callee, mut target) = (None, None);
    if site.kind == Kind::Caller
        && let Some(call) = compiler.file.call(&physical, site.address)
    {
        callee = call.callee;
        // A pointer in memory may have been changed since, by a function that was called and went on as the one that it then leads to.
        let is_load = |step: &Step| matches!(step, Step::Load(_) | Step::LoadSigned(_));
        target = call
            .target
            .filter(|place| compiler.can_be_told(place) && !any_step(place, &is_load));
        // Without knowing who is called, nobody knows whose registers these are.
        let is_known = callee.is_some() || target.is_some();
        entries = call.entries;
        entries.retain(|(_, place)| is_known && compiler.can_be_told(place));
        let mut needed = entries.iter().map(|(_, place)| place).chain(&target);
        compiler.needs_caller |=
            needed.any(|place| any_step(place, &|step| matches!(step, Step::Entry(_))));
    }
    let shows_caller = site.kind == Kind::Enter && wishes.caller && frames.len() == 1;
    let goes_on = shows_caller || compiler.needs_caller;
    let missing = std::mem::take(&mut compiler.missing);
    let mut capture = Capture::new(compiler.file.types(), wishes, recipe.as_ref(), bias);
    for frame in &described {
        for variable in frame.arguments.iter().chain(&frame.locals) {
            match is_range(variable) {
                true => capture.range(variable),
                false => capture.variable(variable),
            }
        }
    }
    if let Some(variable) = &result {
        capture.variable(variable);
    }
    for place in entries.iter().map(|(_, place)| place).chain(&target) {
        capture.inputs(place);
    }
    let mut first = Vec::new();
    let mut refused = Vec::new();
    let variables: Vec<&Variable> = judged.iter().collect();
    for asked in asked {
        match capture.judge(&variables, asked) {
            Ok(words) => first.extend(words),
            Err(why) => refused.push((asked.number, why)),
        }
    }
    let caller = goes_on
        .then(|| caller_words(recipe.as_ref()?, !shows_caller))
        .flatten();
    let says_nothing = caller.is_none()
        && result.is_none()
        && described
            .iter()
            .all(|frame| frame.arguments.is_empty() && frame.locals.is_empty());
    let tells_nothing = refused.is_empty() && missing.is_empty();
    if says_nothing && first.is_empty() && tells_nothing && site.kind != Kind::Caller {
        return None;
    }
    let (captured, shapes) = capture.finish();
    let mut ops = first;
    ops.extend(captured);
    let words = assemble(ops, shapes, caller, wishes)?;
    let description = Description {
        kind: site.kind,
        words: words.into(),
        frame_address: recipe.map(|recipe| recipe.frame_address),
        entry: physical.entry,
        frames: described,
        result,
        entries,
        callee,
        target,
    };
    Some(Compiled {
        description,
        refused,
        missing,
    })
}

/// Gives a plan its number, and a place in its region: `words` as they are written there.
pub fn place_words(words: &[u64], number: u32, offset: u32) -> Vec<u64> {
    let mut placed = words.to_vec();
    if let Some(head) = placed.first_mut() {
        let mut parsed = PlanHead::parse(*head);
        parsed.number = number;
        *head = parsed.pack();
    }
    super::relocate::relocate(&mut placed, &|shape| shape.wrapping_add(offset));
    placed
}

/// Which frame is that of the function that called its hook.
fn own_frame(file: &mut DebugFile, frames: &[Frame], site: &Site) -> Option<usize> {
    let Some(function) = site.function else {
        return (!frames.is_empty()).then_some(0);
    };
    let exact = frames
        .iter()
        .position(|frame| frame.entry == Some(function));
    exact.or_else(|| {
        // A copy without code of its own in this unit: the function it is a copy of lies in another.
        let there = file.frames(function);
        let there = there.last().filter(|there| there.entry == Some(function))?;
        // gcc's own copies of a function (.isra, .constprop) say its address. Where it isn't certain that the hook is called here, the
        // frame may be that of a copy that has called it.
        let is_certain = file.calls_hook(site.address) == Some(true);
        frames.iter().position(|frame| {
            (frame.is_inline || is_certain)
                && match (&frame.linkage, &there.linkage) {
                    (Some(one), Some(other)) => one == other,
                    _ => frame.name == there.name,
                }
        })
    })
}

fn describe(frame: &Frame) -> DescribedFrame {
    DescribedFrame {
        name: frame.name.clone(),
        linkage: frame.linkage.clone(),
        is_inline: frame.is_inline,
        arguments: Vec::new(),
        locals: Vec::new(),
    }
}

struct Compiler<'a> {
    file: &'a mut DebugFile,
    pc: u64,
    kind: Kind,
    /// Whether what registers had at the function's begin can be asked of its caller.
    has_entries: bool,
    frame_address: Option<FrameAddress>,
    /// A variable is what the caller put into a register.
    needs_caller: bool,
    /// What was chosen and isn't there.
    missing: Vec<String>,
}

/// What is captured of a frame whose variables are chosen.
#[derive(Default)]
struct OfFrame {
    arguments: Vec<Variable>,
    locals: Vec<Variable>,
    result: Option<Variable>,
}

impl Compiler<'_> {
    fn arguments(&mut self, frame: &Frame) -> Vec<Variable> {
        let found = self.file.arguments(frame, self.pc);
        let before = match self.kind {
            Kind::Caller => Vec::new(),
            Kind::Enter | Kind::Exit => self.file.arguments(frame, self.pc.saturating_sub(1)),
        };
        self.better(found, before)
    }

    fn locals(&mut self, frame: &Frame) -> Vec<Variable> {
        let found = self.file.locals(frame, self.pc);
        let before = match self.kind {
            Kind::Caller => Vec::new(),
            Kind::Enter | Kind::Exit => self.file.locals(frame, self.pc.saturating_sub(1)),
        };
        self.better(found, before)
    }

    /// Each variable where it can be told. The call of a hook finds registers as they were: what is in one until the call, and lost by
    /// any other, is still there. `before` has the places where the instruction begins.
    fn better(&mut self, found: Vec<Variable>, before: Vec<Variable>) -> Vec<Variable> {
        let mut before = before.into_iter();
        let mut all = Vec::new();
        for after in found {
            let before = before.next().filter(|before| before.name == after.name);
            let is_certain = |place: &Place| {
                self.can_be_told(place)
                    && !any_step(place, &|step| matches!(step, Step::Entry(_)))
                    && !lacks_anything(place)
            };
            let chosen = match before {
                Some(before) if !is_certain(&after.place) && is_certain(&before.place) => before,
                _ => after,
            };
            all.push(self.told(chosen));
        }
        all
    }

    /// Everything that a trigger may ask for in the function's own frame: its result, arguments and locals.
    fn all(&mut self, frame: &Frame, site: &Site) -> Vec<Variable> {
        let result = match site.kind {
            Kind::Exit => self.result(frame, site.address),
            Kind::Enter | Kind::Caller => None,
        };
        let needs_caller = self.needs_caller;
        let mut all: Vec<Variable> = result.into_iter().collect();
        all.extend(self.arguments(frame));
        all.extend(self.locals(frame));
        // What only the caller knows can't be judged, so it isn't needed for this.
        self.needs_caller = needs_caller;
        all
    }

    /// What is chosen of a frame: of its own function at `site`, or of a caller's.
    fn chosen(&mut self, frame: &Frame, chosen: &[Chosen], site: Option<&Site>) -> OfFrame {
        let needed_caller = std::mem::take(&mut self.needs_caller);
        let kind = site.map(|site| site.kind);
        let result = match (kind, site) {
            (Some(Kind::Exit), Some(site)) => self.result(frame, site.address),
            _ => None,
        };
        let arguments = self.arguments(frame);
        let locals = self.locals(frame);
        let mut all: Vec<Variable> = Vec::new();
        all.extend(result.iter().chain(&arguments).chain(&locals).cloned());
        let mut of_frame = OfFrame::default();
        let is_entry = |step: &Step| matches!(step, Step::Entry(_));
        for chosen in chosen {
            let part = match chosen {
                Chosen::Part(part) => part,
                Chosen::All => {
                    of_frame.arguments.clone_from(&arguments);
                    if kind != Some(Kind::Enter) {
                        of_frame.locals.clone_from(&locals);
                    }
                    of_frame.result.clone_from(&result);
                    continue;
                }
            };
            let is_argument = arguments
                .iter()
                .any(|argument| *argument.name == *part.path.variable);
            let is_result = *part.path.variable == *crate::RETURN;
            // Locals have no values yet when it is called, nor is there anything that it returns.
            if kind != Some(Kind::Exit) && is_result || kind == Some(Kind::Enter) && !is_argument {
                if !is_result {
                    self.look_for(frame, part);
                }
                continue;
            }
            match chosen::resolve(self.file, &all, part) {
                Some(Ok(variable)) if variable.name.is_empty() => of_frame.result = Some(variable),
                // What the return knows of it no longer, or only as it was at the call, the call has shown.
                Some(Ok(variable))
                    if is_argument
                        && kind == Some(Kind::Exit)
                        && (variable.place == Place::OptimizedOut
                            || any_step(&variable.place, &is_entry)) => {}
                Some(Ok(variable)) if is_argument => of_frame.arguments.push(variable),
                Some(Ok(variable)) => of_frame.locals.push(variable),
                Some(Err(why)) => self.misses(frame, part, &why),
                None if is_result => self.misses(frame, part, "it returns nothing"),
                None => self.look_for(frame, part),
            }
        }
        let mut shown = of_frame.arguments.iter().chain(&of_frame.locals);
        let mut shown = shown.by_ref().chain(&of_frame.result);
        self.needs_caller =
            needed_caller || shown.any(|variable| any_step(&variable.place, &is_entry));
        of_frame
    }

    /// Says why a variable can't be captured that isn't known at the place.
    fn look_for(&mut self, frame: &Frame, part: &Part) {
        let names = self.file.names(frame);
        let name = &part.path.variable;
        if !names.contains(name) {
            let names = chosen::told(&names);
            self.misses(frame, part, &format!("there is no variable {name}{names}"));
        } else if self.kind == Kind::Exit {
            let why = format!("the block that {name} belongs to has ended when it returns");
            self.misses(frame, part, &why);
        }
    }

    fn misses(&mut self, frame: &Frame, part: &Part, why: &str) {
        self.missing
            .push(format!("{}:{}: {why}", frame.name, part.text));
    }

    fn result(&mut self, frame: &Frame, address: u64) -> Option<Variable> {
        let of = self.file.return_type(frame)?;
        let place = match frame.is_inline {
            true => Place::OptimizedOut,
            false => returned::place(self.file, address, of),
        };
        Some(self.told(Variable {
            name: "".into(),
            of,
            place,
            is_artificial: true,
        }))
    }

    /// The variable, where it can be told at all.
    fn told(&mut self, mut variable: Variable) -> Variable {
        if !self.can_be_told(&variable.place) {
            variable.place = match variable.place {
                Place::Pieces(mut pieces) => {
                    for piece in &mut pieces {
                        if !self.can_be_told(&piece.place) {
                            piece.place = Place::OptimizedOut;
                        }
                    }
                    Place::Pieces(pieces)
                }
                _ => Place::OptimizedOut,
            };
        }
        self.needs_caller |= any_step(&variable.place, &|step| matches!(step, Step::Entry(_)));
        variable
    }

    /// Whether all that a place needs is known in a frame that waits for a call.
    fn can_be_told(&self, place: &Place) -> bool {
        let has_frame_address = matches!(
            &self.frame_address,
            Some(FrameAddress::Register(number, _)) if is_kept(*number)
        );
        let is_hook = self.kind != Kind::Caller;
        match place {
            Place::Register(number) => is_kept(*number) || is_hook && is_at_hook(*number),
            Place::Memory(address) | Place::Value(address) => {
                address.ops.iter().all(|step| match step {
                    Step::Register(number, _) => is_kept(*number) || is_hook && is_at_hook(*number),
                    Step::FrameAddress(_) => has_frame_address,
                    Step::Entry(_) => self.has_entries,
                    Step::ThreadLocal(_) | Step::Object => false,
                    _ => true,
                })
            }
            Place::ImplicitPointer(target, _) => self.can_be_told(target),
            Place::Pieces(pieces) => pieces.iter().all(|piece| self.can_be_told(&piece.place)),
            Place::OptimizedOut | Place::Constant(_) => true,
        }
    }
}

/// Whether a call keeps this register, or it is the stack pointer, or the thread's own address.
pub(super) fn is_kept(number: u16) -> bool {
    number == 7 || number == u16::from(THREAD) || KEPT.contains(&number)
}

/// DWARF's number of xmm0.
const XMM0: u16 = 17;

/// Whether it is one of xmm0 to xmm15.
pub(super) fn is_vector(number: u16) -> bool {
    (XMM0..XMM0 + 16).contains(&number)
}

/// Whether the program's hook finds this register as it was at its call, though calls may change it: rax, rdx, rcx, r8, r9, xmm0-7. So
/// the linker's stubs have it, as they may be arguments.
pub(super) fn is_at_hook(number: u16) -> bool {
    matches!(number, 0 | 1 | 2 | 8 | 9 | XMM0..=24)
}

fn lacks_anything(place: &Place) -> bool {
    match place {
        Place::OptimizedOut => true,
        Place::Pieces(pieces) => pieces.iter().any(|piece| lacks_anything(&piece.place)),
        Place::ImplicitPointer(target, _) => lacks_anything(target),
        _ => false,
    }
}

fn any_step(place: &Place, is: &dyn Fn(&Step) -> bool) -> bool {
    let in_address = |address: &Address| address.ops.iter().any(is);
    match place {
        Place::Memory(address) | Place::Value(address) => in_address(address),
        Place::ImplicitPointer(target, _) => any_step(target, is),
        Place::Pieces(pieces) => pieces.iter().any(|piece| any_step(&piece.place, is)),
        Place::OptimizedOut | Place::Register(_) | Place::Constant(_) => false,
    }
}

/// How to get to the caller's frame; `None`: no plan can. `entries_alone`: of that, only what it put into registers is needed.
fn caller_words(recipe: &Recipe, entries_alone: bool) -> Option<[u64; 3]> {
    let FrameAddress::Register(base, offset) = recipe.frame_address else {
        return None;
    };
    if !is_kept(base) || recipe.rules[16] != Rule::Saved(-8) {
        return None;
    }
    let op = Op {
        opcode: Opcode::Caller,
        register: u8::try_from(base).ok()?,
        bytes: u16::from(entries_alone),
        offset: i32::try_from(offset).ok()?,
    };
    let mut words = [op.pack(), 0, 0];
    for (index, number) in KEPT.into_iter().enumerate() {
        let saved = match recipe.rules.get(usize::from(number))? {
            Rule::Same => 0,
            Rule::Saved(offset) if offset % 8 == 0 && *offset != 0 => {
                i16::try_from(offset / 8).unwrap_or(UNKNOWN)
            }
            _ => UNKNOWN,
        };
        words[1 + index / 4] |= u64::from(saved.cast_unsigned()) << (16 * (index % 4));
    }
    Some(words)
}

fn assemble(
    mut ops: Vec<u64>,
    shapes: super::shape::Shapes,
    caller: Option<[u64; 3]>,
    wishes: &Wishes,
) -> Option<Vec<u64>> {
    match caller {
        Some(words) => ops.extend(words),
        None => ops.push(Op::plain(Opcode::End).pack()),
    }
    // Hooks are twice as fast where nothing is followed.
    let follows = !shapes.is_empty() || appended_words(&ops).is_none();
    let head = PlanHead {
        payload_words: match appended_words(&ops) {
            // With the plan's number, and the number of its regions.
            Some(words) if !follows => words + 2,
            _ => wishes.payload_bytes / 8,
        },
        depth: if follows { DEPTH_MAX } else { 0 },
        regions: if follows { REGIONS_MAX } else { 0 },
        number: 0,
    };
    let mut words = vec![head.pack()];
    words.append(&mut ops);
    shapes.append_to(&mut words)?;
    Some(words)
}

/// Words that ops append; `None`: that depends, for memory is read.
fn appended_words(ops: &[u64]) -> Option<u16> {
    let mut at = 0;
    let mut words = 0_u16;
    while let Some(op) = ops.get(at).copied().and_then(Op::parse) {
        words = words.checked_add(match op.opcode {
            Opcode::Register => 1,
            Opcode::Vector => 2,
            Opcode::Stack => op.bytes.div_ceil(8),
            Opcode::SetCfa => 0,
            Opcode::End | Opcode::Caller => break,
            _ => return None,
        })?;
        at += op.words();
    }
    Some(words)
}
