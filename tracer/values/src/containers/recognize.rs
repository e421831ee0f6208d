//! Which container a record is: by its name, and the names of its members.

use super::members::{Record, arguments, member, pointee};
use super::{Container, DequePlace, TreeLinks, align, align_up};
use crate::{Kind, Offset, Type, TypeId, Types};

/// Elements of a tuple, alternatives of a variant.
const PARTS_MAX: usize = 64;

/// What container the record `id` is; `None`: none.
pub fn recognize(types: &Types, id: TypeId) -> Option<Container> {
    let found = types.get(id)?;
    let Kind::Record { arguments, .. } = &found.kind else {
        return None;
    };
    let name = template(&found.name);
    let record = Record { types, id };
    match &*name {
        "std::basic_string" => {
            let (pointer, of) = record.path(&["_M_dataplus", "_M_p"])?;
            Some(Container::Text {
                pointer,
                count: record.path(&["_M_string_length"])?.0,
                unit: pointee(types, of)?,
            })
        }
        "std::basic_string_view" => {
            let (pointer, of) = record.path(&["_M_str"])?;
            Some(Container::Text {
                pointer,
                count: record.path(&["_M_len"])?.0,
                unit: pointee(types, of)?,
            })
        }
        "&str" | "&mut str" => rust_slice(&record).map(|(pointer, count, unit)| Container::Text {
            pointer,
            count,
            unit,
        }),
        name if name.starts_with("&[") || name.starts_with("&mut [") => {
            let (pointer, count, element) = rust_slice(&record)?;
            Some(Container::Counted {
                pointer,
                count,
                element,
            })
        }
        "std::vector" => vector(&record),
        "std::span" => {
            let (pointer, of) = record.path(&["_M_ptr"])?;
            let count = record.path(&["_M_extent", "_M_extent_value"])?.0;
            Some(Container::Counted {
                pointer,
                count,
                element: pointee(types, of)?,
            })
        }
        "std::initializer_list" => {
            let (pointer, of) = record.path(&["_M_array"])?;
            Some(Container::Counted {
                pointer,
                count: record.path(&["_M_len"])?.0,
                element: pointee(types, of)?,
            })
        }
        "std::array" => {
            let (offset, array) = record.path(&["_M_elems"])?;
            Some(Container::Inner { offset, array })
        }
        "std::map" | "std::multimap" => tree(&record, true),
        "std::set" | "std::multiset" => tree(&record, false),
        "std::unordered_map" | "std::unordered_multimap" => hash(&record, true),
        "std::unordered_set" | "std::unordered_multiset" => hash(&record, false),
        "std::list" => list(&record, *arguments.first()?),
        "std::forward_list" => {
            let (first, _) = record.path(&["_M_impl", "_M_head", "_M_next"])?;
            let value = *arguments.first()?;
            Some(Container::Chain {
                first,
                count: None,
                next: 0,
                value_offset: align_up(8, align(types, value)),
                value,
                is_map: false,
            })
        }
        "std::deque" => deque(&record),
        "std::tuple" => {
            let mut parts = Vec::new();
            tuple_parts(types, id, 0, 0, &mut parts);
            Some(Container::Tuple(parts))
        }
        "std::unique_ptr" => unique_pointer(&record),
        "std::shared_ptr" | "std::weak_ptr" => {
            let (offset, pointer) = record.path(&["_M_ptr"])?;
            Some(Container::Owner { offset, pointer })
        }
        "std::optional" => {
            let (engaged, _) = record.path(&["_M_payload", "_M_engaged"])?;
            let (offset, value) = record.path(&["_M_payload", "_M_payload", "_M_value"])?;
            Some(Container::Optional {
                engaged,
                offset,
                value,
            })
        }
        "std::variant" => variant(&record),
        "std::atomic" => {
            let paths: [&[&str]; 4] = [
                &["_M_i"],
                &["_M_b", "_M_p"],
                &["_M_base", "_M_i"],
                &["_M_fp"],
            ];
            let (offset, value) = paths.iter().find_map(|path| record.path(path))?;
            Some(Container::Holder { offset, value })
        }
        _ => None,
    }
}

/// A type's name without template arguments and without the library's inner namespaces.
fn template(name: &str) -> String {
    let end = match name.starts_with('&') {
        true => name.len(),
        false => name.find('<').unwrap_or(name.len()),
    };
    name[..end]
        .replace("__cxx11::", "")
        .replace("__debug::", "")
}

fn rust_slice(record: &Record) -> Option<(u64, u64, TypeId)> {
    let (pointer, of) = record.path(&["data_ptr"])?;
    let count = record.offset(&["length"])?;
    Some((pointer, count, pointee(record.types, of)?))
}

fn vector(record: &Record) -> Option<Container> {
    let (begin, of) = record.path(&["_M_impl", "_M_start"])?;
    let end = record.offset(&["_M_impl", "_M_finish"])?;
    if let Some(element) = pointee(record.types, of) {
        return Some(Container::Span {
            begin,
            end,
            element,
        });
    }
    let place = |name: &str| {
        let word = record.offset(&["_M_impl", name, "_M_p"])?;
        let bit = record.offset(&["_M_impl", name, "_M_offset"])?;
        Some((word, bit))
    };
    Some(Container::Bits {
        begin: place("_M_start")?,
        end: place("_M_finish")?,
    })
}

