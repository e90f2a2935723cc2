#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ambient;
mod backend;
mod conditions;
pub mod net;
mod run;
pub mod sync;

// What is ambient comes from here, the rest from the core: a name of one's own goes before a glob.
#[cfg(all(unix, feature = "sigusr1"))]
pub use ambient::print_tasks_on_sigusr1;
pub use ambient::{
    asyncify, blocking_context, blocking_portal, current_handle, drop_in_pool, embed, fail_after, fail_at,
    init, interval, iterate_blocking, move_on_after, move_on_at, now, run_blocking, run_cpu, sleep,
    sleep_until, spawn, task_group, tasks, try_blocking_portal, try_task_group, wait_all_tasks_blocked,
};
#[doc(inline)]
pub use anyrt_core::*;
#[cfg(feature = "macros")]
pub use anyrt_macros::{main, test};
pub use backend::{Backend, BackendError};
#[doc(hidden)]
pub use run::run_or_panic;
pub use run::{builder, run, run_on, start_blocking_portal};
