//! Words: what a thread appends for each event. Little-endian, 8 bytes.
//!
//! Call or return:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 0: call, 1: return |
//! | 1..48 | address of the function |
//! | 48..64 | the low 16 bits of the time, in ticks |
//!
//! An address below [`CODES_END`] is no function (the first page is never mapped) but a code, and the word is a special one:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 0 |
//! | 1..13 | [`Code`] |
//! | 13..48 | 0 |
//! | 48..64 | words of payload that follow |
//!
//! The time of a call is that of the last [`Code::Time`] with its low 16 bits replaced; whoever writes puts a new `Time` first
//! whenever the upper bits differ, so each call's time is exact, whatever interrupted the writer between two of its steps. Each
//! chunk begins with a `Time`. The payload of every other special word begins with its own time, in ticks, but that of [`Code::Numbers`].
//!
//! Most events with values have a few numbers, so these have a word of their own, [`numbers`], directly behind the event's:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | 0 |
//! | 1..11 | the low bits of the plan's number |
//! | 11..13 | 2: codes from 2048 to 3071 are all [`Code::Numbers`] |
//! | 13..48 | 0 |
//! | 48..60 | the other bits of the plan's number |
//! | 60..64 | words of payload that follow: the numbers |

use core::ops::Range;

/// Addresses below are codes.
pub const CODES_END: u64 = 4096;

/// Bits of the time in a call's word.
pub const TIME_BITS: u32 = 16;

/// Bits of an address: what x86-64 gives to programs that don't ask for more.
pub const ADDRESS_BITS: u32 = 47;

/// A special word's meaning. Readers skip unknown codes with their payload, and count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Code {
    /// The payload is being written; readers wait, or skip it when its writer is dead.
    Pending = 0,
    /// Payload: the time in ticks.
    Time = 1,
    /// Events were dropped here, for want of a chunk. Payload: time of the first, time of the last, how many.
    Lost = 2,
    /// setjmp was called. Payload: time, address of the buffer.
    SetJump = 3,
    /// longjmp is about to be called: the frames above the one that called setjmp with this buffer end.
    /// Payload: time, address of the buffer.
    LongJump = 4,
    /// The thread ends; calls of destructors may follow. Payload: time.
    ThreadEnd = 5,
    /// A text that the program or the runtime wants among the calls. Payload: time, text.
    Mark = 6,
    /// Something begins that is no function: a fault, a wait. Payload: time, kind ([`Span`]), two arguments.
    SpanBegin = 7,
    /// It ends. Payload: time, kind, two results.
    SpanEnd = 8,
    /// A message left or came. Payload: time, 0 if sent and 1 if received, peer, kind, bytes, a number that both sides know.
    Message = 9,
    /// The program saves, makes or goes on with a context of its own ([`ContextCall`]), so the thread may be on another stack
    /// from here on. Payload: time, which call, address of the context, of another or 0.
    Context = 10,
    /// A trigger's condition was true of the event before. Payload: time, number of the trigger's case.
    Triggered = 11,
    /// Values of the call before. Payload: time, then what its capture plan says.
    Values = 16,
    /// Values of the event right before, by a plan of a few numbers: the plan is in the word ([`plan_of`]), the payload is the numbers. This
    /// is what [`Word::parse`] calls all words that [`numbers`] makes.
    Numbers = 17,
    /// Journal: a process begins. Payload: time, 0 at start, 1 after exec, 2 after fork, its parent's pid;
    /// texts: executable, arguments joined by NUL.
    Process = 32,
    /// Journal: a thread's first event. Payload: time, serial of the thread, tid; text: name.
    Thread = 33,
    /// Journal: a module is there. Payload: time, load bias, begin and end of its executable segment, end of its memory;
    /// bytes: build id (may be empty); text: path.
    Module = 34,
    /// Journal: a module goes. Payload: time, load bias.
    ModuleGone = 35,
    /// Journal: the process is a node of a distributed program. Payload: time, its rank.
    Rank = 36,
    /// Nothing is written here yet, nor behind it. No payload: its bits tell this use of the chunk from the last.
    Empty = 4095,
}

/// What the words of a chunk are before they are written; `use_number` tells the uses of a chunk apart.
pub fn empty(use_number: u64) -> u64 {
    (Code::Empty as u64) << 1 | use_number << 48
}

/// Is nothing written here? 0 is what a file has where no chunk was ever used.
#[inline]
pub fn is_empty(word: u64) -> bool {
    word == 0 || word << 16 == (Code::Empty as u64) << 17
}

