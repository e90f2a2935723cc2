//! Those who wait for news that is for all of them: nothing is handed over, so there is no order.

use std::task::Waker;

use slab::Slab;

use crate::wake::WakeList;

/// The wakers of those who wait. Its owner has it under a lock, and drops what it gives back after that.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    places: Slab<Option<Waker>>,
    /// Those that have a waker.
    waiting: usize,
}

/// The place of one waiter, which must [leave](Crowd::leave).
#[derive(Debug, Default)]
pub(crate) struct Place(Option<usize>);

impl Place {
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

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
