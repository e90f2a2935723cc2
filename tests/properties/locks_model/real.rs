//! The locks, behind one face.

use anyrt_core::{Mutex, MutexGuard, Permit, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::naive::{Access, One, Readers, Rules, Seats};

/// A lock of some kind, and the rules that it should keep.
pub(crate) trait Real {
    type Rules: Rules;
    type Guard: 'static;

    fn ask(&self, want: <Self::Rules as Rules>::Want) -> BoxFuture<'static, Self::Guard>;
    fn try_ask(&self, want: <Self::Rules as Rules>::Want) -> Option<Self::Guard>;
    fn waiting(&self) -> usize;

    /// Does what only this kind can do, also to the rules; what became of the guard, and whether others
    /// may go on now.
    fn special(
        &self,
        rules: &mut Self::Rules,
        guard: Option<Held<Self>>,
        number: usize,
    ) -> (Option<Held<Self>>, bool);

    fn compare(&self, rules: &Self::Rules);
}

type Held<R> = (<<R as Real>::Rules as Rules>::Want, <R as Real>::Guard);

impl Real for Mutex<()> {
    type Rules = One;
    type Guard = MutexGuard<()>;

    fn ask(&self, (): ()) -> BoxFuture<'static, MutexGuard<()>> {
        self.lock().boxed()
    }

    fn try_ask(&self, (): ()) -> Option<MutexGuard<()>> {
        self.try_lock().ok()
    }

    fn waiting(&self) -> usize {
        Mutex::waiting(self)
    }

    fn special(&self, _: &mut One, guard: Option<Held<Self>>, _: usize) -> (Option<Held<Self>>, bool) {
        (guard, false)
    }

    fn compare(&self, rules: &One) {
        assert_eq!(self.is_locked(), rules.locked);
    }
}

pub(crate) enum Guard {
    Read { _guard: RwLockReadGuard<()> },
    Write(RwLockWriteGuard<()>),
}

impl Guard {
    fn read(guard: RwLockReadGuard<()>) -> Guard {
        Guard::Read { _guard: guard }
    }
}

impl Real for RwLock<()> {
    type Rules = Readers;
    type Guard = Guard;

    fn ask(&self, want: Access) -> BoxFuture<'static, Guard> {
        match want {
            Access::Read => self.read().map(Guard::read).boxed(),
            Access::Write => self.write().map(Guard::Write).boxed(),
        }
    }

    fn try_ask(&self, want: Access) -> Option<Guard> {
        match want {
            Access::Read => self.try_read().ok().map(Guard::read),
            Access::Write => self.try_write().ok().map(Guard::Write),
        }
    }

    fn waiting(&self) -> usize {
        RwLock::waiting(self)
    }

    /// A writer reads on.
    fn special(
        &self,
        rules: &mut Readers,
        guard: Option<Held<Self>>,
        _: usize,
    ) -> (Option<Held<Self>>, bool) {
        match guard {
            Some((_, Guard::Write(mut guard))) => {
                // That nobody reads.
                *guard = ();
                rules.exit(Access::Write);
                rules.enter(Access::Read);
                (Some((Access::Read, Guard::read(guard.downgrade()))), true)
            }
            other => (other, false),
        }
    }

    fn compare(&self, rules: &Readers) {
        let statistics = self.statistics();
        assert_eq!((statistics.readers, statistics.writing), (rules.reading, rules.writing));
    }
}

impl Real for Semaphore {
    type Rules = Seats;
    type Guard = Permit;

    fn ask(&self, want: usize) -> BoxFuture<'static, Permit> {
        self.acquire_many(want).boxed()
    }

    fn try_ask(&self, want: usize) -> Option<Permit> {
        self.try_acquire_many(want).ok()
    }

    fn waiting(&self) -> usize {
        Semaphore::waiting(self)
    }

    /// Permits are used up, or made.
    fn special(
        &self,
        rules: &mut Seats,
        guard: Option<Held<Self>>,
        number: usize,
    ) -> (Option<Held<Self>>, bool) {
        match guard {
            Some((want, permit)) if number.is_multiple_of(2) => {
                permit.forget();
                rules.total -= want;
                (None, false)
            }
            other => {
                let more = number % 4;
                let added = rules.total + more <= rules.most;
                assert_eq!(self.add_permits(more).is_ok(), added);
                if added {
                    rules.total += more;
                    rules.free += more;
                }
                (other, added)
            }
        }
    }

    fn compare(&self, rules: &Seats) {
        let statistics = self.statistics();
        assert_eq!((statistics.available, statistics.total), (rules.free, rules.total));
    }
}
