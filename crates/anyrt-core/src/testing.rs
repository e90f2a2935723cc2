//! What tests of concurrent code need: steps in order, assertions about checkpoints, waiting until all other
//! tasks wait.

mod checkpoints;
mod sequencer;

pub(crate) use checkpoints::passed;
pub use checkpoints::{AssertCheckpoints, assert_checkpoints, assert_no_checkpoints};
pub use sequencer::{Sequencer, Step, Stepping};