/// The word for `count` numbers of the plan `plan`; `None`: one of the two is too large.
pub fn numbers(plan: u32, count: usize) -> Option<u64> {
    let is_small = plan >> (PLAN_LOW_BITS + PLAN_HIGH_BITS) == 0 && count < 1 << COUNT_BITS;
    let low = plan & ((1 << PLAN_LOW_BITS) - 1);
    let word = NUMBERS.start << 1
        | u64::from(low) << 1
        | u64::from(plan >> PLAN_LOW_BITS) << 48
        | (count as u64) << (64 - COUNT_BITS);
    is_small.then_some(word)
}

/// The plan's number in a word that [`numbers`] made.
#[inline]
pub fn plan_of(word: u64) -> u32 {
    let low = (word >> 1) as u32 & ((1 << PLAN_LOW_BITS) - 1);
    let high = (word >> 48) as u32 & ((1 << PLAN_HIGH_BITS) - 1);
    low | high << PLAN_LOW_BITS
}

/// Codes of words that [`numbers`] makes.
const NUMBERS: Range<u64> = 2048..2048 + (1 << PLAN_LOW_BITS);

const PLAN_LOW_BITS: u32 = 10;
const PLAN_HIGH_BITS: u32 = 12;
const COUNT_BITS: u32 = 4;

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Span {
    /// A fault on shared memory. Arguments: address, 1 for a write.
    Fault = 1,
    /// A wait in a synchronization operation. Arguments: address of the object, operation.
    Wait = 2,
}

/// What is done with a context (ucontext(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ContextCall {
    /// getcontext.
    Get = 0,
    /// setcontext.
    Set = 1,
    /// makecontext; the other is its successor.
    Make = 2,
    /// swapcontext; the other is where the thread goes on.
    Swap = 3,
}

/// A word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A function was called.
    Call {
        /// Its address.
        function: u64,
        /// Low bits of the time.
        time: u16,
    },
    /// A function returned.
    Return {
        /// Its address.
        function: u64,
        /// Low bits of the time.
        time: u16,
    },
    /// Something else, a [`Code`] if it is known.
    Special {
        /// The code.
        code: u16,
        /// Words that follow and belong to it.
        payload_words: u16,
    },
}

impl Word {
    /// Takes `word` apart: every value is a word.
    #[inline]
    pub fn parse(word: u64) -> Self {
        let address = (word >> 1) & ((1 << ADDRESS_BITS) - 1);
        let upper = (word >> 48) as u16;
        if address < CODES_END {
            return Self::special(address, upper);
        }
        match word & 1 {
            0 => Self::Call {
                function: address,
                time: upper,
            },
            _ => Self::Return {
                function: address,
                time: upper,
            },
        }
    }

    #[inline]
    fn special(code: u64, upper: u16) -> Self {
        match NUMBERS.contains(&code) {
            true => Self::Special {
                code: Code::Numbers as u16,
                payload_words: upper >> (16 - COUNT_BITS),
            },
            false => Self::Special {
                code: code as u16,
                payload_words: upper,
            },
        }
    }

    /// The word as it is written.
    #[inline]
    pub fn pack(self) -> u64 {
        match self {
            Self::Call { function, time } => function << 1 | u64::from(time) << 48,
            Self::Return { function, time } => function << 1 | 1 | u64::from(time) << 48,
            Self::Special {
                code,
                payload_words,
            } => u64::from(code) << 1 | u64::from(payload_words) << 48,
        }
    }
}

/// Words that a text or bytes take in a payload: one with the length in bytes, then the bytes, padded with 0.
pub fn text_words(bytes: usize) -> usize {
    1 + bytes.div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_were_packed_from() {
        for word in [
            Word::Call {
                function: 0x7fff_ffff_f000,
                time: 0xffff,
            },
            Word::Return {
                function: CODES_END,
                time: 0,
            },
            Word::Special {
                code: Code::Module as u16,
                payload_words: 513,
            },
        ] {
            assert_eq!(Word::parse(word.pack()), word);
        }
    }

    #[test]
    fn words_of_numbers_say_their_plan_and_how_many_there_are() {
        for (plan, count) in [(1, 0), (0x3ff, 1), (0x400, 13), ((1 << 22) - 1, 15)] {
            let word = numbers(plan, count).expect("both fit");
            assert_eq!(plan_of(word), plan);
            assert!(!is_empty(word));
            let parsed = Word::Special {
                code: Code::Numbers as u16,
                payload_words: count as u16,
            };
            assert_eq!(Word::parse(word), parsed);
        }
        assert_eq!(numbers(1 << 22, 1), None);
        assert_eq!(numbers(1, 16), None);
    }
}
