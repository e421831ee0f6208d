//! What a reader could not read, in numbers; [`super::Recording::damage_lines`] puts it into words.

use super::metadata::ThreadSerial;
use super::reader::Recording;
use crate::units::duration;

/// One thing that is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file's head is damaged; the blocks behind it are read all the same.
    Head,
    /// These bytes are no blocks.
    Bytes {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The file ends within a block, or within its head.
    Cut {
        /// Where the block begins.
        offset: u64,
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// A description (of a process, a module, ...) is damaged.
    Description {
        /// Where its block begins.
        offset: u64,
        /// A [`super::block::BlockKind`].
        kind: u8,
    },
    /// Events of a thread are missing.
    Events {
        /// The thread.
        thread: ThreadSerial,
        /// How many: exactly, if a damaged block says so; otherwise the words that are missing, of which an event takes at
        /// least one.
        count: u64,
        /// `count` is exact.
        is_exact: bool,
        /// Time of the event before, if there is one.
        from: Option<u64>,
        /// Time of the event behind, if there is one.
        until: Option<u64>,
    },
    /// The .live file beside the recording could not be read: why.
    Beside(String),
    /// The recording did not end in good order: the recorder was killed, or is still writing.
    Unfinished,
}

impl Recording {
    /// What could not be read, in sentences.
    pub fn damage_lines(&self) -> Vec<String> {
        self.damage()
            .iter()
            .map(|damage| self.damage_line(damage))
            .collect()
    }

    /// Everything that is missing, in sentences. `lost`: how many events the program and the recorder dropped, by the events.
    pub fn warnings(&self, lost: u64) -> Vec<String> {
        let mut lines = Vec::new();
        if lost > 0 {
            lines.push(format!("{lost} events lost: dropped while recording"));
        }
        for lost in self.lost() {
            let (from, until) = (self.moment(lost.from), self.moment(lost.until));
            lines.push(format!(
                "  of these {} between {from} and {until}: {}",
                lost.count, lost.why
            ));
        }
        lines.extend(self.damage_lines());
        if self.clock().is_unknown() && !self.threads().is_empty() {
            lines.push(
                "the clock's pace is not known: times are in its ticks, not in nanoseconds".into(),
            );
        }
        if self.unknown_blocks() > 0 {
            let count = self.unknown_blocks();
            lines.push(format!(
                "{count} blocks of kinds that this umbel doesn't know were skipped"
            ));
        }
        lines
    }

    fn damage_line(&self, damage: &Damage) -> String {
        match damage {
            Damage::Head => "the file's head is damaged; the rest was read".into(),
            Damage::Bytes { offset, bytes } => {
                format!("{bytes} bytes at offset {offset} are damaged: what they held is lost")
            }
            Damage::Cut { offset, bytes } => format!(
                "the file is cut off: it ends {bytes} bytes behind offset {offset}, where something whole would begin"
            ),
            Damage::Description { offset, kind } => {
                let what = match kind {
                    1 => "the session's description",
                    2 => "a process",
                    3 => "a thread",
                    4 => "a module",
                    5 => "a module that went",
                    6 => "the clock",
                    7 => "the end of a process",
                    8 => "lost events",
                    9 => "names of functions",
                    _ => "the recording's end",
                };
                format!("a block at offset {offset} is damaged: it told of {what}")
            }
            Damage::Events {
                thread,
                count,
                is_exact,
                from,
                until,
            } => {
                let thread = self.thread_name(*thread);
                let up_to = if *is_exact { "" } else { "up to " };
                let when = match (from, until) {
                    (Some(from), Some(until)) => {
                        format!("between {} and {}", self.moment(*from), self.moment(*until))
                    }
                    (Some(from), None) => format!("after {}", self.moment(*from)),
                    (None, Some(until)) => format!("before {}", self.moment(*until)),
                    (None, None) => "at an unknown time".into(),
                };
                format!("{thread}: {up_to}{count} events lost {when}: the recording is damaged there")
            }
            Damage::Beside(why) => format!("words beside the recording can't be read: {why}"),
            Damage::Unfinished => {
                "the recording was not ended in good order: the recorder was killed, or is at work still".into()
            }
        }
    }

    fn thread_name(&self, serial: ThreadSerial) -> String {
        match self.thread(serial) {
            Some(thread) => thread.title(),
            None => format!("thread {}", serial.0),
        }
    }

    fn moment(&self, ticks: u64) -> String {
        duration(self.clock().since_origin_ns(ticks) as f64)
    }
}
