//! [`Semaphore`]: a number of permits, in strict order of asking.

use crate::blocking::{Acquire, CapacityLimiter, Token, WouldBlock};

/// A number of permits. A [`CapacityLimiter`] whose total stays; same order, same hand-over.
#[derive(Debug, Clone)]
pub struct Semaphore(CapacityLimiter);

/// A permit of a [`Semaphore`]; dropped, it is returned.
pub type Permit = Token;

impl Semaphore {
    /// A semaphore with this many permits.
    pub fn new(permits: usize) -> Semaphore {
        Semaphore(CapacityLimiter::new(permits))
    }

    /// Waits for a permit, first come first served.
    ///
    /// # Cancel safety
    ///
    /// As [`CapacityLimiter::acquire`].
    #[track_caller]
    pub fn acquire(&self) -> Acquire {
        self.0.acquire()
    }

    /// Takes a permit, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn try_acquire(&self) -> Result<Permit, WouldBlock> {
        self.0.try_acquire()
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        usize::try_from(self.0.available()).unwrap_or(0)
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }
}
