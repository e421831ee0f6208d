//! A peer broke the protocol.

use core::fmt;

use umbel_wire::{Coherence, NodeId, ObjectId};

/// A message its receiver cannot accept in its state; the driver closes the link and shows this.
///
/// The machine is as it was before the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// Who sent the message.
    pub from: NodeId,
    /// The object it names.
    pub object: ObjectId,
    /// The receiver's state, in words of the specification.
    pub state: &'static str,
    /// The message's name.
    pub message: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            object,
            state,
            message,
        } = self;
        write!(
            formatter,
            "node {} sent {message} for object {:#x}, which is {state} here",
            from.0, object.0
        )
    }
}

impl core::error::Error for Violation {}

/// The name of a message, with what its acceptance depends on.
pub(crate) fn name<D>(message: &Coherence<D>) -> &'static str {
    use umbel_wire::Access::{Read, Write};
    match message {
        Coherence::Get { access: Read, .. } => "Get(Read)",
        Coherence::Get { access: Write, .. } => "Get(Write)",
        Coherence::Grant {
            access: Read,
            data: Some(_),
            ..
        } => "Grant(Read) with data",
        Coherence::Grant {
            access: Read,
            data: None,
            ..
        } => "Grant(Read) without data",
        Coherence::Grant {
            access: Write,
            data: Some(_),
            ..
        } => "Grant(Write) with data",
        Coherence::Grant {
            access: Write,
            data: None,
            ..
        } => "Grant(Write) without data",
        Coherence::Recall {
            keep_read: true, ..
        } => "Recall(keep_read)",
        Coherence::Recall {
            keep_read: false, ..
        } => "Recall",
        Coherence::Recalled { .. } => "Recalled",
        Coherence::Deny { .. } => "Deny",
        Coherence::Invalidate {
            end_of_life: false, ..
        } => "Invalidate",
        Coherence::Invalidate {
            end_of_life: true, ..
        } => "Invalidate(end of life)",
        Coherence::Invalidated { diff: None, .. } => "Invalidated",
        Coherence::Invalidated { diff: Some(_), .. } => "Invalidated with diff",
        Coherence::Flush { leave: false, .. } => "Flush",
        Coherence::Flush { leave: true, .. } => "Flush(leave)",
        Coherence::Return { .. } => "Return",
        Coherence::Flushed {
            exclusive: false, ..
        } => "Flushed",
        Coherence::Flushed {
            exclusive: true, ..
        } => "Flushed(exclusive)",
        Coherence::Update { .. } => "Update",
        Coherence::Updated { leave: false, .. } => "Updated",
        Coherence::Updated { leave: true, .. } => "Updated(leave)",
        Coherence::Operate { .. } => "Operate",
        Coherence::Operated { .. } => "Operated",
        Coherence::Strengthen { .. } => "Strengthen",
        Coherence::Strengthened { .. } => "Strengthened",
    }
}
