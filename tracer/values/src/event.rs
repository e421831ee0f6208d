//! What an event brought along, as views show it.

use std::sync::Arc;

use crate::plan::{self, is_range};
use crate::show::{self, Limits};
use crate::{Absence, Bound, Captured, CapturedFrame, Kind, Memory, Types, Value, Variable};

/// Values of one event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventValues {
    /// The event's function, then its callers as far as they were captured.
    pub frames: Vec<FrameValues>,
    /// What it returned.
    pub result: Option<NamedValue>,
}

/// Values of one function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameValues {
    /// The function.
    pub function: Box<str>,
    /// Inlined into the next.
    pub is_inline: bool,
    /// Its arguments.
    pub arguments: Vec<NamedValue>,
    /// Its locals, those of the innermost block first.
    pub locals: Vec<NamedValue>,
}

/// A variable's value.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValue {
    /// Name of the variable.
    pub name: Box<str>,
    /// Name of its type.
    pub of: Box<str>,
    /// What it is.
    pub value: Value,
    /// Made by the compiler: `this`.
    pub is_artificial: bool,
}

impl EventValues {
    /// Reads all values. `symbol`: the name of what is at an address.
    pub fn read(
        captured: &Captured,
        limits: &Limits,
        symbol: &dyn Fn(u64) -> Option<String>,
    ) -> Self {
        let mut values = Self::default();
        for (index, frame) in captured.frames.iter().enumerate() {
            let reader = Reader {
                frame,
                types: &frame.plan.types,
                limits,
                symbol,
            };
            // Behind a jump to its hook, the function's own frame is gone.
            if index == 0 && frame.plan.description.kind == plan::Kind::Caller {
                values.frames.push(FrameValues::default());
            }
            for described in &frame.plan.description.frames {
                values.frames.push(FrameValues {
                    function: described.name.clone(),
                    is_inline: described.is_inline,
                    arguments: reader.all(&described.arguments),
                    locals: reader.all(&described.locals),
                });
            }
            if let (0, Some(result)) = (index, &frame.plan.description.result) {
                values.result = Some(reader.named(result));
            }
        }
        values
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        let has_none = |frame: &FrameValues| frame.arguments.is_empty() && frame.locals.is_empty();
        self.result.is_none() && self.frames.iter().all(has_none)
    }

    /// The arguments of the event's function.
    pub fn arguments(&self) -> &[NamedValue] {
        self.frames.first().map_or(&[], |frame| &frame.arguments)
    }

    /// The locals of the event's function.
    pub fn locals(&self) -> &[NamedValue] {
        self.frames.first().map_or(&[], |frame| &frame.locals)
    }

    /// The frames of its callers of which anything is known.
    pub fn callers(&self) -> impl Iterator<Item = &FrameValues> {
        let callers = self.frames.iter().skip(1);
        callers.filter(|frame| !(frame.arguments.is_empty() && frame.locals.is_empty()))
    }
}

struct Reader<'a> {
    frame: &'a CapturedFrame,
    types: &'a Arc<Types>,
    limits: &'a Limits,
    symbol: &'a dyn Fn(u64) -> Option<String>,
}

impl Reader<'_> {
    fn all(&self, variables: &[Variable]) -> Vec<NamedValue> {
        variables
            .iter()
            .map(|variable| self.named(variable))
            .collect()
    }

    fn named(&self, variable: &Variable) -> NamedValue {
        let mut limits = *self.limits;
        // Elements that the user has named are shown, however many of others are.
        if is_range(variable)
            && let Some(Kind::Array { dimensions, .. }) =
                self.types.get(variable.of).map(|found| &found.kind)
            && let Some(Bound::Fixed(count)) = dimensions.first().map(|first| &first.count)
        {
            limits.elements = limits.elements.max(*count);
            limits.text = limits.text.max(usize::try_from(*count).unwrap_or(0));
        }
        let value = show::value(
            self.types,
            variable.of,
            &variable.place,
            self.frame,
            self,
            &limits,
        );
        NamedValue {
            name: variable.name.clone(),
            of: self.types.name(variable.of),
            value,
            is_artificial: variable.is_artificial,
        }
    }
}

impl Memory for Reader<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        self.frame.read(address, bytes)
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        self.frame.text(address, limit)
    }

    fn symbol(&self, address: u64) -> Option<String> {
        (self.symbol)(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured::Plan;
    use crate::{DescribedFrame, Description, Encoding, Place, Type, TypeId};

    fn description(kind: plan::Kind) -> Description {
        let number = Variable {
            name: "number".into(),
            of: TypeId(0),
            place: Place::Constant([5, 0, 0, 0].into()),
            is_artificial: false,
        };
        let frame = DescribedFrame {
            name: "main".into(),
            linkage: None,
            is_inline: false,
            arguments: Vec::new(),
            locals: vec![number],
        };
        Description {
            kind,
            words: Vec::new().into(),
            frame_address: None,
            entry: None,
            frames: vec![frame],
            result: None,
            entries: Vec::new(),
            callee: None,
            target: None,
        }
    }

    fn read(kind: plan::Kind) -> EventValues {
        let int = Type {
            name: "int".into(),
            size: Some(4),
            kind: Kind::Base(Encoding::Signed),
        };
        let plan = Plan {
            description: Arc::new(description(kind)),
            types: Arc::new(Types { list: vec![int] }),
            bias: 0,
        };
        let captured = Captured::parse(&[1, 0], None, &|_| Some(plan.clone()));
        EventValues::read(&captured, &Limits::default(), &|_| None)
    }

    #[test]
    fn a_function_that_ends_with_a_jump_has_no_variables_its_caller_has() {
        let values = read(plan::Kind::Caller);
        assert!(values.locals().is_empty());
        let callers: Vec<_> = values.callers().map(|frame| &*frame.function).collect();
        assert_eq!(callers, ["main"]);
        assert_eq!(read(plan::Kind::Exit).locals().len(), 1);
    }
}
