//! What the arguments of system calls are to the kernel. Each kind is a pointer, or a number, as C passes it.

use std::ffi::{c_char, c_void};

use super::frame::{Back, Extent, Frame, element, set};
use super::{shared, vectors};
use crate::sys::signals::possible_mask;

/// An argument of a call.
pub trait Argument: Copy {
    /// What a register holds.
    fn from_register(register: usize) -> Self;

    /// The same for a register.
    fn to_register(self) -> usize;

    /// Whether the kernel would use shared memory through it.
    ///
    /// # Safety
    /// It is what the program passed, and `size` is what the table says of it.
    unsafe fn is_shared(self, _size: usize) -> bool {
        false
    }

    /// What to pass to the kernel instead. Itself if there is nothing to copy, or no memory: then the kernel says
    /// what it thinks of it.
    ///
    /// # Safety
    /// As above; and `is_shared` for one of the call's arguments.
    unsafe fn enter(self, _frame: &mut Frame, _size: usize) -> Self {
        self
    }
}

macro_rules! plain {
    ($($type:ty),*) => { $(
        impl Argument for $type {
            fn from_register(register: usize) -> Self {
                register as Self
            }

            fn to_register(self) -> usize {
                self as usize
            }
        }
    )* };
}
plain!(i32, u32, i64, u64, usize);

/// How a pointer gets into a register and out of it.
macro_rules! pointer {
    () => {
        fn from_register(register: usize) -> Self {
            Self(register as *mut _)
        }

        fn to_register(self) -> usize {
            self.0 as usize
        }
    };
}

/// A pointer that the kernel does not follow.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Opaque(pub *mut c_void);
impl Argument for Opaque {
    pointer!();
}

/// A string that the kernel reads; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Text(pub *const c_char);

/// A string that the call changes in place.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Template(pub *mut c_char);

/// Memory that the kernel reads; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Source(pub *const c_void);

/// Memory that the kernel fills, as many units as the call's result says.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Target<const UNIT: usize = 1>(pub *mut c_void);

/// Memory that the kernel reads and changes, or fills if the call succeeds; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Object(pub *mut c_void);

/// Memory that the kernel fills as far as the length says which the table names; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Named(pub *mut c_void);

/// The signals to block during a wait; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Mask(pub *const libc::sigset_t);

/// Strings that the kernel reads, in an array that ends with null; may be null.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Texts(pub *const *const c_char);

/// An iovec array of buffers that the kernel reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Gather(pub *const libc::iovec);

/// An iovec array of buffers that the kernel fills.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Scatter(pub *const libc::iovec);

/// A message to send.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Sent(pub *const libc::msghdr);

/// Room for a message.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Received(pub *mut libc::msghdr);

/// Messages to send; their lengths come back.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct SentMany(pub *mut libc::mmsghdr);

/// Room for messages.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ReceivedMany(pub *mut libc::mmsghdr);

impl Argument for Text {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        if !shared(self.0) {
            return self;
        }
        // SAFETY: not null, and a string as the program says.
        let bytes = unsafe { libc::strlen(self.0) } + 1;
        // SAFETY: as above.
        let copy = unsafe { frame.copy(self.0.cast(), bytes) };
        copy.map_or(self, |copy| Self(copy.cast()))
    }
}

impl Argument for Template {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        if !shared(self.0) {
            return self;
        }
        // SAFETY: not null, and a string as the program says.
        let bytes = unsafe { libc::strlen(self.0) } + 1;
        // SAFETY: a string that the call may change.
        let object = unsafe { Object(self.0.cast()).enter(frame, bytes) };
        Self(object.0.cast())
    }
}

impl Argument for Source {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    unsafe fn enter(self, frame: &mut Frame, bytes: usize) -> Self {
        if !shared(self.0) || bytes == 0 {
            return self;
        }
        // SAFETY: it has that many bytes, as the program says.
        let copy = unsafe { frame.copy(self.0.cast(), bytes) };
        copy.map_or(self, |copy| Self(copy.cast()))
    }
}

