//! Which variables a plan captures.

use super::assemble::{assemble, caller_words};
use super::capture::Capture;
use super::chosen::{Chosen, is_range};
use super::{Asked, DescribedFrame, Description, Kind, Site, Wishes};
use crate::{DebugFile, Frame, Op as Step, Variable};

mod variables;

use variables::{Compiler, any_step};

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
