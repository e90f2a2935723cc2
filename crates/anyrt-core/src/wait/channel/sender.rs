//! The sending end.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::adapters::SenderSink;
use super::error::{SendError, TrySendError};
use super::state::{Admission, Channel, ChannelStatistics, State};
use crate::base::sync::Arc;
use crate::base::sync::atomic::AtomicBool;
use crate::base::sync::atomic::Ordering::Relaxed;
use crate::base::wake_list::WakeList;
use crate::wait::queue::{Supply, Take, Ticket};

/// The sending end of a [`bounded`](super::bounded()) or [`unbounded`](super::unbounded()) channel.
pub struct Sender<T> {
    end: Arc<SendEnd<T>>,
}

/// Open until it is closed, or the last reference to it is dropped, that of a waiting call included.
pub(super) struct SendEnd<T> {
    channel: Arc<Channel<T>>,
    number: usize,
    /// Read and changed under the lock of the channel.
    closed: AtomicBool,
}

impl<T> Sender<T> {
    pub(super) fn first(channel: Arc<Channel<T>>) -> Sender<T> {
        Sender::of(channel, &AtomicBool::new(false))
    }

    /// Makes one more end, open if `like` is.
    fn of(channel: Arc<Channel<T>>, like: &AtomicBool) -> Sender<T> {
        let (number, closed) = channel.with(|state, _| {
            let closed = like.load(Relaxed);
            state.open_senders += usize::from(!closed);
            (state.number_end(), closed)
        });
        Sender { end: Arc::new(SendEnd { channel, number, closed: AtomicBool::new(closed) }) }
    }

    /// Sends `item`, when there is room, in strict order of asking. A checkpoint: in a cancelled scope it
    /// sends nothing.
    ///
    /// # Errors
    ///
    /// The item comes back in [`SendError`] when no receiver is left, or this end was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has sent nothing; the item is dropped with it. Where the item must
    /// not be lost, [`reserve`](Sender::reserve) first.
    #[track_caller]
    pub fn send(&self, item: T) -> SendFuture<T> {
        SendFuture { take: Take::new(Admissions(self.end.clone()), Location::caller()), item: Some(item) }
    }

