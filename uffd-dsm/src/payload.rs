//! The bytes of a message about an object, wherever they are.

use std::borrow::Cow;

use bytes::Bytes;
use umbel_wire::ObjectId;
use umbel_wire::codec::PREFIX_BYTES_MAX;

/// Bytes of an object, or a diff of them: as they arrived, made here, or still in the object.
///
/// A clone shares them: a page on its way is copied from the link into memory, and nowhere in between.
#[derive(Clone, Debug)]
pub struct Payload(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// So few that a block of memory of their own, or a share in one, would cost more than they do.
    Few { bytes: [u8; FEW_BYTES], len: u8 },
    Bytes {
        prefix: [u8; PREFIX_BYTES_MAX],
        prefix_bytes: usize,
        rest: Bytes,
    },
    /// Only between [`Effect::Send`](umbel_coherence::Effect::Send) and the link.
    InPlace(ObjectId),
}

impl Payload {
    /// What a link received: the first bytes, and what follows them.
    ///
    /// Panics if `prefix` is longer than [`PREFIX_BYTES_MAX`].
    pub fn new(prefix: &[u8], rest: Bytes) -> Self {
        if let Some(few) = Self::few(prefix, &rest) {
            return few;
        }
        let mut bytes = [0; PREFIX_BYTES_MAX];
        bytes[..prefix.len()].copy_from_slice(prefix);
        Self(Kind::Bytes {
            prefix: bytes,
            prefix_bytes: prefix.len(),
            rest,
        })
    }

    /// As [`Payload::new`]; `None` if they are not few.
    pub fn few(prefix: &[u8], rest: &[u8]) -> Option<Self> {
        let mut bytes = [0; FEW_BYTES];
        let len = prefix.len() + rest.len();
        bytes.get_mut(..prefix.len())?.copy_from_slice(prefix);
        bytes.get_mut(prefix.len()..len)?.copy_from_slice(rest);
        Some(Self(Kind::Few {
            bytes,
            len: len as u8,
        }))
    }

    /// A copy of these.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self::few(&[], bytes).unwrap_or_else(|| Self::new(&[], Bytes::copy_from_slice(bytes)))
    }

    /// The object's own bytes, to be read when the message is written.
    pub(crate) fn in_place(object: ObjectId) -> Self {
        Self(Kind::InPlace(object))
    }

    /// The object whose bytes it stands for, if they are still there.
    pub(crate) fn object(&self) -> Option<ObjectId> {
        match &self.0 {
            Kind::InPlace(object) => Some(*object),
            Kind::Few { .. } | Kind::Bytes { .. } => None,
        }
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            Kind::Few { bytes, len } => Cow::Borrowed(&bytes[..usize::from(*len)]),
            Kind::Bytes {
                prefix_bytes: 0,
                rest,
                ..
            } => Cow::Borrowed(rest),
            Kind::Bytes {
                prefix,
                prefix_bytes,
                rest,
            } => Cow::Owned([&prefix[..*prefix_bytes], rest].concat()),
            Kind::InPlace(_) => unreachable!("bytes in place are the link's to read"),
        }
    }

    /// The first two bytes as a number, and the others.
    pub(crate) fn split_head(&self) -> Option<(u16, &[u8])> {
        match &self.0 {
            Kind::Few { bytes, len } => {
                let (head, bytes) = bytes[..usize::from(*len)].split_first_chunk()?;
                Some((u16::from_le_bytes(*head), bytes))
            }
            Kind::Bytes {
                prefix_bytes: 0,
                rest,
                ..
            } => {
                let (head, bytes) = rest.split_first_chunk()?;
                Some((u16::from_le_bytes(*head), bytes))
            }
            Kind::Bytes {
                prefix,
                prefix_bytes: PREFIX_BYTES_MAX,
                rest,
            } => Some((u16::from_le_bytes(*prefix), rest)),
            Kind::Bytes { .. } => None,
            Kind::InPlace(_) => unreachable!("bytes in place are the link's to read"),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(&[], bytes.into())
    }
}

/// Most diffs of a page are shorter: a line of bytes that changed, or some words. No payload is larger for it.
const FEW_BYTES: usize = 40;

const _: () = assert!(size_of::<Payload>() == size_of::<Bytes>() + 2 * size_of::<usize>());
