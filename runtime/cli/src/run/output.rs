//! Lines of many nodes into the launcher's two streams, never one inside another.

use std::env;
use std::io;
use std::time::{Duration, Instant};

use super::limits::{LINE_BYTES_MAX, PROMPT_WAIT};
use super::sink::{Closed, Sink};

/// Which of a node's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// Both streams of the launcher; one sink if they are the same file, so that lines stay whole there too.
pub struct Outputs {
    sinks: Vec<(Lines, Sink)>,
    nodes: Vec<[Partial; 2]>,
}

/// What a node has written of a line.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    /// When its last byte came; `None` when it is empty.
    since: Option<Instant>,
}

impl Outputs {
    /// For the streams of `node_count` nodes; `tags` begins each line with its node.
    pub fn new(node_count: usize, tags: bool) -> io::Result<Self> {
        let out = Sink::new(&io::stdout())?;
        let err = Sink::new(&io::stderr())?;
        let is_shared = out.identity() == err.identity();
        let sinks = match is_shared {
            true => vec![out],
            false => vec![out, err],
        };
        let allows_colour = allows_colour();
        let with_lines = |sink: Sink| {
            let tag = match (tags, sink.is_terminal() && allows_colour) {
                (false, _) => Tag::None,
                (true, false) => Tag::Plain,
                (true, true) => Tag::Coloured,
            };
            (Lines::new(tag), sink)
        };
        Ok(Self {
            sinks: sinks.into_iter().map(with_lines).collect(),
            nodes: (0..node_count).map(|_| Default::default()).collect(),
        })
    }

    /// Whether more of `stream` may be read: else its writers wait, as they would for a slow reader.
    pub fn has_room(&self, stream: Stream) -> bool {
        self.sinks[self.sink_index(stream)].1.has_room()
    }

    /// Whether the launcher's own text on `stream` may have colours.
    pub fn has_colour(&self, stream: Stream) -> bool {
        self.sinks[self.sink_index(stream)].1.is_terminal() && allows_colour()
    }

    /// Takes what `node` wrote.
    pub fn accept(&mut self, node: usize, stream: Stream, bytes: &[u8], now: Instant) {
        let index = self.sink_index(stream);
        let (lines, sink) = &mut self.sinks[index];
        let partial = &mut self.nodes[node][stream as usize];
        let line_end = bytes.iter().rposition(|&byte| byte == b'\n');
        match line_end.map(|end| bytes.split_at(end + 1)) {
            Some((whole, rest)) => {
                if partial.bytes.is_empty() {
                    lines.emit(node, whole, sink);
                } else {
                    partial.bytes.extend_from_slice(whole);
                    lines.emit(node, &partial.bytes, sink);
                }
                partial.bytes.clear();
                partial.bytes.extend_from_slice(rest);
            }
            None => partial.bytes.extend_from_slice(bytes),
        }
        if partial.bytes.len() >= LINE_BYTES_MAX {
            lines.emit(node, &partial.bytes, sink);
            partial.bytes.clear();
        }
        partial.since = (!partial.bytes.is_empty()).then_some(now);
    }

    /// `node` writes no more to `stream`: its unfinished line goes out as it is.
    pub fn end(&mut self, node: usize, stream: Stream) {
        let index = self.sink_index(stream);
        let (lines, sink) = &mut self.sinks[index];
        let partial = std::mem::take(&mut self.nodes[node][stream as usize]);
        lines.emit(node, &partial.bytes, sink);
    }

    /// Shows prompts: unfinished lines on a terminal after a silence. Says when to come back.
    pub fn show_prompts(&mut self, now: Instant) -> Option<Duration> {
        let mut next = None::<Duration>;
        for node in 0..self.nodes.len() {
            for stream in [Stream::Out, Stream::Err] {
                let index = self.sink_index(stream);
                let (lines, sink) = &mut self.sinks[index];
                let partial = &mut self.nodes[node][stream as usize];
                let Some(since) = partial.since.filter(|_| sink.is_terminal()) else {
                    continue;
                };
                let left = PROMPT_WAIT.saturating_sub(now - since);
                if left.is_zero() {
                    lines.emit(node, &partial.bytes, sink);
                    *partial = Partial::default();
                } else {
                    next = Some(next.map_or(left, |next| next.min(left)));
                }
            }
        }
        next
    }

