//! Values of real programs, compiled without optimization, out of their memory while they wait.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use umbel_values::show::{self, Limits};
use umbel_values::{Absence, DebugFile, Memory, Registers, Value};

/// A program that waits in `umbel_stop`.
struct Stopped {
    child: Child,
    memory: std::fs::File,
    bias: u64,
    /// Of the caller of `umbel_stop`.
    rbp: u64,
    pc: u64,
    file: DebugFile,
    folder: PathBuf,
}

impl Stopped {
    /// Compiles and starts `source`, a file of `tests/programs`.
    fn at(source: &str, compiler: &str, options: &[&str]) -> Self {
        let name = format!(
            "umbel-values-{}-{}",
            source.replace('.', "-"),
            std::process::id()
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let program = folder.join("program");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let compile = |compiler: &str, options: &[&str], source: &str, output: &Path| {
            let mut command = Command::new(compiler);
            command.args(options).args(["-g", "-o"]).arg(output);
            let status = command.arg(sources.join(source)).status();
            assert!(status.expect("a compiler is there").success(), "{source}");
        };
        if !source.ends_with(".c") && !source.ends_with(".cc") {
            // Other languages call what waits.
            let options = ["-c", "-Wno-unused-function"];
            compile("gcc", &options, "stop.c", &folder.join("stop.o"));
        }
        let object = folder.join("stop.o").display().to_string();
        let options: Vec<String> = options
            .iter()
            .map(|option| option.replace("stop.o", &object))
            .collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        compile(compiler, &options, source, &program);
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just compiled");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it is");
        let number = |text: &str| {
            u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address")
        };
        let addresses: Vec<u64> = line.split_whitespace().map(number).collect();
        let [pc, rbp, _] = addresses[..] else {
            panic!("no three addresses: {line:?}");
        };
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).expect("it runs");
        let first = maps
            .lines()
            .find(|line| line.ends_with("/program"))
            .expect("its own mapping");
        let bias = number(first.split('-').next().expect("a line has a range"));
        let memory = std::fs::File::open(format!("/proc/{}/mem", child.id())).expect("our child");
        let file = DebugFile::open(&program, &[]).expect("it has debug information");
        Self {
            child,
            memory,
            bias,
            rbp,
            pc: pc - bias - 1,
            file,
            folder,
        }
    }

    /// The variables of the waiting function, as text.
    fn shown(&mut self) -> Vec<(String, String)> {
        let frame = self.file.frames(self.pc).remove(0);
        let mut variables = self.file.arguments(&frame, self.pc);
        variables.extend(self.file.locals(&frame, self.pc));
        let shown = |variable: &umbel_values::Variable| {
            let value = self.value(variable);
            (variable.name.to_string(), value.to_string())
        };
        variables.iter().map(shown).collect()
    }

    fn value(&self, variable: &umbel_values::Variable) -> Value {
        show::value(
            self.file.types(),
            variable.of,
            &variable.place,
            self,
            self,
            &Limits::default(),
        )
    }

    /// Compares what is shown with these, which have `*` where an address stands.
    fn check(&mut self, expected: &[(&str, &str)]) {
        let shown = self.shown();
        let mut wrong = Vec::new();
        for (name, text) in expected {
            let found = shown.iter().find(|(found, _)| found == name);
            let found = found.map_or("(missing)", |(_, text)| text);
            if !matches(text, found) {
                wrong.push(format!("{name} is {found}, not {text}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
    }
}

/// `*` stands for the rest of a hexadecimal number.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    for (index, part) in pattern.split('*').enumerate() {
        if index > 0 {
            rest = rest.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
        }
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Memory for Stopped {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Absence> {
        let read = self.memory.read_exact_at(bytes, address);
        read.map_err(|_| Absence::Invalid(address))
    }

    fn text(&self, address: u64, limit: usize) -> Result<(Vec<u8>, bool), Absence> {
        let mut text = Vec::new();
        let mut byte = [0];
        while text.len() < limit {
            match self.read(address + text.len() as u64, &mut byte) {
                Ok(()) if byte[0] == 0 => return Ok((text, true)),
                Ok(()) => text.push(byte[0]),
                Err(absence) if text.is_empty() => return Err(absence),
                Err(_) => break,
            }
        }
        Ok((text, false))
    }

    fn symbol(&self, _: u64) -> Option<String> {
        Some("a function".into())
    }
}

impl Registers for Stopped {
    fn register(&self, number: u16) -> Option<u64> {
        (number == 6).then_some(self.rbp)
    }

    fn frame_address(&self) -> Option<u64> {
        Some(self.rbp + 16)
    }

    fn bias(&self) -> u64 {
        self.bias
    }
}

#[test]
fn c_values_are_as_gdb_would_show_them() {
    let mut stopped = Stopped::at("values.c", "gcc", &[]);
    stopped.check(&[
        ("count", "3"),
        ("small", "97 'a'"),
        ("escape", "10 '\\n'"),
        ("negative", "-1 '\\377'"),
        ("octet", "200 '\\310'"),
        ("s", "-5"),
        ("u", "4000000000"),
        ("ll", "-9000000000000000000"),
        ("ull", "18000000000000000000"),
        ("big", "1267650600228229401496703205383"),
        ("huge", "340282366920938463463374607431768211455"),
        ("yes", "true"),
        ("f", "0.100000001"),
        ("d", "1e+100"),
        ("tenth", "0.10000000000000001"),
        ("none", "-0"),
        ("ld", "0.100000000000000000001"),
        ("z", "1.5 + -2i"),
        ("color", "BLUE"),
        ("odd", "77"),
        ("flags", "(READ | EXEC)"),
        ("more", "9"),
        ("nothing", "0"),
        ("minus", "MINUS"),
        ("p", "{x = 3, y = 2.5}"),
        ("pp", "0x* {x = 3, y = 2.5}"),
        ("ppp", "0x* 0x*"),
        ("second", "{value = 2, next = 0x* {value = 1, next = 0x* <cycle>}}"),
        ("first", "{value = 1, next = 0x* {value = 2, next = 0x* <cycle>}}"),
        ("bits", "{a = 5, b = -3, c = GREEN, d = true, e = 123456789012}"),
        ("number", "{i = 1065353216, f = 1, bytes = {0 '\\000', 0 '\\000', 128 '\\200', 63 '?'}}"),
        ("outer", "{at = {x = 1, y = 2}, {inner = 4, {l = 5, c = 5 '\\005'}}, to = 0x* {x = 3, y = 2.5}, last = {}}"),
        ("array", "{1, 2, 3, 4, 5}"),
        ("zeros", "{0 <repeats 100 times>}"),
        ("grid", "{{1, 2, 3}, {4, 5, 6}}"),
        ("vla", "{0, 1, 4}"),
        ("square", "{{0, 0}, {1, 1}, {4, 4}}"),
        ("text", "\"hello\""),
        ("full", "\"abc\""),
        ("string", "0x* \"a \\\"quoted\\\"\\tline\\n\""),
        ("null", "0x0"),
        ("invalid", "<invalid 0x10>"),
        ("nowhere", "<invalid 0xdeadbeef0000>"),
        ("function", "0x* <a function>"),
        ("table", "{0x* <a function>, 0x0}"),
        ("opaque", "0x*"),
        ("vector", "{1, 2, 3, 4}"),
        ("wide", "\"hé\""),
        ("sixteen", "0x* 7"),
        ("i", "3"),
    ]);
}

#[test]
fn the_librarys_containers_show_what_they_hold() {
    let mut stopped = Stopped::at("values.cc", "g++", &["-std=c++17"]);
    stopped.check(&[
        ("reference", "\"referred\""),
        ("moved", "42"),
        ("name", "\"hello\""),
        ("longer", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..."),
        ("nothing", "\"\""),
        ("wide", "\"wïde\""),
        ("view", "\"view\""),
        ("numbers", "{1, 2, 3}"),
        ("none", "{}"),
        ("names", "{\"a\", \"b\"}"),
        ("bools", "{true, false, true}"),
        ("nested", "{{1}, {2, 3}}"),
        ("array", "{7, 8, 9}"),
        ("map", "{[1] = \"one\", [2] = \"two\", [3] = \"three\"}"),
        ("prices", "{[\"tea\"] = 1.5}"),
        ("set", "{1, 2, 3}"),
        ("multi", "{[1] = 10, [1] = 11}"),
        ("hashed", "{[5] = 50}"),
        ("strings", "{\"only\"}"),
        ("list", "{1, 2, 3}"),
        ("forward", "{4, 5}"),
        ("deque", "{0, 1, 2, 3}"),
        ("long_deque", "{5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, ... 284 more}"),
        ("pair", "{first = 1, second = \"x\"}"),
        ("tuple", "{1, \"t\", 0.5}"),
        ("unique", "0x* 5"),
        ("empty_unique", "0x0"),
        ("shape", "0x* {<shapes::Base> = {id = 1}, <shapes::Named> = {name = \"disc\"}, kind = Round, size = 2.5}"),
        ("shared", "0x* 6"),
        ("empty_shared", "0x0"),
        ("weak", "0x* 6"),
        ("some", "7"),
        ("missing", "<empty>"),
        ("text", "\"opt\""),
        ("first", "1"),
        ("second", "\"alt\""),
        ("atomic", "9"),
        ("flag", "true"),
        ("diamond", "{<shapes::Left> = {<shapes::Base> = {id = 1}, l = 2}, <shapes::Right> = {<shapes::Base> = {id = 1}, r = 3}, d = 4}"),
        ("fixed", "{items = {1, 2}}"),
        ("empty", "{}"),
        ("kind", "Square"),
        ("member", "NULL"),
        ("size", "0x38"),
        ("method", "0x* <a function>"),
        ("alias", "{1, 2, 3}"),
        ("sixteen", "233 u'é'"),
        ("utf16", "\"été\""),
    ]);
}

#[test]
fn a_nested_function_has_its_own_variables_and_those_around_it() {
    let mut stopped = Stopped::at("nested.c", "gcc", &["-Wno-trampolines"]);
    let frame = stopped.file.frames(stopped.pc).remove(0);
    assert_eq!((&*frame.name, frame.is_inline), ("inner", false));
    stopped.check(&[
        ("q", "27"),
        // Which thread waits, nobody has said.
        ("mine", "<optimized out>"),
        ("calls", "<optimized out>"),
        ("own", "9"),
        ("hidden", "2"),
        ("a", "8"),
        ("block", "5"),
        ("sized", "{0, 1, 2}"),
        ("total", "30"),
        ("unshared", "80"),
        ("row", "{3, 4, 5}"),
        ("n", "3"),
        ("name", "0x* \"name\""),
    ]);
}

#[test]
fn fortran_values_are_what_its_debug_information_says() {
    let mut stopped = Stopped::at("values.f90", "gfortran", &["-O0", "stop.o"]);
    stopped.check(&[
        ("count", "3"),
        ("scale", "0.5"),
        ("word", "\"word\""),
        ("values", "{{1, 2}, {3, 4}, {5, 6}}"),
        ("place", "{x = 3, y = 2.5}"),
        ("big", "5000000000"),
        ("yes", "true"),
        ("z", "1.5 + -2i"),
        ("bounded", "{7, 8, 9}"),
        ("sized", "{1, 4, 9}"),
        ("text", "\"hello\""),
        ("i", "4"),
        ("_word", "4"),
    ]);
}

#[test]
fn rust_values_are_what_its_debug_information_says() {
    let mut stopped = Stopped::at(
        "values.rs",
        "rustc",
        &[
            "--edition=2024",
            "-Cforce-frame-pointers=yes",
            "-Clink-arg=stop.o",
        ],
    );
    stopped.check(&[
        ("count", "3"),
        ("word", "\"word\""),
        ("pair", "{__0 = 9, __1 = 233 U'é'}"),
        (
            "shapes",
            "0x* {Empty, Round {__0 = 1.5}, Named {sides = 4, at = {x = 1, y = 2}}}",
        ),
        ("yes", "true"),
        ("big", "1267650600228229401496703205376"),
        ("colour", "Blue"),
        ("reference", "Some {__0 = 0x* {x = 3, y = 2.5}}"),
        ("none", "None"),
        ("some", "Some {__0 = 7}"),
        ("numbers", "{1, -2, 3}"),
        ("boxed", "0x* 41"),
        ("point", "{x = 3, y = 2.5}"),
    ]);
}
