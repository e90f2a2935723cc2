//! A strict FIFO of waiters for something that is handed over, and never lost.
//!
//! Limiter, lock, semaphore and channel stand on it. What they share is the rule of cancellation
//! for takers: a waiter whose scope is cancelled is handed nothing, and what was handed to a waiter
//! that is dropped before it saw it goes on to the next.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};

use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::current::gate::{self, Gate};
use crate::current::{budget, context};
use crate::tree::NodeRef;
use crate::tree::site::{self, Called, Holder};

/// The place of one waiter, shared between it and the queue.
pub(crate) struct Ticket<T> {
    /// What the owner of the queue has to know of the waiter: how much it wants, which end it is.
    note: usize,
    place: Mutex<Place<T>>,
}

enum Place<T> {
    Waiting {
        waker: Option<Waker>,
        scope: Option<NodeRef>,
        /// In the line of those who continue what they have begun.
        continues: bool,
        /// It was its turn while its scope was cancelled: it is in the queue no more.
        passed_over: bool,
    },
    /// With the scope that it waited in, so that the waiter drops that, and not the owner under its lock.
    Served(T, Option<NodeRef>),
    /// Took what it was handed, or left.
    Gone,
}

/// The waiters, first come first. Under its owner's lock it runs and drops no user code.
pub(crate) struct Queue<T> {
    /// Those who continue what they have begun: served before all others.
    continuing: Line<T>,
    starting: Line<T>,
}

/// Some of them. Who leaves stays in it, dead, until half of them are: to leave costs the same however long the
/// line is.
struct Line<T> {
    tickets: VecDeque<Arc<Ticket<T>>>,
    dead: usize,
}

impl<T> Line<T> {
    const fn new() -> Line<T> {
        Line { tickets: VecDeque::new(), dead: 0 }
    }

    fn len(&self) -> usize {
        self.tickets.len() - self.dead
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some more in it are dead.
    fn bury(&mut self, dead: usize) {
        self.dead += dead;
        if self.dead > 0 && self.dead * 2 >= self.tickets.len() {
            self.tickets.retain(|ticket| ticket.is_waiting());
            self.dead = 0;
        }
    }
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Queue<T> {
        Queue { continuing: Line::new(), starting: Line::new() }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.continuing.len() + self.starting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.continuing.is_empty() && self.starting.is_empty()
    }

    /// Puts a waiter at the end; `first`: at the end of those who continue what they have begun.
    pub(crate) fn join(&mut self, ticket: Arc<Ticket<T>>, first: bool) {
        if let Place::Waiting { continues, .. } = &mut *ticket.place.lock() {
            *continues = first;
        }
        self.line(first).tickets.push_back(ticket);
    }

    fn line(&mut self, continuing: bool) -> &mut Line<T> {
        if continuing { &mut self.continuing } else { &mut self.starting }
    }

    /// Whether somebody waits who goes before one that joins now.
    pub(crate) fn is_before(&self, first: bool) -> bool {
        !self.continuing.is_empty() || !first && !self.starting.is_empty()
    }

    /// Hands `value` to the first waiter whose scope is not cancelled; its waker, to be woken
    /// outside of the owner's lock. Given back when there is none.
    pub(crate) fn serve(&mut self, value: T) -> Result<Option<Waker>, T> {
        self.serve_if(value, |_| true).map(|(_, waker)| waker)
    }

    /// As [`serve`](Queue::serve), if `fits` says so of what that waiter has noted; with the note.
    /// Nobody behind it is asked.
    pub(crate) fn serve_if(
        &mut self,
        value: T,
        fits: impl Fn(usize) -> bool,
    ) -> Result<(usize, Option<Waker>), T> {
        loop {
            let line = self.line(!self.continuing.is_empty());
            let Some(ticket) = line.tickets.front() else { return Err(value) };
            let note = ticket.note;
            let mut place = ticket.place.lock();
            match &mut *place {
                Place::Waiting { waker, scope, passed_over: passed_over @ false, .. } => {
                    if scope.as_ref().is_some_and(|scope| scope.node().is_cancelled()) {
                        *passed_over = true;
                    } else if fits(note) {
                        let (waker, scope) = (waker.take(), scope.take());
                        *place = Place::Served(value, scope);
                        drop(place);
                        line.tickets.pop_front();
                        return Ok((note, waker));
                    } else {
                        return Err(value);
                    }
                }
                // It is dead.
                _ => line.dead -= 1,
            }
            drop(place);
            line.tickets.pop_front();
        }
    }

    /// Hands something to each waiter with such a note; those whose scope is cancelled are passed over.
    pub(crate) fn answer(
        &mut self,
        whom: impl Fn(usize) -> bool,
        value: impl Fn() -> T,
        wakes: &mut WakeList,
    ) {
        for line in [&mut self.continuing, &mut self.starting] {
            line.tickets.retain(|ticket| {
                if !whom(ticket.note) {
                    return ticket.is_waiting();
                }
                if ticket.is_waiting() && !ticket.pass_over() {
                    wakes.take(&mut ticket.hand(value()));
                }
                false
            });
            line.dead = 0;
        }
    }

    /// Hands something to all who wait, after [`live`](Queue::live) has found them.
    pub(crate) fn answer_all(&mut self, value: impl Fn() -> T, wakes: &mut WakeList) {
        for line in [&mut self.continuing, &mut self.starting] {
            for ticket in line.tickets.drain(..).filter(|ticket| ticket.is_waiting()) {
                wakes.take(&mut ticket.hand(value()));
            }
            line.dead = 0;
        }
    }

    /// How many wait whose scope is not cancelled, counted up to `enough`; the others that are found
    /// on the way are passed over.
    pub(crate) fn live(&mut self, enough: usize) -> usize {
        let mut live = 0;
        for line in [&mut self.continuing, &mut self.starting] {
            let mut passed_over = 0;
            for ticket in &line.tickets {
                if live == enough {
                    break;
                }
                if ticket.pass_over() {
                    passed_over += 1;
                } else {
                    live += usize::from(ticket.is_waiting());
                }
            }
            line.bury(passed_over);
        }
        live
    }

    /// The scopes of those who wait, as of their last poll; those first that are served first. Threads have none.
    pub(crate) fn scopes(&self) -> Vec<NodeRef> {
        let scope = |ticket: &Arc<Ticket<T>>| match &*ticket.place.lock() {
            Place::Waiting { scope, passed_over: false, .. } => scope.clone(),
            _ => None,
        };
        self.continuing.tickets.iter().chain(&self.starting.tickets).filter_map(scope).collect()
    }

    /// Takes a waiter out that is gone; what it had been handed already.
    pub(crate) fn remove(&mut self, ticket: &Arc<Ticket<T>>) -> Option<T> {
        let old = std::mem::replace(&mut *ticket.place.lock(), Place::Gone);
        match old {
            Place::Waiting { continues, passed_over: false, .. } => {
                self.line(continues).bury(1);
                None
            }
            Place::Served(value, _) => Some(value),
            Place::Waiting { .. } | Place::Gone => None,
        }
    }
}

impl<T> Ticket<T> {
    pub(crate) fn new(note: usize) -> Arc<Ticket<T>> {
        Ticket::waiting(note, None, context::top())
    }

