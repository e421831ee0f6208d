//! Plans for real programs: whatever way gcc writes the debug information, and however it is damaged afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use umbel_values::plan::{Description, Kind, Site, Wishes, compile};
use umbel_values::{DebugFile, Place, Type};

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
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("umbel-values-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    fn build(&self, name: &str, options: &[&str]) -> PathBuf {
        self.build_of(SOURCE, name, options)
    }

    fn build_of(&self, text: &str, name: &str, options: &[&str]) -> PathBuf {
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
fn functions(path: &Path) -> Vec<(String, u64, u64)> {
    functions_of(path, &["add", "scale", "sum", "sized", "main"])
}

fn functions_of(path: &Path, known: &[&str]) -> Vec<(String, u64, u64)> {
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
fn plan(file: &mut DebugFile, site: &Site, wishes: &Wishes) -> Option<Description> {
    compile(file, site, wishes, 0x1000, &[], &|_| None).map(|compiled| compiled.description)
}

/// The first plan of a function's begin that says something.
fn entry_plan(file: &mut DebugFile, begin: u64, end: u64, wishes: &Wishes) -> Option<Description> {
    let sites = (begin..=end).filter(|address| file.calls_hook(*address) == Some(true));
    let site = Site {
        address: sites.min()?,
        kind: Kind::Enter,
        function: Some(begin),
    };
    plan(file, &site, wishes)
}

fn arguments(path: &Path) -> Vec<(String, Vec<(String, bool)>)> {
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

fn names(found: &[(String, Vec<(String, bool)>)]) -> Vec<String> {
    let line = |(name, arguments): &(String, Vec<(String, bool)>)| {
        let names: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
        format!("{name}({})", names.join(", "))
    };
    found.iter().map(line).collect()
}

const EXPECTED: [&str; 4] = [
    "add(first, second)",
    "scale(p, name, factor)",
    "sized(n)",
    "sum(head, c)",
];

#[test]
fn arguments_are_found_in_all_forms_of_debug_information() {
    let folder = Folder::new("forms");
    let forms: [(&str, &[&str]); 6] = [
        ("dwarf4", &["-O0", "-gdwarf-4"]),
        ("dwarf5", &["-O0", "-gdwarf-5"]),
        ("split4", &["-O0", "-gdwarf-4", "-gsplit-dwarf"]),
        ("split5", &["-O0", "-gdwarf-5", "-gsplit-dwarf"]),
        ("packed", &["-O0", "-gz=zlib"]),
        ("typed", &["-O0", "-fdebug-types-section"]),
    ];
    for (name, options) in forms {
        let found = arguments(&folder.build(name, options));
        assert_eq!(names(&found), EXPECTED, "{name}");
        // Without optimization everything is in memory.
        let mut all = found.iter().flat_map(|(_, arguments)| arguments);
        assert!(all.all(|(_, is_there)| *is_there), "{name}: {found:?}");
    }
}

#[test]
fn optimized_arguments_are_named_and_most_are_there() {
    let folder = Folder::new("levels");
    for level in ["-O1", "-O2", "-O3", "-Og"] {
        let found = arguments(&folder.build(&level[1..], &[level]));
        let own: Vec<String> = names(&found);
        for expected in EXPECTED {
            assert!(own.iter().any(|line| line == expected), "{level}: {own:?}");
        }
        let add = found.iter().find(|(name, _)| name == "add");
        let (_, add) = add.expect("it was just found");
        assert!(
            add.iter().all(|(_, is_there)| *is_there),
            "{level}: {add:?}"
        );
    }
}

#[test]
fn debug_information_beside_a_stripped_file_is_found() {
    let folder = Folder::new("beside");
    let program = folder.build("stripped", &["-O0"]);
    let before = functions(&program);
    let debug = folder.0.join("stripped.debug");
    let run = |tool: &str, arguments: &[&str]| {
        let status = Command::new(tool)
            .current_dir(&folder.0)
            .args(arguments)
            .status();
        assert!(status.expect("binutils are there").success(), "{tool}");
    };
    run(
        "objcopy",
        &["--only-keep-debug", "stripped", "stripped.debug"],
    );
    run("strip", &["-g", "stripped"]);
    run(
        "objcopy",
        &["--add-gnu-debuglink=stripped.debug", "stripped"],
    );
    assert!(debug.is_file());
    let mut file = DebugFile::open(&program, &[]).expect("it lies beside");
    let (_, begin, end) = before
        .iter()
        .find(|(name, _, _)| name == "add")
        .expect("gcc has compiled it");
    let plan = entry_plan(&mut file, *begin, *end, &Wishes::default()).expect("it has arguments");
    assert_eq!(plan.frames[0].arguments.len(), 2);
}

#[test]
fn a_returned_value_is_found_behind_the_exit_hook() {
    let folder = Folder::new("returned");
    for level in ["-O0", "-O1", "-O2"] {
        let program = folder.build(&format!("returned{level}"), &[level]);
        let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
        let all = functions(&program);
        for (name, begin, end) in all.iter().filter(|(name, _, _)| name != "main") {
            let sites = (*begin..=*end).filter(|address| file.calls_hook(*address) == Some(true));
            let site = Site {
                address: sites.max().expect("the hook is called at the end"),
                kind: Kind::Exit,
                function: Some(*begin),
            };
            let result = plan(&mut file, &site, &Wishes::default())
                .and_then(|plan| plan.result)
                .expect("it returns a number");
            assert!(result.place != Place::OptimizedOut, "{level} {name}");
        }
    }
}

/// Results that are computed behind the hook, as -O2 has them.
const COMPUTED: &str = r#"
typedef float lanes __attribute__((vector_size(16)));
struct pair { float x, y; };
struct mixed { double d; int n; };
volatile double kept = 2.5;
__attribute__((noinline)) double third(int n, float f) { return (n + f) / 3; }
__attribute__((noinline)) float negated(float f) { return -f; }
__attribute__((noinline)) long rounded(double d, long n) { return (long)d + n; }
__attribute__((noinline)) unsigned larger(unsigned a, unsigned b) { return a > b ? a : b; }
__attribute__((noinline)) long double widened(double d) { return d; }
__attribute__((noinline)) lanes moved(lanes l) { return l; }
__attribute__((noinline)) struct pair paired(float f) { struct pair p = {f, f + 1}; return p; }
__attribute__((noinline)) struct mixed mixed(double d, int n) { struct mixed m = {d * d, n + 1}; return m; }
int main(void) {
  return third(1, 2) + negated(3) + rounded(kept, 1) + larger(kept, 3) + widened(kept) + moved((lanes){1})[0] + paired(kept).y +
         mixed(kept, 2).n;
}
"#;

#[test]
fn a_returned_value_that_is_computed_behind_the_hook_is_found() {
    let folder = Folder::new("computed");
    let names = [
        "third", "negated", "rounded", "larger", "widened", "moved", "paired", "mixed",
    ];
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        let program = folder.build_of(COMPUTED, &format!("computed{level}"), &[level]);
        let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
        let all = functions_of(&program, &names);
        assert_eq!(all.len(), names.len());
        for (name, begin, end) in &all {
            let sites = (*begin..=*end).filter(|address| file.calls_hook(*address) == Some(true));
            let site = Site {
                address: sites.max().expect("the hook is called at the end"),
                kind: Kind::Exit,
                function: Some(*begin),
            };
            let result = plan(&mut file, &site, &Wishes::default()).and_then(|plan| plan.result);
            let place = result.expect("it returns a number").place;
            assert!(is_whole(&place), "{level} {name}: {place:?}");
        }
    }
}

fn is_whole(place: &Place) -> bool {
    match place {
        Place::OptimizedOut => false,
        Place::Pieces(pieces) => pieces.iter().all(|piece| is_whole(&piece.place)),
        _ => true,
    }
}

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

fn build_units(folder: &Folder, level: &str) -> PathBuf {
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

#[test]
fn what_one_unit_declares_is_found_where_another_defines_it() {
    let folder = Folder::new("declared");
    let program = build_units(&folder, "-O0");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(
        &program,
        &["_Z4lookPN4shop4itemEPNS_5twiceEPN5outer5innerEPNS_12_GLOBAL__N_13ownE"],
    );
    let (_, begin, end) = all.first().expect("gcc has compiled it");
    let plan = entry_plan(&mut file, *begin, *end, &Wishes::default()).expect("it has arguments");
    let bytes = plan.frames[0].arguments.iter().map(|argument| {
        let target = match file.types().bare(argument.of) {
            Some((
                _,
                Type {
                    kind: umbel_values::Kind::Pointer(target),
                    ..
                },
            )) => *target,
            other => panic!("{} is no pointer: {other:?}", argument.name),
        };
        file.types().size(target)
    });
    // What has no name outside of its unit is another there.
    assert_eq!(
        bytes.collect::<Vec<_>>(),
        [Some(16), Some(8), Some(12), None]
    );
}

#[test]
fn what_a_call_puts_into_registers_is_known_of_functions_in_other_units_too() {
    let folder = Folder::new("entries");
    let program = build_units(&folder, "-O2");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["main", "_ZN4shop5priceEPNS_4itemEPNS_5twiceE"]);
    let begin_of = |wanted: &str| all.iter().find(|(name, ..)| name.starts_with(wanted));
    let (_, begin, end) = *begin_of("main").expect("gcc has compiled it");
    let (_, price, _) = *begin_of("_ZN4shop").expect("gcc has compiled it");
    let plans = (begin..=end).filter_map(|address| {
        let site = Site {
            address,
            kind: Kind::Caller,
            function: None,
        };
        plan(&mut file, &site, &Wishes::default())
    });
    let call = plans
        .into_iter()
        .find(|plan| plan.callee == Some(price))
        .expect("main calls it");
    let mut registers: Vec<u16> = call.entries.iter().map(|(number, _)| *number).collect();
    registers.sort_unstable();
    // rdi and rsi.
    assert_eq!(registers, [4, 5]);
}

#[test]
fn the_caller_of_an_inlined_function_has_its_locals() {
    let folder = Folder::new("inlined");
    let program = build_units(&folder, "-O2");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["main"]);
    let (_, begin, end) = *all.first().expect("gcc has compiled it");
    let wishes = Wishes {
        caller: true,
        ..Wishes::default()
    };
    let inlined = (begin..=end).find_map(|address| {
        (file.calls_hook(address) == Some(true)).then_some(())?;
        let function = file
            .frames(address - 1)
            .first()
            .filter(|frame| frame.is_inline)?
            .entry;
        let site = Site {
            address,
            kind: Kind::Enter,
            function,
        };
        plan(&mut file, &site, &wishes)
    });
    let frames = inlined.expect("half is inlined").frames;
    assert_eq!((&*frames[0].name, &*frames[1].name), ("half", "main"));
    let kept = frames[1].locals.iter().find(|local| &*local.name == "kept");
    assert!(is_whole(&kept.expect("main has it").place));
}

/// gcc makes a copy of `scaled` for its constant.
const COPIED: &str = r#"
volatile int sink;
__attribute__((noinline)) long scaled(const int *row, int count, int factor) {
  long sum = 0;
  for (int i = 0; i < count; i++) { sum += (long)row[i] * factor; sink = i; }
  return sum;
}
__attribute__((noinline)) long more(int n) { return scaled(&n, 1, n); }
int main(void) {
  int row[4] = {sink, 2, 3, 4};
  long sum = 0;
  for (int i = 0; i < 3; i++) sum += scaled(row, sink, 3) + scaled(row, 2, 3);
  return (int)(sum + more(4));
}
"#;

#[test]
fn a_copy_of_a_function_that_gcc_made_is_that_function() {
    let folder = Folder::new("copied");
    let program = folder.build_of(COPIED, "copied", &["-O3"]);
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["scaled", "scaled.constprop.0"]);
    let begin_of = |wanted: &str| all.iter().find(|(name, ..)| name == wanted);
    let (_, own, _) = *begin_of("scaled").expect("gcc has compiled it");
    let (_, begin, end) = *begin_of("scaled.constprop.0").expect("gcc copies it");
    let sites = (begin..=end).filter(|address| file.calls_hook(*address) == Some(true));
    let site = Site {
        address: sites.min().expect("the copy calls the hooks"),
        kind: Kind::Enter,
        function: Some(own),
    };
    let plan = plan(&mut file, &site, &Wishes::default()).expect("it has arguments");
    let names: Vec<_> = plan.frames[0]
        .arguments
        .iter()
        .map(|one| &*one.name)
        .collect();
    assert_eq!(names, ["row", "count", "factor"]);
}

