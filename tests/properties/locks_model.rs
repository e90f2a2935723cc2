//! Locks, read-write locks and semaphores against a naive model: random histories of who asks, is polled,
//! cancelled, shielded, dropped at each moment, and returns.

mod naive;
mod real;

use anyrt_core::{Mutex, RwLock, Semaphore};
use proptest::prelude::*;

use self::naive::{Naive, One, Readers, Rules, Seats};
use self::real::Real;
use crate::cases;
use crate::waiter::{Seen, Waiter};

#[derive(Debug, Clone)]
enum Step {
    /// Asks, and waits if it must.
    Ask(usize),
    Try(usize),
    Poll(usize),
    Cancel(usize),
    Shield(usize, bool),
    /// One of those who wait loses interest: it may have been handed something that it has not seen.
    Drop(usize),
    Return(usize),
    /// What only this kind can do.
    Special(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = || any::<usize>();
    let step = prop_oneof![
        5 => any().prop_map(Step::Ask),
        2 => any().prop_map(Step::Try),
        4 => any().prop_map(Step::Poll),
        2 => any().prop_map(Step::Cancel),
        1 => (any(), proptest::bool::ANY).prop_map(|(who, up)| Step::Shield(who, up)),
        2 => any().prop_map(Step::Drop),
        4 => any().prop_map(Step::Return),
        1 => (any(), any()).prop_map(|(who, number)| Step::Special(who, number)),
    ];
    proptest::collection::vec(step, 0..40)
}

#[test]
fn a_lock_does_what_the_model_does() {
    cases::each(&steps(), |steps| check(Mutex::new(()), One::default(), steps));
}

#[test]
fn a_read_write_lock_does_what_the_model_does() {
    cases::each(&steps(), |steps| check(RwLock::new(()), Readers::default(), steps));
}

#[test]
fn a_semaphore_does_what_the_model_does() {
    cases::each(&(0..5_usize, steps()), |(permits, steps)| {
        check(Semaphore::with_maximum(permits, 5), Seats { free: permits, total: permits, most: 5 }, steps);
    });
}

/// Does each step to both, and compares.
fn check<R: Real>(real: R, rules: R::Rules, steps: Vec<Step>) {
    let mut naive = Naive::new(rules);
    let mut waiters: Vec<(usize, Waiter<R::Guard>)> = Vec::new();
    let mut guards: Vec<(Want<R>, R::Guard)> = Vec::new();
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(number) => {
                let want = naive.rules.want(number);
                let mut waiter = Waiter::new(real.ask(want));
                let seen = waiter.poll();
                assert_eq!(matches!(seen, Seen::Ready(_)), naive.ask(id, want), "whether it is free");
                match seen {
                    Seen::Ready(guard) => guards.push((want, guard)),
                    _ => waiters.push((id, waiter)),
                }
            }
            Step::Try(number) => {
                let want = naive.rules.want(number);
                let guard = real.try_ask(want);
                assert_eq!(guard.is_some(), naive.try_ask(want), "whether it is free");
                guards.extend(guard.map(|guard| (want, guard)));
            }
            Step::Poll(which) if !waiters.is_empty() => {
                let at = which % waiters.len();
                let (id, waiter) = &mut waiters[at];
                let want = naive.line.asker(*id).wants;
                let (seen, expected) = (waiter.poll(), naive.poll(*id));
                assert_eq!(kind(&seen), kind(&expected), "what a poll shows");
                if seen_end(&seen) {
                    drop(waiters.swap_remove(at));
                }
                if let Seen::Ready(guard) = seen {
                    guards.push((want, guard));
                }
            }
            Step::Cancel(which) if !waiters.is_empty() => {
                let (id, waiter) = &waiters[which % waiters.len()];
                waiter.cancel();
                naive.line.cancel(*id);
            }
            Step::Shield(which, up) if !waiters.is_empty() => {
                let (id, waiter) = &waiters[which % waiters.len()];
                waiter.set_shield(up);
                naive.line.shield(*id, up);
            }
            Step::Drop(which) if !waiters.is_empty() => {
                let (id, waiter) = waiters.swap_remove(which % waiters.len());
                drop(waiter);
                naive.leave(id);
            }
            Step::Return(which) if !guards.is_empty() => {
                let (want, guard) = guards.swap_remove(which % guards.len());
                drop(guard);
                naive.give(want);
            }
            Step::Special(which, number) => {
                let at = if guards.is_empty() { None } else { Some(which % guards.len()) };
                let taken = at.map(|at| guards.swap_remove(at));
                let (left, others_may_go_on) = real.special(&mut naive.rules, taken, number);
                guards.extend(left);
                if others_may_go_on {
                    naive.settle();
                }
            }
            Step::Poll(_) | Step::Cancel(_) | Step::Shield(..) | Step::Drop(_) | Step::Return(_) => (),
        }
        real.compare(&naive.rules);
        assert_eq!(real.waiting(), naive.line.waiting(|_| true), "how many wait");
        for (id, waiter) in &waiters {
            let asker = naive.line.asker(*id);
            assert!(waiter.is_woken() || !asker.has() && !asker.is_cancelled(), "{asker:?} was not woken");
        }
    }
    for (id, waiter) in waiters {
        drop(waiter);
        naive.leave(id);
    }
    for (want, guard) in guards {
        drop(guard);
        naive.give(want);
    }
    real.compare(&naive.rules);
    assert_eq!((real.waiting(), naive.rules.is_free()), (0, true));
}

type Want<R> = <<R as Real>::Rules as Rules>::Want;

fn kind<T>(seen: &Seen<T>) -> &'static str {
    match seen {
        Seen::Pending => "pending",
        Seen::Ready(_) => "ready",
        Seen::Cancelled => "cancelled",
    }
}

fn seen_end<T>(seen: &Seen<T>) -> bool {
    !matches!(seen, Seen::Pending)
}
