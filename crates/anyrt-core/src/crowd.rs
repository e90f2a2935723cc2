//! Those who wait for news that is for all of them: nothing is handed over, so there is no order.

use std::fmt;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::waits::{Called, leaf};
use crate::wake::WakeList;

/// The wakers of those who wait. Its owner has it under a lock, and drops what it gives back after that.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    places: Slab<Option<Waker>>,
    /// Those that have a waker.
    waiting: usize,
}

/// The place of one of them, who must [leave](Crowd::leave).
#[derive(Debug, Default)]
pub(crate) struct Place(Option<usize>);

impl Crowd {
    /// How many wait and were not woken.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Leaves a waker for the next news; the one that was left before.
    pub(crate) fn wait(&mut self, place: &mut Place, waker: Waker) -> Option<Waker> {
        let key = *place.0.get_or_insert_with(|| self.places.insert(None));
        let old = self.places.get_mut(key).and_then(|place| place.replace(waker));
        self.waiting += usize::from(old.is_none());
        old
    }

    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let old = self.places.try_remove(place.0.take()?).flatten();
        self.waiting -= usize::from(old.is_some());
        old
    }

    /// There is news.
    pub(crate) fn wake_all(&mut self, wakes: &mut WakeList) {
        self.waiting = 0;
        for (_, waker) in &mut self.places {
            wakes.take(waker);
        }
    }
}

/// Something that a crowd waits for.
pub(crate) trait News {
    type Item;

    /// Whether it is taken, or only looked at: see [`gate`](crate::context::gate).
    const TAKES: bool;

    /// What is new; else it [waits](Crowd::wait) in the crowd, in one step.
    fn look(&mut self, place: &mut Place, waker: Waker) -> Result<Self::Item, Option<Waker>>;

    /// [Leaves](Crowd::leave) the crowd.
    fn leave(&mut self, place: &mut Place) -> Option<Waker>;
}

/// The future of one who waits in a crowd.
pub(crate) struct Look<N: News> {
    news: N,
    place: Place,
    called: Called,
}

impl<N: News> Look<N> {
    pub(crate) fn new(news: N, called: Called) -> Look<N> {
        Look { news, place: Place::default(), called }
    }

    /// Whether it stands in the crowd, or did until it was woken.
    pub(crate) fn is_waiting(&self) -> bool {
        self.place.0.is_some()
    }

    pub(crate) fn news(&self) -> &N {
        &self.news
    }

    pub(crate) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<N::Item> {
        leaf(N::TAKES, self.called, cx, |cx| match self.news.look(&mut self.place, cx.waker().clone()) {
            Ok(item) => Poll::Ready(item),
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        })
    }
}

impl<N: News> Drop for Look<N> {
    fn drop(&mut self) {
        if self.is_waiting() {
            let old = self.news.leave(&mut self.place);
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
