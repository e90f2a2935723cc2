#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ambient;
mod backend;
mod conditions;
mod run;
pub mod sync;

pub use ambient::{current_handle, spawn};
#[doc(inline)]
pub use anyrt_core::{
    BoxError, CancelScope, Cancelled, Either, GroupError, LocalGroup, Run, RunError, ScopeHandle, TaskEnded,
    TaskGroup, TaskHandle, TimedOut, as_completed, blocking_portal, channel, checkpoint,
    checkpoint_if_cancelled, current_deadline, current_task, embed, fail_after, fail_at, finally,
    for_each_concurrent, from_thread, interval, is_cancelled, is_stopping, iterate_blocking, join, join_all,
    local_group, map_concurrent, move_on_after, move_on_at, net, now, ok, race, run_blocking, run_cpu,
    shield, signal, sleep, sleep_until, stopping, task_group, task_local, tasks, try_blocking_portal,
    try_join, try_local_group, try_task_group, yield_shielded,
};
#[cfg(feature = "macros")]
pub use anyrt_macros::{main, test};
pub use backend::{Backend, BackendError};
#[doc(hidden)]
pub use run::run_or_panic;
pub use run::{builder, run, run_on, start_blocking_portal};

/// Blocking code beside async code: pools, limiters, adapters, portals.
///
/// The functions for every day stand at the root: [`run_blocking`](crate::run_blocking()), [`run_cpu`](crate::run_cpu()),
/// [`iterate_blocking`](crate::iterate_blocking()), [`blocking_portal`](crate::blocking_portal()). The way back from a thread is
/// [`from_thread`](crate::from_thread::run).
pub mod blocking {
    #[doc(inline)]
    pub use anyrt_core::{
        AcquireOnBehalfFuture, AcquireTokenFuture, AlreadyBorrowed, BlockingCall, BlockingHandle,
        BlockingPool, BlockingPortal, Borrower, BoxedJob, CallError, CapacityLimiter, IterateBlocking,
        Leaving, Limiter, LimiterStatistics, NotBorrowed, PortalThread, RunBlocking, SharedPortal,
        StartError, Token, TryAcquireError, TryBlockingCall, asyncify, blocking_context, drop_in_pool,
        syncify,
    };
    #[doc(hidden)]
    pub use anyrt_core::{PoolStatistics, Turn};
}

/// What belongs to groups, beside [`task_group`](crate::task_group()) and [`local_group`](crate::local_group()).
pub mod group {
    #[doc(inline)]
    pub use anyrt_core::{
        ChildError, LimitedGroup, LocalGroupBuilder, LocalGroupFuture, LocalHandle, NotReady, Ready,
    };
}

/// Looking at a program that runs: what the tree of its tasks ([`tasks`](crate::tasks())) consists of, and a watchdog.
pub mod observe {
    #[doc(inline)]
    pub use anyrt_core::{Alarm, LimiterView, TaskState, TaskTree, TaskView, TreeEntry, Watchdog};
    #[cfg(all(unix, feature = "sigusr1"))]
    #[doc(inline)]
    pub use anyrt_core::{PrintsTasks, print_tasks_on_sigusr1};
}

/// What the author of a backend implements, and what reaches a runtime from outside of its tasks.
pub mod runtime {
    #[doc(inline)]
    pub use anyrt_core::{
        Blocking, Finder, Forked, Handle, Job, Launch, NoRuntime, NotOwned, RunLocal, Runtime, Task, Timer,
        Unfinished,
    };
}

/// What belongs to scopes: the futures of limits, shields and clean-ups, and the story of a cancellation.
pub mod scope {
    #[doc(inline)]
    pub use anyrt_core::{
        Cause, EffectiveDeadline, Exit, FailAfter, Finally, FinallyOwned, MoveOnAfter, ScopeKind, Shield,
        ShieldOwned, ShieldWithin, Stopping,
    };
}

/// Tasks: their names, states, and task-locals.
pub mod task {
    #[doc(inline)]
    pub use anyrt_core::{
        AsCompleted, LocalKey, NotFinished, NotSet, TaskContext, TaskId, TaskInfo, TaskStatus, WithLocal,
    };
}

/// For tests of code that is written against this crate.
pub mod testing {
    #[doc(inline)]
    pub use anyrt_core::{
        AllTasksBlocked, AssertCheckpoints, Sequencer, Step, Stepping, assert_checkpoints,
        assert_no_checkpoints, wait_all_tasks_blocked,
    };
}

/// The futures of [`sleep`](crate::sleep()) and [`interval`](crate::interval()).
pub mod time {
    #[doc(inline)]
    pub use anyrt_core::{Interval, Sleep};
}

/// Names that stand in bounds, so that the compiler's messages say what to write instead.
#[doc(hidden)]
pub mod markers {
    pub use anyrt_core::{AResult, AnyChild, AnyOutput, NotAResultElseUseTry, SendChild};
}

#[doc = include_str!("../NAMES.md")]
pub mod names {}
