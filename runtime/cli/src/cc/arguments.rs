//! What a gcc command line asks for: which languages, and whether gcc will link.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Result, bail};

/// What gcc is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Languages of the files that gcc preprocesses.
    pub sources: Sources,
    /// Whether any file is named, also objects and libraries.
    pub has_inputs: bool,
    /// Whether gcc links a program or a shared library.
    pub links: bool,
    /// `-static` or `-static-pie`.
    pub is_static: bool,
}

/// Languages of a command's source files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Objects and libraries only, or nothing.
    None,
    C,
    /// Only languages that the plugin and umbel.h are not for.
    Other,
    Mixed,
}

/// Options whose value is the next argument. From gcc's own table (common.opt, c.opt: `Separate`).
const SEPARATE: [&str; 32] = [
    "-o",
    "-I",
    "-D",
    "-U",
    "-L",
    "-l",
    "-B",
    "-T",
    "-u",
    "-z",
    "-e",
    "-A",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-iprefix",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-isysroot",
    "-imultilib",
    "-MF",
    "-MT",
    "-MQ",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "-aux-info",
    "-wrapper",
    "--param",
    "-dumpbase",
];

/// Options after which gcc does not link.
const NOT_LINKING: [&str; 9] = [
    "-c",
    "-S",
    "-E",
    "-M",
    "-MM",
    "-fsyntax-only",
    "--compile",
    "--assemble",
    "--preprocess",
];

/// Response files within response files, at most: gcc stops at 2000, mistakes show earlier.
const RESPONSE_DEPTH_MAX: usize = 10;

impl Request {
    pub fn of(arguments: &[OsString]) -> Result<Self> {
        let mut scan = Scan {
            request: Self {
                sources: Sources::None,
                has_inputs: false,
                links: true,
                is_static: false,
            },
            language: None,
            expected: None,
        };
        scan.all(arguments, 0)?;
        scan.request.links &= scan.request.has_inputs;
        Ok(scan.request)
    }
}

struct Scan {
    request: Request,
    /// Of `-x`, for the files that follow.
    language: Option<OsString>,
    /// The option that the next argument belongs to.
    expected: Option<&'static str>,
}

impl Scan {
    fn all(&mut self, arguments: &[OsString], depth: usize) -> Result<()> {
        arguments
            .iter()
            .try_for_each(|argument| self.one(argument, depth))
    }

    fn one(&mut self, argument: &OsStr, depth: usize) -> Result<()> {
        if let Some(option) = self.expected.take() {
            if option == "-x" {
                self.set_language(argument);
            }
            return Ok(());
        }
        let bytes = argument.as_bytes();
        match bytes {
            [b'@', file @ ..] => return self.response_file(OsStr::from_bytes(file), depth),
            [b'-'] => self.input(argument),
            [b'-', ..] => self.option(argument),
            _ => self.input(argument),
        }
        Ok(())
    }

    fn option(&mut self, argument: &OsStr) {
        let bytes = argument.as_bytes();
        if argument == "-x" {
            self.expected = Some("-x");
        } else if let Some(language) = bytes.strip_prefix(b"-x") {
            self.set_language(OsStr::from_bytes(language));
        } else if let Some(language) = bytes.strip_prefix(b"--language=") {
            self.set_language(OsStr::from_bytes(language));
        } else if NOT_LINKING.iter().any(|option| argument == *option) || argument == "-r" {
            self.request.links = false;
        } else if argument == "-static" || argument == "-static-pie" {
            self.request.is_static = true;
        } else if bytes.starts_with(b"-l") || bytes.starts_with(b"-Wl,") {
            // A library is an input: `gcc -lm` links.
            self.request.has_inputs |= bytes.starts_with(b"-l");
        }
        if let Some(option) = SEPARATE.into_iter().find(|option| argument == *option) {
            self.expected = Some(option);
        }
    }

    fn set_language(&mut self, language: &OsStr) {
        self.language = (language != "none").then(|| language.to_owned());
    }

    fn input(&mut self, argument: &OsStr) {
        self.request.has_inputs = true;
        let language = match &self.language {
            Some(language) => language_sources(language),
            None => suffix_sources(argument),
        };
        self.request.sources = match (self.request.sources, language) {
            (sources, Sources::None) => sources,
            (Sources::None, language) => language,
            (sources, language) if sources == language => sources,
            _ => Sources::Mixed,
        };
    }