fn tree(record: &Record, is_map: bool) -> Option<Container> {
    let types = record.types;
    let (_, tree) = record.path(&["_M_t"])?;
    let value = *arguments(types, tree).get(1)?;
    let (header, base) = record.path(&["_M_t", "_M_impl", "_M_header"])?;
    let link = |name| member(types, base, name).map(|(offset, _)| offset);
    Some(Container::Tree {
        header,
        count: record.offset(&["_M_t", "_M_impl", "_M_node_count"])?,
        links: TreeLinks {
            parent: link("_M_parent")?,
            left: link("_M_left")?,
            right: link("_M_right")?,
        },
        value_offset: align_up(types.size(base)?, align(types, value)),
        value,
        is_map,
    })
}

fn hash(record: &Record, is_map: bool) -> Option<Container> {
    let types = record.types;
    let (_, table) = record.path(&["_M_h"])?;
    let value = *arguments(types, table).get(1)?;
    let (first, _) = record.path(&["_M_h", "_M_before_begin", "_M_nxt"])?;
    Some(Container::Chain {
        first,
        count: Some(record.offset(&["_M_h", "_M_element_count"])?),
        next: 0,
        value_offset: align_up(8, align(types, value)),
        value,
        is_map,
    })
}

fn list(record: &Record, value: TypeId) -> Option<Container> {
    let types = record.types;
    let (_, header) = record.path(&["_M_impl", "_M_node"])?;
    let next = member(types, header, "_M_next")?.0;
    Some(Container::Chain {
        first: record.offset(&["_M_impl", "_M_node", "_M_next"])?,
        count: Some(record.offset(&["_M_impl", "_M_node", "_M_size"])?),
        next,
        // Behind the links of a node: two pointers.
        value_offset: align_up(next + 16, align(types, value)),
        value,
        is_map: false,
    })
}

fn deque(record: &Record) -> Option<Container> {
    let place = |name: &str| {
        let part = |part: &str| record.offset(&["_M_impl", name, part]);
        Some(DequePlace {
            current: part("_M_cur")?,
            first: part("_M_first")?,
            last: part("_M_last")?,
            node: part("_M_node")?,
        })
    };
    let (_, of) = record.path(&["_M_impl", "_M_start", "_M_cur"])?;
    Some(Container::Deque {
        begin: place("_M_start")?,
        end: place("_M_finish")?,
        element: pointee(record.types, of)?,
    })
}

/// A tuple is a chain of bases, each with a head; the last base holds the last element.
fn tuple_parts(types: &Types, id: TypeId, offset: u64, depth: u32, parts: &mut Vec<(u64, TypeId)>) {
    let Some((
        _,
        Type {
            kind: Kind::Record { bases, .. },
            ..
        },
    )) = types.bare(id)
    else {
        return;
    };
    if depth > PARTS_MAX as u32 || parts.len() >= PARTS_MAX {
        return;
    }
    let placed = |base: &crate::Base| match base.offset {
        Offset::Fixed(inner) => offset.checked_add(inner).map(|at| (at, base.of)),
        Offset::Dynamic(_) => None,
    };
    let named = |wanted: &str| {
        bases.iter().find(|base| {
            types
                .bare(base.of)
                .is_some_and(|(_, found)| template(&found.name) == wanted)
        })
    };
    if let Some((at, head)) = named("std::_Head_base").and_then(placed) {
        match member(types, head, "_M_head_impl") {
            Some((inner, of)) => parts.push((at.saturating_add(inner), of)),
            // An empty class is a base itself.
            None => parts.extend(arguments(types, head).first().map(|of| (at, *of))),
        }
    }
    if let Some((at, rest)) = named("std::_Tuple_impl").and_then(placed) {
        tuple_parts(types, rest, at, depth + 1, parts);
    }
}

fn unique_pointer(record: &Record) -> Option<Container> {
    let (at, tuple) = record
        .path(&["_M_t", "_M_t"])
        .or_else(|| record.path(&["_M_t"]))?;
    let mut parts = Vec::new();
    tuple_parts(record.types, tuple, at, 0, &mut parts);
    let is_pointer = |part: &&(u64, TypeId)| pointee(record.types, part.1).is_some();
    let (offset, pointer) = *parts.iter().find(is_pointer)?;
    Some(Container::Owner { offset, pointer })
}

fn variant(record: &Record) -> Option<Container> {
    let types = record.types;
    let (index, index_type) = record.path(&["_M_index"])?;
    let (offset, mut union) = record.path(&["_M_u"])?;
    let mut alternatives = Vec::new();
    while alternatives.len() < PARTS_MAX
        && let Some((_, first)) = member(types, union, "_M_first")
    {
        let (_, storage) = member(types, first, "_M_storage")?;
        let inner = arguments(types, first).first().copied();
        alternatives.push(inner.unwrap_or(storage));
        match member(types, union, "_M_rest") {
            Some((_, rest)) => union = rest,
            None => break,
        }
    }
    Some(Container::Variant {
        index,
        index_bytes: types.size(index_type)?,
        offset,
        alternatives,
    })
}
