//! What they should do, in as few words as possible: everything that was ever sent, and how far each has come.

use std::collections::BTreeMap;

use crate::meeting::Model;
use crate::waiter::Seen;

/// What a receiver hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heard {
    Item(usize),
    Lagged(u64),
    End,
    Closed,
}

/// Those who wait, with the receiver that each was lent.
#[derive(Default)]
pub(crate) struct Waiters(BTreeMap<usize, Waits>);

struct Waits {
    receiver: usize,
    cancelled: bool,
    shielded: bool,
    /// It waits for an even number only.
    even: bool,
    /// Nothing has happened since it looked.
    asleep: bool,
    /// Something happened since it looked, and before it was cancelled.
    told: bool,
}

impl Waits {
    fn is_cancelled(&self) -> bool {
        self.cancelled && !self.shielded
    }
}

impl Waiters {
    fn begin(&mut self, id: usize, receiver: usize, even: bool) {
        let waits = Waits { receiver, cancelled: false, shielded: false, even, asleep: true, told: false };
        self.0.insert(id, waits);
    }

    pub(crate) fn cancel(&mut self, id: usize) {
        self.of(id).cancelled = true;
    }

    pub(crate) fn shield(&mut self, id: usize, up: bool) {
        let waits = self.of(id);
        // Too late for one who waited when it was cancelled.
        waits.shielded = up && !waits.is_cancelled();
    }

    fn of(&mut self, id: usize) -> &mut Waits {
        self.0.get_mut(&id).expect("it waits")
    }

    pub(crate) fn wake(&mut self) {
        for waits in self.0.values_mut() {
            waits.told |= waits.asleep && !waits.is_cancelled();
            waits.asleep = false;
        }
    }

    /// It looks, and there is nothing for it.
    fn sleeps(&mut self, id: usize) {
        let waits = self.of(id);
        (waits.asleep, waits.told) = (true, false);
    }

    fn asleep(&self) -> usize {
        self.0.values().filter(|waits| waits.asleep).count()
    }
}

pub(crate) struct Broadcast {
    capacity: usize,
    sent: Vec<usize>,
    pub(crate) senders: usize,
    /// How many each has seen or missed.
    receivers: BTreeMap<usize, usize>,
    next_receiver: usize,
    pub(crate) waiters: Waiters,
    /// Of those that ended, whose receiver comes back.
    ended: BTreeMap<usize, usize>,
}

impl Broadcast {
    pub(crate) fn new(capacity: usize) -> Broadcast {
        Broadcast {
            capacity,
            sent: Vec::new(),
            senders: 1,
            receivers: BTreeMap::from([(0, 0)]),
            next_receiver: 1,
            waiters: Waiters::default(),
            ended: BTreeMap::new(),
        }
    }

    pub(crate) fn send(&mut self, item: usize) -> Option<usize> {
        if self.receivers.is_empty() {
            return None;
        }
        self.sent.push(item);
        self.waiters.wake();
        Some(self.receivers.len())
    }

    pub(crate) fn take(&mut self, receiver: usize) -> Option<Heard> {
        let kept_from = self.sent.len().saturating_sub(self.capacity);
        let seen = self.receivers.get_mut(&receiver).expect("it exists");
        if *seen < kept_from {
            let missed = kept_from - std::mem::replace(seen, kept_from);
            return Some(Heard::Lagged(missed as u64));
        }
        match self.sent.get(*seen) {
            Some(item) => {
                *seen += 1;
                Some(Heard::Item(*item))
            }
            None => (self.senders == 0).then_some(Heard::End),
        }
    }

    pub(crate) fn ask(&mut self, id: usize, receiver: usize) -> Option<Heard> {
        let heard = self.take(receiver);
        if heard.is_none() {
            self.waiters.begin(id, receiver, false);
        } else {
            self.ended.insert(id, receiver);
        }
        heard
    }

    pub(crate) fn receiver_of(&self, id: usize) -> usize {
        self.ended[&id]
    }

