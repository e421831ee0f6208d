//! A structure of the file, out of bytes that were read.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use alloc::vec;
use alloc::vec::Vec;

use crate::layout::{ChunkHeader, Header};

/// Structures of integers and atomics alone, aligned to 8 bytes at most: any bytes are one.
///
/// # Safety
/// Only for such.
pub unsafe trait Integers {}

// SAFETY: layout.rs has its fields.
unsafe impl Integers for Header {}
// SAFETY: layout.rs has its fields.
unsafe impl Integers for ChunkHeader {}

/// A copy of a `T`.
pub struct Plain<T> {
    words: Vec<u64>,
    kind: PhantomData<T>,
}

impl<T> fmt::Debug for Plain<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(out)
    }
}

impl<T: Integers> Plain<T> {
    /// From its first bytes; what is missing is 0.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0; size_of::<T>().div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        }
        Self {
            words,
            kind: PhantomData,
        }
    }
}

impl<T: Integers> Deref for Plain<T> {
    type Target = T;

    fn deref(&self) -> &T {
        const { assert!(align_of::<T>() <= 8) };
        // SAFETY: `words` is as long as a `T`, aligned to 8, and any bytes are a `T` (Integers).
        unsafe { &*self.words.as_ptr().cast() }
    }
}
