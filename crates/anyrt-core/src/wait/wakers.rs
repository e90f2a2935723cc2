//! Waiters for news that is for all of them: nothing is handed over, so there is no order.

use std::fmt;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::current::gate::{Gate, handed};
use crate::tree::moment::Moment;
use crate::tree::site::Called;

/// The wakers of the waiters. It stands under a lock of its owner, which drops the wakers that it gets back
/// after that lock.
#[derive(Debug, Default)]
pub(crate) struct WakerSet {
    waiters: Slab<Waiter>,
    /// How many of them have a waker.
    waiting: usize,
}

/// One waiter.
#[derive(Debug)]
enum Waiter {
    Waiting(Waker),
    /// There was news, and the waiter has not looked since.
    Woken(Moment),
}

impl Waiter {
    fn waker(self) -> Option<Waker> {
        match self {
            Waiter::Waiting(waker) => Some(waker),
            Waiter::Woken(_) => None,
        }
    }
}

/// The place of one waiter, which must [leave](WakerSet::leave).
#[derive(Debug, Default)]
pub(crate) struct WakerKey(Option<usize>);

impl WakerSet {
    /// How many wait and were not woken.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Leaves a waker for the next news. Returns the one that was left before.
    pub(crate) fn wait(&mut self, key: &mut WakerKey, waker: Waker) -> Option<Waker> {
        let new = Waiter::Waiting(waker);
        let old = match key.0.and_then(|key| self.waiters.get_mut(key)) {
            Some(waiter) => std::mem::replace(waiter, new).waker(),
            None => {
                key.0 = Some(self.waiters.insert(new));
                None
            }
        };
        self.waiting += usize::from(old.is_none());
        old
    }

    /// When there was news for a waiter that has not looked since.
    pub(crate) fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        match self.waiters.get(key.0?)? {
            Waiter::Woken(at) => Some(*at),
            Waiter::Waiting(_) => None,
        }
    }

    pub(crate) fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        let old = self.waiters.try_remove(key.0.take()?).and_then(Waiter::waker);
        self.waiting -= usize::from(old.is_some());
        old
    }

    /// There is news: wakes all waiters.
    pub(crate) fn wake_all(&mut self, wakes: &mut WakeList) {
        self.waiting = 0;
        let now = Moment::now();
        for (_, waiter) in &mut self.waiters {
            if let Waiter::Waiting(_) = waiter
                && let Some(waker) = std::mem::replace(waiter, Waiter::Woken(now)).waker()
            {
                wakes.push(waker);
            }
        }
    }
}

/// Something that a crowd waits for.
pub(crate) trait News {
    type Item;

    /// Whether news is taken, or only looked at: see [`gate`](crate::current::gate::gate).
    const TAKES: bool;

    /// Returns the news; if there is none, [waits](WakerSet::wait) for it, in one step.
    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<Self::Item, Option<Waker>>;

    /// When there was [news](WakerSet::woken_at) for it.
    fn woken_at(&self, key: &WakerKey) -> Option<Moment>;

    /// [Leaves](WakerSet::leave).
    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker>;
}

/// The future of a waiter for news.
pub(crate) struct Look<N: News> {
    news: N,
    key: WakerKey,
    called: Called,
}

impl<N: News> Look<N> {
    pub(crate) fn new(news: N, called: Called) -> Look<N> {
        Look { news, key: WakerKey::default(), called }
    }

    /// Whether it waits, or did until it was woken.
    pub(crate) fn is_waiting(&self) -> bool {
        self.key.0.is_some()
    }

    pub(crate) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<N::Item> {
        handed(N::TAKES, self.called, cx, |cx, gate| {
            if gate == Gate::Shut && !context::is_in_time(self.news.woken_at(&self.key)) {
                return Poll::Pending;
            }
            match self.news.look(&mut self.key, cx.waker().clone()) {
                Ok(item) => Poll::Ready(item),
                Err(old) => {
                    drop(old);
                    Poll::Pending
                }
            }
        })
    }
}

impl<N: News> Drop for Look<N> {
    fn drop(&mut self) {
        if self.is_waiting() {
            let old = self.news.leave(&mut self.key);
            drop(old);
        }
    }
}

/// Where it was called, and whether it waits.
impl<N: News> fmt::Debug for Look<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look")
            .field("waiting", &self.is_waiting())
            .field("called", &self.called)
            .finish_non_exhaustive()
    }
}