    pub(crate) fn subscribe(&mut self) -> usize {
        self.add_receiver(self.sent.len())
    }

    pub(crate) fn clone_receiver(&mut self, of: usize) -> usize {
        self.add_receiver(self.receivers[&of])
    }

    fn add_receiver(&mut self, seen: usize) -> usize {
        self.receivers.insert(self.next_receiver, seen);
        self.next_receiver += 1;
        self.next_receiver - 1
    }

    pub(crate) fn drop_receiver(&mut self, receiver: usize) {
        self.receivers.remove(&receiver);
    }

    pub(crate) fn unseen(&self, receiver: usize) -> u64 {
        (self.sent.len() - self.receivers[&receiver]) as u64
    }

    /// Kept, senders, receivers, and who waits.
    pub(crate) fn statistics(&self) -> [usize; 4] {
        let unseen = self.receivers.values().map(|seen| self.sent.len() - seen).max().unwrap_or(0);
        [unseen.min(self.capacity), self.senders, self.receivers.len(), self.waiters.asleep()]
    }
}

impl Model for Broadcast {
    type Seen = Option<Heard>;

    fn poll(&mut self, id: usize) -> Seen<Option<Heard>> {
        let waits = self.waiters.of(id);
        let (receiver, cancelled) = (waits.receiver, waits.is_cancelled());
        let heard = if cancelled && !waits.told { None } else { self.take(receiver) };
        if heard.is_none() && !cancelled {
            self.waiters.sleeps(id);
            return Seen::Pending;
        }
        self.waiters.0.remove(&id);
        self.ended.insert(id, receiver);
        Seen::Ready(heard)
    }

    fn cancel(&mut self, id: usize) {
        self.waiters.cancel(id);
    }

    fn shield(&mut self, id: usize, up: bool) {
        self.waiters.shield(id, up);
    }

    fn leave(&mut self, id: usize) {
        let waits = self.waiters.0.remove(&id).expect("it waits");
        self.drop_receiver(waits.receiver);
    }

    fn wakes(&mut self, id: usize) -> bool {
        let senders = self.senders;
        let waits = self.waiters.of(id);
        !waits.asleep || waits.is_cancelled() || senders == 0
    }
}

pub(crate) struct Watch {
    values: Vec<usize>,
    pub(crate) senders: usize,
    /// How many values were there when each looked last.
    receivers: BTreeMap<usize, usize>,
    next_receiver: usize,
    pub(crate) waiters: Waiters,
    ended: BTreeMap<usize, usize>,
}

impl Watch {
    pub(crate) fn new(value: usize) -> Watch {
        Watch {
            values: vec![value],
            senders: 1,
            receivers: BTreeMap::from([(0, 1)]),
            next_receiver: 1,
            waiters: Waiters::default(),
            ended: BTreeMap::new(),
        }
    }

    fn latest(&self) -> usize {
        self.values[self.values.len() - 1]
    }

    pub(crate) fn send(&mut self, value: usize) -> usize {
        let old = self.latest();
        self.values.push(value);
        self.waiters.wake();
        old
    }

    fn take(&mut self, receiver: usize, even: bool, first: bool) -> Option<Heard> {
        let (latest, number) = (self.latest(), self.values.len());
        let seen = self.receivers.get_mut(&receiver).expect("it exists");
        let new = std::mem::replace(seen, number) != number || even && first;
        if new && (!even || latest.is_multiple_of(2)) {
            return Some(Heard::Item(latest));
        }
        (self.senders == 0).then_some(Heard::End)
    }

    pub(crate) fn ask(&mut self, id: usize, receiver: usize, even: bool) -> Option<Heard> {
        let heard = self.take(receiver, even, true);
        if heard.is_none() {
            self.waiters.begin(id, receiver, even);
        } else {
            self.ended.insert(id, receiver);
        }
        heard
    }

    pub(crate) fn receiver_of(&self, id: usize) -> usize {
        self.ended[&id]
    }

    pub(crate) fn subscribe(&mut self) -> usize {
        self.receivers.insert(self.next_receiver, self.values.len());
        self.next_receiver += 1;
        self.next_receiver - 1
    }

