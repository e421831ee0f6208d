//! Programs for the tracer: compiled by gcc with `-finstrument-functions`, recorded by the staged `umbel trace`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{LIMIT, Outcome, new_folder, signal, start, umbel};

/// A compiled program in a folder of its own, which is removed with it.
pub struct Traced {
    folder: PathBuf,
    program: PathBuf,
}

/// Compiles `tests/programs/trace/FILE` with `-finstrument-functions` at a level (`-O2`), and `NAME_library.c` beside it, if
/// there is one, to `NAME_library.so`. A first line `// gcc: WORDS` adds words.
#[track_caller]
pub fn compile(file: &str, level: &str) -> Traced {
    let source = programs().join(file);
    let name = source
        .file_stem()
        .expect("a source has a name")
        .display()
        .to_string();
    let folder = new_folder();
    let traced = Traced {
        program: folder.join(&name),
        folder,
    };
    let text = fs::read_to_string(&source).expect("the program is in tests/programs/trace");
    let first = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = first
        .strip_prefix("// gcc: ")
        .map_or_else(Vec::new, |words| words.split_whitespace().collect());
    let common = ["-g", "-Wall", "-Wextra", "-finstrument-functions", level];
    let compiler = match file.ends_with(".cc") {
        true => "g++",
        false => "gcc",
    };
    let mut compilation = Command::new(compiler);
    compilation.args(common).arg(&source).args(words);
    must(compilation.arg("-o").arg(&traced.program));
    let library = source.with_file_name(format!("{name}_library.c"));
    if library.is_file() {
        let mut compilation = Command::new("gcc");
        compilation
            .args(common)
            .args(["-fPIC", "-shared"])
            .arg(&library);
        must(
            compilation
                .arg("-o")
                .arg(traced.folder.join(format!("{name}_library.so"))),
        );
    }
    traced
}

/// Where the programs are.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/trace")
}

impl Traced {
    /// The executable.
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `umbel trace record -o recording OPTIONS PROGRAM`, in the program's folder.
    pub fn record(&self, recording: &Path, options: &[&str]) -> Command {
        let mut command = umbel(&["trace", "record", "-o"]);
        command.arg(recording).args(options).arg(&self.program);
        command.current_dir(&self.folder);
        command
    }

    /// A recording as a tree of names.
    #[track_caller]
    pub fn tree(&self, recording: &Path) -> String {
        let tree = self.file("tree");
        let mut export = umbel(&["trace", "export", "--format", "tree", "-o"]);
        must(export.arg(&tree).arg(recording));
        fs::read_to_string(tree).expect("the export was good")
    }

    /// Its processes: those that run its executable. Sorted.
    pub fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let runs_it = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|file| file == self.program)
        };
        let mut pids: Vec<u32> = pids.filter(runs_it).collect();
        pids.sort_unstable();
        pids
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        for process in self.processes() {
            signal(process, "KILL");
        }
        // Nothing depends on it, and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command to its end, which must be a good one.
#[track_caller]
pub fn must(command: &mut Command) -> Outcome {
    let outcome = start(command, b"").wait(LIMIT);
    assert!(outcome.status == Some(0), "{command:?}: {outcome}");
    outcome
}