impl<const UNIT: usize> Argument for Target<UNIT> {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    unsafe fn enter(self, frame: &mut Frame, bytes: usize) -> Self {
        if !shared(self.0) || bytes == 0 {
            return self;
        }
        let Some(private) = frame.take(bytes) else {
            return self;
        };
        frame.give_back(Back {
            target: self.0.cast(),
            private,
            count: bytes,
            extent: Extent::Counted(UNIT),
        });
        Self(private.cast())
    }
}

impl Argument for Object {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    unsafe fn enter(self, frame: &mut Frame, bytes: usize) -> Self {
        if !shared(self.0) || bytes == 0 {
            return self;
        }
        // SAFETY: it has that many bytes, as the program says.
        let Some(private) = (unsafe { frame.copy(self.0.cast(), bytes) }) else {
            return self;
        };
        frame.give_back(Back {
            target: self.0.cast(),
            private,
            count: bytes,
            extent: Extent::Whole,
        });
        Self(private.cast())
    }
}

impl Argument for Named {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        shared(self.0)
    }

    /// `length` is the address of the length, which the kernel reads and changes.
    unsafe fn enter(self, frame: &mut Frame, length: usize) -> Self {
        let length = length as *const libc::socklen_t;
        if !shared(self.0) || length.is_null() {
            return self;
        }
        // SAFETY: not null, and a length as the program says.
        let bytes = unsafe { *length } as usize;
        let Some(private) = frame.take(bytes) else {
            return self;
        };
        frame.give_back(Back {
            target: self.0.cast(),
            private,
            count: bytes,
            extent: Extent::Named(length),
        });
        Self(private.cast())
    }
}

impl Argument for Mask {
    pointer!();

    /// What faults come as must not be blocked in the wait, wherever the mask lies.
    unsafe fn is_shared(self, _: usize) -> bool {
        !self.0.is_null()
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        // SAFETY: null, or a set as the program says.
        let Some(mask) = (unsafe { self.0.as_ref() }) else {
            return self;
        };
        let Some(copy) = frame.take(size_of::<libc::sigset_t>()) else {
            return self;
        };
        let copy = copy.cast::<libc::sigset_t>();
        // SAFETY: just taken, with that size and an alignment of 16.
        unsafe { copy.write(possible_mask(mask)) };
        Self(copy)
    }
}

impl Texts {
    /// Its strings.
    ///
    /// # Safety
    /// Null, or an array that ends with null.
    unsafe fn len(self) -> usize {
        if self.0.is_null() {
            return 0;
        }
        (0..)
            .take_while(|i| {
                // SAFETY: by the contract above; nothing behind the null is read.
                let text = unsafe { element(self.0, *i) };
                !text.is_null()
            })
            .count()
    }
}

impl Argument for Texts {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        // SAFETY: an array as the program says.
        let count = unsafe { self.len() };
        // SAFETY: as above.
        shared(self.0) || (0..count).any(|i| shared(unsafe { element(self.0, i) }))
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        if self.0.is_null() {
            return self;
        }
        // SAFETY: an array as the program says.
        let count = unsafe { self.len() };
        let Some(copy) = frame.take((count + 1) * size_of::<*const c_char>()) else {
            return self;
        };
        let copy = copy.cast::<*const c_char>();
        for i in 0..=count {
            // SAFETY: an array as the program says.
            let text = Text(unsafe { element(self.0, i) });
            // SAFETY: a string of it, or the null at its end.
            let private = unsafe { text.enter(frame, 0) };
            // SAFETY: `copy` has room for `count` strings and the null.
            unsafe { set(copy, i, private.0) };
        }
        Self(copy)
    }
}

impl Argument for Gather {
    pointer!();

    unsafe fn is_shared(self, count: usize) -> bool {
        // SAFETY: an array as the program says.
        unsafe { vectors::is_shared(self.0, count) }
    }

    unsafe fn enter(self, frame: &mut Frame, count: usize) -> Self {
        // SAFETY: an array as the program says.
        let copy = unsafe { vectors::gather(frame, self.0, count) };
        copy.map_or(self, Self)
    }
}

