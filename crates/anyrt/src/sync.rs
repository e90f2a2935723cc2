//! What tasks meet at: events, locks, semaphores, conditions, barriers, cells, limiters.
//!
//! | type | what |
//! |---|---|
//! | [`Event`] | something that happens once |
//! | [`Lock`], [`RwLock`] | one at a time; one writer or many readers |
//! | [`Semaphore`] | so many at a time; permits may be made and used up |
//! | [`CapacityLimiter`] | so many at a time, adjusted and watched while it is used |
//! | [`Condition`] | to wait, without the lock, until somebody who had it says so |
//! | [`Barrier`] | to wait until so many have come |
//! | [`OnceCell`] | a value that is made once, by who needs it first |
//!
//! Bound to no runtime: they may be made anywhere, also before a run, and an `OnceCell` in a `static`. Strictly first come,
//! first served. Each wait is a checkpoint; what is free is taken without a yield, but never in a cancelled scope.
//! Nothing is handed to a waiter whose scope is cancelled, and what was handed to one that is gone goes on to the next.
//!
//! ```
//! use anyrt::sync::{Condition, Lock};
//!
//! anyrt::run(async {
//!     let jobs = Lock::new(Vec::new());
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
    AboveMaximum, Acquire, AcquirePermits, Barrier, BarrierWait, BarrierWaitResult, CapacityLimiter,
    Condition, Event, Lock, LockGuard, LockStatistics, Locking, OnceCell, Permit, Reading, RwLock,
    RwLockReadGuard, RwLockStatistics, RwLockWriteGuard, Semaphore, SemaphoreStatistics, SetError, Token,
    Wait, WouldBlock, Writing,
};
