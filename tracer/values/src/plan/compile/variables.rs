//! Variables of frames that wait at a site, each where it can be told there.

use super::super::chosen::{self, Chosen, Part};
use super::super::registers::{is_at_hook, is_kept};
use super::super::{Kind, Site};
use crate::unwind::FrameAddress;
use crate::{Address, DebugFile, Frame, Op as Step, Place, Variable, returned};

/// Finds variables of the frames that wait at a site.
pub(super) struct Compiler<'a> {
    pub(super) file: &'a mut DebugFile,
    pub(super) pc: u64,
    pub(super) kind: Kind,
    /// Whether what registers had at the function's begin can be asked of its caller.
    pub(super) has_entries: bool,
    pub(super) frame_address: Option<FrameAddress>,
    /// A variable is what the caller put into a register.
    pub(super) needs_caller: bool,
    /// What was chosen and isn't there.
    pub(super) missing: Vec<String>,
}

/// What is captured of a frame whose variables are chosen.
#[derive(Default)]
pub(super) struct OfFrame {
    pub(super) arguments: Vec<Variable>,
    pub(super) locals: Vec<Variable>,
    pub(super) result: Option<Variable>,
}

impl Compiler<'_> {
    pub(super) fn arguments(&mut self, frame: &Frame) -> Vec<Variable> {
        let found = self.file.arguments(frame, self.pc);
        let before = match self.kind {
            Kind::Caller => Vec::new(),
            Kind::Enter | Kind::Exit => self.file.arguments(frame, self.pc.saturating_sub(1)),
        };
        self.better(found, before)
    }

    pub(super) fn locals(&mut self, frame: &Frame) -> Vec<Variable> {
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
    pub(super) fn all(&mut self, frame: &Frame, site: &Site) -> Vec<Variable> {
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
    pub(super) fn chosen(
        &mut self,
        frame: &Frame,
        chosen: &[Chosen],
        site: Option<&Site>,
    ) -> OfFrame {
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

    pub(super) fn result(&mut self, frame: &Frame, address: u64) -> Option<Variable> {
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
    pub(super) fn can_be_told(&self, place: &Place) -> bool {
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

fn lacks_anything(place: &Place) -> bool {
    match place {
        Place::OptimizedOut => true,
        Place::Pieces(pieces) => pieces.iter().any(|piece| lacks_anything(&piece.place)),
        Place::ImplicitPointer(target, _) => lacks_anything(target),
        _ => false,
    }
}

pub(super) fn any_step(place: &Place, is: &dyn Fn(&Step) -> bool) -> bool {
    let in_address = |address: &Address| address.ops.iter().any(is);
    match place {
        Place::Memory(address) | Place::Value(address) => in_address(address),
        Place::ImplicitPointer(target, _) => any_step(target, is),
        Place::Pieces(pieces) => pieces.iter().any(|piece| any_step(&piece.place, is)),
        Place::OptimizedOut | Place::Register(_) | Place::Constant(_) => false,
    }
}
