//! [`Semaphore`]: a number of permits, in strict order of asking.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::permits::{HasPermits, Permits, Share};
use crate::base::sync::{self, Arc};
use crate::wait::WouldBlock;
use crate::wait::queue::Take;

/// A number of permits, strictly first come first served. Cheap to clone; the clones share them.
///
/// A waiter that wants many is not overtaken by tasks that want few. For something that is borrowed, adjusted
/// and watched in production there is [`CapacityLimiter`](crate::CapacityLimiter); permits of a semaphore may
/// also be made and used up: [`add_permits`](Semaphore::add_permits), [`Permit::forget`].
///
/// Not async-lock's: that lets a newcomer take a permit that a waiter was woken for.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::Semaphore;
///
/// let seats = Semaphore::new(3);
/// let (one, two) = (seats.acquire().await, seats.acquire_many(2).await);
/// assert!(seats.try_acquire().is_err());
/// drop((one, two));
/// assert_eq!(seats.available(), 3);
/// # });
/// ```
#[derive(Clone)]
pub struct Semaphore(Arc<Shared>);

struct Shared {
    permits: Permits,
    maximum: usize,
    /// The permits that are free, and those that are out.
    total: sync::Mutex<usize>,
}

/// How a [`Semaphore`] stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// How many permits are free.
    pub available: usize,
    /// How many there are, out or free.
    pub total: usize,
    /// How many there may be at most; `usize::MAX` means no limit.
    pub maximum: usize,
    /// How many wait for permits.
    pub waiting: usize,
}

/// The answer of [`Semaphore::add_permits`] when there would be too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{added} more would make {total} permits, and this semaphore has {maximum} at most: one was added that had \
     not been used up"
)]
pub struct AboveMaximum {
    added: usize,
    total: usize,
    maximum: usize,
}

impl Semaphore {
    /// A semaphore with this many permits, which may become more.
    pub fn new(permits: usize) -> Semaphore {
        Semaphore::with(permits, usize::MAX)
    }

    /// A semaphore with this many permits, which never has more than `maximum`.
    ///
    /// # Panics
    ///
    /// When it would start with more.
    #[track_caller]
    pub fn with_maximum(permits: usize, maximum: usize) -> Semaphore {
        assert!(permits <= maximum, "a semaphore of at most {maximum} permits cannot begin with {permits}");
        Semaphore::with(permits, maximum)
    }

    fn with(permits: usize, maximum: usize) -> Semaphore {
        Semaphore(Arc::new(Shared {
            permits: Permits::new(permits),
            maximum,
            total: sync::Mutex::new(permits),
        }))
    }

    /// Waits for a permit. A checkpoint: in a cancelled scope it takes nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a permit that it was handed goes on to the next.
    #[track_caller]
    pub fn acquire(&self) -> AcquireFuture {
        AcquireFuture { take: Take::new(Share { of: self.clone(), number: 1 }, Location::caller()) }
    }

    /// Waits for `number` permits at once. While it is the first in line no other task is served.
    ///
    /// # Panics
    ///
    /// When it asks for more than the semaphore's maximum, naming the caller: it would wait for ever.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Semaphore::acquire); waiters behind it go on.
    #[track_caller]
    pub fn acquire_many(&self, number: usize) -> AcquireFuture {
        let maximum = self.0.maximum;
        assert!(
            number <= maximum,
            "{number} permits of a semaphore that never has more than {maximum}, asked for at {}",
            Location::caller()
        );
        AcquireFuture { take: Take::new(Share { of: self.clone(), number }, Location::caller()) }
    }

    /// Takes a permit, if one is free and there are no waiters.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_acquire(&self) -> Result<Permit, WouldBlock> {
        self.try_acquire_many(1)
    }

    /// Takes `number` permits, if they are free and there are no waiters.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_acquire_many(&self, number: usize) -> Result<Permit, WouldBlock> {
        if self.0.permits.try_take(number) {
            Ok(Permit { semaphore: self.clone(), number })
        } else {
            Err(WouldBlock)
        }
    }

    /// Makes `number` more permits (AnyIO: `release` without an `acquire`).
    ///
    /// # Errors
    ///
    /// [`AboveMaximum`] when there would be more than the maximum, counting permits that are out.
    pub fn add_permits(&self, number: usize) -> Result<(), AboveMaximum> {
        {
            let mut total = self.0.total.lock();
            let maximum = self.0.maximum;
            let more = total.saturating_add(number);
            if number > maximum - *total {
                return Err(AboveMaximum { added: number, total: more, maximum });
            }
            *total = more;
        }
        self.0.permits.give(number);
        Ok(())
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        self.0.permits.free()
    }

    /// How many wait for permits.
    pub fn waiting(&self) -> usize {
        self.0.permits.waiting()
    }

    /// How it stands.
    pub fn statistics(&self) -> SemaphoreStatistics {
        SemaphoreStatistics {
            available: self.available(),
            total: *self.0.total.lock(),
            maximum: self.0.maximum,
            waiting: self.waiting(),
        }
    }
}

impl HasPermits for Semaphore {
    fn permits(&self) -> &Permits {
        &self.0.permits
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "futures do nothing unless polled"]
pub struct AcquireFuture {
    take: Take<Share<Semaphore>>,
}

impl Future for AcquireFuture {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        self.take.poll_take(cx).map(|()| {
            let Share { of, number } = self.take.supply();
            Permit { semaphore: of.clone(), number: *number }
        })
    }
}

impl fmt::Debug for AcquireFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcquireFuture").field(&self.take).finish()
    }
}

/// One or more permits of a [`Semaphore`]; dropped, they are returned.
#[must_use = "the permit is returned when it is dropped"]
pub struct Permit {
    semaphore: Semaphore,
    number: usize,
}

impl Permit {
    /// How many permits it is.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Uses the permits up: they do not come back, and the semaphore has that many less.
    pub fn forget(mut self) {
        *self.semaphore.0.total.lock() -= self.number;
        self.number = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.number > 0 {
            self.semaphore.0.permits.give(self.number);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("number", &self.number).finish_non_exhaustive()
    }
}
