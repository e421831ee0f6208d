//! Unsafe: the kernel, called without the C library (a traced program may have replaced its functions, and hooks run in
//! between), and the mapped file.

mod area;
mod kernel;
mod mapping;
mod own;
mod plain;

pub use area::Area;
pub use kernel::*;
pub use mapping::Mapping;
pub use own::Own;
pub use plain::Plain;
