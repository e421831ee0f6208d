//! The functions of one ELF file, by address.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use object::elf::{
    self, FileHeader64, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STB_GLOBAL, STB_WEAK, STT_FUNC,
    STT_GNU_IFUNC, STT_NOTYPE,
};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache};

/// Functions that a file has at most: beyond them its table is taken for damaged.
const FUNCTIONS_MAX: usize = 64 << 20;

/// One function of a file. Addresses are those of the file: a process adds its load bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Where it begins.
    pub begin: u64,
    /// Behind its last byte.
    pub end: u64,
    /// Its name for the linker: mangled, and `NAME.cold` for a part that was split off.
    pub name: Cow<'a, str>,
    /// Whether other files may bring their own: inline functions and templates in C++.
    pub is_weak: bool,
}

/// Functions sorted by address, one name for each.
#[derive(Clone, Debug, Default)]
pub struct FunctionTable {
    entries: Vec<Entry>,
    strings: Vec<u8>,
    is_full: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    begin: u64,
    end: u64,
    name_start: u32,
    name_bytes: u32,
    /// Which of several names of an address is shown: the smallest.
    rank: u8,
}

type Symbol = elf::Sym64<Endianness>;
type Data<'a> = &'a ReadCache<File>;

impl FunctionTable {
    /// What the file's symbol tables say: `.symtab`, or else `.dynsym`. `Err` says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let data = ReadCache::new(file);
        Self::parse(&data).map_err(|error| error.to_string())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether functions that only the file itself sees are among them: false where they were stripped.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All functions, by address.
    pub fn iter(&self) -> impl Iterator<Item = Function<'_>> {
        self.entries.iter().map(|entry| self.function(entry))
    }

    /// The function that an address of the file lies in.
    pub fn at(&self, address: u64) -> Option<Function<'_>> {
        let after = self.entries.partition_point(|entry| entry.begin <= address);
        let entry = &self.entries[after.checked_sub(1)?];
        (address < entry.end).then(|| self.function(entry))
    }

    fn function(&self, entry: &Entry) -> Function<'_> {
        let start = entry.name_start as usize;
        let bytes = self.strings.get(start..start + entry.name_bytes as usize);
        Function {
            begin: entry.begin,
            end: entry.end,
            name: String::from_utf8_lossy(bytes.unwrap_or_default()),
            is_weak: entry.rank % RANKS_OF_KIND == WEAK,
        }
    }

    fn parse(data: Data) -> object::Result<Self> {
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let mut table = Self::default();
        for kind in [SHT_SYMTAB, SHT_DYNSYM] {
            let Some(section) = sections.iter().find(|one| one.sh_type(endian) == kind) else {
                continue;
            };
            let symbols: &[Symbol] = section.data_as_array(endian, data)?;
            let strings = sections.section(section.link(endian))?;
            table.strings = strings.data(endian, data)?.to_vec();
            table.take(symbols, endian);
            table.is_full = kind == SHT_SYMTAB && !table.is_empty();
            if !table.is_empty() {
                break;
            }
        }
        Ok(table)
    }

    fn take(&mut self, symbols: &[Symbol], endian: Endianness) {
        let count = symbols.len().min(FUNCTIONS_MAX);
        self.entries.reserve(count / 2);
        for symbol in &symbols[..count] {
            let is_function = matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC);
            // Functions written in assembler often have no type; with a size they are functions all the same.
            let is_untyped = symbol.st_type() == STT_NOTYPE && symbol.st_size(endian) > 0;
            if !(is_function || is_untyped) || symbol.st_shndx(endian) == SHN_UNDEF {
                continue;
            }
            let name_start = symbol.st_name(endian);
            let Some(rest) = self.strings.get(name_start as usize..) else {
                continue;
            };
            let name_bytes = rest.iter().position(|byte| *byte == 0);
            let name_bytes = name_bytes.unwrap_or(rest.len());
            let begin = symbol.st_value(endian);
            if name_bytes == 0 || begin == 0 {
                continue;
            }
            self.entries.push(Entry {
                begin,
                end: begin.saturating_add(symbol.st_size(endian)),
                name_start,
                name_bytes: u32::try_from(name_bytes).unwrap_or(u32::MAX),
                rank: rank(symbol),
            });
        }
        self.settle();
    }

    /// Sorts, keeps one name for each address, and lets functions without size reach to the next.
    fn settle(&mut self) {
        let strings = &self.strings;
        let name = |entry: &Entry| {
            let start = entry.name_start as usize;
            strings.get(start..start + entry.name_bytes as usize)
        };
        // Of equal ranks the shortest name, then the first of the alphabet: the same on each day.
        self.entries.sort_unstable_by(|one, other| {
            (one.begin, one.rank, one.name_bytes)
                .cmp(&(other.begin, other.rank, other.name_bytes))
                .then_with(|| name(one).cmp(&name(other)))
        });
        self.entries.dedup_by(|later, kept| {
            let is_alias = later.begin == kept.begin;
            if is_alias {
                kept.end = kept.end.max(later.end);
            }
            is_alias
        });
        let mut next = u64::MAX;
        for entry in self.entries.iter_mut().rev() {
            if entry.end <= entry.begin {
                entry.end = next.min(entry.begin.saturating_add(SIZELESS_BYTES_MAX));
            }
            next = entry.begin;
        }
    }
}

/// How far a function without a size reaches, if no other follows.
const SIZELESS_BYTES_MAX: u64 = 64 * 1024;

const RANKS_OF_KIND: u8 = 8;
const WEAK: u8 = 1;

/// Of several names of an address: a function's before its selector's, one with a size, one that others see.
fn rank(symbol: &Symbol) -> u8 {
    let kind = match symbol.st_type() {
        STT_FUNC => 0,
        STT_GNU_IFUNC => 1,
        _ => 2,
    };
    let sight = match symbol.st_bind() {
        STB_GLOBAL => 0,
        STB_WEAK => WEAK,
        _ => 2,
    };
    kind * RANKS_OF_KIND + sight
}
