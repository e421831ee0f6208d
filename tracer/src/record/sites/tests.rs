use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::symbols::FunctionTable;

/// Compiles `source` in a folder of its own; the folder goes with the value.
struct Built {
    folder: PathBuf,
    file: PathBuf,
}

impl Built {
    fn new(name: &str, source: &str, options: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("umbel-sites-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let input = folder.join("source.c");
        std::fs::write(&input, source).expect("the source can be written");
        let file = folder.join("out");
        let status = Command::new("gcc")
            .args(["-g", "-finstrument-functions", "-o"])
            .args([&file, &input])
            .args(options)
            .status()
            .expect("gcc can be started");
        assert!(status.success(), "gcc {options:?}");
        Self { folder, file }
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn find(file: &Path) -> (Sites, FunctionTable) {
    let functions = FunctionTable::read(file).expect("it has symbols");
    let ranges = Range::all(&functions);
    let text = Text::read(file).expect("it can be read");
    (Sites::find(&text, &ranges), functions)
}

const SOURCE: &str = r#"
#include <stdlib.h>
static inline __attribute__((always_inline)) int twice(int n) { return n * 2; }
static __attribute__((noinline)) int odd(int n) { return n & 1 ? twice(n) : rand(); }
__attribute__((noinline)) int deep(int n) { int s = 0; for (int i = 0; i < n; i++) s += odd(i) + twice(s); return s; }
__attribute__((noinline)) void early(int n) { if (n > 3) exit(deep(n)); }
int main(int argc, char **argv) { early(argc); return deep(argc) & 1; }
"#;

/// Every way in which the usual compilations call the hooks.
const BUILDS: [(&str, &[&str]); 8] = [
    ("O0", &["-O0"]),
    ("O2", &["-O2"]),
    ("O3", &["-O3"]),
    ("no-pie", &["-O2", "-no-pie", "-fno-pie"]),
    ("no-plt", &["-O2", "-fno-plt"]),
    ("shared", &["-O2", "-shared", "-fPIC"]),
    (
        "protected",
        &["-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"],
    ),
    ("shared-no-plt", &["-O1", "-shared", "-fPIC", "-fno-plt"]),
];

#[test]
fn every_call_that_the_disassembler_sees_is_a_site() {
    for (name, options) in BUILDS {
        let built = Built::new(name, SOURCE, options);
        let (sites, _) = find(&built.file);
        let output = Command::new("objdump")
            .args(["-d", "--no-show-raw-insn"])
            .arg(&built.file)
            .output()
            .expect("objdump can be started");
        let listing = String::from_utf8_lossy(&output.stdout);
        let mut expected: Vec<u64> = listing
            .lines()
            .filter(|line| line.contains("<__cyg_profile_func_") && !line.ends_with(">:"))
            .filter(|line| !line.contains("@plt>+") || line.contains("call"))
            .filter_map(|line| {
                let (address, rest) = line.split_once(':')?;
                let is_stub = rest.contains("bnd jmp")
                    || rest.contains("@GLIBC") && name != "no-plt" && name != "shared-no-plt";
                let address = u64::from_str_radix(address.trim(), 16).ok()?;
                (!is_stub).then_some(address)
            })
            .collect();
        expected.sort_unstable();
        let found: Vec<u64> = sites.sites.iter().map(|site| site.address).collect();
        assert_eq!(found, expected, "{name}\n{listing}");
        assert_eq!(sites.unclear_count, 0, "{name}");
        assert!(found.len() >= 10, "{name}: {found:x?}");
    }
}

#[test]
fn each_site_knows_its_function() {
    for (name, options) in BUILDS {
        let built = Built::new(&format!("of-{name}"), SOURCE, options);
        let (sites, functions) = find(&built.file);
        for site in &sites.sites {
            let function = site
                .functions
                .first()
                .and_then(|&address| functions.at(address));
            let function = function.unwrap_or_else(|| panic!("{name}: {site:x?}"));
            assert_eq!([function.begin], *site.functions, "{name}: {site:x?}");
        }
        // The inlined function has sites inside others, told by its own address.
        let of = |wanted: &str| {
            let of_it = |site: &&Site| {
                let function = site
                    .functions
                    .first()
                    .and_then(|&address| functions.at(address));
                function.is_some_and(|function| function.name == wanted)
            };
            sites.sites.iter().filter(of_it).count()
        };
        assert!(of("twice") >= 4, "{name}: {}", of("twice"));
        assert!(
            of("deep") >= 2 && of("odd") >= 2 && of("main") >= 2,
            "{name}"
        );
    }
}

#[test]
fn a_file_without_hooks_has_no_sites() {
    let built = Built::new(
        "plain",
        "int main() { return 0; }",
        &["-fno-instrument-functions"],
    );
    let (sites, _) = find(&built.file);
    assert_eq!((sites.sites.len(), sites.unclear_count), (0, 0));
}

#[test]
fn damaged_files_are_refused_not_believed() {
    let built = Built::new("damaged", SOURCE, &["-O2"]);
    let bytes = std::fs::read(&built.file).expect("it is there");
    let damaged = built.folder.join("damaged");
    // A byte of the headers and tables at a time; the code stays.
    for at in (0..64).chain(bytes.len().saturating_sub(2048)..bytes.len()) {
        let mut copy = bytes.clone();
        copy[at] ^= 0xff;
        std::fs::write(&damaged, &copy).expect("it can be written");
        if let Ok(text) = Text::read(&damaged) {
            let functions = FunctionTable::read(&damaged).unwrap_or_default();
            Sites::find(&text, &Range::all(&functions));
        }
    }
}

/// What the compiler makes hard: a function's address in a register across jumps, on the stack, in a part that lies elsewhere, and
/// found out by comparing; a call that two functions share; an argument that comes behind a switch.
const WINDING: &str = r#"
#include <stdlib.h>
extern int more(int), less(int);
static inline __attribute__((always_inline)) double half(double d) { return d / 2; }
static inline __attribute__((always_inline)) int pick(int n) {
  switch (n) { case 0: return more(1); case 1: return less(2); case 2: return more(3); case 3: return n; case 4: return less(n); default: return more(n); }
}
static inline __attribute__((always_inline)) int careful(int n) { if (__builtin_expect(n == 77, 0)) { more(n); more(n + 1); abort(); } return n; }
__attribute__((noinline)) int winding(int n, double d) {
  int sum = (int)half(d);
  for (int i = 0; i < n; i++) { if (pick(i) > 3) continue; sum += careful(i) + less(sum); if (sum > 100) break; sum += (int)half(sum); }
  return sum;
}
__attribute__((noinline)) int more(int n) { return n + rand(); }
__attribute__((noinline)) int less(int n) { return n - rand(); }
int main(int argc, char **argv) { return winding(argc, argc) & 1; }
"#;

#[test]
fn no_site_stays_without_its_function() {
    for (name, options) in BUILDS {
        let built = Built::new(&format!("winding-{name}"), WINDING, options);
        let (sites, functions) = find(&built.file);
        let mut counts: HashMap<String, [usize; 2]> = HashMap::new();
        for site in &sites.sites {
            assert!(!site.functions.is_empty(), "{name}: {site:x?}");
            for &address in &site.functions {
                let function = functions.at(address).expect("a function of this file");
                assert_eq!(function.begin, address, "{name}: {site:x?}");
                let count = counts.entry(function.name.into_owned()).or_default();
                count[usize::from(site.hook == Hook::Exit)] += 1;
            }
        }
        // Each is left where it was entered, but for what never returns.
        for (function, [enters, exits]) in counts {
            assert!(enters > 0 && exits > 0, "{name}: {function}");
        }
    }
}
