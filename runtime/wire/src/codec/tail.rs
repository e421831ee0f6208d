//! The bytes at the end of a message: where they come from, and what a decoder found.

use alloc::vec::Vec;

/// Bytes to be sent, wherever they are.
pub trait Put {
    /// Appends them.
    fn put(&self, out: &mut Vec<u8>);
}

impl Put for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Put for &[u8] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Put for &dyn Put {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

/// Bytes that arrived: in a batch their first ones may be written once for many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail<'a> {
    prefix: [u8; PREFIX_BYTES_MAX],
    prefix_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Tail<'a> {
    /// Panics if `prefix` is longer than [`PREFIX_BYTES_MAX`].
    pub(super) fn new(prefix: &[u8], rest: &'a [u8]) -> Self {
        let mut bytes = [0; PREFIX_BYTES_MAX];
        bytes[..prefix.len()].copy_from_slice(prefix);
        Self {
            prefix: bytes,
            prefix_bytes: prefix.len(),
            rest,
        }
    }

    /// The first bytes.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix[..self.prefix_bytes]
    }

    /// What follows them, where it arrived.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.prefix(), self.rest].concat()
    }
}

impl<'a> From<&'a [u8]> for Tail<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(&[], bytes)
    }
}

/// Bytes that messages of a run share: what stands before the data of an object.
pub const PREFIX_BYTES_MAX: usize = 2;
