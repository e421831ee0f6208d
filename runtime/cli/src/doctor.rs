//! `umbel doctor`: whether programs can be compiled and run here, and if not, what to do.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;
use nix::sys::resource::{Resource, getrlimit};

use crate::cc::gcc;
use crate::layout::Layout;

/// Memory of a node before its first object: page tables, buffers, the C library.
const NODE_MEMORY_KIB: u64 = 32 * 1024;
/// Mappings of a node: its views of the window (some 130), the program and its libraries.
const NODE_MAPPINGS: u64 = 1000;
/// Open files below which even a few nodes don't fit.
const OPEN_FILES_MIN: u64 = 256;

/// Says what this machine allows, what is missing, and how to fix it.
///
/// Exit status: 0 if programs can run here, 1 if not. A missing compiler or plugin is shown, but
/// does not count: programs compiled elsewhere can run without it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel doctor              look at everything
  umbel doctor && make run  run only where it can work")]
pub struct Options {}

/// Prints the report; the exit status.
pub fn run(_options: &Options) -> u8 {
    crate::sys::pipe::end_with_reader();
    let mut report = Report::default();
    fault_backends(&mut report);
    installation(&mut report);
    compilers(&mut report);
    machine(&mut report);
    println!();
    match report.can_run {
        true => println!("Programs can run here."),
        false => println!("Programs cannot run here; see the lines marked `no` above."),
    }
    u8::from(!report.can_run)
}

/// Prints lines; remembers whether one of them prevents running.
struct Report {
    can_run: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self { can_run: true }
    }
}

enum State {
    Yes,
    /// Worth knowing; programs run all the same.
    Note,
    /// Programs can't run.
    No,
}

impl Report {
    fn section(&self, title: &str) {
        println!("\n{title}");
    }

    fn line(&mut self, state: State, text: impl AsRef<str>, fix: Option<&str>) {
        let mark = match state {
            State::Yes => "ok  ",
            State::Note => "note",
            State::No => "no  ",
        };
        println!("  {mark}  {}", text.as_ref());
        if let Some(fix) = fix {
            println!("        to fix it: {fix}");
        }
        if matches!(state, State::No) {
            self.can_run = false;
        }
    }
}

fn fault_backends(report: &mut Report) {
    println!("Page faults: the first usable way is taken; UMBEL_FAULT_BACKEND=NAME forces one");
    let backends = umbel_fault::probe();
    let is_any_usable = backends.iter().any(|backend| backend.usable);
    let chosen = backends.iter().position(|backend| backend.usable);
    for (index, backend) in backends.iter().enumerate() {
        let taken = match chosen == Some(index) {
            true => " (taken)",
            false => "",
        };
        let state = match (backend.usable, is_any_usable) {
            (true, _) => State::Yes,
            (false, true) => State::Note,
            (false, false) => State::No,
        };
        let text = format!("{}{taken}: {}", backend.name, backend.reason);
        report.line(state, text, backend.fix.as_deref());
    }
    let (state, text) = match umbel_fault::write_tracking() {
        Ok(()) => (
            State::Yes,
            "written pages: the kernel tells them; UMBEL_WRITE_TRACKING=1 uses that for large arrays".into(),
        ),
        Err(reason) => (State::Note, format!("written pages: each costs a fault; {reason}")),
    };
    report.line(state, text, None);
}

fn installation(report: &mut Report) {
    report.section("Installation");
    match Layout::find() {
        Ok(layout) => {
            let place = layout.prefix().display();
            report.line(State::Yes, format!("runtime in {place}"), None);
            for (what, path) in [("umbel_crt.o", layout.crt()), ("umbel.h", layout.header())] {
                if !path.is_file() {
                    let text = format!("{what} is missing: {}", path.display());
                    report.line(State::Note, text, Some("cargo xtask install --prefix DIR"));
                }
            }
        }
        Err(error) => report.line(State::No, format!("{error:#}"), None),
    }
}

