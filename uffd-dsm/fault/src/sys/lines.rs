//! Comparing bytes with vector registers.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8,
    _mm_set_epi64x, _mm256_loadu_si256, _mm256_or_si256, _mm256_testz_si256, _mm256_xor_si256,
};

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

/// A bit for each line in which the memory from `current` on differs, the first line lowest; of 64 lines at most.
///
/// What threads store there meanwhile is seen or isn't: no byte is read twice.
///
/// # Safety
///
/// As many lines from `current` on can be read.
#[inline]
pub(super) unsafe fn changed_lines(lines: &[[u8; LINE_BYTES]], current: *const u8) -> u64 {
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the caller has checked the memory.
        unsafe { changed_lines_by_avx2(lines, current) }
    } else {
        // SAFETY: every x86-64 processor has SSE2; the caller has checked the memory.
        unsafe { changed_lines_by_sse2(lines, current) }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn changed_lines_by_avx2(lines: &[[u8; LINE_BYTES]], current: *const u8) -> u64 {
    let mut changed = 0;
    for (index, line) in lines.iter().enumerate() {
        let [low, high] = [0, LINE_BYTES / 2].map(|offset| {
            let clean = line[offset..].as_ptr().cast::<__m256i>();
            let current = current.wrapping_add(index * LINE_BYTES + offset);
            // SAFETY: half a line is left from here on.
            let clean = unsafe { _mm256_loadu_si256(clean) };
            // SAFETY: inside the lines that the caller has checked.
            let current = unsafe { _mm256_loadu_si256(current.cast()) };
            _mm256_xor_si256(clean, current)
        });
        let different = _mm256_or_si256(low, high);
        let is_equal = _mm256_testz_si256(different, different) == 1;
        changed |= u64::from(!is_equal) << index;
    }
    changed
}

#[target_feature(enable = "sse2")]
unsafe fn changed_lines_by_sse2(lines: &[[u8; LINE_BYTES]], current: *const u8) -> u64 {
    let mut changed = 0;
    for (index, line) in lines.iter().enumerate() {
        let [first, second, third, fourth] = [0, 16, 32, 48].map(|offset| {
            let clean = line[offset..].as_ptr().cast::<__m128i>();
            let current = current.wrapping_add(index * LINE_BYTES + offset);
            // SAFETY: a quarter of a line is left from here on.
            let clean = unsafe { _mm_loadu_si128(clean) };
            // SAFETY: inside the lines that the caller has checked.
            let current = unsafe { _mm_loadu_si128(current.cast()) };
            _mm_cmpeq_epi8(clean, current)
        });
        let equal = _mm_and_si128(_mm_and_si128(first, second), _mm_and_si128(third, fourth));
        changed |= u64::from(_mm_movemask_epi8(equal) != 0xffff) << index;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_differs_has_its_bit() {
        let lines: Vec<[u8; LINE_BYTES]> = (0..64).map(|index| [index; LINE_BYTES]).collect();
        for count in [0, 1, 5, 64] {
            let lines = &lines[..count];
            let mut current = lines.concat();
            let changed = |current: &[u8]| {
                // SAFETY: as many lines.
                let either = unsafe { changed_lines(lines, current.as_ptr()) };
                // SAFETY: as above.
                let plain = unsafe { changed_lines_by_sse2(lines, current.as_ptr()) };
                assert_eq!(either, plain);
                either
            };
            assert_eq!(changed(&current), 0);
            for byte in 0..current.len() {
                current[byte] ^= 1 << (byte % 8);
                assert_eq!(changed(&current), 1 << (byte / LINE_BYTES));
                current[byte] ^= 1 << (byte % 8);
            }
            current.fill(255);
            assert_eq!(
                changed(&current),
                u64::MAX.checked_shr(64 - count as u32).unwrap_or(0)
            );
        }
    }

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
