//! Clients that wait for the next place, and may leave while they do.

use std::sync::{Mutex, PoisonError};

use anyrt::channel::{self, Sender};
use anyrt::scope::Exit;
use serde::Serialize;

use super::database::Place;

#[derive(Default)]
pub(crate) struct Watchers {
    counts: Mutex<Counts>,
    waiting: Mutex<Vec<Sender<Place>>>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    /// Who waits now.
    watching: usize,
    /// Who left before there was something to see.
    left: usize,
}

impl Watchers {
    /// Waits for the next place; none if the app ends first.
    pub(crate) async fn next(&self) -> Option<Place> {
        let (tell, told) = channel::bounded(1);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(tell);
        self.count(|counts| counts.watching += 1);
        // A client that leaves cancels its request: the wait ends where it stands. What must happen in
        // any case is the clean-up, which is told how it came to this.
        let next = anyrt::finally(told.recv(), async |exit| {
            self.count(|counts| {
                counts.watching -= 1;
                counts.left += usize::from(matches!(exit, Exit::Cancelled(_)));
            });
        });
        next.await.ok()
    }

    /// Tells all who wait. Not async: a plain function may call it from its thread.
    pub(crate) fn tell(&self, place: &Place) {
        for watcher in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that has left meanwhile does not listen any more.
            let _ = watcher.try_send(place.clone());
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