fn compilers(report: &mut Report) {
    report.section("Compilers that `umbel cc` can use");
    let layout = Layout::find().ok();
    let chosen = env::var_os("UMBEL_GCC").unwrap_or_else(|| "gcc".into());
    let mut names = vec![chosen];
    for name in ["gcc-11", "gcc-12"].map(OsString::from) {
        if !names.contains(&name) && is_command(&name) {
            names.push(name);
        }
    }
    for name in names {
        let shown = name.display();
        let major = match gcc::major(&name) {
            Ok(major) => major,
            Err(error) => {
                report.line(
                    State::Note,
                    format!("{error:#}"),
                    Some("apt-get install gcc"),
                );
                continue;
            }
        };
        let plugin = layout.as_ref().map(|layout| layout.plugin(major));
        if plugin.is_some_and(|plugin| plugin.is_file()) {
            let text = format!("{shown}: version {major}, plugin installed");
            report.line(State::Yes, text, None);
            continue;
        }
        let fix = match has_plugin_headers(&name) {
            true => "cargo xtask install --prefix DIR".into(),
            false => format!(
                "apt-get install gcc-{major}-plugin-dev, then cargo xtask install --prefix DIR"
            ),
        };
        let text = format!("{shown}: version {major}, no plugin");
        report.line(State::Note, text, Some(&fix));
    }
    if let Some(layout) = layout
        && layout.plugin_majors().is_empty()
    {
        report.line(
            State::Note,
            "no plugin at all: programs run, none can be compiled",
            None,
        );
    }
}

fn machine(report: &mut Report) {
    report.section("Machine");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    report.line(State::Yes, format!("{cores} processor cores"), None);
    let memory = memory_available_kib();
    match memory {
        Some(kib) => {
            let state = match kib >= 2 * NODE_MEMORY_KIB {
                true => State::Yes,
                false => State::Note,
            };
            let text = format!(
                "memory: {} MiB available; a node takes some {} MiB before its first object",
                kib / 1024,
                NODE_MEMORY_KIB / 1024
            );
            report.line(state, text, None);
        }
        None => report.line(State::Note, "memory: /proc/meminfo can't be read", None),
    }
    match crate::sys::real_time::is_allowed() {
        true => report.line(State::Yes, "real-time priority: allowed", None),
        false => report.line(
            State::Note,
            "real-time priority: not allowed; nodes are not bound to processors, remote accesses are slower",
            Some("as root, or with `ulimit -r 1` (rtprio in /etc/security/limits.conf)"),
        ),
    }
    match number_in("/proc/sys/vm/max_map_count") {
        Some(count) if count >= NODE_MAPPINGS => {
            report.line(State::Yes, format!("vm.max_map_count: {count}"), None);
        }
        Some(count) => {
            let text = format!("vm.max_map_count: {count}, a node needs {NODE_MAPPINGS}");
            report.line(State::No, text, Some("sysctl vm.max_map_count=65530"));
        }
        None => report.line(State::Note, "vm.max_map_count can't be read", None),
    }
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard >= OPEN_FILES_MIN => {
            let most = crate::run::most_nodes(hard, false);
            let text = format!("open files: {hard} allowed, enough for {most} nodes");
            report.line(State::Yes, text, None);
        }
        Ok((_, hard)) => {
            let text = format!("open files: only {hard} allowed");
            report.line(State::No, text, Some("ulimit -Hn 4096, as root"));
        }
        Err(errno) => report.line(State::Note, format!("open files: {errno}"), None),
    }
}

fn is_command(name: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether the headers that the plugin is compiled with are installed.
fn has_plugin_headers(gcc: &OsStr) -> bool {
    let output = Command::new(gcc).arg("-print-file-name=plugin").output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    folder.is_ok_and(|folder| Path::new(&folder).join("include/gcc-plugin.h").is_file())
}

fn memory_available_kib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn number_in(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
