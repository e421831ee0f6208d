//! `umbel trace attach`: a prompt for a running session.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::Signal;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use umbel_tracer::record::{Notices, ask, control_path};
use umbel_tracer::stuck;

use super::ctl::{recording_of, unreachable};
use crate::signals::ending_signals;

/// Debugs a program while it is recorded: stops threads one by one, steps, prints and changes variables, while other threads run.
///
/// The program must be under a recording (umbel trace record, or a live view): its threads stop in the tracer's hooks. What is done is
/// in the recording. `help` at the prompt lists the commands. Leaving lets all held threads go on.
#[derive(Args)]
#[command(after_help = "\
Examples:
  umbel trace attach $(pidof prog)
  umbel trace attach a.trace                        by the name of the recording that is being made
  printf 'stop\\nbt\\ncontinue\\n' | umbel trace attach 4711

Exit status:
  0        left
  1        a command was refused, and the commands didn't come from a terminal
  2        wrong arguments
  125      nothing records that process
  128+N    signal N ended it; held threads go on, as they do when it is left")]
pub struct AttachOptions {
    /// A process that is being recorded, or the recording.
    #[arg(value_name = "PID|FILE", default_value = "umbel.trace")]
    target: PathBuf,
}

const HELP: &str = "\
threads                 those that are held, or are to stop
stop [TID]              hold a thread, or all, at the next traced call or return
continue [TID|all]      let the selected thread (or that one, or all) go on
step, next, finish      let the selected thread go on to its next traced call or return; over the call; until its function returns
wait [SECONDS]          wait until a thread stops
bt [TID]                its stack, with variables
thread TID, frame N     select; a thread that stops is selected if no other is
print PATH              n, p->next.name, *p, a[3], a[2..5], &n, $rbx
set PATH = VALUE        change a variable
dump PATH               memory; also ADDRESS+LENGTH
snapshot [...]          where all threads are, into a file
trigger ..., filter ..., on, off, status     as `umbel trace ctl`
end                     end the recording; the program goes on
quit                    leave; held threads go on";

/// How long the prompt waits for a thread that was let go, or is to stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long `wait` waits if it isn't said.
const WAIT: Duration = Duration::from_secs(3600);

/// Attaches; the command's exit status.
pub fn run(options: &AttachOptions) -> Result<u8, String> {
    let recording = find(&options.target)?;
    let socket = control_path(&recording);
    let notices = Notices::of(&socket).map_err(|error| unreachable(&recording, &error))?;
    let mut editor = match io::stdin().is_terminal() {
        true => Some(DefaultEditor::new().map_err(|error| error.to_string())?),
        false => None,
    };
    let (sender, news) = channel();
    heed_signals(&socket, &sender, editor.is_some())?;
    let printer = editor
        .as_mut()
        .and_then(|editor| editor.create_external_printer().ok());
    thread::spawn(move || match printer {
        Some(mut printer) => pass_on(notices, &sender, |line| {
            // The prompt may be gone.
            let _ = printer.print(format!("{line}\n"));
        }),
        None => pass_on(notices, &sender, |line| {
            say(line);
        }),
    });
    let mut prompt = Prompt {
        socket,
        recording,
        news,
        tid: None,
        frame: 0,
        is_refused: false,
    };
    say(&format!(
        "{}: `help` lists the commands",
        prompt.recording.display()
    ));
    let end = match &mut editor {
        Some(editor) => prompt.talk(editor),
        None => prompt.read(),
    };
    end?;
    let is_piped = editor.is_none();
    Ok(u8::from(prompt.is_refused && is_piped))
}

/// What happens while the prompt is busy, or waits.
enum News {
    /// This thread stopped.
    Stopped(u32),
    /// The user wants the prompt back.
    Interrupted,
}

