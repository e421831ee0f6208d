//! Where variables are, seen from a place of the code: as their descriptions say for it.

use std::sync::Arc;

use gimli::{AttributeValue, DebugInfoOffset, DebuggingInformationEntry, UnitOffset};

use super::expression::{self, Surroundings};
use super::frames::next;
use super::sections::Slice;
use super::units::{Die, Unit, Units};
use super::{DebugFile, Frame, nested};
use crate::{Address, Op, Place};

type Entry = DebuggingInformationEntry<Slice>;

/// How often an entry refers to another for what it is a copy of; how deep variables are said to be where others are.
pub(super) const CHAIN_MAX: usize = 16;

/// Entries of a location list that are looked at.
const LOCATIONS_MAX: usize = 1 << 16;

/// A place of the code in a physical function.
pub(super) struct Here<'a> {
    pub units: &'a Units,
    pub unit: Arc<Unit>,
    pub pc: u64,
    pub frame_base: Option<Address>,
    /// The variables are those of a function around this one, of whose frame only the base is known.
    pub is_outside: bool,
    pub depth: usize,
}

impl DebugFile {
    pub(super) fn here<'a>(&'a self, frame: &Frame, unit: &Arc<Unit>, pc: u64) -> Here<'a> {
        let mut here = Here {
            units: &self.units,
            unit: Arc::clone(unit),
            pc,
            frame_base: None,
            is_outside: false,
            depth: CHAIN_MAX,
        };
        let function = unit.unit.entry(UnitOffset(frame.function.offset)).ok();
        here.frame_base = function
            .and_then(|entry| entry.attr_value(gimli::DW_AT_frame_base))
            .and_then(|value| here.description(unit, &value))
            .and_then(|base| expression::number(unit, base, &expression::Nothing));
        here
    }
}

impl Here<'_> {
    /// Where the variable is that is described at `die`.
    pub(super) fn place(&self, mut die: Die, size: Option<u64>) -> Place {
        for _ in 0..CHAIN_MAX {
            let Some(unit) = self.units.get(die.unit) else {
                break;
            };
            let Ok(entry) = unit.unit.entry(UnitOffset(die.offset)) else {
                break;
            };
            if let Some(place) = self.place_of(&unit, &entry, size) {
                return place;
            }
            match next(self.units, die) {
                Some(further) => die = further,
                None => break,
            }
        }
        Place::OptimizedOut
    }

    fn place_of(&self, unit: &Unit, entry: &Entry, size: Option<u64>) -> Option<Place> {
        if let Some(value) = entry.attr_value(gimli::DW_AT_location) {
            let Some(location) = self.description(unit, &value) else {
                return Some(Place::OptimizedOut);
            };
            return Some(expression::place(unit, location, self));
        }
        let value = entry.attr_value(gimli::DW_AT_const_value)?;
        Some(constant(unit, &value, size))
    }

    /// The expression that holds at the place.
    pub(super) fn description(
        &self,
        unit: &Unit,
        value: &AttributeValue<Slice>,
    ) -> Option<gimli::Expression<Slice>> {
        if let AttributeValue::Exprloc(expression) = value {
            let is_known = !self.is_outside || nested::is_beside_base(unit, expression);
            return is_known.then(|| expression.clone());
        }
        // Where the function around this one waits isn't known.
        if self.is_outside {
            return None;
        }
        let mut list = unit
            .dwarf
            .attr_locations(&unit.unit, value.clone())
            .ok()??;
        for _ in 0..LOCATIONS_MAX {
            let entry = list.next().ok()??;
            if (entry.range.begin..entry.range.end).contains(&self.pc) {
                return Some(entry.data);
            }
        }
        None
    }

    fn deeper(&self) -> Option<Self> {
        Some(Self {
            units: self.units,
            unit: Arc::clone(&self.unit),
            pc: self.pc,
            frame_base: self.frame_base.clone(),
            is_outside: self.is_outside,
            depth: self.depth.checked_sub(1)?,
        })
    }
}

impl Surroundings for Here<'_> {
    fn frame_base(&self) -> Option<Address> {
        self.frame_base.clone()
    }

    fn variable(&self, offset: DebugInfoOffset<usize>) -> Option<Place> {
        let deeper = self.deeper()?;
        let die = self.units.die(&self.unit, offset)?;
        let size = bytes_of(self.units, die).map(|(bytes, _)| bytes);
        Some(deeper.place(die, size))
    }

    fn number(&self, offset: DebugInfoOffset<usize>) -> Option<Vec<Op>> {
        let deeper = self.deeper()?;
        let die = self.units.die(&self.unit, offset)?;
        let (bytes, is_signed) = bytes_of(self.units, die)?;
        let width = u8::try_from(bytes).ok().filter(|bytes| *bytes <= 8)?;
        let mut ops = match deeper.place(die, Some(bytes)) {
            Place::Memory(mut address) => {
                address.ops.push(match is_signed {
                    true => Op::LoadSigned(width),
                    false => Op::Load(width),
                });
                return Some(address.ops);
            }
            Place::Value(address) => address.ops,
            Place::Register(number) => vec![Op::Register(number, 0)],
            Place::Constant(constant) => {
                let mut raw = [0; 8];
                let count = constant.len().min(8);
                raw[..count].copy_from_slice(&constant[..count]);
                vec![Op::Constant(u64::from_le_bytes(raw))]
            }
            _ => return None,
        };
        if width < 8 {
            ops.push(Op::Truncate(width, is_signed));
        }
        Some(ops)
    }
}

/// Bytes of the variable at `die`, and whether it has a sign.
fn bytes_of(units: &Units, mut die: Die) -> Option<(u64, bool)> {
    for _ in 0..CHAIN_MAX {
        let unit = units.get(die.unit)?;
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size) {
            let is_signed = matches!(
                entry.attr_value(gimli::DW_AT_encoding),
                Some(AttributeValue::Encoding(
                    gimli::DW_ATE_signed | gimli::DW_ATE_signed_char
                ))
            );
            return Some((size.udata_value()?, is_signed));
        }
        die = match entry.attr_value(gimli::DW_AT_type) {
            Some(of) => units.refer(&unit, &of)?,
            None => next(units, die)?,
        };
    }
    None
}

/// A value that is always the same.
fn constant(unit: &Unit, value: &AttributeValue<Slice>, size: Option<u64>) -> Place {
    let bytes: Vec<u8> = match value {
        AttributeValue::Block(block) => match gimli::Reader::to_slice(block) {
            Ok(bytes) => bytes.into_owned(),
            Err(_) => return Place::OptimizedOut,
        },
        AttributeValue::String(_)
        | AttributeValue::DebugStrRef(_)
        | AttributeValue::DebugStrOffsetsIndex(_)
        | AttributeValue::DebugLineStrRef(_) => match unit.text(value.clone()) {
            Some(text) => text.bytes().chain([0]).collect(),
            None => return Place::OptimizedOut,
        },
        AttributeValue::Addr(address) => {
            return Place::Value(Address {
                ops: vec![Op::Static(*address)],
            });
        }
        other => match super::types::whole(other) {
            Some(whole) => {
                let count = usize::try_from(size.unwrap_or(8)).unwrap_or(16).min(16);
                whole.to_le_bytes()[..count].to_vec()
            }
            None => return Place::OptimizedOut,
        },
    };
    Place::Constant(bytes.into())
}
