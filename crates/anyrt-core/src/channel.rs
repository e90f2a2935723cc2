//! A bounded channel that obeys the rule of cancellation.
//!
//! Ours and not async-channel's: an item is handed to the receiver that has waited longest and
//! whose scope is not cancelled, and one that was handed over is never lost.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;

use crate::blocking::WouldBlock;
use crate::queue::{Queue, Supply, Take, Ticket};
use crate::sync::{Arc, Mutex};
use crate::wake::WakeList;

/// A channel for at most `capacity` items on their way; with zero every send waits for a receiver.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        items: VecDeque::new(),
        capacity,
        receivers: Queue::new(),
        senders: Queue::new(),
        reserved: 0,
        sender_count: 1,
        receiver_count: 1,
    };
    let channel = Arc::new(Mutex::new(state));
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// Invariant: nobody waits for what is there: with items no receiver waits, with room no sender,
/// but for waiters whose scope is cancelled.
struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    /// Handed an item, or the news that none will come.
    receivers: Queue<Option<T>>,
    /// Handed the right to send one item, or the news that nobody will receive it.
    senders: Queue<bool>,
    /// Rights to send that were handed out and not used yet.
    reserved: usize,
    sender_count: usize,
    receiver_count: usize,
}

impl<T> State<T> {
    /// Whether one more sender may be told to send.
    fn has_room(&self) -> bool {
        self.items.len() + self.reserved < self.capacity.max(self.receivers.len())
    }

    fn admit_senders(&mut self, wakes: &mut WakeList) {
        while self.has_room() {
            match self.senders.serve(true) {
                Ok(mut waker) => {
                    self.reserved += 1;
                    wakes.take(&mut waker);
                }
                Err(_) => break,
            }
        }
    }

    /// Hands an item to who has waited longest; else it waits, at its place in the order.
    fn deliver(&mut self, item: T, again: bool, wakes: &mut WakeList) {
        match self.receivers.serve(Some(item)) {
            Ok(mut waker) => wakes.take(&mut waker),
            Err(Some(item)) if again => self.items.push_front(item),
            Err(Some(item)) => self.items.push_back(item),
            Err(None) => (),
        }
    }
}

type Channel<T> = Arc<Mutex<State<T>>>;

/// Runs under the channel's lock, and wakes after it.
fn with<T, R>(channel: &Channel<T>, run: impl FnOnce(&mut State<T>, &mut WakeList) -> R) -> R {
    let mut wakes = WakeList::default();
    let done = run(&mut channel.lock(), &mut wakes);
    wakes.wake();
    done
}

/// The sending end of a [`bounded`] channel.
pub struct Sender<T> {
    channel: Channel<T>,
}

/// The receiving end of a [`bounded`] channel; each item goes to one of the clones.
pub struct Receiver<T> {
    channel: Channel<T>,
}

/// The item comes back: no receiver is left.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no receiver is left")]
pub struct SendError<T>(pub T);

/// Why [`Sender::try_send`] gave the item back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no room, or others wait to send.
    #[error("the channel is full")]
    WouldBlock(T),
    /// No receiver is left.
    #[error("no receiver is left")]
    Closed(T),
}

/// No item is left, and no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no sender is left, and no item")]
pub struct RecvError;

