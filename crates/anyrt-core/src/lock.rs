//! [`Lock`]: a mutual exclusion that is handed over in strict order.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};

use crate::blocking::{CapacityLimiter, Token, WouldBlock};
use crate::sync::{Arc, Mutex};

/// A lock between tasks, strictly first come first served. Cheap to clone; the clones share it.
///
/// Built on one token of a [`CapacityLimiter`], which async-lock's mutex would not do: it lets a
/// new-comer overtake a waiter for some time, and hands the lock to a waiter that is cancelled.
pub struct Lock<T>(Arc<Shared<T>>);

struct Shared<T> {
    turn: CapacityLimiter,
    /// Taken out while somebody has the lock.
    value: Mutex<Option<T>>,
}

impl<T> Lock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Lock<T> {
        Lock(Arc::new(Shared { turn: CapacityLimiter::new(1), value: Mutex::new(Some(value)) }))
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a lock that it was handed goes on to the next.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = LockGuard<T>> {
        let turn = self.0.turn.acquire();
        async move {
            let turn = turn.await;
            self.guard(turn)
        }
    }

    /// Takes the lock, if it is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_lock(&self) -> Result<LockGuard<T>, WouldBlock> {
        let turn = self.0.turn.try_acquire()?;
        Ok(self.guard(turn))
    }

    /// Whether somebody has the lock.
    pub fn is_locked(&self) -> bool {
        self.0.turn.borrowed() > 0
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.0.turn.waiting()
    }

    fn guard(&self, turn: Token) -> LockGuard<T> {
        let value = self.0.value.lock().take();
        LockGuard { value, lock: self.clone(), _turn: turn }
    }
}

impl<T> Clone for Lock<T> {
    fn clone(&self) -> Self {
        Lock(self.0.clone())
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("locked", &self.is_locked())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// The value of a [`Lock`], as long as this lives.
#[must_use = "the lock is released when it is dropped"]
pub struct LockGuard<T> {
    /// Always there: it goes back when the guard is dropped, before the turn does.
    value: Option<T>,
    lock: Lock<T>,
    _turn: Token,
}

impl<T> Deref for LockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("only its owner has the turn"),
        }
    }
}

impl<T> DerefMut for LockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("only its owner has the turn"),
        }
    }
}

impl<T> Drop for LockGuard<T> {
    fn drop(&mut self) {
        *self.lock.0.value.lock() = self.value.take();
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&**self).finish()
    }
}
