//! Finds the program as a shell would, and refuses what can't run as a job before anything starts.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use crate::status;

/// Start of the name of the library that every program of `umbel cc` needs.
const LIBRARY: &[u8] = b"libumbel.so";

#[cfg(target_arch = "x86_64")]
const MACHINE: elf::Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: elf::Machine = elf::EM_AARCH64;

/// A program that can run as a job.
pub struct Program {
    /// What the user called it: its `argv[0]`.
    pub name: OsString,
    /// Where it is.
    pub path: PathBuf,
}

/// Why something can't run as a job: one line that says what to do.
#[derive(Debug)]
pub enum ProgramError {
    NotFound(String),
    NotExecutable(String),
}

impl ProgramError {
    /// The launcher's exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => status::NOT_FOUND,
            Self::NotExecutable(_) => status::NOT_EXECUTABLE,
        }
    }
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound(text) | Self::NotExecutable(text) => f.write_str(text),
        }
    }
}

impl Program {
    /// The program that `name` means, which `umbel cc` made.
    pub fn find(name: &OsStr) -> Result<Self, ProgramError> {
        let path = locate(name)?;
        check_elf(&path)?;
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }
}

/// The executable file that `name` means: a path if it has a slash, else the first in PATH.
pub fn locate(name: &OsStr) -> Result<PathBuf, ProgramError> {
    let path = match name.as_bytes().contains(&b'/') {
        true => PathBuf::from(name),
        false => in_path(name)?,
    };
    check_file(&path)?;
    Ok(path)
}

fn in_path(name: &OsStr) -> Result<PathBuf, ProgramError> {
    // As execvp(3) when PATH is not set.
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let candidates = || env::split_paths(&path).map(|folder| folder.join(name));
    let is_file = |path: &PathBuf| path.is_file();
    let found = candidates()
        .find(|path| is_file(path) && is_executable(path))
        // None can be executed: name the first that is at least there.
        .or_else(|| candidates().find(is_file));
    found.ok_or_else(|| {
        let name = name.display();
        let hint = match Path::new(&*name.to_string()).is_file() {
            true => format!("; the one in this folder is: ./{name}"),
            false => String::new(),
        };
        ProgramError::NotFound(format!("{name}: no such program in PATH{hint}"))
    })
}

fn check_file(path: &Path) -> Result<(), ProgramError> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ProgramError::NotFound(format!("{shown}: no such file")),
        _ => ProgramError::NotExecutable(format!("{shown}: {error}")),
    })?;
    if metadata.is_dir() {
        return Err(ProgramError::NotExecutable(format!(
            "{shown} is a directory, not a program"
        )));
    }
    if !metadata.is_file() {
        return Err(ProgramError::NotExecutable(format!(
            "{shown} is not a regular file"
        )));
    }
    if !is_executable(path) {
        return Err(ProgramError::NotExecutable(format!(
            "{shown} is not executable; if it is a program: chmod +x {shown}"
        )));
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    access(path, AccessFlags::X_OK).is_ok()
}

fn check_elf(path: &Path) -> Result<(), ProgramError> {
    let shown = path.display();
    let refuse = |text: String| Err(ProgramError::NotExecutable(text));
    let mut start = Vec::new();
    let file = File::open(path)
        .and_then(|mut file| {
            (&mut file).take(4).read_to_end(&mut start)?;
            Ok(file)
        })
        .map_err(|error| {
            ProgramError::NotExecutable(format!(
                "{shown} can't be read ({error}), so it can't be checked before it runs"
            ))
        })?;
    if start.starts_with(b"#!") {
        return refuse(format!(
            "{shown} is a script; give `umbel run` the compiled program that it starts"
        ));
    }
    if start != elf::ELFMAG {
        return refuse(format!("{shown} is not a program (no ELF file)"));
    }
    match needed_libraries(&ReadCache::new(file)) {
        Ok(Some(libraries)) if libraries.iter().any(|name| name.starts_with(LIBRARY)) => Ok(()),
        Ok(Some(_)) => refuse(format!(
            "{shown} was not built by `umbel cc`; build it with: umbel cc prog.c -o prog"
        )),
        Ok(None) => refuse(format!(
            "{shown} is not a program for this machine ({})",
            env::consts::ARCH
        )),
        Err(error) => refuse(format!("{shown} is a damaged ELF file: {error}")),
    }
}

/// Names of the libraries an ELF file asks for; `None` if it is no program of this machine.
pub fn needed_libraries<'a>(data: impl ReadRef<'a>) -> object::Result<Option<Vec<Vec<u8>>>> {
    // A file of another class or byte order fails to parse as this one.
    let Ok(header) = FileHeader64::<Endianness>::parse(data) else {
        return Ok(None);
    };
    let endian = header.endian()?;
    let is_program = [elf::ET_EXEC, elf::ET_DYN].contains(&header.e_type(endian));
    if header.e_machine(endian) != MACHINE || !is_program {
        return Ok(None);
    }
    let segments = header.program_headers(endian, data)?;
    let mut entries = Vec::new();
    for segment in segments {
        if let Some(dynamic) = segment.dynamic(endian, data)? {
            entries.extend(
                dynamic
                    .iter()
                    .map(|entry| (entry.d_tag(endian), entry.d_val(endian))),
            );
        }
    }
    let value = |tag: elf::DynamicTag| {
        let found = entries.iter().find(|(found, _)| *found == tag);
        found.map(|(_, value)| *value)
    };
    let (Some(address), Some(bytes)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
        return Ok(Some(Vec::new()));
    };
    let strings = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| segment.data_range(endian, data, address, bytes).ok()?)
        .unwrap_or_default();
    let name_at = |offset: u64| {
        let start = strings.get(usize::try_from(offset).ok()?..)?;
        start.split(|&byte| byte == 0).next().map(<[u8]>::to_vec)
    };
    let needed = entries.iter().filter(|(tag, _)| *tag == elf::DT_NEEDED);
    Ok(Some(
        needed.filter_map(|&(_, offset)| name_at(offset)).collect(),
    ))
}
