//! Variables of a frame, and where they are.

use std::sync::Arc;

use gimli::{AttributeValue, DebugInfoOffset, DebuggingInformationEntry, UnitOffset};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use umbel_trace_ring::plan::THREAD;

use super::expression::{self, Surroundings};
use super::frames::{body_begin, next};
use super::sections::Slice;
use super::types::{for_each_child, is_flag, text_of};
use super::units::{Die, Unit, Units};
use super::{DebugFile, Frame, nested};
use crate::{Address, Op, Place, TypeId, Variable};

type Entry = DebuggingInformationEntry<Slice>;

/// How often an entry refers to another for what it is a copy of; how deep variables are said to be where others are.
const CHAIN_MAX: usize = 16;

/// Entries of a location list that are looked at.
const LOCATIONS_MAX: usize = 1 << 16;

/// Variables of a block at most.
const VARIABLES_MAX: usize = 4096;

/// Bytes of a call whose target is in the instruction.
const CALL_BYTES: u64 = 5;

/// A described call.
pub struct Call {
    /// What the called function finds in registers.
    pub entries: Vec<(u16, Place)>,
    /// Where it begins, if it is always the same.
    pub callee: Option<u64>,
    /// Where it begins, if it is called through a pointer.
    pub target: Option<Place>,
}

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
    pub(super) fn find_arguments(&mut self, frame: &Frame, pc: u64) -> Option<Vec<Variable>> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let scope = body.scopes.get(frame.scope)?;
        let mut found: Vec<Variable> = Vec::new();
        let own = inherited(
            &self.units,
            &unit,
            scope.origin,
            &scope.arguments,
            gimli::DW_TAG_formal_parameter,
        );
        for die in own {
            found.extend(self.variable(frame, &unit, die, pc));
        }
        Some(found)
    }

    pub(super) fn find_locals(&mut self, frame: &Frame, pc: u64) -> Option<Vec<Variable>> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let mut found = Vec::new();
        let mut next = Some(frame.innermost);
        while let Some(index) = next {
            let scope = body.scopes.get(index)?;
            let own = match scope.is_function {
                true => inherited(
                    &self.units,
                    &unit,
                    scope.origin,
                    &scope.variables,
                    gimli::DW_TAG_variable,
                ),
                false => {
                    let all = scope.variables.iter();
                    all.map(|offset| Die {
                        unit: unit.index,
                        offset: *offset,
                    })
                    .collect()
                }
            };
            for die in own {
                let variable = self.variable(frame, &unit, die, pc);
                // What has no name is the compiler's: bounds of Fortran's arrays.
                found.extend(variable.filter(|variable| !variable.name.is_empty()));
            }
            if index == frame.scope {
                break;
            }
            next = scope.parent;
        }
        let outer = self.outer_variables(frame, pc);
        for variable in outer {
            // One of the same name hides it.
            if !found.iter().any(|own| own.name == variable.name) {
                found.push(variable);
            }
        }
        Some(found)
    }

    /// What is described of the call that returns to `return_address`.
    pub fn call(&mut self, frame: &Frame, return_address: u64) -> Option<Call> {
        self.find_call(frame, return_address)
    }

    fn find_call(&mut self, frame: &Frame, return_address: u64) -> Option<Call> {
        let unit = self.units.get(frame.function.unit)?;
        let body = self.body(&unit, frame.function);
        let offset = *body.calls.get(&return_address)?;
        let pc = return_address.checked_sub(1)?;
        let here = self.here(frame, &unit, pc);
        let mut found = Vec::new();
        for_each_child(&unit, offset, |child| {
            if !matches!(
                child.tag(),
                gimli::DW_TAG_call_site_parameter | gimli::DW_TAG_GNU_call_site_parameter
            ) {
                return;
            }
            let register = match child.attr_value(gimli::DW_AT_location) {
                Some(AttributeValue::Exprloc(location)) => {
                    match expression::place(&unit, location, &here) {
                        Place::Register(register) => register,
                        _ => return,
                    }
                }
                _ => return,
            };
            let value = child
                .attr_value(gimli::DW_AT_call_value)
                .or_else(|| child.attr_value(gimli::DW_AT_GNU_call_site_value));
            if let Some(AttributeValue::Exprloc(value)) = value
                && let Some(address) = expression::number(&unit, value, &here)
            {
                found.push((register, Place::Value(address)));
            }
        })?;
        let entry = unit.unit.entry(UnitOffset(offset)).ok()?;
        let computed = entry
            .attr_value(gimli::DW_AT_call_target)
            .or_else(|| entry.attr_value(gimli::DW_AT_GNU_call_site_target));
        let target = entry
            .attr_value(gimli::DW_AT_call_origin)
            .or_else(|| entry.attr_value(gimli::DW_AT_abstract_origin))
            .and_then(|value| self.units.refer(&unit, &value));
        Some(Call {
            entries: found,
            callee: target.and_then(|target| self.callee(target, return_address)),
            target: match (target, computed) {
                (None, Some(AttributeValue::Exprloc(target))) => {
                    expression::number(&unit, target, &here).map(Place::Value)
                }
                _ => None,
            },
        })
    }

    /// Whether the physical function may have begun anew by a call at its end, its own or one that leads back to it: what its caller
    /// put into registers is then not what it has found.
    pub fn may_begin_anew(&mut self, frame: &Frame) -> bool {
        let Some(unit) = self.units.get(frame.function.unit) else {
            return true;
        };
        let body = self.body(&unit, frame.function);
        // Hooks don't come back; whoever else is called last may go on to this one again.
        let is_hook = |target: &Option<Die>| {
            let name = target.and_then(|target| self.name_of(target));
            name.is_some_and(|name| name.starts_with("__cyg_profile_func_"))
        };
        !body.last_calls.iter().all(is_hook)
    }

    fn name_of(&self, die: Die) -> Option<Box<str>> {
        let unit = self.units.get(die.unit)?;
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        text_of(&unit, &entry, gimli::DW_AT_name)
    }

    /// What the call that returns to `return_address` calls, which is described at `die`.
    fn callee(&self, die: Die, return_address: u64) -> Option<u64> {
        let begin = return_address.checked_sub(CALL_BYTES)?;
        let code = self.code(begin, usize::try_from(CALL_BYTES).ok()?);
        let mut decoder = Decoder::with_ip(64, &code, begin, DecoderOptions::NONE);
        let call = decoder.decode();
        // As the callee has a description, its address isn't computed: the instruction has it, or the linker's stub.
        let is_direct = call.mnemonic() == Mnemonic::Call
            && call.op0_kind() == OpKind::NearBranch64
            && call.next_ip() == return_address;
        match is_direct && !self.own.is_stub(call.near_branch64()) {
            true => Some(call.near_branch64()),
            false => self.entry_of(die),
        }
    }

    /// Where the function begins that is described at `die`, which may only declare it.
    fn entry_of(&self, die: Die) -> Option<u64> {
        let unit = self.units.get(die.unit)?;
        if let Some(begin) = body_begin(&unit, die.offset) {
            return Some(begin);
        }
        let mut copies = unit.outline().copies(die.offset);
        if let Some(begin) = copies.find_map(|copy| body_begin(&unit, copy)) {
            return Some(begin);
        }
        let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
        if !is_flag(&entry, gimli::DW_AT_external) {
            return None;
        }
        let name = text_of(&unit, &entry, gimli::DW_AT_linkage_name)
            .or_else(|| text_of(&unit, &entry, gimli::DW_AT_name))?;
        let functions = self.functions.get_or_init(|| self.own.functions());
        functions.get(&name).copied()
    }

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

    fn variable(&mut self, frame: &Frame, unit: &Arc<Unit>, die: Die, pc: u64) -> Option<Variable> {
        let base = self.here(frame, unit, pc).frame_base;
        self.variable_of(unit, die, pc, (base, false))
    }

    /// The variable at `die`, in a frame with this base, which is that of a function around this one if the flag is set.
    pub(super) fn variable_of(
        &mut self,
        unit: &Arc<Unit>,
        die: Die,
        pc: u64,
        (frame_base, is_outside): (Option<Address>, bool),
    ) -> Option<Variable> {
        let (name, of, is_artificial) = self.what(die)?;
        let here = Here {
            units: &self.units,
            unit: Arc::clone(unit),
            pc,
            frame_base,
            is_outside,
            depth: CHAIN_MAX,
        };
        let mut place = here.place(die, self.types.types.size(of));
        self.find_thread_local(&mut place);
        // Arrays whose bounds are variables of the frame.
        let of = self.types.in_frame(&self.units, of, &here);
        Some(Variable {
            name,
            of,
            place,
            is_artificial,
        })
    }

    /// Puts the thread's own address where a place begins with that of its block of variables, if one follows from the other.
    fn find_thread_local(&self, place: &mut Place) {
        match place {
            Place::Memory(address) | Place::Value(address) => {
                for op in &mut address.ops {
                    if let Op::ThreadLocal(offset) = *op
                        && let Some(block) =
                            *self.thread_block.get_or_init(|| self.own.thread_block())
                    {
                        *op = Op::Register(THREAD.into(), block.wrapping_add_unsigned(offset));
                    }
                }
            }
            Place::ImplicitPointer(target, _) => self.find_thread_local(target),
            Place::Pieces(pieces) => {
                for piece in pieces {
                    self.find_thread_local(&mut piece.place);
                }
            }
            Place::OptimizedOut | Place::Register(_) | Place::Constant(_) => {}
        }
    }

    /// Name and type of the variable at `die`; `None`: it is none, or one that is defined elsewhere.
    fn what(&mut self, mut die: Die) -> Option<(Box<str>, TypeId, bool)> {
        let (mut name, mut of, mut is_artificial) = (None, None, false);
        for _ in 0..CHAIN_MAX {
            let unit = self.units.get(die.unit)?;
            let entry = unit.unit.entry(UnitOffset(die.offset)).ok()?;
            if is_flag(&entry, gimli::DW_AT_declaration) {
                return None;
            }
            name = name.or_else(|| text_of(&unit, &entry, gimli::DW_AT_name));
            is_artificial |= is_flag(&entry, gimli::DW_AT_artificial);
            if of.is_none() {
                of = self.types.of_entry(&self.units, &unit, &entry);
            }
            match next(&self.units, die) {
                Some(further) if of.is_none() || name.is_none() => die = further,
                _ => break,
            }
        }
        Some((name.unwrap_or_default(), of?, is_artificial))
    }
}

