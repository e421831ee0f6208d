//! Numbers of variable length.
//!
//! | first byte | bytes behind it | value |
//! |---|---|---|
//! | 0..192 | 0 | itself |
//! | 192..248 | 1 | 192 + 256 * (first - 192) + second |
//! | 248..256 | 1..=8 | little-endian in `first` - 247 bytes |
//!
//! Made for times between events: most take one byte, which a compressor then sees as one symbol.

const SHORT_END: u64 = 192;
const LONG_FIRST: u8 = 248;
const MIDDLE_END: u64 = SHORT_END + 256 * (LONG_FIRST as u64 - SHORT_END);

/// Appends `value`.
#[inline]
pub fn put(value: u64, out: &mut Vec<u8>) {
    if value < SHORT_END {
        out.push(value as u8);
    } else if value < MIDDLE_END {
        let above = value - SHORT_END;
        out.extend_from_slice(&[(SHORT_END + (above >> 8)) as u8, above as u8]);
    } else {
        put_long(value, out);
    }
}

#[cold]
fn put_long(value: u64, out: &mut Vec<u8>) {
    let bytes = 8 - value.leading_zeros() as usize / 8;
    out.push(LONG_FIRST - 1 + bytes as u8);
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
}

/// Takes a number from the front of `bytes`; `None` if they end within it.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if u64::from(first) < SHORT_END {
        *bytes = rest;
        return Some(u64::from(first));
    }
    if first < LONG_FIRST {
        let (&second, rest) = rest.split_first()?;
        *bytes = rest;
        let above = (u64::from(first) - SHORT_END) << 8 | u64::from(second);
        return Some(above + SHORT_END);
    }
    take_long(first, rest, bytes)
}

#[cold]
fn take_long<'a>(first: u8, rest: &'a [u8], bytes: &mut &'a [u8]) -> Option<u64> {
    let (value, rest) = rest.split_at_checked(usize::from(first - (LONG_FIRST - 1)))?;
    *bytes = rest;
    let mut word = [0; 8];
    word[..value.len()].copy_from_slice(value);
    Some(u64::from_le_bytes(word))
}

/// A difference, small if it is near 0 on either side.
pub fn zigzag(difference: u64) -> u64 {
    let difference = difference as i64;
    ((difference << 1) ^ (difference >> 63)) as u64
}

/// The difference again.
pub fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_around_every_border_come_back() {
        let borders = (0..64)
            .map(|bit| 1 << bit)
            .chain([SHORT_END, MIDDLE_END, u64::MAX]);
        for border in borders {
            for value in [border - 1, border, border.wrapping_add(1)] {
                let mut bytes = Vec::new();
                put(value, &mut bytes);
                let mut rest = &bytes[..];
                assert_eq!(take(&mut rest), Some(value));
                assert!(rest.is_empty());
                assert_eq!(take(&mut &bytes[..bytes.len() - 1]), None);
                assert_eq!(unzigzag(zigzag(value)), value);
            }
        }
    }
}
