//! Containers of the C++ library, shown by what they hold.

use super::{Level, Show, aggregate, scalar};
use crate::containers::{Container, Deque, DequePlace, member, recognize};
use crate::evaluate::Source;
use crate::{Absence, Entry, Shape, TypeId, Value};

/// Bits of a `std::vector<bool>` that are looked at.
const BITS_MAX: u64 = 1 << 12;

/// Elements that a container may say it has: more is memory that isn't a container yet, or no more.
const COUNT_MAX: u64 = 1 << 48;

impl Show<'_> {
    /// The value of the record `of` if it is a container. One whose inside makes no sense (it wasn't constructed yet, most
    /// likely) is shown as the record it is.
    pub(super) fn library(
        &mut self,
        of: TypeId,
        source: &Source,
        level: Level,
    ) -> Option<Result<Value, Absence>> {
        let container = recognize(self.types, of)?;
        match self.container(&container, source, level) {
            Err(Absence::Damaged) => None,
            shown => Some(shown),
        }
    }

    fn container(
        &mut self,
        container: &Container,
        source: &Source,
        level: Level,
    ) -> Result<Value, Absence> {
        match *container {
            Container::Text {
                pointer,
                count,
                unit,
            } => {
                let count = self.counted(source, count)?;
                let unit = self.types.size(unit).ok_or(Absence::Damaged)?;
                if ![1, 2, 4].contains(&unit) {
                    return Err(Absence::Damaged);
                }
                let address = self.word(source, pointer)?;
                self.text_of(address, unit, count)
            }
            Container::Span {
                begin,
                end,
                element,
            } => {
                let (begin, end) = (self.word(source, begin)?, self.word(source, end)?);
                let size = self.types.size(element).filter(|size| *size > 0);
                let size = size.ok_or(Absence::Damaged)?;
                // Not a whole number of elements: nobody constructed it yet.
                let bytes = end.checked_sub(begin).filter(|bytes| bytes % size == 0);
                let bytes = bytes.ok_or(Absence::Damaged)?;
                self.behind_pointer(begin, element, size, bytes / size, level)
            }
            Container::Counted {
                pointer,
                count,
                element,
            } => {
                let count = self.counted(source, count)?;
                let size = self.types.size(element).ok_or(Absence::Damaged)?;
                let begin = self.word(source, pointer)?;
                self.behind_pointer(begin, element, size, count, level)
            }
            Container::Bits { begin, end } => self.bits(source, begin, end),
            Container::Inner { offset, array } => {
                Ok(self.value(array, &source.part(offset)?, level.inside()))
            }
            Container::Tree {
                header,
                count,
                links,
                value_offset,
                value,
                is_map,
            } => {
                let count = self.counted(source, count)?;
                let first = self.word(source, header + links.left)?;
                let mut walk = Walk::new(value_offset, value, is_map, level);
                self.walk(&mut walk, first, count, |show, node| {
                    let next =
                        links.after(node, |address| show.word(&Source::Memory(address), 0))?;
                    next.ok_or(Absence::Damaged)
                })
            }
            Container::Chain {
                first,
                count,
                next,
                value_offset,
                value,
                is_map,
            } => {
                let first = self.word(source, first)?;
                let count = match count {
                    Some(count) => self.counted(source, count)?,
                    None => u64::MAX,
                };
                let mut walk = Walk::new(value_offset, value, is_map, level);
                self.walk(&mut walk, first, count, |show, node| {
                    show.word(&Source::Memory(node), next)
                })
            }
            Container::Deque {
                begin,
                end,
                element,
            } => self.deque(source, begin, end, element, level),
            Container::Tuple(ref parts) => {
                let mut entries = Vec::new();
                for (offset, of) in parts {
                    let place = source.part(*offset)?;
                    let value = self.value(*of, &place, level.inside());
                    entries.push(Entry::element(value));
                }
                Ok(Value::compound(Shape::List, entries))
            }
            Container::Owner { offset, pointer } => {
                Ok(self.value(pointer, &source.part(offset)?, level.inside()))
            }
            Container::Optional {
                engaged,
                offset,
                value,
            } => match source.bytes(engaged, 1, self.memory)?[..] {
                [0] => Ok(Value::compound(Shape::Holder, Vec::new())),
                [1] => self.holder(source, offset, value, level),
                _ => Err(Absence::Damaged),
            },
            Container::Variant {
                index,
                index_bytes,
                offset,
                ref alternatives,
            } => {
                let bytes = source.bytes(index, index_bytes, self.memory)?;
                let index = scalar::integer(&bytes, true).ok_or(Absence::Damaged)?;
                if index == -1 {
                    return Ok(Value::compound(Shape::Holder, Vec::new()));
                }
                let index = usize::try_from(index).map_err(|_| Absence::Damaged)?;
                let value = *alternatives.get(index).ok_or(Absence::Damaged)?;
                self.holder(source, offset, value, level)
            }
            Container::Holder { offset, value } => self.holder(source, offset, value, level),
        }
    }

    fn holder(
        &mut self,
        source: &Source,
        offset: u64,
        value: TypeId,
        level: Level,
    ) -> Result<Value, Absence> {
        let value = self.value(value, &source.part(offset)?, level.inside());
        Ok(Value::compound(Shape::Holder, vec![Entry::element(value)]))
    }

    fn counted(&self, source: &Source, offset: u64) -> Result<u64, Absence> {
        let count = self.word(source, offset)?;
        match count < COUNT_MAX {
            true => Ok(count),
            false => Err(Absence::Damaged),
        }
    }

    /// A text of `count` characters, which may have a 0 within.
    fn text_of(&self, address: u64, unit: u64, count: u64) -> Result<Value, Absence> {
        let mut units = Vec::new();
        for index in 0..count.min(self.limits.text as u64) {
            match Source::Memory(address).bytes(index * unit, unit, self.memory) {
                Ok(bytes) => units.push(scalar::integer(&bytes, false).unwrap_or(0) as u32),
                Err(absence) if index == 0 => return Err(absence),
                Err(_) => break,
            }
        }
        Ok(Value::Text {
            complete: units.len() as u64 == count,
            bytes: aggregate::utf8(&units, unit).into(),
        })
    }

    fn behind_pointer(
        &mut self,
        begin: u64,
        element: TypeId,
        size: u64,
        count: u64,
        level: Level,
    ) -> Result<Value, Absence> {
        if count >= COUNT_MAX {
            return Err(Absence::Damaged);
        }
        let source = Source::Memory(begin);
        let inner = level.inside();
        match self.elements(&source, size, count, |show, place| {
            show.value(element, place, inner)
        }) {
            // That it has elements is known, also if no one brought them along.
            Err(Absence::NotCaptured(_)) => Ok(Value::Compound {
                shape: Shape::List,
                title: "".into(),
                entries: Vec::new(),
                left_out: count,
            }),
            // Not constructed yet, most likely: its pointers are what lay there before.
            Err(absence @ Absence::Invalid(_)) if count > 0 => Ok(Value::Compound {
                shape: Shape::List,
                title: "".into(),
                entries: vec![Entry::element(Value::Absent(absence))],
                left_out: count - 1,
            }),
            shown => shown,
        }
    }

    fn bits(
        &mut self,
        source: &Source,
        begin: (u64, u64),
        end: (u64, u64),
    ) -> Result<Value, Absence> {
        let bit = |show: &Self, place: (u64, u64)| {
            let bytes = source.bytes(place.1, 4, show.memory)?;
            let bit = scalar::integer(&bytes, false).unwrap_or(0) as u64;
            Ok((show.word(source, place.0)?, bit))
        };
        let (first, first_bit) = bit(self, begin)?;
        let (last, last_bit) = bit(self, end)?;
        let words = last.checked_sub(first).ok_or(Absence::Damaged)?;
        let count = (words.saturating_mul(8).saturating_add(last_bit)).checked_sub(first_bit);
        let count = count.filter(|count| *count < COUNT_MAX);
        let count = count.ok_or(Absence::Damaged)?;
        let place = Source::Memory(first);
        let mut entries = Vec::new();
        for index in 0..count.min(self.limits.elements).min(BITS_MAX) {
            match place.bits(first_bit + index, 1, self.memory) {
                Ok(bit) => {
                    let text = if bit == [1] { "true" } else { "false" };
                    entries.push(Entry::element(Value::scalar(text)));
                }
                Err(_) => break,
            }
        }
        Ok(Value::Compound {
            shape: Shape::List,
            title: "".into(),
            left_out: count - entries.len() as u64,
            entries,
        })
    }

    /// Nodes from `node` on, in their order, as far as they are there. What comes behind one that is not is never shown: nobody
    /// could tell that something is missing between.
    fn walk(
        &mut self,
        walk: &mut Walk,
        mut node: u64,
        count: u64,
        next: impl Fn(&Self, u64) -> Result<u64, Absence>,
    ) -> Result<Value, Absence> {
        let is_counted = count != u64::MAX;
        let mut shown = 0;
        let mut is_whole = true;
        while shown < count && (is_counted || node != 0) {
            if shown >= self.limits.elements || self.left == 0 {
                is_whole = false;
                break;
            }
            let Some(entry) = self.node(walk, node) else {
                is_whole = false;
                break;
            };
            walk.entries.push(entry);
            shown += 1;
            if shown == count {
                break;
            }
            match next(self, node) {
                Ok(found) => node = found,
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        let left_out = match (is_whole, is_counted) {
            (true, _) => 0,
            (false, true) => count - shown,
            (false, false) => 1,
        };
        Ok(Value::Compound {
            shape: if walk.is_map { Shape::Map } else { Shape::List },
            title: "".into(),
            entries: std::mem::take(&mut walk.entries),
            left_out,
        })
    }

    fn node(&mut self, walk: &Walk, node: u64) -> Option<Entry> {
        let place = Source::Memory(node.wrapping_add(walk.value_offset));
        self.memory.read(place.address()?, &mut [0]).ok()?;
        let level = walk.level.inside();
        if !walk.is_map {
            let value = self.value(walk.value, &place, level);
            return (!value.is_absent()).then(|| Entry::element(value));
        }
        let (first, key) = member(self.types, walk.value, "first")?;
        let (second, value) = member(self.types, walk.value, "second")?;
        let key = self.value(key, &place.part(first).ok()?, level);
        let value = self.value(value, &place.part(second).ok()?, level);
        if key.is_absent() {
            return None;
        }
        Some(Entry {
            key: Some(key),
            ..Entry::element(value)
        })
    }

    fn deque(
        &mut self,
        source: &Source,
        begin: DequePlace,
        end: DequePlace,
        element: TypeId,
        level: Level,
    ) -> Result<Value, Absence> {
        let size = self.types.size(element).filter(|size| *size > 0);
        let size = size.ok_or(Absence::Damaged)?;
        let word = |offset| self.word(source, offset);
        let deque = Deque::read((begin, end), size, word)?;
        let count = deque.count().filter(|count| *count < COUNT_MAX);
        let count = count.ok_or(Absence::Damaged)?;
        let mut entries = Vec::new();
        while (entries.len() as u64) < count.min(self.limits.elements) {
            let map = |address| self.word(&Source::Memory(address), 0);
            let Ok(at) = deque.element(entries.len() as u64, map) else {
                break;
            };
            let value = self.value(element, &Source::Memory(at), level.inside());
            if value.is_absent() {
                break;
            }
            entries.push(Entry::element(value));
        }
        Ok(Value::Compound {
            shape: Shape::List,
            title: "".into(),
            left_out: count - entries.len() as u64,
            entries,
        })
    }
}

/// A walk over the nodes of a container.
struct Walk {
    value_offset: u64,
    value: TypeId,
    is_map: bool,
    level: Level,
    entries: Vec<Entry>,
}

impl Walk {
    fn new(value_offset: u64, value: TypeId, is_map: bool, level: Level) -> Self {
        Self {
            value_offset,
            value,
            is_map,
            level,
            entries: Vec::new(),
        }
    }
}