/// The variable that is described at `die`, in no frame.
pub(super) fn outside(file: &mut DebugFile, die: Die) -> Option<Variable> {
    let (mut name, mut of, mut next_die) = (None, None, Some(die));
    // Its definition may leave name and type to a declaration.
    for _ in 0..CHAIN_MAX {
        let Some(at) = next_die else { break };
        let unit = file.units.get(at.unit)?;
        let entry = unit.unit.entry(UnitOffset(at.offset)).ok()?;
        name = name.or_else(|| text_of(&unit, &entry, gimli::DW_AT_name));
        if of.is_none() {
            of = file.types.of_entry(&file.units, &unit, &entry);
        }
        next_die = next(&file.units, at);
    }
    let of = of?;
    let here = Here {
        units: &file.units,
        unit: file.units.get(die.unit)?,
        pc: 0,
        frame_base: None,
        depth: CHAIN_MAX,
        is_outside: false,
    };
    let mut place = here.place(die, file.types.types.size(of));
    file.find_thread_local(&mut place);
    Some(Variable {
        name: name.unwrap_or_default(),
        of,
        place,
        is_artificial: false,
    })
}

/// What a function's own entry has of this kind, and what only the entry has that it is a copy of: that is nowhere in this copy.
pub(super) fn inherited(
    units: &Units,
    unit: &Unit,
    origin: Option<Die>,
    own: &[usize],
    tag: gimli::DwTag,
) -> Vec<Die> {
    let of_unit = |offset| Die {
        unit: unit.index,
        offset,
    };
    let own: Vec<Die> = own
        .iter()
        .take(VARIABLES_MAX)
        .copied()
        .map(of_unit)
        .collect();
    let Some(origin) = origin else {
        return own;
    };
    let Some(home) = units.get(origin.unit) else {
        return own;
    };
    let origins: Vec<Option<Die>> = own.iter().map(|die| next(units, *die)).collect();
    let mut all = Vec::new();
    // In the order of the source, which a copy may not keep.
    let mut taken = vec![false; own.len()];
    let read = for_each_child(&home, origin.offset, |child| {
        if child.tag() != tag {
            return;
        }
        let die = Die {
            unit: home.index,
            offset: child.offset().0,
        };
        let mut found = false;
        for (index, copy) in own.iter().enumerate() {
            if origins[index] == Some(die) {
                all.push(*copy);
                taken[index] = true;
                found = true;
            }
        }
        if !found {
            all.push(die);
        }
    });
    if read.is_none() {
        return own;
    }
    let others = own.iter().zip(&taken).filter(|(_, taken)| !**taken);
    all.extend(others.map(|(die, _)| *die));
    all.truncate(VARIABLES_MAX);
    all
}

impl Here<'_> {
    /// Where the variable is that is described at `die`.
    fn place(&self, mut die: Die, size: Option<u64>) -> Place {
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