/// Ctrl-C at a terminal gives the prompt back; other signals that end a command have held threads go on first. To be called while
/// there is one thread.
fn heed_signals(socket: &Path, sender: &Sender<News>, has_prompt: bool) -> Result<(), String> {
    let signals = ending_signals().map_err(|error| error.to_string())?;
    signals
        .thread_block()
        .map_err(|error| format!("cannot block signals: {error}"))?;
    let (socket, sender) = (socket.to_owned(), sender.clone());
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if signal == Signal::SIGINT && has_prompt {
                // The prompt may be gone.
                let _ = sender.send(News::Interrupted);
                continue;
            }
            // The session may be gone: nobody is held then.
            let _ = ask(&socket, "continue");
            process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

fn pass_on(notices: Notices, sender: &Sender<News>, mut show: impl FnMut(&str)) {
    for line in notices {
        show(&line);
        let mut words = line.split_whitespace();
        if let Some(tid) = words.nth(1).and_then(|word| word.parse().ok()) {
            // The prompt may be gone.
            let _ = sender.send(News::Stopped(tid));
        }
    }
}

/// Prints a line; whoever reads may be gone.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The recording that a process is under, or that was named.
fn find(target: &Path) -> Result<PathBuf, String> {
    let pid = target.to_str().and_then(|text| text.parse::<i32>().ok());
    let Some(pid) = pid else {
        return Ok(recording_of(target));
    };
    let found = stuck::recording_of(pid).map_err(|error| error.to_string())?;
    found.ok_or_else(|| {
        format!(
            "nothing records process {pid}: threads are stopped in the tracer's hooks, and it was started without them. \
             Build it with -finstrument-functions and start it by `umbel trace record`, then attach. \
             Where it is now, with all variables, `umbel trace stuck {pid}` says of any process"
        )
    })
}

/// What is selected, and who is asked.
struct Prompt {
    socket: PathBuf,
    recording: PathBuf,
    news: Receiver<News>,
    tid: Option<u32>,
    frame: usize,
    is_refused: bool,
}

/// What comes after a command.
#[derive(PartialEq, Eq)]
enum Next {
    Prompt,
    Leave,
}

impl Prompt {
    /// Commands from a terminal.
    fn talk(&mut self, editor: &mut DefaultEditor) -> Result<(), String> {
        loop {
            self.select_stopped();
            let prompt = match self.tid {
                Some(tid) if self.frame > 0 => format!("{tid}#{}> ", self.frame),
                Some(tid) => format!("{tid}> "),
                None => "> ".to_owned(),
            };
            match editor.readline(&prompt) {
                Ok(line) => {
                    // A history without it does no harm.
                    let _ = editor.add_history_entry(&line);
                    if self.obey(&line)? == Next::Leave {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return self.leave(),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Commands from a file.
    fn read(&mut self) -> Result<(), String> {
        for line in io::stdin().lines() {
            let line = line.map_err(|error| error.to_string())?;
            self.select_stopped();
            if self.obey(&line)? == Next::Leave {
                return Ok(());
            }
        }
        self.leave()
    }

    /// Does what a line says.
    fn obey(&mut self, line: &str) -> Result<Next, String> {
        let line = line.trim();
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let selected = match (rest, self.tid) {
            ("", Some(tid)) => tid.to_string(),
            (rest, _) => rest.to_owned(),
        };
        let at = match self.tid {
            Some(tid) => format!("{tid}#{}", self.frame),
            None => format!("-#{}", self.frame),
        };
        match verb {
            "" | "#" => {}
            "help" | "h" | "?" => say(HELP),
            "quit" | "q" | "exit" => {
                self.leave()?;
                return Ok(Next::Leave);
            }
            "end" => {
                self.ask("stop")?;
                return Ok(Next::Leave);
            }
            "thread" | "frame" => self.select(verb, rest),
            "wait" => self.wait(rest.parse().map_or(WAIT, Duration::from_secs), None),
            "stop" => {
                let all = if rest.is_empty() { "all" } else { rest };
                if self.ask(&format!("stop {all}"))? {
                    self.wait(PATIENCE, rest.parse().ok());
                }
            }
            "continue" | "c" => {
                let request = match rest {
                    "all" => "continue".to_owned(),
                    _ => format!("continue {selected}"),
                };
                if self.ask(&request)? {
                    (self.tid, self.frame) = (None, 0);
                }
            }
            "step" | "s" => self.go("step", &selected)?,
            "next" | "n" => self.go("next", &selected)?,
            "finish" | "fin" => self.go("finish", &selected)?,
            "bt" | "where" => drop(self.ask(&format!("bt {selected}"))?),
            "print" | "p" => drop(self.ask(&format!("print {at} {rest}"))?),
            "set" => drop(self.ask(&format!("set {at} {rest}"))?),
            "dump" | "x" => drop(self.ask(&format!("dump {at} {rest}"))?),
            _ => drop(self.ask(line)?),
        }
        Ok(Next::Prompt)
    }

    /// Lets the selected thread go on to where it stops again.
    fn go(&mut self, verb: &str, selected: &str) -> Result<(), String> {
        let tid = selected.parse().ok();
        // What stopped before is no news.
        self.select_stopped();
        if self.ask(&format!("{verb} {selected}"))? {
            self.frame = 0;
            self.wait(PATIENCE, tid.or(self.tid));
        }
        Ok(())
    }

    fn select(&mut self, verb: &str, rest: &str) {
        match (verb, rest.parse::<u32>()) {
            ("thread", Ok(tid)) => (self.tid, self.frame) = (Some(tid), 0),
            ("frame", Ok(frame)) => self.frame = frame as usize,
            _ => self.refuse(&format!("expected a number after `{verb}`")),
        }
    }

    /// Threads that stopped meanwhile.
    fn select_stopped(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            if let News::Stopped(tid) = news {
                self.tid.get_or_insert(tid);
            }
        }
    }

    /// Until a thread stops, or this one; not longer than that.
    fn wait(&mut self, patience: Duration, wanted: Option<u32>) {
        let end = Instant::now() + patience;
        loop {
            match self
                .news
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(News::Stopped(tid)) => {
                    self.tid.get_or_insert(tid);
                    if wanted.is_none_or(|wanted| wanted == tid) {
                        return;
                    }
                }
                Ok(News::Interrupted) | Err(RecvTimeoutError::Timeout) => {
                    say("not stopped yet; a line tells when (threads stop at traced calls only)");
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Lets all go on.
    fn leave(&mut self) -> Result<(), String> {
        // Where no values are captured nobody is held.
        let _ = ask(&self.socket, "continue");
        Ok(())
    }

    /// Asks the session; whether it did what was asked.
    fn ask(&mut self, request: &str) -> Result<bool, String> {
        let answer =
            ask(&self.socket, request).map_err(|error| unreachable(&self.recording, &error))?;
        match answer {
            Ok(lines) => {
                for line in lines {
                    say(&line);
                }
                Ok(true)
            }
            Err(refusal) => {
                self.refuse(&refusal);
                Ok(false)
            }
        }
    }

    fn refuse(&mut self, refusal: &str) {
        eprintln!("umbel trace: {refusal}");
        self.is_refused = true;
    }
}