    fn response_file(&mut self, file: &OsStr, depth: usize) -> Result<()> {
        let Ok(text) = fs::read(file) else {
            // As gcc: what can't be read is a file called `@...`.
            self.request.has_inputs = true;
            return Ok(());
        };
        if depth == RESPONSE_DEPTH_MAX {
            bail!(
                "@{}: response files in response files, {RESPONSE_DEPTH_MAX} levels deep",
                file.display()
            );
        }
        self.all(&response_arguments(&text), depth + 1)
    }
}

fn language_sources(language: &OsStr) -> Sources {
    let name = language.as_bytes();
    match name {
        b"c" | b"c-header" | b"cpp-output" => Sources::C,
        b"assembler" => Sources::None,
        _ => Sources::Other,
    }
}

fn suffix_sources(file: &OsStr) -> Sources {
    if file == "-" {
        // gcc demands -E or -x here; with -E standard input is C.
        return Sources::C;
    }
    let suffix = Path::new(file).extension().map(OsStr::as_bytes);
    match suffix {
        Some(b"c" | b"i" | b"h") => Sources::C,
        Some(
            b"S" | b"sx" | b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" | b"C" | b"ii" | b"hh"
            | b"hpp" | b"H" | b"m" | b"mi" | b"mm" | b"M" | b"mii" | b"f" | b"for" | b"F" | b"f90"
            | b"F90" | b"f95" | b"F95" | b"f03" | b"f08" | b"ads" | b"adb" | b"d" | b"go",
        ) => Sources::Other,
        // Everything else is for the assembler or the linker.
        Some(_) | None => Sources::None,
    }
}

/// Splits a response file as gcc does: at white space, outside quotes; a backslash keeps a byte.
fn response_arguments(text: &[u8]) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut current = None::<Vec<u8>>;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => current.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            (_, None) if byte.is_ascii_whitespace() => arguments.extend(current.take()),
            _ => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current);
    arguments.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Request::of(&arguments).expect("no response files")
    }

    #[test]
    fn compiling_and_linking() {
        let both = request("-O2 fig1.c -o fig1");
        assert!(both.links && both.sources == Sources::C);
        for compile_only in ["-c", "-S", "-E", "-M", "-MM", "-fsyntax-only"] {
            let request = request(&format!("{compile_only} fig1.c"));
            assert!(!request.links, "{compile_only}");
            assert_eq!(request.sources, Sources::C, "{compile_only}");
        }
        assert!(request("-shared part.o -o part.so").links);
        assert!(request("-MD -MF deps x.c").links);
        assert!(!request("-r a.o b.o").links);
    }

    #[test]
    fn questions_have_no_inputs() {
        for question in [
            "--version",
            "-v",
            "-print-file-name=plugin",
            "-dumpmachine",
            "-o x",
        ] {
            let request = request(question);
            assert!(!request.has_inputs && !request.links, "{question}");
        }
    }

    #[test]
    fn values_of_options_are_not_inputs() {
        let linking = request("-o prog.c -include first.c -Xlinker a.c main.o");
        assert_eq!(linking.sources, Sources::None);
        assert!(linking.has_inputs);
    }

    #[test]
    fn languages() {
        assert_eq!(request("-c a.cc").sources, Sources::Other);
        assert_eq!(request("a.c b.S").sources, Sources::Mixed);
        assert_eq!(request("a.c b.s c.o d.a e.so").sources, Sources::C);
        assert_eq!(request("-x c - -x none a.o").sources, Sources::C);
        assert_eq!(request("-xc++ a.c").sources, Sources::Other);
        assert_eq!(request("-E -").sources, Sources::C);
    }

    #[test]
    fn static_is_seen() {
        assert!(request("-static a.c").is_static);
        assert!(request("-static-pie a.c").is_static);
        assert!(!request("-static-libgcc a.c").is_static);
    }

    #[test]
    fn response_files_are_split_as_gcc_does() {
        let found = response_arguments(b"-DA='b c'  d\\ e.c\n\"\" \"x\\\"y\"");
        assert_eq!(found, ["-DA=b c", "d e.c", "", "x\"y"]);
    }
}