/// Why [`Receiver::try_recv`] has no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// None is there now.
    #[error(transparent)]
    WouldBlock(#[from] WouldBlock),
    /// None is there, and no sender.
    #[error(transparent)]
    Closed(#[from] RecvError),
}

struct Sending<T>(Channel<T>);

impl<T> Supply for Sending<T> {
    type Item = bool;

    fn take_or_join(&self, ticket: &Arc<Ticket<bool>>, first: bool) -> Option<bool> {
        let mut state = self.0.lock();
        if state.receiver_count == 0 {
            return Some(false);
        }
        if state.has_room() && state.senders.is_empty() {
            state.reserved += 1;
            return Some(true);
        }
        state.senders.join(ticket.clone(), first);
        None
    }

    fn leave(&self, ticket: &Arc<Ticket<bool>>) {
        with(&self.0, |state, wakes| {
            state.senders.remove(ticket);
            if ticket.retire() == Some(true) {
                state.reserved -= 1;
                state.admit_senders(wakes);
            }
        });
    }
}

struct Receiving<T>(Channel<T>);

impl<T> Supply for Receiving<T> {
    type Item = Option<T>;

    fn take_or_join(&self, ticket: &Arc<Ticket<Option<T>>>, first: bool) -> Option<Option<T>> {
        with(&self.0, |state, wakes| {
            if let Some(item) = state.items.pop_front() {
                state.admit_senders(wakes);
                return Some(Some(item));
            }
            if state.sender_count == 0 {
                return Some(None);
            }
            state.receivers.join(ticket.clone(), first);
            state.admit_senders(wakes);
            None
        })
    }

    fn leave(&self, ticket: &Arc<Ticket<Option<T>>>) {
        with(&self.0, |state, wakes| {
            state.receivers.remove(ticket);
            if let Some(Some(item)) = ticket.retire() {
                state.deliver(item, true, wakes);
            }
        });
    }
}

impl<T> Sender<T> {
    /// Sends `item`, when there is room, in strict order of asking.
    ///
    /// # Errors
    ///
    /// The item comes back in [`SendError`] when no receiver is left.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has sent nothing; the item is dropped with it.
    #[track_caller]
    pub fn send(&self, item: T) -> impl Future<Output = Result<(), SendError<T>>> {
        let mut take = Take::new(Sending(self.channel.clone()), Location::caller());
        async move {
            if !poll_fn(|cx| take.poll_take(cx)).await {
                return Err(SendError(item));
            }
            with(&self.channel, |state, wakes| {
                state.reserved -= 1;
                if state.receiver_count == 0 {
                    return Err(SendError(item));
                }
                state.deliver(item, false, wakes);
                Ok(())
            })
        }
    }

    /// Sends `item`, if there is room and nobody waits to send.
    ///
    /// # Errors
    ///
    /// The item comes back.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        with(&self.channel, |state, wakes| {
            if state.receiver_count == 0 {
                return Err(TrySendError::Closed(item));
            }
            if !state.has_room() || !state.senders.is_empty() {
                return Err(TrySendError::WouldBlock(item));
            }
            state.deliver(item, false, wakes);
            Ok(())
        })
    }
}

impl<T> Receiver<T> {
    /// Receives the next item, in strict order of asking.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when no item is left and no sender.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing: an item that it was handed goes to the next.
    #[track_caller]
    pub fn recv(&self) -> impl Future<Output = Result<T, RecvError>> {
        let mut take = Take::new(Receiving(self.channel.clone()), Location::caller());
        async move { poll_fn(|cx| take.poll_take(cx)).await.ok_or(RecvError) }
    }

    /// Receives an item, if one is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        with(&self.channel, |state, wakes| match state.items.pop_front() {
            Some(item) => {
                state.admit_senders(wakes);
                Ok(item)
            }
            None if state.sender_count == 0 => Err(RecvError.into()),
            None => Err(WouldBlock.into()),
        })
    }

    /// How many items are on their way.
    pub fn len(&self) -> usize {
        self.channel.lock().items.len()
    }

    /// Whether no item is on its way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait to receive.
    pub fn waiting(&self) -> usize {
        self.channel.lock().receivers.len()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.lock().sender_count += 1;
        Sender { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        with(&self.channel, |state, wakes| {
            state.sender_count -= 1;
            while state.sender_count == 0
                && let Ok(mut waker) = state.receivers.serve(None)
            {
                wakes.take(&mut waker);
            }
        });
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.lock().receiver_count += 1;
        Receiver { channel: self.channel.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = with(&self.channel, |state, wakes| {
            state.receiver_count -= 1;
            if state.receiver_count > 0 {
                return VecDeque::new();
            }
            while let Ok(mut waker) = state.senders.serve(false) {
                wakes.take(&mut waker);
            }
            std::mem::take(&mut state.items)
        });
        drop(left);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.channel.lock();
        f.debug_struct("Sender").field("items", &state.items.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.channel.lock();
        f.debug_struct("Receiver").field("items", &state.items.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            TrySendError::WouldBlock(_) => "WouldBlock",
            TrySendError::Closed(_) => "Closed",
        };
        f.write_str(name)
    }
}
