//! What the patcher needs of an ELF file: its code, the slots through which it calls the hooks, and pointers to functions.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use object::elf::{self, FileHeader64, PF_X, PT_LOAD};
use object::read::StringTable;
use object::read::elf::{
    FileHeader, ProgramHeader, Rela, SectionHeader, SectionTable, Sym, SymbolTable,
};
use object::{Endianness, ReadCache, ReadRef};

/// Names of symbols, read at once: one by one they are two system calls each, which for a program of some size took most of the time before
/// it began.
pub fn strings_of<'a, R: ReadRef<'a>>(
    sections: &SectionTable<'a, FileHeader64<Endianness>, R>,
    symbols: &SymbolTable<'a, FileHeader64<Endianness>, R>,
    endian: Endianness,
    data: R,
) -> object::Result<StringTable<'a, &'a [u8]>> {
    if symbols.is_empty() {
        return Ok(StringTable::default());
    }
    let bytes = sections
        .section(symbols.string_section())?
        .data(endian, data)?;
    Ok(StringTable::new(bytes, 0, bytes.len() as u64))
}

/// A hook of -finstrument-functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `__cyg_profile_func_enter`
    Enter,
    /// `__cyg_profile_func_exit`
    Exit,
}

impl Hook {
    /// The hook of this name.
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"__cyg_profile_func_enter" => Some(Self::Enter),
            b"__cyg_profile_func_exit" => Some(Self::Exit),
            _ => None,
        }
    }
}

/// Code of a file, and what it refers to. Addresses are those of the file.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Executable parts.
    pub segments: Vec<Segment>,
    /// Slots that the dynamic linker fills with a hook's address.
    pub hooks: HashMap<u64, Hook>,
    /// Slots that it fills with the address of something that this file defines.
    pub pointers: HashMap<u64, u64>,
    /// Names of what other files define and this one refers to by a slot: C++ functions of which the library has a copy, inlined
    /// here. The slot points to [`import_address`] of the name's index, as the true address differs in each process.
    pub imports: Vec<String>,
    /// Where the linker put its stubs: (begin, end).
    stub_sections: Vec<(u64, u64)>,
}

/// An executable part.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Of the first byte.
    pub address: u64,
    /// What the file has there.
    pub bytes: Vec<u8>,
}

impl Segment {
    /// Behind the last byte.
    pub fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }
}

/// Bytes of code that a file has at most: beyond them its headers are taken for damaged.
const CODE_BYTES_MAX: u64 = 2 << 30;

