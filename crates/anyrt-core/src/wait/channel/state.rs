//! What the two kinds of ends of a channel share.

use std::collections::VecDeque;

use super::error::SendError;
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::wait::queue::Queue;

/// Invariant: while there are items no receiver waits, and while there is room no sender waits, not counting
/// waiters whose scope is cancelled.
pub(super) struct State<T> {
    pub(super) items: VecDeque<T>,
    pub(super) capacity: usize,
    /// The note of each is the number of its end.
    pub(super) receivers: Queue<Received<T>>,
    /// As with the receivers.
    pub(super) senders: Queue<Admission>,
    /// Rights to send that were given out and not used yet.
    pub(super) reserved: usize,
    /// Items that were handed over and not seen yet: they may come back.
    pub(super) in_hand: usize,
    /// Ends that are open.
    pub(super) open_senders: usize,
    pub(super) open_receivers: usize,
    /// The number of the next end.
    next_end: usize,
}

/// What a receiver gets.
pub(super) enum Received<T> {
    /// It was there.
    Taken(T),
    /// It was handed over: the waiter reports that it has seen it.
    Handed(T),
    EndOfStream,
    Closed,
}

/// What a sender gets.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Admission {
    /// It may send one item, and reports when it has.
    Admitted,
    Broken,
    Closed,
}

/// How a channel stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many items are in the buffer.
    pub buffered: usize,
    /// How many items the buffer holds; `usize::MAX` means no limit.
    pub capacity: usize,
    /// How many places are reserved by permits, and by sends that were admitted.
    pub reserved: usize,
    /// How many senders are open.
    pub senders: usize,
    /// How many receivers are open.
    pub receivers: usize,
    /// How many sends wait.
    pub waiting_senders: usize,
    /// How many receives wait.
    pub waiting_receivers: usize,
}

pub(super) struct Channel<T>(Mutex<State<T>>);

impl<T> Channel<T> {
    pub(super) fn new(capacity: usize) -> Arc<Channel<T>> {
        Arc::new(Channel(Mutex::new(State {
            items: VecDeque::new(),
            capacity,
            receivers: Queue::new(),
            senders: Queue::new(),
            reserved: 0,
            in_hand: 0,
            open_senders: 0,
            open_receivers: 0,
            next_end: 0,
        })))
    }

    /// Runs under the lock, and wakes after it.
    pub(super) fn with<R>(&self, run: impl FnOnce(&mut State<T>, &mut WakeList) -> R) -> R {
        let mut wakes = WakeList::default();
        let done = run(&mut self.0.lock(), &mut wakes);
        wakes.wake();
        done
    }

    pub(super) fn look<R>(&self, at: impl FnOnce(&State<T>) -> R) -> R {
        at(&self.0.lock())
    }
}

impl<T> State<T> {
    pub(super) fn number_end(&mut self) -> usize {
        self.next_end += 1;
        self.next_end
    }

    pub(super) fn statistics(&self) -> ChannelStatistics {
        ChannelStatistics {
            buffered: self.items.len(),
            capacity: self.capacity,
            reserved: self.reserved,
            senders: self.open_senders,
            receivers: self.open_receivers,
            waiting_senders: self.senders.len(),
            waiting_receivers: self.receivers.len(),
        }
    }

    /// Whether one more item may be sent. Without a buffer: to a waiting receiver.
    pub(super) fn has_room(&mut self) -> bool {
        if self.capacity > 0 {
            return self.items.len().saturating_add(self.reserved) < self.capacity;
        }
        self.items.is_empty() && self.receivers.live(self.reserved + 1) > self.reserved
    }

    /// Admits waiting senders, as far as there is room.
    pub(super) fn admit(&mut self, wakes: &mut WakeList) {
        while !self.senders.is_empty() && self.has_room() {
            let Ok(mut waker) = self.senders.serve(Admission::Admitted) else { break };
            self.reserved += 1;
            wakes.take(&mut waker);
        }
    }

    /// Whether a sender that is not in the queue may send now.
    pub(super) fn admits(&mut self, wakes: &mut WakeList) -> bool {
        // Waiters whose scope is cancelled must not stand in the way.
        self.admit(wakes);
        self.senders.is_empty() && self.has_room()
    }

    /// Hands an item to the longest waiter.
    pub(super) fn hand(&mut self, item: T, wakes: &mut WakeList) -> Result<(), T> {
        match self.receivers.serve(Received::Handed(item)) {
            Ok(mut waker) => {
                self.in_hand += 1;
                wakes.take(&mut waker);
                Ok(())
            }
            Err(Received::Taken(item) | Received::Handed(item)) => Err(item),
            Err(Received::EndOfStream | Received::Closed) => Ok(()),
        }
    }

    /// Hands an item over, or puts it at the end of the buffer.
    pub(super) fn put(&mut self, item: T, wakes: &mut WakeList) {
        if let Err(item) = self.hand(item, wakes) {
            self.items.push_back(item);
        }
    }

    /// An item that was handed over and not seen comes back. Returned if it cannot be received any more.
    pub(super) fn put_back(&mut self, item: T, wakes: &mut WakeList) -> Option<T> {
        self.in_hand -= 1;
        let left = if self.open_receivers == 0 {
            Some(item)
        } else {
            if let Err(item) = self.hand(item, wakes) {
                self.items.push_front(item);
            }
            None
        };
        self.tell_end(wakes);
        left
    }

    /// The next item of the buffer.
    pub(super) fn take(&mut self, wakes: &mut WakeList) -> Option<T> {
        let item = self.items.pop_front()?;
        self.admit(wakes);
        Some(item)
    }

    /// Whether no item is left, and none will come.
    pub(super) fn has_ended(&self) -> bool {
        self.open_senders == 0 && self.items.is_empty() && self.in_hand == 0
    }

    /// Tells waiting receivers if the stream has ended.
    pub(super) fn tell_end(&mut self, wakes: &mut WakeList) {
        if self.has_ended() {
            self.receivers.answer(|_| true, || Received::EndOfStream, wakes);
        }
    }

    /// Closes the receiving end with this number. Returns the items that can never be received.
    pub(super) fn close_receiver(&mut self, end: usize, wakes: &mut WakeList) -> VecDeque<T> {
        self.open_receivers -= 1;
        self.receivers.answer(|of| of == end, || Received::Closed, wakes);
        if self.open_receivers > 0 {
            return VecDeque::new();
        }
        self.senders.answer(|_| true, || Admission::Broken, wakes);
        std::mem::take(&mut self.items)
    }

    pub(super) fn close_sender(&mut self, end: usize, wakes: &mut WakeList) {
        self.open_senders -= 1;
        self.senders.answer(|of| of == end, || Admission::Closed, wakes);
        self.tell_end(wakes);
    }
}

impl Admission {
    /// Whether `item` may be sent.
    pub(super) fn permits<T>(self, item: T) -> Result<T, SendError<T>> {
        match self {
            Admission::Admitted => Ok(item),
            Admission::Broken => Err(SendError::Broken(item)),
            Admission::Closed => Err(SendError::Closed(item)),
        }
    }
}