/// A generator of numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or(0)
    }
}

#[test]
fn damaged_debug_information_ends_in_plans_or_errors() {
    let folder = Folder::new("damaged");
    let wishes = Wishes {
        locals: true,
        caller: true,
        depth: 3,
        ..Wishes::default()
    };
    for (name, options) in [
        ("five", ["-O2", "-gdwarf-5"]),
        ("four", ["-O1", "-gdwarf-4"]),
    ] {
        let program = folder.build(name, &options);
        let whole = fs::read(&program).expect("gcc has written it");
        let all = functions(&program);
        let sections: Vec<(usize, usize)> = {
            use object::ObjectSection;
            let file = object::File::parse(&*whole).expect("gcc writes ELF");
            let debug = file.sections().filter(|section| {
                let name = section.name().unwrap_or_default();
                name.starts_with(".debug_") || name.starts_with(".eh_frame")
            });
            debug
                .filter_map(|section| section.file_range())
                .map(|(offset, bytes)| (offset as usize, bytes as usize))
                .collect()
        };
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..150 {
            let mut bytes = whole.clone();
            let (offset, length) = sections[random.below(sections.len())];
            for _ in 0..1 + random.below(12) {
                let at = offset + random.below(length);
                bytes[at] = match random.below(3) {
                    0 => 0xff,
                    1 => 0,
                    _ => random.below(256) as u8,
                };
            }
            if round % 10 == 0 {
                bytes.truncate(offset + random.below(length));
            }
            let damaged = folder.0.join("damaged");
            fs::write(&damaged, &bytes).expect("the folder can be written");
            let Ok(mut file) = DebugFile::open(&damaged, &[]) else {
                continue;
            };
            for (_, begin, end) in &all {
                for kind in [Kind::Enter, Kind::Exit, Kind::Caller] {
                    // Whatever comes of it: it comes soon, and nothing panics.
                    for address in (*begin + 1..=*end).step_by(7) {
                        let site = Site {
                            address,
                            kind,
                            function: Some(*begin),
                        };
                        let _ = plan(&mut file, &site, &wishes);
                    }
                }
            }
        }
    }
}
