//! The one switch between std's synchronisation and loom's models of it.
//!
//! All locks, atomics, threads and thread-locals of the core come from here. `Arc` is std's in both worlds: the tree is
//! linked by owned `Arc`s of trait objects, and their counts are not what the models are about.

pub(crate) use std::sync::{Arc, OnceLock};

#[cfg(anyrt_loom)]
pub(crate) use loom::sync::atomic;
#[cfg(not(anyrt_loom))]
pub(crate) use std::sync::atomic;

#[cfg(anyrt_loom)]
pub(crate) use loom::thread;
#[cfg(not(anyrt_loom))]
pub(crate) use std::{thread, thread_local};

#[cfg(anyrt_loom)]
use loom::sync as source;
#[cfg(not(anyrt_loom))]
use std::sync as source;

pub(crate) use source::MutexGuard;
use source::{RwLockReadGuard, RwLockWriteGuard};

/// A mutex without poison: the core never runs user code under a lock, so a panic leaves nothing
/// half-done behind it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(source::Mutex<T>);

impl<T> Mutex<T> {
    #[cfg(not(anyrt_loom))]
    pub(crate) const fn new(value: T) -> Self {
        Mutex(source::Mutex::new(value))
    }

    #[cfg(anyrt_loom)]
    pub(crate) fn new(value: T) -> Self {
        Mutex(source::Mutex::new(value))
    }

    /// Without the lock: the caller has the only reference.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A read-write lock that guards no value: many may hold it shared, one alone. It knows no poison.
#[derive(Debug, Default)]
pub(crate) struct EmptyRwLock(source::RwLock<()>);

impl EmptyRwLock {
    #[cfg(not(anyrt_loom))]
    pub(crate) const fn new() -> Self {
        EmptyRwLock(source::RwLock::new(()))
    }

    #[cfg(anyrt_loom)]
    pub(crate) fn new() -> Self {
        EmptyRwLock(source::RwLock::new(()))
    }

    pub(crate) fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(source::Condvar);

impl Condvar {
    /// Waits at most `limit`. Returns the guard, and whether the time ran out.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: std::time::Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, outcome) =
            self.0.wait_timeout(guard, limit).unwrap_or_else(std::sync::PoisonError::into_inner);
        (guard, outcome.timed_out())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// std's `thread_local!`, whose `const` loom's does not know.
#[cfg(anyrt_loom)]
macro_rules! loom_thread_local {
    ($($(#[$about:meta])* static $name:ident: $type:ty = const $init:block);+ $(;)?) => {
        loom::thread_local! { $($(#[$about])* static $name: $type = $init;)+ }
    };
}
#[cfg(anyrt_loom)]
pub(crate) use loom_thread_local as thread_local;

/// A value for the whole program. Under loom, whose own statics end with the main thread, there is one for each
/// order of steps that is explored.
#[cfg(not(anyrt_loom))]
macro_rules! global {
    ($(#[$about:meta])* pub(super) static $name:ident: $type:ty = $init:expr;) => {
        $(#[$about])* pub(super) static $name: $type = $init;
    };
}
#[cfg(anyrt_loom)]
macro_rules! global {
    ($(#[$about:meta])* pub(super) static $name:ident: $type:ty = $init:expr;) => {
        $(#[$about])* pub(super) static $name: crate::base::sync::OfOneOrder<$type> = {
            std::thread_local! {
                static MADE: std::cell::Cell<Option<(usize, &'static $type)>> = const { std::cell::Cell::new(None) };
            }
            crate::base::sync::OfOneOrder { make: || $init, made: &MADE }
        };
    };
}
pub(crate) use global;

#[cfg(anyrt_loom)]
std::thread_local! {
    /// The number of the order that is explored. A thread-local of std, because loom runs all its threads on
    /// one thread of the system.
    pub(crate) static ORDER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Made anew in each order of steps, and never dropped.
#[cfg(anyrt_loom)]
pub(crate) struct OfOneOrder<T: 'static> {
    pub(crate) make: fn() -> T,
    pub(crate) made: &'static std::thread::LocalKey<std::cell::Cell<Option<(usize, &'static T)>>>,
}

#[cfg(anyrt_loom)]
impl<T> std::ops::Deref for OfOneOrder<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let order = ORDER.get();
        match self.made.get() {
            Some((known, made)) if known == order => made,
            _ => {
                let made = Box::leak(Box::new((self.make)()));
                self.made.set(Some((order, made)));
                made
            }
        }
    }
}

/// What std's key of a thread-local `RefCell` offers, and loom's does not.
#[cfg(anyrt_loom)]
pub(crate) trait LocalCell<T> {
    fn with_borrow<R>(&'static self, read: impl FnOnce(&T) -> R) -> R;
    fn with_borrow_mut<R>(&'static self, write: impl FnOnce(&mut T) -> R) -> R;
}

#[cfg(anyrt_loom)]
impl<T: 'static> LocalCell<T> for thread::LocalKey<std::cell::RefCell<T>> {
    fn with_borrow<R>(&'static self, read: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| read(&cell.borrow()))
    }

    fn with_borrow_mut<R>(&'static self, write: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| write(&mut cell.borrow_mut()))
    }
}
