//! Variables are given other values.

use std::io::IoSlice;

use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::Pid;
use umbel_values::show::Limits;

use super::super::assign;
use super::super::expression::Expression;
use super::super::objects::{Around, Found, Object, saved};
use super::{Answer, Inspector};

/// What was changed.
pub struct Change {
    /// As it was shown before.
    pub before: String,
    /// And now.
    pub now: String,
}

impl Inspector {
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
}
