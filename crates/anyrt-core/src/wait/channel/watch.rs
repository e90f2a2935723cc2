//! A channel for a value of which only the latest counts.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::error::RecvError;
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::tree::moment::Moment;
use crate::wait::wakers::{Look, News, WakerKey, WakerSet};

/// A channel for a value of which only the latest counts: settings, a state, a progress.
///
/// A value is read as an `Arc`, not through a guard as in tokio: a reader never keeps a sender from sending,
/// however long it reads.
///
/// ```
/// # futures::executor::block_on(async {
/// let (sender, mut receiver) = anyrt_core::channel::watch("starting");
/// assert_eq!(*receiver.get(), "starting");
/// sender.send("half way");
/// sender.send("done");
/// assert_eq!(*receiver.changed().await.unwrap(), "done");
/// drop(sender);
/// assert!(receiver.changed().await.is_err());
/// assert_eq!(*receiver.get(), "done");
/// # });
/// ```
pub fn watch<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Mutex::new(WatchState {
        value: Arc::new(value),
        version: 0,
        senders: 1,
        receivers: 1,
        waiting: WakerSet::default(),
        watching: WakerSet::default(),
    }));
    (Sender { channel: channel.clone() }, Receiver { channel, seen: 0 })
}

struct WatchState<T> {
    value: Arc<T>,
    /// How often a value was sent.
    version: u64,
    senders: usize,
    receivers: usize,
    /// Receivers that wait for another value.
    waiting: WakerSet,
    /// Senders that wait for the receivers to be gone.
    watching: WakerSet,
}

type Channel<T> = Arc<Mutex<WatchState<T>>>;

/// The sending end of a [`watch()`] channel.
pub struct Sender<T> {
    channel: Channel<T>,
}

/// A receiving end of a [`watch()`] channel. A clone has seen what this one has seen.
pub struct Receiver<T> {
    channel: Channel<T>,
    /// The version that this receiver has seen.
    seen: u64,
}

impl<T> Sender<T> {
    /// Sets the value, whether or not there are receivers. Returns the value before.
    pub fn send(&self, value: T) -> Arc<T> {
        let mut wakes = WakeList::default();
        let new = Arc::new(value);
        let old = self.channel.lock().set(new, &mut wakes);
        wakes.wake();
        old
    }

    /// Sets the value to what `change` makes of it.
    ///
    /// No lock is held meanwhile: if another sender has sent in between, `change` is called again.
    pub fn update(&self, mut change: impl FnMut(&T) -> T) -> Arc<T> {
        loop {
            let (old, version) = {
                let state = self.channel.lock();
                (state.value.clone(), state.version)
            };
            let new = Arc::new(change(&old));
            let mut wakes = WakeList::default();
            {
                let mut state = self.channel.lock();
                if state.version != version {
                    drop(state);
                    continue;
                }
                drop(state.set(new, &mut wakes));
            }
            wakes.wake();
            return old;
        }
    }

    /// The value.
    pub fn get(&self) -> Arc<T> {
        self.channel.lock().value.clone()
    }

    /// Makes one more receiver, which has seen the current value.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.channel.lock();
        state.receivers += 1;
        Receiver { channel: self.channel.clone(), seen: state.version }
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.channel.lock().receivers
    }

    /// How many receivers wait for another value.
    pub fn waiting(&self) -> usize {
        self.channel.lock().waiting.len()
    }

    /// Waits until no receiver is left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> + '_ {
        let mut look = Look::new(Gone(self), Location::caller());
        poll_fn(move |cx| look.poll_look(cx))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.lock().senders += 1;
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.channel.lock();
            state.senders -= 1;
            if state.senders == 0 {
                state.waiting.wake_all(&mut wakes);
            }
        }
        wakes.wake();
    }
}

impl<T> Receiver<T> {
    /// The value, whether or not it was seen. This does not mark it as seen.
    pub fn get(&self) -> Arc<T> {
        self.channel.lock().value.clone()
    }

