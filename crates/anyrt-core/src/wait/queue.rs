//! A strict FIFO of waiters for something that is handed over, and never lost.
//!
//! Limiter, lock, semaphore and channel are built on it. They share the rule of cancellation for takers: a
//! waiter whose scope is cancelled is handed nothing, and what was handed to a waiter that is dropped before it
//! has seen it goes on to the next.

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
    /// What the owner of the queue must know about the waiter: how many permits it wants, or which end of a
    /// channel it is.
    note: usize,
    state: Mutex<TicketState<T>>,
}

enum TicketState<T> {
    Waiting {
        waker: Option<Waker>,
        scope: Option<NodeRef>,
        /// It is in the line of waiters that continue what they have begun.
        continues: bool,
        /// Its scope was found cancelled: it is not in the queue any more.
        passed_over: bool,
    },
    /// With the scope that it waited in: dropped by the waiter, not by the queue's owner under its lock.
    Served(T, Option<NodeRef>),
    /// The waiter took what it was handed, or left.
    Gone,
}

/// The waiters, first come first served. Used under its owner's lock, it runs and drops no user code.
pub(crate) struct Queue<T> {
    /// Waiters that continue what they have begun: served before all others.
    continuing: Line<T>,
    starting: Line<T>,
}

/// One line of waiters. A ticket whose waiter has left stays in it, dead, until half of the tickets are dead:
/// so leaving costs the same, however long the line is.
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

    /// That many more tickets are dead: removes all dead ones if they are half of the line.
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

    /// How many waiters there are.
    pub(crate) fn len(&self) -> usize {
        self.continuing.len() + self.starting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.continuing.is_empty() && self.starting.is_empty()
    }

    /// Puts a waiter at the end of its line; `first`: the line of waiters that continue.
    pub(crate) fn join(&mut self, ticket: Arc<Ticket<T>>, first: bool) {
        if let TicketState::Waiting { continues, .. } = &mut *ticket.state.lock() {
            *continues = first;
        }
        self.line(first).tickets.push_back(ticket);
    }

    fn line(&mut self, continuing: bool) -> &mut Line<T> {
        if continuing { &mut self.continuing } else { &mut self.starting }
    }

    /// Whether there is a waiter that goes before one that joins now.
    pub(crate) fn is_before(&self, first: bool) -> bool {
        !self.continuing.is_empty() || !first && !self.starting.is_empty()
    }

    /// Hands `value` to the first waiter whose scope is not cancelled. Returns its waker, to be woken outside
    /// of the owner's lock; or the value, if there is no such waiter.
    pub(crate) fn serve(&mut self, value: T) -> Result<Option<Waker>, T> {
        self.serve_if(value, |_| true).map(|(_, waker)| waker)
    }

    /// As [`serve`](Queue::serve), if `fits` accepts the note of that waiter, which is returned too. No waiter
    /// behind it is asked.
    pub(crate) fn serve_if(
        &mut self,
        value: T,
        fits: impl Fn(usize) -> bool,
    ) -> Result<(usize, Option<Waker>), T> {
        loop {
            let line = self.line(!self.continuing.is_empty());
            let Some(ticket) = line.tickets.front() else { return Err(value) };
            let note = ticket.note;
            let mut state = ticket.state.lock();
            match &mut *state {
                TicketState::Waiting { waker, scope, passed_over: passed_over @ false, .. } => {
                    if scope.as_ref().is_some_and(|scope| scope.node().is_cancelled()) {
                        *passed_over = true;
                    } else if fits(note) {
                        let (waker, scope) = (waker.take(), scope.take());
                        *state = TicketState::Served(value, scope);
                        drop(state);
                        line.tickets.pop_front();
                        return Ok((note, waker));
                    } else {
                        return Err(value);
                    }
                }
                // A dead ticket.
                _ => line.dead -= 1,
            }
            drop(state);
            line.tickets.pop_front();
        }
    }

    /// Hands a value to each waiter whose note `whom` accepts. Waiters whose scope is cancelled are passed
    /// over.
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

    /// Hands a value to all waiters, after [`live`](Queue::live) has found them.
    pub(crate) fn answer_all(&mut self, value: impl Fn() -> T, wakes: &mut WakeList) {
        for line in [&mut self.continuing, &mut self.starting] {
            for ticket in line.tickets.drain(..).filter(|ticket| ticket.is_waiting()) {
                wakes.take(&mut ticket.hand(value()));
            }
            line.dead = 0;
        }
    }

    /// How many waiters have a scope that is not cancelled, counted up to `enough`. Cancelled ones that are
    /// found on the way are passed over.
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

    /// The scopes of the waiters, as of their last poll, in the order in which they are served. Threads have
    /// none.
    pub(crate) fn scopes(&self) -> Vec<NodeRef> {
        let scope = |ticket: &Arc<Ticket<T>>| match &*ticket.state.lock() {
            TicketState::Waiting { scope, passed_over: false, .. } => scope.clone(),
            _ => None,
        };
        self.continuing.tickets.iter().chain(&self.starting.tickets).filter_map(scope).collect()
    }

    /// Takes out a waiter that is gone. Returns what it had been handed already.
    pub(crate) fn remove(&mut self, ticket: &Arc<Ticket<T>>) -> Option<T> {
        let old = std::mem::replace(&mut *ticket.state.lock(), TicketState::Gone);
        match old {
            TicketState::Waiting { continues, passed_over: false, .. } => {
                self.line(continues).bury(1);
                None
            }
            TicketState::Served(value, _) => Some(value),
            TicketState::Waiting { .. } | TicketState::Gone => None,
        }
    }
}

