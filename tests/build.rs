//! Makes the copy of the coherence machine that `mutants` plants its faults in.
//!
//! The copy is one file, a module per source file, for `tests/mutations.rs` to include. Synchronization
//! objects are left out: they have their own tests.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "mutants/list.rs"]
#[allow(
    dead_code,
    reason = "which rule catches a mutant matters to the test alone"
)]
mod list;

const SOURCE: &str = "../uffd-dsm/coherence/src";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=mutants");
    println!("cargo::rerun-if-changed={SOURCE}");
    let mut copy = String::new();
    for module in modules() {
        let text = mutate(&format!("{module}.rs"));
        copy.push_str(&format!("pub mod {module} {{\n{text}\n}}\n"));
    }
    copy.push_str(&exports());
    let target =
        PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("mutant.rs");
    fs::write(&target, copy)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", target.display()));
}

/// The machine's modules, sorted: every file but the crate's own page.
fn modules() -> Vec<String> {
    let files =
        fs::read_dir(SOURCE).unwrap_or_else(|error| panic!("cannot read {SOURCE}: {error}"));
    let module = |file: std::io::Result<fs::DirEntry>| {
        let path = file.ok()?.path();
        let is_module = path.extension()? == "rs" && path.file_stem()? != "lib";
        is_module.then(|| path.file_stem()?.to_str().map(str::to_owned))?
    };
    let mut modules: Vec<String> = files.filter_map(module).collect();
    modules.sort_unstable();
    modules
}

/// A file with every mutant planted, and its paths made to start at the module that includes the copy.
fn mutate(file: &str) -> String {
    let mut text = read(file);
    let planted = list::MUTANTS.iter().chain(list::OF_DRIVERS);
    for mutant in planted.filter(|mutant| mutant.file == file) {
        let count = text.matches(mutant.original).count();
        if count != 1 {
            // Fails where the copy is used; the other tests of this package build all the same.
            let complaint = format!(
                "mutant '{}': its text occurs {count} times in {file}",
                mutant.name
            );
            return format!("compile_error!({complaint:?});");
        }
        let switch = format!("crate::is_on({:?})", mutant.name);
        text = text.replace(mutant.original, &mutant.mutated.replace("HERE", &switch));
    }
    text.replace("crate::", "crate::mutant::")
        .replace("crate::mutant::is_on", "crate::is_on")
}

/// The `pub use` lines of the crate, without those of the synchronization objects.
fn exports() -> String {
    let is_export = |line: &&str| line.starts_with("pub use") && !line.contains("sync::");
    read("lib.rs")
        .lines()
        .filter(is_export)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn read(file: &str) -> String {
    let path = Path::new(SOURCE).join(file);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
