//! A channel whose every item goes to every receiver.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::error::SendError;
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::tree::moment::Moment;
use crate::wait::WouldBlock;
use crate::wait::wakers::{Look, News, WakerKey, WakerSet};

/// A channel whose every item goes to every receiver that was there when it was sent.
///
/// Sending never waits: the channel keeps the last `capacity` items that a receiver has not seen yet. A
/// receiver that lags further behind is told how many it missed, and goes on with the oldest that is kept. So
/// one slow receiver stops no other task, as async-broadcast's back-pressure would; and an item that all have
/// seen is dropped at once, which tokio's ring would keep. Where nothing may be missed, give each receiver a
/// [`bounded`](super::bounded()) channel of its own.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::channel::{self, broadcast::RecvError};
///
/// let (sender, mut fast) = channel::broadcast(2);
/// let mut slow = sender.subscribe();
/// for number in 1..=4 {
///     sender.send(number).unwrap();
///     assert_eq!(fast.recv().await, Ok(number));
/// }
/// assert_eq!(slow.recv().await, Err(RecvError::Lagged(2)));
/// assert_eq!(slow.recv().await, Ok(3));
/// # });
/// ```
///
/// # Panics
///
/// When `capacity` is zero.
#[track_caller]
pub fn broadcast<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel keeps one item at least: give it a capacity");
    let channel = Arc::new(Mutex::new(BroadcastState {
        kept: VecDeque::new(),
        first: 0,
        capacity,
        senders: 1,
        receivers: 1,
        waiting: WakerSet::default(),
    }));
    (Sender { channel: channel.clone() }, Receiver { channel, next: 0 })
}

struct BroadcastState<T> {
    /// The items that some receiver has not seen, oldest first; so the first one is always unseen.
    kept: VecDeque<Kept<T>>,
    /// The number of the first of them; if there are none, that of the next item.
    first: u64,
    capacity: usize,
    senders: usize,
    receivers: usize,
    waiting: WakerSet,
}

struct Kept<T> {
    /// Cloned for a receiver outside of the lock.
    item: Arc<T>,
    /// How many receivers have not seen it.
    unseen: usize,
}

type Channel<T> = Arc<Mutex<BroadcastState<T>>>;

/// The sending end of a [`broadcast()`] channel.
pub struct Sender<T> {
    channel: Channel<T>,
}

/// A receiving end of a [`broadcast()`] channel. A clone goes on from the same item.
pub struct Receiver<T> {
    channel: Channel<T>,
    /// The number of the item that this receiver sees next.
    next: u64,
}

/// Why a receiver has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// It was too slow: that many items are gone that it has not seen. It goes on with the next that is kept.
    #[error("{0} items were missed: the receiver lags behind by more than the capacity of the channel")]
    Lagged(u64),
    /// It has seen all items, and no sender is left.
    #[error("no sender is left, and no item")]
    EndOfStream,
}

/// Why [`Receiver::try_recv`] has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// It has seen all items that were sent.
    #[error(transparent)]
    WouldBlock(#[from] WouldBlock),
    /// As [`RecvError::Lagged`].
    #[error("{0} items were missed: the receiver lags behind by more than the capacity of the channel")]
    Lagged(u64),
    /// As [`RecvError::EndOfStream`].
    #[error("no sender is left, and no item")]
    EndOfStream,
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => TryRecvError::Lagged(missed),
            RecvError::EndOfStream => TryRecvError::EndOfStream,
        }
    }
}

/// How a [`broadcast()`] channel stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStatistics {
    /// How many items are kept, because some receiver has not seen them.
    pub buffered: usize,
    /// How many are kept at most.
    pub capacity: usize,
    /// How many senders there are.
    pub senders: usize,
    /// How many receivers there are.
    pub receivers: usize,
    /// How many receivers wait.
    pub waiting_receivers: usize,
}

impl<T> Sender<T> {
    /// Sends `item` to every receiver. Returns how many there are.
    ///
    /// # Errors
    ///
    /// The item comes back when there are no receivers. There may be some later:
    /// [`subscribe`](Sender::subscribe).
    pub fn send(&self, item: T) -> Result<usize, SendError<T>> {
        let mut wakes = WakeList::default();
        let (receivers, oldest) = {
            let mut state = self.channel.lock();
            if state.receivers == 0 {
                return Err(SendError::Broken(item));
            }
            let oldest = (state.kept.len() == state.capacity).then(|| state.drop_first());
            let unseen = state.receivers;
            state.kept.push_back(Kept { item: Arc::new(item), unseen });
            state.waiting.wake_all(&mut wakes);
            (unseen, oldest)
        };
        wakes.wake();
        // Its destructor is user code: not under the lock.
        drop(oldest);
        Ok(receivers)
    }

