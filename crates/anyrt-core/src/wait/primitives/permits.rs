//! A number of permits that are taken several at a time, strictly in order of asking.

use std::sync::OnceLock;

use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{self, Arc};
use crate::base::wake_list::WakeList;
use crate::current::context;
use crate::tree::TaskId;
use crate::tree::site::Holder;
use crate::wait::queue::{Queue, Supply, Ticket};

/// Lock, read-write lock and semaphore are numbers of permits.
///
/// Invariant: the first waiter wants more than is free, not counting waiters whose scope is cancelled.
pub(super) struct Permits(sync::Mutex<PermitsState>);

struct PermitsState {
    free: usize,
    /// The note of each is how many it wants.
    waiting: Queue<()>,
}

impl Permits {
    pub(super) fn new(free: usize) -> Permits {
        Permits(sync::Mutex::new(PermitsState { free, waiting: Queue::new() }))
    }

    /// Takes `number` permits, if that many are free and there are no waiters.
    pub(super) fn try_take(&self, number: usize) -> bool {
        self.change(|state, wakes| state.try_take(number, wakes))
    }

    /// Returns `number` permits, or adds them.
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
            // Also when it was handed nothing: waiters behind it may want less.
            state.serve(wakes);
        });
    }

    /// Runs under the lock, and wakes after it.
    fn change<R>(&self, run: impl FnOnce(&mut PermitsState, &mut WakeList) -> R) -> R {
        let mut wakes = WakeList::default();
        let done = run(&mut self.0.lock(), &mut wakes);
        wakes.wake();
        done
    }
}

impl PermitsState {
    fn try_take(&mut self, number: usize, wakes: &mut WakeList) -> bool {
        if !self.waiting.is_empty() {
            // Waiters whose scope is cancelled must not stand in the way.
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

    /// The task that has all permits, if others wait for it.
    fn holder(&self) -> Option<Holder> {
        None
    }
}

/// The task that has taken all permits, for the task view.
#[derive(Default)]
pub(super) struct HeldBy {
    task: AtomicU64,
    /// The record that waiters share. None while there were no waiters.
    shared: OnceLock<Holder>,
}

impl HeldBy {
    /// The current task has taken them.
    pub(super) fn is_here(&self) {
        let task = context::task_id().map_or(0, TaskId::number);
        self.task.store(task, Ordering::SeqCst);
        if let Some(shared) = self.shared.get() {
            shared.store(task, Ordering::Relaxed);
        }
    }

    pub(super) fn shared(&self) -> Holder {
        let shared = self.shared.get_or_init(Holder::default).clone();
        // Stored after the record was made: a task that took the lock in between has not seen it.
        shared.store(self.task.load(Ordering::SeqCst), Ordering::Relaxed);
        shared
    }
}

/// A number of permits, to be waited for.
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

    fn holder(&self) -> Option<Holder> {
        self.of.holder()
    }

    fn take_or_join(&self, ticket: &Arc<Ticket<()>>, first: bool) -> Option<()> {
        self.of.permits().take_or_join(ticket, self.number, first).then_some(())
    }

    fn leave(&self, ticket: &Arc<Ticket<()>>) {
        self.of.permits().leave(ticket, self.number);
    }
}
