//! The receiving end.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::adapters::ReceiverStream;
use super::error::{RecvError, TryRecvError};
use super::state::{Channel, ChannelStatistics, Received, State};
use crate::base::sync::Arc;
use crate::base::sync::atomic::AtomicBool;
use crate::base::sync::atomic::Ordering::Relaxed;
use crate::base::wake_list::WakeList;
use crate::wait::WouldBlock;
use crate::wait::queue::{Supply, Take, Ticket};

/// The receiving end of a [`bounded`](super::bounded()) or [`unbounded`](super::unbounded()) channel; each
/// item goes to one of the clones.
pub struct Receiver<T> {
    end: Arc<ReceiveEnd<T>>,
}

/// Open until it is closed, or the last reference to it is dropped, that of a waiting call included.
pub(super) struct ReceiveEnd<T> {
    channel: Arc<Channel<T>>,
    number: usize,
    /// Read and changed under the lock of the channel.
    closed: AtomicBool,
}

impl<T> Receiver<T> {
    pub(super) fn first(channel: Arc<Channel<T>>) -> Receiver<T> {
        Receiver::of(channel, &AtomicBool::new(false))
    }

    /// Makes one more end, open if `like` is.
    fn of(channel: Arc<Channel<T>>, like: &AtomicBool) -> Receiver<T> {
        let (number, closed) = channel.with(|state, _| {
            let closed = like.load(Relaxed);
            state.open_receivers += usize::from(!closed);
            (state.number_end(), closed)
        });
        Receiver { end: Arc::new(ReceiveEnd { channel, number, closed: AtomicBool::new(closed) }) }
    }

    /// Receives the next item, in strict order of asking. A checkpoint: in a cancelled scope it receives
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when no item is left and no sender, or this end was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing: an item that it was handed goes to the next, or
    /// back to the head of the buffer.
    #[track_caller]
    pub fn recv(&self) -> RecvFuture<T> {
        RecvFuture { take: Take::new(Items(self.end.clone()), Location::caller()) }
    }

    /// Receives an item, if one is in the buffer. Without a buffer only [`recv`](Receiver::recv) meets a
    /// sender.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.end.channel.with(|state, wakes| self.end.take(state, wakes)) {
            Some(received) => Ok(self.end.see(received)?),
            None => Err(WouldBlock.into()),
        }
    }

    /// Closes this end, as if it were dropped: its waiting and later calls get `Closed`. Other ends are not
    /// affected.
    pub fn close(&self) {
        self.end.close();
    }

    /// Whether nothing can be received here any more: this end was closed, or the stream has ended.
    pub fn is_closed(&self) -> bool {
        self.end.channel.look(|state| self.end.closed.load(Relaxed) || state.has_ended())
    }

    /// How many items are in the buffer.
    pub fn len(&self) -> usize {
        self.end.channel.look(|state| state.items.len())
    }

    /// Whether no item is in the buffer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receives wait.
    pub fn waiting(&self) -> usize {
        self.end.channel.look(|state| state.receivers.len())
    }

    /// How the channel stands.
    pub fn statistics(&self) -> ChannelStatistics {
        self.end.channel.look(State::statistics)
    }

    /// A `Stream` of the items, which ends when the channel does.
    #[track_caller]
    pub fn into_stream(self) -> ReceiverStream<T> {
        ReceiverStream::new(Take::new(Items(self.end), Location::caller()))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver::of(self.end.channel.clone(), &self.end.closed)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

impl<T> ReceiveEnd<T> {
    fn close(&self) {
        let left = self.channel.with(|state, wakes| {
            if self.closed.swap(true, Relaxed) {
                Default::default()
            } else {
                state.close_receiver(self.number, wakes)
            }
        });
        // Its destructor is user code: not under the lock.
        drop(left);
    }

    /// What is there for this end.
    fn take(&self, state: &mut State<T>, wakes: &mut WakeList) -> Option<Received<T>> {
        if self.closed.load(Relaxed) {
            return Some(Received::Closed);
        }
        match state.take(wakes) {
            Some(item) => Some(Received::Taken(item)),
            None => state.has_ended().then_some(Received::EndOfStream),
        }
    }

    /// The receiver has seen what it was given.
    fn see(&self, received: Received<T>) -> Result<T, RecvError> {
        match received {
            Received::Taken(item) => Ok(item),
            Received::Handed(item) => {
                self.channel.with(|state, wakes| {
                    state.in_hand -= 1;
                    state.tell_end(wakes);
                });
                Ok(item)
            }
            Received::EndOfStream => Err(RecvError::EndOfStream),
            Received::Closed => Err(RecvError::Closed),
        }
    }
}

impl<T> Drop for ReceiveEnd<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The items of a channel, as this end takes them.
pub(super) struct Items<T>(Arc<ReceiveEnd<T>>);

impl<T> Supply for Items<T> {
    type Item = Received<T>;

    fn try_take(&self) -> Option<Received<T>> {
        self.0.channel.with(|state, wakes| self.0.take(state, wakes))
    }

    fn note(&self) -> usize {
        self.0.number
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<Received<T>>>, first: bool) -> Option<Received<T>> {
        self.0.channel.with(|state, wakes| {
            let taken = self.0.take(state, wakes);
            if taken.is_none() {
                state.receivers.join(ticket.clone(), first);
                // Without a buffer: a sender may hand it an item now.
                state.admit(wakes);
            }
            taken
        })
    }

    fn leave(&self, ticket: &Arc<Ticket<Received<T>>>) {
        let left = self.0.channel.with(|state, wakes| match state.receivers.remove(ticket) {
            Some(Received::Handed(item)) => state.put_back(item, wakes),
            _ => None,
        });
        // Its destructor is user code: not under the lock.
        drop(left);
    }
}

/// The next item, once it is there.
pub(super) fn poll_next<T>(take: &mut Take<Items<T>>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
    let received = ready!(take.poll_take(cx));
    Poll::Ready(take.supply().0.see(received))
}

/// The future of [`Receiver::recv`].
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<T> {
    take: Take<Items<T>>,
}

impl<T> Future for RecvFuture<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_next(&mut self.take, cx)
    }
}

impl<T> fmt::Debug for RecvFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvFuture").field(&self.take).finish()
    }
}
