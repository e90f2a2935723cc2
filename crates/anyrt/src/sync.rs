//! What tasks share: events, locks, semaphores, limiters. Fair, and bound to no runtime.

pub use anyrt_core::{
    Acquire, CapacityLimiter, Event, Lock, LockGuard, Permit, Semaphore, Token, Wait, WouldBlock,
};
