//! What tests of concurrent code need: steps in order, checkpoints asserted, everybody else asleep.

mod checkpoints;
mod sequencer;

pub(crate) use checkpoints::passed;
pub use checkpoints::{AssertCheckpoints, assert_checkpoints, assert_no_checkpoints};
pub use sequencer::{Sequencer, Step, Stepping};
