//! Which program this is: its nodes must all be the same binary, for code is named by offsets.

use std::sync::OnceLock;

use object::Object;

/// The ELF build id, or a hash of the file if it has none.
pub fn digest() -> [u8; 20] {
    static DIGEST: OnceLock<[u8; 20]> = OnceLock::new();
    *DIGEST.get_or_init(|| {
        let file = std::fs::read("/proc/self/exe").unwrap_or_default();
        let mut digest = [0; 20];
        let id = object::File::parse(&*file)
            .ok()
            .and_then(|elf| elf.build_id().ok().flatten().map(<[u8]>::to_vec));
        match id {
            Some(id) => digest
                .iter_mut()
                .zip(id)
                .for_each(|(byte, value)| *byte = value),
            None => {
                digest[..8].copy_from_slice(&(file.len() as u64).to_le_bytes());
                digest[8..16].copy_from_slice(&fnv1a(&file).to_le_bytes());
            }
        }
        digest
    })
}

/// Fowler, Noll, Vo: tells files apart that differ by accident, which is all that is needed here.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_changes_the_hash() {
        assert_ne!(fnv1a(b"umbel"), fnv1a(b"umbem"));
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    }
}
