//! [`Event`]: something that happens once.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::sync::{Arc, Mutex};
use crate::waits::{Called, leaf};
use crate::wake::WakeList;

/// Something that happens once, and wakes all who wait for it. Cheap to clone.
#[derive(Clone, Default)]
pub struct Event(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    set: bool,
    waiting: Slab<Option<Waker>>,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Event {
        Event::default()
    }

    /// It has happened: wakes all who wait. Cannot be taken back.
    pub fn set(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.lock();
            state.set = true;
            for (_, waker) in &mut state.waiting {
                wakes.take(waker);
            }
        }
        wakes.wake();
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.lock().set
    }

    /// How many wait for it.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Whether anybody else has it too.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Waits until it has happened. A checkpoint also when it has.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn wait(&self) -> Wait {
        Wait { event: self.clone(), key: None, called: Location::caller() }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Event").field("set", &state.set).field("waiting", &state.waiting.len()).finish()
    }
}

/// The future of [`Event::wait`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    event: Event,
    key: Option<usize>,
    called: Called,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Who waited when it happened does not miss it.
        if self.key.is_some() && self.event.is_set() {
            return Poll::Ready(());
        }
        leaf(false, self.called, cx, |cx| {
            let new = Some(cx.waker().clone());
            let event = self.event.clone();
            let mut state = event.0.lock();
            if state.set {
                return Poll::Ready(());
            }
            let old = match self.key.and_then(|key| state.waiting.get_mut(key)) {
                Some(place) => std::mem::replace(place, new),
                None => {
                    self.key = Some(state.waiting.insert(new));
                    None
                }
            };
            drop(state);
            drop(old);
            Poll::Pending
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let removed = self.event.0.lock().waiting.try_remove(key);
            drop(removed);
        }
    }
}
