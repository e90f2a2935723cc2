//! smol as a backend of anyrt: implementations of [`anyrt_core::Runtime`] and nothing else.
//!
//! A program that only wants to run on smol needs nothing of this crate. It is here for those who choose
//! which smol:
//!
//! | constructor | whose threads | `block_on` | `shutdown` |
//! |---|---|---|---|
//! | [`executor()`] | its own | drives the caller's future, the threads run the tasks | ends and joins them, drops what is left |
//! | [`global`] | smol's, `SMOL_THREADS` of them, by default one | the same: smol lets anyone do so | does nothing |
//!
//! # Notes on the mechanism
//!
//! - `block_on` polls the caller's future alone. It does not help with the tasks: each of them could
//!   keep the future waiting, and there are threads enough.
//! - Timers, streams and sockets belong to the one reactor of the process, async-io's. They work
//!   wherever they are created and polled, whichever value they came from, also after a shutdown.
#![forbid(unsafe_code)]

mod datagram;
mod executor;
mod listener;
mod runtime;
mod stream;
mod timer;

pub use runtime::{executor, global};
