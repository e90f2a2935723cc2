//! [`Mutex`]: a mutual exclusion that is handed over in strict order.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::permits::{HasPermits, HeldBy, Permits, Share};
use crate::base::sync::{self, Arc};
use crate::tree::site::{Called, Holder};
use crate::wait::WouldBlock;
use crate::wait::queue::Take;

/// A lock between tasks, strictly first come first served. Cheap to clone; the clones share it.
///
/// Released, it belongs to the longest waiter, from that moment: no task overtakes, not even the one that
/// released it. A free lock without waiters is taken without a wait, but not in a cancelled scope (AnyIO:
/// `fast_acquire`). A panic or cancellation of the task that has the lock releases it.
///
/// Not async-lock's mutex: that lets a newcomer overtake a waiter for half a millisecond, and wakes a waiter
/// that is cancelled, so that the lock stays free until that one is gone.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::Mutex;
///
/// let total = Mutex::new(0);
/// *total.lock().await += 1;
/// assert_eq!(*total.lock().await, 1);
/// # });
/// ```
pub struct Mutex<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// One.
    turn: Permits,
    held_by: HeldBy,
    /// Taken out while the lock is held. Boxed: so a guard is small, whatever the lock guards.
    value: sync::Mutex<Option<Box<T>>>,
}

/// How a [`Mutex`] stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexStatistics {
    /// Whether it is held.
    pub locked: bool,
    /// How many wait for it.
    pub waiting: usize,
}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(Arc::new(Shared {
            turn: Permits::new(1),
            held_by: HeldBy::default(),
            value: sync::Mutex::new(Some(Box::new(value))),
        }))
    }

    /// Waits for the lock. A checkpoint: in a cancelled scope it takes nothing.
    ///
    /// A task that holds the lock and asks for it again waits for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a lock that it was handed goes on to the next.
    #[track_caller]
    pub fn lock(&self) -> LockFuture<T> {
        self.lock_at(Location::caller())
    }

    fn lock_at(&self, called: Called) -> LockFuture<T> {
        LockFuture { take: Take::new(Share { of: self.clone(), number: 1 }, called) }
    }

    /// Takes the lock, if it is free and there are no waiters.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_lock(&self) -> Result<MutexGuard<T>, WouldBlock> {
        if self.0.turn.try_take(1) { Ok(MutexGuard::of(self.clone())) } else { Err(WouldBlock) }
    }

    /// Whether the lock is held.
    pub fn is_locked(&self) -> bool {
        self.0.turn.free() == 0
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.0.turn.waiting()
    }

    /// How it stands.
    pub fn statistics(&self) -> MutexStatistics {
        MutexStatistics { locked: self.is_locked(), waiting: self.waiting() }
    }

    pub(super) fn is(&self, other: &Mutex<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Self {
        Mutex(self.0.clone())
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> HasPermits for Mutex<T> {
    fn permits(&self) -> &Permits {
        &self.0.turn
    }

    fn holder(&self) -> Option<Holder> {
        Some(self.0.held_by.shared())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("locked", &self.is_locked())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// The future of [`Mutex::lock`].
#[must_use = "futures do nothing unless polled"]
pub struct LockFuture<T> {
    take: Take<Share<Mutex<T>>>,
}

impl<T> Future for LockFuture<T> {
    type Output = MutexGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<T>> {
        self.take.poll_take(cx).map(|()| MutexGuard::of(self.take.supply().of.clone()))
    }
}

impl<T> fmt::Debug for LockFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockFuture").field(&self.take).finish()
    }
}

/// The value of a [`Mutex`], as long as this lives.
#[must_use = "the lock is released when it is dropped"]
pub struct MutexGuard<T> {
    /// There while this guard holds the lock; put back before the permit is returned.
    value: Option<Box<T>>,
    lock: Mutex<T>,
}

impl<T> MutexGuard<T> {
    /// The guard of the task that has the permit.
    fn of(lock: Mutex<T>) -> MutexGuard<T> {
        lock.0.held_by.is_here();
        let value = lock.0.value.lock().take();
        MutexGuard { value, lock }
    }

    pub(super) fn lock(&self) -> &Mutex<T> {
        &self.lock
    }

    /// Gives the lock back, if this guard holds it; without it the value cannot be reached.
    pub(super) fn release(&mut self) {
        if let Some(value) = self.value.take() {
            *self.lock.0.value.lock() = Some(value);
            self.lock.0.turn.give(1);
        }
    }

    /// Waits for the lock that was released.
    pub(super) async fn take_again(&mut self, called: Called) {
        *self = self.lock.lock_at(called).await;
    }
}

const LOST: &str = "this guard has its lock no more: the `Condition::wait` that it was given to was dropped by \
                    foreign code while it waited; limit a wait by `move_on_after`, or use our `race`";

impl<T> Deref for MutexGuard<T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => panic!("{LOST}"),
        }
    }
}

impl<T> DerefMut for MutexGuard<T> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => panic!("{LOST}"),
        }
    }
}

impl<T> Drop for MutexGuard<T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&self.value).finish()
    }
}
