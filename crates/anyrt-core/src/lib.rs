//! The core of anyrt.
#![forbid(unsafe_code)]

mod blocking;
pub mod net;
mod runtime;
mod task;

pub use blocking::Job;
pub use runtime::{Blocking, NotOwned, Runtime, Timer};
pub use task::Task;
