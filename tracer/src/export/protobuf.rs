//! Protobuf's encoding, by hand: an event is a dozen bytes, written faster than a message structure could be filled.

/// Bytes of messages, one after the other.
#[derive(Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    #[inline]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number in a field.
    #[inline]
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(value);
    }

    /// Eight bytes in a field.
    pub(super) fn fixed(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text in a field.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A message in a field.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        self.varint(u64::from(field) << 3 | 2);
        // Almost all are shorter than 128 bytes, so that their length takes one; the others are moved.
        let length_at = self.0.len();
        self.0.push(0);
        fill(self);
        let length = self.0.len() - length_at - 1;
        if length < 0x80 {
            self.0[length_at] = length as u8;
            return;
        }
        let mut prefix = Self::default();
        prefix.varint(length as u64);
        self.0.splice(length_at..=length_at, prefix.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_any_length_can_be_read_back() {
        // The lengths around which the prefix grows.
        for length in [0, 1, 124, 125, 126, 127, 128, 200, 16_383, 16_384, 40_000] {
            let mut bytes = Bytes::default();
            let text = "x".repeat(length);
            bytes.message(3, |inner| {
                inner.number(1, 300);
                inner.text(2, &text);
            });
            let body: Vec<u8> = [
                &[0x08, 0xac, 0x02, 0x12][..],
                &varint(length),
                text.as_bytes(),
            ]
            .concat();
            let expected = [&[0x1a][..], &varint(body.len()), &body].concat();
            assert_eq!(bytes.0, expected, "{length}");
        }
    }

    fn varint(value: usize) -> Vec<u8> {
        let mut bytes = Bytes::default();
        bytes.varint(value as u64);
        bytes.0
    }
}
