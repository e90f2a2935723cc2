//! What is current on a thread: the task and the scopes around the code that runs, its runtime, its task-locals; and
//! the gate that each leaf passes.

pub(crate) mod budget;
pub(crate) mod context;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod locals;
pub(crate) mod run_local;
pub(crate) mod runtime;
pub(crate) mod sockets;