    /// The launcher's own text, whole lines, on standard error.
    pub fn message(&mut self, text: &str) {
        let index = self.sink_index(Stream::Err);
        let (lines, sink) = &mut self.sinks[index];
        lines.message(text, sink);
    }

    /// Sinks that wait for their stream.
    pub fn waiting(&self) -> impl Iterator<Item = &Sink> {
        let sinks = self.sinks.iter().map(|(_, sink)| sink);
        sinks.filter(|sink| !sink.is_empty())
    }

    /// Writes what the streams take now.
    pub fn write(&mut self) -> Result<(), Closed> {
        self.sinks.iter_mut().try_for_each(|(_, sink)| sink.write())
    }

    /// Throws away what is not yet written: nobody reads it.
    pub fn clear(&mut self) {
        self.sinks.iter_mut().for_each(|(_, sink)| sink.clear());
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.waiting().next().is_none()
    }

    fn sink_index(&self, stream: Stream) -> usize {
        (stream as usize).min(self.sinks.len() - 1)
    }
}

/// Whether the user hasn't forbidden colours: NO_COLOR.
pub fn allows_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[derive(Clone, Copy)]
enum Tag {
    None,
    Plain,
    Coloured,
}

/// Where one sink is within a line.
struct Lines {
    tag: Tag,
    /// The node whose unfinished line the sink ends with.
    unfinished: Option<usize>,
}

impl Lines {
    fn new(tag: Tag) -> Self {
        Self {
            tag,
            unfinished: None,
        }
    }

    fn emit(&mut self, node: usize, bytes: &[u8], sink: &mut impl Push) {
        if bytes.is_empty() {
            return;
        }
        let mut continues = self.unfinished == Some(node);
        if !continues {
            self.finish_line(sink);
        }
        match self.tag {
            Tag::None => sink.push(bytes),
            Tag::Plain | Tag::Coloured => {
                for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                    if !continues {
                        sink.push(self.tag_of(node).as_bytes());
                    }
                    sink.push(line);
                    continues = false;
                }
            }
        }
        self.unfinished = (!bytes.ends_with(b"\n")).then_some(node);
    }

    fn message(&mut self, text: &str, sink: &mut impl Push) {
        self.finish_line(sink);
        sink.push(text.as_bytes());
        sink.push(b"\n");
    }

    fn finish_line(&mut self, sink: &mut impl Push) {
        if self.unfinished.take().is_some() {
            sink.push(b"\n");
        }
    }

    fn tag_of(&self, node: usize) -> String {
        match self.tag {
            Tag::None => String::new(),
            Tag::Plain => format!("[{node}] "),
            // Six colours that show on dark and light grounds: 31 to 36.
            Tag::Coloured => format!("\x1b[{}m[{node}]\x1b[0m ", 31 + node % 6),
        }
    }
}

/// Where lines go: a sink, or the tests' own bytes.
trait Push {
    fn push(&mut self, bytes: &[u8]);
}

impl Push for Sink {
    fn push(&mut self, bytes: &[u8]) {
        Self::push(self, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Push for Vec<u8> {
        fn push(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    /// What a sink gets when nodes emit these pieces.
    fn emitted(tag: Tag, pieces: &[(usize, &str)]) -> String {
        let mut lines = Lines::new(tag);
        let mut sink = Vec::new();
        for (node, text) in pieces {
            lines.emit(*node, text.as_bytes(), &mut sink);
        }
        String::from_utf8(sink).expect("the pieces are text")
    }

    #[test]
    fn another_node_ends_an_unfinished_line_first() {
        let pieces = [(0, "name? "), (1, "hello\n"), (0, "again? "), (0, "bye\n")];
        assert_eq!(emitted(Tag::None, &pieces), "name? \nhello\nagain? bye\n");
    }

    #[test]
    fn each_line_has_one_tag() {
        let pieces = [(2, "a\nb\nc"), (2, "d\n"), (10, "\n")];
        assert_eq!(
            emitted(Tag::Plain, &pieces),
            "[2] a\n[2] b\n[2] cd\n[10] \n"
        );
        assert_eq!(
            emitted(Tag::Coloured, &[(1, "a\n")]),
            "\x1b[32m[1]\x1b[0m a\n"
        );
    }

    #[test]
    fn messages_begin_lines() {
        let mut lines = Lines::new(Tag::None);
        let mut sink = Vec::new();
        lines.emit(0, b"half", &mut sink);
        lines.message("umbel: gone", &mut sink);
        assert_eq!(sink, b"half\numbel: gone\n");
    }
}