    /// Of a thread, which waits whatever is cancelled.
    pub(crate) fn of_thread(waker: Waker) -> Arc<Ticket<T>> {
        Ticket::waiting(0, Some(waker), None)
    }

    fn waiting(note: usize, waker: Option<Waker>, scope: Option<NodeRef>) -> Arc<Ticket<T>> {
        let place = Place::Waiting { waker, scope, continues: false, passed_over: false };
        Arc::new(Ticket { note, place: Mutex::new(place) })
    }

    fn is_waiting(&self) -> bool {
        matches!(&*self.place.lock(), Place::Waiting { passed_over: false, .. })
    }

    /// Passes it over if its scope is cancelled: it has no place in its queue any more.
    fn pass_over(&self) -> bool {
        match &mut *self.place.lock() {
            Place::Waiting { scope: Some(scope), passed_over: passed_over @ false, .. } => {
                *passed_over = scope.node().is_cancelled();
                *passed_over
            }
            _ => false,
        }
    }

    /// Hands something to one that waits; its waker.
    fn hand(&self, value: T) -> Option<Waker> {
        let mut place = self.place.lock();
        let Place::Waiting { waker, scope, .. } = &mut *place else { return None };
        let (waker, scope) = (waker.take(), scope.take());
        *place = Place::Served(value, scope);
        waker
    }

    /// What was handed over, for one who leaves no waker: a thread, or one who is about to leave.
    pub(crate) fn served(&self) -> Option<T> {
        let mut place = self.place.lock();
        if !matches!(*place, Place::Served(..)) {
            return None;
        }
        match std::mem::replace(&mut *place, Place::Gone) {
            Place::Served(value, _) => Some(value),
            _ => None,
        }
    }

