//! What tasks meet at: events, locks, semaphores, conditions, barriers, cells.
//!
//! | type | what |
//! |---|---|
//! | [`Event`] | something that happens once |
//! | [`Mutex`], [`RwLock`] | one at a time; one writer or many readers |
//! | [`Semaphore`] | so many at a time; permits may be made and used up |
//! | [`Condition`] | to wait, without the lock, until a task that has the lock says so |
//! | [`Barrier`] | to wait until so many have come |
//! | [`OnceCell`] | a value that is made once, by the first task that needs it |
//!
//! Bound to no runtime: they may be made anywhere, also before a run, and an `OnceCell` in a `static`. Strictly first come,
//! first served. Each wait is a checkpoint; what is free is taken without a yield, but never in a cancelled scope.
//! Nothing is handed to a waiter whose scope is cancelled, and what was handed to one that is gone goes on to the next.
//!
//! ```
//! use anyrt::sync::{Condition, Mutex};
//!
//! anyrt::run(async {
//!     let jobs = Mutex::new(Vec::new());
//!     let added = Condition::new(&jobs);
//!     let first = anyrt::task_group(async |tg| {
//!         let (theirs, tells) = (jobs.clone(), added.clone());
//!         tg.spawn(async move {
//!             let mut jobs = theirs.lock().await;
//!             jobs.push("sweep");
//!             tells.notify_one(&jobs);
//!         });
//!         let mut jobs = jobs.lock().await;
//!         added.wait_for(&mut jobs, |jobs| !jobs.is_empty()).await;
//!         jobs.pop()
//!     });
//!     assert_eq!(first.await.unwrap(), Some("sweep"));
//! });
//! ```

pub use anyrt_core::{
    AboveMaximum, AcquireFuture, Barrier, BarrierFuture, BarrierWaitResult, Condition, Event, LockFuture,
    Mutex, MutexGuard, MutexStatistics, OnceCell, Permit, ReadFuture, RwLock, RwLockReadGuard,
    RwLockStatistics, RwLockWriteGuard, Semaphore, SemaphoreStatistics, SetError, WaitFuture, WouldBlock,
    WriteFuture,
};