    /// Sends `item`, if there is room and no sender waits. Without a buffer: if a receiver waits.
    ///
    /// # Errors
    ///
    /// The item comes back.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.end.channel.with(|state, wakes| {
            let item = self.end.admission(state).permits(item)?;
            if !state.admits(wakes) {
                return Err(TrySendError::WouldBlock(item));
            }
            match state.hand(item, wakes) {
                Ok(()) => Ok(()),
                // The receiver that waited was cancelled meanwhile.
                Err(item) if state.capacity == 0 => Err(TrySendError::WouldBlock(item)),
                Err(item) => {
                    state.items.push_back(item);
                    Ok(())
                }
            }
        })
    }

    /// Waits for the right to send one item: so the item need not be made before there is room for it.
    ///
    /// Without a buffer it waits for a receiver. If that receiver is gone when the permit is used, the item
    /// waits in the channel for the next.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// let (sender, receiver) = anyrt_core::channel::bounded(1);
    /// let permit = sender.reserve().await.unwrap();
    /// assert!(sender.try_send("another").is_err(), "the place is taken");
    /// permit.send("made when there is room").unwrap();
    /// assert_eq!(receiver.recv().await, Ok("made when there is room"));
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`] when no receiver is left, or this end was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue; a right that it was handed goes on to the next.
    #[track_caller]
    pub fn reserve(&self) -> ReserveFuture<T> {
        ReserveFuture { take: Take::new(Admissions(self.end.clone()), Location::caller()) }
    }

    /// Takes the right to send one item, if there is room and no sender waits.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] otherwise.
    pub fn try_reserve(&self) -> Result<SendPermit<T>, TrySendError<()>> {
        self.end.channel.with(|state, wakes| {
            self.end.admission(state).permits(())?;
            if !state.admits(wakes) {
                return Err(TrySendError::WouldBlock(()));
            }
            state.reserved += 1;
            Ok(SendPermit { end: Some(self.end.clone()) })
        })
    }

    /// Closes this end, as if it were dropped: its waiting and later calls get `Closed`. Other ends are not
    /// affected.
    pub fn close(&self) {
        self.end.close();
    }

    /// Whether nothing can be sent here any more: this end was closed, or no receiver is left.
    pub fn is_closed(&self) -> bool {
        self.end.channel.look(|state| self.end.admission(state) != Admission::Admitted)
    }

    /// How many items are in the buffer.
    pub fn len(&self) -> usize {
        self.end.channel.look(|state| state.items.len())
    }

    /// Whether no item is in the buffer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sends wait.
    pub fn waiting(&self) -> usize {
        self.end.channel.look(|state| state.senders.len())
    }

    /// How the channel stands.
    pub fn statistics(&self) -> ChannelStatistics {
        self.end.channel.look(State::statistics)
    }

    /// A `Sink`, which takes an item when there is room for it.
    #[track_caller]
    pub fn into_sink(self) -> SenderSink<T> {
        SenderSink::new(Take::new(Admissions(self.end), Location::caller()))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender::of(self.end.channel.clone(), &self.end.closed)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

impl<T> SendEnd<T> {
    pub(super) fn close(&self) {
        self.channel.with(|state, wakes| {
            if !self.closed.swap(true, Relaxed) {
                state.close_sender(self.number, wakes);
            }
        });
    }

    /// Whether this end can send at all.
    fn admission(&self, state: &State<T>) -> Admission {
        if self.closed.load(Relaxed) {
            Admission::Closed
        } else if state.open_receivers == 0 {
            Admission::Broken
        } else {
            Admission::Admitted
        }
    }

    /// Uses a right to send. If this end was closed meanwhile, the right goes on to the next sender.
    fn use_right(&self, state: &mut State<T>, item: T, wakes: &mut WakeList) -> Result<T, SendError<T>> {
        state.reserved -= 1;
        let permitted = self.admission(state).permits(item);
        if permitted.is_err() {
            state.admit(wakes);
        }
        permitted
    }

    /// Gives back a right that was not used.
    fn give_back(&self) {
        self.channel.with(|state, wakes| {
            state.reserved -= 1;
            state.admit(wakes);
        });
    }
}

impl<T> Drop for SendEnd<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The rights to send, as this end takes them.
pub(super) struct Admissions<T>(Arc<SendEnd<T>>);

impl<T> Admissions<T> {
    pub(super) fn end(&self) -> &Arc<SendEnd<T>> {
        &self.0
    }

    fn take(&self, state: &mut State<T>, wakes: &mut WakeList, first: bool) -> Option<Admission> {
        let admission = self.0.admission(state);
        if admission != Admission::Admitted {
            return Some(admission);
        }
        state.admit(wakes);
        let taken = !state.senders.is_before(first) && state.has_room();
        state.reserved += usize::from(taken);
        taken.then_some(admission)
    }
}

impl<T> Supply for Admissions<T> {
    type Item = Admission;

    fn try_take(&self) -> Option<Admission> {
        self.0.channel.with(|state, wakes| self.take(state, wakes, false))
    }

    fn note(&self) -> usize {
        self.0.number
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<Admission>>, first: bool) -> Option<Admission> {
        self.0.channel.with(|state, wakes| {
            let taken = self.take(state, wakes, first);
            if taken.is_none() {
                state.senders.join(ticket.clone(), first);
            }
            taken
        })
    }

    fn leave(&self, ticket: &Arc<Ticket<Admission>>) {
        self.0.channel.with(|state, wakes| {
            if state.senders.remove(ticket) == Some(Admission::Admitted) {
                state.reserved -= 1;
                state.admit(wakes);
            }
        });
    }
}

/// The future of [`Sender::send`].
#[must_use = "futures do nothing unless polled"]
pub struct SendFuture<T> {
    take: Take<Admissions<T>>,
    /// None once it was sent.
    item: Option<T>,
}

/// Nothing in it is pinned.
impl<T> Unpin for SendFuture<T> {}

impl<T> Future for SendFuture<T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.item.is_some(), "a send was polled again after it was ready");
        loop {
            let admission = ready!(this.take.poll_take(cx));
            let Some(item) = this.item.take() else { return Poll::Ready(Ok(())) };
            let item = match admission.permits(item) {
                Ok(item) => item,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let end = this.take.supply().end();
            let sent = end.channel.with(|state, wakes| {
                let item = end.use_right(state, item, wakes)?;
                match state.hand(item, wakes) {
                    Ok(()) => Ok(None),
                    // It was admitted to meet a receiver, and that receiver is gone: it waits on, first in the
                    // queue.
                    Err(item) if state.capacity == 0 => Ok(Some(item)),
                    Err(item) => {
                        state.items.push_back(item);
                        Ok(None)
                    }
                }
            });
            match sent {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(again) => this.item = again,
                Err(error) => return Poll::Ready(Err(error)),
            }
            this.take.go_first();
        }
    }
}

impl<T> fmt::Debug for SendFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendFuture").field(&self.take).finish()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "futures do nothing unless polled"]
pub struct ReserveFuture<T> {
    take: Take<Admissions<T>>,
}

impl<T> Future for ReserveFuture<T> {
    type Output = Result<SendPermit<T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let admission = ready!(self.take.poll_take(cx));
        Poll::Ready(admission.permits(()).map(|()| SendPermit::of(self.take.supply())))
    }
}

impl<T> fmt::Debug for ReserveFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReserveFuture").field(&self.take).finish()
    }
}

/// The right to send one item; dropped, it goes on to the next waiting sender.
#[must_use = "the place is given back when it is dropped"]
pub struct SendPermit<T> {
    /// None once it was used.
    end: Option<Arc<SendEnd<T>>>,
}

impl<T> SendPermit<T> {
    pub(super) fn of(admitted: &Admissions<T>) -> SendPermit<T> {
        SendPermit { end: Some(admitted.end().clone()) }
    }

    /// Sends the item, without a wait.
    ///
    /// # Errors
    ///
    /// The item comes back when no receiver is left, or the sender was closed.
    pub fn send(mut self, item: T) -> Result<(), SendError<T>> {
        let Some(end) = self.end.take() else { return Ok(()) };
        end.channel.with(|state, wakes| {
            let item = end.use_right(state, item, wakes)?;
            state.put(item, wakes);
            Ok(())
        })
    }
}

impl<T> Drop for SendPermit<T> {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            end.give_back();
        }
    }
}

impl<T> fmt::Debug for SendPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendPermit").finish_non_exhaustive()
    }
}
