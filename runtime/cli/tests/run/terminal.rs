//! The launcher on a terminal: a pseudo-terminal that is its session's own.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::unistd::Pid;

use crate::launcher::{PATIENCE, Running, assert_gone, umbel_run, until};

struct Terminal {
    job: Running,
    master: PtyMaster,
    text: String,
}

impl Terminal {
    /// `umbel run` as a shell on this terminal would start it.
    fn start(launcher: &Command) -> Self {
        // Closed on exec: a copy in any child of another test would keep the terminal open.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags).expect("pseudo-terminals are there");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("it is ours");
        let name = ptsname_r(&master).expect("it has a name");
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits());
        let slave = || options.open(&name).expect("it is unlocked");
        let mut setsid = Command::new("setsid");
        setsid
            .arg("--ctty")
            .arg(launcher.get_program())
            .args(launcher.get_args());
        for (name, value) in launcher.get_envs() {
            match value {
                Some(value) => setsid.env(name, value),
                None => setsid.env_remove(name),
            };
        }
        setsid.stdin(slave()).stdout(slave()).stderr(slave());
        let child = setsid.spawn().expect("setsid is part of util-linux");
        Self {
            job: Running::adopt(child),
            master,
            text: String::new(),
        }
    }

    /// Takes what is on the screen by now.
    fn look(&mut self) {
        let mut part = [0; 1000];
        while let Ok(count) = self.master.read(&mut part)
            && count > 0
        {
            self.text += &String::from_utf8_lossy(&part[..count]);
        }
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let seen = until(PATIENCE, || {
            self.look();
            self.text.contains(text).then_some(())
        });
        assert!(seen.is_some(), "no {text:?} in {:?}", self.text);
    }

    /// What its nodes said of themselves, once all have.
    #[track_caller]
    fn node_pids(&mut self, nodes: usize) -> Vec<Pid> {
        let pids = until(PATIENCE, || {
            self.look();
            let whole = self
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("pid "));
            let pids = whole.filter_map(|line| line.split(' ').nth(1)?.trim().parse().ok());
            let pids: Vec<Pid> = pids.map(Pid::from_raw).collect();
            (pids.len() == nodes && self.text.ends_with('\n')).then_some(pids)
        });
        pids.unwrap_or_else(|| panic!("not all pids in {:?}", self.text))
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("the terminal is open");
    }
}

#[test]
fn a_prompt_is_shown_before_its_line_ends() {
    let mut terminal = Terminal::start(&umbel_run(2, &[], &["prompt"]));
    terminal.wait_for("name? ");
    terminal.press(b"Ada\n");
    terminal.wait_for("hello Ada");
    assert_eq!(terminal.job.wait().code(), Some(0));
}

#[test]
fn control_c_ends_everything() {
    let mut terminal = Terminal::start(&umbel_run(3, &[], &["wait"]));
    let pids = terminal.node_pids(3);
    terminal.press(b"\x03");
    assert_eq!(terminal.job.wait().code(), Some(130));
    assert_gone(&pids);
}

#[test]
fn closing_the_terminal_ends_everything() {
    let mut terminal = Terminal::start(&umbel_run(3, &[], &["wait"]));
    let pids = terminal.node_pids(3);
    let Terminal {
        mut job, master, ..
    } = terminal;
    drop(master);
    assert_eq!(job.wait().code(), Some(129));
    assert_gone(&pids);
}

#[test]
fn tags_have_colour_on_a_terminal_unless_no_color() {
    let mut coloured = Terminal::start(&umbel_run(2, &["--tag"], &["wait"]));
    coloured.wait_for("\x1b[32m[1]\x1b[0m pid 1 ");
    let mut command = umbel_run(2, &["--tag"], &["wait"]);
    command.env("NO_COLOR", "1");
    let mut plain = Terminal::start(&command);
    plain.wait_for("[1] pid 1 ");
    plain.wait_for("[0] pid 0 ");
    assert!(!plain.text.contains('\x1b'), "{:?}", plain.text);
}
