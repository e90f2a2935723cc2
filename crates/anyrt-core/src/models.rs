//! Models of the core for loom: the real code under every order of its steps, up to a bound.
//!
//! `tests/models/run` builds them with `--cfg anyrt_loom` and runs them; no other build has them. Each is a
//! small program of at most five threads, [`checked`](stage::check) in every order that the bound on
//! preemptions leaves. A waiter that is never woken is a deadlock there, and loom reports it.
#![allow(clippy::unwrap_used, reason = "what is not there is a failure of the model")]

mod blocking;
mod cancel;
mod groups;
mod holds;
mod limiter;
mod lines;
mod notifier;
mod queues;
mod shields;
mod stage;
mod start;
mod tree;
