//! Variables of a frame, read out of the living process.

use umbel_values::show::{self, Limits};
use umbel_values::{Absence, DebugFile, Memory, Value, Variable};

use super::memory::LiveMemory;
use super::modules::Modules;
use super::unwind::Registers;
use crate::symbols::short_name;

/// A variable with what it holds.
#[derive(Clone, Debug)]
pub struct Named {
    /// As in the source.
    pub name: String,
    /// Its type.
    pub of: String,
    /// What it holds.
    pub value: Value,
}

/// Memory with names for the functions in it.
pub struct View<'a> {
    /// The memory.
    pub memory: &'a LiveMemory,
    /// The files in it.
    pub modules: &'a Modules,
}

impl Memory for View<'_> {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        let read = self.memory.read(address, bytes);
        read.ok_or_else(|| self.memory.absence(address))
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        let mut text = Vec::new();
        while text.len() < limit {
            let mut byte = [0];
            match self.read(address.wrapping_add(text.len() as u64), &mut byte) {
                Ok(()) if byte[0] == 0 => return Ok((text, true)),
                Ok(()) => text.push(byte[0]),
                Err(absence) if text.is_empty() => return Err(absence),
                Err(_) => break,
            }
        }
        Ok((text, false))
    }

    fn symbol(&self, address: u64) -> Option<String> {
        let module = self.modules.at(address)?;
        let in_file = address.wrapping_sub(module.bias);
        let (name, begin) = module.image.name(in_file)?;
        let name = short_name(&name);
        Some(match in_file - begin {
            0 => name.into_owned(),
            offset => format!("{name}+{offset}"),
        })
    }
}

/// DWARF's number.
const XMM0: u16 = 17;

/// A frame's registers, with what its addresses are relative to.
pub struct FrameRegisters<'a> {
    /// The registers.
    pub registers: &'a Registers,
    /// The canonical frame address.
    pub frame_address: Option<u64>,
    /// The module's bias.
    pub bias: u64,
}

impl umbel_values::Registers for FrameRegisters<'_> {
    fn register(&self, number: u16) -> Option<u64> {
        self.registers.get(number)
    }

    fn vector(&self, number: u16) -> Option<[u8; 16]> {
        let vectors = self.registers.vectors.as_ref()?;
        vectors.get(usize::from(number.checked_sub(XMM0)?)).copied()
    }

    fn frame_address(&self) -> Option<u64> {
        self.frame_address
    }

    fn entry(&self, number: u16) -> Option<u64> {
        *self.registers.entries.get(usize::from(number))?
    }

    fn bias(&self) -> u64 {
        self.bias
    }
}

/// What variables hold.
pub fn values(
    file: &DebugFile,
    variables: &[Variable],
    registers: &FrameRegisters,
    view: &View,
    limits: &Limits,
) -> Vec<Named> {
    let types = file.types();
    let named = |variable: &Variable| Named {
        name: variable.name.to_string(),
        of: types
            .get(variable.of)
            .map_or_else(String::new, |of| of.name.to_string()),
        value: show::value(types, variable.of, &variable.place, registers, view, limits),
    };
    variables.iter().map(named).collect()
}
