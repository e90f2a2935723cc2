//! tokio as a backend of anyrt: one implementation of [`anyrt_core::Runtime`] and nothing else.
//!
//! A program that only wants to run on tokio needs nothing of this crate: it is what `anyrt::run` starts
//! by default. It is here for those who bring or shape a tokio runtime of their own:
//!
//! | constructor | whose threads | `block_on` | `shutdown` |
//! |---|---|---|---|
//! | [`multi_thread`] | its own | drives the caller's future, workers run the tasks | ends and joins them |
//! | [`current_thread`] | none: the caller of `block_on` | drives everything | drops what is left |
//! | [`from_handle`], [`find`] | another's | refuses: its owner drives it | does nothing |
//!
//! # Notes on the mechanism
//!
//! - Timers have tokio's resolution: they fire up to a millisecond late, never early.
//! - Timers, streams and sockets work wherever they are created and polled, also outside of tokio.
//! - Streams and sockets spend tokio's cooperative budget, as they do in any tokio program. Timers do
//!   not: a deadline has to be noticed also when the work beside it has used the budget up.
//! - The clock is tokio's. If a program pauses it (`tokio::time::pause`, with tokio's feature `test-util`), the tasks of that
//!   runtime see it paused, threads outside do not. It does not jump to the next timer while a blocking job of anyrt runs, as it
//!   does not while one of `spawn_blocking` does: one thread of tokio's waits meanwhile, so a runtime that is dropped
//!   waits for such jobs too. A job that waits in `from_thread` lets the clock go on; one in tokio's own pool does not.
//! - Blocking jobs run on threads of anyrt's own. In tokio's pool run those of a run that has chosen it
//!   (`BlockingPool::Native`), and the thread that keeps a paused clock still.
#![forbid(unsafe_code)]

mod clock;
mod context;
mod datagram;
mod listener;
mod polling;
mod runtime;
mod stream;
mod timer;

pub use polling::polling;
pub use runtime::{current_thread, find, from_handle, multi_thread};
