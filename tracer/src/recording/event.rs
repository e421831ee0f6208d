//! Events: what a thread did, as readers see it; and how words become events.

use umbel_chains::{Chains, Sink};
use umbel_trace_ring::plan::values_of;
use umbel_trace_ring::word::{Code, ContextCall, TIME_BITS, Word, plan_of};

/// One event of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in ticks of the session's clock.
    pub ticks: u64,
    /// What.
    pub kind: Kind,
}

/// What happened. Addresses are those of the process at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The function at this address was called.
    Call(u64),
    /// The function at this address returned.
    Return(u64),
    /// setjmp was called with the buffer at this address.
    SetJump(u64),
    /// longjmp is called with the buffer at this address.
    LongJump(u64),
    /// getcontext or one of its kin is called.
    Context(Context),
    /// Events are missing: dropped by the program, or the recording is damaged here.
    Lost {
        /// How many; an upper bound where the recording is damaged. 0: not known.
        count: u64,
        /// Time of the last, in ticks, as far as known.
        until: u64,
    },
    /// The thread ends; calls of destructors may follow.
    ThreadEnd,
    /// A text among the calls.
    Mark(Box<str>),
    /// Something begins that is no function.
    SpanBegin {
        /// An [`umbel_trace_ring::word::Span`], or one that this reader doesn't know.
        span: u64,
        /// First argument.
        first: u64,
        /// Second argument.
        second: u64,
    },
    /// It ends.
    SpanEnd {
        /// As at the beginning.
        span: u64,
        /// First result.
        first: u64,
        /// Second result.
        second: u64,
    },
    /// A message left or came.
    Message(Box<Message>),
    /// Values of the call before, as its capture plan says.
    Values(Box<[u64]>),
    /// Something that this reader doesn't know.
    Other {
        /// Its code.
        code: u16,
        /// Its payload behind the time.
        payload: Box<[u64]>,
    },
}

/// A call for a context of the program's own: ucontext(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// getcontext saves this one.
    Get(u64),
    /// setcontext goes on with it.
    Set(u64),
    /// makecontext gives it a stack.
    Make {
        /// Which.
        context: u64,
        /// What goes on when it ends; 0: nothing.
        successor: u64,
    },
    /// swapcontext saves one and goes on with another.
    Swap {
        /// Saved.
        saved: u64,
        /// Gone on with.
        context: u64,
    },
}

impl Context {
    fn new(call: u64, first: u64, second: u64) -> Option<Self> {
        const GET: u64 = ContextCall::Get as u64;
        const SET: u64 = ContextCall::Set as u64;
        const MAKE: u64 = ContextCall::Make as u64;
        const SWAP: u64 = ContextCall::Swap as u64;
        Some(match (call, second) {
            (GET, 0) => Self::Get(first),
            (SET, 0) => Self::Set(first),
            (MAKE, _) => Self::Make {
                context: first,
                successor: second,
            },
            (SWAP, _) => Self::Swap {
                saved: first,
                context: second,
            },
            _ => return None,
        })
    }

    /// Does to a thread's frames what the call does.
    pub fn follow<T>(self, chains: &mut Chains<T>, ticks: u64, sink: &mut impl Sink<T>) {
        match self {
            Self::Get(context) => chains.set_jump(context),
            Self::Set(context) => chains.long_jump(ticks, context, sink),
            Self::Make { context, successor } => chains.make_context(context, successor),
            Self::Swap { saved, context } => chains.swap_context(ticks, saved, context, sink),
        }
    }

    fn payload(self) -> [u64; 3] {
        let (call, first, second) = match self {
            Self::Get(context) => (ContextCall::Get, context, 0),
            Self::Set(context) => (ContextCall::Set, context, 0),
            Self::Make { context, successor } => (ContextCall::Make, context, successor),
            Self::Swap { saved, context } => (ContextCall::Swap, saved, context),
        };
        [call as u64, first, second]
    }
}

/// A message among the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// It came; otherwise it left.
    pub received: bool,
    /// Rank of the other node.
    pub peer: u64,
    /// Its kind, as the runtime numbers them.
    pub kind: u64,
    /// Its size.
    pub bytes: u64,
    /// A number that both sides know.
    pub number: u64,
}

