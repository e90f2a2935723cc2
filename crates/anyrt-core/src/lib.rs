//! The core of anyrt: every semantic, on any runtime.
//!
//! One structured-concurrency API, the same to the last edge case on each runtime that implements
//! the [`Runtime`] trait. Programs use the facade `anyrt`; libraries that want nothing ambient, and
//! authors of backends, use this crate.
//!
//! | module | what |
//! |---|---|
//! | [`Runtime`], [`net`] | mechanism: what a backend supplies |
//! | [`Run`], [`Handle`] | a run on a runtime, and the value that reaches it |
//! | [`CancelScope`], [`shield()`], [`finally()`], [`move_on_after()`] | cancellation: one rule |
//! | [`task_group()`], [`local_group()`] | children, parallel or borrowing |
//! | [`join()`], [`race()`], [`join_all()`], [`map_concurrent()`] | several futures in one task |
//! | [`run_blocking()`], [`run_cpu()`], [`iterate_blocking()`], [`blocking_context()`], [`from_thread`], [`blocking_portal()`], [`CapacityLimiter`] | sync code beside async code |
//! | [`Event`], [`Mutex`], [`RwLock`], [`Semaphore`], [`Condition`], [`Barrier`], [`OnceCell`], [`channel`] | between tasks |
//!
//! # The rule
//!
//! > A cancelled scope drops its future the first time that future is pending and nothing inside it
//! > holds. The outermost one returns; an inner one that its parent cannot drop yet, because
//! > something else in the parent holds, drops its own and stays pending.
//!
//! Holds are: a shield, a task group with children alive, a blocking call that has not returned, a
//! [`finally()`] from the start of its work to the end of its clean-up. So nobody writes "if
//! cancelled, return early", and a cancellation cannot be swallowed.
//!
//! # Turns
//!
//! Each await on something of this crate is a checkpoint. One that is free is taken at once, without letting
//! others run; but a task whose awaits are all ready does not keep its thread: after 128 of them in one poll the next one
//! is pending once, and woken. [`checkpoint()`] and its kin are not counted, nor is anything outside of a task.
#![deny(unsafe_code)]

mod base;
mod blocking;
mod current;
mod group;
#[cfg(all(test, anyrt_loom))]
mod models;
pub mod net;
mod observe;
mod run;
mod scope;
mod task;
mod testing;
mod tree;
mod wait;

pub use base::fork::Forked;
pub use blocking::{
    AcquireOnBehalfFuture, AcquireTokenFuture, AlreadyBorrowed, BlockingCall, BlockingHandle, BlockingPool,
    Borrower, BoxedJob, CallError, CapacityLimiter, IterateBlocking, Job, Leaving, Limiter,
    LimiterStatistics, NotBorrowed, RunBlocking, StartError, Token, TryAcquireError, TryBlockingCall,
    asyncify, blocking_context, drop_in_pool, from_thread, iterate_blocking, run_blocking, run_cpu, syncify,
};
#[doc(hidden)]
pub use blocking::{PoolStatistics, Turn};
pub use current::handle::{Finder, Handle, NoRuntime};
pub use current::locals::{LocalKey, NotSet, TaskContext, WithLocal};
pub use current::run_local::RunLocal;
pub use current::runtime::{Blocking, NotOwned, Runtime, Timer};
pub use group::{
    AResult, AnyOutput, BoxError, ChildError, GroupError, LocalGroup, LocalGroupBuilder, LocalGroupFuture,
    LocalHandle, NotAResultElseUseTry, NotReady, Ready, TaskGroup, local_group, ok, task_group,
    try_local_group, try_task_group,
};
#[doc(hidden)]
pub use group::{AnyChild, SendChild};
pub use observe::quiescence::{AllTasksBlocked, wait_all_tasks_blocked};
pub use observe::view::{LimiterView, TaskState, TaskTree, TaskView, TreeEntry, tasks};
#[cfg(all(unix, feature = "sigusr1"))]
pub use observe::view::{PrintsTasks, print_tasks_on_sigusr1};
pub use observe::watchdog::{Alarm, Watchdog};
pub use run::{
    BlockingPortal, Launch, PortalThread, Run, RunError, SharedPortal, Unfinished, blocking_portal, embed,
    signal, try_blocking_portal,
};
pub use scope::checkpoint::{checkpoint, checkpoint_if_cancelled, yield_shielded};
pub use scope::{
    CancelScope, EffectiveDeadline, Exit, FailAfter, Finally, FinallyOwned, MoveOnAfter, ScopeHandle, Shield,
    ShieldOwned, ShieldWithin, Stopping, TimedOut, current_deadline, fail_after, fail_at, finally,
    is_cancelled, is_stopping, move_on_after, move_on_at, shield, stopping,
};
pub use task::{NotFinished, Task, TaskEnded, TaskHandle, TaskStatus, current_task};
pub use testing::{AssertCheckpoints, Sequencer, Step, Stepping, assert_checkpoints, assert_no_checkpoints};
pub use tree::{Cancelled, Cause, ScopeKind, TaskId, TaskInfo};
pub use wait::combine::{
    AsCompleted, Either, as_completed, for_each_concurrent, join, join_all, map_concurrent, race, try_join,
};
pub use wait::primitives::{
    AboveMaximum, AcquireFuture, Barrier, BarrierFuture, BarrierWaitResult, Condition, Event, LockFuture,
    Mutex, MutexGuard, MutexStatistics, OnceCell, Permit, ReadFuture, RwLock, RwLockReadGuard,
    RwLockStatistics, RwLockWriteGuard, Semaphore, SemaphoreStatistics, SetError, WaitFuture, WriteFuture,
};
pub use wait::time::{Interval, Sleep, interval, now, sleep, sleep_until};
pub use wait::{LimitedGroup, WouldBlock, channel};
