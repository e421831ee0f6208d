//! Arguments that point to further ones: iovec arrays and message headers.
//!
//! Private copies have the same shape, so that a datagram stays a datagram and what is split at a buffer's end stays
//! split there; only the buffers that are shared are replaced.

use libc::{iovec, mmsghdr, msghdr};

use super::frame::{Frame, element, put, set};
use super::shared;

/// The kernel takes no longer arrays; with one that it will refuse, nothing is done.
pub const VECTOR_MAX: usize = 1024;

// A message with its length starts with its header.
const _: () = assert!(std::mem::offset_of!(mmsghdr, msg_hdr) == 0);

/// # Safety
/// `vector` points to `count` elements.
pub unsafe fn is_shared(vector: *const iovec, count: usize) -> bool {
    if vector.is_null() || count > VECTOR_MAX {
        return false;
    }
    // SAFETY: by the contract above.
    shared(vector) || (0..count).any(|i| shared(unsafe { element(vector, i) }.iov_base))
}

/// A private copy of the array whose shared buffers are replaced by private copies.
///
/// # Safety
/// `vector` points to `count` elements, which describe readable memory.
pub unsafe fn gather(
    frame: &mut Frame,
    vector: *const iovec,
    count: usize,
) -> Option<*const iovec> {
    // SAFETY: by the contract above.
    let copy = unsafe { room(frame, vector, count) }?;
    for i in 0..count {
        // SAFETY: within the array.
        let source = unsafe { element(vector, i) };
        // SAFETY: within the copy.
        let target = unsafe { element(copy, i) };
        if source.iov_base != target.iov_base {
            // SAFETY: the copy's buffer was taken for it.
            unsafe {
                put(
                    source.iov_base.cast(),
                    target.iov_base.cast(),
                    target.iov_len,
                )
            };
        }
    }
    Some(copy)
}

/// A private copy of the array whose shared buffers are replaced by private memory.
///
/// # Safety
/// `vector` points to `count` elements.
pub unsafe fn room(frame: &mut Frame, vector: *const iovec, count: usize) -> Option<*mut iovec> {
    if vector.is_null() || count > VECTOR_MAX {
        return None;
    }
    // SAFETY: by the contract above.
    let copy = unsafe { frame.copy(vector.cast(), count * size_of::<iovec>()) }?.cast::<iovec>();
    for i in 0..count {
        // SAFETY: within the copy.
        let mut part = unsafe { element(copy, i) };
        if shared(part.iov_base) {
            part.iov_base = frame.take(part.iov_len)?.cast();
            // SAFETY: within the copy, which is ours.
            unsafe { set(copy, i, part) };
        }
    }
    Some(copy)
}

/// Copies the first `bytes` bytes of a copy's buffers to where the program wants them.
///
/// # Safety
/// `copy` was made by [`room`] from `vector`.
pub unsafe fn scatter(vector: *const iovec, copy: *const iovec, count: usize, mut bytes: usize) {
    for i in 0..count {
        // SAFETY: within the array.
        let target = unsafe { element(vector, i) }.iov_base;
        // SAFETY: within the copy.
        let source = unsafe { element(copy, i) };
        let part = bytes.min(source.iov_len);
        if source.iov_base != target {
            // SAFETY: both have at least that much.
            unsafe { put(source.iov_base.cast(), target.cast(), part) };
        }
        bytes -= part;
    }
}

/// # Safety
/// `message` is null or a header.
pub unsafe fn message_is_shared(message: *const msghdr) -> bool {
    if message.is_null() || shared(message) {
        return !message.is_null();
    }
    // SAFETY: by the contract above.
    let header = unsafe { &*message };
    shared(header.msg_name)
        || shared(header.msg_control)
        // SAFETY: the header says so.
        || unsafe { is_shared(header.msg_iov, header.msg_iovlen) }
}

/// A private copy of a message to send.
///
/// # Safety
/// `message` is a header of readable memory, or null.
pub unsafe fn message_out(frame: &mut Frame, message: *const msghdr) -> Option<*mut msghdr> {
    // SAFETY: by the contract above.
    let copy = unsafe { header(frame, message) }?;
    // SAFETY: ours.
    let header = unsafe { &mut *copy };
    if shared(header.msg_name) {
        let name = header.msg_name.cast();
        // SAFETY: by the contract above.
        header.msg_name = unsafe { frame.copy(name, header.msg_namelen as usize) }?.cast();
    }
    if shared(header.msg_control) {
        let control = header.msg_control.cast();
        // SAFETY: by the contract above.
        header.msg_control = unsafe { frame.copy(control, header.msg_controllen) }?.cast();
    }
    if header.msg_iovlen <= VECTOR_MAX {
        // SAFETY: by the contract above.
        let vector = unsafe { gather(frame, header.msg_iov, header.msg_iovlen) };
        header.msg_iov = vector.map_or(header.msg_iov, <*const iovec>::cast_mut);
    }
    Some(copy)
}