impl Text {
    /// Reads it; without slots of the hooks it has no segments either. `Err` says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        Self::parse(&ReadCache::new(file)).map_err(|error| error.to_string())
    }

    /// Whether the file at `path` calls the hooks through slots that its dynamic linker fills.
    pub fn calls_hooks(path: &Path) -> bool {
        let Ok(file) = File::open(path) else {
            return false;
        };
        asks_for_hooks(&ReadCache::new(file)).unwrap_or(false)
    }

    fn parse<'a>(data: impl ReadRef<'a>) -> object::Result<Self> {
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let mut text = Self::default();
        let sections = header.sections(endian, data)?;
        let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
        let strings = strings_of(&sections, &symbols, endian, data)?;
        for section in sections.iter() {
            let name = sections.section_name(endian, section).unwrap_or_default();
            if name.starts_with(b".plt") {
                let begin = section.sh_addr(endian);
                text.stub_sections
                    .push((begin, begin.saturating_add(section.sh_size(endian))));
            }
            let Some((relocations, _)) = section.rela(endian, data)? else {
                continue;
            };
            for relocation in relocations {
                let slot = relocation.r_offset(endian);
                let index = relocation.symbol(endian, false);
                match relocation.r_type(endian, false) {
                    elf::R_X86_64_RELATIVE => {
                        let target = relocation.r_addend(endian).cast_unsigned();
                        text.pointers.insert(slot, target);
                    }
                    elf::R_X86_64_JUMP_SLOT | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_64 => {
                        let Some(symbol) = index.and_then(|index| symbols.symbol(index).ok())
                        else {
                            continue;
                        };
                        let name = symbol.name(endian, strings).unwrap_or_default();
                        if let Some(hook) = Hook::of(name) {
                            text.hooks.insert(slot, hook);
                        } else if symbol.st_value(endian) != 0 {
                            let addend = relocation.r_addend(endian);
                            let target = symbol.st_value(endian).wrapping_add_signed(addend);
                            text.pointers.insert(slot, target);
                        } else if text.imports.len() < IMPORTS_MAX {
                            text.pointers
                                .insert(slot, import_address(text.imports.len()));
                            text.imports
                                .push(String::from_utf8_lossy(name).into_owned());
                        }
                    }
                    _ => {}
                }
            }
        }
        if text.hooks.is_empty() {
            return Ok(text);
        }
        for segment in header.program_headers(endian, data)? {
            let is_code =
                segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_X);
            if !is_code || segment.p_filesz(endian) > CODE_BYTES_MAX {
                continue;
            }
            let bytes = segment.data(endian, data).unwrap_or_default();
            text.segments.push(Segment {
                address: segment.p_vaddr(endian),
                bytes: bytes.to_vec(),
            });
        }
        // Pointers to data are of no use here, and a large program has many.
        let segments = std::mem::take(&mut text.segments);
        text.pointers
            .retain(|_, target| in_segments(&segments, *target) || is_import(*target));
        text.segments = segments;
        Ok(text)
    }

    /// Whether `address` lies in code.
    pub fn is_code(&self, address: u64) -> bool {
        in_segments(&self.segments, address) || is_import(address)
    }

    /// Whether `address` lies among the linker's stubs.
    pub fn is_stub(&self, address: u64) -> bool {
        let sections = &self.stub_sections;
        sections
            .iter()
            .any(|(begin, end)| (*begin..*end).contains(&address))
    }

    /// Where code goes to reach a hook: the linker's stubs, `[endbr64] [bnd] jmp [slot]`.
    pub fn stubs(&self) -> HashMap<u64, Hook> {
        let mut stubs = HashMap::new();
        // The same instruction elsewhere is a call site of -fno-plt.
        for segment in &self.segments {
            for (offset, window) in segment.bytes.windows(6).enumerate() {
                if window[..2] != [0xff, 0x25] {
                    continue;
                }
                let at = segment.address + offset as u64;
                let relative = i32::from_le_bytes([window[2], window[3], window[4], window[5]]);
                let slot = (at + 6).wrapping_add_signed(i64::from(relative));
                let Some(&hook) = self.hooks.get(&slot) else {
                    continue;
                };
                if self.is_stub(at) {
                    let before = |bytes: &[u8]| segment.bytes[..offset].ends_with(bytes);
                    let bound = u64::from(before(&[BND]));
                    let mark = u64::from(before(ENDBR64) || before(ENDBR64_BND)) * 4;
                    stubs.insert(at - bound - mark, hook);
                }
            }
        }
        stubs
    }
}

/// What stands for the address of an imported function: no program can have anything there.
pub fn import_address(index: usize) -> u64 {
    IMPORTS_BEGIN + index as u64
}

fn is_import(address: u64) -> bool {
    address >= IMPORTS_BEGIN
}

const IMPORTS_BEGIN: u64 = 0xffff_ffff << 32;
const IMPORTS_MAX: usize = 1 << 20;

const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
const ENDBR64_BND: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa, BND];
const BND: u8 = 0xf2;

fn in_segments(segments: &[Segment], address: u64) -> bool {
    segments
        .iter()
        .any(|segment| (segment.address..segment.end()).contains(&address))
}

/// Whether one of the symbols that the file wants from others is a hook.
fn asks_for_hooks<'a>(data: impl ReadRef<'a>) -> object::Result<bool> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    let strings = strings_of(&sections, &symbols, endian, data)?;
    let mut wanted = symbols
        .iter()
        .filter(|symbol| symbol.st_shndx(endian) == elf::SHN_UNDEF);
    Ok(wanted.any(|symbol| {
        let name = symbol.name(endian, strings);
        name.is_ok_and(|name| Hook::of(name).is_some())
    }))
}
