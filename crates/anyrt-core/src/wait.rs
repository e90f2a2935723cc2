//! What tasks wait at: locks and their like, channels, timers, groups with a limit; and futures that wait for several.

pub mod channel;
pub(crate) mod combine;
mod limited;
pub(crate) mod primitives;
pub(crate) mod queue;
pub(crate) mod time;
pub(crate) mod wakers;

pub use limited::LimitedGroup;

/// The error of a `try_` method that would have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it would have to wait: nothing is free, or others wait already")]
pub struct WouldBlock;
