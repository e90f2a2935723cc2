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
//! - A task that a foreign thread wakes in the very moment in which a shutdown drops the executor may be kept
//!   for ever and not dropped: async-executor 1.14 empties its queue once, and what comes into it then stays. At
//!   most one task for each such thread; none that belongs to a `run`, which ends its tasks before.
#![forbid(unsafe_code)]

mod executor;
mod runtime;

pub use runtime::{executor, global};
