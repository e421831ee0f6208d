//! Debug information in all forms that compilers and linkers give it, and in all places where it may lie.

mod common;

use std::fs;
use std::process::Command;

use umbel_values::DebugFile;
use umbel_values::plan::Wishes;

use common::{EXPECTED, Folder, arguments, entry_plan, functions, names};

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
fn units_of_their_own_are_found_in_a_package() {
    let folder = Folder::new("package");
    // Debian's dwp ends with a fault on DWARF 5.
    let program = folder.build("packaged", &["-O0", "-gdwarf-4", "-gsplit-dwarf"]);
    let whole = arguments(&program);
    run(&folder, "dwp", &["-e", "packaged", "-o", "packaged.dwp"]);
    let mut removed = 0;
    for entry in fs::read_dir(&folder.0).expect("it is there").flatten() {
        if entry.path().extension().is_some_and(|end| end == "dwo") {
            fs::remove_file(entry.path()).expect("gcc has written it");
            removed += 1;
        }
    }
    assert_eq!(
        (removed, names(&whole)),
        (1, EXPECTED.map(str::to_owned).to_vec())
    );
    assert_eq!(arguments(&program), whole);
    // Without either, nothing is guessed.
    fs::remove_file(folder.0.join("packaged.dwp")).expect("dwp has written it");
    assert_eq!(arguments(&program), []);
}

#[test]
fn sections_packed_in_every_way_are_read() {
    let folder = Folder::new("packed");
    let program = folder.build("plain", &["-O0"]);
    let whole = arguments(&program);
    assert_eq!(names(&whole), EXPECTED);
    for way in ["zlib", "zlib-gabi", "zlib-gnu", "zstd"] {
        let option = format!("--compress-debug-sections={way}");
        run(&folder, "objcopy", &[&option, "plain", way]);
        assert_eq!(arguments(&folder.0.join(way)), whole, "{way}");
    }
}

#[test]
fn debug_information_of_another_build_is_not_believed() {
    let folder = Folder::new("another");
    let program = folder.build("first", &["-O0", "-Wl,--build-id"]);
    let other = folder.build("second", &["-O1", "-Wl,--build-id"]);
    let identity = |path| umbel_values::files::Identity::read(path).expect("it is ELF");
    let (first, second) = (identity(&program), identity(&other));
    assert!(first.build_id.len() == 20 && first.build_id != second.build_id);
    assert!(DebugFile::open(&program, &first.build_id).is_ok());
    let refused = DebugFile::open(&program, &second.build_id);
    let text = refused.err().map(|error| error.to_string());
    assert!(text.is_some_and(|text| text.contains("was built anew")));
    // A file that is named beside, but is another's.
    run(
        &folder,
        "objcopy",
        &["--only-keep-debug", "second", "first.debug"],
    );
    run(&folder, "strip", &["-g", "first"]);
    run(
        &folder,
        "objcopy",
        &["--add-gnu-debuglink=first.debug", "first"],
    );
    run(
        &folder,
        "objcopy",
        &[
            "--only-keep-debug",
            "-R",
            ".comment",
            "second",
            "first.debug",
        ],
    );
    let refused = DebugFile::open(&program, &[]).err();
    assert!(refused.is_some(), "its checksum is another");
}

fn run(folder: &Folder, tool: &str, arguments: &[&str]) {
    let mut command = Command::new(tool);
    let status = command.current_dir(&folder.0).args(arguments).status();
    assert!(
        status.expect("binutils are there").success(),
        "{tool} {arguments:?}"
    );
}
