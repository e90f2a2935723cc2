//! A channel for one item.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::error::{RecvError, SendError, TryRecvError};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::current::gate::{Gate, handed};
use crate::tree::moment::Moment;
use crate::tree::site::Called;
use crate::wait::WouldBlock;
use crate::wait::wakers::{Look, News, WakerKey, WakerSet};

/// A channel for one item, which is sent without a wait.
///
/// The item stays in the channel until the receiver sees it: a receive that is cancelled or dropped has taken
/// nothing. (In tokio and futures the receiver is itself the future; here each receive is one, so it can be
/// dropped and called again.)
///
/// ```
/// # futures::executor::block_on(async {
/// let (sender, mut receiver) = anyrt_core::channel::oneshot();
/// sender.send(42).unwrap();
/// assert_eq!(receiver.recv().await, Ok(42));
/// # });
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Mutex::new(OneshotState {
        item: None,
        has_sender: true,
        has_receiver: true,
        receiving: None,
        woken_at: None,
        watching: WakerSet::default(),
    }));
    (Sender { channel: channel.clone() }, Receiver { channel })
}

struct OneshotState<T> {
    item: Option<T>,
    /// The sender was neither used nor dropped.
    has_sender: bool,
    /// The receiver was neither closed nor dropped.
    has_receiver: bool,
    receiving: Option<Waker>,
    /// When the waiting receive was woken, because there is an item or will be none.
    woken_at: Option<Moment>,
    /// Tasks that wait until the receiver is gone.
    watching: WakerSet,
}

type Channel<T> = Arc<Mutex<OneshotState<T>>>;

/// Sends the one item of a [`oneshot()`].
pub struct Sender<T> {
    channel: Channel<T>,
}

/// Receives the one item of a [`oneshot()`].
pub struct Receiver<T> {
    channel: Channel<T>,
}

impl<T> Sender<T> {
    /// Sends the item.
    ///
    /// # Errors
    ///
    /// It comes back when the receiver was closed or dropped.
    pub fn send(self, item: T) -> Result<(), SendError<T>> {
        let mut state = self.channel.lock();
        if !state.has_receiver {
            return Err(SendError::Broken(item));
        }
        state.item = Some(item);
        state.woken_at = Some(Moment::now());
        // The receiver is woken when this is dropped, after the lock.
        Ok(())
    }

    /// Whether the receiver was closed or dropped.
    pub fn is_closed(&self) -> bool {
        !self.channel.lock().has_receiver
    }

    /// Waits until the receiver was closed or dropped: the item is not wanted any more.
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

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.channel.lock();
            state.has_sender = false;
            state.woken_at.get_or_insert_with(Moment::now);
            wakes.take(&mut state.receiving);
        }
        wakes.wake();
    }
}

impl<T> Receiver<T> {
    /// Receives the item. A checkpoint: in a cancelled scope it receives nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError::EndOfStream`] when the sender was dropped, or the item was received already;
    /// [`RecvError::Closed`] when this was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing: the item waits in the channel.
    #[track_caller]
    pub fn recv(&mut self) -> RecvFuture<'_, T> {
        RecvFuture { receiver: self, called: Location::caller(), waiting: false }
    }

    /// Receives the item, if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let taken = self.channel.lock().take();
        match taken {
            Some(received) => Ok(received?),
            None => Err(WouldBlock.into()),
        }
    }

    /// Refuses the item, unless it was sent already.
    pub fn close(&mut self) {
        self.end();
    }

    /// Takes no more items. Returns the one that was sent already.
    fn end(&mut self) -> Option<Waker> {
        let mut wakes = WakeList::default();
        let waker = {
            let mut state = self.channel.lock();
            state.has_receiver = false;
            state.watching.wake_all(&mut wakes);
            state.receiving.take()
        };
        wakes.wake();
        waker
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let waker = self.end();
        let item = self.channel.lock().item.take();
        drop((waker, item));
    }
}

impl<T> OneshotState<T> {
    fn take(&mut self) -> Option<Result<T, RecvError>> {
        match self.item.take() {
            Some(item) => Some(Ok(item)),
            None if !self.has_receiver => Some(Err(RecvError::Closed)),
            None if !self.has_sender => Some(Err(RecvError::EndOfStream)),
            None => None,
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.channel.lock();
        f.debug_struct("Receiver")
            .field("sent", &state.item.is_some())
            .field("has_sender", &state.has_sender)
            .finish_non_exhaustive()
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a mut Receiver<T>,
    called: Called,
    /// It has left a waker.
    waiting: bool,
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        handed(true, this.called, cx, |cx, gate| {
            let channel = &this.receiver.channel;
            if gate == Gate::Shut && !(this.waiting && context::is_in_time(channel.lock().woken_at)) {
                return Poll::Pending;
            }
            let new = cx.waker().clone();
            let mut state = channel.lock();
            if let Some(received) = state.take() {
                drop(state);
                return Poll::Ready(received);
            }
            let old = state.receiving.replace(new);
            drop(state);
            drop(old);
            this.waiting = true;
            Poll::Pending
        })
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        let waker = self.receiver.channel.lock().receiving.take();
        drop(waker);
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture").field("called", &self.called).finish_non_exhaustive()
    }
}

/// The news that no receiver is left.
struct Gone<'a, T>(&'a Sender<T>);

impl<T> News for Gone<'_, T> {
    type Item = ();

    const TAKES: bool = false;

    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<(), Option<Waker>> {
        let mut state = self.0.channel.lock();
        if !state.has_receiver { Ok(()) } else { Err(state.watching.wait(key, waker)) }
    }

    fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        self.0.channel.lock().watching.woken_at(key)
    }

    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        self.0.channel.lock().watching.leave(key)
    }
}
