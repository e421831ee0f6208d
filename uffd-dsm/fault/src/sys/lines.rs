//! Comparing bytes with vector registers.

use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x};

/// Bytes that [`changed_bytes`] compares: a line of the processor's caches.
pub const LINE_BYTES: usize = 64;

/// A bit for each byte in which two lines differ, the first one lowest.
#[inline]
pub fn changed_bytes(line: &[u8; LINE_BYTES], other: &[u8; LINE_BYTES]) -> u64 {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { changed_bytes_by_sse2(line, other) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn changed_bytes_by_sse2(line: &[u8; LINE_BYTES], other: &[u8; LINE_BYTES]) -> u64 {
    let (pieces, _) = line.as_chunks::<16>();
    let (other_pieces, _) = other.as_chunks::<16>();
    let mut equal = 0;
    for (index, (piece, other_piece)) in pieces.iter().zip(other_pieces).enumerate() {
        let is_equal = _mm_cmpeq_epi8(vector(piece), vector(other_piece));
        equal |= u64::from(_mm_movemask_epi8(is_equal) as u16) << (16 * index);
    }
    !equal
}

#[inline]
#[target_feature(enable = "sse2")]
fn vector(bytes: &[u8; 16]) -> __m128i {
    let (words, _) = bytes.as_chunks::<8>();
    let [low, high] = [0, 1].map(|index: usize| i64::from_le_bytes(words[index]));
    _mm_set_epi64x(high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_differs_has_its_bit() {
        let line = std::array::from_fn(|index| index as u8 * 3);
        assert_eq!(changed_bytes(&line, &line), 0);
        for byte in 0..LINE_BYTES {
            let mut other = line;
            other[byte] ^= 1 << (byte % 8);
            assert_eq!(changed_bytes(&line, &other), 1 << byte);
            assert_eq!(changed_bytes(&other, &line), 1 << byte);
        }
        assert_eq!(changed_bytes(&[1; LINE_BYTES], &[2; LINE_BYTES]), u64::MAX);
    }
}
