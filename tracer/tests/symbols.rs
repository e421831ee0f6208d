//! Names and places out of files that the compiler of this machine makes, whole, stripped, split and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use umbel_tracer::symbols::{FunctionTable, Image, ModuleUse, Place, RecordedName, Symbols};

const SOURCE: &str = r#"
#include <stdlib.h>
static int hidden(int x) { return x * 3 + 1; }
int shown(int x) { if (__builtin_expect(x == 77, 0)) abort(); return hidden(x); }
int alias_of_shown(int x) __attribute__((alias("shown")));
static int (*choose(void))(int) { return hidden; }
int chosen(int x) __attribute__((ifunc("choose")));
namespace ns { struct Box { int put(int); }; int Box::put(int x) { return shown(x) + alias_of_shown(x); } }
int main(int count, char **) { ns::Box box; return box.put(count) + chosen(count) == 0; }
"#;

/// A folder of one test, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("umbel-symbols-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    /// The program, compiled with these flags.
    fn compile(&self, name: &str, flags: &[&str]) -> PathBuf {
        let source = self.0.join("source.cc");
        // An alias and an ifunc name what they stand for by its linker's name.
        let text = SOURCE
            .replace("alias(\"shown\")", "alias(\"_Z5showni\")")
            .replace("ifunc(\"choose\")", "ifunc(\"_ZL6choosev\")");
        fs::write(&source, text).expect("the folder is writable");
        let program = self.0.join(name);
        let mut command = Command::new("g++");
        command
            .args(["-g", "-O1", "-fno-inline", "-Wl,--build-id"])
            .args(flags);
        run(command.arg("-o").arg(&program).arg(&source));
        program
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("gcc and binutils are installed");
    assert!(status.success(), "{command:?}");
}

fn address_of(path: &Path, name: &str) -> u64 {
    let table = FunctionTable::read(path).expect("a whole file");
    let found = table.iter().find(|function| function.name == name);
    found
        .unwrap_or_else(|| panic!("{name} is not in {path:?}"))
        .begin
}

fn line_of(text: &str) -> u32 {
    let before = SOURCE.split(text).next().expect("split gives one at least");
    before.matches('\n').count() as u32 + 1
}

#[test]
fn every_function_has_one_name_and_its_place() {
    let folder = Folder::new("whole");
    let program = folder.compile("whole", &[]);
    let image = Image::new(&program, &[]);
    let names: Vec<_> = image
        .functions()
        .iter()
        .map(|function| function.name.into_owned())
        .collect();
    assert!(image.functions().is_full());
    for name in ["main", "_ZL6hiddeni", "_Z5showni", "_ZN2ns3Box3putEi"] {
        assert_eq!(
            names.iter().filter(|other| *other == name).count(),
            1,
            "{name}"
        );
    }
    // Of two names of one address the shorter; of a selector its function's name, not what it selects.
    assert!(
        !names.contains(&"_Z14alias_of_showni".to_string()),
        "{names:?}"
    );
    assert!(names.contains(&"_ZL6choosev".to_string()), "{names:?}");
    let shown = address_of(&program, "_Z5showni");
    assert_eq!(image.name(shown + 1).expect("inside").0, "_Z5showni");
    let file = folder.0.join("source.cc").display().to_string();
    let line = line_of("int shown");
    assert_eq!(image.place(shown), Some(Place { file, line }));
    assert_eq!(image.warnings(), [""; 0]);
}

#[test]
fn a_stripped_file_finds_its_debug_file() {
    let folder = Folder::new("split");
    for (name, flags) in [("split", &[][..]), ("zipped", &["-gz"][..])] {
        let program = folder.compile(name, flags);
        let shown = address_of(&program, "_Z5showni");
        let debug = folder.0.join(format!("{name}.debug"));
        run(Command::new("objcopy")
            .arg("--only-keep-debug")
            .args([&program, &debug]));
        run(Command::new("objcopy")
            .arg("--strip-all")
            .arg(format!("--add-gnu-debuglink={}", debug.display()))
            .arg(&program));
        assert!(FunctionTable::read(&program).is_ok_and(|table| !table.is_full()));
        let image = Image::new(&program, &[]);
        assert_eq!(image.name(shown).expect("by the debug file").0, "_Z5showni");
        assert_eq!(
            image.place(shown).map(|place| place.line),
            Some(line_of("int shown"))
        );
        // Another file of this name is not taken for it.
        fs::write(&debug, fs::read("/proc/self/exe").expect("readable")).expect("writable");
        assert_eq!(Image::new(&program, &[]).name(shown), None);
    }
}

