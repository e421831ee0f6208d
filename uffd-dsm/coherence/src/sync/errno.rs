//! Linux error numbers of replies; the crate has no C library to take them from.

pub(crate) const EPERM: i32 = 1;
pub(crate) const EAGAIN: i32 = 11;
pub(crate) const ENOMEM: i32 = 12;
pub(crate) const EBUSY: i32 = 16;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EDEADLK: i32 = 35;
pub(crate) const EOVERFLOW: i32 = 75;
pub(crate) const EOWNERDEAD: i32 = 130;