    /// What was handed over; or leaves waker and scope. None when the queue has passed it over.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (new, place_now) = (cx.waker().clone(), context::top());
        let mut place = self.place.lock();
        let old = match &mut *place {
            Place::Waiting { waker, scope, passed_over: false, .. } => {
                let old = (waker.replace(new), std::mem::replace(scope, place_now));
                drop(place);
                drop(old);
                return Poll::Pending;
            }
            _ => std::mem::replace(&mut *place, Place::Gone),
        };
        drop(place);
        match old {
            Place::Served(value, _) => Poll::Ready(Some(value)),
            _ => Poll::Ready(None),
        }
    }

    /// The waker of one that is about to leave, and its scope, which stays in the ticket too: until it has
    /// left, others see by it that it is cancelled. To be dropped after that, outside of every lock.
    fn let_go(&self) -> (Option<Waker>, Option<NodeRef>) {
        match &mut *self.place.lock() {
            Place::Waiting { waker, scope, .. } => (waker.take(), scope.clone()),
            Place::Served(_, scope) => (None, scope.clone()),
            Place::Gone => (None, None),
        }
    }
}

/// Something that takers wait for in strict order.
pub(crate) trait Supply: Sized {
    type Item;

    /// Takes, if it is there and nobody waits: asked first, and costs no ticket.
    fn try_take(&self) -> Option<Self::Item> {
        None
    }

    /// What the ticket of this taker says of it.
    fn note(&self) -> usize {
        0
    }

    /// Who has what is waited for, where it is one task: for the task view.
    fn holder(&self) -> Option<Holder> {
        None
    }

    /// Takes, if it is there and nobody waits, else joins the queue, in one step.
    fn take_or_join(&self, ticket: &Arc<Ticket<Self::Item>>, first: bool) -> Option<Self::Item>;

    /// Leaves the queue; what was handed over already goes on to the next.
    fn leave(&self, ticket: &Arc<Ticket<Self::Item>>);
}

/// The future of a taker: a checkpoint that acts only in a scope that is not cancelled.
pub(crate) struct Take<S: Supply> {
    supply: S,
    /// Goes before those who start.
    first: bool,
    ticket: Option<Arc<Ticket<S::Item>>>,
    called: Called,
}

impl<S: Supply> Take<S> {
    /// `called`: the place that the task view shows while it waits.
    pub(crate) fn new(supply: S, called: Called) -> Take<S> {
        Take { supply, first: false, ticket: None, called }
    }

    /// From now on it goes before those who start: it continues what it has begun.
    pub(crate) fn go_first(&mut self) {
        self.first = true;
    }

    /// Whether it stands in the queue.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ticket.is_some()
    }

    pub(crate) fn supply(&self) -> &S {
        &self.supply
    }

    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<S::Item> {
        let before = site::noted();
        let polled = self.poll_unnoted(cx);
        if polled.is_ready() {
            budget::spend();
            site::take_back(before);
        } else {
            if let Some(holder) = self.supply.holder() {
                site::note_holder(holder);
            }
        }
        polled
    }

    fn poll_unnoted(&mut self, cx: &mut Context<'_>) -> Poll<S::Item> {
        loop {
            if let Some(ticket) = &self.ticket {
                // Handed over before the cancellation: it is ours.
                match ticket.poll(cx) {
                    Poll::Ready(Some(item)) => {
                        self.ticket = None;
                        return Poll::Ready(item);
                    }
                    Poll::Ready(None) => self.ticket = None,
                    Poll::Pending => (),
                }
            }
            if gate::gate(true, self.called, cx.waker()) == Gate::Shut {
                // Handed over since the look, and before the cancellation: nobody hands it anything from here on.
                if let Some(item) = self.ticket.as_ref().and_then(|ticket| ticket.served()) {
                    self.ticket = None;
                    return Poll::Ready(item);
                }
                self.leave();
                return Poll::Pending;
            }
            if self.ticket.is_some() || budget::is_spent(cx.waker()) {
                site::asks();
                return Poll::Pending;
            }
            if let Some(item) = self.supply.try_take() {
                return Poll::Ready(item);
            }
            let ticket = Ticket::new(self.supply.note());
            if let Some(item) = self.supply.take_or_join(&ticket, self.first) {
                return Poll::Ready(item);
            }
            self.ticket = Some(ticket);
        }
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let left = ticket.let_go();
            self.supply.leave(&ticket);
            drop(left);
        }
    }
}

impl<S: Supply> Drop for Take<S> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Where it was called, and whether it waits.
impl<S: Supply> fmt::Debug for Take<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Take")
            .field("waiting", &self.is_waiting())
            .field("called", &self.called)
            .finish_non_exhaustive()
    }
}
