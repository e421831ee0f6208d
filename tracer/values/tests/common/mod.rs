//! What tests of debug information share: programs that gcc makes of it, and plans for them.

// Each file of tests uses its part.
#![allow(dead_code, reason = "each file of tests uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use umbel_values::DebugFile;
use umbel_values::Place;
use umbel_values::plan::{Description, Kind, Site, Wishes, compile};

const SOURCE: &str = r#"
struct point { int x, y; double w; unsigned low : 3, high : 5; };
struct list { int value; struct list *next; };
enum color { RED, GREEN = 5 };
volatile int sink;
__attribute__((noinline)) int add(int first, long second) { sink = first; return first + (int)second; }
__attribute__((noinline)) double scale(struct point p, const char *name, float factor) { sink = name[0]; return p.w * factor + p.x; }
__attribute__((noinline)) int sum(struct list *head, enum color c) { int s = c; while (head) { s += head->value; head = head->next; } return s; }
__attribute__((noinline)) int sized(int n) { int row[n]; for (int i = 0; i < n; i++) row[i] = i; sink = row[n - 1]; return row[0]; }
int main(void) {
  struct list last = {2, 0}, first = {1, &last};
  struct point p = {1, 2, 0.5, 3, 9};
  return add(1, 2) + (int)scale(p, "name", 2.5f) + sum(&first, GREEN) + sized(4);
}
"#;

/// A folder that goes when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("umbel-values-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    pub fn build(&self, name: &str, options: &[&str]) -> PathBuf {
        self.build_of(SOURCE, name, options)
    }

    pub fn build_of(&self, text: &str, name: &str, options: &[&str]) -> PathBuf {
        let source = self.0.join(format!("{name}.c"));
        fs::write(&source, text).expect("the folder can be written");
        let output = self.0.join(name);
        let status = Command::new("gcc")
            .current_dir(&self.0)
            .args(["-g", "-finstrument-functions", "-o"])
            .arg(&output)
            .arg(&source)
            .args(options)
            .status()
            .expect("gcc runs");
        assert!(status.success(), "gcc {options:?}");
        output
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Name, begin and end of the program's functions.
pub fn functions(path: &Path) -> Vec<(String, u64, u64)> {
    functions_of(path, &["add", "scale", "sum", "sized", "main"])
}

pub fn functions_of(path: &Path, known: &[&str]) -> Vec<(String, u64, u64)> {
    let bytes = fs::read(path).expect("gcc has written it");
    let file = object::File::parse(&*bytes).expect("gcc writes ELF");
    let symbols = file.symbols().filter_map(|symbol| {
        let name = symbol.name().ok()?;
        let end = symbol.address() + symbol.size();
        known
            .contains(&name)
            .then(|| (name.to_owned(), symbol.address(), end))
    });
    symbols.collect()
}

/// The plan of a site that no trigger asks anything of.
pub fn plan(file: &mut DebugFile, site: &Site, wishes: &Wishes) -> Option<Description> {
    compile(file, site, wishes, 0x1000, &[], &|_| None).map(|compiled| compiled.description)
}

/// The first plan of a function's begin that says something.
pub fn entry_plan(
    file: &mut DebugFile,
    begin: u64,
    end: u64,
    wishes: &Wishes,
) -> Option<Description> {
    let sites = (begin..=end).filter(|address| file.calls_hook(*address) == Some(true));
    let site = Site {
        address: sites.min()?,
        kind: Kind::Enter,
        function: Some(begin),
    };
    plan(file, &site, wishes)
}

pub fn arguments(path: &Path) -> Vec<(String, Vec<(String, bool)>)> {
    let mut file = DebugFile::open(path, &[]).expect("it has debug information");
    let mut found = Vec::new();
    for (name, begin, end) in functions(path) {
        let Some(plan) = entry_plan(&mut file, begin, end, &Wishes::default()) else {
            continue;
        };
        let own = plan
            .frames
            .first()
            .expect("a plan has its function's frame");
        assert_eq!(*own.name, *name);
        let arguments = own.arguments.iter().map(|argument| {
            let is_there = argument.place != Place::OptimizedOut;
            (argument.name.to_string(), is_there)
        });
        found.push((name, arguments.collect()));
    }
    found.sort();
    found
}

pub fn names(found: &[(String, Vec<(String, bool)>)]) -> Vec<String> {
    let line = |(name, arguments): &(String, Vec<(String, bool)>)| {
        let names: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
        format!("{name}({})", names.join(", "))
    };
    found.iter().map(line).collect()
}

pub const EXPECTED: [&str; 4] = [
    "add(first, second)",
    "scale(p, name, factor)",
    "sized(n)",
    "sum(head, c)",
];

/// Two units, of which each declares what the other defines.
const DECLARES: &str = r#"
namespace shop { struct item; struct twice; namespace { struct own; } int price(item *i, twice *t); }
struct outer { struct inner; };
volatile int sink;
__attribute__((noinline)) int look(shop::item *i, shop::twice *t, outer::inner *n, shop::own *o) { sink = !i + !t + !n + !o; return sink; }
static inline __attribute__((always_inline)) int half(int n) { return n / 2; }
int main() {
  volatile int kept = sink + 3;
  int own = half(kept);
  return look(nullptr, nullptr, nullptr, nullptr) + shop::price(nullptr, nullptr) + own + kept;
}
"#;
const DEFINES: &str = r#"
namespace shop { struct item { int cents; const char *name; }; struct twice { double d; }; namespace { struct own { char c; }; } }
struct outer { struct inner; };
struct outer::inner { int n[3]; };
extern volatile int sink;
shop::own mine; outer::inner given;
namespace shop { __attribute__((noinline)) int price(item *i, twice *t) { sink = !i; return t ? 1 : mine.c + given.n[0]; } }
"#;

pub fn build_units(folder: &Folder, level: &str) -> PathBuf {
    let output = folder.0.join(format!("units{level}"));
    for (name, text) in [("declares.cc", DECLARES), ("defines.cc", DEFINES)] {
        fs::write(folder.0.join(name), text).expect("the folder can be written");
    }
    let status = Command::new("g++")
        .current_dir(&folder.0)
        .args(["-g", "-finstrument-functions", level, "-o"])
        .arg(&output)
        .args(["declares.cc", "defines.cc"])
        .status();
    assert!(status.expect("g++ runs").success());
    output
}
