//! What a lock should do, in as few words as possible: rules of who fits beside whom, and one line.

use std::fmt::Debug;

use crate::line::{Left, Line, Place};
use crate::waiter::Seen;

/// Who fits beside those who are in.
pub(crate) trait Rules {
    type Want: Copy + Debug;

    /// What somebody asks for who thinks of this number.
    fn want(&self, number: usize) -> Self::Want;
    fn fits(&self, want: Self::Want) -> bool;
    fn enter(&mut self, want: Self::Want);
    fn exit(&mut self, want: Self::Want);
    /// Nobody is in.
    fn is_free(&self) -> bool;
}

#[derive(Debug, Default)]
pub(crate) struct One {
    pub(crate) locked: bool,
}

impl Rules for One {
    type Want = ();

    fn want(&self, _: usize) {}

    fn fits(&self, (): ()) -> bool {
        !self.locked
    }

    fn enter(&mut self, (): ()) {
        self.locked = true;
    }

    fn exit(&mut self, (): ()) {
        self.locked = false;
    }

    fn is_free(&self) -> bool {
        !self.locked
    }
}

#[derive(Debug, Default)]
pub(crate) struct Readers {
    pub(crate) reading: usize,
    pub(crate) writing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Rules for Readers {
    type Want = Access;

    fn want(&self, number: usize) -> Access {
        if number.is_multiple_of(3) { Access::Write } else { Access::Read }
    }

    fn fits(&self, want: Access) -> bool {
        !self.writing && (want == Access::Read || self.reading == 0)
    }

    fn enter(&mut self, want: Access) {
        match want {
            Access::Read => self.reading += 1,
            Access::Write => self.writing = true,
        }
    }

    fn exit(&mut self, want: Access) {
        match want {
            Access::Read => self.reading -= 1,
            Access::Write => self.writing = false,
        }
    }

    fn is_free(&self) -> bool {
        self.reading == 0 && !self.writing
    }
}

#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) free: usize,
    pub(crate) total: usize,
    pub(crate) most: usize,
}

impl Rules for Seats {
    type Want = usize;

    fn want(&self, number: usize) -> usize {
        1 + number % 3
    }

    fn fits(&self, want: usize) -> bool {
        want <= self.free
    }

    fn enter(&mut self, want: usize) {
        self.free -= want;
    }

    fn exit(&mut self, want: usize) {
        self.free += want;
    }

    fn is_free(&self) -> bool {
        self.free == self.total
    }
}

/// The rules, and who waits.
pub(crate) struct Naive<R: Rules> {
    pub(crate) rules: R,
    pub(crate) line: Line<R::Want, ()>,
}

impl<R: Rules> Naive<R> {
    pub(crate) fn new(rules: R) -> Naive<R> {
        Naive { rules, line: Line::new() }
    }

    /// Lets in who is first, as long as it fits.
    pub(crate) fn settle(&mut self) {
        while let Some(first) = self.line.first(|_| true)
            && self.rules.fits(first.wants)
        {
            self.rules.enter(first.wants);
            first.place = Place::Has(());
        }
    }

    pub(crate) fn try_ask(&mut self, want: R::Want) -> bool {
        self.settle();
        let free = self.line.waiting(|_| true) == 0 && self.rules.fits(want);
        if free {
            self.rules.enter(want);
        }
        free
    }

    /// Whether it need not wait.
    pub(crate) fn ask(&mut self, id: usize, want: R::Want) -> bool {
        let free = self.try_ask(want);
        if !free {
            self.line.join(id, want);
        }
        free
    }

    pub(crate) fn poll(&mut self, id: usize) -> Seen<()> {
        let asker = self.line.asker(id);
        let (cancelled, want) = (asker.is_cancelled(), asker.wants);
        match asker.place.clone() {
            Place::Has(()) => {
                self.line.remove(id);
                Seen::Ready(())
            }
            _ if cancelled => {
                if self.line.remove(id) == Left::Waiting {
                    self.settle();
                }
                Seen::Cancelled
            }
            Place::Waits => Seen::Pending,
            Place::PassedOver if self.try_ask(want) => {
                self.line.remove(id);
                Seen::Ready(())
            }
            Place::PassedOver => {
                self.line.rejoin(id);
                Seen::Pending
            }
        }
    }

    pub(crate) fn leave(&mut self, id: usize) {
        let want = self.line.asker(id).wants;
        if self.line.remove(id) == Left::With(()) {
            self.rules.exit(want);
        }
        self.settle();
    }

    pub(crate) fn give(&mut self, want: R::Want) {
        self.rules.exit(want);
        self.settle();
    }
}
