//! `umbel cc`: gcc with Umbel's plugin, header and runtime.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};
use clap::{Args, CommandFactory};

use crate::layout::{Layout, plugin_name};
use crate::{Cli, status};
use arguments::{Request, Sources};

mod arguments;
pub mod gcc;

/// Compiles and links with gcc, Umbel's plugin and its runtime; takes gcc's arguments.
#[derive(Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  umbel cc -O2 fig1.c -o fig1            compile and link
  umbel cc -O2 -g -c part.c              compile only: part.o
  umbel cc part.o main.o -lm -o prog     link; the objects may also come from plain gcc
  umbel cc --share-globals *.c -o prog   globals and static locals are shared too
  umbel cc --umbel-gcc=gcc-11 x.c -o x   another gcc, with the plugin made for it
  make CC='umbel cc'                     in a program's own build

All arguments go to gcc as they are, except:
  --umbel-gcc=GCC         the compiler to use; else the variable UMBEL_GCC, else gcc
  --share-globals         share globals and static locals between the nodes, where threads may use
                          them; give it for every file of the program
  -Wno-umbel-globals      no warning about a thread that writes a global of which each node has its own
  --umbel-all             make every captured variable sharable, also where no thread can see it
  --umbel-plugin-arg=X    give the plugin the argument X
Added to them: the plugin and `-include umbel.h` for C, and when linking umbel_crt.o, libumbel and
an rpath to it. Variables that nested functions use become sharable between nodes; everything else
is compiled as gcc always does. The exit status is gcc's.

Attributes:
  __attribute__((shadow(\"WORDS\")))  of a variable, a member, a structure or a typedef: how it is kept
      coherent. sequential or weak; auto, invalidate, migratory, read_only, update or remote; unit(N)
      for an array: N of its outermost elements belong together. On a global: it is shared.
  __attribute__((node_local))       of a global or static local: each node has its own, always

With --share-globals a global belongs to all files compiled so; one that a library defines must be
declared node_local, unless a system header declares it, or the program does not link. Left alone are
const and thread-local ones, and those with a register, an assembler name, a section or an alias.

Not supported: -static, and C together with other languages that gcc preprocesses, in one call."
)]
pub struct Options {
    /// Arguments for gcc, and those below.
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Becomes gcc; returns only if that is impossible.
pub fn run(options: &Options) -> u8 {
    if let [only] = options.arguments.as_slice()
        && ["--help", "-h"].iter().any(|help| only == help)
    {
        return show_help();
    }
    let error = match command(&options.arguments) {
        Ok((mut command, gcc)) => {
            let error = command.exec();
            anyhow::anyhow!("cannot run {}: {error}; is it installed?", gcc.display())
        }
        Err(error) => error,
    };
    eprintln!("umbel cc: {error:#}");
    1
}

fn show_help() -> u8 {
    let mut umbel = Cli::command();
    let cc = umbel.find_subcommand_mut("cc").expect("main.rs lists it");
    match cc.clone().bin_name("umbel cc").print_long_help() {
        Ok(()) => 0,
        Err(_) => status::LAUNCHER_FAILED,
    }
}

/// gcc's command, and the name of the gcc.
fn command(arguments: &[OsString]) -> Result<(Command, OsString)> {
    let (own, rest) = Own::split(arguments)?;
    let gcc = own.gcc();
    let mut command = Command::new(&gcc);
    let request = Request::of(&rest)?;
    if request.sources == Sources::None && !request.has_inputs {
        // --version, -print-file-name=..., or a mistake that gcc explains best.
        command.args(rest);
        return Ok((command, gcc));
    }
    if request.is_static {
        bail!(
            "-static is not supported: the runtime is a shared library, so that all nodes \
             have one version of it; leave -static out"
        );
    }
    let layout = Layout::find()?;
    match request.sources {
        Sources::Mixed => bail!(
            "this call has C files and files of another language; compile the others by \
             themselves with gcc -c, and link all with umbel cc"
        ),
        Sources::C => add_plugin(&mut command, &layout, &gcc, &own)?,
        Sources::Other | Sources::None => {}
    }
    if request.links {
        // First, because a -x of the user's would have gcc take it for source code.
        command.arg(layout.crt());
    }
    command.args(rest);
    if request.links {
        let libraries = layout.libraries();
        let folder = libraries.as_os_str().to_owned();
        command.arg(joined("-L", &folder));
        // A linker set to --as-needed must keep it even if no object names it.
        command.args([
            "-Wl,--push-state,--no-as-needed",
            "-lumbel",
            "-Wl,--pop-state",
            // Shared objects that the program loads later have the shadow stacks of its threads.
            "-Wl,--export-dynamic-symbol=umbel_self",
        ]);
        command.args(["-Xlinker", "-rpath", "-Xlinker"]).arg(folder);
    }
    Ok((command, gcc))
}

fn add_plugin(command: &mut Command, layout: &Layout, gcc: &OsStr, own: &Own) -> Result<()> {
    let major = gcc::major(gcc)?;
    let plugin = layout.plugin(major);
    if !plugin.is_file() {
        bail!(
            "no plugin for gcc {major} in {}; install the package gcc-{major}-plugin-dev and run \
             `cargo xtask install --prefix {}` again",
            layout.libraries().display(),
            layout.prefix().display()
        );
    }
    command.arg(joined("-fplugin=", plugin.as_os_str()));
    let option = format!("-fplugin-arg-{}-", plugin_name(major));
    for argument in &own.plugin_arguments {
        command.arg(joined(&option, argument));
    }
    command.arg("-include").arg(layout.header());
    // Last of all folders: for programs that say #include <umbel.h> themselves.
    command.arg("-idirafter").arg(layout.headers());
    Ok(())
}

/// Arguments that are ours, not gcc's.
#[derive(Default)]
struct Own {
    gcc: Option<OsString>,
    plugin_arguments: Vec<OsString>,
}

impl Own {
    fn split(arguments: &[OsString]) -> Result<(Self, Vec<OsString>)> {
        let mut own = Self::default();
        let mut rest = Vec::new();
        for argument in arguments {
            let after = |prefix: &str| {
                let bytes = argument.as_bytes().strip_prefix(prefix.as_bytes())?;
                Some(OsStr::from_bytes(bytes).to_owned())
            };
            if let Some(gcc) = after("--umbel-gcc=") {
                own.gcc = Some(gcc);
            } else if let Some(plugin_argument) = after("--umbel-plugin-arg=") {
                own.plugin_arguments.push(plugin_argument);
            } else if argument == "--umbel-all" {
                own.plugin_arguments.push("all".into());
            } else if argument == "--share-globals" {
                own.plugin_arguments.push("share-globals".into());
            } else if argument == "-Wno-umbel-globals" {
                own.plugin_arguments.push("no-warn-globals".into());
            } else if after("--umbel-").is_some() {
                bail!(
                    "{}: no such option; see `umbel cc --help`",
                    argument.display()
                );
            } else {
                rest.push(argument.clone());
            }
        }
        Ok((own, rest))
    }

    fn gcc(&self) -> OsString {
        let variable = || env::var_os("UMBEL_GCC").filter(|value| !value.is_empty());
        self.gcc
            .clone()
            .or_else(variable)
            .unwrap_or_else(|| "gcc".into())
    }
}

fn joined(option: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(value);
    argument
}
