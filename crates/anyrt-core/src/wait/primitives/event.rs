//! [`Event`]: something that happens once.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::base::sync::{self, Arc};
use crate::base::wake_list::WakeList;
use crate::tree::moment::Moment;
use crate::wait::wakers::{Look, News, WakerKey, WakerSet};

/// Something that happens once, and wakes all waiters. Cheap to clone.
///
/// event-listener is for authors of primitives, which loop around it; this one remembers that it has happened.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::{Event, join};
///
/// let ready = Event::new();
/// join(ready.wait(), async { ready.set() }).await;
/// assert!(ready.is_set());
/// # });
/// ```
#[derive(Clone, Default)]
pub struct Event(Arc<sync::Mutex<EventState>>);

#[derive(Default)]
struct EventState {
    set: bool,
    waiting: WakerSet,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Event {
        Event::default()
    }

    /// The event has happened: wakes all waiters. Cannot be taken back.
    pub fn set(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.lock();
            state.set = true;
            state.waiting.wake_all(&mut wakes);
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

    /// Waits until it has happened. A checkpoint also when it has.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn wait(&self) -> WaitFuture {
        WaitFuture { look: Look::new(Happening(self.clone()), Location::caller()) }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Event").field("set", &state.set).field("waiting", &state.waiting.len()).finish()
    }
}

/// The future of [`Event::wait`].
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture {
    look: Look<Happening>,
}

impl Future for WaitFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.look.poll_look(cx)
    }
}

impl fmt::Debug for WaitFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitFuture").field(&self.look).finish()
    }
}

struct Happening(Event);

impl News for Happening {
    type Item = ();

    const TAKES: bool = false;

    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<(), Option<Waker>> {
        let mut state = self.0.0.lock();
        if state.set {
            return Ok(());
        }
        Err(state.waiting.wait(key, waker))
    }

    fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        self.0.0.lock().waiting.woken_at(key)
    }

    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        self.0.0.lock().waiting.leave(key)
    }
}