/// A private copy of a header, with private room for a message.
///
/// # Safety
/// `message` is a header, or null.
pub unsafe fn message_room(frame: &mut Frame, message: *const msghdr) -> Option<*mut msghdr> {
    // SAFETY: by the contract above.
    let copy = unsafe { header(frame, message) }?;
    // SAFETY: ours.
    let header = unsafe { &mut *copy };
    if shared(header.msg_name) {
        header.msg_name = frame.take(header.msg_namelen as usize)?.cast();
    }
    if shared(header.msg_control) {
        header.msg_control = frame.take(header.msg_controllen)?.cast();
    }
    if header.msg_iovlen <= VECTOR_MAX {
        // SAFETY: by the contract above.
        let vector = unsafe { room(frame, header.msg_iov, header.msg_iovlen) };
        header.msg_iov = vector.unwrap_or(header.msg_iov);
    }
    Some(copy)
}

/// # Safety
/// `message` is a header, or null.
unsafe fn header(frame: &mut Frame, message: *const msghdr) -> Option<*mut msghdr> {
    if message.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    let copy = unsafe { frame.copy(message.cast(), size_of::<msghdr>()) };
    Some(copy?.cast())
}

/// Gives the program a message of `bytes` bytes.
///
/// # Safety
/// `copy` was made by [`message_room`] from `message`, and the kernel has received into it.
pub unsafe fn message_back(message: *mut msghdr, copy: *const msghdr, bytes: usize) {
    // SAFETY: by the contract above.
    let target = unsafe { &mut *message };
    // SAFETY: by the contract above.
    let source = unsafe { &*copy };
    if source.msg_name != target.msg_name {
        // The kernel says how long the name is, not how much of it had room.
        let room = target.msg_namelen.min(source.msg_namelen);
        // SAFETY: both have that much.
        unsafe {
            put(
                source.msg_name.cast(),
                target.msg_name.cast(),
                room as usize,
            )
        };
    }
    if source.msg_control != target.msg_control {
        let room = target.msg_controllen.min(source.msg_controllen);
        // SAFETY: both have that much.
        unsafe { put(source.msg_control.cast(), target.msg_control.cast(), room) };
    }
    if source.msg_iov != target.msg_iov {
        // SAFETY: `message_room` has made the one from the other.
        unsafe { scatter(target.msg_iov, source.msg_iov, source.msg_iovlen, bytes) };
    }
    target.msg_namelen = source.msg_namelen;
    target.msg_controllen = source.msg_controllen;
    target.msg_flags = source.msg_flags;
}

/// # Safety
/// `messages` points to `count` headers.
pub unsafe fn messages_are_shared(messages: *mut mmsghdr, count: usize) -> bool {
    if messages.is_null() {
        return false;
    }
    shared(messages)
        || (0..count.min(VECTOR_MAX)).any(|i| {
            // SAFETY: by the contract above.
            let message = unsafe { messages.add(i) };
            // SAFETY: as above.
            unsafe { message_is_shared(message.cast()) }
        })
}

/// A private copy of an array of headers, each copied by `copy_of`.
///
/// # Safety
/// `messages` points to `count` headers.
pub unsafe fn messages(
    frame: &mut Frame,
    messages: *mut mmsghdr,
    count: usize,
    copy_of: unsafe fn(&mut Frame, *const msghdr) -> Option<*mut msghdr>,
) -> Option<*mut mmsghdr> {
    // The kernel takes no more at a time.
    let count = count.min(VECTOR_MAX);
    let array = frame.take(count * size_of::<mmsghdr>())?;
    let array = array.cast::<mmsghdr>();
    for i in 0..count {
        // SAFETY: by the contract above.
        let message = unsafe { messages.add(i) };
        // SAFETY: a header as the program says.
        let private = unsafe { copy_of(frame, message.cast()) }?;
        let message = mmsghdr {
            // SAFETY: just made.
            msg_hdr: unsafe { *private },
            msg_len: 0,
        };
        // SAFETY: within the array that was taken.
        unsafe { set(array, i, message) };
    }
    Some(array)
}

/// Gives the program the lengths of `count` sent messages.
///
/// # Safety
/// `copy` was made by [`messages`] from `messages`.
pub unsafe fn lengths_back(messages: *mut mmsghdr, copy: *const mmsghdr, count: usize) {
    for i in 0..count {
        // SAFETY: within the copy.
        let length = unsafe { element(copy, i) }.msg_len;
        // SAFETY: within the array.
        let message = unsafe { messages.add(i) };
        // SAFETY: as above.
        unsafe { (*message).msg_len = length };
    }
}

/// Gives the program `count` received messages.
///
/// # Safety
/// `copy` was made by [`messages`] from `messages`, and the kernel has received into it.
pub unsafe fn messages_back(messages: *mut mmsghdr, copy: *const mmsghdr, count: usize) {
    for i in 0..count {
        // SAFETY: within the array.
        let message = unsafe { messages.add(i) };
        // SAFETY: within the copy.
        let received = unsafe { copy.add(i) };
        // SAFETY: as above.
        let length = unsafe { (*received).msg_len };
        let (target, source) = (message.cast(), received.cast());
        // SAFETY: `messages` has made the one from the other.
        unsafe { message_back(target, source, length as usize) };
    }
    // SAFETY: by the contract above.
    unsafe { lengths_back(messages, copy, count) };
}
