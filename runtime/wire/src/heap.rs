//! Messages about heap objects of another node.

use alloc::string::String;

use crate::Token;

/// Message about an object of the heap, between a thread's node and the object's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heap {
    /// To the home: the program has freed the object; nobody waits for an answer.
    Free {
        /// Its address.
        address: u64,
        /// Where in the program: the address after the call.
        site: u64,
    },
    /// To the home: what is it? Before it is freed and another takes its place.
    Find {
        /// Finds the waiting thread at its node.
        token: Token,
        /// Its address.
        address: u64,
        /// Where in the program: the address after the call.
        site: u64,
    },
    /// Home's answer to `Find`. If there is no such object, the home ends the job instead.
    Found {
        /// As in `Find`.
        token: Token,
        /// Its size in bytes.
        size_bytes: u64,
        /// Its policy as the program wrote it.
        policy: String,
    },
}
