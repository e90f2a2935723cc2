//! What everything is built on: locks and atomics that loom can model, clock numbers, wake lists, the process.

pub(crate) mod clock;
pub(crate) mod fork;
pub(crate) mod payload;
pub(crate) mod signal_thread;
pub(crate) mod sync;
pub(crate) mod wake_list;
