//! A pair: our way and another's to do the same, on one backend.

use std::future::Future;
use std::pin::Pin;

use anyrt::Backend;

use crate::row::Row;
use crate::station::Side;
use crate::stopwatch::Sample;

/// A measurement on its way to the task that makes it.
pub(crate) type Measurement = Pin<Box<dyn Future<Output = Sample> + Send>>;

/// Makes the measurement of so many repetitions.
pub(crate) type Work = Box<dyn Fn(u64) -> Measurement>;

pub(crate) struct Pair {
    pub(crate) row: Row,
    pub(crate) backend: Backend,
    pub(crate) peer: &'static str,
    pub(crate) ours: Work,
    pub(crate) theirs: Work,
    /// Both are ours, with something and without.
    both_ours: bool,
}

impl Pair {
    pub(crate) fn new<O, P>(
        row: Row,
        backend: Backend,
        ours: impl Fn(u64) -> O + 'static,
        peer: &'static str,
        theirs: impl Fn(u64) -> P + 'static,
    ) -> Pair
    where
        O: Future<Output = Sample> + Send + 'static,
        P: Future<Output = Sample> + Send + 'static,
    {
        Pair {
            row,
            backend,
            peer,
            ours: Box::new(move |count| Box::pin(ours(count))),
            theirs: Box::new(move |count| Box::pin(theirs(count))),
            both_ours: false,
        }
    }

    /// Where the other side is ours, too: what something costs beside going without it.
    pub(crate) fn of_ours(self) -> Pair {
        Pair { both_ours: true, ..self }
    }

    /// The runtime that a side is measured on.
    pub(crate) fn station(&self, side: Side) -> Side {
        if self.both_ours { Side::Ours } else { side }
    }
}
