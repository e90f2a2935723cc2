//! A place where tasks meet beside its model, and what is done to both.

use std::fmt::Debug;

use proptest::prelude::*;

use crate::waiter::{Seen, Waiter};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait,
    Poll(usize),
    Cancel(usize),
    Shield(usize, bool),
    /// One of those who wait loses interest: it may have been handed something that it has not seen.
    Drop(usize),
    /// What only this kind can do.
    Special(usize, usize),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = || any::<usize>();
    let step = prop_oneof![
        5 => Just(Step::Wait),
        6 => any().prop_map(Step::Poll),
        2 => any().prop_map(Step::Cancel),
        1 => (any(), proptest::bool::ANY).prop_map(|(who, up)| Step::Shield(who, up)),
        2 => any().prop_map(Step::Drop),
        4 => (any(), any()).prop_map(|(what, number)| Step::Special(what, number)),
    ];
    proptest::collection::vec(step, 0..40)
}

/// What those who wait should see, each by the number of the step in which it came.
pub(crate) trait Model {
    type Seen: PartialEq + Debug;

    fn poll(&mut self, id: usize) -> Seen<Self::Seen>;
    fn cancel(&mut self, id: usize);
    fn shield(&mut self, id: usize, up: bool);
    fn leave(&mut self, id: usize);
    /// Whether it has to know that it should be polled.
    fn wakes(&mut self, id: usize) -> bool;
}

/// A place where tasks meet, and its model.
pub(crate) trait Both {
    type Model: Model;
    type Got: 'static;

    /// One more who waits, polled once: None when somebody else is in the way.
    fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>>;
    /// What was got at last, as the model sees it.
    fn see(&mut self, id: usize, got: Self::Got) -> <Self::Model as Model>::Seen;
    fn model(&mut self) -> &mut Self::Model;
    fn special(&mut self, what: usize, number: usize);
    fn compare(&mut self);
}

pub(crate) fn check<B: Both>(mut both: B, steps: Vec<Step>) {
    let mut waiters: Vec<(usize, Waiter<B::Got>)> = Vec::new();
    for (id, step) in steps.into_iter().enumerate() {
        let at = |which: usize| (!waiters.is_empty()).then(|| which % waiters.len());
        match step {
            Step::Wait => {
                if let Some(waiter) = both.wait(id) {
                    waiters.push((id, waiter));
                }
            }
            Step::Poll(which) => {
                let Some(at) = at(which) else { continue };
                let (id, waiter) = &mut waiters[at];
                let (id, seen, expected) = (*id, waiter.poll(), both.model().poll(*id));
                let seen = match seen {
                    Seen::Pending => Seen::Pending,
                    Seen::Cancelled => Seen::Cancelled,
                    Seen::Ready(got) => Seen::Ready(both.see(id, got)),
                };
                assert_eq!(seen, expected, "what a poll shows");
                if seen != Seen::Pending {
                    drop(waiters.swap_remove(at));
                }
            }
            Step::Cancel(which) => {
                let Some(at) = at(which) else { continue };
                waiters[at].1.cancel();
                both.model().cancel(waiters[at].0);
            }
            Step::Shield(which, up) => {
                let Some(at) = at(which) else { continue };
                waiters[at].1.set_shield(up);
                both.model().shield(waiters[at].0, up);
            }
            Step::Drop(which) => {
                let Some(at) = at(which) else { continue };
                let (id, waiter) = waiters.swap_remove(at);
                drop(waiter);
                both.model().leave(id);
            }
            Step::Special(what, number) => both.special(what, number),
        }
        both.compare();
        for (id, waiter) in &waiters {
            assert!(waiter.is_woken() || !both.model().wakes(*id), "{id} was not woken");
        }
    }
    for (id, waiter) in waiters {
        drop(waiter);
        both.model().leave(id);
    }
    both.compare();
}

/// A waiter that was polled for the first time, which shows this.
pub(crate) fn polled<T: 'static>(mut waiter: Waiter<T>) -> (Waiter<T>, Seen<T>) {
    let seen = waiter.poll();
    (waiter, seen)
}
