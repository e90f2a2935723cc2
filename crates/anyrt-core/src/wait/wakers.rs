//! Those who wait for news that is for all of them: nothing is handed over, so there is no order.

use std::fmt;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::current::gate::{Gate, handed};
use crate::tree::moment::Moment;
use crate::tree::site::Called;

/// The wakers of those who wait. Its owner has it under a lock, and drops what it gives back after that.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    places: Slab<Spot>,
    /// Those that have a waker.
    waiting: usize,
}

/// One of them.
#[derive(Debug)]
enum Spot {
    Waiting(Waker),
    /// There was news, and it has not looked since.
    Told(Moment),
}

impl Spot {
    fn waker(self) -> Option<Waker> {
        match self {
            Spot::Waiting(waker) => Some(waker),
            Spot::Told(_) => None,
        }
    }
}

/// The place of one of them, who must [leave](Crowd::leave).
#[derive(Debug, Default)]
pub(crate) struct Place(Option<usize>);

impl Crowd {
    /// How many wait and were not woken.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Leaves a waker for the next news; the one that was left before.
    pub(crate) fn wait(&mut self, place: &mut Place, waker: Waker) -> Option<Waker> {
        let new = Spot::Waiting(waker);
        let old = match place.0.and_then(|key| self.places.get_mut(key)) {
            Some(spot) => std::mem::replace(spot, new).waker(),
            None => {
                place.0 = Some(self.places.insert(new));
                None
            }
        };
        self.waiting += usize::from(old.is_none());
        old
    }

    /// When there was news for one who waited.
    pub(crate) fn told(&self, place: &Place) -> Option<Moment> {
        match self.places.get(place.0?)? {
            Spot::Told(at) => Some(*at),
            Spot::Waiting(_) => None,
        }
    }

    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let old = self.places.try_remove(place.0.take()?).and_then(Spot::waker);
        self.waiting -= usize::from(old.is_some());
        old
    }

    /// There is news.
    pub(crate) fn wake_all(&mut self, wakes: &mut WakeList) {
        self.waiting = 0;
        let now = Moment::now();
        for (_, spot) in &mut self.places {
            if let Spot::Waiting(_) = spot
                && let Some(waker) = std::mem::replace(spot, Spot::Told(now)).waker()
            {
                wakes.push(waker);
            }
        }
    }
}

/// Something that a crowd waits for.
pub(crate) trait News {
    type Item;

    /// Whether it is taken, or only looked at: see [`gate`](crate::current::gate::gate).
    const TAKES: bool;

    /// What is new; else it [waits](Crowd::wait) in the crowd, in one step.
    fn look(&mut self, place: &mut Place, waker: Waker) -> Result<Self::Item, Option<Waker>>;

    /// When it was [told](Crowd::told).
    fn told(&self, place: &Place) -> Option<Moment>;

    /// [Leaves](Crowd::leave) the crowd.
    fn leave(&mut self, place: &mut Place) -> Option<Waker>;
}

/// The future of one who waits in a crowd.
pub(crate) struct Look<N: News> {
    news: N,
    place: Place,
    called: Called,
}

impl<N: News> Look<N> {
    pub(crate) fn new(news: N, called: Called) -> Look<N> {
        Look { news, place: Place::default(), called }
    }

    /// Whether it stands in the crowd, or did until it was woken.
    pub(crate) fn is_waiting(&self) -> bool {
        self.place.0.is_some()
    }

    pub(crate) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<N::Item> {
        handed(N::TAKES, self.called, cx, |cx, gate| {
            if gate == Gate::Shut && !context::is_in_time(self.news.told(&self.place)) {
                return Poll::Pending;
            }
            match self.news.look(&mut self.place, cx.waker().clone()) {
                Ok(item) => Poll::Ready(item),
                Err(old) => {
                    drop(old);
                    Poll::Pending
                }
            }
        })
    }
}

impl<N: News> Drop for Look<N> {
    fn drop(&mut self) {
        if self.is_waiting() {
            let old = self.news.leave(&mut self.place);
            drop(old);
        }
    }
}

/// Where it was called, and whether it waits.
impl<N: News> fmt::Debug for Look<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look")
            .field("waiting", &self.is_waiting())
            .field("called", &self.called)
            .finish_non_exhaustive()
    }
}
