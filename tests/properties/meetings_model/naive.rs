//! What they should do, in as few words as possible.

use std::collections::BTreeMap;

use crate::line::{Left, Line, Place};
use crate::meeting::Model;
use crate::waiter::Seen;

impl<W, H> Default for Line<W, H> {
    fn default() -> Self {
        Line::new()
    }
}

#[derive(Default)]
pub(crate) struct Event {
    pub(crate) set: bool,
    pub(crate) line: Line<(), ()>,
}

impl Event {
    pub(crate) fn ask(&mut self, id: usize) -> bool {
        if !self.set {
            self.line.join(id, ());
        }
        self.set
    }

    /// Those are told who are not cancelled.
    pub(crate) fn set(&mut self) {
        self.set = true;
        while let Some(asker) = self.line.first(|()| true) {
            asker.place = Place::Has(());
        }
    }
}

impl Model for Event {
    type Seen = ();

    fn poll(&mut self, id: usize) -> Seen<()> {
        let asker = self.line.asker(id);
        let seen = if !asker.has() && asker.is_cancelled() {
            Seen::Cancelled
        } else if self.set {
            Seen::Ready(())
        } else {
            return Seen::Pending;
        };
        self.line.remove(id);
        seen
    }

    fn cancel(&mut self, id: usize) {
        self.line.cancel(id);
    }

    fn shield(&mut self, id: usize, up: bool) {
        self.line.shield(id, up);
    }

    fn leave(&mut self, id: usize) {
        self.line.remove(id);
    }

    fn wakes(&mut self, id: usize) -> bool {
        self.set || self.line.asker(id).is_cancelled()
    }
}

pub(crate) struct Barrier {
    size: usize,
    pub(crate) line: Line<(), ()>,
}

impl Barrier {
    pub(crate) fn new(size: usize) -> Barrier {
        Barrier { size, line: Line::new() }
    }

    /// Whether it is the last who comes.
    pub(crate) fn ask(&mut self, id: usize) -> bool {
        let last = self.comes();
        if !last {
            self.line.join(id, ());
        }
        last
    }

    fn comes(&mut self) -> bool {
        for asker in &mut self.line.askers {
            if asker.waits() && asker.is_cancelled() {
                asker.place = Place::PassedOver;
            }
        }
        let last = self.line.waiting(|()| true) + 1 >= self.size;
        for asker in &mut self.line.askers {
            if last && asker.waits() {
                asker.place = Place::Has(());
            }
        }
        last
    }
}

impl Model for Barrier {
    type Seen = bool;

    fn poll(&mut self, id: usize) -> Seen<bool> {
        let asker = self.line.asker(id);
        let seen = match asker.place {
            Place::Has(()) => Seen::Ready(false),
            _ if asker.is_cancelled() => Seen::Cancelled,
            Place::Waits => return Seen::Pending,
            Place::PassedOver => {
                if !self.comes() {
                    self.line.rejoin(id);
                    return Seen::Pending;
                }
                Seen::Ready(true)
            }
        };
        self.line.remove(id);
        seen
    }

    fn cancel(&mut self, id: usize) {
        self.line.cancel(id);
    }

    fn shield(&mut self, id: usize, up: bool) {
        self.line.shield(id, up);
    }

    fn leave(&mut self, id: usize) {
        self.line.remove(id);
    }

    fn wakes(&mut self, id: usize) -> bool {
        let asker = self.line.asker(id);
        asker.has() || asker.is_cancelled()
    }
}

/// Handed to who waits: true to make the value, false when it is there.
#[derive(Default)]
pub(crate) struct Cell {
    pub(crate) made: Option<usize>,
    pub(crate) line: Line<(), bool>,
    /// Those who make it; there is one at most, but it may not know yet.
    maker: Option<Maker>,
    signals: BTreeMap<usize, Result<usize, ()>>,
}

struct Maker {
    id: usize,
    cancelled: bool,
    shielded: bool,
}

impl Cell {
    fn is_being_made(&self) -> bool {
        self.maker.is_some() || self.line.askers.iter().any(|asker| asker.place == Place::Has(true))
    }

    /// Whoever made it has made it, or not.
    fn settle(&mut self) {
        if self.is_being_made() {
            return;
        }
        let made = self.made.is_some();
        while let Some(first) = self.line.first(|()| true) {
            first.place = Place::Has(!made);
            if !made {
                return;
            }
        }
    }

    pub(crate) fn ask(&mut self, id: usize) -> Seen<Result<usize, ()>> {
        self.begin(id, false, false).unwrap_or_else(|| {
            self.line.join(id, ());
            Seen::Pending
        })
    }

    /// What it sees when it need not wait for its turn.
    fn begin(&mut self, id: usize, cancelled: bool, shielded: bool) -> Option<Seen<Result<usize, ()>>> {
        if let Some(value) = self.made {
            return Some(Seen::Ready(Ok(value)));
        }
        if self.is_being_made() {
            return None;
        }
        self.maker = Some(Maker { id, cancelled, shielded });
        Some(self.make())
    }

    fn make(&mut self) -> Seen<Result<usize, ()>> {
        let maker = self.maker.as_ref().expect("there is one");
        let seen = match self.signals.get(&maker.id) {
            Some(end) => Seen::Ready(*end),
            None if maker.cancelled && !maker.shielded => Seen::Cancelled,
            None => return Seen::Pending,
        };
        if let Seen::Ready(Ok(value)) = seen {
            self.made = Some(value);
        }
        self.maker = None;
        self.settle();
        seen
    }

