//! What instructions access, against what the processor's manual says of them.
