//! What of containers is captured: their elements, and the nodes that those lie in.

use umbel_trace_ring::plan::{Follow, Instruction};

use super::{Key, NESTED_MAX, OBJECT_BYTES_MAX, SHAPES_MAX, Shapes, emit};
use crate::containers::{Container, TreeLinks};
use crate::{TypeId, Types};

impl Shapes {
    pub(super) fn container(
        &mut self,
        types: &Types,
        container: &Container,
        at: u64,
        depth: u8,
        nested: u8,
        out: &mut Vec<Instruction>,
    ) {
        match container {
            Container::Text {
                pointer,
                count,
                unit,
            } => {
                let size = types.size(*unit).unwrap_or(1);
                let most = u64::from(self.text_bytes);
                let (from, to) = (at + pointer, at + count);
                emit(out, Follow::Counted, from, size, to, 0, most);
            }
            Container::Span {
                begin,
                end,
                element,
            } => {
                let ends = (at + begin, at + end);
                self.row(types, Follow::Span, ends, *element, depth, out);
            }
            Container::Counted {
                pointer,
                count,
                element,
            } => {
                let ends = (at + pointer, at + count);
                self.row(types, Follow::Counted, ends, *element, depth, out);
            }
            Container::Bits { begin, .. } => {
                let bytes = u64::from(self.elements).div_ceil(64) * 8;
                emit(out, Follow::Object, at + begin.0, bytes, 0, 0, 0);
            }
            Container::Inner { offset, array } => {
                self.value(types, *array, at + offset, depth, nested, out);
            }
            Container::Tree {
                header,
                links,
                value_offset,
                value,
                ..
            } => {
                let shape = self.tree(types, *links, *value_offset, *value, depth);
                if let Some(bytes) = node_bytes(types, *value_offset, *value) {
                    emit(
                        out,
                        Follow::Link,
                        at + header + links.left,
                        bytes,
                        0,
                        shape,
                        0,
                    );
                }
            }
            Container::Chain {
                first,
                next,
                value_offset,
                value,
                ..
            } => {
                let shape = self.chain(types, *next, *value_offset, *value, depth);
                if let Some(bytes) = node_bytes(types, *value_offset, *value) {
                    emit(out, Follow::Link, at + first, bytes, 0, shape, 0);
                }
            }
            Container::Deque {
                begin,
                end,
                element,
            } => {
                let ends = (at + begin.current, at + begin.last);
                self.row(types, Follow::Span, ends, *element, depth, out);
                let ends = (at + end.first, at + end.current);
                self.row(types, Follow::Span, ends, *element, depth, out);
            }
            Container::Tuple(parts) => {
                for (offset, part) in parts {
                    self.value(types, *part, at + offset, depth, nested, out);
                }
            }
            Container::Owner { offset, pointer } => {
                self.value(types, *pointer, at + offset, depth, nested, out);
            }
            Container::Optional { offset, value, .. } | Container::Holder { offset, value } => {
                self.value(types, *value, at + offset, depth, nested, out);
            }
            Container::Variant {
                offset,
                alternatives,
                ..
            } => {
                for alternative in alternatives {
                    self.value(types, *alternative, at + offset, depth, nested, out);
                }
            }
        }
    }

    /// Elements side by side: where their pointer lies, and what says where they end.
    fn row(
        &mut self,
        types: &Types,
        follow: Follow,
        (from, to): (u64, u64),
        element: TypeId,
        depth: u8,
        out: &mut Vec<Instruction>,
    ) {
        let shape = self.of_value(types, element, depth);
        let size = types.size(element).unwrap_or(0);
        emit(out, follow, from, size, to, shape, self.elements.into());
    }

    fn tree(
        &mut self,
        types: &Types,
        links: TreeLinks,
        value_offset: u64,
        value: TypeId,
        depth: u8,
    ) -> u32 {
        let bytes = node_bytes(types, value_offset, value);
        let key = Key::Tree(links.left, value_offset, value, depth);
        // The printer walks in order, from the leftmost on: to the right, then up.
        let offsets = [links.right, links.parent, links.left];
        self.node(types, key, &offsets, bytes, (value_offset, value), depth)
    }

    fn chain(
        &mut self,
        types: &Types,
        next: u64,
        value_offset: u64,
        value: TypeId,
        depth: u8,
    ) -> u32 {
        let bytes = node_bytes(types, value_offset, value);
        let key = Key::Chain(next, value_offset, value, depth);
        self.node(types, key, &[next], bytes, (value_offset, value), depth)
    }

    /// The shape of a node which leads to others like it.
    fn node(
        &mut self,
        types: &Types,
        key: Key,
        links: &[u64],
        bytes: Option<u64>,
        (value_offset, value): (u64, TypeId),
        depth: u8,
    ) -> u32 {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let Some(bytes) = bytes.filter(|_| self.list.len() < SHAPES_MAX) else {
            return 0;
        };
        // Its place is taken before it is made: it refers to itself.
        self.list.push(Vec::new());
        let own = u32::try_from(self.list.len()).unwrap_or(0);
        self.known.insert(key, own);
        let mut all = Vec::new();
        self.value(types, value, value_offset, depth, NESTED_MAX, &mut all);
        for link in links {
            emit(&mut all, Follow::Link, *link, bytes, 0, own, 0);
        }
        if let Some(place) = self.list.get_mut(own as usize - 1) {
            *place = all;
        }
        own
    }
}

fn node_bytes(types: &Types, value_offset: u64, value: TypeId) -> Option<u64> {
    let size = types.size(value)?.min(OBJECT_BYTES_MAX);
    value_offset.checked_add(size)
}
