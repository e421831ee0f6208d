//! A unit's functions by address, and what lies in what: read in one pass that leaves out the functions' insides.

use std::sync::OnceLock;

use gimli::{AttributeValue, DwTag, Range, UnitOffset};

use super::sections::Slice;
use super::units::Unit;

/// How deep entries lie in one another at most.
const DEPTH_MAX: usize = 512;

/// What a unit has.
#[derive(Default)]
pub struct Outline {
    /// By address: (begin, end, entry).
    functions: Vec<(u64, u64, usize)>,
    /// Functions and what they are a copy of, if that is of the same unit: (of what, entry).
    origins: Vec<(usize, usize)>,
    /// Namespaces and types that have names for what lies in them, by place.
    spans: Vec<Span>,
    /// The same with functions' insides, read when it is needed.
    deep: OnceLock<Box<Outline>>,
    /// Functions in functions: (entry, entry of the one around it), by place.
    nested: Vec<(usize, usize)>,
}

struct Span {
    begin: usize,
    end: usize,
    parent: Option<usize>,
}

impl Outline {
    /// Of this unit. Where it is damaged, it ends.
    pub fn read(unit: &Unit) -> Self {
        let mut outline = Self::default();
        // Functions in functions are rare, and looked for only if there is code that belongs to none.
        outline.scan(unit, false);
        outline.functions.sort_unstable();
        outline.origins.sort_unstable();
        outline
    }

    /// The entry of the function at `pc`.
    pub fn function(&self, unit: &Unit, pc: u64) -> Option<usize> {
        find(&self.functions, pc).or_else(|| find(&self.deep(unit).functions, pc))
    }

    /// The function that the one at `offset` lies in, if it lies in one.
    pub fn function_around(&self, unit: &Unit, offset: usize) -> Option<usize> {
        let nested = &self.deep(unit).nested;
        let at = nested.binary_search_by_key(&offset, |(entry, _)| *entry);
        Some(nested[at.ok()?].1)
    }

    fn deep(&self, unit: &Unit) -> &Self {
        self.deep.get_or_init(|| {
            let mut deep = Self::default();
            deep.scan(unit, true);
            deep.functions.sort_unstable();
            Box::new(deep)
        })
    }

