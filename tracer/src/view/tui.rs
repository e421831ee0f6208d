//! A recording in the terminal: call tree, functions, time line.

use std::io::{self, IsTerminal};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

pub use app::{App, Tab};
pub use model::Model;

mod app;
mod draw;
mod model;

use super::story::Story;

/// How often signals are looked for while no key is pressed.
const LOOK: Duration = Duration::from_millis(200);

/// Shows `story` until the user leaves. The terminal is as before afterwards, also after a panic or a signal.
pub fn run(story: &Story) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Err(io::Error::other("standard output is no terminal"));
    }
    let mut app = App::new(Model::read(story));
    // Before the terminal changes: from here on these signals end the loop instead of the process.
    let mut ends = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .for_each(|signal| ends.add(signal));
    ends.thread_block()?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    // Also sets a panic hook that restores it.
    let mut terminal = ratatui::try_init()?;
    let shown = (|| -> io::Result<()> {
        while !app.is_done() {
            terminal.draw(|frame| app.draw(frame))?;
            if event::poll(LOOK)?
                && let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                app.key(key);
            }
            if signals.read_signal()?.is_some() {
                break;
            }
        }
        Ok(())
    })();
    let restored = ratatui::try_restore();
    ends.thread_unblock()?;
    shown.and(restored)
}
