//! Sections of an ELF file, as gimli reads them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use gimli::{EndianArcSlice, LittleEndian, SectionId};
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{
    CompressionFormat, Endianness, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable,
    ReadCache, RelocationTarget,
};

use super::Error;

/// What gimli reads from.
pub type Slice = EndianArcSlice<LittleEndian>;

/// Bytes of a section at most, unpacked: a damaged head may say anything.
const SECTION_BYTES_MAX: u64 = 2 << 30;

/// How much smaller a packed section can be: no packer that is used gets near to it, a damaged head does.
const PACKED_MAX: u64 = 4096;

/// Of the entry of .dynamic that has further flags of the file, and the one of them that says it's a program.
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_PIE: u64 = 0x0800_0000;

/// An open file, and where its sections lie.
pub struct Sections {
    path: Box<Path>,
    sections: Vec<Section>,
    file: File,
}

struct Section {
    name: Box<str>,
    address: u64,
    offset: u64,
    bytes: u64,
    unpacked_bytes: u64,
    format: CompressionFormat,
    kind: object::SectionKind,
}

impl Sections {
    /// Of the file at `path`. Reads its headers.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let system = |error| Error::System(path.into(), error);
        let damaged = |error: object::Error| Error::Damaged(path.into(), error.to_string().into());
        let file = File::open(path).map_err(system)?;
        let cache = ReadCache::new(file.try_clone().map_err(system)?);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(damaged)?;
        let sections = elf.sections().filter_map(|section| {
            let range = section.compressed_file_range().ok()?;
            let name = section.name().ok()?;
            Some(Section {
                // Packed sections of an older way have a z in their names.
                name: match name.strip_prefix(".zdebug_") {
                    Some(rest) => format!(".debug_{rest}").into(),
                    None => name.into(),
                },
                address: section.address(),
                offset: range.offset,
                bytes: range.compressed_size,
                unpacked_bytes: range.uncompressed_size,
                format: range.format,
                kind: section.kind(),
            })
        });
        let sections = sections.collect();
        Ok(Self {
            path: path.into(),
            sections,
            file,
        })
    }

    /// Whether there is a section of this name with something in it.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some_and(|section| section.bytes > 0)
    }

    /// Address and content of the section of this name.
    pub fn read(&self, name: &str) -> (u64, Slice) {
        match self.find(name) {
            Some(section) => (section.address, self.content(section)),
            None => (0, empty()),
        }
    }

    /// Where the section of this name lies; 0 if there is none.
    pub fn address(&self, name: &str) -> u64 {
        self.find(name).map_or(0, |section| section.address)
    }

    /// What a DWARF section has; `is_split`: of a file that has what another was relieved of.
    pub fn dwarf_section(&self, id: SectionId, is_split: bool) -> Slice {
        let name = match is_split {
            true => id.dwo_name(),
            false => Some(id.name()),
        };
        name.map_or_else(empty, |name| self.read(name).1)
    }

    /// Up to `limit` bytes of code from `address` on, which has to be in the file.
    pub fn code(&self, address: u64, limit: usize) -> Vec<u8> {
        self.loaded(object::SectionKind::Text, address, limit)
    }

    /// A number of so many bytes that the program can't change.
    pub fn constant(&self, address: u64, bytes: u8) -> Option<u64> {
        let found = self.loaded(
            object::SectionKind::ReadOnlyData,
            address,
            usize::from(bytes),
        );
        let mut number = [0; 8];
        let wanted = number.get_mut(..usize::from(bytes))?;
        (found.len() == wanted.len()).then(|| wanted.copy_from_slice(&found))?;
        Some(u64::from_le_bytes(number))
    }

    /// Up to `limit` bytes from `address` on of a section of this kind.
    fn loaded(&self, kind: object::SectionKind, address: u64, limit: usize) -> Vec<u8> {
        let holding = self.sections.iter().find(|section| {
            section.kind == kind
                && section.format == CompressionFormat::None
                && (section.address..section.address.saturating_add(section.bytes))
                    .contains(&address)
        });
        let Some(section) = holding else {
            return Vec::new();
        };
        let skipped = address - section.address;
        let count = (section.bytes - skipped).min(limit as u64);
        let mut code = vec![0; usize::try_from(count).unwrap_or(0)];
        let offset = section.offset.saturating_add(skipped);
        match self.file.read_exact_at(&mut code, offset) {
            Ok(()) => code,
            Err(_) => Vec::new(),
        }
    }

    /// Whether the linker's stubs are there, which go on to functions of other files.
    pub fn is_stub(&self, address: u64) -> bool {
        self.sections.iter().any(|section| {
            section.name.starts_with(".plt")
                && (section.address..section.address.saturating_add(section.bytes))
                    .contains(&address)
        })
    }

    /// Begins of the functions that have names for other files, or other units.
    pub fn functions(&self) -> HashMap<Box<str>, u64> {
        self.find_functions().unwrap_or_default()
    }

    fn find_functions(&self) -> Option<HashMap<Box<str>, u64>> {
        let cache = ReadCache::new(self.file.try_clone().ok()?);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let is_function = |symbol: &ElfSymbol64<'_, '_, _, _>| {
            symbol.kind() == object::SymbolKind::Text
                && symbol.is_global()
                && symbol.is_definition()
        };
        let all = elf.symbols().chain(elf.dynamic_symbols());
        let named = all.filter(is_function).filter_map(|symbol| {
            let name = symbol.name().ok()?;
            Some((name.into(), symbol.address()))
        });
        Some(named.collect())
    }

    /// Slots that the dynamic linker fills with the address of something of these names.
    pub fn slots_of(&self, names: &[&str]) -> HashSet<u64> {
        self.find_slots(names).unwrap_or_default()
    }

    fn find_slots(&self, names: &[&str]) -> Option<HashSet<u64>> {
        let cache = ReadCache::new(self.file.try_clone().ok()?);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let symbols = elf.dynamic_symbol_table()?;
        let is_wanted = |index| {
            let symbol = symbols.symbol_by_index(index).ok();
            symbol.is_some_and(|symbol| symbol.name().is_ok_and(|name| names.contains(&name)))
        };
        let wanted: HashSet<_> = symbols
            .symbols()
            .map(|symbol| symbol.index())
            .filter(|index| is_wanted(*index))
            .collect();
        let slots =
            elf.dynamic_relocations()?
                .filter_map(|(slot, relocation)| match relocation.target() {
                    RelocationTarget::Symbol(index) => wanted.contains(&index).then_some(slot),
                    _ => None,
                });
        Some(slots.collect())
    }

    /// From a thread's own address to its block of the file's thread-local variables: the linker puts a program's block right before
    /// it. `None`: it has none, or it's a library's, which the dynamic linker puts anywhere.
    pub fn thread_block(&self) -> Option<i64> {
        use object::read::elf::{FileHeader, ProgramHeader};
        let cache = ReadCache::new(self.file.try_clone().ok()?);
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let endian = elf.endian();
        let is_program = elf.elf_header().e_type(endian) == object::elf::ET_EXEC || self.is_pie();
        let mut segments = elf.elf_program_headers().iter();
        let block = segments.find(|segment| segment.p_type(endian) == object::elf::PT_TLS)?;
        let align = block.p_align(endian).max(1);
        let bytes = block.p_memsz(endian).checked_next_multiple_of(align)?;
        is_program.then(|| i64::try_from(bytes).ok()?.checked_neg())?
    }

    /// Whether it is a program that may lie anywhere, not a library.
    fn is_pie(&self) -> bool {
        let (_, dynamic) = self.read(".dynamic");
        let entries = gimli::Reader::to_slice(&dynamic).unwrap_or_default();
        let (entries, _) = entries.as_chunks::<8>();
        let numbers: Vec<u64> = entries
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect();
        let (pairs, _) = numbers.as_chunks::<2>();
        let mut flags = pairs.iter().filter(|[tag, _]| *tag == DT_FLAGS_1);
        flags.any(|[_, flags]| flags & DF_1_PIE != 0)
    }

    fn find(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| &*section.name == name)
    }

    /// Nothing, if it can't be read: what refers to it then finds no end of it.
    fn content(&self, section: &Section) -> Slice {
        if section.bytes > SECTION_BYTES_MAX || section.unpacked_bytes > SECTION_BYTES_MAX {
            return empty();
        }
        // A section that reaches beyond the file's end isn't read, nor room made for it.
        let end = section.offset.saturating_add(section.bytes);
        if self.file.metadata().map_or(0, |data| data.len()) < end {
            return empty();
        }
        let count = usize::try_from(section.bytes).unwrap_or(0);
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, count).collect();
        let Some(target) = Arc::get_mut(&mut bytes) else {
            return empty();
        };
        if self.file.read_exact_at(target, section.offset).is_err() {
            return empty();
        }
        if section.format != CompressionFormat::None {
            if section.unpacked_bytes / PACKED_MAX > section.bytes {
                return empty();
            }
            let packed = object::CompressedData {
                format: section.format,
                data: &bytes,
                uncompressed_size: section.unpacked_bytes,
            };
            bytes = match packed.decompress() {
                Ok(unpacked) => Arc::from(&*unpacked),
                Err(_) => return empty(),
            };
        }
        Slice::new(bytes, LittleEndian)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Nothing.
pub fn empty() -> Slice {
    Slice::new(Arc::from([]), LittleEndian)
}
