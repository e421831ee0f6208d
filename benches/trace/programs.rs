//! What is traced: each built twice, by a recipe, from its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::configurations::Tools;
use super::measure::said;
use crate::Effort;

/// A program of one thread, in two builds.
#[derive(Clone, Debug)]
pub struct Program {
    /// In the table.
    pub name: &'static str,
    /// Built without `-finstrument-functions`.
    pub plain: PathBuf,
    /// Built with it.
    pub flag: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// Calls and returns, counted by hooks/events.c.
    pub events: u64,
}

impl Program {
    /// Whether it is the file of this name.
    pub fn program_is(&self, file: &str) -> bool {
        self.flag.ends_with(file)
    }

    /// One of the builds, with the program's arguments.
    pub fn alone(&self, build: &Path) -> Command {
        let mut command = Command::new(build);
        command.args(&self.arguments);
        command
    }
}

/// How a program is made and called. In arguments `{sources}` is our folder, `{build}` that of the flag build.
struct Recipe {
    name: &'static str,
    /// The file of the recipe without its end, and the folder of the source.
    recipe: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    quick: &'static [&'static str],
}

/// Builds all, or those whose name contains `only`; what could not be had is told.
pub fn build(
    tools: &Tools,
    sources: &Path,
    effort: Effort,
    only: &str,
) -> (Vec<Program>, Vec<String>) {
    let mut programs = Vec::new();
    let mut missing = Vec::new();
    for recipe in RECIPES.iter().filter(|recipe| recipe.name.contains(only)) {
        match recipe.build(tools, sources, effort) {
            Ok(program) => programs.push(program),
            Err(error) => missing.push(format!("{}: {error:#}", recipe.name)),
        }
    }
    (programs, missing)
}

impl Recipe {
    fn build(&self, tools: &Tools, sources: &Path, effort: Effort) -> Result<Program> {
        let plain = folder(tools, sources, self.recipe, PLAIN)?;
        let flag = folder(tools, sources, self.recipe, FLAG)?;
        let arguments = match effort.is_quick() {
            true => self.quick,
            false => self.arguments,
        };
        let filled = |argument: &&str| {
            argument
                .replace("{sources}", &tools.sources.display().to_string())
                .replace("{build}", &flag.display().to_string())
        };
        let mut program = Program {
            name: self.name,
            plain: plain.join(self.program),
            flag: flag.join(self.program),
            arguments: arguments.iter().map(filled).collect(),
            events: 0,
        };
        program.events = tools.count(&program)?;
        Ok(program)
    }
}

/// The folder with what a recipe makes, built if it isn't there yet.
pub fn folder(
    tools: &Tools,
    sources: &Path,
    recipe: &str,
    (build, flags): (&str, &str),
) -> Result<PathBuf> {
    let folder = tools.output.join(recipe).join(build);
    let script = tools.sources.join("recipes").join(format!("{recipe}.sh"));
    let made = folder.join("made");
    let text =
        fs::read_to_string(&script).with_context(|| format!("there is no {}", script.display()))?;
    if fs::read_to_string(&made).is_ok_and(|made| made == text) {
        return Ok(folder);
    }
    let source = sources.join(recipe);
    if text.contains("$SRC") && !source.is_dir() {
        bail!("its source could not be had");
    }
    eprintln!("building {recipe}, {build}");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    said(
        Command::new("sh")
            .arg("-e")
            .arg(&script)
            .current_dir(&folder)
            .env("SRC", &source)
            .env("HERE", tools.sources.join("recipes"))
            .env("CFLAGS", flags),
    )?;
    fs::write(&made, text)?;
    Ok(folder)
}

/// Name of a build and its flags: without the hooks.
pub const PLAIN: (&str, &str) = ("plain", "-g -O2");
/// With them.
pub const FLAG: (&str, &str) = ("flag", "-g -O2 -finstrument-functions");

/// About 14 million events each, but zlib, whose functions are long: 3 million. Quick: a twentieth.
const RECIPES: [Recipe; 5] = [
    Recipe {
        name: "fib",
        recipe: "fib",
        program: "fib",
        arguments: &["32"],
        quick: &["26"],
    },
    Recipe {
        name: "sqlite speedtest1",
        recipe: "sqlite",
        program: "speedtest1",
        arguments: &["--size", "2", "--memdb"],
        quick: &["--size", "1", "--memdb", "--testset", "cte"],
    },
    Recipe {
        name: "lua",
        recipe: "lua",
        program: "lua",
        arguments: &["{sources}/recipes/work.lua", "3"],
        quick: &["{sources}/recipes/work.lua", "1"],
    },
    Recipe {
        name: "zlib minigzip",
        recipe: "zlib",
        program: "minigzip",
        arguments: &["-c", "{build}/text"],
        quick: &["-c", "{build}/zlib.h"],
    },
    Recipe {
        name: "fastjet",
        recipe: "fastjet",
        program: "jets",
        arguments: &["30", "300"],
        quick: &["3", "200"],
    },
];
