//! Call chains: a thread's calls and returns become a tree of call frames. Pure: no I/O, no clock.

#![no_std]
#![forbid(unsafe_code)]
