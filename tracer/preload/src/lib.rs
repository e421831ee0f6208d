//! Preloaded into a program that was built with `-finstrument-functions`: records its calls and returns into memory that it
//! shares with the recorder, and does nothing else. It never crashes, hangs or changes the program.
//!
//! * [`sys::hooks`]: what the program calls: a few instructions that append one word;
//! * [`slow`]: whatever they can't do: a new chunk, a thread's first event, a child of fork;
//! * [`start`]: from the environment to a session; [`launch`] starts a recorder where nobody has;
//! * [`process`], [`journal`], [`modules`]: what the recorder must know of this process;
//! * [`beside`]: what happens to a thread and is noticed by another;
//! * [`interposed`]: the C library's functions that calls end by (longjmp) or modules come by (dlopen).
//!
//! There is no standard library in here, nothing allocates, and the kernel is called directly: the program may have replaced any
//! function of the C library, also by one that calls the hooks. Few of its functions are called (see [`sys::libc_calls`]),
//! none of them in a hook but `pthread_setspecific` once per thread.

#![no_std]

mod beside;
mod interposed;
mod journal;
mod launch;
mod message;
mod modules;
mod process;
mod signals;
mod slow;
mod start;
mod sys;
mod values;