/// Who is told what a thread's words say, where they lie, with the index of each one's first word. A method for each kind of them, so that
/// nothing is put together only to be taken apart: of millions of calls a second that is most of the work.
pub(super) trait Hear {
    /// A call.
    fn call(&mut self, at: usize, ticks: u64, function: u64);
    /// A return.
    fn ret(&mut self, at: usize, ticks: u64, function: u64);
    /// Values of the call or return before.
    fn values(&mut self, at: usize, ticks: u64, values: &[u64]);
    /// The same of a plan of a few numbers.
    fn numbers(&mut self, at: usize, ticks: u64, plan: u32, numbers: &[u64]);
    /// Anything else.
    fn other(&mut self, at: usize, event: Event);
}

/// Makes an event of everything.
struct Events<F>(F);

impl<F: FnMut(usize, Event)> Hear for Events<F> {
    fn call(&mut self, at: usize, ticks: u64, function: u64) {
        let kind = Kind::Call(function);
        (self.0)(at, Event { ticks, kind });
    }

    fn ret(&mut self, at: usize, ticks: u64, function: u64) {
        let kind = Kind::Return(function);
        (self.0)(at, Event { ticks, kind });
    }

    fn values(&mut self, at: usize, ticks: u64, values: &[u64]) {
        let kind = Kind::Values(values.into());
        (self.0)(at, Event { ticks, kind });
    }

    fn numbers(&mut self, at: usize, ticks: u64, plan: u32, numbers: &[u64]) {
        let kind = Kind::Values(values_of(plan, numbers).collect());
        (self.0)(at, Event { ticks, kind });
    }

    fn other(&mut self, at: usize, event: Event) {
        (self.0)(at, event);
    }
}

/// Turns a thread's words into events. Keeps what one slice of words leaves for the next: the upper part of the time.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    time_upper: u64,
    /// Time of the last call or return: numbers right behind it are its.
    event_ticks: u64,
}

impl Parser {
    /// Knows no time yet: words begin with a `Time`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `sink` with the index in `words` of each event's first word and the event. Words of a journal give nothing.
    /// A payload that goes beyond `words` is cut; a nonsensical one is passed on as [`Kind::Other`].
    #[inline]
    pub fn parse(&mut self, words: &[u64], sink: impl FnMut(usize, Event)) {
        self.hear(words, &mut Events(sink));
    }

    /// Tells `hear` what `words` say, in the same way.
    #[inline]
    pub(super) fn hear(&mut self, words: &[u64], hear: &mut impl Hear) {
        let mut index = 0;
        while let Some(&word) = words.get(index) {
            let at = index;
            index += 1;
            match Word::parse(word) {
                Word::Call { function, time } => {
                    self.event_ticks = self.time_upper | u64::from(time);
                    hear.call(at, self.event_ticks, function);
                }
                Word::Return { function, time } => {
                    self.event_ticks = self.time_upper | u64::from(time);
                    hear.ret(at, self.event_ticks, function);
                }
                Word::Special {
                    code,
                    payload_words,
                } => {
                    let end = words.len().min(index + usize::from(payload_words));
                    let payload = &words[index..end];
                    index = end;
                    if code == Code::Numbers as u16 {
                        hear.numbers(at, self.event_ticks, plan_of(word), payload);
                    } else if let (true, Some((&ticks, values))) =
                        (code == Code::Values as u16, payload.split_first())
                    {
                        hear.values(at, ticks, values);
                    } else if let Some(event) = self.special(code, payload) {
                        hear.other(at, event);
                    }
                }
            }
        }
    }

    /// The event of a special word with its payload. No event of a `Time`, which sets the time, and of 0, which is no word.
    pub fn special(&mut self, code: u16, payload: &[u64]) -> Option<Event> {
        if code == Code::Time as u16 {
            self.time_upper = payload.first()? >> TIME_BITS << TIME_BITS;
            return None;
        }
        // No word at all, or one whose writer was interrupted for ever.
        if code == Code::Pending as u16 {
            return None;
        }
        Some(special(code, payload))
    }
}

/// The event of a special word other than `Time`.
pub(crate) fn special(code: u16, payload: &[u64]) -> Event {
    let (ticks, rest) = match payload.split_first() {
        Some((ticks, rest)) => (*ticks, rest),
        None => (0, payload),
    };
    let known = known(code, rest);
    let kind = known.unwrap_or_else(|| Kind::Other {
        code,
        payload: rest.into(),
    });
    Event { ticks, kind }
}