impl Argument for Scatter {
    pointer!();

    unsafe fn is_shared(self, count: usize) -> bool {
        // SAFETY: an array as the program says.
        unsafe { vectors::is_shared(self.0, count) }
    }

    unsafe fn enter(self, frame: &mut Frame, count: usize) -> Self {
        // SAFETY: an array as the program says.
        let Some(private) = (unsafe { vectors::room(frame, self.0, count) }) else {
            return self;
        };
        frame.give_back(Back {
            target: self.0.cast_mut().cast(),
            private: private.cast(),
            count,
            extent: Extent::Vector,
        });
        Self(private)
    }
}

impl Argument for Sent {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        // SAFETY: a header as the program says.
        unsafe { vectors::message_is_shared(self.0) }
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        // SAFETY: a header as the program says.
        let copy = unsafe { vectors::message_out(frame, self.0) };
        copy.map_or(self, |copy| Self(copy))
    }
}

impl Argument for Received {
    pointer!();

    unsafe fn is_shared(self, _: usize) -> bool {
        // SAFETY: a header as the program says.
        unsafe { vectors::message_is_shared(self.0) }
    }

    unsafe fn enter(self, frame: &mut Frame, _: usize) -> Self {
        // SAFETY: a header as the program says.
        let Some(private) = (unsafe { vectors::message_room(frame, self.0) }) else {
            return self;
        };
        frame.give_back(Back {
            target: self.0.cast(),
            private: private.cast(),
            count: 1,
            extent: Extent::Message,
        });
        Self(private)
    }
}

impl Argument for SentMany {
    pointer!();

    unsafe fn is_shared(self, count: usize) -> bool {
        // SAFETY: an array as the program says.
        unsafe { vectors::messages_are_shared(self.0, count) }
    }

    unsafe fn enter(self, frame: &mut Frame, count: usize) -> Self {
        // SAFETY: an array as the program says.
        let private = unsafe { vectors::messages(frame, self.0, count, vectors::message_out) };
        Self(given_back(frame, self.0, private, count, Extent::Lengths))
    }
}

impl Argument for ReceivedMany {
    pointer!();

    unsafe fn is_shared(self, count: usize) -> bool {
        // SAFETY: an array as the program says.
        unsafe { vectors::messages_are_shared(self.0, count) }
    }

    unsafe fn enter(self, frame: &mut Frame, count: usize) -> Self {
        // SAFETY: an array as the program says.
        let private = unsafe { vectors::messages(frame, self.0, count, vectors::message_room) };
        Self(given_back(frame, self.0, private, count, Extent::Messages))
    }
}

/// The private copies of an array's messages, if it has any, or the array; what `extent` says of them goes back after
/// the call.
fn given_back<T>(
    frame: &mut Frame,
    array: *mut T,
    private: Option<*mut T>,
    count: usize,
    extent: Extent,
) -> *mut T {
    let Some(private) = private else {
        return array;
    };
    frame.give_back(Back {
        target: array.cast(),
        private: private.cast(),
        count,
        extent,
    });
    private
}

/// What a call's result says of its success.
pub trait Outcome: Copy {
    /// Nothing if it failed; otherwise the number that it returned.
    fn count(self) -> Option<usize>;
}

impl Outcome for i32 {
    fn count(self) -> Option<usize> {
        usize::try_from(self).ok()
    }
}

impl Outcome for isize {
    fn count(self) -> Option<usize> {
        usize::try_from(self).ok()
    }
}

impl Outcome for i64 {
    fn count(self) -> Option<usize> {
        usize::try_from(self).ok()
    }
}

impl Outcome for () {
    fn count(self) -> Option<usize> {
        Some(0)
    }
}

impl Outcome for *mut c_void {
    fn count(self) -> Option<usize> {
        (!self.is_null()).then_some(0)
    }
}

/// Bytes of an array; 0 if the count is negative.
pub fn bytes_of<T: TryInto<usize>>(count: T, unit: usize) -> usize {
    count.try_into().unwrap_or(0).saturating_mul(unit)
}
