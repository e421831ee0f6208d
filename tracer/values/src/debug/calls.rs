//! Calls that debug information describes: whom they call, and what that finds in registers.

use gimli::{AttributeValue, UnitOffset};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};

use super::frames::body_begin;
use super::types::{for_each_child, is_flag, text_of};
use super::units::Die;
use super::{DebugFile, Frame, expression};
use crate::Place;

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

impl DebugFile {
    /// What is described of the call that returns to `return_address`.
    pub fn call(&mut self, frame: &Frame, return_address: u64) -> Option<Call> {
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
}
