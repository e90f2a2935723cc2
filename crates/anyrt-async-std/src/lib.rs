//! async-std as a backend of anyrt: one implementation of [`anyrt_core::Runtime`] and nothing else.
//!
//! **async-std is discontinued** ([RUSTSEC-2025-0052](https://rustsec.org/advisories/RUSTSEC-2025-0052)):
//! it gets no fixes any more, and its authors point to smol, on whose parts it stands. Take this crate to
//! bring structured concurrency into an async-std program that exists, or to move such a program away from
//! it step by step; start a new one on tokio or smol.
//!
//! | constructor | whose threads | `block_on` | `shutdown` |
//! |---|---|---|---|
//! | [`runtime()`] | async-std's, `ASYNC_STD_THREAD_COUNT` of them, by default as many as cores | drives the caller's future, the threads run the tasks | does nothing: async-std cannot end |
//!
//! # Notes on the mechanism
//!
//! - There is one async-std in a process, started by its first use; nothing ends its threads.
//! - Timers, streams and sockets are made with async-io, the reactor that async-std itself stands on:
//!   async-std's timers cannot be moved, and its Unix sockets do not give their descriptor as a borrowed
//!   one, which socket options need.
//! - `async_std::task::current` and task-locals work in tasks and in the future of `block_on`.
#![forbid(unsafe_code)]

mod runtime;

pub use runtime::runtime;