    /// Makes one more receiver, which sees what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.channel.lock();
        state.receivers += 1;
        Receiver { channel: self.channel.clone(), next: state.end() }
    }

    /// How the channel stands.
    pub fn statistics(&self) -> BroadcastStatistics {
        self.channel.lock().statistics()
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

impl<T: Clone> Receiver<T> {
    /// Receives the next item. A checkpoint: in a cancelled scope it receives nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: it missed some items, and goes on behind them; or no sender is left, and it has seen all.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing.
    #[track_caller]
    pub fn recv(&mut self) -> RecvFuture<'_, T> {
        RecvFuture { look: Look::new(Next(self), Location::caller()) }
    }

    /// Receives the next item, if it was sent.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let taken = self.channel.lock().take(&mut self.next);
        match taken {
            Some(item) => Ok(Arc::unwrap_or_clone(item?)),
            None => Err(WouldBlock.into()),
        }
    }
}

impl<T> Receiver<T> {
    /// How many items it has not seen, counting those that it missed.
    pub fn len(&self) -> u64 {
        self.channel.lock().end() - self.next
    }

    /// Whether it has seen all items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the channel stands.
    pub fn statistics(&self) -> BroadcastStatistics {
        self.channel.lock().statistics()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut state = self.channel.lock();
        state.receivers += 1;
        for kept in state.unseen_from(self.next) {
            kept.unseen += 1;
        }
        Receiver { channel: self.channel.clone(), next: self.next }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let seen: Vec<_> = {
            let mut state = self.channel.lock();
            state.receivers -= 1;
            for kept in state.unseen_from(self.next) {
                kept.unseen -= 1;
            }
            std::iter::from_fn(|| state.drop_seen()).collect()
        };
        // Its destructor is user code: not under the lock.
        drop(seen);
    }
}

impl<T> BroadcastState<T> {
    /// The number of the next item that is sent.
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn unseen_from(&mut self, next: u64) -> impl Iterator<Item = &mut Kept<T>> {
        let skipped = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.iter_mut().skip(skipped)
    }

    fn drop_first(&mut self) -> Option<Kept<T>> {
        let first = self.kept.pop_front()?;
        self.first += 1;
        Some(first)
    }

    /// Takes out the first item, if all receivers have seen it.
    fn drop_seen(&mut self) -> Option<Kept<T>> {
        if self.kept.front()?.unseen > 0 {
            return None;
        }
        self.drop_first()
    }

    /// What a receiver sees next; none if it has seen all.
    fn take(&mut self, next: &mut u64) -> Option<Result<Arc<T>, RecvError>> {
        if *next < self.first {
            let missed = self.first - std::mem::replace(next, self.first);
            return Some(Err(RecvError::Lagged(missed)));
        }
        let Some(kept) = self.unseen_from(*next).next() else {
            return (self.senders == 0).then_some(Err(RecvError::EndOfStream));
        };
        kept.unseen -= 1;
        let item = kept.item.clone();
        *next += 1;
        // Runs no user code: the item has another reference here.
        drop(self.drop_seen());
        Some(Ok(item))
    }

    fn statistics(&self) -> BroadcastStatistics {
        BroadcastStatistics {
            buffered: self.kept.len(),
            capacity: self.capacity,
            senders: self.senders,
            receivers: self.receivers,
            waiting_receivers: self.waiting.len(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T> {
    look: Look<Next<'a, T>>,
}

impl<T: Clone> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.look.poll_look(cx).map_ok(Arc::unwrap_or_clone)
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvFuture").field(&self.look).finish()
    }
}

/// The next item for this receiver.
struct Next<'a, T>(&'a mut Receiver<T>);

impl<T> News for Next<'_, T> {
    type Item = Result<Arc<T>, RecvError>;

    const TAKES: bool = true;

    fn look(&mut self, key: &mut WakerKey, waker: Waker) -> Result<Self::Item, Option<Waker>> {
        let Receiver { channel, next } = &mut *self.0;
        let mut state = channel.lock();
        match state.take(next) {
            Some(taken) => Ok(taken),
            None => Err(state.waiting.wait(key, waker)),
        }
    }

    fn woken_at(&self, key: &WakerKey) -> Option<Moment> {
        self.0.channel.lock().waiting.woken_at(key)
    }

    fn leave(&mut self, key: &mut WakerKey) -> Option<Waker> {
        self.0.channel.lock().waiting.leave(key)
    }
}
