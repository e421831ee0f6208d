//! Bytes that can tell: an object is a few cells, each a number; a diff names the cells that changed.

use super::node::Value;

/// What a message or an effect carries. A whole object has every cell; a diff only those that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cells<V, const N: usize>(pub [Option<V>; N]);

impl<V: Value, const N: usize> Cells<V, N> {
    /// Every cell.
    pub fn whole(bytes: &[V; N]) -> Self {
        Self(bytes.map(Some))
    }

    /// The cells in which `bytes` shows another value than `twin`; `None` if there is no such cell.
    pub fn between(twin: &[V; N], bytes: &[V; N]) -> Option<Self> {
        let changed = |cell: usize| (!twin[cell].is_same(bytes[cell])).then_some(bytes[cell]);
        let diff = Self(std::array::from_fn(changed));
        diff.0.iter().any(Option::is_some).then_some(diff)
    }

    /// All cells of a whole object.
    ///
    /// Panics if this is a diff.
    pub fn into_whole(self) -> [V; N] {
        self.0
            .map(|cell| cell.expect("whole objects are granted and returned"))
    }

    /// Puts the diff into the clean copy, and into the bytes where the threads changed nothing.
    pub fn merge(&self, bytes: &mut [V; N], twin: Option<&mut [V; N]>) {
        let clean = twin.as_ref().map_or(*bytes, |twin| **twin);
        let is_changed: [bool; N] = std::array::from_fn(|cell| !bytes[cell].is_same(clean[cell]));
        if let Some(twin) = twin {
            self.write_where(twin, |_| true);
        }
        self.write_where(bytes, |cell| !is_changed[cell]);
    }

    fn write_where(&self, bytes: &mut [V; N], may: impl Fn(usize) -> bool) {
        for (cell, value) in self.0.iter().enumerate() {
            if let Some(value) = value
                && may(cell)
            {
                bytes[cell] = *value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_leaves_what_the_threads_changed() {
        let (mut bytes, mut twin) = ([1_u64, 5, 3], [1, 2, 3]);
        Cells([Some(7), Some(8), None]).merge(&mut bytes, Some(&mut twin));
        assert_eq!((bytes, twin), ([7, 5, 3], [7, 8, 3]));
        assert_eq!(
            Cells::between(&twin, &bytes),
            Some(Cells([None, Some(5), None]))
        );
    }
}
