//! A program whose data is larger than the cache.
