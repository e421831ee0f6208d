//! Values of events: payloads and plan descriptions become what views show.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use umbel_values::captured::{self, Captured};
use umbel_values::plan::Kind;
use umbel_values::show::{Limits, one_line};
use umbel_values::{Description, EventValues, Kept, NamedValue, Type, Types};

use crate::recording::Image;
use crate::symbols::Symbols;

/// What an event brought along, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValues {
    /// Serial of the process.
    pub process: u64,
    /// When.
    pub ticks: u64,
    /// The function that was called or returned.
    pub function: u64,
    /// It returned.
    pub is_return: bool,
    /// The payload behind its time.
    pub payload: Box<[u64]>,
}

/// The capture plans of a session, and the types that their descriptions name.
#[derive(Default)]
pub struct Plans {
    images: Vec<(Image, Arc<Types>)>,
    plans: HashMap<u32, Plan>,
    /// Types that were never told: of all images.
    missing: usize,
    limits: Limits,
}

struct Plan {
    image: usize,
    description: Arc<Description>,
    bias: u64,
}

/// Characters of one value on a line, and of all of a call.
const VALUE_COLUMNS_MAX: usize = 160;

impl Plans {
    /// Whether there are none: events have no values then.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// How much of each value is shown from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// More types of an image: those from number `first` on.
    pub fn add_types(&mut self, image: &Image, first: u32, types: &[Type]) {
        let index = self.image(image);
        let list = &mut Arc::make_mut(&mut self.images[index].1).list;
        // One that is missing (a damaged recording) leaves a hole: its number is of no type.
        let Some(hole) = (first as usize).checked_sub(list.len()) else {
            return;
        };
        if self.missing + hole <= TYPES_MISSING_MAX {
            self.missing += hole;
            list.resize_with(first as usize, missing_type);
            list.extend_from_slice(types);
        }
    }

    /// A plan of a module of an image.
    pub fn add(&mut self, image: &Image, kept: Kept) {
        let plan = Plan {
            image: self.image(image),
            description: Arc::new(kept.description),
            bias: kept.bias,
        };
        self.plans.insert(kept.number, plan);
    }

    /// Reads what an event brought along. `None`: it says nothing, or it isn't this event's.
    pub fn read(&self, raw: &RawValues, symbols: &Symbols) -> Option<EventValues> {
        let plan = |number: u32| {
            let plan = self.plans.get(&number)?;
            Some(captured::Plan {
                description: Arc::clone(&plan.description),
                types: Arc::clone(&self.images[plan.image].1),
                bias: plan.bias,
            })
        };
        let captured = Captured::parse(&raw.payload, Some(raw.function), &plan);
        let kind = captured.frames.first()?.plan.description.kind;
        if matches!(
            (kind, raw.is_return),
            (Kind::Enter, true) | (Kind::Exit, false)
        ) {
            return None;
        }
        let symbol = |address: u64| {
            let symbol = symbols.name_at(raw.process, address, raw.ticks)?;
            Some(match symbol.offset {
                0 => symbol.demangled.to_string(),
                offset => format!("{}+{offset}", symbol.demangled),
            })
        };
        let values = EventValues::read(&captured, &self.limits, &symbol);
        (!values.is_empty()).then_some(values)
    }

    fn image(&mut self, image: &Image) -> usize {
        let known = self.images.iter().position(|(known, _)| known == image);
        known.unwrap_or_else(|| {
            self.images.push((image.clone(), Arc::default()));
            self.images.len() - 1
        })
    }
}

/// Types that may be missing: a damaged number must not take memory without bound.
const TYPES_MISSING_MAX: usize = 1 << 16;

fn missing_type() -> Type {
    Type {
        name: "".into(),
        size: None,
        kind: umbel_values::Kind::Unknown(0),
    }
}

/// `n=5, s=0x4a2f10 "abc"`.
pub fn arguments_text(values: &[NamedValue]) -> String {
    listed(values, "=")
}

/// `i = 5, x = {1, 2}`.
pub fn locals_text(values: &[NamedValue]) -> String {
    listed(values, " = ")
}

/// A value as it is shown on a line with others.
pub fn value_text(value: &NamedValue) -> String {
    one_line(&value.value, VALUE_COLUMNS_MAX)
}

fn listed(values: &[NamedValue], equals: &str) -> String {
    let mut text = String::new();
    // Of the arguments that compilers add people want `this`.
    let wanted = |value: &&NamedValue| !(value.is_artificial && value.name.starts_with("__"));
    for value in values.iter().filter(wanted) {
        let separator = if text.is_empty() { "" } else { ", " };
        write!(
            text,
            "{separator}{}{equals}{}",
            value.name,
            value_text(value)
        )
        .expect("a String takes everything");
    }
    text
}
