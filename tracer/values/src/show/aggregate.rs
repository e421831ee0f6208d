//! Values with parts, and pointers.

use super::{Level, Show, scalar};
use crate::captured::is_nowhere;
use crate::evaluate::{self, Source};
use crate::{
    Absence, Base, Bound, Dimension, Encoding, Entry, Kind, Member, Offset, Shape, TypeId, Value,
    Variant,
};

/// Equal elements that are shown as one, as in gdb.
const REPEATS_MIN: u64 = 10;

/// Bytes of elements that are compared.
const COMPARED_BYTES_MAX: u64 = 64;

impl Show<'_> {
    pub(super) fn pointer(
        &mut self,
        target: TypeId,
        source: &Source,
        is_reference: bool,
        level: Level,
    ) -> Result<Value, Absence> {
        if let Source::Implicit(object, offset) = source {
            let skip = u64::try_from(*offset).map_err(|_| Absence::OptimizedOut)?;
            let object = object.part(skip)?;
            let wanted = is_reference || level.followed < self.limits.follow;
            let target = wanted.then(|| Box::new(self.value(target, &object, level.behind())));
            return Ok(Value::Pointer {
                address: None,
                target,
                symbol: None,
                is_cycle: false,
                is_reference,
            });
        }
        let address = self.word(source, 0)?;
        let (target_bare, target_type) = self.types.bare(target).ok_or(Absence::Damaged)?;
        let is_function = matches!(target_type.kind, Kind::Function);
        let symbol = match is_function && address != 0 {
            true => self.memory.symbol(address).map(Into::into),
            false => None,
        };
        let is_cycle = self.path.contains(&(address, target_bare));
        let unit = (!is_reference).then(|| self.character(target)).flatten();
        let wants_target = address != 0 && !is_cycle && !is_function;
        let follows = is_reference || level.followed < self.limits.follow;
        let behind = match is_reference {
            true => level.inside(),
            false => level.behind(),
        };
        let shown = match (wants_target, unit) {
            (false, _) => None,
            (true, Some(unit)) => Some(self.text_at(address, unit)),
            (true, None) if follows && self.types.size(target).is_some() => {
                let object = Source::Memory(address);
                Some(self.value(target, &object, behind))
            }
            (true, None) => None,
        };
        let shown = shown.filter(|shown| !matches!(shown, Value::Absent(Absence::NotCaptured(_))));
        Ok(Value::Pointer {
            address: (!is_nowhere(address)).then_some(address),
            target: shown.map(Box::new),
            symbol,
            is_cycle,
            is_reference,
        })
    }

    /// A pointer to a member: of a function two words, of data the offset in its class.
    pub(super) fn member_pointer(
        &mut self,
        target: TypeId,
        size: Option<u64>,
        source: &Source,
    ) -> Result<Value, Absence> {
        let word = self.word(source, 0)?;
        let bare = self.types.bare(target).map(|(_, found)| &found.kind);
        let is_function = matches!(bare, Some(Kind::Function)) || size == Some(16);
        if !is_function {
            return Ok(Value::scalar(match word {
                u64::MAX => "NULL".into(),
                offset => format!("{offset:#x}"),
            }));
        }
        if word & 1 == 1 {
            return Ok(Value::scalar(format!("&virtual {:#x}", word - 1)));
        }
        Ok(Value::Pointer {
            address: Some(word),
            target: None,
            symbol: self
                .memory
                .symbol(word)
                .filter(|_| word != 0)
                .map(Into::into),
            is_cycle: false,
            is_reference: false,
        })
    }

    pub(super) fn array(
        &mut self,
        element: TypeId,
        dimensions: &[Dimension],
        source: &Source,
        level: Level,
    ) -> Result<Value, Absence> {
        let (first, inner) = dimensions.split_first().ok_or(Absence::Damaged)?;
        let count = self.count(&first.count, source)?;
        if let (Some(unit), []) = (self.character(element), inner)
            && (unit > 1 || self.is_text(element, source, count))
        {
            return self.text_in(source, unit, count);
        }
        let mut stride = self.types.size(element).ok_or(Absence::Damaged)?;
        for dimension in inner {
            stride = stride
                .checked_mul(self.count(&dimension.count, source)?)
                .ok_or(Absence::Damaged)?;
        }
        self.elements(source, stride, count, |show, element_source| {
            match inner.is_empty() {
                true => show.value(element, element_source, level.inside()),
                false if level.nested > super::NESTED_MAX => Value::Absent(Absence::Damaged),
                false => show
                    .array(element, inner, element_source, level.inside())
                    .unwrap_or_else(Value::Absent),
            }
        })
    }

    /// Whether an array of bytes is to be read as text: of `char` always; of `unsigned char`, which mostly are numbers, if nothing
    /// but zeros is behind its end and no control character before.
    fn is_text(&self, element: TypeId, source: &Source, count: u64) -> bool {
        let bare = self.types.bare(element).map(|(_, found)| &found.kind);
        if !matches!(bare, Some(Kind::Base(Encoding::UnsignedChar))) {
            return true;
        }
        let Ok(bytes) = source.bytes(0, count.min(self.limits.text as u64), self.memory) else {
            return true;
        };
        let end = bytes.iter().position(|byte| *byte == 0);
        let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        let is_plain = |byte: &u8| *byte >= b' ' || b"\t\n\r".contains(byte);
        !text.is_empty() && text.iter().all(is_plain) && rest.iter().all(|byte| *byte == 0)
    }

    /// `count` elements side by side, equal ones as one.
    pub(super) fn elements(
        &mut self,
        source: &Source,
        stride: u64,
        count: u64,
        mut show: impl FnMut(&mut Self, &Source) -> Value,
    ) -> Result<Value, Absence> {
        let mut entries = Vec::new();
        let (mut index, mut shown) = (0, 0);
        while index < count && shown < self.limits.elements && self.left > 0 {
            let offset = index.checked_mul(stride).ok_or(Absence::Damaged)?;
            let place = source.part(offset)?;
            let run = match stride {
                0 => count - index,
                _ => self.run(source, stride, index, count),
            };
            let times = if run >= REPEATS_MIN { run } else { 1 };
            let value = show(self, &place);
            if let Value::Absent(absence) = &value
                && matches!(source, Source::Memory(_))
            {
                // What the event brought along ends here.
                if index == 0 {
                    return Err(absence.clone());
                }
                break;
            }
            entries.push(Entry {
                times,
                ..Entry::element(value)
            });
            shown += times.min(REPEATS_MIN);
            index += times;
        }
        Ok(Value::Compound {
            shape: Shape::List,
            title: "".into(),
            entries,
            left_out: count - index,
        })
    }

    /// How many elements from `index` on have the same bytes.
    fn run(&mut self, source: &Source, stride: u64, index: u64, count: u64) -> u64 {
        if stride > COMPARED_BYTES_MAX {
            return 1;
        }
        let memory = self.memory;
        let bytes = |index: u64| source.bytes(index.saturating_mul(stride), stride, memory);
        let Ok(first) = bytes(index) else { return 1 };
        let end = count.min(index.saturating_add(self.compared_left));
        let mut next = index + 1;
        while next < end && bytes(next).is_ok_and(|bytes| bytes == first) {
            next += 1;
        }
        self.compared_left -= (next - index).min(self.compared_left);
        next - index
    }

    fn count(&self, bound: &Bound, source: &Source) -> Result<u64, Absence> {
        match bound {
            Bound::Fixed(count) => Ok(*count),
            Bound::Dynamic(address) => {
                let object = source.address();
                let count = evaluate::address_in(address, object, self.registers, self.memory)?;
                // An upper bound of -1, as of an array that is empty, is a count of 0.
                Ok(if (count as i64) < 0 { 0 } else { count })
            }
            Bound::Unknown => Ok(0),
        }
    }

    pub(super) fn record(
        &mut self,
        of: TypeId,
        source: &Source,
        level: Level,
    ) -> Result<Value, Absence> {
        let types = self.types;
        let Some(Kind::Record {
            bases,
            members,
            variants,
            is_declaration,
            ..
        }) = types.get(of).map(|found| &found.kind)
        else {
            return Err(Absence::Damaged);
        };
        if *is_declaration {
            return Ok(Value::scalar("<incomplete type>"));
        }
        // A record of which no byte is there is absent as a whole: the limits of the event left it out.
        if let (Source::Memory(address), Some(1..)) = (source, types.size(of)) {
            self.memory.read(*address, &mut [0])?;
        }
        let mut entries = Vec::new();
        let mut left_out = 0;
        for base in bases {
            entries.push(self.base(base, source, level));
        }
        for member in members {
            if self.left == 0 {
                left_out += 1;
                continue;
            }
            if member.is_artificial || member.name.starts_with("_vptr") {
                continue;
            }
            let value = self.member(member, source, level);
            entries.push(Entry::named(&member.name, value));
        }
        let mut title = "".into();
        if let Some(variants) = variants {
            title = self.variant(variants, source, level, &mut entries)?;
        }
        Ok(Value::Compound {
            shape: Shape::Record,
            title,
            entries,
            left_out,
        })
    }

    fn base(&mut self, base: &Base, source: &Source, level: Level) -> Entry {
        let types = self.types;
        let name = types.get(base.of).map_or("", |found| &*found.name);
        let name = format!("<{name}>");
        let value = match self.located(&base.offset, source) {
            Ok(place) => self.value(base.of, &place, level.inside()),
            Err(absence) => Value::Absent(absence),
        };
        Entry::named(&name, value)
    }

    pub(super) fn member(&mut self, member: &Member, source: &Source, level: Level) -> Value {
        let shown = match member.bits {
            Some((first, count)) => self.bit_field(member.of, source, first, count),
            None => self
                .located(&member.offset, source)
                .map(|place| self.value(member.of, &place, level.inside())),
        };
        shown.unwrap_or_else(Value::Absent)
    }

    fn located(&self, offset: &Offset, source: &Source) -> Result<Source, Absence> {
        match offset {
            Offset::Fixed(offset) => source.part(*offset),
            Offset::Dynamic(address) => {
                let record = source.address().ok_or(Absence::OptimizedOut)?;
                let address =
                    evaluate::address_in(address, Some(record), self.registers, self.memory)?;
                Ok(Source::Memory(address))
            }
        }
    }

    fn bit_field(
        &mut self,
        of: TypeId,
        source: &Source,
        first: u64,
        count: u64,
    ) -> Result<Value, Absence> {
        let (_, found) = self.types.bare(of).ok_or(Absence::Damaged)?;
        let size = found.size.filter(|size| (1..=16).contains(size));
        let size = size.ok_or(Absence::Damaged)?;
        if count == 0 || count > size * 8 {
            return Err(Absence::Damaged);
        }
        let mut bytes = source.bits(first, count, self.memory)?;
        bytes.resize(size as usize, 0);
        let is_signed = match &found.kind {
            Kind::Base(encoding) => scalar::is_signed(*encoding),
            kind => self.is_signed_enum(kind),
        };
        let top = count - 1;
        if is_signed && bytes[(top / 8) as usize] >> (top % 8) & 1 == 1 {
            for bit in count..size * 8 {
                bytes[(bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        match &found.kind {
            Kind::Base(encoding) => scalar::base(&found.name, *encoding, &bytes),
            Kind::Enum { enumerators, .. } => scalar::enumeration(enumerators, is_signed, &bytes),
            _ => Err(Absence::Damaged),
        }
    }

    /// The part that is there of a Rust enum; its name.
    fn variant(
        &mut self,
        variant: &Variant,
        source: &Source,
        level: Level,
        entries: &mut Vec<Entry>,
    ) -> Result<Box<str>, Absence> {
        let discriminant = match &variant.discriminant {
            None => None,
            Some(member) => {
                let place = self.located(&member.offset, source)?;
                let (_, found) = self.types.bare(member.of).ok_or(Absence::Damaged)?;
                let size = found.size.ok_or(Absence::Damaged)?;
                let is_signed =
                    matches!(found.kind, Kind::Base(encoding) if scalar::is_signed(encoding));
                let bytes = place.bytes(0, size.min(16), self.memory)?;
                scalar::integer(&bytes, is_signed)
            }
        };
        let named =
            |part: &&(Vec<i128>, Member)| discriminant.is_some_and(|value| part.0.contains(&value));
        let part = variant.parts.iter().find(named);
        let part = part.or_else(|| variant.parts.iter().find(|part| part.0.is_empty()));
        let (_, member) = part.ok_or(Absence::Damaged)?;
        if let Value::Compound { entries: inner, .. } = self.member(member, source, level) {
            entries.extend(inner);
        }
        Ok(member.name.clone())
    }

    /// Eight bytes.
    pub(super) fn word(&self, source: &Source, offset: u64) -> Result<u64, Absence> {
        let bytes = source.bytes(offset, 8, self.memory)?;
        let bytes = bytes.try_into().map_err(|_| Absence::Damaged)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Bytes of a character of this type; `None`: it is none.
    pub(super) fn character(&self, of: TypeId) -> Option<u64> {
        let (_, found) = self.types.bare(of)?;
        match (&found.kind, found.size?) {
            (Kind::Base(Encoding::SignedChar | Encoding::UnsignedChar), 1) => Some(1),
            (Kind::Base(Encoding::Utf), size @ (1 | 2 | 4)) => Some(size),
            (Kind::Base(Encoding::Signed | Encoding::Unsigned), size @ (2 | 4)) => {
                self.wide_name(of).map(|_| size)
            }
            _ => None,
        }
    }

    /// A text that ends with 0.
    pub(super) fn text_at(&mut self, address: u64, unit: u64) -> Value {
        let limit = self.limits.text;
        if unit == 1 {
            return match self.memory.text(address, limit) {
                Ok((bytes, complete)) => Value::Text {
                    bytes: bytes.into(),
                    complete,
                },
                Err(absence) => Value::Absent(absence),
            };
        }
        let source = Source::Memory(address);
        self.text_in(&source, unit, limit as u64)
            .unwrap_or_else(Value::Absent)
    }

    /// A text up to its 0, in memory for `count` characters.
    pub(super) fn text_in(
        &mut self,
        source: &Source,
        unit: u64,
        count: u64,
    ) -> Result<Value, Absence> {
        let (mut units, mut complete) = (Vec::new(), false);
        let limit = count.min(self.limits.text as u64);
        for index in 0..limit {
            let bytes = match source.bytes(index * unit, unit, self.memory) {
                Ok(bytes) => bytes,
                Err(absence) if index == 0 => return Err(absence),
                Err(_) => break,
            };
            match scalar::integer(&bytes, false) {
                Some(0) => {
                    complete = true;
                    break;
                }
                code => units.push(code.unwrap_or(0) as u32),
            }
        }
        complete |= units.len() as u64 == count;
        Ok(Value::Text {
            bytes: utf8(&units, unit).into(),
            complete,
        })
    }
}

/// Characters of one, two or four bytes; those of more than one as UTF-8.
pub(super) fn utf8(units: &[u32], unit: u64) -> Vec<u8> {
    match unit {
        1 => units.iter().map(|unit| *unit as u8).collect(),
        2 => {
            let units = units.iter().map(|unit| *unit as u16);
            let text = char::decode_utf16(units)
                .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER));
            text.collect::<String>().into_bytes()
        }
        _ => {
            let text = units
                .iter()
                .map(|unit| char::from_u32(*unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            text.collect::<String>().into_bytes()
        }
    }
}
