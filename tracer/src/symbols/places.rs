//! Files and lines, out of DWARF. Read when somebody asks for a place, never before.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use addr2line::Context;
use gimli::{Dwarf, EndianArcSlice, RunTimeEndian, SectionId};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ReadCache};

/// A compressed section that claims to be larger is taken for damaged.
const SECTION_BYTES_MAX: u64 = 16 << 30;

/// No compressor shrinks more than this.
const COMPRESSION_MAX: u64 = 40_000;

/// Where in the source something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, with the folder it was compiled in.
    pub file: String,
    /// The line, from 1; 0 if the compiler didn't say.
    pub line: u32,
}

type Section = EndianArcSlice<RunTimeEndian>;

/// The line tables of one file.
pub struct Places {
    context: Context<Section>,
}

impl Places {
    /// The file's; `Ok(None)` if it has none.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let data = ReadCache::new(File::open(path).map_err(|error| error.to_string())?);
        let file = ElfFile64::<Endianness, _>::parse(&data).map_err(|error| error.to_string())?;
        if file.section_by_name(".debug_line").is_none() {
            return Ok(None);
        }
        let endian = match file.endian() {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let section = |id: SectionId| -> Result<Section, gimli::Error> {
            let bytes = match is_needed(id) {
                true => section_bytes(&file, id.name()).unwrap_or_default(),
                false => Arc::default(),
            };
            Ok(EndianArcSlice::new(bytes, endian))
        };
        let dwarf = Dwarf::load(section).map_err(|error: gimli::Error| error.to_string())?;
        let context = Context::from_dwarf(dwarf).map_err(|error| error.to_string())?;
        Ok(Some(Self { context }))
    }

    /// Where the code at an address of the file comes from.
    pub fn at(&self, address: u64) -> Option<Place> {
        let location = self.context.find_location(address).ok()??;
        Some(Place {
            file: location.file?.to_owned(),
            line: location.line.unwrap_or(0),
        })
    }
}

/// Variables and types are most of the debug information, and say nothing about lines.
fn is_needed(id: SectionId) -> bool {
    use SectionId as Id;
    matches!(
        id,
        Id::DebugAbbrev
            | Id::DebugAddr
            | Id::DebugAranges
            | Id::DebugInfo
            | Id::DebugLine
            | Id::DebugLineStr
            | Id::DebugRanges
            | Id::DebugRngLists
            | Id::DebugStr
            | Id::DebugStrOffsets
    )
}

fn section_bytes<'a>(
    file: &ElfFile64<'a, Endianness, &'a ReadCache<File>>,
    name: &str,
) -> Option<Arc<[u8]>> {
    let data = file.section_by_name(name)?.compressed_data().ok()?;
    let claimed = data.uncompressed_size;
    if claimed > SECTION_BYTES_MAX || claimed / COMPRESSION_MAX > data.data.len() as u64 {
        return None;
    }
    Some(Arc::from(data.decompress().ok()?.as_ref()))
}
