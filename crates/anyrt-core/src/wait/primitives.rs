//! What tasks meet at: events, locks, semaphores, conditions, barriers, cells.
//!
//! All takers are built on one queue (`queue.rs`): strictly first come first served, nothing is handed to a
//! waiter whose scope is cancelled, and what was handed to a waiter that is gone goes on to the next. That is
//! why they are our own: async-lock's types let a newcomer overtake, and may hand a lock to a waiter that will
//! never take it.

mod barrier;
mod condition;
mod event;
mod mutex;
mod once_cell;
mod permits;
mod rwlock;
mod semaphore;

pub use barrier::{Barrier, BarrierFuture, BarrierWaitResult};
pub use condition::Condition;
pub use event::{Event, WaitFuture};
pub use mutex::{LockFuture, Mutex, MutexGuard, MutexStatistics};
pub use once_cell::{OnceCell, SetError};
pub use rwlock::{ReadFuture, RwLock, RwLockReadGuard, RwLockStatistics, RwLockWriteGuard, WriteFuture};
pub use semaphore::{AboveMaximum, AcquireFuture, Permit, Semaphore, SemaphoreStatistics};
