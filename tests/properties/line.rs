//! The naive model of a queue: one list of all who asked and have not seen an answer, gone through from its
//! beginning whenever something may have changed.
#![allow(dead_code, reason = "each test takes what it needs")]

/// All who wait, in their order. `W` is what each wants, `H` what it may be handed.
#[derive(Debug)]
pub(crate) struct Line<W, H> {
    pub(crate) askers: Vec<Asker<W, H>>,
}

#[derive(Debug)]
pub(crate) struct Asker<W, H> {
    pub(crate) id: usize,
    pub(crate) wants: W,
    pub(crate) place: Place<H>,
    cancelled: bool,
    shielded: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place<H> {
    Waits,
    /// It was its turn while it was cancelled: it asks again when it may go on.
    PassedOver,
    Has(H),
}

/// Where one stood who is taken out of the line.
#[derive(Debug, PartialEq)]
pub(crate) enum Left<H> {
    Waiting,
    PassedOver,
    With(H),
}

impl<W, H> Asker<W, H> {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled && !self.shielded
    }

    /// Whether it was cancelled, and whether it is shielded.
    pub(crate) fn scope(&self) -> (bool, bool) {
        (self.cancelled, self.shielded)
    }

    pub(crate) fn waits(&self) -> bool {
        matches!(self.place, Place::Waits)
    }

    pub(crate) fn has(&self) -> bool {
        matches!(self.place, Place::Has(_))
    }
}

impl<W, H> Line<W, H> {
    pub(crate) fn new() -> Line<W, H> {
        Line { askers: Vec::new() }
    }

    pub(crate) fn join(&mut self, id: usize, wants: W) {
        self.askers.push(Asker { id, wants, place: Place::Waits, cancelled: false, shielded: false });
    }

    pub(crate) fn asker(&mut self, id: usize) -> &mut Asker<W, H> {
        self.askers.iter_mut().find(|asker| asker.id == id).expect("it is in the line")
    }

    /// How many are in the queue.
    pub(crate) fn waiting(&self, which: impl Fn(&W) -> bool) -> usize {
        self.askers.iter().filter(|asker| asker.waits() && which(&asker.wants)).count()
    }

    /// The first of these who may be handed something; those before it who may not are passed over.
    pub(crate) fn first(&mut self, which: impl Fn(&W) -> bool) -> Option<&mut Asker<W, H>> {
        for at in 0..self.askers.len() {
            if self.askers[at].waits() && which(&self.askers[at].wants) {
                if !self.askers[at].is_cancelled() {
                    return Some(&mut self.askers[at]);
                }
                self.askers[at].place = Place::PassedOver;
            }
        }
        None
    }

    pub(crate) fn cancel(&mut self, id: usize) {
        self.asker(id).cancelled = true;
    }

    pub(crate) fn shield(&mut self, id: usize, up: bool) {
        let asker = self.asker(id);
        // Too late for one who waited when it was cancelled.
        asker.shielded = up && !asker.is_cancelled();
    }

    pub(crate) fn remove(&mut self, id: usize) -> Left<H> {
        let at = self.askers.iter().position(|asker| asker.id == id).expect("it is in the line");
        match self.askers.remove(at).place {
            Place::Waits => Left::Waiting,
            Place::PassedOver => Left::PassedOver,
            Place::Has(thing) => Left::With(thing),
        }
    }

    /// It asks again, at the end.
    pub(crate) fn rejoin(&mut self, id: usize) {
        let at = self.askers.iter().position(|asker| asker.id == id).expect("it is in the line");
        let asker = self.askers.remove(at);
        self.askers.push(Asker { place: Place::Waits, ..asker });
    }
}