impl<T> Ticket<T> {
    pub(crate) fn new(note: usize) -> Arc<Ticket<T>> {
        Ticket::waiting(note, None, context::top())
    }

    /// The ticket of a thread, which waits whatever is cancelled.
    pub(crate) fn of_thread(waker: Waker) -> Arc<Ticket<T>> {
        Ticket::waiting(0, Some(waker), None)
    }

    fn waiting(note: usize, waker: Option<Waker>, scope: Option<NodeRef>) -> Arc<Ticket<T>> {
        let state = TicketState::Waiting { waker, scope, continues: false, passed_over: false };
        Arc::new(Ticket { note, state: Mutex::new(state) })
    }

    fn is_waiting(&self) -> bool {
        matches!(&*self.state.lock(), TicketState::Waiting { passed_over: false, .. })
    }

    /// Passes the waiter over if its scope is cancelled: it has no place in the queue any more.
    fn pass_over(&self) -> bool {
        match &mut *self.state.lock() {
            TicketState::Waiting { scope: Some(scope), passed_over: passed_over @ false, .. } => {
                *passed_over = scope.node().is_cancelled();
                *passed_over
            }
            _ => false,
        }
    }

    /// Hands something to this waiter. Returns its waker.
    fn hand(&self, value: T) -> Option<Waker> {
        let mut state = self.state.lock();
        let TicketState::Waiting { waker, scope, .. } = &mut *state else { return None };
        let (waker, scope) = (waker.take(), scope.take());
        *state = TicketState::Served(value, scope);
        waker
    }

    /// What was handed over, for a waiter that leaves no waker: a thread, or one that is about to leave.
    pub(crate) fn served(&self) -> Option<T> {
        let mut state = self.state.lock();
        if !matches!(*state, TicketState::Served(..)) {
            return None;
        }
        match std::mem::replace(&mut *state, TicketState::Gone) {
            TicketState::Served(value, _) => Some(value),
            _ => None,
        }
    }

    /// Returns what was handed over, or leaves waker and scope. None if the queue has passed this waiter over.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (new, scope_now) = (cx.waker().clone(), context::top());
        let mut state = self.state.lock();
        let old = match &mut *state {
            TicketState::Waiting { waker, scope, passed_over: false, .. } => {
                let old = (waker.replace(new), std::mem::replace(scope, scope_now));
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            _ => std::mem::replace(&mut *state, TicketState::Gone),
        };
        drop(state);
        match old {
            TicketState::Served(value, _) => Poll::Ready(Some(value)),
            _ => Poll::Ready(None),
        }
    }

    /// The waker and scope of a waiter that is about to leave. The scope stays in the ticket too: until the
    /// waiter has left, others see by it that it is cancelled. To be dropped after that, outside of every lock.
    fn let_go(&self) -> (Option<Waker>, Option<NodeRef>) {
        match &mut *self.state.lock() {
            TicketState::Waiting { waker, scope, .. } => (waker.take(), scope.clone()),
            TicketState::Served(_, scope) => (None, scope.clone()),
            TicketState::Gone => (None, None),
        }
    }
}

/// Something that takers wait for, in strict order.
pub(crate) trait Supply: Sized {
    type Item;

    /// Takes it, if it is there and there are no waiters: asked first, because it costs no ticket.
    fn try_take(&self) -> Option<Self::Item> {
        None
    }

    /// The note on the ticket of this taker.
    fn note(&self) -> usize {
        0
    }

    /// The task that has what is waited for, if it is one task: for the task view.
    fn holder(&self) -> Option<Holder> {
        None
    }

    /// Takes it, if it is there and there are no waiters; else joins the queue, in one step.
    fn take_or_join(&self, ticket: &Arc<Ticket<Self::Item>>, first: bool) -> Option<Self::Item>;

    /// Leaves the queue. What was handed over already goes on to the next.
    fn leave(&self, ticket: &Arc<Ticket<Self::Item>>);
}

/// The future of a taker: a checkpoint, which takes nothing in a cancelled scope.
pub(crate) struct Take<S: Supply> {
    supply: S,
    /// Goes before waiters that start.
    first: bool,
    ticket: Option<Arc<Ticket<S::Item>>>,
    called: Called,
}

impl<S: Supply> Take<S> {
    /// `called`: the place that the task view shows while it waits.
    pub(crate) fn new(supply: S, called: Called) -> Take<S> {
        Take { supply, first: false, ticket: None, called }
    }

    /// From now on it goes before waiters that start: it continues what it has begun.
    pub(crate) fn go_first(&mut self) {
        self.first = true;
    }

    /// Whether it is in the queue.
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
                // Asked before the gate: what was handed over before a cancellation is ours.
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
                // It may have been handed over since that look, and before the cancellation. From here on
                // nothing is handed to it.
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
