//! Takes fields off a body; knows where it is, for errors.

use super::{DecodeError, Tail};

/// Rest of one message's body.
pub(super) struct Reader<'a> {
    message: &'static str,
    body: &'a [u8],
    offset: usize,
    tail: Option<Tail<'a>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'static str, body: &'a [u8]) -> Self {
        Self {
            message,
            body,
            offset: 0,
            tail: None,
        }
    }

    /// The next `count` bytes.
    pub(super) fn bytes(
        &mut self,
        field: &'static str,
        count: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        let Some(bytes) = rest.get(..count) else {
            return Err(DecodeError::Truncated {
                message: self.message,
                field,
                offset: self.offset,
                needed: count,
                left: rest.len(),
            });
        };
        self.offset += count;
        Ok(bytes)
    }

    /// Whether all bytes were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// Goes on at `offset` of a body.
    pub(super) fn from_offset(message: &'static str, body: &'a [u8], offset: usize) -> Self {
        Self {
            message,
            body,
            offset,
            tail: None,
        }
    }

    /// Where the next byte is.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Reads the fields from `head`; the bytes that end the message are `tail`.
    pub(super) fn with_tail(message: &'static str, head: &'a [u8], tail: Tail<'a>) -> Self {
        Self {
            message,
            body: head,
            offset: 0,
            tail: Some(tail),
        }
    }

    /// All bytes that are left.
    pub(super) fn remainder(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.offset = self.body.len();
        rest
    }

    /// As `remainder`, of a message whose bytes may lie apart from its fields.
    pub(super) fn tail(&mut self) -> Tail<'a> {
        match self.tail.take() {
            Some(tail) => tail,
            None => Tail::from(self.remainder()),
        }
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(field, N)?;
        Ok(bytes.try_into().expect("bytes() returned N bytes"))
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.value(field, 1, u64::from(other), "0 or 1")),
        }
    }

    /// The error for a field of `field_bytes` just taken.
    pub(super) fn value(
        &self,
        field: &'static str,
        field_bytes: usize,
        found: u64,
        allowed: &'static str,
    ) -> DecodeError {
        DecodeError::Value {
            message: self.message,
            field,
            offset: self.offset - field_bytes,
            found,
            allowed,
        }
    }

    /// `bytes`, the last taken, as text.
    pub(super) fn text(
        &self,
        field: &'static str,
        bytes: &'a [u8],
    ) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(bytes).map_err(|error| DecodeError::Text {
            message: self.message,
            field,
            offset: self.offset - bytes.len() + error.valid_up_to(),
        })
    }

    /// Bytes of the body, all of which must have been taken.
    pub(super) fn finish(self) -> Result<usize, DecodeError> {
        let tail = self
            .tail
            .map_or(0, |tail| tail.prefix().len() + tail.rest().len());
        match self.rest().len() + tail {
            0 => Ok(self.body.len()),
            left => Err(DecodeError::LeftOver {
                message: self.message,
                offset: self.offset,
                left,
            }),
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.body[self.offset..]
    }
}
