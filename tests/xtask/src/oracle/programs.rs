//! The programs whose values are compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::run as call;
use crate::workspace::root;

/// A program of ours, or one that a recipe of benches/trace/recipes makes of Debian's source.
pub struct Program {
    /// In tables; of others' the folder of the source and the recipe.
    pub name: &'static str,
    made: Made,
}

enum Made {
    /// tests/programs/trace/values/NAME.c or .cc
    Ours { end: &'static str },
    /// By a recipe: the file, and what it is called with. `{recipes}` and `{build}` are folders.
    Recipe {
        file: &'static str,
        arguments: &'static [&'static str],
    },
}

/// All of them.
pub const ALL: [Program; 12] = [
    ours("scalars", "c"),
    ours("records", "c"),
    ours("pointers", "c"),
    ours("nested", "c"),
    ours("entries", "c"),
    ours("classes", "cc"),
    ours("containers", "cc"),
    recipe("lua", "lua", &["{recipes}/check.lua"]),
    recipe("zlib", "minigzip", &["-c", "{build}/zlib.h"]),
    recipe(
        "sqlite",
        "speedtest1",
        &["--size", "1", "--memdb", "--testset", "cte"],
    ),
    recipe("tinyxml2", "xmltest", &[]),
    recipe("fastjet", "jets", &["3", "200"]),
];

/// Those of `--quick`.
pub const QUICK: [&str; 7] = [
    "scalars",
    "records",
    "pointers",
    "nested",
    "entries",
    "classes",
    "containers",
];

/// Debian's source packages, and the names of their recipes.
pub const THIRD_PARTY: [(&str, &str); 5] = [
    ("lua5.4", "lua"),
    ("zlib", "zlib"),
    ("sqlite3", "sqlite"),
    ("tinyxml2", "tinyxml2"),
    ("fastjet", "fastjet"),
];

const fn ours(name: &'static str, end: &'static str) -> Program {
    Program {
        name,
        made: Made::Ours { end },
    }
}

const fn recipe(
    name: &'static str,
    file: &'static str,
    arguments: &'static [&'static str],
) -> Program {
    Program {
        name,
        made: Made::Recipe { file, arguments },
    }
}

impl Program {
    /// Somebody else's.
    pub fn is_third_party(&self) -> bool {
        matches!(self.made, Made::Recipe { .. })
    }

    /// Its file in the folder where it was built.
    pub fn file(&self) -> &'static str {
        match self.made {
            Made::Ours { .. } => self.name,
            Made::Recipe { file, .. } => file,
        }
    }

    /// What it is called with.
    pub fn arguments(&self, build: &Path) -> Result<Vec<String>> {
        let Made::Recipe { arguments, .. } = &self.made else {
            return Ok(Vec::new());
        };
        let recipes = root()?.join("benches/trace/recipes");
        let filled = |argument: &&str| {
            argument
                .replace("{recipes}", &recipes.display().to_string())
                .replace("{build}", &build.display().to_string())
        };
        Ok(arguments.iter().map(filled).collect())
    }

    /// Builds it in `folder`, if it isn't there yet as it would be built now.
    pub fn build(&self, folder: &Path, level: &str, sources: &Path) -> Result<()> {
        let flags = format!("-g -{level} -finstrument-functions");
        let made = folder.join("made");
        let script = match &self.made {
            Made::Ours { end } => {
                let values = root()?.join("tests/programs/trace/values");
                values.join(format!("{}.{end}", self.name))
            }
            Made::Recipe { .. } => root()?.join(format!("benches/trace/recipes/{}.sh", self.name)),
        };
        let text = fs::read_to_string(&script)
            .with_context(|| format!("there is no {}", script.display()))?;
        if fs::read_to_string(&made).is_ok_and(|made| made == text) {
            return Ok(());
        }
        let source = sources.join(self.name);
        if self.is_third_party() && !source.is_dir() {
            bail!("its source could not be had");
        }
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        match &self.made {
            Made::Ours { end } => {
                let first = text.lines().next().unwrap_or_default();
                let words = first.strip_prefix("// gcc: ").unwrap_or_default();
                let compiler = match *end {
                    "cc" => "g++",
                    _ => "gcc",
                };
                let mut compilation = Command::new(compiler);
                compilation
                    .args(flags.split(' '))
                    .args(["-Wall", "-Wextra"]);
                compilation.args(words.split_whitespace()).arg(&script);
                call(compilation.arg("-o").arg(folder.join(self.name)))?;
            }
            Made::Recipe { .. } => {
                let log = fs::File::create(folder.join("build.log"))?;
                let mut recipe = Command::new("sh");
                recipe.arg("-e").arg(&script).current_dir(folder);
                recipe.env("SRC", &source).env("CFLAGS", &flags);
                recipe.env("HERE", root()?.join("benches/trace/recipes"));
                call(recipe.stdout(log.try_clone()?).stderr(log))?;
            }
        }
        fs::write(&made, text).context("cannot note what was built")
    }
}