    /// The copies with code of their own of the function at `origin`.
    pub fn copies(&self, origin: usize) -> impl Iterator<Item = usize> + '_ {
        let from = self.origins.partition_point(|(of, _)| *of < origin);
        let same = self.origins[from..]
            .iter()
            .take_while(move |(of, _)| *of == origin);
        same.map(|(_, copy)| *copy)
    }

    /// Begins of the namespaces and types around an entry, the innermost first.
    pub fn around(&self, offset: usize) -> Vec<usize> {
        let after = self.spans.partition_point(|span| span.begin < offset);
        let mut next = after.checked_sub(1);
        let mut around = Vec::new();
        // Parents come before their children, so this ends.
        while let Some(span) = next.and_then(|index| self.spans.get(index)) {
            if offset < span.end {
                around.push(span.begin);
            }
            next = span.parent;
        }
        around
    }

    fn scan(&mut self, unit: &Unit, is_deep: bool) -> Option<()> {
        let mut raw = unit.unit.entries_raw(None).ok()?;
        // Of each entry whose children are being read: its span, if it has one, and the function that they lie in.
        let mut open: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        let mut attributes = Vec::new();
        let mut innermost: Option<usize> = None;
        while !raw.is_empty() {
            let offset = raw.next_offset().0;
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                if let (Some(index), _) = open.pop()? {
                    self.spans[index].end = offset;
                    innermost = self.spans[index].parent;
                }
                if open.is_empty() {
                    break;
                }
                continue;
            };
            let tag = abbreviation.tag();
            let is_function = tag == gimli::DW_TAG_subprogram;
            if !abbreviation.has_children() && !is_function {
                raw.skip_attributes(abbreviation.attributes()).ok()?;
                continue;
            }
            raw.read_attributes(abbreviation.attributes(), &mut attributes)
                .ok()?;
            let mut around = open.last().and_then(|(_, function)| *function);
            if is_function {
                self.note_function(unit, offset, &attributes);
                self.nested.extend(around.map(|around| (offset, around)));
                around = Some(offset);
            }
            if !abbreviation.has_children() {
                continue;
            }
            let inside = raw.next_offset().0;
            if !(is_deep || has_insides(tag)) {
                let sibling = attributes.iter().find_map(|attribute| {
                    match (attribute.name(), attribute.value()) {
                        (gimli::DW_AT_sibling, AttributeValue::UnitRef(UnitOffset(next))) => {
                            Some(next)
                        }
                        _ => None,
                    }
                });
                if let Some(next) = sibling.filter(|next| *next >= inside) {
                    raw = unit.unit.entries_raw(Some(UnitOffset(next))).ok()?;
                    continue;
                }
            }
            if open.len() == DEPTH_MAX {
                return None;
            }
            let is_span = has_insides(tag) && !open.is_empty();
            if is_span {
                self.spans.push(Span {
                    begin: offset,
                    end: usize::MAX,
                    parent: innermost,
                });
                innermost = Some(self.spans.len() - 1);
            }
            open.push((innermost.filter(|_| is_span), around));
        }
        Some(())
    }

    fn note_function(
        &mut self,
        unit: &Unit,
        offset: usize,
        attributes: &[gimli::Attribute<Slice>],
    ) {
        let mut has_code = false;
        for range in ranges(unit, attributes) {
            if range.begin < range.end && range.begin != 0 {
                self.functions.push((range.begin, range.end, offset));
                has_code = true;
            }
        }
        let origin =
            attributes
                .iter()
                .find_map(|attribute| match (attribute.name(), attribute.value()) {
                    (gimli::DW_AT_abstract_origin, AttributeValue::UnitRef(origin)) => {
                        Some(origin.0)
                    }
                    _ => None,
                });
        if let (true, Some(origin)) = (has_code, origin) {
            self.origins.push((origin, offset));
        }
    }
}

/// Whether what lies in entries of this tag has their names before its own.
fn has_insides(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_compile_unit
            | gimli::DW_TAG_partial_unit
            | gimli::DW_TAG_type_unit
            | gimli::DW_TAG_skeleton_unit
            | gimli::DW_TAG_namespace
            | gimli::DW_TAG_module
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_interface_type
    )
}

/// The code of an entry with these attributes; at most [`RANGES_MAX`] parts.
pub fn ranges(unit: &Unit, attributes: &[gimli::Attribute<Slice>]) -> Vec<Range> {
    let mut found = Vec::new();
    let (mut low, mut high, mut size) = (None, None, None);
    for attribute in attributes {
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_low_pc, value) => {
                low = unit.dwarf.attr_address(&unit.unit, value).ok().flatten();
            }
            (gimli::DW_AT_high_pc, AttributeValue::Udata(bytes)) => size = Some(bytes),
            (gimli::DW_AT_high_pc, value) => {
                high = unit.dwarf.attr_address(&unit.unit, value).ok().flatten();
            }
            (gimli::DW_AT_ranges, value) => {
                let Ok(Some(mut list)) = unit.dwarf.attr_ranges(&unit.unit, value) else {
                    continue;
                };
                while let Ok(Some(range)) = list.next() {
                    found.push(range);
                    if found.len() == RANGES_MAX {
                        break;
                    }
                }
                return found;
            }
            _ => {}
        }
    }
    if let Some(begin) = low
        && let Some(end) = high.or_else(|| begin.checked_add(size?))
    {
        found.push(Range { begin, end });
    }
    found
}

/// Parts of a function or block at most.
const RANGES_MAX: usize = 4096;

fn find(functions: &[(u64, u64, usize)], pc: u64) -> Option<usize> {
    let after = functions.partition_point(|(begin, _, _)| *begin <= pc);
    let (_, end, function) = functions.get(after.checked_sub(1)?)?;
    (pc < *end).then_some(*function)
}
