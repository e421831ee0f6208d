//! Units of debug information: found by address, read when asked for.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gimli::{
    AttributeValue, DebugInfoOffset, DebugTypeSignature, Dwarf, DwarfFileType, DwarfPackage, DwoId,
    Reader, UnitHeader, UnitOffset, UnitType,
};

use super::names::Names;
use super::outline::Outline;
use super::sections::{Sections, Slice, empty};

/// Units of a file at most; ranges and the like are bounded by its bytes.
const UNITS_MAX: usize = 1 << 20;

/// A place in the debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Die {
    /// Index of the unit.
    pub unit: u32,
    /// Where in it.
    pub offset: usize,
}

/// Where a unit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Begin {
    /// In .debug_info.
    Info(usize),
    /// In .debug_types.
    Types(usize),
}

/// One unit.
pub struct Unit {
    /// Its index.
    pub index: u32,
    /// The sections that it is read from.
    pub dwarf: Arc<Dwarf<Slice>>,
    /// Its head.
    pub unit: gimli::Unit<Slice>,
    /// In which of [`Units`]' parts it lies.
    part: usize,
    outline: OnceLock<Outline>,
    language: OnceLock<gimli::DwLang>,
}

impl Unit {
    /// What it has, by address and by place.
    pub fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| Outline::read(self))
    }

    /// Whether names don't lie in one another.
    pub fn is_plain_c(&self) -> bool {
        matches!(
            self.language(),
            gimli::DW_LANG_C
                | gimli::DW_LANG_C89
                | gimli::DW_LANG_C99
                | gimli::DW_LANG_C11
                | gimli::DW_LANG_C17
        )
    }

    /// Whether arrays lie by columns.
    pub fn is_fortran(&self) -> bool {
        matches!(
            self.language(),
            gimli::DW_LANG_Fortran77
                | gimli::DW_LANG_Fortran90
                | gimli::DW_LANG_Fortran95
                | gimli::DW_LANG_Fortran03
                | gimli::DW_LANG_Fortran08
                | gimli::DW_LANG_Fortran18
        )
    }

    /// The first index of arrays that don't say theirs.
    pub fn lower_bound(&self) -> i64 {
        self.language()
            .default_lower_bound()
            .unwrap_or(0)
            .try_into()
            .unwrap_or(0)
    }

    fn language(&self) -> gimli::DwLang {
        *self.language.get_or_init(|| {
            let root = self.unit.entry(self.unit.header.root_offset()).ok();
            match root.and_then(|root| root.attr_value(gimli::DW_AT_language)) {
                Some(AttributeValue::Language(language)) => language,
                _ => gimli::DwLang(0),
            }
        })
    }

    /// The text of an attribute.
    pub fn text(&self, value: AttributeValue<Slice>) -> Option<Box<str>> {
        let text = self.dwarf.attr_string(&self.unit, value).ok()?;
        Some(text.to_string_lossy().ok()?.into_owned().into())
    }
}

/// Sections, and units read from them.
struct Part {
    dwarf: Arc<Dwarf<Slice>>,
    /// Begins of the units of .debug_info, sorted.
    begins: OnceLock<Vec<usize>>,
    signatures: OnceLock<HashMap<u64, Begin>>,
    /// What the unit of a part of its own shares with the one that refers to it.
    skeleton: Option<u32>,
}

/// All units of a file and of those that it was split into.
pub struct Units {
    path: PathBuf,
    state: RefCell<State>,
    names: OnceCell<Names>,
}

#[derive(Default)]
struct State {
    parts: Vec<Part>,
    units: Vec<Arc<Unit>>,
    by_place: HashMap<(usize, Begin), u32>,
    /// Address ranges (begin, end, unit of part 0), sorted; those that .debug_aranges has, then those that only the units have.
    ranges: Option<Vec<(u64, u64, usize)>>,
    all_ranges: Option<Vec<(u64, u64, usize)>>,
    package: Option<Option<Arc<DwarfPackage<Slice>>>>,
    split: HashMap<u32, Option<u32>>,
}

impl Units {
    /// Of the file with these sections.
    pub fn new(sections: &Sections) -> Self {
        let dwarf = load(sections, false);
        let state = State {
            parts: vec![Part::new(dwarf, None)],
            ..State::default()
        };
        Self {
            path: sections.path().to_owned(),
            state: RefCell::new(state),
            names: OnceCell::new(),
        }
    }

