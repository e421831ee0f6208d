//! `umbel cc` with a test double of gcc, and of the installation: what gcc is given.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says it is gcc 12, and else prints each of its arguments on a line.
const GCC: &str = "#!/bin/sh
case \"$1\" in -dumpfullversion) echo \"${TEST_GCC_VERSION:-12.2.0}\"; exit;; esac
printf '%s\\n' \"$@\"
exit \"${TEST_GCC_STATUS:-0}\"
";

struct Installation {
    prefix: PathBuf,
}

impl Installation {
    fn new(name: &str) -> Self {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cc-{name}-{}", std::process::id()));
        for file in [
            "lib/umbel/libumbel.so",
            "lib/umbel/umbel_crt.o",
            "lib/umbel/umbel_gcc12.so",
            "include/umbel/umbel.h",
        ] {
            let file = prefix.join(file);
            fs::create_dir_all(file.parent().expect("it has a folder")).expect("it can be written");
            fs::write(file, "").expect("it can be written");
        }
        let gcc = prefix.join("gcc");
        fs::write(&gcc, GCC).expect("it can be written");
        fs::set_permissions(&gcc, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { prefix }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_umbel"));
        command.arg("cc").args(arguments.split_whitespace());
        command
            .env("UMBEL_PREFIX", &self.prefix)
            .env("UMBEL_GCC", self.prefix.join("gcc"));
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments)
            .output()
            .expect("the command was built")
    }

    /// What gcc is given, on one line, with PREFIX for the prefix.
    #[track_caller]
    fn given(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        let text = text.replace(&*self.prefix.to_string_lossy(), "PREFIX");
        text.trim_end().replace('\n', " ")
    }

    /// What `umbel cc` says instead of starting gcc.
    #[track_caller]
    fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "gcc was started: {output:?}");
        let text = String::from_utf8(output.stderr).expect("text");
        text.replace(&*self.prefix.to_string_lossy(), "PREFIX")
    }
}

const COMPILING: &str = "-fplugin=PREFIX/lib/umbel/umbel_gcc12.so \
    -include PREFIX/include/umbel/umbel.h -idirafter PREFIX/include/umbel";
const LIBRARY: &str = "-LPREFIX/lib/umbel -Wl,--push-state,--no-as-needed -lumbel -Wl,--pop-state \
    -Wl,--export-dynamic-symbol=umbel_self -Xlinker -rpath -Xlinker PREFIX/lib/umbel";

#[test]
fn compile_and_link() {
    let installation = Installation::new("both");
    let given = installation.given("-O2 x.c -o x");
    assert_eq!(
        given,
        format!("{COMPILING} PREFIX/lib/umbel/umbel_crt.o -O2 x.c -o x {LIBRARY}")
    );
}

#[test]
fn compile_only() {
    let installation = Installation::new("compile");
    assert_eq!(
        installation.given("-c -g x.c"),
        format!("{COMPILING} -c -g x.c")
    );
}

#[test]
fn link_only_needs_no_plugin() {
    let installation = Installation::new("link");
    fs::remove_file(installation.prefix.join("lib/umbel/umbel_gcc12.so")).expect("it is there");
    let given = installation.given("-shared x.o -lm");
    assert_eq!(
        given,
        format!("PREFIX/lib/umbel/umbel_crt.o -shared x.o -lm {LIBRARY}")
    );
}

#[test]
fn questions_pass_through() {
    let installation = Installation::new("questions");
    for question in ["--version", "-print-search-dirs", "-v", "-dumpmachine"] {
        assert_eq!(installation.given(question), question);
    }
}

#[test]
fn other_languages_are_left_alone() {
    let installation = Installation::new("languages");
    assert_eq!(installation.given("-c x.S"), "-c x.S");
    let says = installation.refused("x.c y.S");
    assert!(
        says.contains("compile the others by themselves with gcc -c"),
        "{says}"
    );
}

#[test]
fn arguments_for_the_plugin() {
    let installation = Installation::new("plugin-arguments");
    let given = installation.given("--umbel-all -c x.c --umbel-plugin-arg=dump=1");
    assert!(
        given.contains("-fplugin-arg-umbel_gcc12-all -fplugin-arg-umbel_gcc12-dump=1"),
        "{given}"
    );
    assert!(!given.contains("--umbel"), "{given}");
    let given = installation.given("--share-globals -Wno-umbel-globals -c x.c");
    assert!(
        given.contains(
            "-fplugin-arg-umbel_gcc12-share-globals -fplugin-arg-umbel_gcc12-no-warn-globals"
        ) && !given.contains("--share-globals")
            && !given.contains("-Wno-umbel"),
        "{given}"
    );
    let says = installation.refused("--umbel-everything x.c");
    assert!(
        says.contains("--umbel-everything: no such option"),
        "{says}"
    );
}

#[test]
fn static_linking_is_refused() {
    let says = Installation::new("static").refused("-static x.c");
    assert!(
        says.starts_with("umbel cc: -static is not supported"),
        "{says}"
    );
}

#[test]
fn a_gcc_without_plugin_is_told_in_one_line() {
    let installation = Installation::new("version");
    let mut command = installation.command("x.c");
    let output = command
        .env("TEST_GCC_VERSION", "13.1.0")
        .output()
        .expect("it was built");
    let text = String::from_utf8(output.stderr).expect("text");
    let text = text.replace(&*installation.prefix.to_string_lossy(), "PREFIX");
    assert_eq!(
        text,
        "umbel cc: no plugin for gcc 13 in PREFIX/lib/umbel; install the package gcc-13-plugin-dev \
         and run `cargo xtask install --prefix PREFIX` again\n"
    );
}

#[test]
fn a_missing_gcc_or_installation_is_told() {
    let installation = Installation::new("missing");
    let says = installation.refused("--umbel-gcc=no-such-gcc x.c");
    assert!(says.contains("cannot run no-such-gcc"), "{says}");
    let mut command = installation.command("x.c");
    let output = command
        .env("UMBEL_PREFIX", "/nowhere")
        .output()
        .expect("it was built");
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(
        text.contains("no libumbel.so in /nowhere/lib/umbel"),
        "{text}"
    );
}

#[test]
fn the_status_is_gccs() {
    let installation = Installation::new("status");
    let mut command = installation.command("x.c");
    let output = command
        .env("TEST_GCC_STATUS", "4")
        .output()
        .expect("it was built");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn help_is_ours() {
    let output = Installation::new("help").run("--help");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("umbel cc -O2 fig1.c -o fig1"), "{text}");
}