fn known(code: u16, rest: &[u64]) -> Option<Kind> {
    const CONTEXT: u16 = Code::Context as u16;
    const LOST: u16 = Code::Lost as u16;
    const SET_JUMP: u16 = Code::SetJump as u16;
    const LONG_JUMP: u16 = Code::LongJump as u16;
    const THREAD_END: u16 = Code::ThreadEnd as u16;
    const MARK: u16 = Code::Mark as u16;
    const SPAN_BEGIN: u16 = Code::SpanBegin as u16;
    const SPAN_END: u16 = Code::SpanEnd as u16;
    const MESSAGE: u16 = Code::Message as u16;
    const VALUES: u16 = Code::Values as u16;
    const NUMBERS: u16 = Code::Numbers as u16;
    Some(match (code, rest) {
        (CONTEXT, &[call, first, second]) => Kind::Context(Context::new(call, first, second)?),
        (LOST, &[until, count]) => Kind::Lost { count, until },
        (SET_JUMP, &[buffer]) => Kind::SetJump(buffer),
        (LONG_JUMP, &[buffer]) => Kind::LongJump(buffer),
        (THREAD_END, []) => Kind::ThreadEnd,
        (MARK, text) => Kind::Mark(unpack_text(text)?.into_boxed_str()),
        (SPAN_BEGIN, &[span, first, second]) => Kind::SpanBegin {
            span,
            first,
            second,
        },
        (SPAN_END, &[span, first, second]) => Kind::SpanEnd {
            span,
            first,
            second,
        },
        (MESSAGE, &[received @ 0..=1, peer, kind, bytes, number]) => {
            Kind::Message(Box::new(Message {
                received: received == 1,
                peer,
                kind,
                bytes,
                number,
            }))
        }
        (VALUES, values) => Kind::Values(values.into()),
        // As the recorder writes them: with the plan in front.
        (NUMBERS, [plan, numbers @ ..]) => {
            Kind::Values(values_of(u32::try_from(*plan).ok()?, numbers).collect())
        }
        _ => return None,
    })
}

/// The special word's code and payload, with the time in front. `None` for calls and returns.
pub(super) fn payload(event: &Event, out: &mut Vec<u64>) -> Option<u16> {
    out.clear();
    out.push(event.ticks);
    let code = match &event.kind {
        Kind::Call(_) | Kind::Return(_) => return None,
        Kind::SetJump(buffer) => {
            out.push(*buffer);
            Code::SetJump
        }
        Kind::LongJump(buffer) => {
            out.push(*buffer);
            Code::LongJump
        }
        Kind::Context(context) => {
            out.extend(context.payload());
            Code::Context
        }
        Kind::Lost { count, until } => {
            out.extend([until, count]);
            Code::Lost
        }
        Kind::ThreadEnd => Code::ThreadEnd,
        Kind::Mark(text) => {
            pack_text(text.as_bytes(), out);
            Code::Mark
        }
        Kind::SpanBegin {
            span,
            first,
            second,
        } => {
            out.extend([span, first, second]);
            Code::SpanBegin
        }
        Kind::SpanEnd {
            span,
            first,
            second,
        } => {
            out.extend([span, first, second]);
            Code::SpanEnd
        }
        Kind::Message(message) => {
            let Message {
                received,
                peer,
                kind,
                bytes,
                number,
            } = **message;
            out.extend([u64::from(received), peer, kind, bytes, number]);
            Code::Message
        }
        Kind::Values(values) => {
            out.extend_from_slice(values);
            Code::Values
        }
        Kind::Other { code, payload } => {
            out.extend_from_slice(payload);
            return Some(*code);
        }
    };
    Some(code as u16)
}

/// The text of a payload: a word with its length, then its bytes. What is no UTF-8 is replaced.
fn unpack_text(words: &[u64]) -> Option<String> {
    let (&bytes, words) = words.split_first()?;
    let bytes = usize::try_from(bytes).ok()?;
    if bytes > words.len() * 8 {
        return None;
    }
    let mut text: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    text.truncate(bytes);
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn pack_text(text: &[u8], out: &mut Vec<u64>) {
    out.push(text.len() as u64);
    out.extend(text.chunks(8).map(|part| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    }));
}