    pub(crate) fn drop_receiver(&mut self, receiver: usize) {
        self.receivers.remove(&receiver);
    }

    /// The value, and whether it is new to this receiver.
    pub(crate) fn look(&self, receiver: usize) -> (usize, bool) {
        (self.latest(), self.receivers[&receiver] != self.values.len())
    }

    /// Receivers, and who waits.
    pub(crate) fn statistics(&self) -> (usize, usize) {
        (self.receivers.len(), self.waiters.asleep())
    }
}

impl Model for Watch {
    type Seen = Option<Heard>;

    fn poll(&mut self, id: usize) -> Seen<Option<Heard>> {
        let waits = self.waiters.of(id);
        let (receiver, even, cancelled) = (waits.receiver, waits.even, waits.is_cancelled());
        let told = waits.told;
        let unseen = self.look(receiver).1;
        let heard = if cancelled && !told { None } else { self.take(receiver, even, false) };
        // A value that is not right is seen, and the next is waited for: that is another call.
        let heard = heard.filter(|heard| !(cancelled && unseen && matches!(heard, Heard::End)));
        if heard.is_none() && !cancelled {
            self.waiters.sleeps(id);
            return Seen::Pending;
        }
        self.waiters.0.remove(&id);
        self.ended.insert(id, receiver);
        Seen::Ready(heard)
    }

    fn cancel(&mut self, id: usize) {
        self.waiters.cancel(id);
    }

    fn shield(&mut self, id: usize, up: bool) {
        self.waiters.shield(id, up);
    }

    fn leave(&mut self, id: usize) {
        let waits = self.waiters.0.remove(&id).expect("it waits");
        self.drop_receiver(waits.receiver);
    }

    fn wakes(&mut self, id: usize) -> bool {
        let senders = self.senders;
        let waits = self.waiters.of(id);
        !waits.asleep || waits.is_cancelled() || senders == 0
    }
}

pub(crate) struct Oneshot {
    item: Option<usize>,
    pub(crate) has_sender: bool,
    pub(crate) has_receiver: bool,
    pub(crate) waiters: Waiters,
}

impl Oneshot {
    pub(crate) fn new() -> Oneshot {
        Oneshot { item: None, has_sender: true, has_receiver: true, waiters: Waiters::default() }
    }

    pub(crate) fn send(&mut self, item: usize) -> bool {
        self.has_sender = false;
        if self.has_receiver {
            self.item = Some(item);
        }
        self.waiters.wake();
        self.has_receiver
    }

    fn take(&mut self) -> Option<Heard> {
        match self.item.take() {
            Some(item) => Some(Heard::Item(item)),
            None if !self.has_receiver => Some(Heard::Closed),
            None => (!self.has_sender).then_some(Heard::End),
        }
    }

    pub(crate) fn ask(&mut self, id: usize) -> Option<Heard> {
        let heard = self.take();
        if heard.is_none() {
            self.waiters.begin(id, 0, false);
        }
        heard
    }
}

impl Model for Oneshot {
    type Seen = Option<Heard>;

    fn poll(&mut self, id: usize) -> Seen<Option<Heard>> {
        let waits = self.waiters.of(id);
        let cancelled = waits.is_cancelled();
        let heard = if cancelled && !waits.told { None } else { self.take() };
        if heard.is_none() && !cancelled {
            return Seen::Pending;
        }
        self.waiters.0.remove(&id);
        Seen::Ready(heard)
    }

    fn cancel(&mut self, id: usize) {
        self.waiters.cancel(id);
    }

    fn shield(&mut self, id: usize, up: bool) {
        self.waiters.shield(id, up);
    }

    fn leave(&mut self, id: usize) {
        self.waiters.0.remove(&id);
        self.has_receiver = false;
    }

    fn wakes(&mut self, id: usize) -> bool {
        let news = self.item.is_some() || !self.has_sender || !self.has_receiver;
        news || self.waiters.of(id).is_cancelled()
    }
}
