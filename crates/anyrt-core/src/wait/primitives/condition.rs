//! [`Condition`]: to wait, without the lock, until a task that has the lock notifies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::task::Poll;

use super::mutex::{Mutex, MutexGuard};
use crate::base::sync::{self, Arc};
use crate::base::wake_list::WakeList;
use crate::scope::checkpoint::checkpoint_if_cancelled;
use crate::scope::finally;
use crate::tree::site::Called;
use crate::wait::queue::{Queue, Supply, Take, Ticket};

/// A condition on the value of a [`Mutex`]. Cheap to clone.
///
/// [`wait`](Condition::wait) gives the lock up, waits to be notified, and has the lock again when it is over,
/// however it ends. Waiters are notified first come first served; a notification that was handed to a waiter
/// that is gone goes on to the next. There is no spurious wake-up, but another task may have had the lock in
/// between: [`wait_for`](Condition::wait_for) looks again.
///
/// Neither async-lock nor event-listener has one. One built on a listener would keep neither the order of the
/// waiters nor the lock of a wait that is cancelled.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::{Condition, Mutex, join};
///
/// let queue = Mutex::new(Vec::new());
/// let filled = Condition::new(&queue);
/// let (got, ()) = join(
///     async {
///         let mut guard = queue.lock().await;
///         filled.wait_for(&mut guard, |queue| !queue.is_empty()).await;
///         guard.pop()
///     },
///     async {
///         let mut guard = queue.lock().await;
///         guard.push("job");
///         filled.notify_one(&guard);
///     },
/// )
/// .await;
/// assert_eq!(got, Some("job"));
/// # });
/// ```
pub struct Condition<T>(Arc<Shared<T>>);

struct Shared<T> {
    lock: Mutex<T>,
    waiting: sync::Mutex<Queue<Notice>>,
}

/// What a waiter is handed.
#[derive(Clone, Copy, PartialEq)]
enum Notice {
    /// For one waiter: if it is not taken, it goes on to the next.
    One,
    /// For all waiters at that moment.
    All,
}

impl<T> Condition<T> {
    /// A condition on the value of `lock`.
    pub fn new(lock: &Mutex<T>) -> Condition<T> {
        Condition(Arc::new(Shared { lock: lock.clone(), waiting: sync::Mutex::new(Queue::new()) }))
    }

    /// The lock that it belongs to.
    pub fn lock(&self) -> &Mutex<T> {
        &self.0.lock
    }

    /// Gives the lock up, waits to be notified, and takes the lock again.
    ///
    /// ```
    /// # async fn demo(condition: anyrt_core::Condition<u32>) {
    /// # use std::time::Duration;
    /// let mut guard = condition.lock().lock().await;
    /// let notified = anyrt_core::move_on_after(Duration::from_secs(1), condition.wait(&mut guard)).await;
    /// // Notified or not: the guard has the lock.
    /// *guard += u32::from(notified.is_some());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When `guard` belongs to another lock, naming the caller.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it takes the lock again before the scope is left, and holds until it has it (Trio, AnyIO: the
    /// same): the code behind the scope finds its guard as it was. A notification that it was handed goes on to
    /// the next. In a scope that was cancelled before the call, the lock is not given up.
    ///
    /// Dropped by *foreign* code (`select!`) while it waits, it cannot take the lock again: the guard is left
    /// without the lock, and panics when it is used. So use `move_on_after`, `race`, a scope.
    #[track_caller]
    pub fn wait<'a>(&'a self, guard: &'a mut MutexGuard<T>) -> impl Future<Output = ()> + 'a {
        self.check(guard, Location::caller());
        self.wait_at(Location::caller(), guard)
    }

    /// Waits until `is_true` returns true for the value; asked at once and after each notification.
    ///
    /// # Panics, cancel safety
    ///
    /// As [`wait`](Condition::wait); also with the panic of `is_true`.
    #[track_caller]
    pub fn wait_for<'a>(
        &'a self,
        guard: &'a mut MutexGuard<T>,
        mut is_true: impl FnMut(&T) -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let called = Location::caller();
        self.check(guard, called);
        async move {
            checkpoint_if_cancelled().await;
            while !is_true(guard) {
                self.wait_at(called, guard).await;
            }
        }
    }

    /// Wakes the waiter that has waited longest: it waits for the lock from now on.
    ///
    /// # Panics
    ///
    /// When `guard`, which proves that the caller has the lock, belongs to another lock, naming the caller.
    #[track_caller]
    pub fn notify_one(&self, guard: &MutexGuard<T>) {
        self.notify_many(guard, 1);
    }

    /// Wakes the `number` waiters that have waited longest (AnyIO: `notify(n)`).
    ///
    /// # Panics
    ///
    /// As [`notify_one`](Condition::notify_one).
    #[track_caller]
    pub fn notify_many(&self, guard: &MutexGuard<T>, number: usize) {
        self.check(guard, Location::caller());
        let mut wakes = WakeList::default();
        {
            let mut waiting = self.0.waiting.lock();
            for _ in 0..number {
                let Ok(mut waker) = waiting.serve(Notice::One) else { break };
                wakes.take(&mut waker);
            }
        }
        wakes.wake();
    }

    /// Wakes all waiters: they wait for the lock from now on, in their order.
    ///
    /// # Panics
    ///
    /// As [`notify_one`](Condition::notify_one).
    #[track_caller]
    pub fn notify_all(&self, guard: &MutexGuard<T>) {
        self.check(guard, Location::caller());
        let mut wakes = WakeList::default();
        self.0.waiting.lock().answer(|_| true, || Notice::All, &mut wakes);
        wakes.wake();
    }

    /// How many wait to be notified.
    pub fn waiting(&self) -> usize {
        self.0.waiting.lock().len()
    }

    fn check(&self, guard: &MutexGuard<T>, called: &Location<'_>) {
        assert!(
            guard.lock().is(&self.0.lock),
            "a condition was given the guard of another lock, at {called}: make it by `Condition::new` of that lock"
        );
    }

    async fn wait_at(&self, called: Called, guard: &mut MutexGuard<T>) {
        let mut take = Take::new(Notices(&self.0.waiting), called);
        poll_fn(|cx| match take.poll_take(cx) {
            Poll::Pending if !take.is_waiting() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        // Joins the queue before it gives the lock up: no notification can come in between.
        guard.release();
        finally(poll_fn(move |cx| take.poll_take(cx).map(drop)), async |_| guard.take_again(called).await)
            .await;
    }
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Self {
        Condition(self.0.clone())
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// The queue of a condition: a taker always waits.
struct Notices<'a>(&'a sync::Mutex<Queue<Notice>>);

impl Supply for Notices<'_> {
    type Item = Notice;

    fn take_or_join(&self, ticket: &Arc<Ticket<Notice>>, first: bool) -> Option<Notice> {
        self.0.lock().join(ticket.clone(), first);
        None
    }

    fn leave(&self, ticket: &Arc<Ticket<Notice>>) {
        let mut wakes = WakeList::default();
        {
            let mut waiting = self.0.lock();
            if waiting.remove(ticket) == Some(Notice::One)
                && let Ok(mut waker) = waiting.serve(Notice::One)
            {
                wakes.take(&mut waker);
            }
        }
        wakes.wake();
    }
}
