//! The C++ library's types, known by their names and read by the names of their members: as gcc's library has them.
//!
//! Offsets come out of the type table, so a type that is laid out otherwise is not known, and is shown as the record it is.

pub use deque::Deque;
pub use layout::{align, align_up, array_len};
pub use members::member;
pub use recognize::recognize;

use crate::TypeId;

mod deque;
mod layout;
mod members;
mod recognize;
mod tree;

/// What a container holds, and where. Offsets are bytes from its begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Container {
    /// A pointer and a count: `std::string`, `std::string_view`, Rust's `&str`.
    Text {
        /// Where the pointer is.
        pointer: u64,
        /// Where the count is: 8 bytes.
        count: u64,
        /// Type of a character.
        unit: TypeId,
    },
    /// Pointers to the begin and the end: `std::vector`.
    Span {
        /// Where the first is.
        begin: u64,
        /// Where the second is.
        end: u64,
        /// Of what.
        element: TypeId,
    },
    /// A pointer and a count of elements: `std::span`, `std::initializer_list`, Rust's slices.
    Counted {
        /// Where the pointer is.
        pointer: u64,
        /// Where the count is: 8 bytes.
        count: u64,
        /// Of what.
        element: TypeId,
    },
    /// `std::vector<bool>`: pointers to words, and bits (4 bytes) in the words.
    Bits {
        /// Where the pointer to the begin is, and its bit.
        begin: (u64, u64),
        /// The same of the end.
        end: (u64, u64),
    },
    /// An array within: `std::array`.
    Inner {
        /// Where.
        offset: u64,
        /// The array.
        array: TypeId,
    },
    /// A red-black tree: `std::map`, `std::set` and their multiple forms.
    Tree {
        /// Where the header node is.
        header: u64,
        /// Where the count is: 8 bytes.
        count: u64,
        /// Where in a node its links are.
        links: TreeLinks,
        /// Where in a node its value is.
        value_offset: u64,
        /// Its value: of a map a pair.
        value: TypeId,
        /// With keys and values.
        is_map: bool,
    },
    /// Nodes in a row: lists, hash tables.
    Chain {
        /// Where the pointer to the first node is.
        first: u64,
        /// Where the count is: 8 bytes; `None`: the last node's link is null.
        count: Option<u64>,
        /// Where in a node the link to the next is.
        next: u64,
        /// Where in a node its value is.
        value_offset: u64,
        /// Its value: of a map a pair.
        value: TypeId,
        /// With keys and values.
        is_map: bool,
    },
    /// `std::deque`.
    Deque {
        /// Where the begin's and the end's iterators are.
        begin: DequePlace,
        /// The end's.
        end: DequePlace,
        /// Of what.
        element: TypeId,
    },
    /// Values side by side: `std::tuple`. Where each is, and its type.
    Tuple(Vec<(u64, TypeId)>),
    /// A pointer within: `std::unique_ptr`, `std::shared_ptr`.
    Owner {
        /// Where.
        offset: u64,
        /// Its type.
        pointer: TypeId,
    },
    /// `std::optional`.
    Optional {
        /// Where it says whether it has a value: 1 byte.
        engaged: u64,
        /// Where that is.
        offset: u64,
        /// Its type.
        value: TypeId,
    },
    /// `std::variant`.
    Variant {
        /// Where its index is.
        index: u64,
        /// Bytes of the index.
        index_bytes: u64,
        /// Where the value is.
        offset: u64,
        /// Types of the alternatives.
        alternatives: Vec<TypeId>,
    },
    /// Something around one value: `std::atomic`.
    Holder {
        /// Where.
        offset: u64,
        /// Its type.
        value: TypeId,
    },
}

/// Offsets in a node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLinks {
    /// Its parent; of the header: the root.
    pub parent: u64,
    /// Its left child; of the header: the first node.
    pub left: u64,
    /// Its right child.
    pub right: u64,
}

/// Offsets of the parts of a deque's iterator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DequePlace {
    /// Pointer to the element.
    pub current: u64,
    /// Pointer to the begin of its block.
    pub first: u64,
    /// Pointer to the end of its block.
    pub last: u64,
    /// Pointer to the block's pointer.
    pub node: u64,
}
