//! What a channel should do: a buffer, one line for all who wait to send or to receive, and the ends.

use std::collections::{BTreeMap, VecDeque};

use crate::line::{Left, Line, Place};
use crate::waiter::Seen;

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    end: usize,
    what: What,
    /// It was admitted already, and met nobody: before those who were not.
    again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Send(usize),
    Reserve,
    Recv,
}

impl Want {
    pub(crate) fn send(item: usize, end: usize) -> Want {
        Want { end, what: What::Send(item), again: false }
    }

    pub(crate) fn reserve(end: usize) -> Want {
        Want { end, what: What::Reserve, again: false }
    }

    pub(crate) fn recv(end: usize) -> Want {
        Want { end, what: What::Recv, again: false }
    }

    fn receives(&self) -> bool {
        self.what == What::Recv
    }
}

/// What somebody is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told {
    Admitted,
    Sent,
    Item(usize),
    Broken,
    Closed,
    EndOfStream,
}

impl Told {
    pub(crate) fn is_item(&self) -> bool {
        matches!(self, Told::Item(_))
    }
}

struct End {
    receives: bool,
    open: bool,
    /// The end itself, calls of it that wait, its permits.
    holders: usize,
}

pub(crate) struct Naive {
    capacity: usize,
    buffer: VecDeque<usize>,
    pub(crate) line: Line<Want, Told>,
    permits: usize,
    ends: BTreeMap<usize, End>,
    /// Of which end each waiter is.
    ends_of: BTreeMap<usize, usize>,
}

impl Naive {
    pub(crate) const FIRST_SENDER: usize = 0;
    pub(crate) const FIRST_RECEIVER: usize = 1;

    pub(crate) fn new(capacity: usize) -> Naive {
        let end = |receives| End { receives, open: true, holders: 1 };
        Naive {
            capacity,
            buffer: VecDeque::new(),
            line: Line::new(),
            permits: 0,
            ends: BTreeMap::from([(Self::FIRST_SENDER, end(false)), (Self::FIRST_RECEIVER, end(true))]),
            ends_of: BTreeMap::new(),
        }
    }

    pub(crate) fn statistics(&self) -> [usize; 6] {
        [
            self.buffer.len(),
            self.reserved(),
            self.open(false),
            self.open(true),
            self.line.waiting(|want| !want.receives()),
            self.line.waiting(Want::receives),
        ]
    }

    fn open(&self, receives: bool) -> usize {
        self.ends.values().filter(|end| end.open && end.receives == receives).count()
    }

    fn reserved(&self) -> usize {
        let admitted = self.line.askers.iter().filter(|asker| asker.place == Place::Has(Told::Admitted));
        self.permits + admitted.count()
    }

    fn has_room(&mut self) -> bool {
        let reserved = self.reserved();
        if self.capacity > 0 {
            return self.buffer.len() + reserved < self.capacity;
        }
        if !self.buffer.is_empty() {
            return false;
        }
        // One more receiver than there are rights to send.
        let mut live = 0;
        for asker in &mut self.line.askers {
            if live <= reserved && asker.waits() && asker.wants.receives() {
                if asker.is_cancelled() {
                    asker.place = Place::PassedOver;
                } else {
                    live += 1;
                }
            }
        }
        live > reserved
    }

    /// Lets those send who wait to.
    fn admit(&mut self) {
        while self.line.waiting(|want| !want.receives()) > 0 && self.has_room() {
            let again = self.line.first(|want| want.again).is_some();
            let Some(first) = self.line.first(|want| !want.receives() && want.again == again) else { break };
            first.place = Place::Has(Told::Admitted);
        }
    }

    /// Whether a receiver waited for it.
    fn hand(&mut self, item: usize) -> bool {
        let receiver = self.line.first(Want::receives);
        receiver.map(|receiver| receiver.place = Place::Has(Told::Item(item))).is_some()
    }

    fn put(&mut self, item: usize) {
        if !self.hand(item) {
            self.buffer.push_back(item);
        }
    }

    fn has_ended(&self) -> bool {
        let in_hand = self.line.askers.iter().any(|asker| matches!(asker.place, Place::Has(Told::Item(_))));
        self.open(false) == 0 && self.buffer.is_empty() && !in_hand
    }

    fn tell_end(&mut self) {
        if self.has_ended() {
            self.tell(Want::receives, Told::EndOfStream);
        }
    }

    /// Tells all of these who wait.
    fn tell(&mut self, whom: impl Fn(&Want) -> bool, what: Told) {
        for asker in &mut self.line.askers {
            if asker.waits() && whom(&asker.wants) {
                asker.place = if asker.is_cancelled() { Place::PassedOver } else { Place::Has(what) };
            }
        }
    }

    /// Why nothing can be sent through this end.
    fn refusal(&self, end: usize) -> Option<Told> {
        if !self.ends[&end].open {
            Some(Told::Closed)
        } else {
            (self.open(true) == 0).then_some(Told::Broken)
        }
    }

    /// Tries to get what is wanted, without a wait.
    fn get(&mut self, want: Want) -> Option<Told> {
        if want.receives() {
            return self.try_recv(want.end);
        }
        if let Some(refusal) = self.refusal(want.end) {
            return Some(refusal);
        }
        self.admit();
        let before = |other: &Want| !other.receives() && (other.again || !want.again);
        if self.line.waiting(before) > 0 || !self.has_room() {
            return None;
        }
        Some(Told::Admitted)
    }

