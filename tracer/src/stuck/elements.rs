//! Elements of the C++ library's containers, one at a time.

use umbel_values::containers::{Container, Deque, recognize};
use umbel_values::evaluate::Source;
use umbel_values::{Kind, TypeId};

use super::objects::{Around, Object};

/// Nodes that are gone through for one element of a list or tree.
const NODES_MAX: u64 = 1 << 20;

impl Around<'_> {
    /// The element `index` of a container, which lists, maps and sets have in their own order; `None`: it is no container with elements.
    pub(super) fn contained(
        &self,
        name: &str,
        whole: &Object,
        index: i64,
    ) -> Option<Result<Object, String>> {
        let (of, _) = self.types.bare(whole.of)?;
        let container = recognize(self.types, of)?;
        let begin = whole.source.address()?;
        let element = self.element_of(name, &container, begin, index);
        element.transpose()
    }

    fn element_of(
        &self,
        name: &str,
        container: &Container,
        begin: u64,
        index: i64,
    ) -> Result<Option<Object>, String> {
        let at = |offset: u64| self.word(begin.wrapping_add(offset));
        let placed = |first: u64, count: u64, of: TypeId| {
            let size = self.size(of, name)?;
            let index = within(name, index, count)?;
            Ok(Some(Object::at(
                first.wrapping_add(index.wrapping_mul(size)),
                of,
            )))
        };
        match *container {
            Container::Text {
                pointer,
                count,
                unit,
            } => placed(at(pointer)?, at(count)?, unit),
            Container::Counted {
                pointer,
                count,
                element,
            } => placed(at(pointer)?, at(count)?, element),
            Container::Span {
                begin: first,
                end,
                element,
            } => {
                let (first, end) = (at(first)?, at(end)?);
                let count = end.saturating_sub(first) / self.size(element, name)?;
                placed(first, count, element)
            }
            Container::Inner { offset, array } => {
                let Some(Kind::Array { element, .. }) =
                    self.types.bare(array).map(|(_, found)| &found.kind)
                else {
                    return Ok(None);
                };
                let count = umbel_values::containers::array_len(self.types, array);
                placed(
                    begin.wrapping_add(offset),
                    count.unwrap_or(u64::MAX),
                    *element,
                )
            }
            Container::Deque {
                begin: first,
                end,
                element,
            } => {
                let size = self.size(element, name)?;
                let deque = Deque::read((first, end), size, at)?;
                let count = deque.count().ok_or_else(|| {
                    format!("the pointers of {name} make no sense: it wasn't constructed yet, or is being changed")
                })?;
                let index = within(name, index, count)?;
                let place = deque.element(index, |address| self.word(address))?;
                Ok(Some(Object::at(place, element)))
            }
            Container::Chain {
                first,
                count,
                next,
                value_offset,
                value,
                ..
            } => {
                let count = match count {
                    Some(count) => at(count)?,
                    None => NODES_MAX,
                };
                let mut node = at(first)?;
                for _ in 0..within(name, index, count.min(NODES_MAX))? {
                    if node == 0 {
                        return Err(format!("{name} has no element {index}"));
                    }
                    node = self.word(node.wrapping_add(next))?;
                }
                match node {
                    0 => Err(format!("{name} has no element {index}")),
                    node => Ok(Some(Object::at(node.wrapping_add(value_offset), value))),
                }
            }
            Container::Tree {
                header,
                count,
                links,
                value_offset,
                value,
                ..
            } => {
                let end = begin.wrapping_add(header);
                let mut node = self.word(end.wrapping_add(links.left))?;
                for _ in 0..within(name, index, at(count)?.min(NODES_MAX))? {
                    let next = links.after(node, |address| self.word(address))?;
                    node = next.ok_or(
                        "its tree makes no sense: it wasn't constructed yet, or is being changed",
                    )?;
                }
                Ok(Some(Object::at(node.wrapping_add(value_offset), value)))
            }
            Container::Bits { .. }
            | Container::Tuple(_)
            | Container::Owner { .. }
            | Container::Optional { .. }
            | Container::Variant { .. }
            | Container::Holder { .. } => Ok(None),
        }
    }

    fn size(&self, of: TypeId, name: &str) -> Result<u64, String> {
        self.types
            .size(of)
            .filter(|size| *size > 0)
            .ok_or_else(|| format!("how large an element of {name} is isn't known"))
    }

    fn word(&self, address: u64) -> Result<u64, String> {
        let bytes = Source::Memory(address).bytes(0, 8, self.view);
        let bytes = bytes.map_err(|absence| format!("what is at {address:#x} is {absence}"))?;
        Ok(bytes.try_into().map(u64::from_le_bytes).unwrap_or(0))
    }
}

fn within(name: &str, index: i64, count: u64) -> Result<u64, String> {
    u64::try_from(index)
        .ok()
        .filter(|index| *index < count)
        .ok_or_else(|| match count {
            0 => format!("{name} is empty"),
            count => format!("{name} has {count} elements, [0] to [{}]", count - 1),
        })
}