    fn makes(&self, id: usize) -> bool {
        self.maker.as_ref().is_some_and(|maker| maker.id == id)
    }

    /// An error: whether there is a value.
    pub(crate) fn set(&mut self, value: usize) -> Result<(), bool> {
        if self.made.is_some() || self.is_being_made() {
            return Err(self.made.is_some());
        }
        self.made = Some(value);
        self.settle();
        Ok(())
    }

    pub(crate) fn signal(&mut self, id: usize, end: Result<usize, ()>) {
        self.signals.insert(id, end);
    }
}

impl Model for Cell {
    type Seen = Result<usize, ()>;

    fn poll(&mut self, id: usize) -> Seen<Result<usize, ()>> {
        if self.makes(id) {
            return self.make();
        }
        let asker = self.line.asker(id);
        let (cancelled, shielded) = asker.scope();
        match asker.place {
            Place::Has(true) => {
                self.line.remove(id);
                self.maker = Some(Maker { id, cancelled, shielded });
                self.make()
            }
            Place::Has(false) => {
                self.line.remove(id);
                Seen::Ready(Ok(self.made.expect("it was said so")))
            }
            _ if asker.is_cancelled() => {
                self.line.remove(id);
                Seen::Cancelled
            }
            Place::Waits => Seen::Pending,
            Place::PassedOver => match self.begin(id, cancelled, shielded) {
                Some(seen) => {
                    self.line.remove(id);
                    seen
                }
                None => {
                    self.line.rejoin(id);
                    Seen::Pending
                }
            },
        }
    }

    fn cancel(&mut self, id: usize) {
        match &mut self.maker {
            Some(maker) if maker.id == id => maker.cancelled = true,
            _ => self.line.cancel(id),
        }
    }

    fn shield(&mut self, id: usize, up: bool) {
        match &mut self.maker {
            Some(maker) if maker.id == id => maker.shielded = up && (maker.shielded || !maker.cancelled),
            _ => self.line.shield(id, up),
        }
    }

    fn leave(&mut self, id: usize) {
        if self.makes(id) {
            self.maker = None;
            self.settle();
        } else if self.line.remove(id) == Left::With(true) {
            self.settle();
        }
    }

    fn wakes(&mut self, id: usize) -> bool {
        if let Some(maker) = self.maker.as_ref().filter(|maker| maker.id == id) {
            return maker.cancelled && !maker.shielded;
        }
        let asker = self.line.asker(id);
        asker.has() || asker.is_cancelled()
    }
}

/// A lock, those who wait to be notified, and those who wait to have the lock again.
#[derive(Default)]
pub(crate) struct Condition {
    pub(crate) locked: bool,
    /// Handed: whether it is for one only.
    pub(crate) line: Line<(), bool>,
    /// Each with whether it was notified. No cancellation reaches them.
    pub(crate) relocking: Line<bool, ()>,
}

impl Condition {
    pub(crate) fn try_lock(&mut self) -> bool {
        let free = !self.locked;
        self.locked = true;
        free
    }

    pub(crate) fn unlock(&mut self) {
        self.locked = false;
        if let Some(first) = self.relocking.first(|_| true) {
            first.place = Place::Has(());
            self.locked = true;
        }
    }

    pub(crate) fn wait(&mut self, id: usize) {
        self.line.join(id, ());
        self.unlock();
    }

    pub(crate) fn notify(&mut self, number: usize) {
        for _ in 0..number {
            if let Some(first) = self.line.first(|()| true) {
                first.place = Place::Has(true);
            }
        }
    }

    pub(crate) fn notify_all(&mut self) {
        while let Some(first) = self.line.first(|()| true) {
            first.place = Place::Has(false);
        }
    }

    fn relocks(&self, id: usize) -> bool {
        self.relocking.askers.iter().any(|asker| asker.id == id)
    }
}

impl Model for Condition {
    type Seen = bool;

    fn poll(&mut self, id: usize) -> Seen<bool> {
        if self.relocks(id) {
            let asker = self.relocking.asker(id);
            let notified = asker.wants;
            if !asker.has() {
                return Seen::Pending;
            }
            self.relocking.remove(id);
            return Seen::Ready(notified);
        }
        let asker = self.line.asker(id);
        let notified = asker.has();
        match asker.place {
            Place::PassedOver if !asker.is_cancelled() => {
                self.line.rejoin(id);
                return Seen::Pending;
            }
            Place::Waits if !asker.is_cancelled() => return Seen::Pending,
            _ => self.line.remove(id),
        };
        if self.try_lock() {
            return Seen::Ready(notified);
        }
        self.relocking.join(id, notified);
        Seen::Pending
    }

    fn cancel(&mut self, id: usize) {
        if !self.relocks(id) {
            self.line.cancel(id);
        }
    }

    fn shield(&mut self, id: usize, up: bool) {
        if !self.relocks(id) {
            self.line.shield(id, up);
        }
    }

    /// Dropped: the lock, if it was handed to it, and what it was told go on.
    fn leave(&mut self, id: usize) {
        if self.relocks(id) {
            if self.relocking.remove(id) == Left::With(()) {
                self.unlock();
            }
        } else if self.line.remove(id) == Left::With(true) {
            self.notify(1);
        }
    }

    fn wakes(&mut self, id: usize) -> bool {
        if self.relocks(id) {
            return self.relocking.asker(id).has();
        }
        let asker = self.line.asker(id);
        asker.has() || asker.is_cancelled()
    }
}
