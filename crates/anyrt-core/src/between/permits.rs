//! A number of permits that are taken several at a time, strictly in order of asking.

use crate::queue::{Queue, Supply, Ticket};
use crate::sync::{Arc, Mutex};
use crate::wake::WakeList;

/// Lock, read-write lock and semaphore are numbers of permits.
///
/// Invariant: the first of those who wait wants more than is free, but for waiters whose scope is
/// cancelled.
pub(super) struct Permits(Mutex<State>);

struct State {
    free: usize,
    /// Each notes how many it wants.
    waiting: Queue<()>,
}

impl Permits {
    pub(super) fn new(free: usize) -> Permits {
        Permits(Mutex::new(State { free, waiting: Queue::new() }))
    }

    /// Takes, if so many are free and nobody waits.
    pub(super) fn try_take(&self, number: usize) -> bool {
        self.change(|state, wakes| state.try_take(number, wakes))
    }

    /// Returns so many, or adds them.
    pub(super) fn give(&self, number: usize) {
        self.change(|state, wakes| {
            state.free += number;
            state.serve(wakes);
        });
    }

    pub(super) fn free(&self) -> usize {
        self.0.lock().free
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<()>>, number: usize, first: bool) -> bool {
        self.change(|state, wakes| {
            let taken = state.try_take(number, wakes);
            if !taken {
                state.waiting.join(ticket.clone(), first);
            }
            taken
        })
    }

    fn leave(&self, ticket: &Arc<Ticket<()>>, number: usize) {
        self.change(|state, wakes| {
            if state.waiting.remove(ticket).is_some() {
                state.free += number;
            }
            // Also when it had nothing: those behind it may want less.
            state.serve(wakes);
        });
    }

    /// Runs under the lock, and wakes after it.
    fn change<R>(&self, run: impl FnOnce(&mut State, &mut WakeList) -> R) -> R {
        let mut wakes = WakeList::default();
        let done = run(&mut self.0.lock(), &mut wakes);
        wakes.wake();
        done
    }
}

impl State {
    fn try_take(&mut self, number: usize, wakes: &mut WakeList) -> bool {
        if !self.waiting.is_empty() {
            // Those among them whose scope is cancelled are in nobody's way.
            self.serve(wakes);
        }
        let fits = self.waiting.is_empty() && number <= self.free;
        if fits {
            self.free -= number;
        }
        fits
    }

    /// Gives what is free to those who wait.
    fn serve(&mut self, wakes: &mut WakeList) {
        loop {
            let free = self.free;
            let Ok((number, mut waker)) = self.waiting.serve_if((), |number| number <= free) else { break };
            self.free -= number;
            wakes.take(&mut waker);
        }
    }
}

/// What has permits to take.
pub(super) trait HasPermits {
    fn permits(&self) -> &Permits;
}

/// So many of its permits, to be waited for.
pub(super) struct Share<P> {
    pub(super) of: P,
    pub(super) number: usize,
}

impl<P: HasPermits> Supply for Share<P> {
    type Item = ();

    fn try_take(&self) -> Option<()> {
        self.of.permits().try_take(self.number).then_some(())
    }

    fn note(&self) -> usize {
        self.number
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<()>>, first: bool) -> Option<()> {
        self.of.permits().take_or_join(ticket, self.number, first).then_some(())
    }

    fn leave(&self, ticket: &Arc<Ticket<()>>) {
        self.of.permits().leave(ticket, self.number);
    }
}
