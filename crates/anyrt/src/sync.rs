//! What tasks meet at: events, locks, semaphores, conditions, barriers, cells, limiters. Fair, and
//! bound to no runtime.

pub use anyrt_core::{
    AboveMaximum, Acquire, AcquirePermits, Barrier, BarrierWait, BarrierWaitResult, CapacityLimiter,
    Condition, Event, Lock, LockGuard, LockStatistics, Locking, OnceCell, Permit, Reading, RwLock,
    RwLockReadGuard, RwLockStatistics, RwLockWriteGuard, Semaphore, SemaphoreStatistics, SetError, Token,
    Wait, WouldBlock, Writing,
};
