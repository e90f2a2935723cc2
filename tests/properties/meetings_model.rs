//! Events, conditions, barriers and cells against naive models: random histories of who waits, is polled, cancelled,
//! shielded and dropped at each moment.

mod naive;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use anyrt_core::{Barrier, Condition, Event, Mutex, MutexGuard, OnceCell, SetError};

use crate::cases;
use crate::meeting::{Both, check, polled, steps};
use crate::waiter::{Seen, Waiter};

#[test]
fn an_event_does_what_the_model_does() {
    struct Events(Event, naive::Event);

    impl Both for Events {
        type Model = naive::Event;
        type Got = ();

        fn wait(&mut self, id: usize) -> Option<Waiter<()>> {
            let (waiter, seen) = polled(Waiter::new(self.0.wait()));
            assert_eq!(seen == Seen::Ready(()), self.1.ask(id));
            (seen == Seen::Pending).then_some(waiter)
        }

        fn see(&mut self, _: usize, (): ()) {}

        fn model(&mut self) -> &mut Self::Model {
            &mut self.1
        }

        fn special(&mut self, what: usize, _: usize) {
            // Else it happens at once, nearly always.
            if what.is_multiple_of(4) {
                self.0.set();
                self.1.set();
            }
        }

        fn compare(&mut self) {
            assert_eq!(self.0.is_set(), self.1.set);
            assert_eq!(self.0.waiting(), if self.1.set { 0 } else { self.1.line.waiting(|()| true) });
        }
    }

    cases::each(&steps(), |steps| check(Events(Event::new(), naive::Event::default()), steps));
}

#[test]
fn a_barrier_does_what_the_model_does() {
    struct Barriers(Barrier, naive::Barrier);

    impl Both for Barriers {
        type Model = naive::Barrier;
        type Got = bool;

        fn wait(&mut self, id: usize) -> Option<Waiter<bool>> {
            let waits = self.0.wait();
            let (waiter, seen) = polled(Waiter::new(async move { waits.await.is_leader() }));
            assert_eq!(seen == Seen::Ready(true), self.1.ask(id));
            (seen == Seen::Pending).then_some(waiter)
        }

        fn see(&mut self, _: usize, leads: bool) -> bool {
            leads
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.1
        }

        fn special(&mut self, _: usize, _: usize) {}

        fn compare(&mut self) {
            assert_eq!(self.0.waiting(), self.1.line.waiting(|()| true));
        }
    }

    cases::each(&(0..5_usize, steps()), |(size, steps)| {
        check(Barriers(Barrier::new(size), naive::Barrier::new(size)), steps);
    });
}

/// Who makes the value is told by the case how that ends.
type Signal = Rc<Cell<Option<Result<usize, ()>>>>;

#[test]
fn a_cell_does_what_the_model_does() {
    struct Cells {
        cell: Arc<OnceCell<usize>>,
        naive: naive::Cell,
        signals: Vec<(usize, Signal)>,
    }

    impl Both for Cells {
        type Model = naive::Cell;
        type Got = Result<usize, ()>;

        fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>> {
            let (cell, signal) = (self.cell.clone(), Signal::default());
            self.signals.push((id, signal.clone()));
            let make = async move || poll_fn(|_| signal.get().map_or(Poll::Pending, Poll::Ready)).await;
            let (waiter, seen) =
                polled(Waiter::new(async move { cell.get_or_try_init(make).await.copied() }));
            let expected = self.naive.ask(id);
            assert_eq!(seen, expected);
            (seen == Seen::Pending).then_some(waiter)
        }

        fn see(&mut self, _: usize, got: Self::Got) -> Result<usize, ()> {
            got
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.naive
        }

        /// Somebody is told how its making ends, or sets a value.
        fn special(&mut self, what: usize, number: usize) {
            if what.is_multiple_of(8) {
                let set = self.cell.set(number);
                let told = match set {
                    Ok(()) => Ok(()),
                    Err(SetError::AlreadySet(_)) => Err(true),
                    Err(_) => Err(false),
                };
                assert_eq!(told, self.naive.set(number));
            } else if !self.signals.is_empty() {
                let (id, signal) = &self.signals[what % self.signals.len()];
                let end = if number.is_multiple_of(3) { Ok(*id) } else { Err(()) };
                signal.set(Some(end));
                self.naive.signal(*id, end);
            }
        }

        fn compare(&mut self) {
            assert_eq!(self.cell.get().copied(), self.naive.made);
            assert_eq!(self.cell.waiting(), self.naive.line.waiting(|()| true));
        }
    }

    cases::each(&steps(), |steps| {
        let cells = Cells { cell: Arc::default(), naive: naive::Cell::default(), signals: Vec::new() };
        check(cells, steps);
    });
}

#[test]
fn a_condition_does_what_the_model_does() {
    struct Conditions {
        lock: Mutex<()>,
        condition: Condition<()>,
        guard: Option<MutexGuard<()>>,
        naive: naive::Condition,
    }

    impl Both for Conditions {
        type Model = naive::Condition;
        type Got = (MutexGuard<()>, Option<()>);

        fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>> {
            let guard = self.guard.take().or_else(|| self.lock.try_lock().ok())?;
            let condition = self.condition.clone();
            let wait = async move |guard: &mut MutexGuard<()>| condition.wait(guard).await;
            let (waiter, seen) = polled(Waiter::<Self::Got>::lending(guard, wait));
            assert!(matches!(seen, Seen::Pending));
            self.naive.wait(id);
            Some(waiter)
        }

        fn see(&mut self, _: usize, (guard, notified): Self::Got) -> bool {
            assert!(self.guard.is_none() && self.lock.is_locked(), "it has the lock again");
            self.guard = Some(guard);
            notified.is_some()
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.naive
        }

        /// Takes the lock and keeps it, releases it, or notifies so many.
        fn special(&mut self, what: usize, number: usize) {
            let had = self.guard.is_some();
            self.guard = self.guard.take().or_else(|| self.lock.try_lock().ok());
            assert_eq!(self.guard.is_some(), had || self.naive.try_lock());
            let Some(guard) = &self.guard else { return };
            match number % 5 {
                4 => {
                    self.condition.notify_all(guard);
                    self.naive.notify_all();
                }
                number => {
                    self.condition.notify_many(guard, number);
                    self.naive.notify(number);
                }
            }
            if !what.is_multiple_of(4) {
                self.guard = None;
                self.naive.unlock();
            }
        }

        fn compare(&mut self) {
            assert_eq!(self.lock.is_locked(), self.naive.locked);
            assert_eq!(self.lock.waiting(), self.naive.relocking.waiting(|_| true));
            assert_eq!(self.condition.waiting(), self.naive.line.waiting(|()| true));
        }
    }

    cases::each(&steps(), |steps| {
        let lock = Mutex::new(());
        let condition = Condition::new(&lock);
        check(Conditions { lock, condition, guard: None, naive: naive::Condition::default() }, steps);
    });
}