    /// Types by name. Reads all units when it is first asked for.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::read(self))
    }

    /// All units; of those that were split, the part with the types.
    pub fn all(&self) -> Vec<Arc<Unit>> {
        let mut state = self.state.borrow_mut();
        let begins = state.parts.first().map(|part| part.begins().to_vec());
        let mut all = Vec::new();
        for begin in begins.unwrap_or_default() {
            let Some(unit) = state.load(0, Begin::Info(begin)) else {
                continue;
            };
            let whole = state.whole(unit, &self.path).unwrap_or(unit);
            all.extend(state.units.get(whole as usize).cloned());
        }
        all
    }

    /// The unit with this index.
    pub fn get(&self, index: u32) -> Option<Arc<Unit>> {
        self.state.borrow().units.get(index as usize).cloned()
    }

    /// The unit with the code at `pc`; of one that was split, the part with the variables.
    pub fn at(&self, pc: u64) -> Option<Arc<Unit>> {
        let mut state = self.state.borrow_mut();
        let begin = state.begin_at(pc)?;
        let unit = state.load(0, Begin::Info(begin))?;
        match state.whole(unit, &self.path) {
            Some(split) => state.units.get(split as usize).cloned(),
            None => state.units.get(unit as usize).cloned(),
        }
    }

    /// The unit and place that an attribute of `unit` refers to.
    pub fn refer(&self, unit: &Unit, value: &AttributeValue<Slice>) -> Option<Die> {
        match *value {
            AttributeValue::UnitRef(UnitOffset(offset)) => Some(Die {
                unit: unit.index,
                offset,
            }),
            AttributeValue::DebugInfoRef(offset) => self.die(unit, offset),
            AttributeValue::DebugTypesRef(signature) => self.of_signature(unit, signature),
            _ => None,
        }
    }

    /// The unit and place of an offset in the section that `unit` lies in.
    pub fn die(&self, unit: &Unit, offset: DebugInfoOffset<usize>) -> Option<Die> {
        let mut state = self.state.borrow_mut();
        let begins = state.parts.get(unit.part)?.begins();
        let after = begins.partition_point(|begin| *begin <= offset.0);
        let begin = *begins.get(after.checked_sub(1)?)?;
        let place = Begin::Info(begin);
        let index = state.load(unit.part, place)?;
        Some(Die {
            unit: index,
            offset: offset.0 - begin,
        })
    }

    fn of_signature(&self, unit: &Unit, signature: DebugTypeSignature) -> Option<Die> {
        let mut state = self.state.borrow_mut();
        let part = state.parts.get(unit.part)?;
        let place = *part.signatures().get(&signature.0)?;
        let index = state.load(unit.part, place)?;
        let found = state.units.get(index as usize)?;
        match found.unit.header.type_() {
            UnitType::Type { type_offset, .. } | UnitType::SplitType { type_offset, .. } => {
                Some(Die {
                    unit: index,
                    offset: type_offset.0,
                })
            }
            _ => None,
        }
    }
}

impl Part {
    fn new(dwarf: Dwarf<Slice>, skeleton: Option<u32>) -> Self {
        Self {
            dwarf: Arc::new(dwarf),
            begins: OnceLock::new(),
            signatures: OnceLock::new(),
            skeleton,
        }
    }

    fn begins(&self) -> &[usize] {
        self.begins.get_or_init(|| {
            let mut begins = Vec::new();
            let mut headers = self.dwarf.units();
            while let Ok(Some(header)) = headers.next() {
                if let Some(offset) = header.debug_info_offset() {
                    begins.push(offset.0);
                }
                if begins.len() == UNITS_MAX {
                    break;
                }
            }
            begins
        })
    }

    fn signatures(&self) -> &HashMap<u64, Begin> {
        self.signatures.get_or_init(|| {
            let mut found = HashMap::new();
            let mut note = |header: &UnitHeader<Slice>| {
                if let UnitType::Type { type_signature, .. }
                | UnitType::SplitType { type_signature, .. } = header.type_()
                {
                    let begin = match (header.debug_info_offset(), header.debug_types_offset()) {
                        (Some(offset), _) => Begin::Info(offset.0),
                        (None, Some(offset)) => Begin::Types(offset.0),
                        (None, None) => return,
                    };
                    found.entry(type_signature.0).or_insert(begin);
                }
            };
            let mut headers = self.dwarf.units();
            for _ in 0..UNITS_MAX {
                let Ok(Some(header)) = headers.next() else {
                    break;
                };
                note(&header);
            }
            let mut headers = self.dwarf.type_units();
            for _ in 0..UNITS_MAX {
                let Ok(Some(header)) = headers.next() else {
                    break;
                };
                note(&header);
            }
            found
        })
    }
}

impl State {
    /// Begin of the unit of the file itself with the code at `pc`.
    fn begin_at(&mut self, pc: u64) -> Option<usize> {
        let part = self.parts.first()?;
        let listed = self.ranges.get_or_insert_with(|| listed(&part.dwarf));
        if let Some(found) = find(listed, pc) {
            return Some(found);
        }
        let all = self.all_ranges.get_or_insert_with(|| {
            let mut known: Vec<usize> = listed.iter().map(|(_, _, unit)| *unit).collect();
            known.sort_unstable();
            unlisted(part, &known)
        });
        find(all, pc)
    }

