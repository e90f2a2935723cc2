//! [`RwLock`]: one writer or many readers, in strict order.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::permits::{HasPermits, Permits, Share};
use crate::base::sync::{self, Arc};
use crate::wait::WouldBlock;
use crate::wait::queue::Take;

/// A writer takes all permits, a reader one.
const ALL: usize = usize::MAX >> 3;

/// A lock that many tasks may read or one may write, strictly first come first served. Cheap to clone; the
/// clones share it.
///
/// A waiting writer stops readers that come after it, and waiting readers stop a later writer: no task starves.
/// So a task that reads already and asks to read again may wait for itself, when a writer came in between.
///
/// Not async-lock's: that prefers writers, so a stream of writers starves the readers.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::RwLock;
///
/// let prices = RwLock::new(vec![1, 2]);
/// {
///     let (one, two) = (prices.read().await, prices.read().await);
///     assert_eq!(one[0] + two[1], 3);
/// }
/// prices.write().await.push(3);
/// assert_eq!(prices.read().await.len(), 3);
/// # });
/// ```
pub struct RwLock<T>(Arc<Shared<T>>);

struct Shared<T> {
    permits: Permits,
    /// Readers have clones of it, which are dropped before their permit is returned. A writer takes it out, and
    /// then has the only one.
    value: sync::Mutex<Option<Arc<T>>>,
}

/// How a [`RwLock`] stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockStatistics {
    /// How many tasks read.
    pub readers: usize,
    /// Whether a task writes.
    pub writing: bool,
    /// How many tasks wait, to read or to write.
    pub waiting: usize,
}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> RwLock<T> {
        RwLock(Arc::new(Shared {
            permits: Permits::new(ALL),
            value: sync::Mutex::new(Some(Arc::new(value))),
        }))
    }

    /// Waits until it may read. A checkpoint: in a cancelled scope it takes nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a turn that it was handed goes on to the next.
    #[track_caller]
    pub fn read(&self) -> ReadFuture<T> {
        ReadFuture { take: Take::new(Share { of: self.clone(), number: 1 }, Location::caller()) }
    }

    /// Waits until it may write. A checkpoint: in a cancelled scope it takes nothing.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](RwLock::read); readers that waited behind it go on.
    #[track_caller]
    pub fn write(&self) -> WriteFuture<T> {
        WriteFuture { take: Take::new(Share { of: self.clone(), number: ALL }, Location::caller()) }
    }

    /// Reads, if no task writes or waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_read(&self) -> Result<RwLockReadGuard<T>, WouldBlock> {
        if self.0.permits.try_take(1) { Ok(RwLockReadGuard::of(self.clone())) } else { Err(WouldBlock) }
    }

    /// Writes, if no task reads, writes or waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<T>, WouldBlock> {
        if self.0.permits.try_take(ALL) { Ok(RwLockWriteGuard::of(self.clone())) } else { Err(WouldBlock) }
    }

    /// How many tasks wait, to read or to write.
    pub fn waiting(&self) -> usize {
        self.0.permits.waiting()
    }

    /// How it stands.
    pub fn statistics(&self) -> RwLockStatistics {
        let out = ALL - self.0.permits.free();
        let writing = out == ALL;
        RwLockStatistics { readers: if writing { 0 } else { out }, writing, waiting: self.waiting() }
    }
}

impl<T> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        RwLock(self.0.clone())
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> HasPermits for RwLock<T> {
    fn permits(&self) -> &Permits {
        &self.0.permits
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RwLockStatistics { readers, writing, waiting } = self.statistics();
        f.debug_struct("RwLock")
            .field("readers", &readers)
            .field("writing", &writing)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

/// The future of [`RwLock::read`].
#[must_use = "futures do nothing unless polled"]
pub struct ReadFuture<T> {
    take: Take<Share<RwLock<T>>>,
}

impl<T> Future for ReadFuture<T> {
    type Output = RwLockReadGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockReadGuard<T>> {
        self.take.poll_take(cx).map(|()| RwLockReadGuard::of(self.take.supply().of.clone()))
    }
}

impl<T> fmt::Debug for ReadFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadFuture").field(&self.take).finish()
    }
}

/// The future of [`RwLock::write`].
#[must_use = "futures do nothing unless polled"]
pub struct WriteFuture<T> {
    take: Take<Share<RwLock<T>>>,
}

impl<T> Future for WriteFuture<T> {
    type Output = RwLockWriteGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockWriteGuard<T>> {
        self.take.poll_take(cx).map(|()| RwLockWriteGuard::of(self.take.supply().of.clone()))
    }
}

impl<T> fmt::Debug for WriteFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteFuture").field(&self.take).finish()
    }
}

/// The value of a [`RwLock`], to be read as long as this lives.
#[must_use = "the lock is released when it is dropped"]
pub struct RwLockReadGuard<T> {
    /// None only while it is dropped.
    value: Option<Arc<T>>,
    lock: RwLock<T>,
}

impl<T> RwLockReadGuard<T> {
    /// The guard of a task that has a permit.
    fn of(lock: RwLock<T>) -> RwLockReadGuard<T> {
        let value = lock.0.value.lock().clone();
        RwLockReadGuard { value, lock }
    }
}

impl<T> Deref for RwLockReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value is in its place while somebody reads"),
        }
    }
}

impl<T> Drop for RwLockReadGuard<T> {
    fn drop(&mut self) {
        // Not the last reference: the lock has one too.
        self.value = None;
        self.lock.0.permits.give(1);
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RwLockReadGuard").field(&**self).finish()
    }
}

/// The value of a [`RwLock`], to be written as long as this lives.
#[must_use = "the lock is released when it is dropped"]
pub struct RwLockWriteGuard<T> {
    /// None only when the permits were given back.
    value: Option<Arc<T>>,
    lock: RwLock<T>,
}

impl<T> RwLockWriteGuard<T> {
    /// The guard of the task that has all permits.
    fn of(lock: RwLock<T>) -> RwLockWriteGuard<T> {
        let value = lock.0.value.lock().take();
        RwLockWriteGuard { value, lock }
    }

    /// Goes on reading, without letting another writer in between; readers that are first in line may read too.
    pub fn downgrade(mut self) -> RwLockReadGuard<T> {
        let lock = self.lock.clone();
        if self.put_back() {
            let reader = RwLockReadGuard::of(lock.clone());
            lock.0.permits.give(ALL - 1);
            return reader;
        }
        unreachable!("the value is there until the turn is given back")
    }

    /// Puts the value back. Returns whether it was still out.
    fn put_back(&mut self) -> bool {
        match self.value.take() {
            Some(value) => {
                *self.lock.0.value.lock() = Some(value);
                true
            }
            None => false,
        }
    }
}

impl<T> Deref for RwLockWriteGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value is there until the turn is given back"),
        }
    }
}

impl<T> DerefMut for RwLockWriteGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        match self.value.as_mut().and_then(Arc::get_mut) {
            Some(value) => value,
            None => unreachable!("nobody reads while somebody writes"),
        }
    }
}

impl<T> Drop for RwLockWriteGuard<T> {
    fn drop(&mut self) {
        if self.put_back() {
            self.lock.0.permits.give(ALL);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RwLockWriteGuard").field(&**self).finish()
    }
}
