//! Damaged debug information: whatever comes of it comes soon, and nothing panics.

mod common;

use std::fs;
use std::path::Path;

use umbel_values::plan::{Chosen, Elements, End, Kind, Part, Site, Wishes, compile};
use umbel_values::{DebugFile, Frame, Path as Way, Step};

use common::{Folder, build_units, functions, functions_of, plan};

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
        let sections = sections_of(&whole);
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

/// Sections of debug information, and of unwinding: offset and bytes in the file.
fn sections_of(whole: &[u8]) -> Vec<(usize, usize)> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(whole).expect("gcc writes ELF");
    let debug = file.sections().filter(|section| {
        let name = section.name().unwrap_or_default();
        name.starts_with(".debug_") || name.starts_with(".eh_frame")
    });
    debug
        .filter_map(|section| section.file_range())
        .map(|(offset, bytes)| (offset as usize, bytes as usize))
        .collect()
}

/// Damages `file` in `rounds` ways; `look` is called after each.
fn damage(file: &Path, rounds: usize, mut random: Random, mut look: impl FnMut()) {
    let whole = fs::read(file).expect("gcc has written it");
    let sections = sections_of(&whole);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        let (offset, length) = sections[random.below(sections.len())];
        for _ in 0..1 + random.below(16) {
            bytes[offset + random.below(length)] = random.below(256) as u8;
        }
        if round % 8 == 0 {
            bytes.truncate(offset + random.below(length));
        }
        fs::write(file, &bytes).expect("the folder can be written");
        look();
    }
}

/// Parts of what types that other units define have in them, and of things that aren't there.
fn chosen() -> Vec<Chosen> {
    let part = |variable: &str, steps: Vec<Step>, elements| {
        Chosen::Part(Part {
            text: variable.into(),
            path: Way {
                variable: variable.into(),
                steps,
            },
            elements,
            is_text: false,
        })
    };
    let member = |name: &str| Step::Member(name.into());
    let to = |to| Some(Elements { from: 0, to });
    let length = Way {
        variable: "kept".into(),
        steps: Vec::new(),
    };
    vec![
        part("i", vec![member("name"), Step::Index(1)], None),
        part("i", vec![Step::Target, member("cents")], None),
        part("n", vec![member("n")], to(End::At(u64::MAX))),
        part("t", vec![Step::Target], to(End::Variable(length))),
        part("own", vec![member("c"), member("c")], None),
        part("row", vec![Step::Index(i64::MIN)], None),
        part("total", Vec::new(), None),
        Chosen::All,
    ]
}

/// Asks everything that is asked of a program, names of types in other units and chosen parts too.
fn ask(program: &Path, all: &[(String, u64, u64)]) {
    let Ok(mut file) = DebugFile::open(program, &[]) else {
        return;
    };
    let wishes = Wishes {
        locals: true,
        caller: true,
        depth: 3,
        ..Wishes::default()
    };
    let chosen = chosen();
    let choose = |_: &Frame| Some(chosen.as_slice());
    for (_, begin, end) in all {
        for kind in [Kind::Enter, Kind::Exit, Kind::Caller] {
            for address in (*begin + 1..=*end).step_by(5) {
                let site = Site {
                    address,
                    kind,
                    function: Some(*begin),
                };
                let _ = plan(&mut file, &site, &wishes);
                let _ = compile(&mut file, &site, &wishes, 0x1000, &[], &choose);
            }
        }
    }
}

#[test]
fn damaged_names_of_types_and_chosen_parts_end_in_plans_or_errors() {
    let folder = Folder::new("damaged-names");
    for level in ["-O0", "-O2"] {
        let program = build_units(&folder, level);
        let known = [
            "main",
            "_ZN4shop5priceEPNS_4itemEPNS_5twiceE",
            "_Z4lookPN4shop4itemEPNS_5twiceEPN5outer5innerEPNS_12_GLOBAL__N_13ownE",
        ];
        let all = functions_of(&program, &known);
        assert_eq!(all.len(), known.len());
        damage(&program, 60, Random(0x2545_f491_4f6c_dd1d), || {
            ask(&program, &all);
        });
    }
}

/// Functions in functions, arrays whose length is a variable, thread-local variables.
const NESTED: &str = r#"
volatile int sink;
int outer(int n) {
  static _Thread_local int calls;
  int total = n, row[n];
  __attribute__((noinline)) int inner(int a) {
    int own = a;
    __attribute__((noinline)) int deepest(int q) { return total + own + q + row[0]; }
    total += ++calls;
    return deepest(own + 3);
  }
  for (int i = 0; i < n; i++) row[i] = i;
  return inner(n + 5) + total;
}
int main(void) { return outer(3); }
"#;

#[test]
fn damaged_nested_functions_and_units_of_their_own_end_in_plans_or_errors() {
    let folder = Folder::new("damaged-nested");
    for (name, level) in [("nested0", "-O0"), ("nested2", "-O2")] {
        let program = folder.build_of(NESTED, name, &[level, "-Wno-trampolines"]);
        let all = functions_of(&program, &["outer", "inner.0", "deepest.1", "main"]);
        assert!(all.len() >= 2, "{all:?}");
        damage(&program, 60, Random(0x9e37_79b9_7f4a_7c15), || {
            ask(&program, &all);
        });
    }
    let program = folder.build("split", &["-O1", "-gsplit-dwarf"]);
    let all = functions(&program);
    let entries = fs::read_dir(&folder.0).expect("it is there").flatten();
    let mut split = entries.map(|entry| entry.path());
    let split = split.find(|path| path.extension().is_some_and(|end| end == "dwo"));
    let split = split.expect("gcc has put the unit there");
    damage(&split, 60, Random(0x0123_4567_89ab_cdef), || {
        ask(&program, &all);
    });
}
