//! What belongs to the system and is traced only when it is asked for: the C and C++ libraries' functions and templates, also
//! where the program has them compiled in, and what lies in system folders.

use std::path::Path;

use super::Function;

/// Folders of the system's libraries.
const LIBRARY_FOLDERS: [&str; 5] = ["/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/libexec"];

/// Folders of the system's headers. What is under /usr/local is its user's own.
const HEADER_FOLDERS: [&str; 2] = ["/usr/include/", "/usr/lib/"];

/// Namespaces of the C++ library, as the linker writes them after `_ZN`.
const NAMESPACES: [&str; 3] = ["9__gnu_cxx", "10__cxxabiv1", "11__gnu_debug"];

/// Whether the system owns `function`.
pub fn owns(function: &mut Function) -> bool {
    if function
        .names
        .iter()
        .any(|names| is_library_name(names.linkage()))
    {
        return true;
    }
    if !function.is_program && is_library(function.module) {
        return true;
    }
    // Only functions of headers can come from a system header: the linker merges those of C++, so they are weak or
    // unique names, which the caller knows: it has no source for others.
    (function.source)().is_some_and(|file| is_header(&file))
}

/// Whether a library lies in a folder of the system.
pub fn is_library(module: &Path) -> bool {
    LIBRARY_FOLDERS
        .iter()
        .any(|folder| module.starts_with(folder))
}

/// Whether a source file is one of the system's headers.
pub fn is_header(file: &str) -> bool {
    HEADER_FOLDERS.iter().any(|folder| file.starts_with(folder))
}

/// Whether the linker's name is one of the C++ library's namespaces, or of an operator that the language has.
///
/// It must be told without demangling: a program may have 100,000 of them.
pub fn is_library_name(linkage: &str) -> bool {
    let Some(name) = linkage.strip_prefix("_Z") else {
        return linkage.starts_with("__cxx_global_var_init");
    };
    // Guards, thunks and local names carry another name inside.
    let name = name.strip_prefix('Z').unwrap_or(name);
    let Some(nested) = name.strip_prefix('N') else {
        return is_abbreviated(name);
    };
    let nested = nested.trim_start_matches(['r', 'V', 'K', 'R', 'O']);
    is_abbreviated(nested) || NAMESPACES.iter().any(|space| nested.starts_with(space))
}

/// `St` is std, `Sa`, `Ss`, `Si`, ... are its commonest classes.
fn is_abbreviated(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next() == Some(b'S')
        && letters
            .next()
            .is_some_and(|letter| b"tabsiod".contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_plus_plus_library_is_known_by_its_names() {
        for name in [
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "_ZNKSt6vectorIiSaIiEE4sizeEv",
            "_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_c",
            "_ZN9__gnu_cxx17__normal_iteratorIPiSt6vectorIiSaIiEEEppEv",
            "_ZNSaIcEC1Ev",
            "_ZNKRSt8optionalIiE5valueEv",
        ] {
            assert!(is_library_name(name), "{name}");
        }
    }

    #[test]
    fn a_program_s_names_are_its_own() {
        for name in [
            "main",
            "_Z1fSt6vectorIiSaIiEE",
            "_ZN4Stub3runEv",
            "_ZN3StdC1Ev",
            "_Z5StartSs",
            "_ZlsRSoRK1A",
        ] {
            assert!(!is_library_name(name), "{name}");
        }
    }
}