    fn load(&mut self, part: usize, place: Begin) -> Option<u32> {
        if let Some(index) = self.by_place.get(&(part, place)) {
            return Some(*index);
        }
        let home = self.parts.get(part)?;
        let header = match place {
            Begin::Info(offset) => home.dwarf.unit_header(DebugInfoOffset(offset)).ok()?,
            Begin::Types(offset) => {
                let mut headers = home.dwarf.type_units();
                loop {
                    let header = headers.next().ok()??;
                    if header
                        .debug_types_offset()
                        .is_some_and(|begin| begin.0 == offset)
                    {
                        break header;
                    }
                }
            }
        };
        let mut unit = home.dwarf.unit(header).ok()?;
        if let Some(skeleton) = home.skeleton {
            unit.copy_relocated_attributes(&self.units.get(skeleton as usize)?.unit);
        }
        let index = u32::try_from(self.units.len()).ok()?;
        self.units.push(Arc::new(Unit {
            index,
            dwarf: Arc::clone(&home.dwarf),
            unit,
            part,
            outline: OnceLock::new(),
            language: OnceLock::new(),
        }));
        self.by_place.insert((part, place), index);
        Some(index)
    }

    /// The unit that `skeleton` is the rest of, if it was split.
    fn whole(&mut self, skeleton: u32, path: &Path) -> Option<u32> {
        let unit = Arc::clone(self.units.get(skeleton as usize)?);
        let id = unit.unit.dwo_id?;
        if let Some(known) = self.split.get(&skeleton) {
            return *known;
        }
        let whole = self.find_split(&unit, id, path);
        self.split.insert(skeleton, whole);
        whole
    }

    fn find_split(&mut self, unit: &Unit, id: DwoId, path: &Path) -> Option<u32> {
        let dwarf = self
            .of_package(unit, id, path)
            .or_else(|| of_object(unit, path))?;
        let part = self.parts.len();
        self.parts.push(Part::new(dwarf, Some(unit.index)));
        let begins = self.parts.last()?.begins().to_vec();
        for begin in begins {
            let place = Begin::Info(begin);
            let Some(index) = self.load(part, place) else {
                continue;
            };
            let found = self.units.get(index as usize)?;
            if found.unit.dwo_id == Some(id) {
                return Some(index);
            }
        }
        None
    }

    fn of_package(&mut self, unit: &Unit, id: DwoId, path: &Path) -> Option<Dwarf<Slice>> {
        let package = self.package.get_or_insert_with(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".dwp");
            let sections = Sections::open(Path::new(&name)).ok()?;
            let load = |section: gimli::SectionId| {
                Ok::<_, gimli::Error>(match section.dwo_name() {
                    Some(name) => sections.read(name).1,
                    None => empty(),
                })
            };
            DwarfPackage::load(load, empty()).ok().map(Arc::new)
        });
        package.as_ref()?.find_cu(id, &unit.dwarf).ok()?
    }
}

/// The file of its own that a unit was put into.
fn of_object(unit: &Unit, path: &Path) -> Option<Dwarf<Slice>> {
    let name = unit.text(unit.unit.dwo_name().ok()??)?;
    let directory = unit
        .unit
        .comp_dir
        .as_ref()?
        .to_string_lossy()
        .ok()?
        .into_owned();
    let beside = path.parent()?.join(Path::new(&*name).file_name()?);
    let candidates = [Path::new(&directory).join(&*name), beside];
    let sections = candidates
        .iter()
        .find_map(|candidate| Sections::open(candidate).ok())?;
    let mut dwarf = load(&sections, true);
    dwarf.make_dwo(&unit.dwarf);
    Some(dwarf)
}

fn load(sections: &Sections, is_split: bool) -> Dwarf<Slice> {
    let section = |id| Ok::<_, Infallible>(sections.dwarf_section(id, is_split));
    let Ok(mut dwarf) = Dwarf::load(section);
    if is_split {
        dwarf.file_type = DwarfFileType::Dwo;
    }
    dwarf
}

/// What .debug_aranges says.
fn listed(dwarf: &Dwarf<Slice>) -> Vec<(u64, u64, usize)> {
    let mut ranges = Vec::new();
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let unit = header.debug_info_offset().0;
        let mut entries = header.entries();
        while let Ok(Some(entry)) = entries.next() {
            let range = entry.range();
            ranges.push((range.begin, range.end, unit));
        }
    }
    ranges.retain(|(begin, end, _)| begin < end && *begin != 0);
    ranges.sort_unstable();
    ranges
}

/// The ranges of units that have none in .debug_aranges: clang writes no such section.
fn unlisted(part: &Part, known: &[usize]) -> Vec<(u64, u64, usize)> {
    let mut ranges = Vec::new();
    for begin in part.begins() {
        if known.binary_search(begin).is_ok() {
            continue;
        }
        let unit = part
            .dwarf
            .unit_header(DebugInfoOffset(*begin))
            .and_then(|header| part.dwarf.unit(header));
        let Ok(unit) = unit else {
            continue;
        };
        let Ok(mut of_unit) = part.dwarf.unit_ranges(&unit) else {
            continue;
        };
        while let Ok(Some(range)) = of_unit.next() {
            ranges.push((range.begin, range.end, *begin));
        }
    }
    ranges.retain(|(begin, end, _)| begin < end && *begin != 0);
    ranges.sort_unstable();
    ranges
}

fn find(ranges: &[(u64, u64, usize)], pc: u64) -> Option<usize> {
    let after = ranges.partition_point(|(begin, _, _)| *begin <= pc);
    let (_, end, unit) = ranges.get(after.checked_sub(1)?)?;
    (pc < *end).then_some(*unit)
}