    /// What one who was admitted does; none when it met nobody.
    fn send(&mut self, want: Want) -> Option<Told> {
        let What::Send(item) = want.what else {
            self.permits += 1;
            self.hold(want.end);
            return Some(Told::Admitted);
        };
        if let Some(refusal) = self.refusal(want.end) {
            self.admit();
            return Some(refusal);
        }
        if self.hand(item) {
            return Some(Told::Sent);
        }
        if self.capacity == 0 {
            return None;
        }
        self.buffer.push_back(item);
        Some(Told::Sent)
    }

    /// What it is told at once; else it waits.
    pub(crate) fn ask(&mut self, id: usize, want: Want) -> Option<Told> {
        self.hold(want.end);
        self.ends_of.insert(id, want.end);
        let told = self.get_and_use(want);
        if told.is_some() {
            self.gone(id);
        } else {
            self.line.join(id, want);
            self.begins_to_wait(want);
        }
        told
    }

    fn get_and_use(&mut self, want: Want) -> Option<Told> {
        match self.get(want) {
            Some(Told::Admitted) => self.send(want),
            told => told,
        }
    }

    /// Without a buffer: a sender may meet it.
    fn begins_to_wait(&mut self, want: Want) {
        if want.receives() {
            self.admit();
        }
    }

    pub(crate) fn end_of(&self, id: usize) -> usize {
        self.ends_of[&id]
    }

    pub(crate) fn poll(&mut self, id: usize) -> Seen<Told> {
        let asker = self.line.asker(id);
        let (cancelled, want, place) = (asker.is_cancelled(), asker.wants, asker.place.clone());
        match place {
            Place::Has(Told::Admitted) => {
                // The right is used, before anything else happens.
                self.line.asker(id).place = Place::PassedOver;
                match self.send(want) {
                    Some(told) => {
                        self.line.remove(id);
                        Seen::Ready(told)
                    }
                    None if cancelled => {
                        self.line.remove(id);
                        Seen::Cancelled
                    }
                    None => {
                        self.line.asker(id).wants.again = true;
                        self.poll_again(id)
                    }
                }
            }
            Place::Has(told) => {
                self.line.remove(id);
                self.tell_end();
                Seen::Ready(told)
            }
            _ if cancelled => {
                self.line.remove(id);
                Seen::Cancelled
            }
            Place::Waits => Seen::Pending,
            Place::PassedOver => self.poll_again(id),
        }
    }

    /// It asks again, at the end of the line.
    fn poll_again(&mut self, id: usize) -> Seen<Told> {
        let want = self.line.asker(id).wants;
        if let Some(told) = self.get_and_use(want) {
            self.line.remove(id);
            return Seen::Ready(told);
        }
        self.line.rejoin(id);
        self.begins_to_wait(want);
        Seen::Pending
    }

    /// A waiter that is dropped.
    pub(crate) fn leave(&mut self, id: usize) {
        match self.line.remove(id) {
            Left::With(Told::Item(item)) => {
                if self.open(true) > 0 && !self.hand(item) {
                    self.buffer.push_front(item);
                }
                self.tell_end();
            }
            Left::With(Told::Admitted) => self.admit(),
            _ => (),
        }
        self.gone(id);
    }

    /// Nothing is left of a waiter.
    pub(crate) fn gone(&mut self, id: usize) {
        let end = self.ends_of.remove(&id).expect("it is of an end");
        self.let_go(end);
    }

    pub(crate) fn try_send(&mut self, end: usize, item: usize) -> Option<Told> {
        self.get_and_use(Want::send(item, end))
    }

    pub(crate) fn try_reserve(&mut self, end: usize) -> Option<Told> {
        self.get_and_use(Want::reserve(end))
    }

    pub(crate) fn try_recv(&mut self, end: usize) -> Option<Told> {
        if !self.ends[&end].open {
            return Some(Told::Closed);
        }
        if let Some(item) = self.buffer.pop_front() {
            self.admit();
            return Some(Told::Item(item));
        }
        self.has_ended().then_some(Told::EndOfStream)
    }

    pub(crate) fn use_permit(&mut self, end: usize, item: usize) -> Told {
        self.permits -= 1;
        let told = match self.refusal(end) {
            Some(refusal) => {
                self.admit();
                refusal
            }
            None => {
                self.put(item);
                Told::Sent
            }
        };
        self.let_go(end);
        told
    }

    pub(crate) fn drop_permit(&mut self, end: usize) {
        self.permits -= 1;
        self.admit();
        self.let_go(end);
    }

    /// The number of the new end.
    pub(crate) fn clone_end(&mut self, of: usize) -> usize {
        let (receives, open) = (self.ends[&of].receives, self.ends[&of].open);
        let number = self.ends.len();
        self.ends.insert(number, End { receives, open, holders: 1 });
        number
    }

    fn hold(&mut self, end: usize) {
        self.ends.get_mut(&end).expect("it exists").holders += 1;
    }

    /// One holder less; the last one closes it.
    pub(crate) fn let_go(&mut self, end: usize) {
        let of = self.ends.get_mut(&end).expect("it exists");
        of.holders -= 1;
        if of.holders == 0 {
            self.close(end);
        }
    }

    pub(crate) fn close(&mut self, end: usize) {
        let of = self.ends.get_mut(&end).expect("it exists");
        if !std::mem::take(&mut of.open) {
            return;
        }
        let receives = of.receives;
        self.tell(|want| want.end == end, Told::Closed);
        if !receives {
            self.tell_end();
        } else if self.open(true) == 0 {
            self.tell(|want| !want.receives(), Told::Broken);
            self.buffer.clear();
        }
    }
}