#[test]
fn what_the_recording_kept_outlives_the_file() {
    let folder = Folder::new("kept");
    let program = folder.compile("kept", &[]);
    let other = [1, 2, 3, 4];
    let use_of = |process, bias, from_ticks, to_ticks| ModuleUse {
        process,
        path: program.clone(),
        build_id: other.to_vec(),
        bias,
        begin: bias + 0x1000,
        end: bias + 0x9000,
        from_ticks,
        to_ticks,
    };
    let mut symbols = Symbols::new([
        use_of(1, 0x5000_0000, 0, 10),
        use_of(1, 0x5000_1000, 20, 30),
    ]);
    let kept = RecordedName {
        linkage: "_ZN2ns3Box3putEi".into(),
        place: Some(Place {
            file: "box.cc".into(),
            line: 12,
        }),
    };
    symbols.keep(&program, &other, 0x1234, kept);
    let symbol = symbols.name_at(1, 0x5000_1234, 5).expect("kept");
    assert_eq!((&*symbol.demangled, symbol.offset), ("ns::Box::put", 0));
    assert_eq!(
        symbols.place(1, 0x5000_2234).map(|place| place.line),
        Some(12)
    );
    assert_eq!(
        symbols
            .name_at(1, 0x5000_2234, 25)
            .map(|symbol| symbol.offset),
        Some(0)
    );
    // News of a module may be younger than its first call.
    assert!(symbols.name_at(1, 0x5000_1234, 15).is_some());
    // Another process doesn't have it, and the file of today has other functions.
    assert_eq!(symbols.name_at(2, 0x5000_1234, 5), None);
    assert_eq!(symbols.name_at(1, 0x5000_1300, 5), None);
    let warnings = symbols.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("was built anew since"), "{warnings:?}");
}

#[test]
fn a_missing_file_is_said_once() {
    let image = Image::new(Path::new("/nonexistent/program"), &[]);
    assert_eq!(image.name(0x1000), None);
    assert_eq!(image.place(0x1000), None);
    assert_eq!(image.warnings().len(), 1);
}

/// Damage of each kind at each place: a panic aborts the test, and names stay inside the table.
#[test]
fn damaged_files_never_panic() {
    let folder = Folder::new("damaged");
    let whole = fs::read(folder.compile("whole", &["-gz"])).expect("just written");
    let plain =
        fs::read(folder.compile("plain", &["-gdwarf-4", "-static-libgcc"])).expect("just written");
    let path = folder.0.join("damaged");
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut named = 0;
    for round in 0..600 {
        let original = if round % 2 == 0 { &whole } else { &plain };
        let mut bytes = original.clone();
        match round % 5 {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => (0..8).for_each(|_| bytes[random.below(64)] = random.next() as u8),
            // The section headers lie at the end.
            2 => {
                let tail = bytes.len() - 40 * 64;
                (0..12).for_each(|_| bytes[tail + random.below(40 * 64)] = random.next() as u8);
            }
            _ => {
                let count = 1 + random.below(400);
                for _ in 0..count {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
            }
        }
        fs::write(&path, &bytes).expect("the folder is writable");
        let image = Image::new(&path, &[]);
        for address in (0x1000..0x1400).step_by(16) {
            named += usize::from(
                image
                    .name(address)
                    .is_some_and(|(_, begin)| begin <= address),
            );
            image.place(address);
        }
        assert!(image.warnings().len() <= 2, "{:?}", image.warnings());
    }
    assert!(named > 0, "no damaged file gave any name");
}

/// Xorshift: the same damage on each day.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}