    /// Whether there is a value that was not seen.
    pub fn has_changed(&self) -> bool {
        self.channel.lock().version != self.seen
    }

    /// Waits for a value that was not seen, and marks it as seen. Those in between are skipped. A checkpoint.
    ///
    /// # Errors
    ///
    /// [`RecvError::EndOfStream`] when no sender is left, and the last value was seen.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has seen nothing.
    #[track_caller]
    pub fn changed(&mut self) -> ChangedFuture<'_, T> {
        ChangedFuture { look: Look::new(Newer { receiver: self, any: false }, Location::caller()) }
    }

    /// Waits for a value for which `is_right` returns true, beginning with the current one; marks it as seen.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (sender, mut receiver) = anyrt_core::channel::watch(1);
    /// sender.send(3);
    /// assert_eq!(*receiver.wait_for(|number| *number > 2).await.unwrap(), 3);
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`changed`](Receiver::changed).
    ///
    /// # Cancel safety
    ///
    /// As [`changed`](Receiver::changed); values that were not right have been seen.
    #[track_caller]
    pub fn wait_for<'a>(
        &'a mut self,
        mut is_right: impl FnMut(&T) -> bool + 'a,
    ) -> impl Future<Output = Result<Arc<T>, RecvError>> + 'a {
        let called = Location::caller();
        async move {
            let mut any = true;
            loop {
                let newer = Newer { receiver: self, any: std::mem::take(&mut any) };
                let value = ChangedFuture { look: Look::new(newer, called) }.await?;
                if is_right(&value) {
                    return Ok(value);
                }
            }
        }
    }

    /// How many receivers wait for another value.
    pub fn waiting(&self) -> usize {
        self.channel.lock().waiting.len()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.lock().receivers += 1;
        Receiver { channel: self.channel.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.channel.lock();
            state.receivers -= 1;
            if state.receivers == 0 {
                state.watching.wake_all(&mut wakes);
            }
        }
        wakes.wake();
    }
}

impl<T> WatchState<T> {
    fn set(&mut self, value: Arc<T>, wakes: &mut WakeList) -> Arc<T> {
        self.version += 1;
        self.waiting.wake_all(wakes);
        std::mem::replace(&mut self.value, value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.get()).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &self.get()).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::changed`].
#[must_use = "futures do nothing unless polled"]
pub struct ChangedFuture<'a, T> {
    look: Look<Newer<'a, T>>,
}

impl<T> Future for ChangedFuture<'_, T> {
    type Output = Result<Arc<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.look.poll_look(cx)
    }
}

impl<T> fmt::Debug for ChangedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChangedFuture").field(&self.look).finish()
    }
}

/// The news that there is a value that was not seen.
struct Newer<'a, T> {
    receiver: &'a mut Receiver<T>,
    /// The current value will do, although it was seen.
    any: bool,
}

impl<T> News for Newer<'_, T> {
    type Item = Result<Arc<T>, RecvError>;

    const TAKES: bool = true;

    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<Self::Item, Option<Waker>> {
        let Receiver { channel, seen } = &mut *self.receiver;
        let mut state = channel.lock();
        if self.any || state.version != *seen {
            *seen = state.version;
            return Ok(Ok(state.value.clone()));
        }
        if state.senders == 0 {
            return Ok(Err(RecvError::EndOfStream));
        }
        Err(state.waiting.wait(key, waker))
    }

    fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        self.receiver.channel.lock().waiting.woken_at(key)
    }

    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        self.receiver.channel.lock().waiting.leave(key)
    }
}

/// The news that no receiver is left.
struct Gone<'a, T>(&'a Sender<T>);

impl<T> News for Gone<'_, T> {
    type Item = ();

    const TAKES: bool = false;

    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<(), Option<Waker>> {
        let mut state = self.0.channel.lock();
        if state.receivers == 0 { Ok(()) } else { Err(state.watching.wait(key, waker)) }
    }

    fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        self.0.channel.lock().watching.woken_at(key)
    }

    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        self.0.channel.lock().watching.leave(key)
    }
}
